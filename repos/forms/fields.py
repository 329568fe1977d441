"""Form fields that show lists and pairs as people write them, instead of JSON."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
else:
    ModelForm = forms.ModelForm


class NamedForm(ModelForm):
    """A form of something whose name is unique whatever its case."""

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = type(self.instance)._base_manager.exclude(pk=self.instance.pk)
        if other := others.filter(name__iexact=name).first():
            raise ValidationError(
                _("The name %(name)s is taken by another %(kind)s. Capitals make no difference.")
                % {"name": other.name, "kind": self.instance._meta.verbose_name}
            )
        return name


_BETWEEN: Final = re.compile(r"[,，、;；\r\n]")


class NamesField(forms.Field):
    """A list of names, typed with commas (Chinese ones too) or line ends between them."""

    widget = forms.TextInput(attrs={"class": "vTextField"})

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        if isinstance(value, list):
            return value
        return [part.strip() for part in _BETWEEN.split(value or "") if part.strip()]


class PairsField(forms.Field):
    """A dict of texts, typed as one pair a line with a sign between: SHA = {sha}."""

    widget = forms.Textarea(attrs={"rows": 5, "class": "verbatim", "spellcheck": "false"})

    def __init__(self, *, sign: str, example: str, **options: Any) -> None:
        super().__init__(**options)
        self.sign = sign
        self.example = example

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        gap = " " if self.sign == "=" else ""
        return "\n".join(f"{name}{gap}{self.sign} {text}" for name, text in value.items())

    def to_python(self, value: Any) -> dict[str, str]:
        if isinstance(value, Mapping):
            return dict(value)
        pairs: dict[str, str] = {}
        for number, line in enumerate((value or "").splitlines(), 1):
            if line.strip():
                name, text = self._pair(number, line)
                if name in pairs:
                    raise ValidationError(
                        _("Line %(line)d: %(name)s is there already.")
                        % {"line": number, "name": name[:80]}
                    )
                pairs[name] = text
        return pairs

    def _pair(self, number: int, line: str) -> tuple[str, str]:
        # A Chinese keyboard's colon and equals sign mean the same.
        plain = line.replace("：", ":", 1) if self.sign == ":" else line.replace("＝", "=", 1)
        name, sign, text = plain.partition(self.sign)
        if not sign or not name.strip():
            raise ValidationError(
                _("Line %(line)d is not understood. One pair a line: %(example)s")
                % {"line": number, "example": self.example}
            )
        return name.strip(), text.strip()


ALL, NONE, NAMED = "all", "none", "named"


class ChecksInput(forms.MultiWidget):
    """Which checks: three choices, and below them the names that the third one means."""

    def __init__(self) -> None:
        choices = (
            (ALL, gettext_lazy("all that the forge reports")),
            (NONE, gettext_lazy("none")),
            (NAMED, gettext_lazy("only these, one name a line:")),
        )
        names = forms.Textarea(attrs={"rows": 3, "class": "verbatim", "spellcheck": "false"})
        super().__init__({"": forms.RadioSelect(choices=choices), "names": names})

    def decompress(self, value: Any) -> list[Any]:
        if isinstance(value, list):
            return [NAMED, "\n".join(map(str, value))]
        return [value or ALL, ""]


class ChecksField(forms.MultiValueField):
    """ "all", "none", or the list of names."""

    def __init__(self, **options: Any) -> None:
        fields = (
            forms.ChoiceField(choices=[(ALL, ALL), (NONE, NONE), (NAMED, NAMED)], required=False),
            forms.CharField(required=False),
        )
        super().__init__(fields, widget=ChecksInput(), require_all_fields=False, **options)

    def compress(self, data_list: Any) -> Any:
        which, text = [*data_list, "", ""][:2]
        names = [line.strip() for line in (text or "").splitlines() if line.strip()]
        if which != NAMED:
            return which or ALL
        if not names:
            raise ValidationError(_("Write the names of the checks, one a line, or choose none."))
        return names
