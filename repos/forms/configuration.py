"""Forms of forges, repositories, Jenkins servers, jobs, services and environments."""

from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from repos.forms.fields import ChecksField, NamedForm, NamesField, PairsField
from repos.forms.secrets import SecretField, SecretsForm
from repos.models import Environment, Job, Purpose, Repository, Service
from repos.validators import PLACEHOLDERS

_PLACEHOLDERS: Final = " ".join(f"{{{name}}}" for name in PLACEHOLDERS)


class ForgeForm(SecretsForm):
    address_field = "base_url"
    secrets_sent = ("token",)

    secret_token = SecretField(
        label=gettext_lazy("Token"),
        help_text=gettext_lazy("Of the account in whose name the portal approves and merges."),
    )
    secret_webhook_secret = SecretField(
        label=gettext_lazy("Webhook secret"),
        help_text=gettext_lazy("The same as in the forge's webhook; without it none is accepted."),
    )


class JenkinsForm(SecretsForm):
    address_field = "base_url"
    secrets_sent = ("token",)

    secret_token = SecretField(
        label=gettext_lazy("API token"),
        help_text=gettext_lazy("From the user's page in Jenkins, under Security."),
    )


class RepositoryForm(NamedForm):
    checks = ChecksField(
        label=gettext_lazy("Required checks"),
        required=False,
        help_text=gettext_lazy("What must be green before a pull request is merged."),
    )

    def clean_default(self) -> bool:
        default: bool = self.cleaned_data["default"]
        other = Repository.objects.filter(default=True).exclude(pk=self.instance.pk).first()
        if default and other:
            raise forms.ValidationError(
                _("%(name)s is the portal's default already. Untick it there first.")
                % {"name": other.name}
            )
        return default

    def clean_test_job(self) -> Job | None:
        job: Job | None = self.cleaned_data["test_job"]
        if job is not None and job.purpose != Purpose.TEST:
            raise forms.ValidationError(
                _("%(name)s is a job to %(purpose)s. Choose one whose purpose is to test.")
                % {"name": job.name, "purpose": job.get_purpose_display()}
            )
        return job


class EnvironmentForm(NamedForm):
    def clean_after(self) -> Environment | None:
        after: Environment | None = self.cleaned_data["after"]
        way = [self.instance.name or self.data.get("name", "")]
        step = after
        while step is not None:
            way.append(step.name)
            if self.instance.pk and step.pk == self.instance.pk:
                raise forms.ValidationError(
                    _("This goes round in a circle: %(way)s. One of them must come first.")
                    % {"way": " → ".join(way)}
                )
            step = step.after
        return after


class ServiceForm(NamedForm):
    aliases = NamesField(
        label=gettext_lazy("Aliases"),
        required=False,
        help_text=gettext_lazy("Shorter names that people may type, with commas between: my, svc"),
    )

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        name = str(self.cleaned_data.get("name", ""))
        aliases: list[str] = self.cleaned_data.get("aliases") or []
        taken = _taken_names(self.instance)
        for alias in aliases:
            if alias.casefold() == name.casefold():
                self.add_error("aliases", _("%(alias)s is the name itself.") % {"alias": alias})
            elif alias.casefold() in taken:
                self.add_error("aliases", _clash(alias, taken))
        if name.casefold() in taken and taken[name.casefold()].name.casefold() != name.casefold():
            self.add_error("name", _clash(name, taken))
        return cleaned


def _taken_names(service: Service) -> dict[str, Service]:
    """Every name and alias of the other services, in lower case."""
    taken: dict[str, Service] = {}
    for other in Service.objects.exclude(pk=service.pk):
        for word in (*other.aliases, other.name):
            taken[str(word).casefold()] = other
    return taken


def _clash(word: str, taken: dict[str, Service]) -> str:
    return _("%(word)s already stands for the service %(service)s. Choose another word.") % {
        "word": word,
        "service": taken[word.casefold()].name,
    }


class JobForm(NamedForm):
    parameters = PairsField(
        sign="=",
        example="SHA = {sha}",
        label=gettext_lazy("Parameters"),
        required=False,
        help_text=gettext_lazy(
            "What the portal passes, one a line: SHA = {sha}. A line CHATOPS_ID = {run} lets it find "
            "its build again. In braces may stand: %(placeholders)s"
        ),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if field := self.fields.get("parameters"):
            field.help_text = str(field.help_text) % {"placeholders": _PLACEHOLDERS}

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        purpose = self.cleaned_data.get("purpose")
        if purpose == Purpose.DEPLOY:
            self._check_deployment()
        elif self.cleaned_data.get("environment") is not None:
            sentence = _("Only a deploy job has an environment. Leave it empty.")
            self.add_error("environment", sentence)
        return cleaned

    def _check_deployment(self) -> None:
        service = self.cleaned_data.get("service")
        environment = self.cleaned_data.get("environment")
        if service is None and "service" not in self.errors:
            self.add_error("service", _("A deploy job deploys a service. Choose it."))
        if environment is None and "environment" not in self.errors:
            self.add_error("environment", _("A deploy job deploys to an environment. Choose it."))
        if service is None or environment is None:
            return
        others = Job.objects.filter(
            purpose=Purpose.DEPLOY, service=service, environment=environment
        ).exclude(pk=self.instance.pk)
        if other := others.first():
            sentence = _("%(job)s deploys %(service)s to %(environment)s already.")
            names = {"job": other.name, "service": service.name, "environment": environment.name}
            self.add_error("environment", sentence % names)
