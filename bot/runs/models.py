"""The run table is the truth: deliveries, runs, their effects at other systems, and the replies they owe."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from bot.people.models import Person
from bot.platforms.models import Bot
from repos.models import Environment, Forge, Repository, Service


class Delivery(models.Model):
    """A message that a platform delivered; the unique constraints stop repeats and body swaps."""

    bot = models.ForeignKey(Bot, models.CASCADE)
    message_id = models.CharField(max_length=200)
    # Of a signature that does not cover the body; None where the signature does.
    signature_digest = models.CharField(max_length=64, null=True)  # noqa: DJ001 - NULL is "none", and unique
    body_digest = models.CharField(max_length=64)
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = (
            models.UniqueConstraint("bot", "message_id", name="delivery_once"),
            models.UniqueConstraint("bot", "signature_digest", name="signature_once"),
        )

    def __str__(self) -> str:
        return self.message_id


class HookState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    DONE = "done", _("done")
    IGNORED = "ignored", _("ignored")
    FAILED = "failed", _("failed")


class ForgeHook(models.Model):
    """A webhook of a forge that was believed; a worker reads at the forge what it is about before it acts."""

    forge = models.ForeignKey(Forge, models.CASCADE)
    delivery = models.CharField(max_length=100)
    # Of a signature that does not cover the body (Gitee's); None where it does.
    signature_digest = models.CharField(max_length=64, null=True)  # noqa: DJ001 - NULL is "none", and unique
    happened = models.CharField(max_length=20)
    path = models.CharField(max_length=200, blank=True)
    number = models.PositiveBigIntegerField(default=0)
    comment_id = models.CharField(max_length=40, blank=True)
    text_digest = models.CharField(max_length=64, blank=True)
    told = models.CharField(max_length=80, blank=True)
    source_ip = models.CharField(max_length=45, blank=True)
    state = models.CharField(max_length=10, choices=HookState.choices, default=HookState.WAITING)
    reason = models.CharField(max_length=60, blank=True)
    received_at = models.DateTimeField(db_index=True)
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint("forge", "delivery", name="forge_delivery_once"),
            models.UniqueConstraint("forge", "signature_digest", name="forge_signature_once"),
        )
        indexes = (
            models.Index(
                "due_at", "id", condition=models.Q(state="waiting"), name="forge_hook_ready"
            ),
        )

    def __str__(self) -> str:
        return f"{self.told} {self.path}#{self.number}"


class RunState(models.TextChoices):
    AWAITING = "awaiting", _("waiting for a person")
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("under way")
    SUCCEEDED = "succeeded", _("done")
    REFUSED = "refused", _("refused")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    EXPIRED = "expired", _("expired")
    UNKNOWN = "unknown", _("unknown")


UNFINISHED = (RunState.AWAITING, RunState.QUEUED, RunState.RUNNING)


class Run(models.Model):
    """One command being carried out. Names are copied as text, so that history outlives what it names."""

    # Who asked, where, and what exactly.
    bot = models.ForeignKey(Bot, models.SET_NULL, null=True, verbose_name=_("bot"))
    platform = models.CharField(_("platform"), max_length=20)
    tenant = models.CharField(max_length=100, blank=True)
    account = models.CharField(_("account"), max_length=200, blank=True)
    person = models.ForeignKey(Person, models.SET_NULL, null=True, verbose_name=_("person"))
    actor = models.CharField(_("who"), max_length=100)
    conversation = models.CharField(max_length=200, blank=True)
    conversation_name = models.CharField(_("conversation"), max_length=200, blank=True)
    message_id = models.CharField(max_length=200, blank=True)
    reply_route = models.JSONField(default=dict)
    language = models.CharField(max_length=10)
    text = models.TextField(_("as typed"), blank=True)
    command = models.CharField(_("command"), max_length=20)
    arguments = models.JSONField(default=dict)
    canonical = models.CharField(_("understood as"), max_length=300, blank=True)
    changes_things = models.BooleanField(default=False)
    retry_of = models.ForeignKey("self", models.SET_NULL, null=True, related_name="retries")

    # On what.
    target = models.CharField(_("target"), max_length=200, blank=True)
    repository = models.ForeignKey(Repository, models.SET_NULL, null=True)
    service = models.ForeignKey(Service, models.SET_NULL, null=True)
    environment = models.ForeignKey(Environment, models.SET_NULL, null=True)
    number = models.PositiveIntegerField(null=True)
    sha = models.CharField(max_length=64, blank=True)
    # Runs with the same key are carried out one at a time, in the order of acceptance. "" means no order.
    key = models.CharField(max_length=200, blank=True)
    # The outside system that its steps talk to first; a slow one fills only its own share of the worker.
    lane = models.CharField(max_length=100, blank=True)

    # How far it is.
    state = models.CharField(_("state"), max_length=10, choices=RunState.choices)
    accepted_at = models.DateTimeField(_("asked"))
    deadline_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    # Counts claims, and fences: whoever holds an older number can write nothing any more.
    attempt = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    cancel_requested_by = models.CharField(max_length=100, blank=True)
    progress = models.JSONField(default=dict)
    finished_at = models.DateTimeField(_("finished"), null=True)
    reason = models.CharField(max_length=60, blank=True)
    summary = models.TextField(_("outcome"), blank=True)
    gates = models.JSONField(default=list)
    external = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                "key",
                condition=models.Q(state=RunState.RUNNING) & ~models.Q(key=""),
                name="one_running_per_key",
            ),
        )
        indexes = (
            models.Index(
                "due_at",
                "id",
                condition=models.Q(state__in=("queued", "running")),
                name="run_ready",
            ),
            models.Index(
                "key", "id", condition=models.Q(state__in=("queued", "running")), name="run_by_key"
            ),
            models.Index("state", "id", name="run_by_state"),
            models.Index("person", "id", name="run_by_person"),
            models.Index("account", "id", name="run_by_account"),
            models.Index("command", "id", name="run_by_command"),
            models.Index("target", "id", name="run_by_target"),
            models.Index("service", "environment", "id", name="run_by_service"),
        )

    def __str__(self) -> str:
        return f"{self.pk} {self.canonical or self.command}"

    @property
    def finished(self) -> bool:
        return self.state not in UNFINISHED


class EffectState(models.TextChoices):
    INTENDED = "intended", _("intended")
    DONE = "done", _("done")
    REFUSED = "refused", _("refused")
    UNKNOWN = "unknown", _("unknown")


class Effect(models.Model):
    """One change at another system: written down before it is sent, settled when its outcome is known."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="effects")
    name = models.CharField(max_length=20)
    state = models.CharField(max_length=10, choices=EffectState.choices)
    intent = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    intended_at = models.DateTimeField()
    # Of the newest sending; a search for traces counts from here.
    sent_at = models.DateTimeField(null=True)
    searches = models.PositiveIntegerField(default=0)
    searched_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint("run", "name", name="effect_once"),)

    def __str__(self) -> str:
        return f"{self.name} of run {self.run_id}"


