"""The Feishu stand-in: signed and encrypted events by webhook or long connection, and the bot's API.

https://open.feishu.cn/document/server-docs/im-v1/message/events/receive
https://open.feishu.cn/document/server-docs/im-v1/message/reply
"""

import hashlib
import json
import os
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.feishu import socket
from chatops_site.sandbox.feishu.cards import open_id
from chatops_site.sandbox.feishu.rest import (
    APP_ID,
    APP_SECRET,
    BOT_NAME,
    BOT_OPEN_ID,
    TENANT,
    Rest,
    chat_id,
)
from chatops_site.sandbox.feishu.socket import LongConnection
from chatops_site.sandbox.server import Request, Response
from chatops_site.sandbox.stand import DIALLED, HTTP, Arguments, ChatStand, SocketHandler
from chatops_site.sandbox.talk import (
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

__all__ = [
    "APP_ID",
    "APP_SECRET",
    "BOT_OPEN_ID",
    "ENCRYPT_KEY",
    "TENANT",
    "VERIFICATION_TOKEN",
    "Feishu",
    "chat_id",
    "seal",
    "sign",
]

ENCRYPT_KEY = "demo-encrypt-key"
VERIFICATION_TOKEN = "demo-verification-token"  # noqa: S105 (a published value of the sandbox)
_TAMPERINGS = frozenset(
    {
        "seconds",
        "secret",
        "key",
        "body",
        "header",
        "message",
        "raw_body",
        "wire",
        "plain",
        "headers",
        "replay",
    }
)
_OF_THE_SIGNATURE = frozenset({"seconds", "secret", "key", "wire", "plain", "headers"})


def sign(timestamp: str, nonce: str, body: bytes, key: str = ENCRYPT_KEY) -> str:
    return hashlib.sha256(f"{timestamp}{nonce}{key}".encode() + body).hexdigest()


def seal(content: str, key: str = ENCRYPT_KEY) -> str:
    """The base64 of IV and ciphertext."""
    padder = PKCS7(128).padder()
    padded = padder.update(content.encode("utf-8", "surrogatepass")) + padder.finalize()
    start = os.urandom(16)
    cipher = Cipher(algorithms.AES(hashlib.sha256(key.encode()).digest()), modes.CBC(start))
    encryptor = cipher.encryptor()
    return b64encode(start + encryptor.update(padded) + encryptor.finalize()).decode()


class Feishu(ChatStand):
    """One tenant with one app, whose bot is in every group."""

    name = "feishu"
    label = "飞书"
    modes = (HTTP, DIALLED)

    def __init__(self, clock: Clock, portal: Portal) -> None:
        super().__init__(clock, portal)
        self._line = LongConnection()
        self._rest = Rest(self, self._line)
        self._operations = {
            "revoke_token": lambda told: self._rest.revoke_token(),
            "limit": self._limit,
            "refuse": self._refuse,
            "recall": lambda told: self._rest.recall(str(told["message_id"])),
            "handshake": self._shake_hands,
            "disconnect": lambda told: self._line.disconnect(),
            "silence": lambda told: self._line.silence(),
            "forget_ack": lambda told: self._line.forget_acks(int(told.get("times", 1))),
            "ack_seconds": self._wait_for_acks,
            "ping_every": self._ping_every,
            "parts": self._divide,
            "acks": lambda told: {"acks": list(self._line.acks), "pings": self._line.pings},
            "event": self._push_event,
            "frames": self._push_frames,
        }
        self.reset()

    def reset(self) -> None:
        self._sent: dict[str, Packet] = {}
        self._line.reset()
        self._rest.reset()
        self.talk.clear()

    @property
    def sockets(self) -> Mapping[str, SocketHandler]:
        return {socket.PATH: self._line.serve}

    def connected(self) -> int:
        return self._line.connected()

    def answer(self, request: Request) -> Response | None:
        return self._rest.answer(request)

    def say(self, person: str, conversation: str, text: str, tamper: Arguments) -> Delivery:
        speaker, place = find_person(person), find_conversation(conversation, person)
        self.check_tampering(tamper, _TAMPERINGS, signed=_OF_THE_SIGNATURE)
        message = self.person_says(speaker, place.id, text)
        message_id = f"om_{secrets.token_hex(16)}"
        self.talk.update(message, message_id=message_id)
        self._rest.know(message)
        told = self._message(speaker, place, text, message_id)
        event = {"sender": _sender(speaker), "message": _changed(told, tamper.get("message", {}))}
        content = self._event("im.message.receive_v1", event, _now(1_000))
        return self._delivery(message, content, tamper, repeated=True)

    def press(self, person: str, n: int, button: str, tamper: Arguments) -> Delivery:
        """button: its token or its label. The portal's toast is then told on the press."""
        speaker = find_person(person)
        message, pressed = self._find_button(n, button)
        place = find_conversation(message["conversation"], person)
        self.check_tampering(tamper, _TAMPERINGS, signed=_OF_THE_SIGNATURE)
        content = self._event(
            "card.action.trigger", self._action(speaker, place, message, pressed), _now(1_000_000)
        )
        noted = self.person_says(speaker, place.id, pressed["label"], pressed=n)
        self.talk.update(noted, message_id=content["header"]["event_id"])
        return self._delivery(noted, content, tamper, repeated=False)

    # What goes to the portal ---------------------------------------------------------------------

    def _delivery(
        self, message: Message, content: Arguments, tamper: Arguments, *, repeated: bool
    ) -> Delivery:
        raw, packet = self._tampered(content, tamper)
        self._sent[message["message_id"]] = packet

        def _bring() -> Answered:
            if self.mode == DIALLED:
                return self._line.push(raw, repeated=repeated)
            return self.portal.post(packet)

        return Delivery(_bring, self.talk, message, lambda body: self._hear(message, body))

    def _hear(self, message: Message, body: bytes) -> None:
        """The answer to a callback may hold a toast for whoever pressed."""
        try:
            toast = json.loads(body)["toast"]["content"]
        except (ValueError, KeyError, TypeError):
            return
        if "pressed" in message:
            self.talk.update(message, toast=str(toast))

    def _event(self, kind: str, event: Arguments, created: str) -> Arguments:
        header = {
            "event_id": secrets.token_hex(16),
            "token": VERIFICATION_TOKEN,
            "create_time": created,
            "event_type": kind,
            "tenant_key": TENANT,
            "app_id": APP_ID,
        }
        return {"schema": "2.0", "header": header, "event": event}

    def _message(self, person: Person, place: Conversation, text: str, name: str) -> Arguments:
        at = {
            "key": "@_user_1",
            "id": {"open_id": BOT_OPEN_ID, "union_id": "on_bot", "user_id": None},
            "name": BOT_NAME,
            "tenant_key": TENANT,
        }
        said = text if place.private else f"@_user_1 {text}"
        return {
            "message_id": name,
            "create_time": _now(1_000),
            "update_time": _now(1_000),
            "chat_id": chat_id(place),
            "chat_type": "p2p" if place.private else "group",
            "message_type": "text",
            "content": json.dumps({"text": said}, ensure_ascii=False),
            **({} if place.private else {"mentions": [at]}),
        }

    def _action(
        self, person: Person, place: Conversation, message: Message, pressed: Arguments
    ) -> Arguments:
        return {
            "operator": {
                "tenant_key": TENANT,
                "open_id": open_id(person.id),
                "union_id": f"on_{person.id}",
            },
            "token": f"c-{secrets.token_hex(20)}",
            "action": {
                "value": pressed["value"],
                "tag": "button",
                "timezone": "Asia/Shanghai",
            },
            "host": "im_message",
            "context": {"open_message_id": message["message_id"], "open_chat_id": chat_id(place)},
        }

    def _find_button(self, n: int, button: str) -> tuple[Message, Arguments]:
        for message in self.talk.since(n - 1):
            if message["n"] != n or message["from"] != "bot":
                continue
            for one in message["buttons"]:
                if button in (one["id"], one["label"]):
                    return message, one
        raise ValueError(f"Message {n} has no button {button!r}.")

    # Tampering -----------------------------------------------------------------------------------

    def _tampered(self, content: Arguments, tamper: Arguments) -> tuple[str, Packet]:
        """What an attacker or a fault makes of a genuine event; without wishes: the genuine one.

        seconds: shifts the signed time; secret: signs by another key; key: encrypts and signs by
        another; body, header, message: fields to set (null takes one out) of the whole, its header,
        the message in it; raw_body: text instead of that JSON; wire: text instead of the encrypted
        body; plain: not encrypted; headers: fields to set after signing; replay: the whole packet.
        """
        header = _changed(content["header"], tamper.get("header", {}))
        changed = _changed({**content, "header": header}, tamper.get("body", {}))
        raw = str(tamper.get("raw_body", _as_text(changed)))
        if "replay" in tamper:
            return raw, self._sent[tamper["replay"]]
        key = str(tamper.get("key", ENCRYPT_KEY))
        sealed = raw if tamper.get("plain") else _as_text({"encrypt": seal(raw, key)})
        body = str(tamper.get("wire", sealed)).encode("utf-8", "surrogatepass")
        stamp = str(int(time.time() + float(tamper.get("seconds", 0))))
        nonce = f"{secrets.randbelow(10**10):010d}"
        headers = {
            "Content-Type": "application/json;charset=utf-8",
            "X-Lark-Request-Timestamp": stamp,
            "X-Lark-Request-Nonce": nonce,
            "X-Lark-Signature": sign(stamp, nonce, body, str(tamper.get("secret", key))),
            "X-Request-Id": secrets.token_hex(16),
        }
        return raw, Packet(_changed(headers, tamper.get("headers", {})), body)

    # Operations ----------------------------------------------------------------------------------

    def _limit(self, arguments: Arguments) -> None:
        """{"times": 1, "reset"?: 7}: so many calls are answered 429, with that header."""
        told = arguments.get("reset")
        self._rest.limit(int(arguments.get("times", 1)), "" if told is None else str(int(told)))

    def _refuse(self, arguments: Arguments) -> None:
        """{"call": "reply" | "send" | "change" | "user" | "bot" | "endpoint", "code": 230002}: 0 ends it."""
        self._rest.refuse(str(arguments["call"]), int(arguments["code"]))

    def _shake_hands(self, arguments: Arguments) -> Arguments:
        """{"encrypted"?: true, "token"?, "challenge"?}: the console's check of the address."""
        token = str(arguments.get("token", VERIFICATION_TOKEN))
        challenge = str(arguments.get("challenge", secrets.token_hex(18)))
        told = {"challenge": challenge, "token": token, "type": "url_verification"}
        text = _as_text(told)
        if arguments.get("encrypted", True):
            text = _as_text({"encrypt": seal(text)})
        answered = self.portal.post(Packet({"Content-Type": "application/json"}, text.encode()))
        return {**answered.told(), "answer": answered.body.decode(), "challenge": challenge}

    def _wait_for_acks(self, arguments: Arguments) -> None:
        """{"seconds": 3}: how long an acknowledgement may take."""
        self._line.ack_seconds = float(arguments["seconds"])

    def _ping_every(self, arguments: Arguments) -> None:
        """{"seconds": 120}: what the connections are told to do."""
        self._line.ping_seconds = int(arguments["seconds"])

    def _divide(self, arguments: Arguments) -> None:
        """{"count": 3}: into so many frames, the last one first."""
        self._line.parts = int(arguments["count"])

    def _push_event(self, arguments: Arguments) -> Arguments:
        """{"type": "im.chat.updated_v1", "event": {…}}: any event, down a connection."""
        kind, event = str(arguments["type"]), dict(arguments.get("event", {}))
        raw = _as_text(self._event(kind, event, _now(1_000)))
        return self._line.push(raw, repeated=True).told()

    def _push_frames(self, arguments: Arguments) -> Arguments:
        """{"frames": [base64], "message_id"?, "seconds"?: 1}; {"ack"} is null if none came."""
        raws = [b64decode(one) for one in arguments["frames"]]
        seconds = float(arguments.get("seconds", 1))
        message_id = str(arguments.get("message_id", ""))
        return {"ack": self._line.push_raw(raws, message_id, seconds)}


def _sender(person: Person) -> Arguments:
    return {
        "sender_id": {
            "open_id": open_id(person.id),
            "union_id": f"on_{person.id}",
            "user_id": None,
        },
        "sender_type": "user",
        "tenant_key": TENANT,
    }


def _changed(content: Arguments, changes: Arguments) -> Arguments:
    merged = {**content, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _now(units: int) -> str:
    return str(int(time.time() * units))


def _as_text(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)
