"""How WeCom's servers seal what they send, and open what is answered: the stand-ins' own reading of it.

https://developer.work.weixin.qq.com/document/path/90968
"""

import base64
import hashlib
import os
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

_BITS = 32 * 8


@dataclass(frozen=True)
class Keys:
    """What the console shows for one callback address."""

    token: str
    aes_key: str
    receive_id: str


def sign(keys: Keys, timestamp: str, nonce: str, text: str) -> str:
    parts = [keys.token, timestamp, nonce, text]
    parts.sort()
    digest = hashlib.sha1(usedforsecurity=False)  # WeCom's choice, not ours
    for part in parts:
        digest.update(part.encode())
    return digest.hexdigest()


def seal(keys: Keys, content: str) -> str:
    message = content.encode()
    head = os.urandom(16) + struct.pack("!I", len(message))
    return encrypt(keys, head + message + keys.receive_id.encode())


def encrypt(keys: Keys, whole: bytes) -> str:
    padder = PKCS7(_BITS).padder()
    return encrypt_padded(keys, padder.update(whole) + padder.finalize())


def encrypt_padded(keys: Keys, padded: bytes) -> str:
    """For those who want to see what becomes of wrong padding."""
    encryptor = _cipher(keys).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def unseal(keys: Keys, text: str) -> str:
    """The content. ValueError for everything that WeCom would not read."""
    decryptor = _cipher(keys).decryptor()
    padded = decryptor.update(base64.b64decode(text, validate=True)) + decryptor.finalize()
    unpadder = PKCS7(_BITS).unpadder()
    whole = unpadder.update(padded) + unpadder.finalize()
    if len(whole) < 20:
        raise ValueError("There is no length in the answer.")
    (length,) = struct.unpack("!I", whole[16:20])
    message, receiver = whole[20 : 20 + length], whole[20 + length :]
    if receiver.decode() != keys.receive_id:
        raise ValueError("The answer is meant for somebody else.")
    return message.decode()


def _cipher(keys: Keys) -> Cipher[modes.CBC]:
    key = base64.b64decode(keys.aes_key + "=")
    return Cipher(algorithms.AES(key), modes.CBC(key[:16]))