class ReplyState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    SENDING = "sending", _("being sent")
    SENT = "sent", _("sent")
    SUPERSEDED = "superseded", _("superseded")
    FAILED = "failed", _("failed")


# Written out in the SQL: SQLite takes the partial index of what waits only where the words themselves stand.
UNSENT = tuple(
    models.Func(template=f"'{state}'", output_field=models.CharField())
    for state in (ReplyState.WAITING, ReplyState.SENDING)
)


class Reply(models.Model):
    """A message the bot owes a conversation; sending it again never touches the effect it tells of."""

    class Kind(models.TextChoices):
        PROGRESS = "progress", _("under way")
        FINAL = "final", _("result")

    run = models.ForeignKey(Run, models.CASCADE, null=True, related_name="replies")
    bot = models.ForeignKey(Bot, models.CASCADE, null=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    route = models.JSONField(default=dict)
    text = models.TextField()
    # What can be pressed below it: [{"label", "line", "sha", "tone"}].
    offers = models.JSONField(default=list)
    # The conversation, for its pace.
    place = models.CharField(max_length=200, blank=True)
    # The message it answers, where the platform comes for the answer; None elsewhere, which keeps its index small.
    answers = models.CharField(max_length=200, null=True)  # noqa: DJ001
    state = models.CharField(max_length=10, choices=ReplyState.choices, default=ReplyState.WAITING)
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    # Of the newest try, which the platform counted whatever came of it.
    tried_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    external_id = models.CharField(max_length=200, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("reply")
        verbose_name_plural = _("replies")
        indexes = (
            models.Index(
                "due_at",
                "id",
                condition=models.Q(state__in=("waiting", "sending")),
                name="reply_ready",
            ),
            models.Index("bot", "tried_at", name="reply_pace"),
            models.Index(
                "bot",
                "answers",
                condition=models.Q(answers__isnull=False),
                name="reply_of_message",
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · run {self.run_id}"


class Button(models.Model):
    """What a button under a reply stands for: a line as if it were typed by whoever presses it.

    The platform knows the token alone. A line that changes something is taken once.
    """

    token = models.CharField(max_length=40, unique=True)
    bot = models.ForeignKey(Bot, models.CASCADE)
    reply = models.ForeignKey(Reply, models.CASCADE, related_name="buttons")
    label = models.CharField(max_length=40)
    tone = models.CharField(max_length=10, blank=True)
    line = models.CharField(max_length=300)
    # The commit that the reply spoke of: another one is not meant.
    sha = models.CharField(max_length=64, blank=True)
    conversation = models.CharField(max_length=200)
    made_at = models.DateTimeField()
    taken_by = models.ForeignKey(Run, models.SET_NULL, null=True, related_name="+")

    def __str__(self) -> str:
        return self.label


class Heartbeat(models.Model):
    """The last sign of life of each worker."""

    worker = models.CharField(max_length=200, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.worker
