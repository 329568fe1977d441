"""Django's users and groups in the admin, with every change of theirs on record."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from audit.changes import AuditedAdmin, actor_of, kind_of, record_change, stored

if TYPE_CHECKING:
    _UserAdmin = UserAdmin[User]
else:
    _UserAdmin = UserAdmin


class AuditedUserAdmin(AuditedAdmin, _UserAdmin):
    """Also records the password form, which Django saves past save_model()."""

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002 - Django's name
        form_url: str = "",
    ) -> HttpResponse:
        with transaction.atomic():
            user = self.get_object(request, id)
            before = stored(user) if user else {}
            response = super().user_change_password(request, id, form_url)
            if user:
                _record_password(request, user, before)
        return response


class AuditedGroupAdmin(AuditedAdmin, GroupAdmin):
    """Groups carry the admin's rights, so their permission lists are on record too."""


def _record_password(request: HttpRequest, user: Any, before: dict[str, str]) -> None:
    record_change(
        actor=actor_of(request),
        before=before,
        after=stored(user),
        target_kind=kind_of(user),
        target=str(user),
    )
