"""/retry: carries out a run's call once more, as a new run of whoever asks now."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.commands.base import Argument, Attempt, Call, Command, Kind, Spec, Step
from bot.runs.models import Run, RunState
from bot.wording import BLOCKED


class Retry(Command):
    spec = Spec(
        verb="retry",
        summary=gettext_lazy("carries out a run that did not succeed once more"),
        arguments=(Argument("run", Kind.RUN, required=True),),
        aliases=("重试",),
        examples=("/retry 1850", "/重试 1850"),
        changes=True,
    )

    def stands_for(self, call: Call) -> Run | None:
        return (
            Run.objects.select_related("repository__forge", "service", "environment")
            .filter(pk=call.arguments["run"])
            .first()
        )

    def objection(self, earlier: Run) -> str:
        """What was refused when it was asked has nothing that could be repeated."""
        never_began = earlier.state == RunState.REFUSED and earlier.attempt == 0
        if earlier.finished and earlier.state != RunState.SUCCEEDED and not never_began:
            return ""
        words = (
            _("%(mark)s Not repeated: run %(run)d was refused at once. Send its command again.")
            if never_began
            else _(
                "%(mark)s Not repeated: run %(run)d (%(state)s)."
                " Only what ended without success can be repeated."
            )
        )
        return words % {
            "mark": BLOCKED,
            "run": earlier.pk,
            "state": earlier.get_state_display(),
        }

    def step(self, attempt: Attempt) -> Step:
        """Never its own: dispatch puts the repeated call in its place (stands_for)."""
        raise LookupError("a retry is accepted as the run it repeats")
