"""Feishu, and Lark as it is called abroad: an app's bot that answers with cards.

https://open.feishu.cn/document/server-docs/event-subscription-guide/overview
https://open.feishu.cn/document/server-docs/im-v1/message/reply
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.platforms.base import (
    Body,
    Challenge,
    IncomingMessage,
    Outgoing,
    Pace,
    Parsed,
    Platform,
    Press,
    Rejected,
    Said,
    SendFailed,
    Setting,
    Webhook,
)
from bot.platforms.feishu.api import MISSING_SCOPE, Declined, Endpoint, OpenApi, part
from bot.platforms.feishu.crypto import Unopened, unseal, verify
from bot.platforms.feishu.reading import Addressee, read
from bot.platforms.feishu.words import card, notice
from bot.platforms.models import Bot
from bot.platforms.reading import (
    LONGEST_ID,
    Unusable,
    check_kind,
    check_method,
    parse_object,
    shown,
)
from chatops_site.kit.http import Client

API_BASE: Final = "https://open.feishu.cn"
DEADLINE: Final = 10.0
LONGEST_CHALLENGE: Final = 1_000
# What has no signature is opened only as long as a check of the address is.
LONGEST_HANDSHAKE: Final = 4_096
HANDSHAKE: Final = "url_verification"
JSON: Final = "application/json"

_MESSAGE: Final = re.compile(r"om_[A-Za-z0-9_-]{1,150}")
_PERSON: Final = re.compile(r"ou_[A-Za-z0-9_-]{1,150}")
_MESSAGES: Final = "/open-apis/im/v1/messages"
# The message to answer or to change is gone, or cannot be answered or changed any more.
_GONE: Final = frozenset({230011, 230019, 230031, 230050, 230054, 230071, 230110, 231003})
# Who that is may not be told to the app.
_HIDDEN: Final = frozenset({MISSING_SCOPE, 41050, 99992351, 99992361})
_ACTIVE: Final = 2


class Feishu(Platform):
    """Nothing unencrypted is believed, but for the check of the address."""

    label = gettext_lazy("Feishu, Lark")
    settings = (
        Setting("app_id"),
        Setting("tenant_key", required=False),
        Setting("bot_open_id", required=False),
        Setting("api_base", required=False),
    )
    secrets = (
        Setting("app_secret"),
        Setting("encrypt_key"),
        Setting("verification_token"),
        Setting("encrypt_key_old", required=False),
    )
    paces = (Pace(5, 1.0, each_conversation=True), Pace(50, 1.0))
    toasts = True
    dialled = "bot.platforms.feishu.connection.FeishuConnection"

    def __init__(self, bot: Bot) -> None:
        super().__init__(bot)
        self._api = OpenApi(
            Client(self.setting("api_base") or API_BASE, deadline=DEADLINE),
            bot,
            app_id=self.setting("app_id"),
            app_secret=self.secret("app_secret"),
        )
        self._bot_open_id = self.setting("bot_open_id")

    @property
    def updates_in_place(self) -> bool:
        return True

    @property
    def has_buttons(self) -> bool:
        return True

    # Receiving -----------------------------------------------------------------------------------

    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        check_method(webhook)
        check_kind(webhook, JSON)
        if "x-lark-signature" not in webhook.headers:
            return self._shake_hands(webhook.body)
        try:
            keys = verify(webhook, self._keys(), now=now)
        except Rejected:
            # Feishu leaves its check of the address out of the signature.
            challenge = self._challenge(_read(webhook.body))
            if challenge is None:
                raise
            return challenge
        parsed = self._read_authentic(_opened(webhook.body, keys), now=now)
        if isinstance(parsed, IncomingMessage | Press):
            return replace(parsed, source_ip=webhook.source_ip)
        return parsed

    def read(self, payload: Mapping[str, Any], *, now: datetime) -> Parsed:
        """An event as it comes in a webhook or over a connection of ours, or Rejected."""
        ours = Addressee(self.setting("app_id"), self.setting("tenant_key"), self._bot_open_id)
        return read(payload, ours, now=now)

    def acknowledge(self, webhook: Webhook, parsed: Parsed, said: Said, *, now: datetime) -> Body:
        return Body(json.dumps(answer_to(parsed, said), ensure_ascii=False).encode(), JSON)

    def open_connection(self) -> Endpoint:
        """Where an outgoing connection may be opened, or SendFailed."""
        return self._api.open_connection()

    def _keys(self) -> list[str]:
        """The encrypt key, and while it is being changed the old one."""
        found = (self.secret(name) for name in ("encrypt_key", "encrypt_key_old"))
        return [value for value in found if value]

    def _shake_hands(self, body: bytes) -> Challenge:
        """Without a signature there is only the check of the address; for all else one refusal."""
        outer = _read(body)
        challenge = self._challenge(outer)
        if challenge is None and len(body) <= LONGEST_HANDSHAKE:
            challenge = self._challenge(self._opened_anyway(outer))
        if challenge is None:
            raise Rejected("missing_header")
        return challenge

    def _opened_anyway(self, outer: Mapping[str, Any]) -> dict[str, Any]:
        """An empty one, whatever is wrong: nobody is to learn by this what a ciphertext holds."""
        try:
            return _read(unseal(_sealed(outer), self._keys()))
        except (Unopened, Rejected):
            return {}

    def _challenge(self, payload: Mapping[str, Any]) -> Challenge | None:
        """None for what is no check of the address; Rejected for one that is not for this app."""
        if payload.get("type") != HANDSHAKE:
            return None
        if not self._is_ours(payload.get("token")):
            raise Rejected("bad_token")
        told = payload.get("challenge")
        if not isinstance(told, str) or not told:
            raise Rejected("malformed", status=400)
        if len(told) > LONGEST_CHALLENGE:
            raise Rejected("too_large", status=413)
        return Challenge(json.dumps({"challenge": told}).encode(), JSON)

    def _read_authentic(self, payload: Mapping[str, Any], *, now: datetime) -> Parsed:
        challenge = self._challenge(payload)
        if challenge is not None:
            return challenge
        head = payload.get("header")
        if not self._is_ours(head.get("token") if isinstance(head, dict) else payload.get("token")):
            raise Rejected("bad_token")
        return self.read(payload, now=now)

    def _is_ours(self, token: object) -> bool:
        if not isinstance(token, str):
            return False
        known = self.secret("verification_token").encode()
        return bool(known) and hmac.compare_digest(known, token.encode("utf-8", "replace"))

    # Sending -------------------------------------------------------------------------------------

    def send(self, route: Mapping[str, Any], message: Outgoing, *, now: datetime) -> str:
        """As an answer to the message; to the conversation where that message is gone."""
        content = {"msg_type": "interactive", "content": _card(route, message)}
        asked = str(route.get("message") or "")
        if _MESSAGE.fullmatch(asked):
            try:
                return self._post(f"{_MESSAGES}/{asked}/reply", content, key=message.key)
            except Declined as declined:
                if declined.code not in _GONE or not route.get("chat"):
                    raise
        chat = str(route.get("chat") or "")
        if not chat:
            raise SendFailed(_("Feishu told no conversation to answer in."), retryable=False)
        key = message.key and f"chat {message.key}"
        return self._post(
            f"{_MESSAGES}?receive_id_type=chat_id", {**content, "receive_id": chat}, key=key
        )

    def update(
        self, route: Mapping[str, Any], external_id: str, message: Outgoing, *, now: datetime
    ) -> str:
        """Fourteen days long; after that, or where it was recalled, as a new message."""
        if not _MESSAGE.fullmatch(external_id):
            return self.send(route, message, now=now)
        content = {"content": _card(route, message)}
        try:
            self._api.call("PATCH", f"{_MESSAGES}/{external_id}", content)
        except Declined as declined:
            if declined.code not in _GONE:
                raise
            return self.send(route, message, now=now)
        return external_id

    def check(self) -> str:
        told = part(self._api.call("GET", "/open-apis/bot/v3/info"), "bot")
        name, open_id = (shown(told.get(key), longest=100) for key in ("app_name", "open_id"))
        known = _("Feishu knows the bot %(name)s; its bot_open_id is %(open_id)s.")
        sentences = [known % {"name": name, "open_id": open_id}]
        wanted = self.setting("bot_open_id")
        if wanted and open_id and wanted != open_id:
            differs = _("But the settings say %(wanted)s: correct them.")
            sentences.append(differs % {"wanted": wanted})
        if told.get("activate_status") not in (None, _ACTIVE):
            sentences.append(
                _("But it is not active: publish a version of the app and have it approved.")
            )
        self._bot_open_id = wanted or open_id
        return " ".join(sentences)

    def name_of(self, account: str) -> str:
        if not _PERSON.fullmatch(account):
            return ""
        path = f"/open-apis/contact/v3/users/{account}?user_id_type=open_id"
        try:
            said = self._api.call("GET", path)
        except Declined as declined:
            if declined.code in _HIDDEN:
                return ""
            raise
        return shown(part(part(said, "data"), "user").get("name"), longest=100)

    def learn_bot(self) -> None:
        """Asks once which of the mentions is the bot's, where the settings do not say; or SendFailed."""
        if not self._bot_open_id:
            told = part(self._api.call("GET", "/open-apis/bot/v3/info"), "bot")
            self._bot_open_id = shown(told.get("open_id"), longest=LONGEST_ID)

    def _post(self, path: str, content: dict[str, Any], *, key: str) -> str:
        """Feishu sends only one message for a uuid in an hour."""
        once = {"uuid": hashlib.sha256(key.encode()).hexdigest()[:40]} if key else {}
        said = part(self._api.call("POST", path, {**content, **once}), "data")
        sent = said.get("message_id")
        return sent if isinstance(sent, str) and _MESSAGE.fullmatch(sent) else ""


