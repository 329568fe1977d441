"""The contract every chat platform fulfils: verify raw bytes, parse a message, send a reply."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

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
    # Of the repository whose pull request it was said under, for a comment at a forge.
    repository_id: int | None = None
    route: dict[str, Any] = field(default_factory=dict)
    # None where the signature covers the body.
    proof: Proof | None = None
    source_ip: str = ""


@dataclass(frozen=True)
class Ignored:
    """Authentic, but nothing to run: a picture, another bot, an edit. reason goes to the audit."""

    reason: str
    message_id: str = ""
    proof: Proof | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Challenge:
    """The platform checks the address: answer this body."""

    body: bytes
    content_type: str


Parsed = IncomingMessage | Ignored | Challenge


@dataclass(frozen=True)
class Setting:
    """A setting or secret a bot of this platform has, for forms and the configuration file."""

    name: str
    required: bool = True


class Platform(ABC):
    """One bot on one platform. now is passed in, so that recorded vectors keep their time."""

    # Whether a later message of the same run takes the place of its earlier one.
    updates_in_place: ClassVar[bool] = False
    settings: ClassVar[tuple[Setting, ...]] = ()
    secrets: ClassVar[tuple[Setting, ...]] = ()

    def __init__(self, bot: Bot) -> None:
        self.bot = bot

    @abstractmethod
    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        """Verifies signature and freshness over the raw body in constant time, then parses; or Rejected."""

    @abstractmethod
    def send(self, route: Mapping[str, Any], text: str, *, now: datetime) -> str:
        """Sends markdown to where the message came from; the platform's message id or "". Or SendFailed."""

    def update(
        self, route: Mapping[str, Any], external_id: str, text: str, *, now: datetime
    ) -> str:
        """Puts text in the place of the message external_id, where the platform can; or SendFailed."""
        return self.send(route, text, now=now)

    @abstractmethod
    def check(self) -> str:
        """Asks the platform who the bot is ("Test connection"); a sentence for the operator, or SendFailed."""
