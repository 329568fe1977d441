"""Pressing a button: its line as if it were typed, by whoever pressed, authorised anew and taken once."""

from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from audit.record import Event, Fact, record
from bot import replies
from bot.dispatch import Accepted, Answer, accept, delivery
from bot.platforms.base import IncomingMessage, Press
from bot.platforms.clients import platform_for
from bot.platforms.models import Bot
from bot.runs import buttons, wake
from bot.runs.buttons import AlreadyTaken
from bot.runs.models import Button, Reply
from bot.verdict import NOTICED_FOR
from bot.wording import BLOCKED, code, escape
from chatops_site.kit.prepared import insert

NEWEST: Final = 100


def press(bot: Bot, pressed: Press) -> Accepted:
    """A button's line, as if whoever pressed it had typed it there and then.

    Whoever may not is refused and leaves the button to others; one that was taken before, is old or of
    another place does nothing but say so.
    """
    now = timezone.now()
    button = buttons.find(bot.pk, pressed.token)
    with translation.override(bot.language):
        refused = _unusable(button, pressed, now)
    if button is None or refused:
        return _decline(bot, pressed, *refused, now=now)
    try:
        return accept(bot, _typed(pressed, button), button=button)
    except AlreadyTaken as taken:
        with translation.override(bot.language):
            sentence = _taken(taken.button)
        return _decline(bot, pressed, "button_taken", sentence, now=now)


def _unusable(button: Button | None, pressed: Press, now: datetime) -> tuple[str, str] | tuple[()]:
    """Why it is not even asked who pressed: a reason for the record, a sentence for the person."""
    if button is None:
        return "button_unknown", _("%(mark)s This button is not known any more.") % {
            "mark": BLOCKED
        }
    if pressed.conversation and button.conversation != pressed.conversation:
        words = _("%(mark)s This button belongs to another conversation.")
        return "button_elsewhere", words % {"mark": BLOCKED}
    if now - button.made_at > buttons.LIVES:
        words = _("%(mark)s This button is older than a day. Type what you want: %(line)s")
        return "button_old", words % {"mark": BLOCKED, "line": code(button.line)}
    if button.taken_by is not None:
        return "button_taken", _taken(button)
    return ()


def _taken(button: Button) -> str:
    button.refresh_from_db(fields=["taken_by"])
    taken = button.taken_by
    if taken is None:
        return _("%(mark)s This button was pressed before.") % {"mark": BLOCKED}
    words = _("%(mark)s %(label)s was pressed already, by %(actor)s: run %(run)d.")
    return words % {
        "mark": BLOCKED,
        "label": escape(button.label),
        "actor": escape(taken.actor),
        "run": taken.pk,
    }


def _typed(pressed: Press, button: Button) -> IncomingMessage:
    return IncomingMessage(
        platform=pressed.platform,
        message_id=pressed.press_id,
        sender=pressed.sender,
        conversation=pressed.conversation or button.conversation,
        conversation_name=pressed.conversation_name,
        private=pressed.private,
        text=button.line,
        sent_at=pressed.pressed_at,
        route=pressed.route,
        proof=pressed.proof,
        source_ip=pressed.source_ip,
    )


def _decline(bot: Bot, pressed: Press, reason: str, sentence: str, *, now: datetime) -> Accepted:
    """On record, and told: by the platform at once where it can, else as a message, once a minute."""
    silent = platform_for(bot).toasts or _was_told(bot, pressed, sentence, now)
    try:
        with transaction.atomic():
            insert([delivery(bot, pressed.press_id, pressed.proof, now)])
            if not silent:
                replies.owe_without_run(
                    bot,
                    sentence,
                    route=pressed.route,
                    place=pressed.conversation,
                    answers=pressed.press_id,
                    now=now,
                )
            record(_pressed_fact(bot, pressed, reason))
    except IntegrityError:
        return Accepted(Answer.DUPLICATE, said=sentence)
    wake.ready(0)
    return Accepted(Answer.IGNORED, said=sentence)


def _was_told(bot: Bot, pressed: Press, sentence: str, now: datetime) -> bool:
    """The same there within the last minute; looked for among the newest replies only."""
    newest = Reply.objects.order_by("-pk").values_list("bot_id", "place", "text", "created_at")
    wanted = bot.pk, pressed.conversation, sentence
    return any(
        (of, place, text) == wanted and at > now - NOTICED_FOR
        for of, place, text, at in newest[:NEWEST]
    )


def _pressed_fact(bot: Bot, pressed: Press, reason: str) -> Fact:
    return Fact(
        event=Event.MESSAGE_IGNORED,
        actor_kind="chat",
        bot=bot.name,
        platform=pressed.platform,
        tenant=pressed.sender.tenant,
        account=pressed.sender.id,
        account_name=pressed.sender.name,
        conversation=pressed.conversation,
        message_id=pressed.press_id,
        source_ip=pressed.source_ip,
        reason=reason,
    )
