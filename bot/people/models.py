"""Persons with their accounts, teams, roles and grants, and the access requests of strangers."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from bot.people.validators import validate_commands, validate_forge_logins
from repos.models import Environment, Named, Repository, Service

validate_username = RegexValidator(
    r"^[a-z0-9][a-z0-9._-]{0,62}\Z",
    _("A user name is 1 to 63 lower-case letters, digits, dots, dashes or underscores."),
)


class Person(models.Model):
    name = models.CharField(_("name"), max_length=100, unique=True)
    username = models.CharField(
        _("user name"), max_length=63, unique=True, validators=[validate_username]
    )
    # Forge name → login there: {"gitee": "zhangsan"}.
    forge_logins = models.JSONField(
        _("forge logins"), default=dict, blank=True, validators=[validate_forge_logins]
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="person",
        verbose_name=_("portal user"),
    )
    repository = models.ForeignKey(
        Repository,
        models.SET_NULL,
        null=True,
        blank=True,
        verbose_name=_("default repository"),
    )
    active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Account(models.Model):
    """Who someone is on a platform: never a display name, always the platform's stable id."""

    person = models.ForeignKey(
        Person, models.CASCADE, related_name="accounts", verbose_name=_("person")
    )
    platform = models.CharField(_("platform"), max_length=20)
    tenant = models.CharField(_("tenant"), max_length=100, blank=True)
    external_id = models.CharField(_("id on the platform"), max_length=200)

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        constraints = (
            models.UniqueConstraint("platform", "tenant", "external_id", name="account_once"),
        )

    def __str__(self) -> str:
        return f"{self.platform} {self.external_id}"


class Team(models.Model):
    name = models.CharField(_("name"), max_length=100, unique=True)
    members = models.ManyToManyField(
        Person, related_name="teams", blank=True, verbose_name=_("members")
    )

    class Meta:
        verbose_name = _("team")
        verbose_name_plural = _("teams")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Role(Named):
    commands = models.JSONField(_("commands"), default=list, validators=[validate_commands])

    class Meta(Named.Meta):
        verbose_name = _("role")
        verbose_name_plural = _("roles")


class Grant(models.Model):
    """Gives a person or a team a role on a scope; no repository, service or environment: everything."""

    person = models.ForeignKey(
        Person, models.CASCADE, null=True, blank=True, verbose_name=_("person")
    )
    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, verbose_name=_("team"))
    role = models.ForeignKey(Role, models.PROTECT, verbose_name=_("role"))
    repository = models.ForeignKey(
        Repository, models.CASCADE, null=True, blank=True, verbose_name=_("repository")
    )
    service = models.ForeignKey(
        Service, models.CASCADE, null=True, blank=True, verbose_name=_("service")
    )
    environment = models.ForeignKey(
        Environment, models.CASCADE, null=True, blank=True, verbose_name=_("environment")
    )
    conversations = models.ManyToManyField(
        "bot.Conversation", blank=True, verbose_name=_("only in these conversations")
    )
    until = models.DateTimeField(_("until"), null=True, blank=True)

    class Meta:
        verbose_name = _("grant")
        verbose_name_plural = _("grants")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(person__isnull=False, team__isnull=True)
                | models.Q(person__isnull=True, team__isnull=False),
                name="grant_to_a_person_or_a_team",
                violation_error_message=_("A grant goes to a person or to a team, not to both."),
            ),
            models.CheckConstraint(
                condition=models.Q(service__isnull=True, environment__isnull=True)
                | models.Q(repository__isnull=True, environment__isnull=True)
                | models.Q(repository__isnull=True, service__isnull=True),
                name="grant_on_one_scope",
                violation_error_message=_(
                    "A grant is on one repository, one service, one environment, or on everything."
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.person or self.team}: {self.role} · {self.scope}"

    @property
    def scope(self) -> str:
        """As the configuration file writes it: repository:shop, or everything."""
        for kind in ("repository", "service", "environment"):
            thing = getattr(self, kind)
            if thing is not None:
                return f"{kind}:{thing.name}"
        return "everything"


class AccessRequest(models.Model):
    """A stranger spoke to a bot; an operator accepts by choosing or making a person."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        ACCEPTED = "accepted", _("accepted")
        DECLINED = "declined", _("declined")

    bot = models.ForeignKey("bot.Bot", models.CASCADE, verbose_name=_("bot"))
    platform = models.CharField(_("platform"), max_length=20)
    tenant = models.CharField(_("tenant"), max_length=100, blank=True)
    external_id = models.CharField(_("id on the platform"), max_length=200)
    shown_name = models.CharField(_("name shown then"), max_length=100, blank=True)
    conversation = models.CharField(_("conversation"), max_length=200, blank=True)
    # When the platform was asked for the name of somebody whose messages tell none.
    name_asked_at = models.DateTimeField(null=True, editable=False)
    state = models.CharField(
        _("state"), max_length=10, choices=State.choices, default=State.WAITING
    )
    at = models.DateTimeField(_("asked"), auto_now_add=True)

    class Meta:
        verbose_name = _("access request")
        verbose_name_plural = _("access requests")
        ordering = ("-at",)
        constraints = (
            models.UniqueConstraint(
                Lower("platform"), "tenant", "external_id", name="access_request_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.platform} {self.external_id}"


class LinkCode(models.Model):
    """A code that a signed-in person typed in chat links the account it came from. Kept as a digest."""

    person = models.OneToOneField(Person, models.CASCADE)
    digest = models.CharField(max_length=64, unique=True)
    until = models.DateTimeField()
    # Wrong codes that were typed for it; after five it is no code any more.
    tries = models.PositiveSmallIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.person)
