"""Acts on a webhook that was written down: reads at the forge what it is about, and believes only that."""

import logging
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from audit.record import Event, Fact, record
from bot import dispatch
from bot.commands.registry import specs
from bot.hooks.commands_in import commands_in
from bot.platforms.base import IncomingMessage, Sender
from bot.platforms.models import Bot
from bot.runs.models import ForgeHook, HookState, Run, RunState
from bot.runs.story import fact
from chatops_site.kit.failpoints import reach
from repos.clients import forge_client
from repos.errors import NotFound, RateLimited, RemoteError
from repos.forges.events import Happened, text_digest
from repos.forges.resources import Comment
from repos.models import Forge, Repository

logger = logging.getLogger(__name__)

# A command older than this is not run anyway.
GIVE_UP_AFTER: Final = timedelta(minutes=15)
LONGEST_PAUSE: Final = 60.0
VOIDED: Final = "voided_by_push"


def ready(now: datetime) -> list[int]:
    return list(_due(now).order_by("due_at", "id").values_list("id", flat=True)[:100])


def take(hook_id: int) -> None:
    """Acts on one if nobody else does. What the forge cannot tell now is tried again for a while."""
    now = timezone.now()
    lease = now + timedelta(seconds=2 * settings.LEASE_SECONDS)
    if not _due(now).filter(pk=hook_id).update(lease_until=lease, attempts=F("attempts") + 1):
        return
    hook = ForgeHook.objects.select_related("forge").get(pk=hook_id)
    try:
        reason = _act(hook)
    except NotFound:
        _settle(hook, HookState.IGNORED, "gone")
    except RemoteError as problem:
        _postpone(hook, problem, now)
    else:
        reach("hook acted")
        _settle(hook, HookState.IGNORED if reason else HookState.DONE, reason)


def _due(now: datetime) -> QuerySet[ForgeHook]:
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    return ForgeHook.objects.filter(free, state=HookState.WAITING, due_at__lte=now)


def _act(hook: ForgeHook) -> str:
    """Why nothing came of it; "" when something did."""
    repository = Repository.objects.filter(forge=hook.forge, path__iexact=hook.path).first()
    if repository is None:
        return "unknown_repository"
    if hook.happened == Happened.COMMENTED:
        return _read_comment(hook, repository)
    if hook.happened == Happened.PUSHED:
        return _void_approvals(hook, repository)
    return ""


def _read_comment(hook: ForgeHook, repository: Repository) -> str:
    client = forge_client(hook.forge)
    comment = client.read_comment(repository.path, hook.number, hook.comment_id)
    if comment.author.casefold() == client.own_login().casefold():
        return "own_comment"
    if comment.edited or text_digest(comment.body) != hook.text_digest:
        return "edited"
    lines = commands_in(comment.body, number=hook.number, specs=specs())
    bot = bot_of(hook.forge) if lines else None
    if bot is not None and not bot.enabled:
        return "bot_disabled"
    for index, line in enumerate(lines, 1):
        dispatch.accept(bot, _message(hook, repository, comment, line, index))
    return "" if lines else "no_command"


def bot_of(forge: Forge) -> Bot:
    """Who answers there: made when the first command comes, and an operator may change its language."""
    bot, _made = Bot.objects.get_or_create(
        platform="comments",
        settings={"forge": forge.name},
        defaults={"name": f"comments-{forge.name}"[:63], "language": settings.LANGUAGE_CODE},
    )
    return bot


def _message(
    hook: ForgeHook, repository: Repository, comment: Comment, line: str, index: int
) -> IncomingMessage:
    """Its id is the comment's and the line's, so that it runs once however often it is told."""
    return IncomingMessage(
        platform=dispatch.COMMENTS,
        message_id=f"comment {hook.comment_id} command {index}",
        sender=Sender(tenant=hook.forge.name, id=comment.author, name=comment.author),
        conversation=f"{hook.forge.name}:{repository.path}#{hook.number}",
        conversation_name=f"{repository.name}#{hook.number}",
        private=False,
        text=line,
        sent_at=comment.created_at or hook.received_at,
        repository_id=repository.pk,
        route={
            "path": repository.path,
            "number": hook.number,
            "mark": f"{hook.comment_id}.{index}",
        },
        source_ip=hook.source_ip,
    )


def _void_approvals(hook: ForgeHook, repository: Repository) -> str:
    """Approvals given through us on an older head stop counting anyway; here they are marked and recorded."""
    pull = forge_client(hook.forge).pull(repository.path, hook.number)
    given = Run.objects.filter(
        command="approve",
        state=RunState.SUCCEEDED,
        repository=repository,
        number=hook.number,
    ).exclude(sha=pull.head_sha)
    with transaction.atomic():
        runs = list(given.exclude(reason=VOIDED).select_for_update(of=("self",)))
        Run.objects.filter(pk__in=[run.pk for run in runs]).update(reason=VOIDED)
        if runs:
            record(*(fact(run, Event.APPROVAL_VOIDED, observed_sha=pull.head_sha) for run in runs))
    return "" if runs else "no_approval"


def _postpone(hook: ForgeHook, problem: RemoteError, now: datetime) -> None:
    if not problem.retryable or now - hook.received_at > GIVE_UP_AFTER:
        logger.warning("webhook %s of %s came to nothing: %s", hook.pk, hook.forge, problem)
        _settle(hook, HookState.FAILED, type(problem).__name__, detail=problem.sentence)
        return
    pause = min(2.0**hook.attempts, LONGEST_PAUSE)
    due = now + timedelta(seconds=pause)
    if isinstance(problem, RateLimited) and problem.until is not None:
        due = max(due, min(problem.until, now + GIVE_UP_AFTER))
    ForgeHook.objects.filter(pk=hook.pk).update(due_at=due, lease_until=None)


def _settle(hook: ForgeHook, state: HookState, reason: str, *, detail: str = "") -> None:
    with transaction.atomic():
        ForgeHook.objects.filter(pk=hook.pk).update(
            state=state, reason=reason[:60], lease_until=None
        )
        record(
            Fact(
                event=Event.FORGE_EVENT,
                actor_kind="system",
                platform="comments",
                tenant=hook.forge.name,
                message_id=hook.delivery,
                target=f"{hook.path}#{hook.number}",
                number=hook.number or None,
                outcome="failed" if state == HookState.FAILED else "",
                reason=reason,
                detail=detail or hook.told,
                source_ip=hook.source_ip,
            )
        )
