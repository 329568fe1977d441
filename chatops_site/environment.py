"""Reads the process's settings from the environment (or NAME_FILE) and refuses bad ones in a sentence."""

import re
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from chatops_site.kit.addresses import parse_allowance

T = TypeVar("T")

LANGUAGES = ("en", "zh-hans")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
SECRET_KEY_LENGTH = 50
TOKEN_LENGTH = 16
# 107 for a local socket, less "/worker-4194304.sock".
LONGEST_SOCKET_FOLDER = 86


class Environment:
    """Typed access to the environment; every refusal is an ImproperlyConfigured that names the setting."""

    def __init__(self, base: Path) -> None:
        self.base = base
        if (base / ".env").is_file():
            environ.Env.read_env(base / ".env")
        self._env = environ.FileAwareEnv()

    def text(self, name: str, default: str | None = None) -> str:
        return self._read(name, lambda: str(self._env.str(name)), default)

    def flag(self, name: str, default: bool) -> bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        value = self.text(name, str(default)).strip().lower()
        if value not in words:
            raise ImproperlyConfigured(f"{name} must be true or false.")
        return words[value]

    def words(self, name: str, default: str | None = None) -> list[str]:
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def seconds(self, name: str, default: float) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 < number < 86_400:
            raise ImproperlyConfigured(f"{name} must be a number of seconds between 0 and 86400.")
        return number

    def count(self, name: str, default: int) -> int:
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit() and 0 < int(value) <= 1000):
            raise ImproperlyConfigured(f"{name} must be a whole number from 1 to 1000.")
        return int(value)

    def one_of(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}.")
        return value

    def secret_key(self) -> str:
        value = self.text("SECRET_KEY")
        if len(value) < SECRET_KEY_LENGTH or len(set(value)) < 5:
            raise ImproperlyConfigured(
                f"SECRET_KEY must be a random text of at least {SECRET_KEY_LENGTH} characters."
            )
        return value

    def encryption_keys(self) -> list[str]:
        keys = self.words("ENCRYPTION_KEYS")
        try:
            usable = [Fernet(key) for key in keys]
        except ValueError:
            usable = []
        if not usable:
            raise ImproperlyConfigured(
                "ENCRYPTION_KEYS must be one or more Fernet keys (32 bytes, urlsafe base64), comma-separated."
            )
        return keys

    def database(self) -> dict[str, Any]:
        url = self.text("DATABASE_URL", "sqlite:///var/portal.sqlite3")
        try:
            config: dict[str, Any] = dict(environ.Env.db_url_config(url))
        except (ValueError, ImproperlyConfigured):
            config = {}
        if config.get("ENGINE") not in DATABASES:
            raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:/// or postgres://.")
        return DATABASES[config["ENGINE"]](self.base, config)

    def time_zone(self) -> str:
        value = self.text("TIME_ZONE", "Asia/Shanghai")
        if value not in zoneinfo.available_timezones():
            raise ImproperlyConfigured("TIME_ZONE must be a name such as Asia/Shanghai or UTC.")
        return value

    def outgoing_allow(self) -> list[str]:
        """Hosts, host:port or networks, as kit/addresses.py reads them."""
        words = self.words("OUTGOING_ALLOW", "")
        parse_allowance(tuple(words))
        return words

    def address(self, name: str) -> str:
        """An http(s) address without a slash at its end, or ""."""
        value = self.text(name, "").rstrip("/")
        if value and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
            raise ImproperlyConfigured(
                f"{name} must be an address such as https://chatops.example.com."
            )
        return value

    def token(self, name: str) -> str:
        """What a machine shows as Bearer, or ""; a file may end with a line break."""
        value = self.text(name, "").strip()
        if value and not re.fullmatch(rf"[!-~]{{{TOKEN_LENGTH},200}}", value):
            raise ImproperlyConfigured(
                f"{name} must be {TOKEN_LENGTH} to 200 letters, digits and signs without blanks."
            )
        return value

    def socket_folder(self, name: str, default: Path) -> str:
        """A folder for local sockets, whose paths the system keeps short."""
        value = self.text(name, str(default))
        if len(value.encode()) > LONGEST_SOCKET_FOLDER:
            raise ImproperlyConfigured(
                f"{name} must be a folder of at most {LONGEST_SOCKET_FOLDER} characters, such as /run/chatops."
            )
        return value

    def origins(self, name: str) -> list[str]:
        values = self.words(name, "")
        if not all(value.startswith(("https://", "http://")) for value in values):
            raise ImproperlyConfigured(f"Each of {name} must begin with https:// or http://.")
        return values

    def _read(self, name: str, read: Callable[[], str], default: str | None) -> str:
        try:
            return read()
        except OSError:
            raise ImproperlyConfigured(f"The file that {name}_FILE names cannot be read.") from None
        except ImproperlyConfigured:
            if default is None:
                raise ImproperlyConfigured(f"{name} (or {name}_FILE) is not set.") from None
            return default


def _sqlite(base: Path, config: dict[str, Any]) -> dict[str, Any]:
    """WAL, FULL and IMMEDIATE were measured together: nothing acknowledged is lost, no write fails."""
    path = base / config["NAME"]
    path.parent.mkdir(parents=True, exist_ok=True)
    config["ENGINE"] = "chatops_site.kit.sqlite"
    config["NAME"] = str(path)
    config["CONN_MAX_AGE"] = None
    config["OPTIONS"] = {
        "timeout": 5,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
        "PRAGMA recursive_triggers=ON; PRAGMA foreign_keys=ON;",
    }
    return config


def _postgres(base: Path, config: dict[str, Any]) -> dict[str, Any]:
    config["CONN_MAX_AGE"] = 600
    config["CONN_HEALTH_CHECKS"] = True
    config.setdefault("OPTIONS", {})["connect_timeout"] = 5
    return config


DATABASES: dict[str, Callable[[Path, dict[str, Any]], dict[str, Any]]] = {
    "django.db.backends.sqlite3": _sqlite,
    "django.db.backends.postgresql": _postgres,
}
