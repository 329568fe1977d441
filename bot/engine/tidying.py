"""Takes away, once an hour, what nothing looks at any more: old deliveries, hooks and buttons. Never the record."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone

from bot.runs.buttons import LIVES
from bot.runs.models import Button, Delivery, ForgeHook, HookState

# Longer than any platform delivers again, and than any signature holds.
KEPT: Final = timedelta(days=7)
EVERY: Final = timedelta(hours=1)
# At a time, so that nobody waits for the database.
BATCH: Final = 1_000
MOST_BATCHES: Final = 50


class Tidying:
    """A chore of one worker; several may do it at once."""

    def __init__(self) -> None:
        self._next: datetime | None = None

    def ready(self, now: datetime) -> Iterable[int]:
        """Of its own choice: nothing waits for it in a table."""
        if self._next is not None and now < self._next:
            return ()
        self._next = now + EVERY
        return (1,)

    def tidy(self, _number: int) -> None:
        now = timezone.now()
        _remove(Delivery.objects.filter(at__lt=now - KEPT).order_by("at"))
        _remove(Button.objects.filter(made_at__lt=now - 2 * LIVES).order_by("pk"))
        done = ForgeHook.objects.exclude(state=HookState.WAITING)
        _remove(done.filter(received_at__lt=now - KEPT).order_by("received_at"))


def _remove(old: QuerySet[Any]) -> None:
    for _batch in range(MOST_BATCHES):
        keys = list(old.values_list("pk", flat=True)[:BATCH])
        if not keys:
            return
        old.model._base_manager.filter(pk__in=keys).delete()
