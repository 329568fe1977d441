"""The admin's pages of runs and replies: to read, and to press the few buttons there are."""

from collections.abc import Sequence
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit import display
from audit.pages import KeysetAdmin
from bot.commands.registry import specs
from bot.desk.buttons import (
    BUTTONS,
    RESEND_RIGHT,
    Button,
    buttons_for,
    person_of,
    press,
    send_again,
)
from bot.desk.marks import REPLY_TONES, pill, run_pill
from bot.desk.markup import plain_line, reply_html
from bot.desk.timeline import log_html, may_send_again, timeline
from bot.runs.models import Reply, ReplyState, Run, RunState
from repos.clients import jenkins_client
from repos.errors import RemoteError
from repos.models import Job

LOG_LINES: Final = 200
# Seconds after which the page of a run that is still under way asks for itself again.
LOOK_AGAIN: Final = 5


class ReadOnlyAdmin(KeysetAdmin):
    """History: no form can change it."""

    actions = None
    # Facets would count millions of rows.
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def viewed(self, request: HttpRequest, object_id: str) -> Any:
        """The object, for those who may see it; else 404 or 403."""
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404
        if not self.has_view_permission(request, found):
            raise PermissionDenied
        return found

    def page(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        common = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, {**common, **context})


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return RunState.choices

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Run]") -> "QuerySet[Run]":
        return queryset.filter(state=self.value()) if self.value() else queryset


class CommandFilter(admin.SimpleListFilter):
    title = gettext_lazy("command")
    parameter_name = "command"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [(spec.verb, f"/{spec.verb}") for spec in specs()]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Run]") -> "QuerySet[Run]":
        return queryset.filter(command=self.value()) if self.value() else queryset


class NamedFilter(admin.RelatedFieldListFilter):
    """Called by what it chooses from."""

    def __init__(self, field: Any, *args: Any, **options: Any) -> None:
        super().__init__(field, *args, **options)
        self.title = str(field.related_model._meta.verbose_name)


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    change_list_template = "bot/runs.html"
    list_display = ("state_pill", "who", "what", "where", "outcome", "when")
    list_display_links = ("state_pill", "what")
    list_filter = (
        StateFilter,
        CommandFilter,
        ("person", NamedFilter),
        ("service", NamedFilter),
        ("environment", NamedFilter),
    )
    search_fields = ("target",)
    search_help_text = gettext_lazy("A run's number, a target such as shop#233, or a person.")

    @admin.display(description=gettext_lazy("state"))
    def state_pill(self, run: Run) -> str:
        return run_pill(run)

    @admin.display(description=gettext_lazy("who"))
    def who(self, run: Run) -> str:
        return display.excerpt(run.actor) or _("a stranger")

    @admin.display(description=gettext_lazy("what"))
    def what(self, run: Run) -> str:
        return format_html("<code>{}</code>", display.excerpt(run.canonical or run.text))

    @admin.display(description=gettext_lazy("where"))
    def where(self, run: Run) -> str:
        places = (run.target, run.conversation_name or run.conversation or run.platform)
        return display.excerpt(" · ".join(place for place in places if place))

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, run: Run) -> str:
        return display.excerpt(plain_line(run.summary))

    @admin.display(description=gettext_lazy("when"))
    def when(self, run: Run) -> str:
        return display.when(run.accepted_at)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).defer("progress", "reply_route", "arguments")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        term = search_term.replace("\x00", "").strip()
        if not term:
            return queryset, False
        meaning = Q(target=term) | Q(person__name=term)
        number = term.removeprefix("#")
        if number.isascii() and number.isdigit() and len(number) < 19:
            meaning |= Q(pk=int(number))
        return queryset.filter(meaning), False

    def get_urls(self) -> list[URLPattern]:
        ask = self.admin_site.admin_view(self.button_view)
        return [
            *(
                path(f"<path:object_id>/{verb}/", ask, {"verb": verb}, name=f"bot_run_{verb}")
                for verb in BUTTONS
            ),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        run = self.viewed(request, object_id)
        wants_log = "log" in request.GET
        answer = self.page(
            request,
            "bot/run.html",
            title=_("Run %(run)d") % {"run": run.pk},
            run=run,
            pill=run_pill(run),
            when=display.when(run.accepted_at),
            moments=timeline(run),
            buttons=buttons_for(request, run),
            has_person=person_of(request) is not None,
            result=_result(run) if request.user.has_perm(RESEND_RIGHT) else None,
            log=_log(run) if wants_log else "",
        )
        if not run.finished and not wants_log:
            answer["Refresh"] = str(LOOK_AGAIN)
        return answer

    def button_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        """Asks once more, then says the command in the operator's own name."""
        run, button, person = self.viewed(request, object_id), BUTTONS[verb], person_of(request)
        if person is None:
            raise PermissionDenied
        if request.method == "POST" and button.applies(run):
            new = press(request, button, run, person)
            _tell(request, button, run, new)
            return HttpResponseRedirect(reverse("admin:bot_run_change", args=[new.pk]))
        return self.page(
            request,
            "bot/confirm.html",
            title=button.label,
            run=run,
            pill=run_pill(run),
            button=button,
            question=button.question,
            person=person,
            applies=button.applies(run),
            back=reverse("admin:bot_run_change", args=[run.pk]),
        )


def _result(run: Run) -> Reply | None:
    """The reply that tells the outcome, if it can be sent again."""
    newest = run.replies.filter(kind=Reply.Kind.FINAL).order_by("-pk").first()
    return newest if newest and may_send_again(newest) else None


def _tell(request: HttpRequest, button: Button, run: Run, new: Run) -> None:
    if new.state == RunState.REFUSED:
        messages.error(
            request, _("%(text)s was refused; below is why.") % {"text": button.text(run)}
        )
    else:
        sentence = _("%(text)s is accepted as run %(new)d.")
        messages.success(request, sentence % {"text": button.text(run), "new": new.pk})


def _log(run: Run) -> str:
    """The end of the build's log, asked of Jenkins now."""
    number, job_path = run.external.get("build"), run.external.get("job")
    job = Job.objects.select_related("jenkins").filter(path=job_path).first()
    if not isinstance(number, int) or job is None:
        return _("There is no build whose log could be shown.")
    try:
        return log_html(jenkins_client(job.jenkins).log_tail(job.path, number, lines=LOG_LINES))
    except RemoteError as problem:
        return f"⛔ {problem.sentence}"


class ReplyStateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return ReplyState.choices

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Reply]") -> "QuerySet[Reply]":
        return queryset.filter(state=self.value()) if self.value() else queryset


