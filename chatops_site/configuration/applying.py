"""Applies a file in one transaction: all of it or, when anything is wrong with it, nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from audit.changes import SYSTEM, Change, record_changes
from bot.commands.registry import specs
from bot.models import Bot, Role
from chatops_site.configuration import members
from chatops_site.configuration.application import Application, Row
from chatops_site.configuration.problems import ConfigurationRefused, Skipped, Wrong, unknown
from chatops_site.configuration.reading import Document
from chatops_site.configuration.sections import SECTIONS, Key
from chatops_site.configuration.values import SETTERS, platform_of, text_of
from repos.models import Environment, Repository


@dataclass(frozen=True)
class Outcome:
    """changes: what is (or, in a dry run, would be) different. untouched: how many rows were so already."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    untouched: int


def apply(document: Document, *, keep: bool = True) -> Outcome:
    """Raises ConfigurationRefused with every fault. keep=False looks only, and leaves no trace."""
    _check_sections(document)
    application = Application()
    with transaction.atomic():
        rows = _first_pass(application, document)
        _second_pass(rows)
        if application.problems:
            raise ConfigurationRefused(application.problems)
        changes = application.changes()
        record_changes(SYSTEM, changes)
        if not keep:
            transaction.set_rollback(True)
    untouched = max(0, len(rows) - len(changes))
    return Outcome(tuple(changes), tuple(application.warnings), untouched)


def _check_sections(document: Document) -> None:
    faults = [
        _("section %(name)s: ") % {"name": name} + unknown(name, SECTIONS)
        for name in document
        if name not in SECTIONS
    ]
    if faults:
        raise ConfigurationRefused(faults)


def _first_pass(application: Application, document: Document) -> list[Row]:
    rows = []
    for section in SECTIONS.values():
        take = _TAKERS.get(section.name, _take)
        for number, values in enumerate(document.get(section.name, []), 1):
            row = Row(application, section, values, number)
            row.check_keys()
            if row.fine:
                take(row)
            rows.append(row)
        _finish(section.name, [row for row in rows if row.section is section and row.fine])
    return rows


def _finish(section: str, rows: list[Row]) -> None:
    if section in _FINISHERS:
        _FINISHERS[section](rows)


def _take(row: Row) -> None:
    """Finds or begins the row's object, sets what can be set now, and saves it."""
    instance = _find(row)
    if instance is None:
        return
    row.set(instance, last=False)
    if row.fine:
        _check(_CHECKS, row, instance)
    if row.fine:
        row.validate(instance)
    if row.fine:
        row.application.save(instance)
        _claim(row, instance)
        row.instance = instance


def _find(row: Row) -> Any:
    model = row.section.model
    lookups = {}
    for name, lookup in row.section.identity.items():
        with row.judging(name):
            lookups[lookup] = _identity(row, row.section.key(name))
    if not row.fine:
        return None
    return model._base_manager.filter(**lookups).first() or model()


def _identity(row: Row, key: Key) -> Any:
    """The value of an identifying key, as its own setter reads it."""
    probe = row.section.model()
    SETTERS[key.kind](probe, key, row.values[key.name], row.application.refused)
    return getattr(probe, key.field)


def _claim(row: Row, instance: Any) -> None:
    mark = (type(instance), instance.pk)
    if mark in row.application.claimed:
        row.blame("", _("this stands in the file twice."))
    row.application.claimed.add(mark)


def _second_pass(rows: list[Row]) -> None:
    """What points forward; a repository that stops being the default comes before the one that starts."""
    for row in sorted(rows, key=lambda row: row.values.get("default") is True):
        if row.instance is None or not row.fine:
            continue
        row.instance.refresh_from_db()
        row.set(row.instance, last=True)
        if row.fine:
            _check(_LAST_CHECKS, row, row.instance)
        if row.fine:
            row.validate(row.instance)
        if row.fine:
            row.application.save(row.instance)


def _check(checks: "Checks", row: Row, instance: Any) -> None:
    if row.section.name in checks:
        checks[row.section.name](row, instance)


def _check_role(row: Row, role: Role) -> None:
    verbs = {spec.verb for spec in specs()}
    known = verbs | {verb.split(" ")[0] for verb in verbs}
    for command in role.commands if isinstance(role.commands, list) else []:
        if command not in known:
            row.blame("commands", unknown(command, known))


def _check_bot(row: Row, bot: Bot) -> None:
    """A missing setting is a fault; a missing secret is not, for an export leaves secrets out."""
    try:
        platform = platform_of(bot)
    except Skipped:
        return
    for setting in platform.settings:
        if setting.required and not bot.settings.get(setting.name):
            row.blame("settings", _("%(name)s is missing.") % {"name": setting.name})
    for secret in platform.secrets:
        if secret.required and not (bot.secrets or {}).get(secret.name):
            row.application.warnings.append(
                _("bots, %(bot)s: the secret %(name)s is not set yet; enter it in the admin.")
                % {"bot": bot.name, "name": secret.name}
            )


def _check_default(row: Row, repository: Repository) -> None:
    other = Repository.objects.filter(default=True).exclude(pk=repository.pk).first()
    if repository.default and other is not None:
        row.blame(
            "default",
            _("%(other)s is the default; write default: false there.") % {"other": other.name},
        )


def _check_order(row: Row, environment: Environment) -> None:
    """An environment that comes, over others, only after itself could never be deployed to."""
    seen, at = {environment.pk}, environment.after
    while at is not None:
        if at.pk in seen:
            row.blame("after", _("this goes round in a circle."))
            return
        seen.add(at.pk)
        at = at.after


def _begin_earlier(rows: list[Row]) -> None:
    """An environment that only an "after" names comes into being; nothing can be deployed there yet."""
    for row in rows:
        with row.judging("after"):
            name = text_of(row.values.get("after") or "")
            if not name or Environment.objects.filter(name=name).exists():
                continue
            if ("environments", name.casefold()) in row.application.refused:
                raise Skipped
            earlier = Environment(name=name)
            try:
                earlier.full_clean()
            except ValidationError as error:
                raise Wrong(" ".join(error.messages)) from None
            row.application.save(earlier)


Checks = Mapping[str, Callable[[Row, Any], None]]
_TAKERS: Final[Mapping[str, Callable[[Row], None]]] = {"grants": members.take_grant}
_FINISHERS: Final[Mapping[str, Callable[[list[Row]], None]]] = {
    "people": members.settle,
    "environments": _begin_earlier,
}
_CHECKS: Final[Checks] = {"roles": _check_role, "bots": _check_bot}
_LAST_CHECKS: Final[Checks] = {"repositories": _check_default, "environments": _check_order}
