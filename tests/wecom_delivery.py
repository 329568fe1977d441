"""Deliveries to a WeCom app as its tests write them: sealed and signed by the stand-in's code."""

from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

import pytest

from bot.platforms.base import IncomingMessage, Parsed, Rejected, Webhook
from bot.platforms.wecom.app import WeCom
from chatops_site.sandbox.wecom.crypto import Keys, seal, sign
from tests.wecom_street import app

STAMP = 1_790_000_000
NOW = datetime.fromtimestamp(STAMP, UTC)
CORP, AGENT, TOKEN = "ww-demo-corp", "1000002", "demoWecomToken"
AES_KEY = "demoWecomAesKeyForTheSandboxOfChatOps000001"
KEYS = Keys(TOKEN, AES_KEY, CORP)
OTHER_KEY = "x" * 43


def fields(**changes: Any) -> dict[str, Any]:
    told = {
        "ToUserName": CORP,
        "FromUserName": "zhangsan",
        "CreateTime": STAMP - 3,
        "MsgType": "text",
        "Content": "/merge 233",
        "MsgId": "7830199367388289921",
        "AgentID": AGENT,
    }
    return {name: value for name, value in {**told, **changes}.items() if value is not ...}


def pressed(**changes: Any) -> dict[str, Any]:
    event = {
        "MsgType": "event",
        "Event": "template_card_event",
        "EventKey": "button-1",
        "TaskId": "task-1",
        "Content": ...,
        "MsgId": ...,
    }
    return fields(**event | changes)


def xml(told: dict[str, Any]) -> str:
    inner = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in told.items())
    return f"<xml>{inner}</xml>"


def packed(sealed: str, keys: Keys = KEYS, **changes: Any) -> Webhook:
    """A delivery of that ciphertext, properly signed."""
    stamp, nonce = changes.pop("stamp", str(STAMP)), changes.pop("nonce", "8999868421")
    query = {"msg_signature": sign(keys, stamp, nonce, sealed), "timestamp": stamp, "nonce": nonce}
    query |= changes.pop("query", {})
    body = f"<xml><ToUserName>{CORP}</ToUserName><Encrypt>{sealed}</Encrypt></xml>".encode()
    return Webhook(
        "POST",
        changes.pop("headers", {"content-type": "text/xml"}),
        {name: [value] for name, value in query.items() if value is not None},
        changes.pop("body", body),
        "192.0.2.7",
    )


def delivery(told: dict[str, Any] | str | None = None, **changes: Any) -> Webhook:
    content = told if isinstance(told, str) else xml(fields() if told is None else told)
    return packed(seal(KEYS, content), **changes)


def receive(webhook: Webhook, *, now: datetime = NOW, platform: WeCom | None = None) -> Parsed:
    return (platform or app()).receive(webhook, now=now)


def message(**changes: Any) -> IncomingMessage:
    parsed = receive(delivery(fields(**changes)))
    assert isinstance(parsed, IncomingMessage), parsed
    return parsed


def refusal(webhook: Webhook, **more: Any) -> tuple[str, int]:
    with pytest.raises(Rejected) as caught:
        receive(webhook, **more)
    return caught.value.reason, caught.value.status
