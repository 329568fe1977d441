"""DingTalk: an enterprise robot, spoken to by webhook or Stream, that answers in markdown or by cards.

https://open.dingtalk.com/document/isvapp/receive-message
https://open.dingtalk.com/document/orgapp/robot-message-types-and-data-format
"""

import hashlib
import hmac
import json
import logging
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.platforms.base import (
    Ignored,
    IncomingMessage,
    Outgoing,
    Pace,
    Parsed,
    Platform,
    Proof,
    Rejected,
    SendFailed,
    Setting,
    Webhook,
)
from bot.platforms.dingtalk.api import OpenApi, ask, check_limits, limited
from bot.platforms.dingtalk.cards import (
    DELIVER_PATH,
    UPDATE_PATH,
    can_be_reached,
    changed_card,
    is_card,
    new_card,
    track_id,
    variables_of,
    why_not_delivered,
)
from bot.platforms.dingtalk.reading import (
    EPOCH,
    message_id_of,
    milliseconds,
    read_message,
    read_press,
)
from bot.platforms.models import Bot
from bot.platforms.reading import (
    LONGEST_ID,
    Unusable,
    check_kind,
    check_method,
    origins_of,
    parse_object,
    told,
)
from chatops_site.kit.http import Client

logger = logging.getLogger(__name__)

API_BASE: Final = "https://api.dingtalk.com"
SESSION_ORIGINS: Final = ("https://oapi.dingtalk.com", "https://api.dingtalk.com")
SESSION_PATH: Final = "/robot/sendBySession?"
WINDOW: Final = timedelta(hours=1)
LONGEST_TEXT: Final = 4_000
LONGEST_TITLE: Final = 64
DEADLINE: Final = 10.0
SMALL_SKEW: Final = 2

_PER_MINUTE: Final = re.compile(r"[1-9][0-9]{0,5}")
_STAMP: Final = re.compile(r"[0-9]{13}")
_SESSION_QUERY: Final = re.compile(r"[A-Za-z0-9=&%._~+/-]{1,600}")
_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)\s]*\)")
_MARKUP: Final = re.compile(r"^[#>\s-]+|\\(.)|\*\*|`")
_LIMIT_CODES: Final = frozenset({90002, 90018, 90019, 90030, 130101})


