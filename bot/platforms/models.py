"""A bot is one account on one chat platform; a conversation is a place where it is spoken to."""

from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from bot.platforms import PLATFORMS
from chatops_site.kit.secrets import EncryptedJSONField
from repos.models import Repository, validate_name


def platforms() -> list[tuple[str, str]]:
    return [(name, name.capitalize()) for name in PLATFORMS]


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
