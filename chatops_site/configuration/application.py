"""One application of a file while it goes on: what was touched, what is wrong, what is odd."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.utils.translation import gettext as _

from audit.changes import Change, differences, kind_of, snapshot, stored
from chatops_site.configuration.problems import Skipped, Wrong, unknown
from chatops_site.configuration.sections import Section
from chatops_site.configuration.values import SETTERS, Refused
from chatops_site.kit.secrets import EncryptedJSONField

_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


class Application:
    """Collects every fault of the file before it gives up, so that one run shows them all."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.refused: Refused = set()
        self.claimed: set[tuple[type[models.Model], Any]] = set()
        self._touched: dict[tuple[type[models.Model], Any], tuple[models.Model, Any]] = {}

    def changes(self) -> list[Change]:
        """What is different now from how it was found, in the order of touching."""
        found = []
        for (_model, key), (instance, before) in self._touched.items():
            instance.pk = key
            after = stored(instance)
            if differences(before, after):
                found.append(Change(before, after, kind_of(instance), str(instance)))
        return found

    def touch(self, instance: models.Model, before: Mapping[str, str]) -> None:
        """To be called once the instance has its key; the first `before` counts."""
        self._touched.setdefault((type(instance), instance.pk), (instance, before))

    def save(self, instance: models.Model) -> None:
        """Writes only what differs, so that applying a file again writes nothing."""
        before = stored(instance)
        if not before or differences(before, snapshot(instance)):
            instance.save()
        self.touch(instance, before)


class Row:
    """One row of the file, and where it stands for the sentences about it."""

    def __init__(
        self, application: Application, section: Section, values: dict[str, Any], number: int
    ) -> None:
        self.application = application
        self.section = section
        self.values = values
        self.fine = True
        self.instance: Any = None
        named = [values.get(name) for name in ("name", "id", "username")]
        self.label = next((str(each) for each in named if each), "") or (
            _("row %(number)s") % {"number": number}
        )

    def blame(self, key: str, sentence: str) -> None:
        self.fine = False
        place = ", ".join(part for part in (self.section.name, self.label, key) if part)
        self.application.problems.append(f"{place}: {sentence}")
        self.refuse()

    def refuse(self) -> None:
        self.fine = False
        self.application.refused.add((self.section.name, self.label.casefold()))

    @contextmanager
    def judging(self, key: str) -> Iterator[None]:
        """Around what may find the value of `key` wrong: notes the fault and goes on."""
        try:
            yield
        except Wrong as wrong:
            self.blame(key, str(wrong))
        except Skipped:
            self.refuse()

    def check_keys(self) -> None:
        known = [key.name for key in self.section.keys]
        for name in self.values:
            if name not in known:
                self.blame("", _("key %(name)s: ") % {"name": name} + unknown(name, known))
        for name in self.section.identity:
            if self.values.get(name) in _EMPTY:
                self.blame(name, _("this is missing."))

    def set(self, instance: Any, *, last: bool) -> None:
        """Puts the row's values into the instance; the kinds without a setter are set by others."""
        for key in self.section.keys:
            setter = SETTERS.get(key.kind)
            if setter is None or key.last is not last or key.name not in self.values:
                continue
            with self.judging(key.name):
                setter(instance, key, self.values[key.name], self.application.refused)

    def validate(self, instance: models.Model) -> None:
        """The models' own rules, in their own sentences."""
        try:
            instance.full_clean(exclude=_mappings_of_secrets(instance))
        except ValidationError as error:
            for column, sentences in error.message_dict.items():
                key = "" if column == NON_FIELD_ERRORS else self.section.key_of(column)
                self._blame_all(key, sentences)

    def _blame_all(self, key: str, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self.blame(key, sentence)


def _mappings_of_secrets(instance: models.Model) -> set[str]:
    """Judged when they are set; a text column's own check would turn the mapping into a text."""
    fields = instance._meta.concrete_fields
    return {field.name for field in fields if isinstance(field, EncryptedJSONField)}
