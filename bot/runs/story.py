"""What the record is told of a run: one place that turns a run into an audit fact."""

from typing import Any

from audit.record import ActorKind, Event, Fact
from bot.runs.models import Reply, Run


def fact(run: Run, event: Event, **more: Any) -> Fact:
    """A fact about that run; more overrides or adds columns (outcome, detail, external …).

    Whoever knows the names of repository, service and environment passes them: that saves a query each.
    """
    if "repository" not in more:
        more |= names(run)
    columns: dict[str, Any] = {
        "actor_kind": ActorKind.PORTAL if run.platform == "console" else ActorKind.CHAT,
        "run": run.pk,
        "attempt": run.attempt,
        "bot": run.bot.name if run.bot else "",
        "platform": run.platform,
        "tenant": run.tenant,
        "account": run.account,
        "person": run.actor,
        "conversation": run.conversation,
        "conversation_name": run.conversation_name,
        "message_id": run.message_id,
        "text": run.text,
        "command": run.command,
        "canonical": run.canonical,
        "target": run.target,
        "number": run.number,
        "sha": run.sha,
    }
    return Fact(event=event, **(columns | more))


def names(run: Run) -> dict[str, str]:
    """What the run is about, by its stored names."""
    return {
        "repository": run.repository.name if run.repository else "",
        "service": run.service.name if run.service else "",
        "environment": run.environment.name if run.environment else "",
    }


def reply_fact(reply: Reply, event: Event, *, detail: str = "") -> Fact:
    """A fact about a reply, of its run where it has one."""
    if reply.run is None:
        return Fact(event=event, detail=detail, bot=reply.bot.name if reply.bot else "")
    return fact(reply.run, event, outcome=reply.kind, detail=detail, text="")
