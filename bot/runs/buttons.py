"""Buttons under replies: what each stands for is kept here, and the platform carries an opaque id."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError

from bot.platforms import base
from bot.runs.models import Button, Reply, Run

# A button shows what was so when its message was written; a day later it is better asked anew.
LIVES: Final = timedelta(days=1)
LONGEST_LABEL: Final = 40
LONGEST_LINE: Final = 300


@dataclass(frozen=True)
class Offer:
    """What a reply offers to be pressed: the line is what one would type, and is authorised like it.

    sha: the commit that the reply speaks of, for lines that would change something about it.
    """

    label: str
    line: str
    sha: str = ""
    tone: str = ""


class AlreadyTaken(IntegrityError):
    """Somebody pressed it before, and its line was accepted then."""

    def __init__(self, button: Button) -> None:
        super().__init__(button.token)
        self.button = button


def as_json(offers: Sequence[Offer]) -> list[dict[str, Any]]:
    return [asdict(offer) for offer in offers if len(offer.line) <= LONGEST_LINE]


def buttons_of(reply: Reply, now: datetime) -> tuple[base.Button, ...]:
    """The buttons as the platform gets them: the same ones, however often the reply is tried."""
    if not reply.offers or reply.bot_id is None:
        return ()
    known = list(reply.buttons.order_by("pk")) or _made(reply, reply.bot_id, now)
    return tuple(base.Button(one.token, one.label, one.tone) for one in known)


def _made(reply: Reply, bot_id: int, now: datetime) -> list[Button]:
    return Button.objects.bulk_create(
        Button(
            token=secrets.token_urlsafe(24),
            bot_id=bot_id,
            reply=reply,
            label=offer["label"][:LONGEST_LABEL],
            tone=offer["tone"],
            line=offer["line"],
            sha=offer["sha"],
            conversation=reply.place,
            made_at=now,
        )
        for offer in reply.offers
    )


def find(bot_id: int, token: str) -> Button | None:
    """The button of that bot, with who took it."""
    found = Button.objects.filter(bot=bot_id, token=token).select_related("taken_by")
    return found.first() if token.isprintable() else None


def take(button: Button, run: Run) -> None:
    """For that run, or AlreadyTaken; within the transaction that accepts the run."""
    if not Button.objects.filter(pk=button.pk, taken_by=None).update(taken_by=run):
        raise AlreadyTaken(button)
