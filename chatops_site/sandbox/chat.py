"""The sandbox's chat system: the page where people type, and the chat platforms' stand-ins behind it."""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from chatops_site.sandbox.chats import CHATS, bot_name
from chatops_site.sandbox.choice import Choice, NotChosen
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.dialling import Dialling
from chatops_site.sandbox.pane import Pane
from chatops_site.sandbox.server import Request, Response, as_json
from chatops_site.sandbox.stand import Arguments, ChatStand, SocketHandler
from chatops_site.sandbox.talk import CONVERSATIONS, PEOPLE, Delivery, Portal

_STATIC = Path(__file__).parent / "static"
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_POLL_SECONDS = 20.0
# How often the other systems are looked at while a page waits.
_LOOK_SECONDS = 0.5
_MOST_TIMES = 500
_SUGGESTIONS = (
    "/help",
    "/prs",
    "/pr 233",
    "/test 233",
    "/approve 233",
    "/merge 233",
    "/deploy myservice",
    "/status",
)


class ChatSystem:
    """Answers the page, the portal's calls to every platform, and the control's operations."""

    name = "chat"

    def __init__(
        self,
        stands: Mapping[str, ChatStand],
        dialling: Dialling,
        pane: Pane,
        choice: Choice,
        *,
        portal: str,
    ) -> None:
        self._stands = stands
        self._first = next(iter(stands))
        self._dialling = dialling
        self._pane = pane
        self._choice = choice
        self._portal = portal
        self._shown: dict[str, Any] = {}
        self._page: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "chat/state"): self._show_state,
            ("GET", "chat/events"): self._show_events,
            ("POST", "chat/say"): self._take_message,
            ("POST", "chat/press"): self._take_press,
            ("POST", "chat/mode"): self._take_mode,
            ("POST", "chat/forge"): self._choose_forge,
        }
        self._operations: dict[str, Callable[[Arguments], dict[str, Any]]] = {
            "say": self._say,
            "press": self._press,
            "mode": self._choose_mode,
            "messages": self._messages,
            "reset": self._reset,
            "listen": self._listen,
        }

    @property
    def sockets(self) -> dict[str, SocketHandler]:
        """Where the portal's outgoing connections may arrive, of all platforms together."""
        return {
            path: handler
            for stand in self._stands.values()
            for path, handler in stand.sockets.items()
        }

    def answer(self, request: Request) -> Response:
        path = "/".join(request.segments)
        page = self._page.get((request.method, path))
        if page is not None:
            return _in_a_sentence(page, request)
        if request.method in ("GET", "HEAD") and (not path or request.segments[0] == "static"):
            return _file(path.removeprefix("static/") or "chat.html")
        return _first_answer(self._stands.values(), request)

    def control(self, op: str, arguments: Arguments) -> dict[str, Any]:
        """An operation of the chat itself, else one of the stand-in that "platform" names."""
        operation = self._operations.get(op)
        if operation is not None:
            return operation(arguments)
        rest = dict(arguments)
        return self._stand(rest.pop("platform", "")).control(op, rest)

    def state(self) -> dict[str, Any]:
        """Everything that was said at the first platform, who is there and where."""
        return self._state_of(self._stands[self._first])

    def close(self) -> None:
        """Ends what was begun for the outgoing connections."""
        self._dialling.end()

    def _stand(self, platform: object) -> ChatStand:
        stand = self._stands.get(str(platform or self._first))
        if stand is None:
            known = ", ".join(self._stands)
            raise ValueError(f"There is no platform {platform!r}; there are: {known}.")
        return stand

    def _asked(self, request: Request) -> ChatStand:
        return self._stand(request.query.get("platform", [""])[-1])

    def _state_of(self, stand: ChatStand) -> dict[str, Any]:
        everybody = [one.id for one in PEOPLE]
        return {
            "platform": stand.name,
            "seq": stand.talk.version,
            "people": [
                {"id": one.id, "name": one.name, "note": one.note, "staff_id": one.staff_id}
                for one in PEOPLE
            ],
            "conversations": [
                {
                    "id": one.id,
                    "name": one.name,
                    "private": one.private,
                    "members": [one.person] if one.private else everybody,
                }
                for one in CONVERSATIONS
                if one.private or not stand.private_only
            ],
            "messages": stand.talk.since(0),
        }

    def _platforms(self) -> list[dict[str, Any]]:
        """last: the number of the newest message, so that a page can tell where there is news."""
        return [
            {
                "name": stand.name,
                "label": stand.label,
                "modes": stand.modes,
                "mode": stand.mode,
                "private_only": stand.private_only,
                "connected": stand.connected(),
                "last": stand.talk.last,
                **self._dialling.told(stand.name),
            }
            for stand in self._stands.values()
        ]

    def _show_state(self, request: Request) -> Response:
        links = {"portal": f"{self._portal}/", "admin": f"{self._portal}/admin/"}
        more = {"suggestions": _SUGGESTIONS, "forges": self._choice.offered()}
        more |= {**links, **self._pane.read(), "platforms": self._platforms()}
        return as_json(self._state_of(self._asked(request)) | more)

    def _show_events(self, request: Request) -> Response:
        """What changed after a version: at once when there is something, else when there is."""
        since = _number(request.query.get("since", ["0"])[-1])
        talk = self._asked(request).talk
        end = time.monotonic() + _POLL_SECONDS
        self._look()
        while not talk.wait(since, _LOOK_SECONDS) and time.monotonic() < end:
            self._look()
        version = talk.version
        return as_json({"seq": version, "messages": talk.changed_since(since), **self._shown})

    def _look(self) -> None:
        seen = {**self._pane.read(), "platforms": self._platforms()}
        if seen != self._shown:
            self._shown = seen
            for stand in self._stands.values():
                stand.talk.touch()

    def _take_message(self, request: Request) -> Response:
        delivery = self._open_delivery(request.json())
        delivery.send_later()
        return as_json({"n": delivery.message["n"], "message_id": delivery.message["message_id"]})

    def _take_press(self, request: Request) -> Response:
        """{"platform", "person", "n", "button"}; answered when the portal has answered."""
        return as_json(self._open_press(request.json()).send())

    def _take_mode(self, request: Request) -> Response:
        """{"platform", "mode"}; answered when the connection is being made, or has ended."""
        return as_json(self._choose_mode(request.json()))

    def _choose_forge(self, request: Request) -> Response:
        """{"forge": its name}; answered when the portal has moved there."""
        self._choice.choose(str(request.json()["forge"]))
        return as_json({"forge": self._choice.current})

    def _open_delivery(self, arguments: Arguments) -> Delivery:
        text = arguments["text"]
        if not isinstance(text, str):
            raise ValueError("The text is to be a string.")
        stand = self._stand(arguments.get("platform"))
        person, conversation = str(arguments["person"]), str(arguments["conversation"])
        delivery = stand.say(person, conversation, text, arguments.get("tamper") or {})
        return _marked(stand, delivery)

    def _open_press(self, arguments: Arguments) -> Delivery:
        stand = self._stand(arguments.get("platform"))
        person, button = str(arguments["person"]), str(arguments["button"])
        tamper = arguments.get("tamper") or {}
        return _marked(stand, stand.press(person, int(arguments["n"]), button, tamper))

    def _say(self, arguments: Arguments) -> dict[str, Any]:
        """{"platform"?, "person", "conversation", "text", "tamper"?, "times"?}; waits for the answer."""
        times = _times(arguments)
        return self._open_delivery(arguments).send(times)

    def _press(self, arguments: Arguments) -> dict[str, Any]:
        """{"platform"?, "person", "n", "button", "tamper"?, "times"?}; waits for the answer."""
        times = _times(arguments)
        return self._open_press(arguments).send(times)

    def _choose_mode(self, arguments: Arguments) -> dict[str, Any]:
        stand = self._stand(arguments.get("platform"))
        self._dialling.choose(stand.name, str(arguments["mode"]))
        return {"mode": stand.mode}

    def _messages(self, arguments: Arguments) -> dict[str, Any]:
        talk = self._stand(arguments.get("platform")).talk
        return {"messages": talk.since(int(arguments.get("since", 0)))}

    def _reset(self, _arguments: Arguments) -> dict[str, Any]:
        for stand in self._stands.values():
            stand.reset()
        self._shown = {}
        return {}

    def _listen(self, arguments: Arguments) -> dict[str, Any]:
        """{"chat", "jenkins", each forge, "sockets"?}: the origins, for what stand-ins and page link to."""
        for stand in self._stands.values():
            stand.origin = str(arguments["chat"])
            stand.socket_origin = str(arguments.get("sockets", ""))
        self._pane.origins = {name: str(origin) for name, origin in arguments.items()}
        return {}


