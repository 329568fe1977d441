"""Forms of people, roles and grants."""

from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.commands.registry import specs
from bot.people.models import Account, Grant, Person
from bot.platforms import PLATFORMS, clients
from repos.forms.fields import ModelForm, NamedForm, PairsField
from repos.models import Environment, Forge, Repository, Service

EVERYTHING: Final = "everything"
SCOPES: Final[dict[str, Any]] = {
    "repository": Repository,
    "service": Service,
    "environment": Environment,
}
# manage.py say: there a person is known by the user name, and has no account.
COMMENTS: Final = "comments"
CONSOLE: Final = "console"


class ScopeField(forms.ChoiceField):
    """Everything, or one repository, service or environment; nothing is preselected."""

    def __init__(self, *, required: bool = True) -> None:
        super().__init__(
            choices=_scopes,
            required=required,
            label=gettext_lazy("On"),
            help_text=gettext_lazy("Where the role holds. Everything has to be chosen too."),
            error_messages={
                "required": gettext_lazy(
                    "Choose where the role holds: everything, or one repository, service or environment."
                )
            },
        )


def _scopes() -> list[tuple[str, Any]]:
    groups = [
        (model._meta.verbose_name_plural, [(f"{kind}:{row.pk}", row.name) for row in rows])
        for kind, model in SCOPES.items()
        if (rows := model._base_manager.only("name").order_by("name"))
    ]
    return [("", "---------"), (EVERYTHING, _("everything")), *groups]


def scope_of(grant: Grant) -> str:
    """The value of a ScopeField that stands for what the grant is on."""
    for kind in SCOPES:
        key = getattr(grant, f"{kind}_id")
        if key is not None:
            return f"{kind}:{key}"
    return EVERYTHING


def put_scope(grant: Grant, scope: str) -> None:
    """Puts the grant on what a ScopeField's value stands for."""
    chosen, _colon, key = scope.partition(":")
    for kind in SCOPES:
        setattr(grant, f"{kind}_id", int(key) if kind == chosen else None)


class GrantForm(ModelForm):
    scope = ScopeField()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk:
            self.initial["scope"] = scope_of(self.instance)

    def clean_until(self) -> Any:
        until = self.cleaned_data["until"]
        if until is not None and "until" in self.changed_data and until <= timezone.now():
            raise ValidationError(_("This time has passed already. Choose a later one or none."))
        return until

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        person, team = self.cleaned_data.get("person"), self.cleaned_data.get("team")
        if person and team:
            self.add_error("team", _("A grant goes to a person or to a team. Choose one of them."))
        if not person and not team and not {"person", "team"} & set(self.errors):
            self.add_error("person", _("Choose the person or the team that gets the role."))
        if scope := self.cleaned_data.get("scope"):
            put_scope(self.instance, scope)
        return cleaned


class RoleForm(NamedForm):
    commands = forms.MultipleChoiceField(
        label=gettext_lazy("Commands"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": gettext_lazy("A role without a command gives nothing. Tick at least one."),
            "invalid_choice": gettext_lazy("There is no command %(value)s."),
        },
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "commands" not in self.fields:
            return
        choices = command_choices()
        known = {command for command, _label in choices}
        gone = [command for command in self.instance.commands if command not in known]
        strange = [
            (name, _("%(name)s: there is no such command") % {"name": name}) for name in gone
        ]
        self.fields["commands"].choices = [*choices, *strange]  # type: ignore[attr-defined]

    def clean_commands(self) -> list[str]:
        chosen: list[str] = self.cleaned_data["commands"]
        known = {command for command, _label in command_choices()}
        for command in chosen:
            if command not in known:
                raise ValidationError(
                    _("There is no command %(value)s any more. Untick it.") % {"value": command}
                )
        return chosen


def command_choices() -> list[tuple[str, str]]:
    """Every command, and before those of two words their common first word for all of them."""
    choices: list[tuple[str, str]] = []
    for spec in specs():
        first, _space, second = spec.verb.partition(" ")
        if second and all(first != command for command, _label in choices):
            choices.append((first, _("/%(verb)s: all of its commands") % {"verb": first}))
        sentence = _("%(usage)s: %(summary)s")
        choices.append((spec.verb, sentence % {"usage": spec.usage, "summary": spec.summary}))
    return choices


class PersonForm(ModelForm):
    forge_logins = PairsField(
        sign=":",
        example="gitee: zhangsan",
        label=gettext_lazy("Forge logins"),
        required=False,
        help_text=gettext_lazy(
            "Who the person is at each forge, one a line: gitee: zhangsan. Nobody approves their own "
            "pull requests, and that is known by this."
        ),
    )

    def clean_forge_logins(self) -> dict[str, str]:
        logins: dict[str, str] = self.cleaned_data["forge_logins"]
        forges = set(Forge.objects.values_list("name", flat=True))
        for forge in logins:
            if forge not in forges:
                known = ", ".join(sorted(forges)) or "–"
                sentence = _("There is no forge %(forge)s. There are: %(known)s.")
                raise ValidationError(sentence % {"forge": forge, "known": known})
        self._check_free(logins)
        return logins

    def _check_free(self, logins: dict[str, str]) -> None:
        others = Person.objects.exclude(pk=self.instance.pk)
        for name, theirs in others.values_list("name", "forge_logins"):
            for forge, login in logins.items():
                if theirs.get(forge) == login:
                    sentence = _("%(login)s at %(forge)s is %(person)s already.")
                    raise ValidationError(
                        sentence % {"login": login, "forge": forge, "person": name}
                    )


def account_platforms() -> list[tuple[str, str]]:
    """Those that people have accounts on; a company's robot has its people from the company's app."""
    names = dict.fromkeys(clients.account_platforms().values())
    return [("", "---------"), *((name, label_of(name)) for name in names)]


def label_of(platform: str) -> str:
    """As people call it; of a platform that there is no more, its name."""
    known = clients.kind_of(platform).label if platform in PLATFORMS else ""
    return str(known or platform)


class AccountForm(ModelForm):
    platform = forms.ChoiceField(choices=account_platforms, label=gettext_lazy("Platform"))

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        names = ("platform", "tenant", "external_id")
        given = {name: self.cleaned_data.get(name, "") for name in names}
        others = Account.objects.exclude(pk=self.instance.pk).select_related("person")
        if other := others.filter(**given).first():
            sentence = _("This account is %(person)s's already.") % {"person": other.person}
            self.add_error("external_id", sentence)
        return cleaned
