"""What an operator can do to a run: the same commands as in chat, as the person they are, by the same way."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.changes import actor_of
from audit.record import ActorKind, Event, record
from bot import dispatch, replies
from bot.people.models import Person
from bot.platforms.base import IncomingMessage, Sender
from bot.runs import wake
from bot.runs.models import Reply, Run, RunState
from bot.runs.story import fact

# Who may set up bots may also have one speak again.
RESEND_RIGHT: Final = "bot.change_bot"


@dataclass(frozen=True)
class Button:
    """A command about a run. The label is on the button, the question on the page that asks again."""

    verb: str
    label: str | Promise
    question: str | Promise
    applies: Callable[[Run], bool]

    def text(self, run: Run) -> str:
        return f"/{self.verb} {run.pk}"


def _can_be_repeated(run: Run) -> bool:
    return run.changes_things and run.finished and run.state != RunState.SUCCEEDED


BUTTONS: Final[dict[str, Button]] = {
    "cancel": Button(
        "cancel",
        gettext_lazy("Cancel run"),
        gettext_lazy("Really cancel this run? A build that is under way will be stopped."),
        lambda run: not run.finished or run.state == RunState.UNKNOWN,
    ),
    "retry": Button(
        "retry",
        gettext_lazy("Retry"),
        gettext_lazy("Really carry it out once more? It becomes a new run, in your name."),
        _can_be_repeated,
    ),
}


def person_of(request: HttpRequest) -> Person | None:
    """The active person that the portal user is linked to."""
    return Person.objects.filter(user=request.user.pk, active=True).first()


def buttons_for(request: HttpRequest, run: Run) -> list[Button]:
    if person_of(request) is None:
        return []
    return [button for button in BUTTONS.values() if button.applies(run)]


def press(request: HttpRequest, button: Button, run: Run, person: Person) -> Run:
    """Says the command as that person; the new run tells what the portal made of it."""
    message = IncomingMessage(
        platform="console",
        message_id=uuid.uuid4().hex,
        sender=Sender(tenant="", id=person.username, name=person.name),
        conversation="",
        conversation_name=_("portal"),
        private=True,
        text=button.text(run),
        sent_at=timezone.now(),
        source_ip=str(request.META.get("REMOTE_ADDR", "")),
    )
    accepted = dispatch.accept(None, message)
    if accepted.run is None:
        raise LookupError(f"{button.text(run)} was not taken as a command")
    return accepted.run


def send_again(request: HttpRequest, reply: Reply) -> None:
    """Puts the reply back into the queue and says so on record; the effect it tells of is not touched."""
    with transaction.atomic():
        before = reply.state
        replies.send_again(reply)
        record(_resent(request, reply, before))
        transaction.on_commit(lambda: wake.ready(0))


def _resent(request: HttpRequest, reply: Reply, before: str) -> Any:
    actor = actor_of(request)
    return fact(
        reply.run or Run(actor=""),
        Event.CONFIG_CHANGED,
        actor_kind=ActorKind.PORTAL,
        username=actor.username,
        person="",
        source_ip=actor.source_ip,
        target_kind="reply",
        target=str(reply),
        reason="sent_again",
        text="",
        changes={"state": {"old": before, "new": "waiting"}},
    )
