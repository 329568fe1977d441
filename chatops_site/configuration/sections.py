"""The sections of the file, in the order in which they are applied, with the keys of their rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from django.db import models

from bot.models import Bot, Conversation, Grant, Person, Role, Team
from repos.models import Environment, Forge, JenkinsServer, Job, Repository, Service


class Kind(StrEnum):
    """How a value is written in the file."""

    TEXT = "text"
    FLAG = "flag"
    COUNT = "count"
    LISTED = "listed"
    REFERENCE = "reference"
    SECRET = "secret"  # noqa: S105 (a kind)
    SECRETS = "secrets"
    SETTINGS = "settings"
    LOGINS = "logins"
    ACCOUNTS = "accounts"
    TEAMS = "teams"
    SCOPE = "scope"
    MOMENT = "moment"
    PLACES = "places"


@dataclass(frozen=True)
class Key:
    """column: the model's field where it is called otherwise. refers_to: the section it names a row of.

    last: set when every row of the file is there, because it may point forward.
    """

    name: str
    kind: Kind = Kind.TEXT
    column: str = ""
    refers_to: str = ""
    last: bool = False

    @property
    def field(self) -> str:
        return self.column or self.name


@dataclass(frozen=True)
class Section:
    """identity: the keys by which a row is found again, each with the lookup that finds it."""

    name: str
    model: type[models.Model]
    keys: tuple[Key, ...]
    identity: Mapping[str, str] = field(default_factory=lambda: {"name": "name__iexact"})

    def key(self, name: str) -> Key:
        return next(key for key in self.keys if key.name == name)

    def key_of(self, column: str) -> str:
        """What a column is called in the file."""
        return next((key.name for key in self.keys if key.field == column), column)


def _to(section: str, name: str, *, last: bool = False) -> Key:
    return Key(name, Kind.REFERENCE, refers_to=section, last=last)


_NAME: Final = Key("name")
_CA_FILE: Final = Key("ca_file")

_ALL: Final = (
    Section(
        "forges",
        Forge,
        (
            _NAME,
            Key("kind"),
            Key("base_url"),
            Key("token", Kind.SECRET),
            Key("webhook_secret", Kind.SECRET),
            _CA_FILE,
        ),
    ),
    Section(
        "repositories",
        Repository,
        (
            _NAME,
            _to("forges", "forge"),
            Key("path"),
            Key("merge_method"),
            Key("default", Kind.FLAG, last=True),
            Key("checks", Kind.LISTED),
            Key("approvals", Kind.COUNT),
            _to("jobs", "test_job", last=True),
        ),
    ),
    Section(
        "jenkins",
        JenkinsServer,
        (_NAME, Key("base_url"), Key("username"), Key("token", Kind.SECRET), _CA_FILE),
    ),
    Section(
        "environments",
        Environment,
        (
            _NAME,
            Key("confirm", Kind.FLAG),
            Key("approvals", Kind.COUNT),
            _to("environments", "after", last=True),
        ),
    ),
    Section(
        "services",
        Service,
        (_NAME, _to("repositories", "repository"), Key("aliases", Kind.LISTED)),
    ),
    Section(
        "jobs",
        Job,
        (
            _NAME,
            _to("jenkins", "jenkins"),
            Key("path"),
            Key("purpose"),
            _to("services", "service"),
            _to("environments", "environment"),
            Key("parameters", Kind.LISTED),
        ),
    ),
    Section(
        "bots",
        Bot,
        (
            _NAME,
            Key("platform"),
            Key("settings", Kind.SETTINGS),
            Key("secrets", Kind.SECRETS),
            Key("language"),
            Key("enabled", Kind.FLAG),
        ),
    ),
    Section(
        "conversations",
        Conversation,
        (
            _to("bots", "bot"),
            Key("id", column="external_id"),
            _NAME,
            _to("repositories", "repository"),
        ),
        {"bot": "bot", "id": "external_id"},
    ),
    Section("roles", Role, (_NAME, Key("commands", Kind.LISTED))),
    Section("teams", Team, (_NAME,), {"name": "name"}),
    Section(
        "people",
        Person,
        (
            _NAME,
            Key("username"),
            Key("forge_logins", Kind.LOGINS),
            Key("accounts", Kind.ACCOUNTS),
            Key("teams", Kind.TEAMS),
            _to("repositories", "repository"),
            Key("active", Kind.FLAG),
        ),
        {"username": "username"},
    ),
    Section(
        "grants",
        Grant,
        (
            _to("people", "person"),
            _to("teams", "team"),
            _to("roles", "role"),
            Key("on", Kind.SCOPE),
            Key("until", Kind.MOMENT),
            Key("conversations", Kind.PLACES),
        ),
        {"role": "role", "on": ""},
    ),
)
SECTIONS: Final[Mapping[str, Section]] = {section.name: section for section in _ALL}
SCOPES: Final = {"repository": "repositories", "service": "services", "environment": "environments"}


def names_in(section: str) -> Any:
    """The names of a section's rows as they are stored now."""
    model = SECTIONS[section].model
    return model._base_manager.values_list("name", flat=True)