@admin.register(Reply)
class ReplyAdmin(ReadOnlyAdmin):
    change_list_template = "bot/replies.html"
    list_display = ("state_pill", "who", "what", "where", "problem", "when")
    list_display_links = ("state_pill", "what")
    list_filter = (ReplyStateFilter,)
    list_select_related = ("run", "bot")

    @admin.display(description=gettext_lazy("state"))
    def state_pill(self, reply: Reply) -> str:
        return pill(REPLY_TONES[ReplyState(reply.state)], reply.get_state_display())

    @admin.display(description=gettext_lazy("to whom"))
    def who(self, reply: Reply) -> str:
        return display.excerpt(reply.run.actor) if reply.run else "–"

    @admin.display(description=gettext_lazy("what"))
    def what(self, reply: Reply) -> str:
        return display.excerpt(plain_line(reply.text))

    @admin.display(description=gettext_lazy("where"))
    def where(self, reply: Reply) -> str:
        place = (reply.run.conversation_name or reply.run.platform) if reply.run else ""
        return display.excerpt(" · ".join(part for part in (str(reply.bot or ""), place) if part))

    @admin.display(description=gettext_lazy("problem"))
    def problem(self, reply: Reply) -> str:
        return display.excerpt(reply.error)

    @admin.display(description=gettext_lazy("when"))
    def when(self, reply: Reply) -> str:
        return display.when(reply.sent_at or reply.created_at)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).defer("bot__secrets", "run__progress")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.again_view)
        return [path("<path:object_id>/again/", view, name="bot_reply_again"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        reply = self.viewed(request, object_id)
        return self.page(
            request,
            "bot/reply.html",
            title=_("Reply"),
            reply=reply,
            pill=self.state_pill(reply),
            when=self.when(reply),
            text=reply_html(reply.text),
            may_resend=request.user.has_perm(RESEND_RIGHT) and may_send_again(reply),
        )

    def again_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        reply = self.viewed(request, object_id)
        if not request.user.has_perm(RESEND_RIGHT):
            raise PermissionDenied
        back = reverse("admin:bot_reply_change", args=[reply.pk])
        if reply.run_id is not None:
            back = reverse("admin:bot_run_change", args=[reply.run_id])
        applies = may_send_again(reply)
        if request.method == "POST" and applies:
            send_again(request, reply)
            messages.success(request, _("The reply is in the queue again."))
            return HttpResponseRedirect(back)
        return self.page(
            request,
            "bot/confirm.html",
            title=_("Send the reply again"),
            pill=self.state_pill(reply),
            question=_("Really send this reply once more? What it tells of is not repeated."),
            text=reply_html(reply.text),
            applies=applies,
            back=back,
        )
