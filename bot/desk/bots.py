"""The admin's pages of bots and conversations."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.changes import AuditedAdmin
from bot.desk import connections
from bot.desk.bot_forms import SETTING, form_of, platform_named
from bot.desk.people_forms import COMMENTS, CONSOLE
from bot.platforms import PLATFORMS
from bot.platforms.base import SendFailed
from bot.platforms.clients import platform_for
from bot.platforms.models import Bot, Conversation, platforms
from repos.connections import Finding, Findings
from repos.desk import TestedAdmin, address_shown, secrets_said
from repos.forms.secrets import PREFIX


@admin.register(Bot)
class BotAdmin(TestedAdmin):
    unread = ("secrets",)
    list_display = ("name", "platform", "language", "enabled", "connection")
    list_filter = ("platform", "enabled")
    search_fields = ("name",)
    readonly_fields = ("platform", "receiving_address", "outgoing_connection")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).prefetch_related("connections")

    @admin.display(
        description=gettext_lazy("Receiving address"),
    )
    def receiving_address(self, bot: Bot) -> str:
        """What has to be entered on the platform's side."""
        if not bot.pk:
            return _("It is shown here once the bot is saved.")
        if bot.platform == COMMENTS:
            return _("None of its own: the webhook is set up on its forge's page.")
        address = address_shown(reverse("chat_webhook", args=[bot.name]))
        if not _can_dial(bot.platform):
            return address
        either = _(
            "Either way works: this address, or an outgoing connection. What comes twice is run once."
        )
        return format_html("{}<p>{}</p>", address, either)

    @admin.display(description=gettext_lazy("Outgoing connection"))
    def outgoing_connection(self, bot: Bot) -> str:
        """Of each process that keeps one, how it is; or how to start one."""
        if not bot.pk:
            return _("It is shown here once the bot is saved.")
        return connections.told(bot, timezone.now())

    @admin.display(description=gettext_lazy("Outgoing connection"))
    def connection(self, bot: Bot) -> str:
        return connections.newest_pill(bot, timezone.now())

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Asks for the platform first: everything else on the form depends on it."""
        if request.GET.get("platform") in PLATFORMS:
            return super().add_view(request, form_url, extra_context)
        if not self.has_add_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("Add a bot: on which platform?"),
            "opts": self.opts,
            "platforms": [
                (name, label) for name, label in platforms() if name not in (COMMENTS, CONSOLE)
            ],
        }
        return TemplateResponse(request, "bot/choose_platform.html", context)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {}

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        own = form_of(_platform_name(request, obj))
        return super().get_form(request, obj, change=change, **{"form": own, **options})

    @admin.display(description=gettext_lazy("secrets"))
    def secrets_said(self, thing: Any) -> str:
        kind = platform_named(thing.platform)
        names = [secret.name for secret in kind.secrets] if kind else []
        return secrets_said({name: (thing.secrets or {}).get(name) for name in names})

    @admin.display(description=gettext_lazy("settings"))
    def settings_said(self, bot: Bot) -> str:
        return ", ".join(f"{name}: {value}" for name, value in bot.settings.items()) or "–"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        sections = self._sections(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return sections
        own = sections[0][1]["fields"]
        return [(None, {"fields": [*own, "settings_said", "secrets_said"]})]

    def _sections(self, request: HttpRequest, obj: Bot | None) -> list[Any]:
        kind = platform_named(_platform_name(request, obj))
        plain = [SETTING + setting.name for setting in kind.settings] if kind else []
        hidden = [PREFIX + secret.name for secret in kind.secrets] if kind else []
        own = ["name", "platform", "language", "enabled", "receiving_address"]
        if _can_dial(_platform_name(request, obj)):
            own.append("outgoing_connection")
        sections = (
            (None, own),
            (gettext_lazy("Settings"), plain),
            (gettext_lazy("Secrets"), hidden),
        )
        return [(title, {"fields": names}) for title, names in sections if names]

    def test(self, stored: Any) -> Findings:
        if stored.platform not in PLATFORMS:
            sentence = _("This portal knows no platform %(platform)s.")
            return (Finding(False, sentence % {"platform": stored.platform}),)
        try:
            return (Finding(True, platform_for(stored).check()),)
        except SendFailed as problem:
            return (Finding(False, problem.sentence),)


def _can_dial(platform: str) -> bool:
    kind = platform_named(platform)
    return bool(kind and kind.dialled)


def _platform_name(request: HttpRequest, bot: Bot | None) -> str:
    return bot.platform if bot else request.GET.get("platform", "")


@admin.register(Conversation)
class ConversationAdmin(AuditedAdmin):
    list_display = ("named", "bot", "repository", "external_id")
    list_select_related = ("bot", "repository")
    list_filter = ("bot", "repository")
    search_fields = ("name", "external_id")
    fields = ("bot", "external_id", "name", "repository")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).defer("bot__secrets")

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def named(self, conversation: Conversation) -> str:
        return str(conversation)
