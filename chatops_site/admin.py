"""Users and groups of the portal: nobody gives away, or takes over, rights that they do not have."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.staff import AuditedGroupAdmin, AuditedUserAdmin
from repos.forms.fields import ModelForm

if TYPE_CHECKING:
    _UserChangeForm = UserChangeForm[Any]
else:
    _UserChangeForm = UserChangeForm

MOST_NAMED = 5


def permissions_of(user: Any) -> set[int]:
    """What the user holds directly and by groups, active or not; a superuser's "all" is not in it."""
    held = Permission.objects.filter(Q(user=user) | Q(group__user=user))
    return set(held.values_list("pk", flat=True))


def lacking(granter: Any, wanted: Iterable[Permission]) -> list[Permission]:
    """The permissions that the granter does not have."""
    if granter.is_superuser:
        return []
    own = permissions_of(granter)
    return [permission for permission in wanted if permission.pk not in own]


def refuse(permissions: list[Permission]) -> None:
    """A sentence, if there is any permission that may not be given."""
    if permissions:
        names = ", ".join(permission.codename for permission in permissions[:MOST_NAMED])
        raise ValidationError(
            _("You cannot give rights that you do not have: %(names)s.") % {"names": names}
        )


class GranterForm(ModelForm):
    """A form that knows who fills it in; AskedAdmin tells it."""

    granter: Any = None


class PortalUserForm(_UserChangeForm, GranterForm):
    def clean_user_permissions(self) -> Any:
        chosen = self.cleaned_data["user_permissions"]
        before = set(self.instance.user_permissions.values_list("pk", flat=True))
        refuse(lacking(self.granter, [each for each in chosen if each.pk not in before]))
        return chosen

    def clean_groups(self) -> Any:
        chosen = self.cleaned_data["groups"]
        before = set(self.instance.groups.values_list("pk", flat=True))
        new = [group for group in chosen if group.pk not in before]
        refuse(lacking(self.granter, Permission.objects.filter(group__in=new).distinct()))
        return chosen


class PortalGroupForm(GranterForm):
    def clean_permissions(self) -> Any:
        chosen = self.cleaned_data["permissions"]
        before: set[int] = set()
        if self.instance.pk:
            before = set(self.instance.permissions.values_list("pk", flat=True))
        refuse(lacking(self.granter, [each for each in chosen if each.pk not in before]))
        return chosen


class PortalUserAdmin(AuditedUserAdmin):
    form = PortalUserForm
    list_display = ("username", "groups_said", "is_staff", "is_superuser", "is_active")
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description=gettext_lazy("groups"))
    def groups_said(self, user: Any) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "–"

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change=change, **options)
        return type("PortalUserForm", (form,), {"granter": request.user})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)


class PortalGroupAdmin(AuditedGroupAdmin):
    form = PortalGroupForm

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change=change, **options)
        return type("PortalGroupForm", (form,), {"granter": request.user})


def _may_touch(request: HttpRequest, other: Any) -> bool:
    """Whoever sets somebody's password can be them: so only those who hold no more than oneself."""
    if other is None or request.user.is_superuser:
        return True
    own = permissions_of(request.user)
    return not other.is_superuser and permissions_of(other) <= own


for _model, _page in ((User, PortalUserAdmin), (Group, PortalGroupAdmin)):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
    admin.site.register(_model, _page)