def build_system(
    clock: Clock, pane: Pane, choice: Choice, *, portal: str, bot: str, connect: str = ""
) -> ChatSystem:
    """bot: the prefix of the bots' names; connect: a command that keeps the {bot} in it connected."""
    root = portal.rstrip("/")
    bots = {name: bot_name(bot, name) for name in CHATS}
    stands = {
        name: made(clock, Portal(f"{root}/webhooks/chat/{bots[name]}/"))
        for name, made in CHATS.items()
    }
    return ChatSystem(stands, Dialling(stands, bots, connect), pane, choice, portal=root)


def _in_a_sentence(page: Callable[[Request], Response], request: Request) -> Response:
    """The page's own answer, or why there is none."""
    if request.method == "POST" and not request.is_from_here:
        return as_json({"message": "Only the chat page itself may speak for people."}, 403)
    try:
        return page(request)
    except NotChosen as error:
        return as_json({"message": f"Not chosen: {error}"}, 400)
    except (ValueError, KeyError, TypeError) as error:
        return as_json({"message": f"Not done: {error}"}, 400)


def _first_answer(stands: Iterable[ChatStand], request: Request) -> Response:
    for stand in stands:
        answer = stand.answer(request)
        if answer is not None:
            return answer
    told = {"code": "InvalidAction.NotFound", "message": "Specified api is not found."}
    return as_json({**told, "requestid": secrets.token_hex(8)}, 404)


def _marked(stand: ChatStand, delivery: Delivery) -> Delivery:
    """The page shows which way a message goes; a stand-in knows of those that have only one."""
    known = delivery.message["delivery"]
    stand.talk.move_delivery(delivery.message, known["stage"], by=known.get("by", stand.mode))
    return delivery


def _times(arguments: Arguments) -> int:
    times = int(arguments.get("times", 1))
    if not 1 <= times <= _MOST_TIMES:
        raise ValueError(f"times is a number from 1 to {_MOST_TIMES}.")
    return times


def _file(name: str) -> Response:
    path = _STATIC / name
    kind = _KINDS.get(path.suffix)
    if kind is None or path.parent != _STATIC or not path.is_file():
        return as_json({"message": f"The page has no {name}."}, 404)
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return Response(200, path.read_bytes(), headers, f"{kind}; charset=utf-8")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
