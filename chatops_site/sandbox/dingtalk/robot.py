"""The DingTalk stand-in: messages by signed webhook or Stream, and the robot's API.

https://open.dingtalk.com/document/isvapp/receive-message
https://open.dingtalk.com/document/orgapp/the-robot-sends-a-group-message
"""

import hmac
import json
import secrets
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.dingtalk import stream
from chatops_site.sandbox.dingtalk.cards import TEMPLATE, Cards, content_of
from chatops_site.sandbox.dingtalk.stream import Stream
from chatops_site.sandbox.server import Request, Response, Router, as_json
from chatops_site.sandbox.stand import DIALLED, HTTP, Arguments, ChatStand, SocketHandler
from chatops_site.sandbox.talk import (
    CONVERSATIONS,
    PEOPLE,
    Answered,
    Conversation,
    Delivery,
    Message,
    Packet,
    Person,
    Portal,
    find_conversation,
    find_person,
)

__all__ = ["APP_KEY", "APP_SECRET", "CORP", "ROBOT_CODE", "TEMPLATE", "DingTalk", "sign"]

CORP = "ding-demo-corp"
ROBOT_CODE = "dingdemorobot"
APP_KEY = "dingdemokey"
APP_SECRET = "demo-app-secret"  # noqa: S105 (a published value of the sandbox)
_BOT_USER = "$:LWCP_v1:$demorobot"
_SESSION_SECONDS = 5_400
_TOKEN_SECONDS = 7_200
_MOST_TEXT = 20_000
_TOKEN_HEADER = "x-acs-dingtalk-access-token"  # noqa: S105 (a header's name)


@dataclass(frozen=True)
class _Session:
    conversation: str
    message: int
    since: float


def sign(timestamp: str, secret: str = APP_SECRET) -> str:
    digest = hmac.digest(secret.encode(), f"{timestamp}\n{secret}".encode(), "sha256")
    return b64encode(digest).decode()


