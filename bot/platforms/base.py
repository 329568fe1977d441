"""The contract every chat platform fulfils: verify raw bytes, parse what they say, send a reply."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django.utils.functional import Promise

from bot.platforms.models import Bot


@dataclass(frozen=True)
class Proof:
    """A signature that does not cover the body, and the body it came with; sha256 of both, in hex.

    Whatever came first under a signature is remembered with it: nothing else is believed under it.
    """

    signature_digest: str
    body_digest: str


class Rejected(Exception):
    """Not authentic, not fresh, not for this bot (401), or malformed (400). reason goes to the audit only.

    proof is set when the signature itself was right.
    """

    proof: Proof | None = None

    def __init__(self, reason: str, *, status: int = 401) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class SendFailed(Exception):
    """A reply could not be sent; retryable says whether trying again may help. Holds no secret."""

    def __init__(self, sentence: str, *, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.retryable = retryable
        self.retry_after = retry_after


@dataclass(frozen=True)
class Webhook:
    """What came in, before anything is believed. headers: lower-case names; repeated ones refused before."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]
    body: bytes
    source_ip: str = ""


@dataclass(frozen=True)
class Sender:
    """tenant and id are the platform's stable ones; id is "" when it told none (a stranger to all)."""

    tenant: str
    id: str
    name: str


@dataclass(frozen=True)
class IncomingMessage:
    """An authentic message. text: mention removed, stripped. route: what send() needs to answer, as JSON."""

    platform: str
    message_id: str
    sender: Sender
    conversation: str
    conversation_name: str
    private: bool
    text: str
    sent_at: datetime
    # The platform's own slash command that stood before it ("/ops"); it may be the name of one of ours.
    slash: str = ""
    # Of the repository whose pull request it was said under, for a comment at a forge.
    repository_id: int | None = None
    route: dict[str, Any] = field(default_factory=dict)
    # None where the signature covers the body.
    proof: Proof | None = None
    source_ip: str = ""


@dataclass(frozen=True)
class Press:
    """Somebody pressed a button of ours. token: the opaque id that the button carries, nothing else.

    press_id tells this press from every other one, and is the same when it is delivered again.
    """

    platform: str
    press_id: str
    token: str
    sender: Sender
    conversation: str
    conversation_name: str
    private: bool
    pressed_at: datetime
    route: dict[str, Any] = field(default_factory=dict)
    proof: Proof | None = None
    source_ip: str = ""


@dataclass(frozen=True)
class Poll:
    """The platform asks how far the answer to that message is; nothing is run for it."""

    message_id: str


@dataclass(frozen=True)
class Ignored:
    """Authentic, but nothing to run: a picture, another bot, an edit. reason goes to the audit."""

    reason: str
    message_id: str = ""
    proof: Proof | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Body:
    """The body of a 200, where the platform reads one."""

    content: bytes = b""
    content_type: str = "text/plain"


@dataclass(frozen=True)
class Challenge:
    """The platform checks the address: answer this body."""

    body: bytes
    content_type: str


Parsed = IncomingMessage | Press | Poll | Ignored | Challenge


@dataclass(frozen=True)
class Said:
    """What the body of the 200 may tell already. text "": nothing yet; final: nothing more will follow."""

    text: str = ""
    final: bool = False


@dataclass(frozen=True)
class Button:
    """A button under a reply, as it goes to the platform: it carries the token, and shows the label."""

    token: str
    label: str
    tone: str = ""  # "", "primary" or "danger"


@dataclass(frozen=True)
class Outgoing:
    """A reply: markdown as REPLIES writes it, and the buttons under it.

    final: nothing more follows for its run. key: the same however often this reply is tried, other
    than any other's; for platforms that drop what they have had.
    """

    text: str
    final: bool = True
    buttons: tuple[Button, ...] = ()
    key: str = ""


@dataclass(frozen=True)
class Pace:
    """At most count messages in so many seconds: of the bot, or of each of its conversations."""

    count: int
    seconds: float
    each_conversation: bool = False


@dataclass(frozen=True)
class Setting:
    """A setting or secret a bot of this platform has, for forms and the configuration file."""

    name: str
    required: bool = True


class Platform(ABC):
    """One bot on one platform. now is passed in, so that recorded vectors keep their time."""

    # As people call it.
    label: ClassVar[str | Promise] = ""
    settings: ClassVar[tuple[Setting, ...]] = ()
    secrets: ClassVar[tuple[Setting, ...]] = ()
    # What the platform lets a bot send; the queue of replies keeps to it for all processes together.
    paces: ClassVar[tuple[Pace, ...]] = ()
    # The body of a 200 can carry the answer to a message that was refused at once.
    answers_at_once: ClassVar[bool] = False
    # The platform comes for replies by a Poll; what it has not fetched in 10 s is sent.
    polls: ClassVar[bool] = False
    # Whoever presses is told in the body of the 200, and nobody else is.
    toasts: ClassVar[bool] = False
    # The platform whose accounts its senders are, where that is another one.
    accounts_of: ClassVar[str] = ""
    # The class of its outgoing connection (bot.platforms.dialling.Dialled), as a dotted path; "": none.
    dialled: ClassVar[str] = ""

    def __init__(self, bot: Bot) -> None:
        self.bot = bot

    @classmethod
    def paces_of(cls, settings: Mapping[str, Any]) -> tuple[Pace, ...]:
        """What a bot with these settings may send."""
        return cls.paces

    @property
    def updates_in_place(self) -> bool:
        """Whether a later message of the same run takes the place of its earlier one."""
        return False

    @property
    def has_buttons(self) -> bool:
        """Whether people can press buttons under its messages; what they do can always be typed too."""
        return False

    def setting(self, name: str) -> str:
        return str(self.bot.settings.get(name) or "")

    def secret(self, name: str) -> str:
        return str((self.bot.secrets or {}).get(name) or "")

    @abstractmethod
    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        """Verifies signature and freshness over the raw body in constant time, then parses; or Rejected."""

    def acknowledge(self, webhook: Webhook, parsed: Parsed, said: Said, *, now: datetime) -> Body:
        """The body of the 200 for what was received, written down and perhaps answered already."""
        return Body()

    @abstractmethod
    def send(self, route: Mapping[str, Any], message: Outgoing, *, now: datetime) -> str:
        """Sends it to where the message came from; the platform's message id or "". Or SendFailed."""

    def update(
        self, route: Mapping[str, Any], external_id: str, message: Outgoing, *, now: datetime
    ) -> str:
        """Puts it in the place of the message external_id, where the platform can; the id it has then."""
        return self.send(route, message, now=now)

    @abstractmethod
    def check(self) -> str:
        """Asks the platform who the bot is ("Test connection"); a sentence for the operator, or SendFailed."""

    def name_of(self, account: str) -> str:
        """What the platform calls that account, for display; "" where it does not tell. Or SendFailed."""
        return ""
