"""How each kind of value is read from a row of the file into an object of the portal."""

import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.db import models
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from bot.models import Bot
from bot.platforms import PLATFORMS
from bot.platforms.base import Platform
from chatops_site.configuration.problems import Skipped, Wrong, unknown
from chatops_site.configuration.sections import SCOPES, SECTIONS, Key, Kind, names_in

ENV: Final = "env:"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The portal's own secrets: nobody else is to be told them, whoever wrote the file.
_OURS: Final = frozenset({"SECRET_KEY", "ENCRYPTION_KEYS", "DATABASE_URL"})

# (section, name) of the rows of this file that were refused.
Refused = set[tuple[str, str]]


def text_of(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Wrong(_("this is a text; write it in quotes."))
    return value


def _set_text(target: Any, key: Key, value: Any, refused: Refused) -> None:
    setattr(target, key.field, text_of(value))


def _set_flag(target: Any, key: Key, value: Any, refused: Refused) -> None:
    if not isinstance(value, bool):
        raise Wrong(_("this is true or false."))
    setattr(target, key.field, value)


def _set_count(target: Any, key: Key, value: Any, refused: Refused) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Wrong(_("this is a whole number."))
    setattr(target, key.field, value)


def _set_listed(target: Any, key: Key, value: Any, refused: Refused) -> None:
    """Lists and mappings whose form the model's own validator knows."""
    setattr(target, key.field, value)


def _set_reference(target: Any, key: Key, value: Any, refused: Refused) -> None:
    setattr(target, key.field, find(key.refers_to, value, refused) if value is not None else None)


def find(section: str, value: Any, refused: Refused) -> models.Model:
    """The stored object with that name. Raises Wrong, or Skipped when its own row was refused."""
    name = text_of(value)
    found: models.Model | None = SECTIONS[section].model._base_manager.filter(name=name).first()
    if found is not None:
        return found
    if (section, name.casefold()) in refused:
        raise Skipped
    raise Wrong(_("in %(section)s ") % {"section": section} + unknown(name, names_in(section)))


def _set_scope(target: Any, key: Key, value: Any, refused: Refused) -> None:
    """everything, or one thing as in repository:shop."""
    for kind in SCOPES:
        setattr(target, kind, None)
    scope = text_of(value)
    if scope == "everything":
        return
    kind, colon, name = scope.partition(":")
    if not colon or kind not in SCOPES:
        raise Wrong(_("this is everything, repository:NAME, service:NAME or environment:NAME."))
    setattr(target, kind, find(SCOPES[kind], name, refused))


def _set_moment(target: Any, key: Key, value: Any, refused: Refused) -> None:
    setattr(target, key.field, _moment(text_of(value)))


def _moment(text: str) -> datetime | None:
    """A date alone lasts to its end; without an offset it is the portal's time zone."""
    if not text:
        return None
    try:
        moment, day = parse_datetime(text), parse_date(text)
    except ValueError:
        moment, day = None, None
    if day is not None:
        moment = datetime(day.year, day.month, day.day) + timedelta(days=1)
    if moment is None:
        raise Wrong(_("this is a date or a time, such as 2027-01-31 or 2027-01-31T18:00:00+08:00."))
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


def _set_secret(target: Any, key: Key, value: Any, refused: Refused) -> None:
    secret, source = _secret(value)
    setattr(target, key.field, secret)
    target.secret_sources = _sources(target.secret_sources, key.field, source)


def _secret(value: Any) -> tuple[str, str]:
    """The secret itself, and the variable it came from or ""."""
    written = text_of(value)
    if not written.startswith(ENV):
        return written, ""
    name = written.removeprefix(ENV)
    if not _VARIABLE.fullmatch(name) or name in _OURS:
        raise Wrong(_("env:%(name)s names no variable for this.") % {"name": name[:80]})
    return _from_environment(name), name


def _from_environment(name: str) -> str:
    """As the portal's own settings are read: NAME, or the file that NAME_FILE names."""
    file = os.environ.get(f"{name}_FILE")
    try:
        secret = Path(file).read_text("utf-8").strip() if file else os.environ.get(name, "")
    except (OSError, UnicodeDecodeError):
        raise Wrong(
            _("the file that %(name)s_FILE names cannot be read.") % {"name": name}
        ) from None
    if not secret:
        raise Wrong(
            _("the environment variable %(name)s is not set; set it, or leave the key out.")
            % {"name": name}
        )
    return secret


def _sources(known: Mapping[str, str], name: str, source: str) -> dict[str, str]:
    rest = {key: value for key, value in known.items() if key != name}
    return {**rest, name: source} if source else rest


def platform_of(bot: Bot) -> type[Platform]:
    """Raises Skipped when there is no such platform; the model's own check says so."""
    if bot.platform not in PLATFORMS:
        raise Skipped
    platform: type[Platform] = import_string(PLATFORMS[bot.platform])
    return platform


def _set_settings(target: Bot, key: Key, value: Any, refused: Refused) -> None:
    """The whole mapping is replaced: a setting that is not written any more is gone."""
    written = _mapping(value)
    _check_names(written, {setting.name for setting in platform_of(target).settings})
    target.settings = {name: _setting(name, each) for name, each in written.items()}


def _setting(name: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    try:
        return text_of(value)
    except Wrong as wrong:
        raise Wrong(f"{name}: {wrong}") from None


def _set_secrets(target: Bot, key: Key, value: Any, refused: Refused) -> None:
    """Secrets that are not written are left alone, so that an exported file forgets none."""
    written = _mapping(value)
    declared = {secret.name for secret in platform_of(target).secrets}
    _check_names(written, declared)
    secrets = {name: each for name, each in (target.secrets or {}).items() if name in declared}
    sources = {name: each for name, each in target.secret_sources.items() if name in declared}
    for name, each in written.items():
        try:
            secrets[name], source = _secret(each)
        except Wrong as wrong:
            raise Wrong(f"{name}: {wrong}") from None
        sources = _sources(sources, name, source)
    target.secrets, target.secret_sources = secrets, sources


def _mapping(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Wrong(_("this is a mapping: {name: value}."))
    return value


def _check_names(written: Mapping[str, Any], known: set[str]) -> None:
    for name in written:
        if name not in known:
            raise Wrong(unknown(name, known))


def _set_logins(target: Any, key: Key, value: Any, refused: Refused) -> None:
    for forge in _mapping(value):
        find("forges", forge, refused)
    target.forge_logins = _mapping(value)


Setter = Callable[[Any, Key, Any, Refused], None]
SETTERS: Final[Mapping[Kind, Setter]] = {
    Kind.TEXT: _set_text,
    Kind.FLAG: _set_flag,
    Kind.COUNT: _set_count,
    Kind.LISTED: _set_listed,
    Kind.REFERENCE: _set_reference,
    Kind.SECRET: _set_secret,
    Kind.SECRETS: _set_secrets,
    Kind.SETTINGS: _set_settings,
    Kind.LOGINS: _set_logins,
    Kind.SCOPE: _set_scope,
    Kind.MOMENT: _set_moment,
}
