"""The admin's login form: whoever guesses is stopped for a while, with the right password too."""

from datetime import timedelta
from typing import Any, Final

from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.logins import LOCKED, login_locked
from audit.models import Entry
from audit.record import Event

# Failed logins within the time: of one name, and from one address, behind which there may be a whole office.
MOST_OF_A_NAME: Final = 10
MOST_FROM_AN_ADDRESS: Final = 50
LOCKED_FOR: Final = timedelta(minutes=15)


class LoginForm(AdminAuthenticationForm):
    def clean(self) -> dict[str, Any]:
        """Nothing is tried while it is locked, so that each further guess tells nothing."""
        if self._is_locked():
            name = self.cleaned_data.get("username") or ""
            login_locked(request=self.request, username=name)
            raise ValidationError(
                _("There were too many failed logins. Wait %(minutes)d minutes.")
                % {"minutes": LOCKED_FOR.total_seconds() // 60},
                code="locked",
            )
        cleaned: dict[str, Any] = super().clean()
        return cleaned

    def _is_locked(self) -> bool:
        since = timezone.now() - LOCKED_FOR
        tried = Entry.objects.filter(event=Event.LOGIN_FAILED, at__gt=since).exclude(reason=LOCKED)
        name = self.cleaned_data.get("username") or ""
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        return (bool(name) and tried.filter(username=name).count() >= MOST_OF_A_NAME) or (
            bool(address) and tried.filter(source_ip=address).count() >= MOST_FROM_AN_ADDRESS
        )
