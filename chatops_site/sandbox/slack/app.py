"""The Slack stand-in: events, slash commands and presses by signed webhook or Socket Mode.

https://docs.slack.dev/authentication/verifying-requests-from-slack
https://docs.slack.dev/apis/events-api
"""

import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.server import Request, Response, as_json
from chatops_site.sandbox.slack import socket
from chatops_site.sandbox.slack.blocks import user_id
from chatops_site.sandbox.slack.socket import EVENTS, INTERACTIVE, SLASHES, SocketMode
from chatops_site.sandbox.slack.web import (
    APP_ID,
    APP_TOKEN,
    BOT,
    BOT_TOKEN,
    BOT_USER,
    RESPONSES,
    TEAM,
    WebApi,
    channel_id,
    content_of,
)
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
    "APP_TOKEN",
    "BOT_TOKEN",
    "BOT_USER",
    "SIGNING_SECRET",
    "SLASH",
    "TEAM",
    "Slack",
    "sign",
]

SIGNING_SECRET = "demo-signing-secret"  # noqa: S105 (a published value of the sandbox)
# The one slash command that the app has registered.
SLASH = "/ops"
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_TAMPERINGS = frozenset(
    {"seconds", "secret", "body", "event", "raw_body", "headers", "replay", "reuse_signature"}
)
_OF_THE_SIGNATURE = frozenset({"seconds", "secret", "headers", "reuse_signature"})


@dataclass(frozen=True)
class _Post:
    """What goes to the portal: kind as Socket Mode calls it, and the packet where it goes by HTTP."""

    kind: str
    content: Arguments
    packet: Packet


def sign(timestamp: str, body: bytes, secret: str = SIGNING_SECRET) -> str:
    signed = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.digest(secret.encode(), signed, "sha256").hex()


