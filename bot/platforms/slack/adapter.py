"""Slack: an app that gets events, slash commands and presses, and answers by the Web API.

https://docs.slack.dev/authentication/verifying-requests-from-slack
https://docs.slack.dev/reference/methods/chat.postMessage
"""

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from django.utils.translation import gettext as _

from bot.platforms.base import (
    Challenge,
    Ignored,
    IncomingMessage,
    Outgoing,
    Pace,
    Parsed,
    Platform,
    Press,
    Rejected,
    SendFailed,
    Setting,
    Webhook,
)
from bot.platforms.models import Bot
from bot.platforms.reading import (
    Unusable,
    check_kind,
    check_method,
    find_address,
    header,
    origins_of,
    parse_object,
    shown,
    told,
    word,
)
from bot.platforms.slack.api import Declined, WebApi, check_limits
from bot.platforms.slack.reading import EVENTS, INTERACTIVE, SLASHES, Addressee, read
from bot.platforms.slack.words import blocks, notice
from chatops_site.kit.http import Client, HttpError

API_BASE: Final = "https://slack.com"
RESPONSE_ORIGINS: Final = ("https://hooks.slack.com",)
WINDOW: Final = 300
MOST_FIELDS: Final = 100
LONGEST_CHALLENGE: Final = 500
DEADLINE: Final = 10.0
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

_STAMP: Final = re.compile(r"[0-9]{10}")
_RESPONSE_PATH: Final = re.compile(r"/[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+){1,6}")
_PERSON: Final = re.compile(r"[UW][A-Z0-9]{1,40}")
_EXTERNAL: Final = re.compile(r"([A-Z0-9]{2,100}):([0-9]{10}\.[0-9]{1,6})")
# Where the bot cannot speak, so that another way to the person is looked for.
_RESTRICTED: Final = frozenset(
    {
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
    }
)
_ELSEWHERE: Final = _RESTRICTED | {"not_in_channel", "channel_not_found", "is_archived"}
# The message cannot be changed any more; a new one can be sent.
_GONE: Final = _ELSEWHERE | {
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "thread_locked",
}


