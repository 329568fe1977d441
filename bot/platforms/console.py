"""The platform of `manage.py say`: an operator's terminal, without webhook or network."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.platforms.base import Outgoing, Parsed, Platform, Rejected, Webhook


class Console(Platform):
    """Replies stay in the reply table, from which the command prints them."""

    label = gettext_lazy("Console")

    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        raise Rejected("no_webhook")

    def send(self, route: Mapping[str, Any], message: Outgoing, *, now: datetime) -> str:
        return ""

    def check(self) -> str:
        return _("The console needs no connection: manage.py say speaks for it.")
