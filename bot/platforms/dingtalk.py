"""DingTalk: an enterprise robot that gets its messages over HTTP and answers in markdown.

https://open.dingtalk.com/document/isvapp/receive-message
https://open.dingtalk.com/document/orgapp/robot-message-types-and-data-format
"""

import hashlib
import hmac
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext as _

from bot.platforms.base import (
    Ignored,
    IncomingMessage,
    Outgoing,
    Pace,
    Parsed,
    Platform,
    Proof,
    Rejected,
    Sender,
    SendFailed,
    Setting,
    Webhook,
)
from bot.platforms.dingtalk_api import OpenApi, check_limits, limited, post, told
from bot.platforms.models import Bot
from bot.platforms.reading import (
    BLANKS,
    LONGEST_ID,
    LONGEST_TENANT,
    Unusable,
    check_kind,
    check_method,
    count,
    origins_of,
    parse_object,
    readable,
    shown,
    word,
)
from chatops_site.kit.http import Client

API_BASE: Final = "https://api.dingtalk.com"
SESSION_ORIGINS: Final = ("https://oapi.dingtalk.com", "https://api.dingtalk.com")
SESSION_PATH: Final = "/robot/sendBySession?"
WINDOW: Final = timedelta(hours=1)
LONGEST_TEXT: Final = 4_000
LONGEST_TITLE: Final = 64
DEADLINE: Final = 10.0
SMALL_SKEW: Final = 2

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_STAMP: Final = re.compile(r"[0-9]{13}")
_WEBHOOK: Final = re.compile(r"[\x21-\x7e]{1,1000}")
_SESSION_QUERY: Final = re.compile(r"[A-Za-z0-9=&%._~+/-]{1,600}")
_MENTION: Final = re.compile(r"@\S+")
_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)\s]*\)")
_MARKUP: Final = re.compile(r"^[#>\s-]+|\\(.)|\*\*|`")
_PRIVATE: Final = {"1": True, "2": False}
_LIMIT_CODES: Final = frozenset({90002, 90018, 90019, 90030, 130101})


