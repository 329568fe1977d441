"""Access requests: a stranger spoke to a bot; here an operator says who that is, or that it is nobody."""

import re
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit import display
from audit.changes import AuditedAdmin, Change, actor_of, kind_of, record_changes, stored
from bot.desk.marks import pill
from bot.desk.people_forms import ScopeField, put_scope
from bot.people.models import AccessRequest, Account, Grant, Person, Role, validate_username

State = AccessRequest.State
TONES: Final = {
    State.WAITING: display.WAITING,
    State.ACCEPTED: display.DONE,
    State.DECLINED: display.FAILED,
}
_NOT_IN_USERNAMES: Final = re.compile(r"[^a-z0-9._-]+")


class DecisionForm(forms.Form):
    """Who the stranger is: somebody known, or somebody new, who may get a role at once."""

    person = forms.ModelChoiceField(
        Person.objects.filter(active=True),
        required=False,
        label=gettext_lazy("Someone known"),
        empty_label=gettext_lazy("– someone new –"),
        help_text=gettext_lazy(
            "Ask them by another way first: the name shown in chat can be anything."
        ),
    )
    name = forms.CharField(max_length=100, required=False, label=gettext_lazy("Name"))
    username = forms.CharField(
        max_length=63,
        required=False,
        label=gettext_lazy("User name"),
        validators=[validate_username],
        help_text=gettext_lazy("Lower-case letters and digits, such as zhangsan."),
    )
    role = forms.ModelChoiceField(
        Role.objects.all(),
        required=False,
        label=gettext_lazy("Role"),
        empty_label=gettext_lazy("– none for now –"),
    )
    scope = ScopeField(required=False)

    def __init__(self, *args: Any, may_grant: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        if not may_grant:
            del self.fields["role"], self.fields["scope"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.cleaned_data.get("person") is None:
            self._check_new_person()
        if self.cleaned_data.get("role") and not self.cleaned_data.get("scope"):
            self.add_error("scope", ScopeField().error_messages["required"])
        return cleaned

    def _check_new_person(self) -> None:
        for field, label in (("name", _("a name")), ("username", _("a user name"))):
            value = self.cleaned_data.get(field)
            if not value and field not in self.errors:
                sentence = _("Someone new needs %(what)s. Or choose someone known above.")
                self.add_error(field, sentence % {"what": label})
            elif value and Person.objects.filter(**{field: value}).exists():
                sentence = _("%(value)s is known already. Choose them above, or another word.")
                self.add_error(field, sentence % {"value": value})


@admin.register(AccessRequest)
class AccessRequestAdmin(AuditedAdmin):
    list_display = ("state_pill", "who", "platform", "conversation", "asked")
    list_display_links = ("state_pill", "who")
    list_filter = ("state", "platform")
    list_select_related = ("bot",)
    search_fields = ("shown_name", "external_id")
    change_form_template = "bot/access_request.html"
    change_list_template = "bot/access_requests.html"
    actions = None

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_pill(self, request: AccessRequest) -> str:
        return pill(TONES[State(request.state)], request.get_state_display())

    @admin.display(description=gettext_lazy("who"))
    def who(self, request: AccessRequest) -> str:
        return display.excerpt(f"{request.shown_name} ({request.external_id})")

    @admin.display(description=gettext_lazy("asked"), ordering="at")
    def asked(self, request: AccessRequest) -> str:
        return display.when(request.at)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        wanted = self.get_object(request, unquote(object_id))
        if wanted is None:
            raise Http404
        if not self.has_view_permission(request, wanted):
            raise PermissionDenied
        if request.method == "POST":
            return self._decide(request, wanted)
        form = DecisionForm(initial=_guess(wanted), may_grant=_may_grant(request))
        return self._page(request, wanted, form)

    def _decide(self, request: HttpRequest, wanted: AccessRequest) -> HttpResponse:
        if not self.has_change_permission(request, wanted):
            raise PermissionDenied
        if wanted.state != State.WAITING:
            messages.warning(request, _("This request has been decided already."))
            return _to_list()
        if "_decline" in request.POST:
            decline(request, wanted)
            messages.success(request, _("Declined. The account stays unknown to the bot."))
            return _to_list()
        if not _may_add_people(request):
            raise PermissionDenied
        return self._accept(request, wanted)

    def _accept(self, request: HttpRequest, wanted: AccessRequest) -> HttpResponse:
        form = DecisionForm(request.POST, may_grant=_may_grant(request))
        if form.is_valid():
            try:
                person = accept(request, wanted, form.cleaned_data)
            except ValidationError as problem:
                form.add_error(None, problem)
            else:
                sentence = _("%(account)s is %(person)s from now on.")
                messages.success(request, sentence % {"account": wanted, "person": person.name})
                return _to_list()
        return self._page(request, wanted, form)

    def _page(
        self, request: HttpRequest, wanted: AccessRequest, form: DecisionForm
    ) -> TemplateResponse:
        may_decide = wanted.state == State.WAITING and self.has_change_permission(request, wanted)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Access request"),
            "opts": self.opts,
            "wanted": wanted,
            "pill": self.state_pill(wanted),
            "asked": self.asked(wanted),
            "form": form,
            "may_decide": may_decide,
            "may_accept": may_decide and _may_add_people(request),
        }
        return TemplateResponse(request, "bot/access_request.html", context)


def accept(request: HttpRequest, wanted: AccessRequest, answer: dict[str, Any]) -> Person:
    """Gives the account to a person; all of it or nothing, and all of it on record."""
    person: Person | None = answer["person"]
    with transaction.atomic():
        _check_free(wanted)
        changes = []
        if person is None:
            person = Person.objects.create(name=answer["name"], username=answer["username"])
            changes.append(_added(person))
        account = Account.objects.create(
            person=person,
            platform=wanted.platform,
            tenant=wanted.tenant,
            external_id=wanted.external_id,
        )
        changes.append(_added(account))
        if answer.get("role"):
            changes.append(_added(_grant(person, answer["role"], answer["scope"])))
        changes.append(_moved(wanted, State.ACCEPTED))
        record_changes(actor_of(request), changes)
    return person


def decline(request: HttpRequest, wanted: AccessRequest) -> None:
    with transaction.atomic():
        record_changes(actor_of(request), [_moved(wanted, State.DECLINED)])


def _check_free(wanted: AccessRequest) -> None:
    known = Account.objects.select_related("person").filter(
        platform=wanted.platform, tenant=wanted.tenant, external_id=wanted.external_id
    )
    if account := known.first():
        sentence = _("This account is %(person)s's already.")
        raise ValidationError(sentence % {"person": account.person.name})


def _grant(person: Person, role: Role, scope: str) -> Grant:
    grant = Grant(person=person, role=role)
    put_scope(grant, scope)
    grant.save()
    return grant


def _added(thing: models.Model) -> Change:
    return Change({}, stored(thing), target_kind=kind_of(thing), target=str(thing))


def _moved(wanted: AccessRequest, state: Any) -> Change:
    before = stored(wanted)
    wanted.state = state
    wanted.save(update_fields=["state"])
    return Change(before, stored(wanted), target_kind=kind_of(wanted), target=str(wanted))


def _guess(wanted: AccessRequest) -> dict[str, str]:
    """What the new person may be called. A known one is never guessed: names prove nothing."""
    plain = wanted.external_id if not wanted.shown_name.isascii() else wanted.shown_name
    username = _NOT_IN_USERNAMES.sub("", plain.lower()).strip("._-")[:63]
    return {"name": display.visible(wanted.shown_name), "username": username}


def _may_grant(request: HttpRequest) -> bool:
    return request.user.has_perm("bot.add_grant")


def _may_add_people(request: HttpRequest) -> bool:
    return request.user.has_perms(["bot.add_person", "bot.add_account"])


def _to_list() -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:bot_accessrequest_changelist"))
