"""The sandbox's chat system: the page where people type, and the DingTalk stand-in behind it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatops_site.sandbox.choice import Choice, NotChosen
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.dingtalk import Arguments, DingTalk
from chatops_site.sandbox.pane import Pane
from chatops_site.sandbox.server import Request, Response, as_json
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
    """Answers the page, the portal's calls to DingTalk, and the control's operations."""

    name = "chat"

    def __init__(self, dingtalk: DingTalk, pane: Pane, choice: Choice, *, portal: str) -> None:
        self._dingtalk = dingtalk
        self._pane = pane
        self._choice = choice
        self._portal = portal
        self._shown: dict[str, Any] = {}
        self._page: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "chat/state"): self._show_state,
            ("GET", "chat/events"): self._show_events,
            ("POST", "chat/say"): self._take_message,
            ("POST", "chat/forge"): self._choose_forge,
        }
        self._operations: dict[str, Callable[[Arguments], dict[str, Any]]] = {
            "say": self._say,
            "messages": self._messages,
            "reset": self._reset,
            "listen": self._listen,
            "limit": self._limit,
            "revoke_token": self._revoke_token,
            "end_sessions": self._end_sessions,
        }

    def answer(self, request: Request) -> Response:
        path = "/".join(request.segments)
        page = self._page.get((request.method, path))
        if page is not None:
            return page(request)
        if request.method in ("GET", "HEAD") and (not path or request.segments[0] == "static"):
            return _file(path.removeprefix("static/") or "chat.html")
        return self._dingtalk.answer(request)

    def control(self, op: str, arguments: Arguments) -> dict[str, Any]:
        operation = self._operations.get(op)
        if operation is None:
            known = ", ".join(self._operations)
            raise ValueError(f"The chat has no operation {op!r}; it has: {known}.")
        return operation(arguments)

    def state(self) -> dict[str, Any]:
        """Everything that was said, who is there and where."""
        everybody = [one.id for one in PEOPLE]
        return {
            "seq": self._dingtalk.talk.version,
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
            ],
            "messages": self._dingtalk.talk.since(0),
        }

    def _show_state(self, _request: Request) -> Response:
        links = {"portal": f"{self._portal}/", "admin": f"{self._portal}/admin/"}
        more = {"suggestions": _SUGGESTIONS, "forges": self._choice.offered()}
        more |= {**links, **self._pane.read()}
        return as_json(self.state() | more)

    def _show_events(self, request: Request) -> Response:
        """What changed after a version: at once when there is something, else when there is."""
        since = _number(request.query.get("since", ["0"])[-1])
        talk = self._dingtalk.talk
        end = time.monotonic() + _POLL_SECONDS
        self._look()
        while not talk.wait(since, _LOOK_SECONDS) and time.monotonic() < end:
            self._look()
        version = talk.version
        return as_json({"seq": version, "messages": talk.changed_since(since), **self._shown})

    def _look(self) -> None:
        seen = self._pane.read()
        if seen != self._shown:
            self._shown = seen
            self._dingtalk.talk.touch()

    def _take_message(self, request: Request) -> Response:
        if not request.is_from_here:
            return as_json({"message": "Only the chat page itself may speak for people."}, 403)
        try:
            delivery = self._open_delivery(request.json())
        except (ValueError, KeyError, TypeError) as error:
            return as_json({"message": f"Not said: {error}"}, 400)
        delivery.send_later()
        return as_json({"n": delivery.message["n"], "message_id": delivery.message["message_id"]})

    def _choose_forge(self, request: Request) -> Response:
        """{"forge": its name}; answered when the portal has moved there."""
        if not request.is_from_here:
            return as_json({"message": "Only the chat page itself may choose."}, 403)
        try:
            self._choice.choose(str(request.json()["forge"]))
        except (NotChosen, ValueError, KeyError, TypeError) as error:
            return as_json({"message": f"Not chosen: {error}"}, 400)
        return as_json({"forge": self._choice.current})

    def _open_delivery(self, arguments: Arguments) -> Delivery:
        text = arguments["text"]
        if not isinstance(text, str):
            raise ValueError("The text is to be a string.")
        person, conversation = str(arguments["person"]), str(arguments["conversation"])
        return self._dingtalk.say(person, conversation, text, arguments.get("tamper") or {})

    def _say(self, arguments: Arguments) -> dict[str, Any]:
        """{"person", "conversation", "text", "tamper"?, "times"?}; waits for the answer."""
        times = int(arguments.get("times", 1))
        if not 1 <= times <= _MOST_TIMES:
            raise ValueError(f"times is a number from 1 to {_MOST_TIMES}.")
        return self._open_delivery(arguments).send(times)

    def _messages(self, arguments: Arguments) -> dict[str, Any]:
        return {"messages": self._dingtalk.talk.since(int(arguments.get("since", 0)))}

    def _reset(self, _arguments: Arguments) -> dict[str, Any]:
        self._dingtalk.reset()
        self._shown = {}
        return {}

    def _listen(self, arguments: Arguments) -> dict[str, Any]:
        """{"chat", "jenkins", each forge}: the origins, for session webhooks and the page's links."""
        self._dingtalk.origin = str(arguments["chat"])
        self._pane.origins = {name: str(origin) for name, origin in arguments.items()}
        return {}

    def _limit(self, arguments: Arguments) -> dict[str, Any]:
        """{"per_minute": 20}; 0 lifts the limit."""
        self._dingtalk.limit(int(arguments["per_minute"]))
        return {}

    def _revoke_token(self, _arguments: Arguments) -> dict[str, Any]:
        self._dingtalk.revoke_token()
        return {}

    def _end_sessions(self, _arguments: Arguments) -> dict[str, Any]:
        self._dingtalk.end_sessions()
        return {}


def build_system(clock: Clock, pane: Pane, choice: Choice, *, portal: str, bot: str) -> ChatSystem:
    root = portal.rstrip("/")
    dingtalk = DingTalk(clock, Portal(f"{root}/webhooks/chat/{bot}/"))
    return ChatSystem(dingtalk, pane, choice, portal=root)


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
