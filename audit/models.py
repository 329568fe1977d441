"""The record: what happened, who asked, what was decided, what came of it; only ever added to."""

import uuid
from typing import Any, ClassVar, Never

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

SCHEMA_VERSION = 1


class Event(models.TextChoices):
    """What an entry is about. The values are stable: exports and outside programs rely on them."""

    WEBHOOK_REJECTED = "webhook.rejected", gettext_lazy("Webhook rejected")
    SIGNATURE_REUSED = "signature.reused", gettext_lazy("Signature used twice")
    MESSAGE_IGNORED = "message.ignored", gettext_lazy("Message ignored")
    COMMAND_RECEIVED = "command.received", gettext_lazy("Command received")
    COMMAND_REFUSED = "command.refused", gettext_lazy("Command refused")
    ACCESS_ALLOWED = "access.allowed", gettext_lazy("Access allowed")
    ACCESS_DENIED = "access.denied", gettext_lazy("Access denied")
    RUN_QUEUED = "run.queued", gettext_lazy("Run queued")
    RUN_CLAIMED = "run.claimed", gettext_lazy("Run claimed")
    GATES_DECIDED = "gates.decided", gettext_lazy("Gates decided")
    EFFECT_INTENDED = "effect.intended", gettext_lazy("Effect intended")
    EFFECT_SETTLED = "effect.settled", gettext_lazy("Effect settled")
    EFFECT_UNKNOWN = "effect.unknown", gettext_lazy("Effect unknown")
    RUN_FINISHED = "run.finished", gettext_lazy("Run finished")
    REPLY_SENT = "reply.sent", gettext_lazy("Reply sent")
    REPLY_FAILED = "reply.failed", gettext_lazy("Reply failed")
    FORGE_EVENT = "forge.event", gettext_lazy("Forge event")
    APPROVAL_VOIDED = "approval.voided", gettext_lazy("Approval voided")
    CONFIG_CHANGED = "config.changed", gettext_lazy("Configuration changed")
    LOGIN_OK = "login.ok", gettext_lazy("Logged in")
    LOGIN_FAILED = "login.failed", gettext_lazy("Login failed")
    SECRET_ROTATED = "secret.rotated", gettext_lazy("Secret rotated")
    SECURITY_SAMPLED = "security.sampled", gettext_lazy("Security events counted")


class ActorKind(models.TextChoices):
    """By which door the actor came."""

    CHAT = "chat", gettext_lazy("chat")
    PORTAL = "portal", gettext_lazy("portal")
    SYSTEM = "system", gettext_lazy("system")


class Outcome(models.TextChoices):
    """The words an outcome is normally said in; the admin colours these, the column takes any."""

    SUCCEEDED = "succeeded", gettext_lazy("succeeded")
    FAILED = "failed", gettext_lazy("failed")
    REFUSED = "refused", gettext_lazy("refused")
    UNKNOWN = "unknown", gettext_lazy("unknown")
    EXPIRED = "expired", gettext_lazy("expired")
    CANCELLED = "cancelled", gettext_lazy("cancelled")
    AWAITING = "awaiting", gettext_lazy("awaiting a person")
    QUEUED = "queued", gettext_lazy("queued")
    RUNNING = "running", gettext_lazy("running")


class AppendOnly(RuntimeError):
    """Somebody tried to write to the record otherwise than through audit.record.record()."""


def refuse(*_arguments: object, **_options: object) -> Never:
    """Stands in for every method of Django that would write."""
    raise AppendOnly(
        _(
            "Audit entries are only ever added, and only by audit.record.record(). "
            "To correct an entry, record another one that says what was wrong."
        )
    )


class EntryQuerySet(models.QuerySet["Entry"]):
    """Reads only."""

    create = acreate = refuse
    update = aupdate = refuse
    delete = adelete = refuse
    bulk_create = abulk_create = refuse
    bulk_update = abulk_update = refuse
    get_or_create = aget_or_create = refuse
    update_or_create = aupdate_or_create = refuse
    # Where fixtures and collectors end up, past all of the above.
    _insert = _update = _raw_delete = refuse


def short(label: Any, length: int = 100) -> "models.CharField[str, str]":
    """A text column that is empty where it does not apply."""
    return models.CharField(label, max_length=length, blank=True, default="")


