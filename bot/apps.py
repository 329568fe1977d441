"""The bot app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class BotConfig(AppConfig):
    name = "bot"
    verbose_name = gettext_lazy("Chat and people")
