"""The DingTalk stand-in: conversations, signed robot webhooks to the portal, and the robot's API.

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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.server import Request, Response, Router, as_json
from chatops_site.sandbox.talk import (
    CONVERSATIONS,
    PEOPLE,
    Conversation,
    Delivery,
    Packet,
    Person,
    Portal,
    Talk,
    find_conversation,
    find_person,
)

CORP = "ding-demo-corp"
ROBOT_CODE = "dingdemorobot"
APP_KEY = "dingdemokey"
APP_SECRET = "demo-app-secret"  # noqa: S105 (a published value of the sandbox)
_BOT_USER = "$:LWCP_v1:$demorobot"
_SESSION_SECONDS = 5_400
_TOKEN_SECONDS = 7_200
_MOST_TEXT = 20_000
_UNDER_WAY = "⏳"
_TOKEN_HEADER = "x-acs-dingtalk-access-token"  # noqa: S105 (a header's name)

Arguments = dict[str, Any]


@dataclass(frozen=True)
class _Session:
    conversation: str
    message: int
    since: float


def sign(timestamp: str, secret: str = APP_SECRET) -> str:
    digest = hmac.digest(secret.encode(), f"{timestamp}\n{secret}".encode(), "sha256")
    return b64encode(digest).decode()


class DingTalk:
    """One organisation with one robot. `origin` is where the portal reaches this stand-in."""

    def __init__(self, clock: Clock, portal: Portal) -> None:
        self._clock = clock
        self._portal = portal
        self._lock = threading.Lock()
        self.talk = Talk()
        self.origin = "http://127.0.0.1:8900"
        self._router = Router(
            {
                ("POST", "robot/sendBySession"): self._by_session,
                ("POST", "v1.0/oauth2/accessToken"): self._access_token,
                ("POST", "v1.0/robot/groupMessages/send"): self._to_group,
                ("POST", "v1.0/robot/oToMessages/batchSend"): self._to_people,
            }
        )
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._sessions: dict[str, _Session] = {}
            self._sent: dict[str, Packet] = {}
            self._token, self._token_until = "", 0.0
            self._per_minute = 0
            self._minute: deque[float] = deque()
        self.talk.clear()

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
        """Puts the message into the conversation; what comes back still has to be delivered."""
        speaker, place = find_person(person), find_conversation(conversation, person)
        self._check_tampering(tamper)
        message = self.talk.add(
            **{"from": speaker.id, "name": speaker.name, "conversation": place.id, "text": text},
            delivery={"stage": "sending"},
        )
        body = self._payload(speaker, place, text, message["n"])
        packet = self._tampered(body, tamper)
        self._sent[body["msgId"]] = packet
        self.talk.update(message, message_id=body["msgId"])
        return Delivery(lambda: self._portal.post(packet), self.talk, message)

    def answer(self, request: Request) -> Response:
        match = self._router.find(request.method, request.segments)
        if match is None:
            status = 405 if self._router.allowed(request.segments) else 404
            return _refusal(status, "InvalidAction.NotFound", "Specified api is not found.")
        endpoint, found = match
        return endpoint(request, **found)

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
            self._sessions[name] = _Session(place.id, n, self._clock.now())
        return f"{self.origin}/robot/sendBySession?session={name}"

    def _check_tampering(self, tamper: Arguments) -> None:
        unknown = set(tamper) - _TAMPERINGS
        if unknown:
            known = ", ".join(sorted(_TAMPERINGS))
            raise ValueError(f"tamper has no {', '.join(sorted(unknown))}; it has {known}.")
        for name in ("replay", "reuse_signature"):
            if name in tamper and tamper[name] not in self._sent:
                raise ValueError(f"No message {tamper[name]!r} was sent.")

    def _tampered(self, body: Arguments, tamper: Arguments) -> Packet:
        """What an attacker or a fault makes of a genuine message; without wishes: the genuine one.

        seconds: shifts the signed time; secret: signs with another; body: fields to set (null takes
        one out); raw_body: text instead of JSON; headers: likewise, after signing; replay: the
        whole packet of that message id; reuse_signature: only its headers.
        """
        if "replay" in tamper:
            return self._sent[tamper["replay"]]
        content = _changed(body, tamper.get("body", {}))
        raw = tamper.get("raw_body", json.dumps(content, ensure_ascii=False))
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
        if self._clock.now() - session.since > _SESSION_SECONDS:
            return _old_gateway(300002, "session expired")
        content = _content(request)
        read = _READ.get(str(content.get("msgtype")))
        if read is None or len(request.body) > _MOST_TEXT:
            return _old_gateway(40035, "不合法的参数")
        if self._is_over_limit():
            return _old_gateway(90030, "send too fast")
        mentioned = content.get("at") or {}
        self._bot_says(
            session.conversation,
            **read(content),
            by="session",
            reply_to=session.message,
            at_user_ids=mentioned.get("atUserIds", []),
            at_all=bool(mentioned.get("isAtAll")),
        )
        return _old_gateway(0, "ok")

    def _access_token(self, request: Request) -> Response:
        content = _content(request)
        if (content.get("appKey"), content.get("appSecret")) != (APP_KEY, APP_SECRET):
            return _refusal(400, "invalidClientIdOrSecret", "无效的clientId或者clientSecret")
        with self._lock:
            if not self._token_lives():
                self._token = secrets.token_hex(16)
                self._token_until = self._clock.now() + _TOKEN_SECONDS
            left = int(self._token_until - self._clock.now())
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
        strangers = [one for one in _content(request).get("userIds", []) if one not in known]
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
        content = _content(request)
        if not self._is_authorised(request):
            return _refusal(401, "InvalidAuthentication", "不合法的access_token")
        if content.get("robotCode") != ROBOT_CODE:
            return _refusal(400, "resource.not.found", "robot 不存在")
        said = _parameters(content)
        if said is None:
            return _refusal(400, "invalidParameter.msgParam", "msgParam 不合法")
        places = find_places(content)
        if not places and not more:
            return _refusal(400, "invalidParameter.openConversationId", "openConversationId 无效")
        if self._is_over_limit():
            return _refusal(403, "Forbidden.AccessDenied.QpsLimitForApi", "请求过于频繁")
        for place in places:
            self._bot_says(place, **said, by=by, reply_to=None, at_user_ids=[], at_all=False)
        return as_json({"processQueryKey": secrets.token_urlsafe(24), **more})

    def _bot_says(self, conversation: str, **content: Any) -> None:
        named = {"from": "bot", "name": "ChatOps", "conversation": conversation}
        said = self.talk.add(**named, **content)
        asked = self.talk.answered(conversation, content["reply_to"])
        if asked is not None and asked["from"] != "bot":
            under_way = str(said.get("markdown", "")).startswith(_UNDER_WAY)
            self.talk.move_delivery(asked, "running" if under_way else "done")

    def _is_authorised(self, request: Request) -> bool:
        return self._token_lives() and request.headers.get(_TOKEN_HEADER) == self._token

    def _token_lives(self) -> bool:
        return bool(self._token) and self._clock.now() < self._token_until

    def _is_over_limit(self) -> bool:
        with self._lock:
            now = self._clock.now()
            while self._minute and now - self._minute[0] > 60:
                self._minute.popleft()
            if self._per_minute and len(self._minute) >= self._per_minute:
                return True
            self._minute.append(now)
            return False


_TAMPERINGS = frozenset(
    {"seconds", "secret", "body", "raw_body", "headers", "replay", "reuse_signature"}
)


def _in_group(place: Conversation) -> Arguments:
    return {
        "conversationTitle": place.name,
        "isInAtList": True,
        "atUsers": [{"dingtalkId": _BOT_USER}],
    }


def _changed(content: Arguments, changes: Arguments) -> Arguments:
    merged = {**content, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _content(request: Request) -> Arguments:
    try:
        content = request.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


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
