"""Secrets in forms: they go in, they are told as set or not set, they never come out."""

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from audit.models import Entry, Event
from chatops_site.kit.addresses import parse_origin
from chatops_site.kit.http_errors import AddressRefused
from repos.forms.fields import NamedForm

PREFIX: Final = "secret_"
LONGEST: Final = 4_000
_ENTRIES_READ: Final = 50


class SecretInput(forms.MultiWidget):
    """What is known of the secret, an empty password box, and a tick to clear it."""

    template_name = "repos/secret_input.html"
    use_fieldset = False

    def __init__(self) -> None:
        box = {"autocomplete": "new-password", "class": "vTextField", "spellcheck": "false"}
        super().__init__({"": forms.PasswordInput(attrs=box), "clear": forms.CheckboxInput()})
        self.stored = False
        self.note = ""
        self.may_clear = True

    def decompress(self, value: Any) -> list[Any]:
        return ["", False]

    def id_for_label(self, id_: str) -> str:
        return f"{id_}_0" if id_ else id_

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        context["stored"], context["note"] = self.stored, self.note
        context["may_clear"] = self.stored and self.may_clear
        return context


class SecretField(forms.MultiValueField):
    """Cleans to None (keep what is stored), "" (clear it) or the new secret."""

    widget: SecretInput

    def __init__(self, *, label: Any, needed: bool = False, help_text: Any = "") -> None:
        fields = (
            forms.CharField(required=False, max_length=LONGEST),
            forms.BooleanField(required=False),
        )
        super().__init__(
            fields,
            widget=SecretInput(),
            require_all_fields=False,
            required=False,
            label=label,
            help_text=help_text,
        )
        self.needed = needed

    def tell(self, *, stored: bool, note: str) -> None:
        """What the page may say about the stored secret."""
        self.widget.stored, self.widget.note = stored, note
        self.widget.may_clear = not self.needed

    def compress(self, data_list: Any) -> str | None:
        new, clear = [*data_list, "", False][:2]
        if new and clear:
            raise ValidationError(_("Either enter a new value or clear it, not both."))
        if new.startswith("env:"):
            raise ValidationError(
                _(
                    "Enter the secret itself. env:NAME is read only from the configuration file, "
                    "so that no form can send a variable of the server to a host of its choosing."
                )
            )
        if self.needed and (clear or not (new or self.widget.stored)):
            raise ValidationError(_("It cannot work without this secret. Enter it."))
        return "" if clear else new or None


class SecretsForm(NamedForm):
    """A form whose fields secret_<name> write secrets of the instance and read none.

    A secret in secrets_sent goes to the host in address_field: when that becomes another host, the
    secret has to be entered anew, or whoever may edit an address could have it sent to themselves.
    """

    address_field: ClassVar[str] = ""
    secrets_sent: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, field in self._secret_fields():
            stored = bool(self.read_secret(name))
            note = last_set(self.instance, self.column_of(name)) if stored else ""
            field.tell(stored=stored, note=note)

    def read_secret(self, name: str) -> str:
        return getattr(self.instance, name) or ""

    def write_secret(self, name: str, value: str) -> None:
        setattr(self.instance, name, value)

    def column_of(self, name: str) -> str:
        """The column whose changes the record knows."""
        return name

    def old_address(self) -> str:
        return str(self.initial.get(self.address_field) or "")

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.instance.pk and self._goes_elsewhere():
            for name in self.secrets_sent:
                if self.read_secret(name) and self.cleaned_data.get(PREFIX + name) is None:
                    self._ask_anew(name)
        return cleaned

    def _ask_anew(self, name: str) -> None:
        if PREFIX + name in self.errors:
            return
        sentence = _(
            "The address leads to another host now. Enter the secret again, or clear it, so that it "
            "is sent only where you mean it to go."
        )
        self.add_error(PREFIX + name, sentence)

    def _goes_elsewhere(self) -> bool:
        new = self.cleaned_data.get(self.address_field)
        if not self.address_field or new is None:
            return False
        return _origin(self.old_address()) != _origin(str(new))

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        for name, _field in self._secret_fields():
            value = self.cleaned_data.get(PREFIX + name)
            if value is not None:
                self.write_secret(name, value)
                kept = dict(self.instance.secret_sources)
                kept.pop(name, None)
                self.instance.secret_sources = kept

    def _secret_fields(self) -> Iterable[tuple[str, SecretField]]:
        for name, field in self.fields.items():
            if isinstance(field, SecretField):
                yield name.removeprefix(PREFIX), field


def _origin(address: str) -> tuple[str, str, int] | str:
    try:
        origin = parse_origin(address)
    except AddressRefused:
        return address
    return origin.scheme, origin.host, origin.port


def last_set(instance: models.Model, column: str) -> str:
    """ "on 3 Nov by wang", if the record's newest entries about the thing tell."""
    entries = Entry.objects.filter(
        target=str(instance), target_kind=instance._meta.model_name, event=Event.CONFIG_CHANGED
    ).order_by("-seq")[:_ENTRIES_READ]
    for entry in entries:
        if entry.changes.get(column, {}).get("new") in ("set", "changed"):
            day = date_format(timezone.localtime(entry.at), "DATE_FORMAT")
            return _("on %(day)s by %(who)s") % {"day": day, "who": entry.username or "—"}
    return ""
