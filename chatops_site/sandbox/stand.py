"""What every chat platform's stand-in is: who says what, what the bot says, and how both travel."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from websockets.sync.server import ServerConnection

from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.server import Request, Response
from chatops_site.sandbox.talk import Delivery, Message, Person, Portal, Talk

Arguments = dict[str, Any]
# Serves one connection until it ends.
SocketHandler = Callable[[ServerConnection], None]
# What each takes stands at its method; what it gives back is told, if anything.
Operation = Callable[[Arguments], "dict[str, Any] | None"]
HTTP, DIALLED = "http", "dialled"
_UNDER_WAY = "⏳"


class ChatStand(ABC):
    """One platform with one bot and the company of `talk`. Conversations and people have the keys of talk.py.

    A message of the bot on the page: {"from": "bot", "conversation", "reply_to": n of the message it
    answers or None, "markdown" or "text", "buttons": [{"id", "label", "tone", "spent"}], "mentions":
    [keys of people], "changes": how often it was changed in place} and whatever else a test may ask for.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    modes: ClassVar[tuple[str, ...]] = (HTTP,)
    # Of what the page offers to type, where it is not what the others offer.
    private_only: ClassVar[bool] = False

    def __init__(self, clock: Clock, portal: Portal) -> None:
        self.clock = clock
        self.portal = portal
        self.talk = Talk()
        self.mode = HTTP
        # Operations of its own by name, and everything that it has delivered by message id.
        self._operations: dict[str, Operation] = {}
        self._sent: dict[str, Any] = {}
        # Where the portal reaches this stand-in: by HTTP, and for connections that it opens.
        self.origin = "http://127.0.0.1:8900"
        self.socket_origin = ""

    @property
    def sockets(self) -> Mapping[str, SocketHandler]:
        """Paths below socket_origin where the portal may connect."""
        return {}

    @abstractmethod
    def answer(self, request: Request) -> Response | None:
        """The platform's API; None for a path that is not its own."""

    @abstractmethod
    def say(self, person: str, conversation: str, text: str, tamper: Arguments) -> Delivery:
        """Puts it into the conversation, and what brings it to the portal in the stand-in's mode."""

    @abstractmethod
    def press(self, person: str, n: int, button: str, tamper: Arguments) -> Delivery:
        """Somebody presses a button of the bot's message n. ValueError where there is none."""

    @abstractmethod
    def reset(self) -> None:
        """As new, without messages; connections stay."""

    def control(self, op: str, arguments: Arguments) -> dict[str, Any]:
        """An operation of its own: limits, revoked tokens, faults. ValueError for one it has not."""
        operation = self._operations.get(op)
        if operation is None:
            raise ValueError(f"{self.name} has no operation {op!r}.")
        return operation(arguments) or {}

    def connected(self) -> int:
        """How many connections the portal holds."""
        return 0

    def choose_mode(self, mode: str) -> None:
        if mode not in self.modes:
            raise ValueError(f"{self.name} has no mode {mode!r}; it has: {', '.join(self.modes)}.")
        self.mode = mode

    def person_says(self, person: Person, conversation: str, text: str, **content: Any) -> Message:
        """What somebody types or presses, before it is on its way."""
        named = {"from": person.id, "name": person.name, "conversation": conversation}
        way = content.pop("delivery", {"stage": "sending"})
        return self.talk.add(**named, text=text, **content, delivery=way)

    def check_tampering(
        self, tamper: Arguments, known: Collection[str], *, signed: Collection[str] = ()
    ) -> None:
        """ValueError for a wish that it does not know, or that a connection has nothing for."""
        unknown = set(tamper) - set(known)
        if unknown:
            there = ", ".join(sorted(known))
            raise ValueError(f"tamper has no {', '.join(sorted(unknown))}; it has {there}.")
        lost = set(tamper) & set(signed)
        if lost and self.mode == DIALLED:
            raise ValueError(f"A connection has no signature, so no {', '.join(sorted(lost))}.")
        for name in ("replay", "reuse_signature"):
            if name in tamper and tamper[name] not in self._sent:
                raise ValueError(f"No message {tamper[name]!r} was sent.")

    def bot_says(self, conversation: str, **content: Any) -> Message:
        """A new message of the bot, and how far the message it answers has come by it."""
        told = {"reply_to": None, "buttons": [], "mentions": [], "changes": 0, **content}
        named = {"from": "bot", "name": "ChatOps", "conversation": conversation}
        said = self.talk.add(**named, **told)
        self._move_asked(said)
        return said

    def bot_changes(self, message: Message, **content: Any) -> None:
        """The same message with another content."""
        self.talk.update(message, changes=message["changes"] + 1, **content)
        self._move_asked(message)

    def _move_asked(self, said: Message) -> None:
        asked = self.talk.answered(said["conversation"], said["reply_to"])
        if asked is not None and asked["from"] != "bot":
            under_way = str(said.get("markdown", "")).startswith(_UNDER_WAY)
            self.talk.move_delivery(asked, "running" if under_way else "done")
