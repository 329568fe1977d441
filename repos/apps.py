"""The repos app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class ReposConfig(AppConfig):
    name = "repos"
    verbose_name = gettext_lazy("Delivery")