class DingTalk(Platform):
    """DingTalk signs no body: what a message says is believed only as far as dispatch allows."""

    settings = (
        Setting("app_key"),
        Setting("robot_code"),
        Setting("corp_id"),
        Setting("card_template", required=False),
        Setting("api_base", required=False),
    )
    secrets = (Setting("app_secret"), Setting("app_secret_old", required=False))
    # The 21st in a minute silences the robot for ten.
    paces = (Pace(20, 60.0),)

    def __init__(self, bot: Bot) -> None:
        super().__init__(bot)
        base = self.setting("api_base")
        self._api = OpenApi(
            Client(base or API_BASE, deadline=DEADLINE),
            bot,
            app_key=self.setting("app_key"),
            app_secret=self.secret("app_secret"),
        )
        self._sessions = {
            origin: Client(origin, deadline=DEADLINE)
            for origin in origins_of(base, SESSION_ORIGINS)
        }

    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        check_method(webhook)
        check_kind(webhook, "application/json")
        signed_at = self._verify(webhook.headers, now=now)
        proof = _proof(webhook)
        try:
            return self._read(webhook, proof, signed_at=signed_at)
        except Rejected as rejected:
            rejected.proof = proof
            raise

    def _read(self, webhook: Webhook, proof: Proof, *, signed_at: int) -> Parsed:
        try:
            payload = parse_object(webhook.body)
        except Unusable as unusable:
            return Ignored(str(unusable), proof=proof)
        self._check_receiver(payload)
        try:
            return replace(_message(payload, webhook, signed_at=signed_at), proof=proof)
        except Unusable as unusable:
            return Ignored(str(unusable), _message_id(payload), proof)

    def send(self, route: Mapping[str, Any], message: Outgoing, *, now: datetime) -> str:
        written = _markdown(message.text)
        if self._send_by_session(route, written, now=now):
            return ""
        return self._send_by_api(route, written)

    def check(self) -> str:
        key, seconds = self.setting("app_key"), abs(round(self._api.ask_clock()))
        if seconds <= SMALL_SKEW:
            agrees = _("DingTalk knows the app key %(key)s, and its clock agrees with ours.")
            return agrees % {"key": key}
        return _(
            "DingTalk knows the app key %(key)s. Its clock and ours differ by "
            "%(seconds)s s: set the portal's clock, or messages will be refused as too old."
        ) % {"key": key, "seconds": seconds}

    def _verify(self, headers: Mapping[str, str], *, now: datetime) -> int:
        """The signed milliseconds. Whoever passes knew the secret within the last hour."""
        stamp, given = headers.get("timestamp", ""), headers.get("sign", "")
        if not stamp or not given:
            raise Rejected("missing_header")
        # WSGI joins repeated headers; neither value has a comma of its own.
        if "," in stamp or "," in given:
            raise Rejected("repeated_header")
        if not _STAMP.fullmatch(stamp):
            raise Rejected("bad_timestamp")
        if not any(_is_signed(stamp, given, secret) for secret in self._live_secrets()):
            raise Rejected("bad_signature")
        if abs(now - _EPOCH - timedelta(milliseconds=int(stamp))) > WINDOW:
            raise Rejected("expired")
        return int(stamp)

    def _live_secrets(self) -> list[str]:
        found = (self.secret(secret.name) for secret in self.secrets)
        return [value for value in found if value]

    def _check_receiver(self, payload: Mapping[str, Any]) -> None:
        corp, robot = self.setting("corp_id"), self.setting("robot_code")
        if not corp or payload.get("chatbotCorpId") != corp:
            raise Rejected("wrong_tenant")
        if not robot or payload.get("robotCode") != robot:
            raise Rejected("wrong_app")

    def _send_by_session(
        self, route: Mapping[str, Any], message: dict[str, str], *, now: datetime
    ) -> bool:
        """False when the address is not DingTalk's, has ended, or DingTalk declines it."""
        if int(route.get("expires") or 0) <= _milliseconds(now):
            return False
        session = find_session(str(route.get("webhook", "")), self._sessions)
        if session is None:
            return False
        staff = str(route.get("staff_id", ""))
        body = {
            "msgtype": "markdown",
            "markdown": message,
            "at": {"atUserIds": [staff] if staff else [], "isAtAll": False},
        }
        origin, path = session
        answer = post(self._sessions[origin], path, body)
        check_limits(answer)
        said = told(answer)
        code = said.get("errcode")
        if isinstance(code, int) and code in _LIMIT_CODES:
            raise limited(None)
        return answer.status == 200 and code == 0

    def _send_by_api(self, route: Mapping[str, Any], message: dict[str, str]) -> str:
        place = _PLACES[bool(route.get("private"))]
        path, target = place(route)
        said = self._api.call(
            path,
            {
                **target,
                "robotCode": self.setting("robot_code"),
                "msgKey": "sampleMarkdown",
                "msgParam": json.dumps(message, ensure_ascii=False),
            },
        )
        if said.get("flowControlledStaffIdList"):
            raise limited(None)
        if said.get("invalidStaffIdList"):
            raise SendFailed(_("DingTalk does not know the receiver."), retryable=False)
        return str(said.get("processQueryKey") or "")[:LONGEST_ID]


def sign(timestamp: str, secret: str) -> str:
    """The header `sign`: it proves the secret and the time, and says nothing about the body."""
    text = f"{timestamp}\n{secret}".encode()
    return b64encode(hmac.digest(secret.encode(), text, "sha256")).decode()


def find_session(webhook: str, origins: Iterable[str]) -> tuple[str, str] | None:
    """Origin and path of a sessionWebhook; None unless it is spelt exactly as DingTalk does.

    Compared as text: with no parser at work, no parser can be fooled.
    """
    for origin in origins:
        start = origin + SESSION_PATH
        if webhook.startswith(start) and _SESSION_QUERY.fullmatch(webhook, len(start)):
            return origin, webhook[len(origin) :]
    return None


