"""The audit app: the record that nobody can quietly change."""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.checks import Tags, register
from django.db import connections
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy

from audit import checks, triggers


def restore_triggers(*, using: str, **_signal: Any) -> None:
    """A table that Django rebuilds on SQLite loses its triggers without a word."""
    triggers.install(connections[using])


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = gettext_lazy("Audit")

    def ready(self) -> None:
        register(checks.check_record_is_guarded, Tags.database)
        post_migrate.connect(restore_triggers, sender=self, dispatch_uid="audit.triggers")
        # Models may not be imported before the apps are loaded, hence by path.
        user_logged_in.connect(import_string("audit.logins.login_succeeded"))
        user_login_failed.connect(import_string("audit.logins.login_refused"))
