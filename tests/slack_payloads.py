"""What Slack would send to a bot of the tests, signed, and what the adapter makes of it."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from bot.platforms.base import IncomingMessage, Parsed, Rejected, Webhook
from bot.platforms.models import Bot
from bot.platforms.slack.adapter import FORM, Slack, sign

NOW = datetime.fromtimestamp(1_790_000_000, UTC)
STAMP = "1790000000"
SECRET = "a-signing-secret"
TEAM, APP, BOT = "T1", "A1", "U0BOT"
SENT = "1789999999.000100"


def a_bot(**changes: str) -> Bot:
    told = {"app_id": APP, "team_id": TEAM, "bot_user_id": BOT, **changes}
    return Bot(name="ops", platform="slack", settings=told, secrets={"signing_secret": SECRET})


def changed(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = {**content, **changes}
    return {name: value for name, value in merged.items() if value is not ...}


def an_event(**changes: Any) -> dict[str, Any]:
    """Changes are the event's; outer ones are named outer_…"""
    outer = {name[6:]: changes.pop(name) for name in list(changes) if name.startswith("outer_")}
    event = {
        "type": "app_mention",
        "user": "U0ZHANG",
        "text": f"<@{BOT}> /merge 233",
        "ts": SENT,
        "channel": "C0RELEASE",
    }
    payload = {
        "type": "event_callback",
        "team_id": TEAM,
        "api_app_id": APP,
        "event_id": "Ev1",
        "event": changed(event, changes),
    }
    return changed(payload, outer)


def a_slash(**changes: Any) -> dict[str, Any]:
    fields = {
        "team_id": TEAM,
        "api_app_id": APP,
        "channel_id": "C0RELEASE",
        "channel_name": "release",
        "user_id": "U0ZHANG",
        "user_name": "zhangsan",
        "command": "/ops",
        "text": "merge 233",
        "response_url": "https://hooks.slack.com/commands/T1/1/abc",
        "trigger_id": "1.2.abc",
    }
    return changed(fields, changes)


def a_press(**changes: Any) -> dict[str, Any]:
    action = {"type": "button", "action_id": "chatops_0", "value": "token-1", "action_ts": SENT}
    payload = {
        "type": "block_actions",
        "api_app_id": APP,
        "team": {"id": TEAM},
        "user": {"id": "U0ZHANG", "name": "zhangsan", "team_id": TEAM},
        "channel": {"id": "C0RELEASE", "name": "release"},
        "message": {"ts": SENT, "thread_ts": "1789999000.000100"},
        "container": {"type": "message"},
        "response_url": "https://hooks.slack.com/actions/T1/1/abc",
        "trigger_id": "1.2.def",
        "actions": [action],
    }
    return changed(payload, changes)


def headers(body: bytes, kind: str, *, stamp: str = STAMP, secret: str = SECRET) -> dict[str, str]:
    return {
        "content-type": kind,
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": sign(stamp, body, secret),
    }


def receive(
    body: bytes,
    kind: str = "application/json",
    *,
    given: dict[str, str] | None = None,
    now: datetime = NOW,
    bot: Bot | None = None,
) -> Parsed:
    told = headers(body, kind) | (given or {})
    webhook = Webhook("POST", {name: x for name, x in told.items() if x}, {}, body, "192.0.2.7")
    return Slack(bot or a_bot()).receive(webhook, now=now)


def event(**changes: Any) -> Parsed:
    return receive(json.dumps(an_event(**changes)).encode())


def slash(**changes: Any) -> Parsed:
    return receive(urlencode(a_slash(**changes)).encode(), FORM)


def press(**changes: Any) -> Parsed:
    return receive(urlencode({"payload": json.dumps(a_press(**changes))}).encode(), FORM)


def message(parsed: Parsed) -> IncomingMessage:
    assert isinstance(parsed, IncomingMessage), parsed
    return parsed


def refusal(body: bytes, kind: str = "application/json", **more: Any) -> tuple[str, int]:
    with pytest.raises(Rejected) as caught:
        receive(body, kind, **more)
    return caught.value.reason, caught.value.status


EVENT = json.dumps(an_event()).encode()