class Entry(models.Model):
    """One thing that happened.

    No foreign keys: whatever an entry is about may be deleted later, so names are kept as text and
    numbers as numbers. seq is the order; `at` is only what the clock said.
    """

    seq = models.BigAutoField(gettext_lazy("entry"), primary_key=True)
    event_id = models.UUIDField(
        gettext_lazy("event id"), unique=True, editable=False, default=uuid.uuid4
    )
    schema_version = models.PositiveSmallIntegerField(
        gettext_lazy("schema version"), default=SCHEMA_VERSION
    )
    at = models.DateTimeField(gettext_lazy("time"))
    event = models.CharField(gettext_lazy("event"), max_length=40, choices=Event.choices)

    actor_kind = models.CharField(
        gettext_lazy("came by"), max_length=10, choices=ActorKind.choices, blank=True, default=""
    )
    platform = short(gettext_lazy("platform"), 40)
    bot = short(gettext_lazy("bot"))
    tenant = short(gettext_lazy("tenant"), 200)
    account = short(gettext_lazy("account"), 200)
    account_name = short(gettext_lazy("name shown then"), 200)
    person = short(gettext_lazy("person"), 200)
    username = short(gettext_lazy("portal user"), 200)
    conversation = short(gettext_lazy("conversation id"), 200)
    conversation_name = short(gettext_lazy("conversation"), 200)
    message_id = short(gettext_lazy("message id"), 200)
    source_ip = short(gettext_lazy("source address"), 64)

    text = models.TextField(gettext_lazy("text as typed"), blank=True, default="")
    text_length = models.PositiveIntegerField(gettext_lazy("length of the text"), default=0)
    text_digest = short(gettext_lazy("digest of the text"), 64)
    canonical = models.TextField(gettext_lazy("understood as"), blank=True, default="")
    command = short(gettext_lazy("command"), 60)
    run = models.BigIntegerField(gettext_lazy("run"), null=True, blank=True)
    attempt = models.PositiveIntegerField(gettext_lazy("attempt"), null=True, blank=True)

    target_kind = short(gettext_lazy("kind of target"), 60)
    target = short(gettext_lazy("target"), 255)
    repository = short(gettext_lazy("repository"), 255)
    number = models.BigIntegerField(gettext_lazy("pull request"), null=True, blank=True)
    service = short(gettext_lazy("service"))
    environment = short(gettext_lazy("environment"))
    sha = short(gettext_lazy("commit announced"), 64)
    observed_sha = short(gettext_lazy("commit found"), 64)

    outcome = short(gettext_lazy("outcome"), 40)
    reason = short(gettext_lazy("reason"))
    rule = short(gettext_lazy("rule"), 255)
    detail = models.TextField(gettext_lazy("detail"), blank=True, default="")
    external = models.JSONField(gettext_lazy("in other systems"), blank=True, default=dict)
    changes = models.JSONField(gettext_lazy("changes"), blank=True, default=dict)
    platform_at = models.DateTimeField(gettext_lazy("time of the message"), null=True, blank=True)
    duration_ms = models.PositiveIntegerField(gettext_lazy("duration (ms)"), null=True, blank=True)
    redactions = models.PositiveIntegerField(gettext_lazy("secrets removed"), default=0)

    objects: ClassVar[models.Manager["Entry"]] = EntryQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("audit entry")
        verbose_name_plural = gettext_lazy("audit entries")
        ordering = ["-seq"]
        # Django's own paths (save_base, fixtures) go through the base manager.
        base_manager_name = "objects"
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["event", "seq"], name="audit_by_event"),
            models.Index(fields=["run", "seq"], name="audit_by_run"),
            models.Index(fields=["person", "seq"], name="audit_by_person"),
            models.Index(fields=["command", "seq"], name="audit_by_command"),
            models.Index(fields=["target", "seq"], name="audit_by_target"),
            models.Index(fields=["outcome", "seq"], name="audit_by_outcome"),
            models.Index(fields=["sha", "seq"], name="audit_by_sha"),
            models.Index(fields=["at"], name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.event}"

    save = asave = save_base = refuse
    delete = adelete = refuse
