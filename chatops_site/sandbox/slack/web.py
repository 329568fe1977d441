"""Slack's Web API and response URLs, as the stand-in answers them.

https://docs.slack.dev/reference/methods
"""

import json
import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chatops_site.sandbox.server import Request, Response, as_json
from chatops_site.sandbox.slack import blocks
from chatops_site.sandbox.slack.blocks import user_id
from chatops_site.sandbox.slack.socket import SocketMode
from chatops_site.sandbox.stand import ChatStand
from chatops_site.sandbox.talk import CONVERSATIONS, PEOPLE, Conversation, Message

APP_ID = "A0DEMO"
TEAM = "T0DEMO"
BOT_USER, BOT = "U0CHATOPS", "B0CHATOPS"
BOT_TOKEN = "xoxb-demo-bot-token"  # noqa: S105 (a published value of the sandbox)
APP_TOKEN = "xapp-demo-app-token"  # noqa: S105 (likewise)
RESPONSES = ("commands", "actions")
_RESPONSE_SECONDS = 1_800
_RESPONSE_USES = 5

Arguments = dict[str, Any]


@dataclass
class _ResponseUrl:
    conversation: str
    reply_to: int
    since: float
    uses: int = 0


class WebApi:
    """What the bot may call. Refusals are those that Slack documents."""

    def __init__(self, stand: ChatStand, socket: SocketMode) -> None:
        self._stand, self._socket = stand, socket
        self._lock = threading.Lock()
        self._methods: dict[str, Callable[[Arguments], Arguments]] = {
            "auth.test": self._test,
            "bots.info": self._tell_bot,
            "users.info": self._tell_user,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.postEphemeral": self._post_ephemeral,
            "apps.connections.open": self._open_connection,
        }
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._responses: dict[str, _ResponseUrl] = {}
            self._posted: dict[str, Message] = {}
            self._limits: deque[str] = deque()
            self._revoked = False
            self.left: set[str] = set()
            self.refusals: dict[str, str] = {}

    def limit(self, times: int, retry_after: str) -> None:
        """The next calls are too many; retry_after "": without a word about how long."""
        with self._lock:
            self._limits = deque([retry_after] * times)

    def revoke_token(self) -> None:
        self._revoked = True

    def open_response_url(self, kind: str, conversation: str, reply_to: int) -> str:
        """kind: one of RESPONSES."""
        name = secrets.token_hex(12)
        with self._lock:
            self._responses[name] = _ResponseUrl(conversation, reply_to, self._stand.clock.now())
        return f"{self._stand.origin}/{kind}/{TEAM}/{reply_to}/{name}"

    def respond(self, name: str, content: Arguments) -> Response:
        known = self._responses.get(name)
        if known is None or self._stand.clock.now() - known.since > _RESPONSE_SECONDS:
            return as_json({"ok": False, "error": "expired_url"}, 404)
        if known.uses >= _RESPONSE_USES:
            return as_json({"ok": False, "error": "used_url"}, 404)
        problem = blocks.problem_of(content)
        if problem:
            return as_json({"ok": False, "error": problem}, 400)
        known.uses += 1
        self._stand.bot_says(
            known.conversation,
            **blocks.shown(content),
            by="response_url",
            reply_to=known.reply_to,
            ephemeral=content.get("response_type") != "in_channel",
        )
        return Response(200, b"ok", content_type="text/plain")

    def call(self, method: str, request: Request) -> Response:
        with self._lock:
            limited = self._limits.popleft() if self._limits else None
        if limited is not None:
            headers = {"Retry-After": limited} if limited else {}
            return as_json({"ok": False, "error": "ratelimited"}, 429, **headers)
        endpoint = self._methods.get(method)
        problem = "unknown_method" if endpoint is None else self._problem(method, request)
        if endpoint is None or problem:
            return as_json({"ok": False, "error": problem})
        return as_json(endpoint(_arguments(request)))

    def ts(self, message: Message) -> str:
        """Whole seconds and the message's number: no two are alike."""
        return f"{int(message['at'])}.{message['n']:06d}"

    def _problem(self, method: str, request: Request) -> str:
        if method in self.refusals:
            return self.refusals[method]
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        wanted, other = BOT_TOKEN, APP_TOKEN
        if method == "apps.connections.open":
            wanted, other = APP_TOKEN, BOT_TOKEN
        if not token:
            return "not_authed"
        if token == other:
            return "not_allowed_token_type"
        if token != wanted:
            return "invalid_auth"
        return "token_revoked" if self._revoked else ""

    def _test(self, _told: Arguments) -> Arguments:
        told = {"url": "https://demo.slack.example/", "team": "Demo", "team_id": TEAM}
        return {"ok": True, **told, "user": "chatops", "user_id": BOT_USER, "bot_id": BOT}

    def _tell_bot(self, told: Arguments) -> Arguments:
        if told.get("bot") != BOT:
            return _refused("bot_not_found")
        bot = {"id": BOT, "app_id": APP_ID, "user_id": BOT_USER, "name": "chatops"}
        return {"ok": True, "bot": bot}

    def _tell_user(self, told: Arguments) -> Arguments:
        for one in PEOPLE:
            if told.get("user") == user_id(one.id):
                names = {"real_name": one.name, "display_name": one.id}
                user = {"id": user_id(one.id), "team_id": TEAM, "name": one.id}
                return {"ok": True, "user": {**user, "real_name": one.name, "profile": names}}
        return _refused("user_not_found")

    def _open_connection(self, _told: Arguments) -> Arguments:
        if self._socket.refusal:
            return _refused(self._socket.refusal)
        return {"ok": True, "url": self._socket.open_address(self._stand.socket_origin)}

    def _post(self, told: Arguments) -> Arguments:
        place, problem = self._place(told)
        problem = problem or blocks.problem_of(told)
        if problem or place is None:
            return _refused(problem)
        said = self._stand.bot_says(
            place.id,
            **blocks.shown(told),
            by="chat.postMessage",
            reply_to=_thread(told),
            thread_ts=told.get("thread_ts"),
            unfurls=told.get("unfurl_links", True),
        )
        ts = self.ts(said)
        self._posted[f"{channel_id(place)}:{ts}"] = said
        return {"ok": True, "channel": channel_id(place), "ts": ts}

    def _update(self, told: Arguments) -> Arguments:
        message = self._posted.get(f"{told.get('channel')}:{told.get('ts')}")
        if message is None:
            return _refused("message_not_found")
        problem = blocks.problem_of(told)
        if problem:
            return _refused(problem)
        self._stand.bot_changes(message, **blocks.shown(told))
        return {"ok": True, "channel": told["channel"], "ts": told["ts"]}

    def _post_ephemeral(self, told: Arguments) -> Arguments:
        place, problem = self._place(told)
        people = [one.id for one in PEOPLE if user_id(one.id) == told.get("user")]
        problem = problem or ("" if people else "user_not_in_channel")
        problem = problem or blocks.problem_of(told)
        if problem or place is None:
            return _refused(problem)
        seen = {"by": "chat.postEphemeral", "ephemeral": True, "seen_by": people[0]}
        said = self._stand.bot_says(place.id, **blocks.shown(told), **seen)
        return {"ok": True, "message_ts": self.ts(said)}

    def _place(self, told: Arguments) -> tuple[Conversation | None, str]:
        """The conversation, or why not. The id of a person stands for the bot's messages with them."""
        wanted = told.get("channel")
        for place in CONVERSATIONS:
            if wanted == channel_id(place) or (place.private and wanted == user_id(place.person)):
                gone = place.id in self.left
                return (None, "not_in_channel") if gone else (place, "")
        return None, "channel_not_found"


def channel_id(place: Conversation) -> str:
    if place.private:
        return f"D0{place.person.upper()}"
    return f"C0{place.id.removeprefix('cid-').upper()}"


def content_of(request: Request) -> Arguments:
    """A JSON object; {} for anything else."""
    try:
        content = request.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _arguments(request: Request) -> Arguments:
    """JSON or a form, in which lists and objects are JSON too."""
    if "json" in request.headers.get("content-type", ""):
        return content_of(request)
    return {name: _read(values[-1]) for name, values in {**request.query, **request.form()}.items()}


def _read(value: str) -> Any:
    if value[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _thread(told: Arguments) -> int | None:
    """The number of the message that began the thread, which its ts ends in."""
    _, _, number = str(told.get("thread_ts") or "").partition(".")
    return int(number) if number.isascii() and number.isdigit() else None


def _refused(code: str) -> Arguments:
    return {"ok": False, "error": code or "internal_error"}
