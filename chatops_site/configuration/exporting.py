"""Writes what the portal holds as the file that would make it so; no secret leaves, only its variable's name."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml
from django.db import models
from django.utils import timezone

from bot.models import Conversation
from chatops_site.configuration.sections import SECTIONS, Key, Kind, Section
from chatops_site.configuration.values import ENV

_LEFT_OUT: Final[tuple[Any, ...]] = (None, "", [], {})


class _Dumper(yaml.SafeDumper):
    """Quotes what any YAML reader could take for something else, but for the key `on`."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and value == "on":
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def ignore_aliases(self, data: Any) -> bool:
        return True


def export() -> str:
    """YAML that apply_config takes, on an empty portal too. Rows are in the order of their names."""
    parts = []
    for section in SECTIONS.values():
        rows = [_row(section, each) for each in _instances(section)]
        if rows:
            parts.append(_dump({section.name: rows}))
    return "\n".join(parts)


def _dump(content: Any) -> str:
    text: str = yaml.dump(
        content,
        Dumper=_Dumper,
        allow_unicode=True,
        sort_keys=False,
        default_flow_style=None,
        width=110,
    )
    return text


def _instances(section: Section) -> list[Any]:
    if section.name == "grants":
        return sorted(section.model._base_manager.all(), key=lambda grant: (str(grant), grant.pk))
    return list(section.model._base_manager.order_by(*_ORDERS.get(section.name, ("name",))))


_ORDERS: Final = {"conversations": ("bot__name", "external_id"), "people": ("username",)}


def _row(section: Section, instance: models.Model) -> dict[str, Any]:
    values = {key.name: GETTERS[key.kind](instance, key) for key in section.keys}
    return {name: value for name, value in values.items() if value not in _LEFT_OUT}


def _get_plain(instance: Any, key: Key) -> Any:
    return getattr(instance, key.field)


def _get_reference(instance: Any, key: Key) -> Any:
    other = getattr(instance, key.field)
    return other.name if other is not None else None


def _get_secret(instance: Any, key: Key) -> Any:
    source = instance.secret_sources.get(key.field)
    return f"{ENV}{source}" if source else None


def _get_secrets(instance: Any, key: Key) -> Any:
    return {name: f"{ENV}{source}" for name, source in sorted(instance.secret_sources.items())}


def _get_accounts(instance: Any, key: Key) -> Any:
    accounts = instance.accounts.order_by("platform", "tenant", "external_id")
    return [
        {"platform": each.platform, "tenant": each.tenant, "id": each.external_id}
        for each in accounts
    ]


def _get_teams(instance: Any, key: Key) -> Any:
    return [team.name for team in instance.teams.order_by("name")]


def _get_scope(instance: Any, key: Key) -> Any:
    return instance.scope


def _get_moment(instance: Any, key: Key) -> Any:
    moment = getattr(instance, key.field)
    return timezone.localtime(moment).isoformat() if moment is not None else None


def _get_places(instance: Any, key: Key) -> Any:
    places = instance.conversations.select_related("bot").order_by("bot__name", "external_id")
    return [_place(place) for place in places]


def _place(place: Conversation) -> str:
    alone = Conversation.objects.filter(external_id=place.external_id).count() == 1
    return place.external_id if alone else f"{place.bot.name}:{place.external_id}"


GETTERS: Final[Mapping[Kind, Callable[[Any, Key], Any]]] = {
    Kind.TEXT: _get_plain,
    Kind.FLAG: _get_plain,
    Kind.COUNT: _get_plain,
    Kind.LISTED: _get_plain,
    Kind.LOGINS: _get_plain,
    Kind.SETTINGS: _get_plain,
    Kind.REFERENCE: _get_reference,
    Kind.SECRET: _get_secret,
    Kind.SECRETS: _get_secrets,
    Kind.ACCOUNTS: _get_accounts,
    Kind.TEAMS: _get_teams,
    Kind.SCOPE: _get_scope,
    Kind.MOMENT: _get_moment,
    Kind.PLACES: _get_places,
}
