"""The page on which a signed-in person gets a one-time code that links a chat account to them."""

from dataclasses import dataclass

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from audit.changes import actor_of
from bot.desk.buttons import person_of
from bot.desk.people_forms import COMMENTS, CONSOLE, label_of
from bot.people.linking import LIVES, MOST_TRIES, make_code
from bot.people.models import Account, Person
from bot.platforms import PLATFORMS
from bot.platforms.models import Bot


@dataclass(frozen=True)
class Place:
    """A bot that the code can be said to."""

    platform: str
    bot: str


@require_http_methods(["GET", "HEAD", "POST"])
def link_page(request: HttpRequest) -> TemplateResponse:
    """Whoever is signed in; a code is made by POST only, and shown in that answer only."""
    person = person_of(request)
    shown = None
    if request.method == "POST" and person is not None:
        shown = make_code(person, actor_of(request))
    context = {
        **admin.site.each_context(request),
        "title": _("Link a chat account"),
        "person": person,
        "username": request.user.get_username(),
        "accounts": _accounts(person),
        "places": _places(),
        "shown": shown,
        "minutes": int(LIVES.total_seconds() // 60),
        "tries": MOST_TRIES,
    }
    return TemplateResponse(request, "bot/link.html", context)


def _accounts(person: Person | None) -> list[tuple[str, Account]]:
    """Each with its platform as people call it."""
    if person is None:
        return []
    accounts = Account.objects.filter(person=person).order_by("platform", "external_id")
    return [(label_of(account.platform), account) for account in accounts]


def _places() -> list[Place]:
    bots = Bot.objects.filter(enabled=True, platform__in=PLATFORMS)
    spoken_to = bots.exclude(platform__in=(COMMENTS, CONSOLE)).order_by("platform", "name")
    return [Place(label_of(bot.platform), bot.name) for bot in spoken_to]