def _is_signed(stamp: str, given: str, secret: str) -> bool:
    return hmac.compare_digest(sign(stamp, secret).encode(), given.encode("utf-8", "replace"))


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _message(payload: Mapping[str, Any], webhook: Webhook, *, signed_at: int) -> IncomingMessage:
    read = _TEXTS.get(str(payload.get("msgtype")))
    if read is None:
        raise Unusable("not_text")
    if payload.get("senderId") and payload.get("senderId") == payload.get("chatbotUserId"):
        raise Unusable("own_message")
    conversation, private = word(payload, "conversationId", LONGEST_ID), _is_private(payload)
    staff_id = word(payload, "senderStaffId", LONGEST_ID, optional=True)
    return IncomingMessage(
        platform="dingtalk",
        message_id=word(payload, "msgId", LONGEST_ID),
        sender=Sender(
            tenant=word(payload, "senderCorpId", LONGEST_TENANT, optional=True),
            id=staff_id,
            name=shown(payload.get("senderNick"), longest=100),
        ),
        conversation=conversation,
        conversation_name=shown(payload.get("conversationTitle"), longest=200),
        private=private,
        text=readable(read(payload)).strip(BLANKS),
        sent_at=_sent_at(payload, signed_at),
        route={
            "webhook": _webhook_text(payload.get("sessionWebhook")),
            "expires": count(payload, "sessionWebhookExpiredTime", 0),
            "conversation": conversation,
            "private": private,
            "staff_id": staff_id,
        },
        source_ip=webhook.source_ip,
    )


def _proof(webhook: Webhook) -> Proof:
    signed = f"{webhook.headers['timestamp']}\n{webhook.headers['sign']}"
    return Proof(
        signature_digest=hashlib.sha256(signed.encode()).hexdigest(),
        body_digest=hashlib.sha256(webhook.body).hexdigest(),
    )


def _plain_text(payload: Mapping[str, Any]) -> str:
    content = payload.get("text")
    if not isinstance(content, dict) or not isinstance(content.get("content"), str):
        raise Unusable("schema")
    if content.get("isReplyMsg") or content.get("repliedMsg"):
        raise Unusable("quote")
    return str(content["content"])


def _rich_text(payload: Mapping[str, Any]) -> str:
    """Its pieces as lines. Here the bot's own @ stays in, so that a leading one is taken off."""
    content = payload.get("content")
    pieces = content.get("richText") if isinstance(content, dict) else None
    if not isinstance(pieces, list) or not all(isinstance(piece, dict) for piece in pieces):
        raise Unusable("schema")
    texts = [piece["text"] for piece in pieces if piece.get("text") is not None]
    if not all(isinstance(text, str) for text in texts):
        raise Unusable("schema")
    lines = [text.strip(BLANKS) for text in texts]
    mention = _MENTION.match(lines[0]) if lines else None
    if mention is not None:
        lines[0] = lines[0][mention.end() :].strip(BLANKS)
    return "\n".join(line for line in lines if line)


_TEXTS: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "text": _plain_text,
    "richText": _rich_text,
}


def _is_private(payload: Mapping[str, Any]) -> bool:
    kind = payload.get("conversationType")
    if not isinstance(kind, str) or kind not in _PRIVATE:
        raise Unusable("schema")
    return _PRIVATE[kind]


def _sent_at(payload: Mapping[str, Any], signed_at: int) -> datetime:
    """The body's time only where it is the earlier one: a replay cannot make itself younger."""
    earliest = min(count(payload, "createAt", signed_at), signed_at)
    return _EPOCH + timedelta(milliseconds=earliest)


def _webhook_text(value: object) -> str:
    return value if isinstance(value, str) and _WEBHOOK.fullmatch(value) else ""


def _message_id(payload: Mapping[str, Any]) -> str:
    try:
        return word(payload, "msgId", LONGEST_ID, optional=True)
    except Unusable:
        return ""


def _group(route: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return "/v1.0/robot/groupMessages/send", {
        "openConversationId": str(route.get("conversation", ""))
    }


def _person(route: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    staff = str(route.get("staff_id", ""))
    if not staff:
        raise SendFailed(
            _(
                "DingTalk told no staff id of the sender, so that a private reply has no way. "
                "Is the person outside the organisation, or the robot not published?"
            ),
            retryable=False,
        )
    return "/v1.0/robot/oToMessages/batchSend", {"userIds": [staff]}


_PLACES: Final = {False: _group, True: _person}


def _markdown(text: str) -> dict[str, str]:
    return {"title": _title(text), "text": _cut(text)}


def _title(text: str) -> str:
    """The first line as notifications show it: without markup."""
    first = next((line for line in text[:LONGEST_TEXT].splitlines() if line.strip()), "")[:300]
    plain = _MARKUP.sub(lambda found: found[1] or "", _LINK.sub(r"\1", first)).strip()
    return plain[:LONGEST_TITLE] or "ChatOps"


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    kept = text[: LONGEST_TEXT - 10].rsplit("\n", 1)[0]
    return kept + ("\n```" if kept.count("```") % 2 else "") + "\n…"
