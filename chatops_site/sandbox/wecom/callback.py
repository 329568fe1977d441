"""Callbacks as both of WeCom's stand-ins send them: sealed anew for each try, and tampered with on request."""

import json
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.talk import Answered, Packet, Portal
from chatops_site.sandbox.wecom.crypto import Keys, seal, sign, unseal

Arguments = dict[str, Any]
# WeCom waits that long before it delivers again, and does so at most that often.
RETRY_SECONDS = 5.0
MOST_RETRIES = 3
_TAMPERINGS = frozenset(
    {"seconds", "nonce", "secret", "aes_key", "receive_id", "body", "raw_content", "raw_body"}
    | {"headers", "query", "replay", "swap"}
)


class Callbacks:
    """What was sent, so that it can be sent again. write: content and envelope in the form's own way."""

    def __init__(
        self,
        keys: Keys,
        portal: Portal,
        clock: Clock,
        *,
        write: Callable[[Arguments], str],
        envelop: Callable[[str], str],
        kind: str,
    ) -> None:
        self._keys, self._portal, self._clock = keys, portal, clock
        self._write, self._envelop, self._kind = write, envelop, kind
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._sent: dict[str, tuple[Packet, Arguments]] = {}

    def check(self, tamper: Arguments) -> None:
        """ValueError for wishes that nobody can fulfil."""
        unknown = set(tamper) - _TAMPERINGS
        if unknown:
            known = ", ".join(sorted(_TAMPERINGS))
            raise ValueError(f"tamper has no {', '.join(sorted(unknown))}; it has {known}.")
        if "replay" in tamper and tamper["replay"] not in self._sent:
            raise ValueError(f"No message {tamper['replay']!r} was sent.")

    def prepare(self, name: str, content: Arguments, tamper: Arguments) -> Packet:
        """What an attacker or a fault makes of a genuine callback; without wishes: the genuine one.

        seconds: shifts the signed time; nonce: that one; secret: signs with another token; aes_key,
        receive_id: encrypts for others; body: fields of the content (null takes one out);
        raw_content: text instead of the content; raw_body: instead of the envelope; headers, query:
        after signing; replay: the whole packet of that message id; swap: timestamp and nonce
        exchanged, which the signature does not show.
        """
        earlier = self._sent.get(tamper.get("replay", ""))
        packet = earlier[0] if earlier else self._tampered(content, tamper)
        packet = _swapped(packet) if tamper.get("swap") else packet
        with self._lock:
            self._sent[name] = packet, content
        return packet

    def post(self, packet: Packet) -> Answered:
        return self._portal.post(packet)

    def resend(self, name: str, times: int, seconds: float) -> list[Answered]:
        """The same content again, with a new nonce and a new ciphertext, after a pause each time."""
        if name not in self._sent:
            raise ValueError(f"No message {name!r} was sent.")
        if not 1 <= times <= MOST_RETRIES:
            raise ValueError(f"times is a number from 1 to {MOST_RETRIES}.")
        told = []
        for _ in range(times):
            time.sleep(seconds / self._clock.factor)
            told.append(self.post(self._tampered(self._sent[name][1], {})))
        return told

    def ask(self, content: Arguments) -> Answered:
        """A callback that nobody keeps: the polls of a stream."""
        return self.post(self._tampered(content, {}))

    def shake(self, tamper: Arguments) -> Arguments:
        """The console's check of the address: the answer has to be the number alone."""
        self.check(tamper)
        number = str(secrets.randbelow(10**18) + 10**18)
        sealed = seal(_keys(self._keys, tamper), number)
        query = self._signed(sealed, tamper) | {"echostr": sealed}
        packet = Packet({}, b"", urlencode(_changed(query, tamper.get("query", {}))), "GET")
        answered = self.post(packet)
        right = answered.status == 200 and answered.body == number.encode()
        return {**answered.told(), "verified": right}

    def read(self, body: bytes, parse: Callable[[bytes], dict[str, str]]) -> str:
        """The content of a sealed answer. ValueError where WeCom would not take it."""
        found = parse(body)
        wanted = sign(self._keys, found["timestamp"], found["nonce"], found["encrypt"])
        if found["signature"] != wanted:
            raise ValueError("The answer's signature is wrong.")
        return unseal(self._keys, found["encrypt"])

    def _tampered(self, content: Arguments, tamper: Arguments) -> Packet:
        told = _changed(content, tamper.get("body", {}))
        sealed = seal(_keys(self._keys, tamper), tamper.get("raw_content", self._write(told)))
        raw = tamper.get("raw_body", self._envelop(sealed))
        query = _changed(self._signed(sealed, tamper), tamper.get("query", {}))
        headers = _changed({"Content-Type": self._kind}, tamper.get("headers", {}))
        return Packet(headers, raw.encode(), urlencode(query))

    def _signed(self, sealed: str, tamper: Arguments) -> dict[str, str]:
        stamp = str(int(time.time() + float(tamper.get("seconds", 0))))
        nonce = str(tamper.get("nonce", f"{secrets.randbelow(10**10):010d}"))
        signature = sign(_keys(self._keys, tamper), stamp, nonce, sealed)
        return {"msg_signature": signature, "timestamp": stamp, "nonce": nonce}


def as_json_text(content: Arguments) -> str:
    return json.dumps(content, ensure_ascii=False)


def _keys(keys: Keys, tamper: Arguments) -> Keys:
    return Keys(
        str(tamper.get("secret", keys.token)),
        str(tamper.get("aes_key", keys.aes_key)),
        str(tamper.get("receive_id", keys.receive_id)),
    )


def _changed(content: Arguments, changes: Arguments) -> Arguments:
    merged = {**content, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _swapped(packet: Packet) -> Packet:
    exchanged = {"timestamp": "nonce", "nonce": "timestamp"}
    parts = [part.partition("=") for part in packet.query.split("&")]
    query = "&".join(f"{exchanged.get(name, name)}={value}" for name, _, value in parts)
    return Packet(packet.headers, packet.body, query, packet.method)