class DingTalk(Platform):
    """DingTalk signs no body: what a message says is believed only as far as dispatch allows."""

    label = gettext_lazy("DingTalk")
    settings = (
        Setting("app_key"),
        Setting("robot_code"),
        Setting("corp_id"),
        Setting("card_template", required=False),
        Setting("per_minute", required=False),
        Setting("api_base", required=False),
    )
    secrets = (Setting("app_secret"), Setting("app_secret_old", required=False))
    # The 21st in a minute silences the robot for ten.
    paces = (Pace(20, 60.0),)
    dialled = "bot.platforms.dingtalk.connection.DingTalkConnection"

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

    @classmethod
    def paces_of(cls, settings: Mapping[str, Any]) -> tuple[Pace, ...]:
        """DingTalk grants some robots more than twenty a minute; theirs is a setting."""
        told = str(settings.get("per_minute") or "")
        if not _PER_MINUTE.fullmatch(told):
            return cls.paces
        return (Pace(int(told), 60.0),)

    @property
    def updates_in_place(self) -> bool:
        """A card can be changed, and needs a template made by hand."""
        return bool(self.setting("card_template"))

    @property
    def has_buttons(self) -> bool:
        """Only cards have them, and a press comes over a connection alone: without one it would be lost."""
        return self.updates_in_place and self.bot.is_connected()

    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        check_method(webhook)
        check_kind(webhook, "application/json")
        signed_at = self._verify(webhook.headers, now=now)
        proof = _proof(webhook)
        try:
            return self._read_webhook(webhook, proof, signed_at=signed_at)
        except Rejected as rejected:
            rejected.proof = proof
            raise

    def read(self, payload: Mapping[str, Any], *, now: datetime) -> Parsed:
        """A message over a connection of ours, which is proof enough of where it comes from."""
        return self._read(payload, known_at=milliseconds(now))

    def read_press(self, payload: Mapping[str, Any], *, press_id: str, now: datetime) -> Parsed:
        """Likewise a button pressed on a card."""
        if not self.setting("corp_id") or payload.get("corpId") != self.setting("corp_id"):
            raise Rejected("wrong_tenant")
        try:
            return read_press(payload, press_id=press_id, now=now)
        except Unusable as unusable:
            return Ignored(str(unusable), press_id)

    def _read_webhook(self, webhook: Webhook, proof: Proof, *, signed_at: int) -> Parsed:
        try:
            payload = parse_object(webhook.body)
        except Unusable as unusable:
            return Ignored(str(unusable), proof=proof)
        parsed = self._read(payload, known_at=signed_at, source_ip=webhook.source_ip)
        return replace(parsed, proof=proof)

    def _read(
        self, payload: Mapping[str, Any], *, known_at: int, source_ip: str = ""
    ) -> IncomingMessage | Ignored:
        self._check_receiver(payload)
        try:
            return read_message(payload, known_at=known_at, source_ip=source_ip)
        except Unusable as unusable:
            return Ignored(str(unusable), message_id_of(payload))

    def send(self, route: Mapping[str, Any], message: Outgoing, *, now: datetime) -> str:
        track = self._send_card(route, message)
        if track:
            return track
        written = _markdown(message.text)
        if self._send_by_session(route, written, now=now):
            return ""
        return self._send_by_api(route, written)

    def update(
        self, route: Mapping[str, Any], external_id: str, message: Outgoing, *, now: datetime
    ) -> str:
        """Puts it onto the card; as a new message where that was none, or is no more."""
        if not is_card(external_id):
            return self.send(route, message, now=now)
        variables = variables_of(_cut(message.text), message)
        try:
            self._api.call(UPDATE_PATH, changed_card(external_id, variables), method="PUT")
        except SendFailed as problem:
            self._note_no_card(problem)
            return self.send(route, message, now=now)
        return external_id

    def open_connection(self, subscriptions: list[dict[str, str]]) -> tuple[str, str]:
        """The address for a connection of ours, and its ticket; or SendFailed."""
        return self._api.open_connection(subscriptions)

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
        if abs(now - EPOCH - timedelta(milliseconds=int(stamp))) > WINDOW:
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

    def _send_card(self, route: Mapping[str, Any], message: Outgoing) -> str:
        """The card's id; "" where it cannot be a card, so that a plain message has to do."""
        template = self.setting("card_template")
        if not template or not can_be_reached(route):
            return ""
        track, variables = track_id(route, message), variables_of(_cut(message.text), message)
        robot = self.setting("robot_code")
        card = new_card(route, track, variables, template=template, robot=robot)
        try:
            reason = why_not_delivered(self._api.call(DELIVER_PATH, card))
        except SendFailed as problem:
            self._note_no_card(problem)
            return ""
        if reason:
            logger.warning("bot %s: DingTalk delivered no card: %s", self.bot.name, reason)
            return ""
        return track

    def _note_no_card(self, problem: SendFailed) -> None:
        """What passes by itself is tried again as a card: two of one reply would be one too many."""
        if problem.retryable:
            raise problem
        logger.warning("bot %s: no card, but a message: %s", self.bot.name, problem.sentence)

    def _send_by_session(
        self, route: Mapping[str, Any], message: dict[str, str], *, now: datetime
    ) -> bool:
        """False when the address is not DingTalk's, has ended, or DingTalk declines it."""
        if int(route.get("expires") or 0) <= milliseconds(now):
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
        answer = ask(self._sessions[origin], path, body)
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


def _proof(webhook: Webhook) -> Proof:
    signed = f"{webhook.headers['timestamp']}\n{webhook.headers['sign']}"
    return Proof(
        signature_digest=hashlib.sha256(signed.encode()).hexdigest(),
        body_digest=hashlib.sha256(webhook.body).hexdigest(),
    )


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
