"""Feishu's API as one app's bot sees it: its token, messages sent, answered and changed, who is who.

https://open.feishu.cn/document/server-docs/im-v1/message/reply
https://open.feishu.cn/document/server-docs/api-call-guide/generic-error-code
"""

import json
import secrets
import threading
from collections.abc import Callable
from typing import Any

from chatops_site.sandbox.feishu.cards import BadCard, open_id, shown
from chatops_site.sandbox.feishu.socket import LongConnection
from chatops_site.sandbox.server import Request, Response, Router, as_json
from chatops_site.sandbox.stand import ChatStand
from chatops_site.sandbox.talk import CONVERSATIONS, PEOPLE, Conversation, Message

TENANT = "demo-tenant"
APP_ID = "cli_demoapp"
APP_SECRET = "demo-app-secret"  # noqa: S105 (a published value of the sandbox)
BOT_OPEN_ID = "ou_demobot"
BOT_NAME = "ChatOps"
_TOKEN_SECONDS = 7_200
_UUID_SECONDS = 3_600
_LONGEST_UUID = 50
_PREFIX = "/open-apis/"
_CONNECT = "/callback/ws/endpoint"

Arguments = dict[str, Any]
Endpoint = Callable[..., Response]


def chat_id(place: Conversation) -> str:
    return "oc_" + place.id.removeprefix("cid-")


