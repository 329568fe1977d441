"""The webhook: read within limits, verify, accept, answer. What it may not believe never reaches the database."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from django.db import Error, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.views import APIView

from audit.record import Event, Fact, record
from bot import dispatch, pressing, replies
from bot.platforms.base import (
    Body,
    Challenge,
    Ignored,
    IncomingMessage,
    Parsed,
    Platform,
    Poll,
    Press,
    Rejected,
    Said,
    Webhook,
)
from bot.platforms.clients import platform_for
from bot.platforms.models import Bot
from bot.sampling import Sampler
from chatops_site.kit.failpoints import reach
from chatops_site.kit.prepared import Select

logger = logging.getLogger(__name__)

LARGEST_BODY: Final = 256 * 1024

# Rejections are counted all and written down a few a minute: nobody may fill the record without a secret.
rejections = Sampler(per_minute=30)


class ChatWebhook(APIView):
    """/webhooks/chat/<bot>/. Whatever is not authentic gets an empty 401, known bot or not."""

    authentication_classes = ()
    permission_classes = ()
    http_method_names = ["get", "post"]

    def get(self, request: Request, bot: str) -> HttpResponse:
        """WeCom checks an address so; for all others there is nothing here."""
        return self.post(request, bot)

    def post(self, request: Request, bot: str) -> HttpResponse:
        reach("c0")
        try:
            return _answered(request, bot)
        except Rejected as rejected:
            note(bot, rejected.reason, request._request, Event.WEBHOOK_REJECTED)
            return HttpResponse(status=rejected.status)
        except Error as problem:
            # Nothing could be read or written down: the platform shall deliver again.
            logger.error("bot %s: a message could not be written down: %s", bot, problem)
            return HttpResponse(status=503)


def _answered(request: Request, bot: str) -> HttpResponse:
    webhook, now = _webhook(request), timezone.now()
    known = _bot(bot, webhook.method)
    platform = platform_for(known)
    try:
        parsed = platform.receive(webhook, now=now)
    except Rejected as rejected:
        if rejected.proof is not None:
            dispatch.remember(known, rejected.proof)
        raise
    if isinstance(parsed, Challenge):
        return HttpResponse(parsed.body, content_type=parsed.content_type)
    if isinstance(parsed, Poll):
        said = replies.said_about(known, parsed.message_id, now=now)
        return _told(known, platform.acknowledge(webhook, parsed, said, now=now), parsed, said)
    taken = _take(known, parsed)
    if taken.answer is dispatch.Answer.SIGNATURE_REUSED:
        note(bot, "signature_reused", request._request, Event.SIGNATURE_REUSED)
        return HttpResponse(status=401)
    said = _said(known, platform, parsed, taken, now=now)
    return _told(known, platform.acknowledge(webhook, parsed, said, now=now), parsed, said)


def _take(bot: Bot, parsed: IncomingMessage | Ignored | Press) -> dispatch.Accepted:
    if isinstance(parsed, Ignored):
        return dispatch.Accepted(dispatch.ignore(bot, parsed))
    if isinstance(parsed, Press):
        return pressing.press(bot, parsed)
    return dispatch.accept(bot, parsed)


def _said(
    bot: Bot,
    platform: Platform,
    parsed: IncomingMessage | Ignored | Press,
    taken: dispatch.Accepted,
    *,
    now: datetime,
) -> Said:
    """What the body of the 200 may tell: a press's end, or all of an answer that is there already."""
    if isinstance(parsed, Press):
        return Said(taken.said, final=True)
    if not isinstance(parsed, IncomingMessage) or not platform.answers_at_once:
        return Said()
    # Also when it is delivered again: the first answer may not have arrived.
    return replies.said_about(bot, parsed.message_id, now=now)


def _told(bot: Bot, body: Body, parsed: Parsed, said: Said) -> HttpResponse:
    if body.content and said.final and isinstance(parsed, IncomingMessage | Poll):
        replies.mark_told(bot, parsed.message_id)
    return HttpResponse(body.content, content_type=body.content_type)


def _webhook(request: Request) -> Webhook:
    django = request._request
    body = read_body(django, Rejected)
    return Webhook(
        method=django.method or "",
        headers={name.lower(): value for name, value in django.headers.items()},
        query={name: django.GET.getlist(name) for name in django.GET},
        body=body,
        source_ip=django.META.get("REMOTE_ADDR", ""),
    )


def read_body(request: HttpRequest, rejected: Callable[..., Exception]) -> bytes:
    """The raw body within the size limit; what rejected makes of reason and status else."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isascii() or not length.isdigit():
        raise rejected("bad_length", status=400)
    if int(length) > LARGEST_BODY:
        raise rejected("too_large", status=413)
    return request.body


def _bot(name: str, method: str) -> Bot:
    found = _BOT.first(name)
    if found is None:
        # As a platform that has no use for the method would say.
        raise Rejected("unknown_bot", status=401 if method == "POST" else 405)
    return Bot(**dict(zip(_BOT_COLUMNS, found, strict=True)))


_BOT_COLUMNS: Final = ("id", "name", "platform", "settings", "secrets", "language")
_BOT: Final = Select(
    lambda name: (
        Bot.objects.filter(name=name, enabled=True)
        .exclude(platform__in=("console", "comments"))
        .values_list(*_BOT_COLUMNS)
    ),
    "any",
)


def note(bot: str, reason: str, request: HttpRequest, event: Event) -> None:
    """Counts a rejection, and writes some of them down."""
    count = rejections.count(f"{bot[:63]}:{reason}")
    if count is None:
        return
    source = request.META.get("REMOTE_ADDR", "")
    try:
        with transaction.atomic():
            record(_rejected(bot[:63], reason, source, event, count=count))
    except Error as problem:
        logger.error("a rejected webhook could not be written down: %s", problem)


def _rejected(bot: str, reason: str, source: str, event: Event, *, count: int) -> Fact:
    return Fact(
        event=event,
        actor_kind="chat",
        bot=bot,
        reason=reason,
        source_ip=source,
        outcome="refused",
        external={"count": count},
    )
