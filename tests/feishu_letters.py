"""Feishu's events as it signs and encrypts them, and what the adapter makes of them."""

import base64
import hashlib
import json
import os
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot.platforms.base import (
    Ignored,
    IncomingMessage,
    Parsed,
    Rejected,
    Webhook,
)
from bot.platforms.feishu.adapter import Feishu
from bot.platforms.feishu.crypto import sign
from bot.platforms.models import Bot

NOW = datetime.fromtimestamp(1_790_000_000, UTC)
KEY, TOKEN, APP, TENANT = "an-encrypt-key", "a-verification-token", "cli_app", "tenant1"
BOT_ID = "ou_bot"
STAMP = "1790000000"
UNSIGNED = {"content-type": "application/json"}


def a_bot(secrets: dict[str, str] | None = None, **settings: str) -> Feishu:
    told = {"app_id": APP, "tenant_key": TENANT, "bot_open_id": BOT_ID, **settings}
    known = {"app_secret": "s", "encrypt_key": KEY, "verification_token": TOKEN}
    return Feishu(
        Bot(name="ops", platform="feishu", settings=told, secrets=known | (secrets or {}))
    )


def a_mention(key: str = "@_user_1", open_id: str = BOT_ID, name: str = "机器人") -> dict[str, Any]:
    return {"key": key, "id": {"open_id": open_id, "user_id": None}, "name": name}


def an_event(event: dict[str, Any], kind: str, **header: Any) -> dict[str, Any]:
    head = {
        "event_id": "event1",
        "token": TOKEN,
        "create_time": "1790000000000",
        "event_type": kind,
        "tenant_key": TENANT,
        "app_id": APP,
        **header,
    }
    kept = {name: value for name, value in head.items() if value is not ...}
    return {"schema": "2.0", "header": kept, "event": event}


def a_message(text: str = "@_user_1 /merge 233", **changes: Any) -> dict[str, Any]:
    told = {
        "message_id": "om_1",
        "create_time": "1789999999800",
        "chat_id": "oc_1",
        "chat_type": "group",
        "message_type": "text",
        "content": json.dumps({"text": text}),
        "mentions": [a_mention()],
        **changes,
    }
    message = {name: value for name, value in told.items() if value is not ...}
    sender = {"sender_id": {"open_id": "ou_1"}, "sender_type": "user", "tenant_key": TENANT}
    return an_event({"sender": sender, "message": message}, "im.message.receive_v1")


def a_press(value: object = None, **changes: Any) -> dict[str, Any]:
    event = {
        "operator": {"open_id": "ou_1", "tenant_key": TENANT},
        "token": "c-1",
        "action": {"value": {"button": "b1"} if value is None else value, "tag": "button"},
        "context": {"open_message_id": "om_9", "open_chat_id": "oc_1"},
        **changes,
    }
    return an_event(event, "card.action.trigger", create_time="1790000000000000")


def encrypt(padded: bytes, key: str = KEY) -> str:
    start = os.urandom(16)
    cipher = Cipher(algorithms.AES(hashlib.sha256(key.encode()).digest()), modes.CBC(start))
    encryptor = cipher.encryptor()
    return base64.b64encode(start + encryptor.update(padded) + encryptor.finalize()).decode()


def seal(content: object, key: str = KEY) -> bytes:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    count = 16 - len(raw) % 16
    return json.dumps({"encrypt": encrypt(raw + bytes([count]) * count, key)}).encode()


def headers(body: bytes, key: str = KEY, stamp: str = STAMP, **more: str) -> dict[str, str]:
    return {
        "content-type": "application/json;charset=utf-8",
        "x-lark-request-timestamp": stamp,
        "x-lark-request-nonce": "n1",
        "x-lark-signature": sign(stamp, "n1", key, body),
        **more,
    }


def take(
    body: bytes, given: dict[str, str] | None = None, *, bot: Feishu | None = None, **more: Any
) -> Parsed:
    chosen = headers(body) if given is None else given
    webhook = Webhook("POST", chosen, {}, body, "192.0.2.7")
    return (bot or a_bot()).receive(webhook, now=more.get("now", NOW))


def receive(content: object, **more: Any) -> Parsed:
    return take(seal(content), **more)


def message(content: dict[str, Any], **more: Any) -> IncomingMessage:
    parsed = receive(content, **more)
    assert isinstance(parsed, IncomingMessage), parsed
    return parsed


def refusal(body: bytes, given: dict[str, str] | None = None, **more: Any) -> tuple[str, int]:
    with pytest.raises(Rejected) as caught:
        take(body, given, **more)
    return caught.value.reason, caught.value.status


def reason(content: dict[str, Any], **more: Any) -> str:
    parsed = receive(content, **more)
    assert isinstance(parsed, Ignored), parsed
    return parsed.reason


# Carrying a SHA-256 on from its digest -----------------------------------------------------------


def lengthened(body: bytes, digest: str, head: int, suffix: bytes) -> tuple[bytes, str]:
    """body, padding and suffix, and what the digest over head unknown bytes and those is."""
    length = head + len(body)
    zeros = -(length + 9) % 64
    padding = b"\x80" + bytes(zeros) + struct.pack(">Q", length * 8)
    state = list(struct.unpack(">8I", bytes.fromhex(digest)))
    whole = length + len(padding) + len(suffix)
    tail = suffix + b"\x80" + bytes(-(whole + 9) % 64) + struct.pack(">Q", whole * 8)
    for at in range(0, len(tail), 64):
        state = _compressed(state, tail[at : at + 64])
    return body + padding + suffix, struct.pack(">8I", *state).hex()


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % one for one in found):
            found.append(number)
        number += 1
    return found


def _cube_root_bits(prime: int) -> int:
    low, high = 0, 1 << 40
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**3 <= prime << 96 else (low, middle)
    return low & 0xFFFFFFFF


_ROUNDS = [_cube_root_bits(prime) for prime in _primes(64)]


def _turned(word: int, by: int) -> int:
    return (word >> by | word << 32 - by) & 0xFFFFFFFF


def _compressed(state: list[int], block: bytes) -> list[int]:
    """One block of FIPS 180-4, section 6.2.2."""
    w = list(struct.unpack(">16I", block))
    for t in range(16, 64):
        small = _turned(w[t - 15], 7) ^ _turned(w[t - 15], 18) ^ w[t - 15] >> 3
        large = _turned(w[t - 2], 17) ^ _turned(w[t - 2], 19) ^ w[t - 2] >> 10
        w.append((w[t - 16] + small + w[t - 7] + large) & 0xFFFFFFFF)
    a, b, c, d, e, f, g, h = state
    for t in range(64):
        mixed = _turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)
        one = h + mixed + (e & f ^ ~e & g) + _ROUNDS[t] + w[t]
        two = (_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = one + two & 0xFFFFFFFF, a, b, c, d + one & 0xFFFFFFFF, e, f, g
    return [x + y & 0xFFFFFFFF for x, y in zip(state, (a, b, c, d, e, f, g, h), strict=True)]