class Refused(Exception):
    """Feishu's number and words for a call that it does not carry out."""

    def __init__(self, code: int, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.code, self.words, self.status = code, words, status


class Rest:
    """The API of one app. Numbers are Feishu's own."""

    def __init__(self, stand: ChatStand, line: LongConnection) -> None:
        self._stand, self._line = stand, line
        self._lock = threading.Lock()
        self._router: Router[tuple[str, Endpoint]] = Router(
            {
                ("POST", "open-apis/im/v1/messages"): ("send", self._send),
                ("POST", "open-apis/im/v1/messages/{name}/reply"): ("reply", self._reply),
                ("PATCH", "open-apis/im/v1/messages/{name}"): ("change", self._change),
                ("GET", "open-apis/bot/v3/info"): ("bot", self._bot),
                ("GET", "open-apis/contact/v3/users/{person}"): ("user", self._user),
            }
        )
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._token, self._token_until = "", 0.0
            self._limited, self._reset = 0, ""
            self._refusals: dict[str, int] = {}
            self._recalled: set[str] = set()
            self._once: dict[str, tuple[float, str]] = {}
            self._messages: dict[str, Message] = {}

    def know(self, message: Message) -> None:
        """Somebody's message, which the bot may answer."""
        self._messages[message["message_id"]] = message

    def revoke_token(self) -> None:
        self._token = ""

    def limit(self, times: int, reset: str) -> None:
        self._limited, self._reset = times, reset

    def refuse(self, call: str, code: int) -> None:
        self._refusals[call] = code

    def recall(self, message_id: str) -> None:
        self._recalled.add(message_id)

    def answer(self, request: Request) -> Response | None:
        if request.raw_path == _CONNECT and request.method == "POST":
            return self._answered(lambda: self._open_connection(request))
        if not request.raw_path.startswith(_PREFIX):
            return None
        if request.raw_path == f"{_PREFIX}auth/v3/tenant_access_token/internal":
            return self._answered(lambda: self._grant(request))
        match = self._router.find(request.method, request.segments)
        if match is None:
            return as_json({"code": 404, "msg": "404 page not found"}, 404)
        (call, endpoint), found = match
        return self._answered(lambda: self._authorised(call, request, endpoint, found))

    def _answered(self, call: Callable[[], Response]) -> Response:
        if self._limited:
            self._limited -= 1
            headers = {"x-ogw-ratelimit-reset": self._reset} if self._reset else {}
            told = {"code": 99991400, "msg": "request trigger frequency limit"}
            return as_json(told, 429, **headers)
        try:
            return call()
        except Refused as refused:
            told = {"code": refused.code, "msg": refused.words}
            log = {"error": {"log_id": secrets.token_hex(16)}}
            return as_json({**told, **log}, refused.status)

    def _authorised(
        self, call: str, request: Request, endpoint: Endpoint, found: dict[str, str]
    ) -> Response:
        given = request.headers.get("authorization", "")
        if not given:
            raise Refused(99991661, "Missing access token for authorization.")
        if not self._token_lives() or given != f"Bearer {self._token}":
            raise Refused(99991663, f"Invalid access token for authorization: {given[-8:]}")
        self._check_refusal(call)
        return endpoint(request, **found)

    def _check_refusal(self, call: str) -> None:
        code = self._refusals.get(call, 0)
        if code == 99991672:
            words = "Access denied. One of the following scopes is required: [im:message, im:x]."
            raise Refused(code, words)
        if code:
            raise Refused(code, "Refused on demand.")

    # The app -------------------------------------------------------------------------------------

    def _grant(self, request: Request) -> Response:
        content = content_of(request)
        if (content.get("app_id"), content.get("app_secret")) != (APP_ID, APP_SECRET):
            raise Refused(10014, f"app secret invalid: {content.get('app_secret')}", 200)
        with self._lock:
            if not self._token_lives():
                self._token = f"t-{secrets.token_hex(20)}"
                self._token_until = self._stand.clock.now() + _TOKEN_SECONDS
            left = int(self._token_until - self._stand.clock.now())
            told = {"tenant_access_token": self._token, "expire": left}
        return as_json({"code": 0, "msg": "ok", **told})

    def _token_lives(self) -> bool:
        return bool(self._token) and self._stand.clock.now() < self._token_until

    def _open_connection(self, request: Request) -> Response:
        content = content_of(request)
        if (content.get("AppID"), content.get("AppSecret")) != (APP_ID, APP_SECRET):
            raise Refused(514, f"auth failed: {content.get('AppSecret')}", 200)
        self._check_refusal("endpoint")
        data = {
            "URL": self._line.open_address(self._stand.socket_origin),
            "ClientConfig": self._line.configuration(),
        }
        return as_json({"code": 0, "msg": "", "data": data})

    def _bot(self, _request: Request) -> Response:
        told = {"activate_status": 2, "app_name": BOT_NAME, "avatar_url": "", "ip_white_list": []}
        return as_json({"code": 0, "msg": "ok", "bot": {**told, "open_id": BOT_OPEN_ID}})

    def _user(self, request: Request, person: str) -> Response:
        if request.query.get("user_id_type", ["open_id"])[0] != "open_id":
            raise Refused(99992402, "field validation failed")
        for one in PEOPLE:
            if open_id(one.id) == person:
                user = {"open_id": person, "union_id": f"on_{one.id}", "name": one.name}
                return _done({"user": user})
        raise Refused(99992351, "not a valid open_id")

    # Messages ------------------------------------------------------------------------------------

    def _send(self, request: Request) -> Response:
        content = content_of(request)
        if request.query.get("receive_id_type") != ["chat_id"]:
            raise Refused(99992402, "field validation failed")
        for place in CONVERSATIONS:
            if chat_id(place) == content.get("receive_id"):
                return self._said(place.id, content, by="send", reply_to=None)
        raise Refused(230002, "Bot/User can NOT be out of the chat.")

    def _reply(self, request: Request, name: str) -> Response:
        asked = self._find(name)
        # An answer to a card is one to whoever pressed its button last.
        n = None if asked["from"] == "bot" else asked["n"]
        return self._said(asked["conversation"], content_of(request), by="reply", reply_to=n)

    def _change(self, request: Request, name: str) -> Response:
        message = self._find(name)
        if message["from"] != "bot":
            raise Refused(230027, "Lack of necessary permissions.")
        content = content_of(request).get("content")
        self._stand.bot_changes(message, **_shown(content), raw=content)
        return _done({})

    def _find(self, name: str) -> Message:
        if name in self._recalled:
            raise Refused(230011, "The message is recalled.")
        message = self._messages.get(name)
        if message is None:
            raise Refused(231003, "The message does not exist.")
        return message

    def _said(
        self, conversation: str, content: Arguments, *, by: str, reply_to: int | None
    ) -> Response:
        """A second one of the same uuid within the hour is the first one."""
        uuid = str(content.get("uuid") or "")
        if len(uuid) > _LONGEST_UUID:
            raise Refused(99992402, "field validation failed")
        said = _CONTENTS.get(str(content.get("msg_type")))
        if said is None:
            raise Refused(230001, "Your request contains an invalid request parameter.")
        told = said(content.get("content"))
        with self._lock:
            before, name = self._once.get(uuid, (-_UUID_SECONDS, ""))
            now = self._stand.clock.now()
            if not uuid or now - before >= _UUID_SECONDS:
                name = f"om_{secrets.token_hex(16)}"
                more = {"by": by, "reply_to": reply_to, "message_id": name, "uuid": uuid}
                message = self._stand.bot_says(
                    conversation, **told, raw=content.get("content"), **more
                )
                self.know(message)
                self._once[uuid] = now, name
        return _done({"message_id": name, "msg_type": content["msg_type"]})


def content_of(request: Request) -> Arguments:
    try:
        content = request.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _shown(content: object) -> Arguments:
    try:
        return shown(str(content))
    except BadCard as bad:
        raise Refused(230099, f"Failed to create card content: {bad}") from None


def _text(content: object) -> Arguments:
    try:
        return {"text": str(json.loads(str(content))["text"])}
    except (ValueError, KeyError, TypeError):
        raise Refused(230001, "Your request contains an invalid request parameter.") from None


_CONTENTS: dict[str, Callable[[object], Arguments]] = {"interactive": _shown, "text": _text}


def _done(data: Arguments) -> Response:
    return as_json({"code": 0, "msg": "success", "data": data})
