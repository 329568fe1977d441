"""A bot is one account on one chat platform; a conversation is a place where it is spoken to."""

from datetime import timedelta
from typing import Final

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from bot.platforms import PLATFORMS
from chatops_site.kit.secrets import EncryptedField, EncryptedJSONField
from repos.models import Repository, validate_name

# A process that keeps a connection writes every five seconds; one that has not for so long is gone.
GONE_AFTER: Final = timedelta(seconds=30)


def platforms() -> list[tuple[str, str]]:
    return [(name, import_string(path).label or name) for name, path in PLATFORMS.items()]


class Language(models.TextChoices):
    ENGLISH = "en", "English"
    CHINESE = "zh-hans", "简体中文"


class Bot(models.Model):
    name = models.CharField(_("name"), max_length=63, validators=[validate_name])
    platform = models.CharField(_("platform"), max_length=20, choices=platforms)
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    secrets = EncryptedJSONField(_("secrets"), default=dict, blank=True)
    # Which secret came from which environment variable: {"app_secret": "DINGTALK_SECRET"}.
    secret_sources = models.JSONField(default=dict, blank=True, editable=False)
    language = models.CharField(
        _("language"), max_length=10, choices=Language.choices, default=Language.CHINESE
    )
    enabled = models.BooleanField(_("enabled"), default=True)

    class Meta:
        verbose_name = _("bot")
        verbose_name_plural = _("bots")
        ordering = ("name",)
        constraints = (models.UniqueConstraint(Lower("name"), name="bot_name_any_case"),)

    def __str__(self) -> str:
        return self.name

    def is_connected(self) -> bool:
        """Whether one of its outgoing connections is up now; a bot that is not stored has none."""
        if self._state.adding:
            return False
        alive = timezone.now() - GONE_AFTER
        return self.connections.filter(state=ConnectionState.CONNECTED, at__gt=alive).exists()


class Conversation(models.Model):
    bot = models.ForeignKey(Bot, models.CASCADE, verbose_name=_("bot"))
    external_id = models.CharField(_("id on the platform"), max_length=200)
    name = models.CharField(_("name"), max_length=200, blank=True)
    repository = models.ForeignKey(
        Repository, models.SET_NULL, null=True, blank=True, verbose_name=_("repository")
    )

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering = ("name",)
        constraints = (models.UniqueConstraint("bot", "external_id", name="conversation_once"),)

    def __str__(self) -> str:
        return self.name or self.external_id


class PlatformToken(models.Model):
    """A bot's access token, as all processes share it; made for the settings and secrets that mark tells."""

    bot = models.ForeignKey(Bot, models.CASCADE)
    name = models.CharField(max_length=20)
    mark = models.CharField(max_length=64)
    value = EncryptedField(default="")
    until = models.DateTimeField()
    # Whoever renews it has until then; the others wait.
    renewed_by = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint("bot", "name", name="platform_token_once"),)

    def __str__(self) -> str:
        return f"{self.name} of {self.bot_id}"


class ConnectionState(models.TextChoices):
    CONNECTING = "connecting", _("connecting")
    CONNECTED = "connected", _("connected")
    WAITING = "waiting", _("waiting before the next try")
    STOPPED = "stopped", _("stopped")


class Connection(models.Model):
    """One process of manage.py connect: how its bot's outgoing connection is."""

    bot = models.ForeignKey(Bot, models.CASCADE, related_name="connections")
    holder = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=ConnectionState.choices)
    # Since when it is connected, or is not; its newest sign of life; when something last came over it.
    since = models.DateTimeField()
    at = models.DateTimeField()
    heard_at = models.DateTimeField(null=True)
    taken = models.PositiveBigIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint("bot", "holder", name="connection_once"),)

    def __str__(self) -> str:
        return f"{self.holder}: {self.state}"
