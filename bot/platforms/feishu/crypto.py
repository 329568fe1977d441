"""Feishu's callbacks: signed over the raw body by a plain digest, encrypted with AES.

https://open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/encrypt-key-encryption-configuration-case
"""

import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot.platforms.base import Rejected, Webhook
from bot.platforms.reading import header

# Feishu delivers again for 7.1 hours; whether it signs anew then is not documented.
WINDOW: Final = timedelta(hours=8)

_STAMP: Final = re.compile(r"[0-9]{10}")
_SEALED: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_BLOCK: Final = 16


class Unopened(Exception):
    """The ciphertext is none of ours; it is never told why."""


def verify(webhook: Webhook, keys: Sequence[str], *, now: datetime) -> tuple[str, ...]:
    """The keys whose owner made it within the window, mostly one; or Rejected.

    The digest has its key in the middle, so whoever saw one can lengthen that body: only strict JSON
    keeps such a body out, because the padding between is none.
    """
    stamp = header(webhook, "x-lark-request-timestamp")
    nonce = header(webhook, "x-lark-request-nonce")
    given = header(webhook, "x-lark-signature").encode("utf-8", "replace")
    if not _STAMP.fullmatch(stamp):
        raise Rejected("bad_timestamp")
    known = tuple(_signers(keys, given, stamp, nonce, webhook.body))
    if not known:
        raise Rejected("bad_signature")
    if abs(now - datetime.fromtimestamp(int(stamp), UTC)) > WINDOW:
        raise Rejected("expired")
    return known


def sign(timestamp: str, nonce: str, key: str, body: bytes) -> str:
    """The header X-Lark-Signature."""
    head = f"{timestamp}{nonce}{key}".encode("utf-8", "replace")
    return hashlib.sha256(head + body).hexdigest()


def unseal(sealed: str, keys: Sequence[str]) -> bytes:
    """The content, by the first key that fits, or Unopened: for every reason the same."""
    if not _SEALED.fullmatch(sealed) or len(sealed) % 4:
        raise Unopened
    raw = b64decode(sealed)
    if len(raw) < 2 * _BLOCK or len(raw) % _BLOCK:
        raise Unopened
    for key in keys:
        content = _unpadded(_decrypted(raw, key))
        if content is not None:
            return content
    raise Unopened


def _signers(
    keys: Sequence[str], given: bytes, stamp: str, nonce: str, body: bytes
) -> Iterator[str]:
    for key in keys:
        if hmac.compare_digest(sign(stamp, nonce, key, body).encode(), given):
            yield key


def _decrypted(raw: bytes, key: str) -> bytes:
    secret = hashlib.sha256(key.encode()).digest()
    decryptor = Cipher(algorithms.AES(secret), modes.CBC(raw[:_BLOCK])).decryptor()
    return decryptor.update(raw[_BLOCK:]) + decryptor.finalize()


def _unpadded(whole: bytes) -> bytes | None:
    """PKCS#7, every byte of it looked at."""
    count = whole[-1]
    if not 1 <= count <= _BLOCK or whole[-count:] != bytes([count]) * count:
        return None
    return whole[:-count]