class DingTalk(ChatStand):
    """One organisation with one robot. Cards tell their presses by Stream in either mode."""

    name = "dingtalk"
    label = "钉钉"
    modes = (HTTP, DIALLED)

    def __init__(self, clock: Clock, portal: Portal) -> None:
        super().__init__(clock, portal)
        self._lock = threading.Lock()
        self._stream = Stream(clock, APP_KEY)
        self._cards = Cards(self, robot_code=ROBOT_CODE, corp=CORP, refuse=_refusal)
        self._router = Router(
            {
                ("POST", "robot/sendBySession"): self._by_session,
                ("POST", "v1.0/oauth2/accessToken"): self._access_token,
                ("POST", "v1.0/gateway/connections/open"): self._open_connection,
                ("POST", "v1.0/robot/groupMessages/send"): self._to_group,
                ("POST", "v1.0/robot/oToMessages/batchSend"): self._to_people,
                ("POST", "v1.0/card/instances/createAndDeliver"): self._deliver_card,
                ("PUT", "v1.0/card/instances"): self._update_card,
            }
        )
        self._operations = {
            "limit": lambda told: self.limit(int(told["per_minute"])),
            "revoke_token": lambda told: self.revoke_token(),
            "end_sessions": lambda told: self.end_sessions(),
            "card_rights": self._grant_cards,
            "disconnect": lambda told: self._stream.disconnect(float(told.get("seconds", 10))),
            "silence": lambda told: self._stream.silence(),
            "forget_ack": lambda told: self._stream.forget_acks(int(told.get("times", 1))),
            "ping_every": self._ping_every,
            "acks": lambda told: {"acks": list(self._stream.acks)},
            "event": self._push_event,
            "frame": self._push_frame,
        }
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._sessions: dict[str, _Session] = {}
            self._sent: dict[str, Packet] = {}
            self._token, self._token_until = "", 0.0
            self._per_minute = 0
            self._minute: deque[float] = deque()
        self._cards.reset()
        self._stream.reset()
        self.talk.clear()

    @property
    def sockets(self) -> Mapping[str, SocketHandler]:
        return {stream.PATH: self._stream.serve}

    def connected(self) -> int:
        return self._stream.connected()

    def limit(self, per_minute: int) -> None:
        """How many messages a minute the robot may send; 0 for any number."""
        with self._lock:
            self._per_minute = per_minute
            self._minute.clear()

    def revoke_token(self) -> None:
        self._token = ""

    def end_sessions(self) -> None:
        with self._lock:
            self._sessions.clear()

    def say(self, person: str, conversation: str, text: str, tamper: Arguments) -> Delivery:
        speaker, place = find_person(person), find_conversation(conversation, person)
        self.check_tampering(tamper, _TAMPERINGS, signed=_OF_THE_SIGNATURE)
        message = self.person_says(
            speaker,
            place.id,
            text,
        )
        body = self._payload(speaker, place, text, message["n"])
        packet = self._tampered(body, tamper)
        self._sent[body["msgId"]] = packet
        self.talk.update(message, message_id=body["msgId"])
        return Delivery(lambda: self._bring(packet), self.talk, message)

    def press(self, person: str, n: int, button: str, tamper: Arguments) -> Delivery:
        """button: its token or its label. tamper: body and raw_body, as of a message."""
        speaker = find_person(person)
        card, callback = self._cards.pressed(speaker, n, button)
        find_conversation(card["conversation"], person)
        data = tamper.get("raw_body", _as_text(_changed(callback, tamper.get("body", {}))))
        pressed = self._note_press(speaker, card, button)
        topic = stream.CARDS
        return Delivery(lambda: self._stream.push(topic, data), self.talk, pressed)

    def answer(self, request: Request) -> Response | None:
        if request.segments[0] not in ("robot", "v1.0"):
            return None
        match = self._router.find(request.method, request.segments)
        if match is None:
            status = 405 if self._router.allowed(request.segments) else 404
            return _refusal(status, "InvalidAction.NotFound", "Specified api is not found.")
        endpoint, found = match
        return endpoint(request, **found)

    def _bring(self, packet: Packet) -> Answered:
        if self.mode == DIALLED:
            return self._stream.push(stream.MESSAGES, packet.body.decode())
        return self.portal.post(packet)

    def _note_press(self, person: Person, card: Message, button: str) -> Message:
        """As something said, so that the page and a test see how far it has come."""
        labels = {one["id"]: one["label"] for one in card["buttons"]}
        return self.person_says(
            person,
            card["conversation"],
            labels.get(button, button),
            pressed=card["n"],
            message_id="press" + secrets.token_urlsafe(12),
            delivery={"stage": "sending", "by": DIALLED},
        )

    def _grant_cards(self, arguments: Arguments) -> None:
        """{"granted": false}: the app has no right to cards."""
        self._cards.is_permitted = bool(arguments["granted"])

    def _ping_every(self, arguments: Arguments) -> None:
        """{"seconds": 5}: of silence, after which a connection is asked whether it lives."""
        self._stream.ping_seconds = float(arguments["seconds"])

    def _push_event(self, arguments: Arguments) -> Arguments:
        """{"data": {…}}: repeated until it is acknowledged."""
        return self._stream.push_event(_as_text(arguments["data"])).told()

    def _push_frame(self, arguments: Arguments) -> Arguments:
        """{"text": "…", "seconds"?: 1}: anything, down one connection; {"ack"} is null if none came."""
        seconds = float(arguments.get("seconds", 1))
        return {"ack": self._stream.push_text(str(arguments["text"]), seconds)}

    def _payload(self, person: Person, place: Conversation, text: str, n: int) -> Arguments:
        now = int(time.time() * 1000)
        return {
            "conversationId": place.id,
            **({} if place.private else _in_group(place)),
            "chatbotCorpId": CORP,
            "chatbotUserId": _BOT_USER,
            "msgId": "msg" + secrets.token_urlsafe(16) + "==",
            "senderNick": person.name,
            "isAdmin": False,
            "senderStaffId": person.staff_id,
            "sessionWebhookExpiredTime": now + _SESSION_SECONDS * 1000,
            "createAt": now,
            "senderCorpId": CORP,
            "conversationType": "1" if place.private else "2",
            "senderId": person.sender_id,
            "sessionWebhook": self._open_session(place, n),
            # DingTalk takes the robot's own @ out of group texts and leaves the blank after it.
            "text": {"content": text if place.private else f" {text}"},
            "robotCode": ROBOT_CODE,
            "msgtype": "text",
        }

    def _open_session(self, place: Conversation, n: int) -> str:
        name = secrets.token_hex(16)
        with self._lock:
            self._sessions[name] = _Session(place.id, n, self.clock.now())
        return f"{self.origin}/robot/sendBySession?session={name}"

    def _tampered(self, body: Arguments, tamper: Arguments) -> Packet:
        """What an attacker or a fault makes of a genuine message; without wishes: the genuine one.

        seconds: shifts the signed time; secret: signs with another; body: fields to set (null takes
        one out); raw_body: text instead of JSON; headers: likewise, after signing; replay: the
        whole packet of that message id; reuse_signature: only its headers.
        """
        if "replay" in tamper:
            return self._sent[tamper["replay"]]
        content = _changed(body, tamper.get("body", {}))
        raw = tamper.get("raw_body", _as_text(content))
        if "reuse_signature" in tamper:
            return Packet(self._sent[tamper["reuse_signature"]].headers, raw.encode())
        stamp = str(int((time.time() + float(tamper.get("seconds", 0))) * 1000))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "timestamp": stamp,
            "sign": sign(stamp, str(tamper.get("secret", APP_SECRET))),
        }
        return Packet(_changed(headers, tamper.get("headers", {})), raw.encode())

    def _by_session(self, request: Request) -> Response:
        session = self._sessions.get(request.query.get("session", [""])[0])
        # The real codes are not documented; callers may only know that 0 is success.
        if session is None:
            return _old_gateway(300001, "session not found")
        if self.clock.now() - session.since > _SESSION_SECONDS:
            return _old_gateway(300002, "session expired")
        content = content_of(request)
        read = _READ.get(str(content.get("msgtype")))
        if read is None or len(request.body) > _MOST_TEXT:
            return _old_gateway(40035, "不合法的参数")
        if self._is_over_limit():
            return _old_gateway(90030, "send too fast")
        mentioned = content.get("at") or {}
        staff_ids = mentioned.get("atUserIds", [])
        self.bot_says(
            session.conversation,
            **read(content),
            by="session",
            reply_to=session.message,
            mentions=[one.id for one in PEOPLE if one.staff_id in staff_ids],
            at_user_ids=staff_ids,
            at_all=bool(mentioned.get("isAtAll")),
        )
        return _old_gateway(0, "ok")

    def _open_connection(self, request: Request) -> Response:
        content = content_of(request)
        if (content.get("clientId"), content.get("clientSecret")) != (APP_KEY, APP_SECRET):
            return _refusal(401, "authFailed", "鉴权失败")
        endpoint = self.socket_origin + stream.PATH
        ticket = self._stream.open_ticket(content.get("subscriptions"))
        return as_json({"endpoint": endpoint, "ticket": ticket})

    def _deliver_card(self, request: Request) -> Response:
        if not self._is_authorised(request):
            return _not_authorised()
        if self._is_over_limit():
            return _over_limit()
        return self._cards.create_and_deliver(content_of(request))

    def _update_card(self, request: Request) -> Response:
        if not self._is_authorised(request):
            return _not_authorised()
        return self._cards.update(content_of(request))

    def _access_token(self, request: Request) -> Response:
        content = content_of(request)
        if (content.get("appKey"), content.get("appSecret")) != (APP_KEY, APP_SECRET):
            return _refusal(400, "invalidClientIdOrSecret", "无效的clientId或者clientSecret")
        with self._lock:
            if not self._token_lives():
                self._token = secrets.token_hex(16)
                self._token_until = self.clock.now() + _TOKEN_SECONDS
            left = int(self._token_until - self.clock.now())
            return as_json({"accessToken": self._token, "expireIn": left})

    def _to_group(self, request: Request) -> Response:
        def _places(content: Arguments) -> list[str]:
            known = {place.id for place in CONVERSATIONS if not place.private}
            return [one for one in (content.get("openConversationId"),) if one in known]

        return self._send(request, _places, by="group", more={})

    def _to_people(self, request: Request) -> Response:
        def _places(content: Arguments) -> list[str]:
            wanted = set(content.get("userIds") or ())
            return [f"cid-private-{one.id}" for one in PEOPLE if one.staff_id in wanted]

        known = {one.staff_id for one in PEOPLE}
        strangers = [one for one in content_of(request).get("userIds", []) if one not in known]
        more = {"invalidStaffIdList": strangers, "flowControlledStaffIdList": []}
        return self._send(request, _places, by="person", more=more)

    def _send(
        self,
        request: Request,
        find_places: Callable[[Arguments], list[str]],
        *,
        by: str,
        more: Arguments,
    ) -> Response:
        content = content_of(request)
        if not self._is_authorised(request):
            return _not_authorised()
        if content.get("robotCode") != ROBOT_CODE:
            return _refusal(400, "resource.not.found", "robot 不存在")
        said = _parameters(content)
        if said is None:
            return _refusal(400, "invalidParameter.msgParam", "msgParam 不合法")
        places = find_places(content)
        if not places and not more:
            return _refusal(400, "invalidParameter.openConversationId", "openConversationId 无效")
        if self._is_over_limit():
            return _over_limit()
        for place in places:
            self.bot_says(place, **said, by=by, at_user_ids=[], at_all=False)
        return as_json({"processQueryKey": secrets.token_urlsafe(24), **more})

    def _is_authorised(self, request: Request) -> bool:
        return self._token_lives() and request.headers.get(_TOKEN_HEADER) == self._token

    def _token_lives(self) -> bool:
        return bool(self._token) and self.clock.now() < self._token_until

    def _is_over_limit(self) -> bool:
        with self._lock:
            now = self.clock.now()
            while self._minute and now - self._minute[0] > 60:
                self._minute.popleft()
            if self._per_minute and len(self._minute) >= self._per_minute:
                return True
            self._minute.append(now)
            return False


