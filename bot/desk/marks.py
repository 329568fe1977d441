"""States as pills: a word and a shape, never colour alone."""

from typing import Any, Final

from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.display import DONE, FAILED, SHAPES, UNDER_WAY, UNSURE, WAITING
from bot.runs.models import ReplyState, Run, RunState

TONES: Final[dict[str, str]] = {
    RunState.AWAITING: WAITING,
    RunState.QUEUED: UNDER_WAY,
    RunState.RUNNING: UNDER_WAY,
    RunState.SUCCEEDED: DONE,
    RunState.REFUSED: FAILED,
    RunState.FAILED: FAILED,
    RunState.CANCELLED: FAILED,
    RunState.EXPIRED: FAILED,
    RunState.UNKNOWN: UNSURE,
}
REPLY_TONES: Final[dict[str, str]] = {
    ReplyState.WAITING: UNDER_WAY,
    ReplyState.SENDING: UNDER_WAY,
    ReplyState.SENT: DONE,
    ReplyState.SUPERSEDED: DONE,
    ReplyState.FAILED: FAILED,
}


def pill(tone: str, word: Any) -> SafeString:
    return format_html(
        '<span class="state state-{}"><span aria-hidden="true">{}</span> {}</span>',
        tone,
        SHAPES[tone],
        word,
    )


def run_pill(run: Run) -> SafeString:
    return pill(TONES.get(run.state, UNDER_WAY), run.get_state_display())
