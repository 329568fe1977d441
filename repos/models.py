"""What the portal acts on: forges and repositories, Jenkins servers and jobs, services and environments."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from chatops_site.kit.secrets import EncryptedField
from repos.forges import FORGE_KINDS
from repos.validators import (
    validate_aliases,
    validate_base_url,
    validate_ca_file,
    validate_checks,
    validate_job_path,
    validate_parameters,
    validate_repository_path,
)

# The names people type in commands: ASCII, one word, no leading punctuation.
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
validate_name = RegexValidator(
    rf"^{NAME_PATTERN}\Z",
    _(
        "A name is 1 to 63 letters, digits, dots, dashes or underscores, beginning with a letter or digit."
    ),
)


# Said under the fields, so that nobody relies on them.
NOT_ENFORCED_YET = _("Kept for a later version: this one does not enforce it yet.")


def all_checks() -> str:
    return "all"


def forge_kinds() -> list[tuple[str, str]]:
    return [(kind, path.rpartition(".")[2]) for kind, path in FORGE_KINDS.items()]


class MergeMethod(models.TextChoices):
    MERGE = "merge", _("merge commit")
    SQUASH = "squash", _("squash")
    REBASE = "rebase", _("rebase")


class Purpose(models.TextChoices):
    TEST = "test", _("test")
    DEPLOY = "deploy", _("deploy")
    BUILD = "build", _("build")


class Named(models.Model):
    """Something with a name that is typed in commands and unique whatever its case."""

    name = models.CharField(_("name"), max_length=63, validators=[validate_name])

    class Meta:
        abstract = True
        ordering = ("name",)
        constraints: ClassVar[tuple[models.BaseConstraint, ...]] = (
            models.UniqueConstraint(Lower("name"), name="%(class)s_name_any_case"),
        )

    def __str__(self) -> str:
        return self.name


class Forge(Named):
    kind = models.CharField(_("kind"), max_length=20, choices=forge_kinds)
    base_url = models.CharField(_("API address"), max_length=300, validators=[validate_base_url])
    token = EncryptedField(_("token"), blank=True)
    webhook_secret = EncryptedField(_("webhook secret"), blank=True)
    ca_file = models.CharField(
        _("CA file"), max_length=300, blank=True, validators=[validate_ca_file]
    )
    # Which secret came from which environment variable: {"token": "GITEE_TOKEN"}; for export_config.
    secret_sources = models.JSONField(default=dict, blank=True, editable=False)

    class Meta(Named.Meta):
        verbose_name = _("forge")
        verbose_name_plural = _("forges")


class Repository(Named):
    forge = models.ForeignKey(Forge, models.PROTECT, verbose_name=_("forge"))
    path = models.CharField(
        _("path"), max_length=200, validators=[validate_repository_path], help_text="owner/name"
    )
    merge_method = models.CharField(
        _("merge method"), max_length=10, choices=MergeMethod.choices, default=MergeMethod.MERGE
    )
    default = models.BooleanField(_("the portal's default"), default=False)
    # "all", "none", or a list of check names that must be green.
    checks = models.JSONField(
        _("required checks"), default=all_checks, blank=True, validators=[validate_checks]
    )
    approvals = models.PositiveSmallIntegerField(
        _("required approvals"), default=0, validators=[MaxValueValidator(20)]
    )
    test_job = models.ForeignKey(
        "repos.Job",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="tests_repositories",
        verbose_name=_("test job"),
    )

    class Meta(Named.Meta):
        verbose_name = _("repository")
        verbose_name_plural = _("repositories")
        constraints = (
            *Named.Meta.constraints,
            models.UniqueConstraint("forge", "path", name="repository_once_per_forge"),
            models.UniqueConstraint(
                "default",
                condition=models.Q(default=True),
                name="one_default_repository",
                violation_error_message=_("Another repository is the portal's default already."),
            ),
        )


class JenkinsServer(Named):
    base_url = models.CharField(_("address"), max_length=300, validators=[validate_base_url])
    username = models.CharField(_("user name"), max_length=100)
    token = EncryptedField(_("API token"), blank=True)
    ca_file = models.CharField(
        _("CA file"), max_length=300, blank=True, validators=[validate_ca_file]
    )
    secret_sources = models.JSONField(default=dict, blank=True, editable=False)

    class Meta(Named.Meta):
        verbose_name = _("Jenkins server")
        verbose_name_plural = _("Jenkins servers")


class Environment(Named):
    confirm = models.BooleanField(
        _("asks for confirmation"), default=False, help_text=NOT_ENFORCED_YET
    )
    approvals = models.PositiveSmallIntegerField(
        _("required approvals"),
        default=0,
        validators=[MaxValueValidator(20)],
        help_text=NOT_ENFORCED_YET,
    )
    after = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        verbose_name=_("only after"),
        help_text=NOT_ENFORCED_YET,
    )

    class Meta(Named.Meta):
        verbose_name = _("environment")
        verbose_name_plural = _("environments")


class Service(Named):
    repository = models.ForeignKey(
        Repository, models.SET_NULL, null=True, blank=True, verbose_name=_("repository")
    )
    aliases = models.JSONField(
        _("aliases"), default=list, blank=True, validators=[validate_aliases]
    )

    class Meta(Named.Meta):
        verbose_name = _("service")
        verbose_name_plural = _("services")


class Job(Named):
    """A Jenkins job by its full name (folder/job), with what the portal passes as its parameters."""

    jenkins = models.ForeignKey(JenkinsServer, models.PROTECT, verbose_name=_("Jenkins server"))
    path = models.CharField(_("job path"), max_length=300, validators=[validate_job_path])
    purpose = models.CharField(_("purpose"), max_length=10, choices=Purpose.choices)
    service = models.ForeignKey(
        Service, models.SET_NULL, null=True, blank=True, verbose_name=_("service")
    )
    environment = models.ForeignKey(
        Environment, models.SET_NULL, null=True, blank=True, verbose_name=_("environment")
    )
    # Jenkins parameter → template with {number} {sha} {ref} {run} {service} {environment} {repository}.
    parameters = models.JSONField(
        _("parameters"), default=dict, blank=True, validators=[validate_parameters]
    )

    class Meta(Named.Meta):
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        constraints = (
            *Named.Meta.constraints,
            models.UniqueConstraint(
                "service",
                "environment",
                condition=models.Q(purpose="deploy"),
                name="one_deploy_job_per_environment",
                violation_error_message=_(
                    "This service has a deploy job for this environment already."
                ),
            ),
        )
