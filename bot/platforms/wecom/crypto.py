"""WeCom's sealed messages: signed over the ciphertext, encrypted with AES, both ways.

https://developer.work.weixin.qq.com/document/path/90968
https://developer.work.weixin.qq.com/document/path/90930
"""

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot.platforms.base import Platform, Rejected, Setting, Webhook
from bot.platforms.reading import parameter

SECRETS: Final = (
    Setting("token"),
    Setting("aes_key"),
    Setting("token_old", required=False),
    Setting("aes_key_old", required=False),
)
# WeCom delivers again for as long as that.
WINDOW: Final = timedelta(hours=8)
LARGEST: Final = 256 * 1024

_STAMP: Final = re.compile(r"[0-9]{10}")
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{43}")
_SEALED: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
# What WeCom has echoed is a number. Anything richer could be somebody's message, sent in as an echo.
_ECHO: Final = re.compile(rb"[A-Za-z0-9_-]{1,128}")
_BLOCK: Final = 32
_RANDOM: Final = 16
_HEAD: Final = 20


class Unopened(Exception):
    """The ciphertext is none of ours; it is never told why."""


@dataclass(frozen=True)
class Seal:
    """A token and a key, as the console shows them together. receive_id: whom the content is for."""

    token: str = field(repr=False)
    aes_key: str = field(repr=False)
    receive_id: str

    @property
    def is_usable(self) -> bool:
        return bool(self.token) and _KEY.fullmatch(self.aes_key) is not None

    def sign(self, timestamp: str, nonce: str, sealed: str) -> str:
        """Nothing stands between the four: exchanging timestamp and nonce changes nothing."""
        joined = "".join(sorted((self.token, timestamp, nonce, sealed)))
        # WeCom's own choice; https://developer.work.weixin.qq.com/document/path/90968
        return hashlib.sha1(joined.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()

    def open(self, sealed: str) -> bytes:
        """The content, or Unopened: for every reason the same."""
        if not _SEALED.fullmatch(sealed) or len(sealed) % 4:
            raise Unopened
        raw = b64decode(sealed)
        if not raw or len(raw) % _BLOCK:
            raise Unopened
        decryptor = self._cipher().decryptor()
        return self._content(_unpadded(decryptor.update(raw) + decryptor.finalize()))

    def close(self, content: bytes) -> str:
        """The content as only WeCom can read it."""
        length = len(content).to_bytes(4, "big")
        whole = secrets.token_bytes(_RANDOM) + length + content + self.receive_id.encode()
        padding = _BLOCK - len(whole) % _BLOCK
        encryptor = self._cipher().encryptor()
        raw = encryptor.update(whole + bytes([padding]) * padding) + encryptor.finalize()
        return b64encode(raw).decode()

    def _cipher(self) -> Cipher[modes.CBC]:
        # 43 characters are 258 bits: what the last one has too much is left out.
        key = b64decode(self.aes_key + "=")
        return Cipher(algorithms.AES(key), modes.CBC(key[:16]))

    def _content(self, whole: bytes) -> bytes:
        if len(whole) < _HEAD:
            raise Unopened
        end = _HEAD + int.from_bytes(whole[_RANDOM:_HEAD], "big")
        receiver = self.receive_id.encode()
        if len(whole) != end + len(receiver) or not hmac.compare_digest(whole[end:], receiver):
            raise Unopened
        return whole[_HEAD:end]


@dataclass(frozen=True)
class Opened:
    """An authentic content, when it was signed, and the seal that an answer has to have."""

    content: bytes
    signed_at: datetime
    seal: Seal


@dataclass(frozen=True)
class Answer:
    """A sealed answer, in the four parts that every form of it has."""

    sealed: str
    signature: str
    timestamp: str
    nonce: str


class Seals:
    """The seals that count for a bot: the current one, and while it is being changed the old one."""

    def __init__(self, platform: Platform, *, receive_id: str) -> None:
        secret = platform.secret
        token, aes_key = secret("token"), secret("aes_key")
        old_token, old_key = secret("token_old"), secret("aes_key_old")
        found = [Seal(token, aes_key, receive_id)]
        if old_token or old_key:
            found.append(Seal(old_token or token, old_key or aes_key, receive_id))
        self._seals = [seal for seal in found if seal.is_usable]

    @property
    def are_usable(self) -> bool:
        return bool(self._seals)

    def open(self, webhook: Webhook, sealed: str, *, now: datetime) -> Opened:
        """Signature, then freshness, then the content; Rejected."""
        opened = self.reopen(webhook, sealed)
        if abs(now - opened.signed_at) > WINDOW:
            raise Rejected("expired")
        return opened

    def reopen(self, webhook: Webhook, sealed: str) -> Opened:
        """As open(), of what was found fresh before."""
        if len(sealed) > LARGEST:
            raise Rejected("too_large", status=413)
        given = parameter(webhook, "msg_signature")
        stamp, nonce = parameter(webhook, "timestamp"), parameter(webhook, "nonce")
        if not _STAMP.fullmatch(stamp):
            raise Rejected("bad_timestamp")
        signers = list(self._signers(given, stamp, nonce, sealed))
        if not signers:
            raise Rejected("bad_signature")
        signed_at = datetime.fromtimestamp(int(stamp), UTC)
        for seal in signers:
            try:
                return Opened(seal.open(sealed), signed_at, seal)
            except Unopened:
                continue
        raise Rejected("decrypt_failed", status=400)

    def echo(self, webhook: Webhook, *, now: datetime) -> bytes:
        """What WeCom wants to hear when it checks the address."""
        # A blank is a plus sign that somebody on the way has decoded twice.
        sealed = parameter(webhook, "echostr").replace(" ", "+")
        content = self.open(webhook, sealed, now=now).content
        if not _ECHO.fullmatch(content):
            raise Rejected("decrypt_failed", status=400)
        return content

    def _signers(self, given: str, stamp: str, nonce: str, sealed: str) -> Iterator[Seal]:
        for seal in self._seals:
            right = seal.sign(stamp, nonce, sealed).encode()
            if hmac.compare_digest(right, given.encode("utf-8", "replace")):
                yield seal


def answer_by(seal: Seal, content: bytes, *, now: datetime) -> Answer:
    sealed, stamp = seal.close(content), str(int(now.timestamp()))
    nonce = f"{secrets.randbelow(10**10):010d}"
    return Answer(sealed, seal.sign(stamp, nonce, sealed), stamp, nonce)


def _unpadded(whole: bytes) -> bytes:
    """PKCS#7 for blocks of 32 bytes, every byte of it looked at."""
    count = whole[-1]
    if not 1 <= count <= _BLOCK or whole[-count:] != bytes([count]) * count:
        raise Unopened
    return whole[:-count]