def answer_to(parsed: Parsed | Rejected, said: Said) -> dict[str, Any]:
    """What goes back for it: whoever pressed a button is shown the first line, and nobody else is."""
    if not isinstance(parsed, Press) or not said.text:
        return {}
    return {"toast": {"type": "info", "content": notice(said.text)}}


def _object(raw: bytes) -> dict[str, Any]:
    """Larger than any message is as wrong here as malformed."""
    try:
        return parse_object(raw)
    except Unusable:
        raise Rejected("malformed", status=400) from None


def _read(raw: bytes) -> dict[str, Any]:
    """Likewise; an empty one for what is none, where a refusal has its reason already."""
    try:
        return _object(raw)
    except Rejected:
        return {}


def _opened(body: bytes, keys: Sequence[str]) -> dict[str, Any]:
    outer = _object(body)
    if outer.get("type") == HANDSHAKE:
        return outer
    try:
        return _object(unseal(_sealed(outer), keys))
    except Unopened:
        raise Rejected("decrypt_failed", status=400) from None


def _sealed(payload: Mapping[str, Any]) -> str:
    sealed = payload.get("encrypt")
    if not isinstance(sealed, str):
        raise Rejected("not_encrypted", status=400)
    return sealed


def _card(route: Mapping[str, Any], message: Outgoing) -> str:
    person = str(route.get("person") or "")
    mention = person if not route.get("private") and _PERSON.fullmatch(person) else ""
    return card(message.text, message.buttons, mention=mention)