class Slack(ChatStand):
    """One workspace with one app, which is in every channel until it is taken out.

    The real Slack keeps a text that begins with a slash to itself unless that command is registered.
    Here "/ops merge 233" is the slash command, and "/merge 233" goes as a mention or direct message.
    """

    name = "slack"
    label = "Slack"
    modes = (HTTP, DIALLED)

    def __init__(self, clock: Clock, portal: Portal) -> None:
        super().__init__(clock, portal)
        self._socket = SocketMode(APP_ID)
        self._web = WebApi(self, self._socket)
        self._operations = {
            "limit": self._limit,
            "revoke_token": lambda told: self._web.revoke_token(),
            "not_in_channel": self._leave,
            "refuse": self._refuse,
            "resend": self._resend,
            "disconnect": self._disconnect,
            "silence": lambda told: self._socket.silence(),
            "cut": lambda told: self._socket.cut(),
            "forget_ack": lambda told: self._socket.forget_acks(int(told.get("times", 1))),
            "ack_seconds": self._wait_for_acks,
            "acks": lambda told: {"acks": list(self._socket.acks)},
            "frame": self._push_frame,
        }
        self.reset()

    def reset(self) -> None:
        self._sent: dict[str, _Post] = {}
        self._socket.reset()
        self._web.reset()
        self.talk.clear()

    @property
    def sockets(self) -> Mapping[str, SocketHandler]:
        return {socket.PATH: self._socket.serve}

    def connected(self) -> int:
        return self._socket.connected()

    def say(self, person: str, conversation: str, text: str, tamper: Arguments) -> Delivery:
        """A text that begins with "/ops" is the slash command; another one in a channel a mention."""
        speaker, place = find_person(person), find_conversation(conversation, person)
        self.check_tampering(tamper, _TAMPERINGS, signed=_OF_THE_SIGNATURE | {"raw_body"})
        message = self.person_says(speaker, place.id, text)
        if text == SLASH or text.startswith(f"{SLASH} "):
            kind, content = SLASHES, self._slash(speaker, place, text, message["n"])
            message_id = content["trigger_id"]
        else:
            kind, content = EVENTS, self._event(speaker, place, text, self._web.ts(message))
            message_id = f"{channel_id(place)}:{self._web.ts(message)}"
        return self._delivery(message, message_id, kind, content, tamper)

    def press(self, person: str, n: int, button: str, tamper: Arguments) -> Delivery:
        """button: its token or its label."""
        speaker = find_person(person)
        message, pressed = self._find_button(n, button)
        place = find_conversation(message["conversation"], person)
        self.check_tampering(tamper, _TAMPERINGS, signed=_OF_THE_SIGNATURE | {"raw_body"})
        content = self._interaction(speaker, place, message, pressed)
        noted = self.person_says(speaker, place.id, pressed["label"], pressed=n)
        return self._delivery(noted, content["trigger_id"], INTERACTIVE, content, tamper)

    def answer(self, request: Request) -> Response | None:
        match request.segments:
            case ("api", method) if request.method in ("GET", "POST"):
                return self._web.call(method, request)
            case (kind, _, _, name) if kind in RESPONSES and request.method == "POST":
                return self._web.respond(name, content_of(request))
            case ("api" | "commands" | "actions", *_):
                return as_json({"ok": False, "error": "unknown_method"}, 404)
        return None

    # What goes to the portal ---------------------------------------------------------------------

    def _delivery(
        self, message: Message, message_id: str, kind: str, content: Arguments, tamper: Arguments
    ) -> Delivery:
        post = self._tampered(kind, content, tamper)
        self._sent[message_id] = post
        self.talk.update(message, message_id=message_id)
        return Delivery(lambda: self._bring(post), self.talk, message)

    def _bring(self, post: _Post) -> Answered:
        if self.mode == DIALLED:
            return self._socket.push(post.kind, post.content)
        return self.portal.post(post.packet)

    def _event(self, person: Person, place: Conversation, text: str, ts: str) -> Arguments:
        written = _escaped(text)
        told = {
            "type": "message" if place.private else "app_mention",
            "user": user_id(person.id),
            "text": written if place.private else f"<@{BOT_USER}> {written}",
            "ts": ts,
            "team": TEAM,
            "channel": channel_id(place),
            "event_ts": ts,
            "client_msg_id": secrets.token_hex(8),
            **({"channel_type": "im"} if place.private else {}),
        }
        bot = {"team_id": TEAM, "user_id": BOT_USER, "is_bot": True, "enterprise_id": None}
        return {
            "token": "legacy",
            "team_id": TEAM,
            "api_app_id": APP_ID,
            "event": told,
            "type": "event_callback",
            "event_id": f"Ev{secrets.token_hex(5).upper()}",
            "event_time": int(time.time()),
            "authorizations": [bot | {"is_enterprise_install": False}],
            "is_ext_shared_channel": False,
        }

    def _slash(self, person: Person, place: Conversation, text: str, n: int) -> Arguments:
        return {
            "token": "legacy",
            "team_id": TEAM,
            "team_domain": "demo",
            "channel_id": channel_id(place),
            "channel_name": "directmessage" if place.private else place.name,
            "user_id": user_id(person.id),
            "user_name": person.id,
            "command": SLASH,
            "text": _escaped(text.removeprefix(SLASH).strip()),
            "api_app_id": APP_ID,
            "is_enterprise_install": "false",
            "response_url": self._web.open_response_url("commands", place.id, n),
            "trigger_id": _trigger(n),
        }

    def _interaction(
        self, person: Person, place: Conversation, message: Message, pressed: Arguments
    ) -> Arguments:
        ts, channel = self._web.ts(message), channel_id(place)
        action = {
            "type": "button",
            "action_id": pressed["action_id"],
            "block_id": "b1",
            "text": {"type": "plain_text", "text": pressed["label"]},
            "value": pressed["id"],
            "action_ts": f"{time.time():.6f}",
        }
        who = {"id": user_id(person.id), "username": person.id, "name": person.id, "team_id": TEAM}
        return {
            "type": "block_actions",
            "api_app_id": APP_ID,
            "team": {"id": TEAM, "domain": "demo"},
            "user": who,
            "container": {"type": "message", "message_ts": ts, "channel_id": channel},
            "channel": {"id": channel, "name": "directmessage" if place.private else place.name},
            "message": {"type": "message", "bot_id": BOT, "user": BOT_USER, "ts": ts, "text": ""},
            "response_url": self._web.open_response_url("actions", place.id, message["n"]),
            "trigger_id": _trigger(message["n"]),
            "actions": [action],
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

    def _tampered(self, kind: str, content: Arguments, tamper: Arguments) -> _Post:
        """What an attacker or a fault makes of a genuine one; without wishes: the genuine one.

        seconds: shifts the signed time; secret: signs with another; body: fields to set (null takes
        one out); event: likewise, inside an event; raw_body: text instead of all that; headers:
        likewise, after signing; replay: the whole of that message id; reuse_signature: its headers.
        """
        if "replay" in tamper:
            return self._sent[tamper["replay"]]
        changed = _changed(content, tamper.get("body", {}))
        if "event" in tamper and isinstance(changed.get("event"), dict):
            changed["event"] = _changed(changed["event"], tamper["event"])
        raw = str(tamper.get("raw_body", _written(kind, changed))).encode()
        if "reuse_signature" in tamper:
            headers = self._sent[tamper["reuse_signature"]].packet.headers
            return _Post(kind, changed, Packet(headers, raw))
        packet = _signed(kind, raw, float(tamper.get("seconds", 0)), tamper.get("secret"))
        headers = _changed(packet.headers, tamper.get("headers", {}))
        return _Post(kind, changed, Packet(headers, raw))

    # Operations ----------------------------------------------------------------------------------

    def _limit(self, arguments: Arguments) -> None:
        """{"times": 1, "retry_after"?: 7}: so many calls are answered 429."""
        told = arguments.get("retry_after")
        self._web.limit(int(arguments.get("times", 1)), "" if told is None else str(int(told)))

    def _leave(self, arguments: Arguments) -> None:
        """{"conversation": "cid-release", "left"?: true}: the bot is taken out of it, or put in."""
        place = str(arguments["conversation"])
        change = self._web.left.add if arguments.get("left", True) else self._web.left.discard
        change(place)

    def _refuse(self, arguments: Arguments) -> None:
        """{"method": "chat.postMessage", "error": "restricted_action"}: each call is refused so; "" ends it."""
        method, code = str(arguments["method"]), str(arguments["error"])
        if method == "apps.connections.open":
            self._socket.refusal = code
        elif code:
            self._web.refusals[method] = code
        else:
            self._web.refusals.pop(method, None)

    def _resend(self, arguments: Arguments) -> Arguments:
        """{"message_id", "num"?: 1, "reason"?: "http_timeout"}: Slack's own retry, signed anew."""
        post = self._sent.get(str(arguments["message_id"]))
        if post is None:
            raise ValueError(f"No message {arguments['message_id']!r} was sent.")
        packet = _signed(post.kind, post.packet.body, 0.0, None)
        retry = {
            "X-Slack-Retry-Num": str(int(arguments.get("num", 1))),
            "X-Slack-Retry-Reason": str(arguments.get("reason", "http_timeout")),
        }
        return self.portal.post(Packet({**packet.headers, **retry}, packet.body)).told()

    def _disconnect(self, arguments: Arguments) -> None:
        """{"reason"?: "refresh_requested", "seconds"?: 10}: and closed so many seconds later."""
        reason = str(arguments.get("reason", "refresh_requested"))
        self._socket.disconnect(reason, float(arguments.get("seconds", 10)))

    def _wait_for_acks(self, arguments: Arguments) -> None:
        """{"seconds": 3}: how long an acknowledgement may take."""
        self._socket.ack_seconds = float(arguments["seconds"])

    def _push_frame(self, arguments: Arguments) -> Arguments:
        """{"text": "…", "envelope_id"?: "…", "seconds"?: 1}: anything, down one connection."""
        seconds, name = float(arguments.get("seconds", 1)), str(arguments.get("envelope_id", ""))
        return {"acknowledged": self._socket.push_text(str(arguments["text"]), name, seconds)}


def _escaped(text: str) -> str:
    """As Slack escapes what people type; the ampersand first."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _trigger(n: int) -> str:
    return f"{n}.{int(time.time())}.{secrets.token_hex(16)}"


def _changed(content: Arguments, changes: Arguments) -> Arguments:
    merged = {**content, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _written(kind: str, content: Arguments) -> str:
    if kind == EVENTS:
        return json.dumps(content, ensure_ascii=False)
    if kind == INTERACTIVE:
        return urlencode({"payload": json.dumps(content, ensure_ascii=False)})
    return urlencode(content)


def _signed(kind: str, raw: bytes, seconds: float, secret: object) -> Packet:
    stamp = str(int(time.time() + seconds))
    headers = {
        "Content-Type": _JSON if kind == EVENTS else _FORM,
        "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": sign(stamp, raw, SIGNING_SECRET if secret is None else str(secret)),
    }
    return Packet(headers, raw)
