"""Model fields whose values are encrypted in the database with the keys of ENCRYPTION_KEYS.

https://cryptography.io/en/latest/fernet/#cryptography.fernet.MultiFernet
"""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.utils.translation import gettext as _

from .redaction import remember

if TYPE_CHECKING:
    _TextColumn = models.TextField[str, str]
    _DictColumn = models.TextField[dict[str, str], dict[str, str]]
else:
    _TextColumn = _DictColumn = models.TextField


class WrongKey(Exception):
    """None of ENCRYPTION_KEYS opens a stored value."""


class EncryptedField(_TextColumn):
    """Text in Python, a Fernet token in the column; the empty text stays empty in both."""

    def from_db_value(self, value: str | None, *_about: object) -> str | None:
        return _open(value, self) if value else value

    def get_prep_value(self, value: Any) -> Any:
        return _seal(str(value)) if value else value

    def value_to_string(self, obj: models.Model) -> str:
        """Nothing: dumpdata writes plain files, and secrets do not leave by it."""
        return ""


class EncryptedJSONField(_DictColumn):
    """A dict of texts in Python, one Fernet token in the column; an empty dict is kept as ""."""

    def from_db_value(self, value: str | None, *_about: object) -> dict[str, str]:
        return _noted(json.loads(_open(value, self))) if value else {}

    def to_python(self, value: Any) -> Any:
        return value or {}

    def get_prep_value(self, value: Any) -> Any:
        return _seal(json.dumps(_noted(value))) if value else ""

    def value_to_string(self, obj: models.Model) -> str:
        """Nothing, as above."""
        return ""


def fernet() -> MultiFernet:
    """What encrypts with the first of ENCRYPTION_KEYS and decrypts with all of them."""
    return _fernet(tuple(settings.ENCRYPTION_KEYS))


def rotate(token: str) -> str:
    """The same value under the first key. Raises WrongKey when no key opens the token."""
    try:
        return fernet().rotate(token).decode()
    except InvalidToken:
        raise WrongKey(_("A stored value cannot be decrypted with ENCRYPTION_KEYS.")) from None


def _seal(value: str) -> str:
    remember(value)
    return fernet().encrypt(value.encode()).decode()


def _open(token: str, field: "EncryptedField | EncryptedJSONField") -> str:
    try:
        value = _decrypted(token, tuple(settings.ENCRYPTION_KEYS))
    except InvalidToken:
        raise WrongKey(
            _(
                "The value of %(field)s cannot be decrypted with ENCRYPTION_KEYS. "
                "Put back the key that it was stored with, or enter the value anew."
            )
            % {"field": f"{field.model._meta.label_lower}.{field.name}"}
        ) from None
    remember(value)
    return value


@lru_cache(maxsize=256)
def _decrypted(token: str, keys: tuple[str, ...]) -> str:
    """Every webhook and every run reads the same few tokens; a new key or a new token misses."""
    return _fernet(keys).decrypt(token).decode()


def _noted(secrets: dict[str, str]) -> dict[str, str]:
    for secret in secrets.values():
        remember(str(secret))
    return secrets


@lru_cache(maxsize=8)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        raise ImproperlyConfigured(
            "ENCRYPTION_KEYS must be one or more Fernet keys (32 bytes, urlsafe base64)."
        ) from None
