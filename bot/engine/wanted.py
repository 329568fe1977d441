"""Whether a run is still wanted right before its effect: not cancelled, not too late, still allowed."""

from datetime import datetime

from django.utils.translation import gettext as _

from bot.commands.base import Refusal
from bot.commands.registry import commands
from bot.people.permissions import Ask, decide, facts_of
from bot.runs.models import Run
from bot.runs.story import names
from bot.wording import BLOCKED, code, lines


def check_still_wanted(run: Run, now: datetime) -> None:
    """Nothing has been sent yet: the person may have lost the right, the moment may have passed."""
    if run.cancel_requested_by:
        raise Refusal(
            _("%(mark)s Cancelled before it began: %(what)s")
            % {"mark": BLOCKED, "what": code(run.canonical)},
            reason="cancelled",
        )
    if run.deadline_at and now > run.deadline_at:
        raise Refusal(_expired(run), reason="expired")
    decision = decide(
        run.person is not None and run.person.active,
        facts_of(run.person_id),
        _ask(run),
        open_to_all=commands()[run.command].spec.open_to_all,
        now=now,
    )
    if not decision.allowed:
        raise Refusal(
            _(
                "%(mark)s Not done: %(what)s\nYou had the right when you asked, and no longer have it."
            )
            % {"mark": BLOCKED, "what": code(run.canonical)},
            reason="permission_revoked",
        )


def _ask(run: Run) -> Ask:
    about = names(run)
    return Ask(
        command=run.command,
        **about,
        conversation=run.conversation,
        everything=not any(about.values()) and commands()[run.command].spec.names_a_job,
    )


def _expired(run: Run) -> str:
    return lines(
        _("%(mark)s Not done: %(what)s") % {"mark": BLOCKED, "what": code(run.canonical)},
        _(
            "It waited longer than 15 minutes and may no longer be what you want. Nothing was changed."
        ),
        _("Ask again: `/retry %(run)d`") % {"run": run.pk},
    )