_TAMPERINGS = frozenset(
    {"seconds", "secret", "body", "raw_body", "headers", "replay", "reuse_signature"}
)
_OF_THE_SIGNATURE = frozenset({"seconds", "secret", "headers", "reuse_signature"})


def _in_group(place: Conversation) -> Arguments:
    return {
        "conversationTitle": place.name,
        "isInAtList": True,
        "atUsers": [{"dingtalkId": _BOT_USER}],
    }


def _changed(content: Arguments, changes: Arguments) -> Arguments:
    merged = {**content, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _markdown(content: Arguments) -> Arguments:
    told = content.get("markdown") or {}
    return {"title": str(told.get("title", "")), "markdown": str(told.get("text", ""))}


def _text(content: Arguments) -> Arguments:
    return {"text": str((content.get("text") or {}).get("content", ""))}


_READ: dict[str, Callable[[Arguments], Arguments]] = {"markdown": _markdown, "text": _text}


def _parameters(content: Arguments) -> Arguments | None:
    """msgParam is JSON in a string; None when it is not, or its kind is unknown."""
    try:
        told = json.loads(content["msgParam"])
        return _SHOWN[content["msgKey"]](told)
    except (KeyError, ValueError, TypeError):
        return None


_SHOWN: dict[str, Callable[[Arguments], Arguments]] = {
    "sampleMarkdown": lambda told: {"title": str(told["title"]), "markdown": str(told["text"])},
    "sampleText": lambda told: {"text": str(told["content"])},
}


def _old_gateway(errcode: int, errmsg: str) -> Response:
    return as_json({"errcode": errcode, "errmsg": errmsg})


def _refusal(status: int, code: str, message: str) -> Response:
    return as_json({"code": code, "message": message, "requestid": secrets.token_hex(8)}, status)


def _not_authorised() -> Response:
    return _refusal(401, "InvalidAuthentication", "不合法的access_token")


def _over_limit() -> Response:
    return _refusal(403, "Forbidden.AccessDenied.QpsLimitForApi", "请求过于频繁")


def _as_text(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)