class Slack(Platform):
    label = "Slack"
    settings = (
        Setting("app_id"),
        Setting("team_id"),
        Setting("bot_user_id", required=False),
        Setting("api_base", required=False),
    )
    secrets = (
        Setting("signing_secret"),
        Setting("bot_token"),
        Setting("app_token", required=False),
        Setting("signing_secret_old", required=False),
    )
    # About one a second in a conversation, short bursts allowed; fifty changes a minute.
    paces = (Pace(10, 10.0, each_conversation=True), Pace(50, 60.0))
    dialled = "bot.platforms.slack.connection.SlackConnection"

    def __init__(self, bot: Bot) -> None:
        super().__init__(bot)
        base = self.setting("api_base")
        self._client = Client(base or API_BASE, deadline=DEADLINE)
        self._api = WebApi(self._client, self.secret("bot_token"))
        self._answers = {
            origin: Client(origin, deadline=DEADLINE)
            for origin in origins_of(base, RESPONSE_ORIGINS)
        }

    @property
    def updates_in_place(self) -> bool:
        return True

    @property
    def has_buttons(self) -> bool:
        return True

    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        check_method(webhook)
        check_kind(webhook, JSON, FORM)
        signed_at = self._verify(webhook, now=now)
        try:
            parsed = self._read_body(webhook, signed_at)
        except Unusable as unusable:
            return Ignored(str(unusable))
        if isinstance(parsed, IncomingMessage | Press):
            return replace(parsed, source_ip=webhook.source_ip)
        return parsed

    def read(self, kind: str, payload: Mapping[str, Any], *, now: datetime) -> Parsed:
        """A payload as it comes in a webhook or an envelope of Socket Mode, or Rejected."""
        ours = Addressee(
            self.setting("app_id"), self.setting("team_id"), self.setting("bot_user_id")
        )
        return read(kind, payload, ours, now=now)

    def open_connection(self) -> str:
        """The address of one outgoing connection, or SendFailed."""
        return WebApi(self._client, self.secret("app_token")).open_connection()

    def send(self, route: Mapping[str, Any], message: Outgoing, *, now: datetime) -> str:
        """To the conversation; where the bot is not in it, by the response URL, else to the person."""
        content = _content(route, message)
        try:
            return self._to_conversation(route, content)
        except Declined as declined:
            if declined.code not in _ELSEWHERE:
                raise
            if self._by_response_url(route, content, now=now):
                return ""
            return self._to_person(route, content, declined)

    def update(
        self, route: Mapping[str, Any], external_id: str, message: Outgoing, *, now: datetime
    ) -> str:
        place = _EXTERNAL.fullmatch(external_id)
        if place is None:
            return self.send(route, message, now=now)
        channel, stamp = place.groups()
        content = _content(route, message) | {"channel": channel, "ts": stamp}
        try:
            self._api.update(content)
        except Declined as declined:
            if declined.code not in _GONE:
                raise
            return self.send(route, message, now=now)
        return external_id

    def check(self) -> str:
        found = self._api.who_am_i()
        names = ("user", "user_id", "team", "team_id", "bot_id", "app_id")
        who = {name: shown(found.get(name), longest=100) for name in names}
        known = _(
            "Slack knows the bot %(user)s (%(user_id)s) in the workspace %(team)s (%(team_id)s)."
        )
        there = {
            "team_id": who["team_id"],
            "app_id": who["app_id"] or self._app_of(who["bot_id"]),
            "bot_user_id": who["user_id"],
        }
        wanted = {name: self.setting(name) for name in there}
        if self.secret("app_token"):
            # Whether that one is right, too; the address is not used.
            self.open_connection()
        differing = [
            _differs(name, wanted[name], value)
            for name, value in there.items()
            if value and wanted[name] and value != wanted[name]
        ]
        return " ".join([known % who, *differing])

    def name_of(self, account: str) -> str:
        if not _PERSON.fullmatch(account):
            return ""
        try:
            user = self._api.user(account)
        except Declined as declined:
            if declined.code in ("user_not_found", "user_not_visible"):
                return ""
            raise
        profile = user.get("profile")
        names = profile if isinstance(profile, dict) else {}
        real = names.get("real_name") or user.get("real_name") or user.get("name")
        return shown(real, longest=100)

    def _app_of(self, bot_id: str) -> str:
        """ "" where the app may not ask for that."""
        if not bot_id:
            return ""
        try:
            return shown(self._api.bot(bot_id).get("app_id"), longest=100)
        except Declined:
            return ""

    def _verify(self, webhook: Webhook, *, now: datetime) -> datetime:
        """When it was signed. The signature covers that and the raw body."""
        stamp = header(webhook, "x-slack-request-timestamp")
        given = header(webhook, "x-slack-signature").encode("utf-8", "replace")
        if not _STAMP.fullmatch(stamp):
            raise Rejected("bad_timestamp")
        signatures = [sign(stamp, webhook.body, secret).encode() for secret in self._live_secrets()]
        if not any(hmac.compare_digest(one, given) for one in signatures):
            raise Rejected("bad_signature")
        signed_at = datetime.fromtimestamp(int(stamp), UTC)
        if abs(now - signed_at) > timedelta(seconds=WINDOW):
            raise Rejected("expired")
        return min(signed_at, now)

    def _live_secrets(self) -> list[str]:
        found = (self.secret(name) for name in ("signing_secret", "signing_secret_old"))
        return [value for value in found if value]

    def _read_body(self, webhook: Webhook, signed_at: datetime) -> Parsed:
        if webhook.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM:
            fields = _fields(webhook.body)
            if "payload" in fields:
                inner = parse_object(fields["payload"].encode("utf-8", "replace"))
                return self.read(INTERACTIVE, inner, now=signed_at)
            return self.read(SLASHES, fields, now=signed_at)
        payload = parse_object(webhook.body)
        if payload.get("type") == "url_verification":
            challenge = {"challenge": word(payload, "challenge", LONGEST_CHALLENGE)}
            return Challenge(json.dumps(challenge).encode(), JSON)
        return self.read(EVENTS, payload, now=signed_at)

    def _to_conversation(self, route: Mapping[str, Any], content: dict[str, Any]) -> str:
        thread = {"thread_ts": route["thread"]} if route.get("thread") else {}
        if not route.get("channel"):
            raise Declined("channel_not_found")
        return self._post({**content, **thread, "channel": str(route["channel"])})

    def _post(self, content: dict[str, Any]) -> str:
        said = self._api.post_message({**content, "unfurl_links": False, "unfurl_media": False})
        external = f"{said.get('channel')}:{said.get('ts')}"
        return external if _EXTERNAL.fullmatch(external) else ""

    def _by_response_url(
        self, route: Mapping[str, Any], content: dict[str, Any], *, now: datetime
    ) -> bool:
        """False when there is none, it is not Slack's, has ended, or has been used five times."""
        if int(route.get("expires") or 0) <= now.timestamp():
            return False
        address = find_address(route.get("response_url"), self._answers, _RESPONSE_PATH)
        if address is None:
            return False
        seen_by = "ephemeral" if route.get("private") else "in_channel"
        body = {**content, "response_type": seen_by, "replace_original": False}
        origin, path = address
        try:
            answer = self._answers[origin].send("POST", path, json=body)
        except HttpError as error:
            # Its text holds no path: the address alone lets anybody speak there.
            raise SendFailed(str(error), retryable=error.retryable) from None
        check_limits(answer)
        return answer.status == 200 and told(answer).get("ok", True) is True

    def _to_person(
        self, route: Mapping[str, Any], content: dict[str, Any], declined: Declined
    ) -> str:
        """Where posting is restricted the person sees it there alone, else in the bot's messages."""
        user = str(route.get("user") or "")
        if not _PERSON.fullmatch(user):
            raise declined
        if declined.code in _RESTRICTED:
            try:
                self._api.post_ephemeral({**content, "channel": route["channel"], "user": user})
            except Declined as refused:
                declined = refused
            else:
                return ""
        try:
            return self._post({**content, "channel": user})
        except Declined:
            raise declined from None


def sign(timestamp: str, body: bytes, secret: str) -> str:
    """The header X-Slack-Signature, over the raw body."""
    signed = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.digest(secret.encode(), signed, "sha256").hex()


def _fields(body: bytes) -> dict[str, str]:
    """A form, in which no field may stand twice."""
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise Rejected("malformed", status=400) from None
    fields = dict(pairs)
    if not fields or len(fields) != len(pairs):
        raise Rejected("malformed", status=400)
    return fields


def _content(route: Mapping[str, Any], message: Outgoing) -> dict[str, Any]:
    user = str(route.get("user") or "")
    mention = user if not route.get("private") and _PERSON.fullmatch(user) else ""
    return {
        "text": notice(message.text),
        "blocks": blocks(message.text, message.buttons, mention=mention),
        # Nothing is made a link or a mention that is not one already; chat.update would.
        "parse": "none",
        "link_names": False,
    }


def _differs(name: str, wanted: str, told: str) -> str:
    text = _("But its %(name)s is %(told)s, and the settings say %(wanted)s: correct them.")
    return text % {"name": name, "told": told, "wanted": wanted}
