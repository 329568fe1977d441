"""The worker: hears of ready runs, carries several at once, sends replies, and stops without losing any."""

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import close_old_connections, connections
from django.db.utils import Error
from django.utils import timezone

from bot import sending
from bot.engine import announce, claim, heartbeat
from bot.engine.carry import Carried, carry
from bot.runs.models import Run
from bot.runs.wake import Listener
from chatops_site.kit.prepared import Select

logger = logging.getLogger(__name__)

# The safety net: how often the run table is looked at although nobody called.
POLL_SECONDS: Final = 1.0
SENDERS: Final = 8
# Announced in place of a run: look at the tables now, or start what waits already.
LOOK: Final = 0
GO_ON: Final = -1
GRACE_SECONDS: Final = 25.0


_NEXT: Final = Select(
    lambda key, run_id: (
        Run.objects.filter(key=key, pk__gt=run_id, state__in=claim.CARRIED)
        .order_by("pk")
        .values_list("pk")[:1]
    ),
    "any",
    -1,
)


@dataclass(frozen=True)
class Chore:
    """Other short work that waits in a table: ready(now) names what is due, do(id) does one of it."""

    ready: Callable[[datetime], Iterable[int]]
    do: Callable[[int], None]


class Worker:
    """Carries out runs until stop(). Several workers may run; the run table keeps them apart."""

    def __init__(self, *, threads: int, chores: Sequence[Chore] = ()) -> None:
        self._threads = threads
        self._chores = (Chore(sending.ready, sending.send), *chores)
        # Two systems that hang leave places for a third.
        self._per_lane = max(1, (threads - 1) // 2)
        self._stopping = threading.Event()
        self._waiting: deque[tuple[int, str]] = deque()
        self._known: set[int] = set()
        self._busy: dict[int, str] = {}
        self._in_lane: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._sending: set[tuple[Chore, int]] = set()
        self._looked_at = 0.0

    def stop(self) -> None:
        self._stopping.set()

    def work(self) -> None:
        carriers = ThreadPoolExecutor(self._threads, thread_name_prefix="carry")
        senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="send")
        with Listener() as listener:
            self._listener, self._carriers, self._senders = listener, carriers, senders
            while not self._stopping.is_set():
                self._turn(listener.wait(POLL_SECONDS))
            logger.info("stopping: %s runs under way are finished first", len(self._busy))
            self._drain()
        carriers.shutdown(wait=False, cancel_futures=True)
        senders.shutdown(wait=False, cancel_futures=True)

    def _turn(self, announced: list[int]) -> None:
        """One look at what was announced, and once a second at the tables."""
        try:
            self._enqueue_announced([run_id for run_id in announced if run_id > 0])
            if LOOK in announced or time.monotonic() - self._looked_at >= POLL_SECONDS:
                self._look()
            self._start_waiting()
        except Error as problem:
            # A full disk, a restarting server: nothing is lost, the tables are looked at again.
            logger.error("the database does not answer: %s", problem)
            close_old_connections()
            self._stopping.wait(POLL_SECONDS)

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        close_old_connections()
        now = timezone.now()
        heartbeat.beat(now)
        for run_id, lane in claim.ready(now):
            self._enqueue(run_id, lane)
        announce.announce(now)
        for chore in self._chores:
            for number in chore.ready(now):
                self._send(chore, number)

    def _enqueue_announced(self, run_ids: list[int]) -> None:
        new = [run_id for run_id in run_ids if run_id not in self._known]
        if not new:
            return
        for run_id, lane in Run.objects.filter(pk__in=new).order_by("pk").values_list("pk", "lane"):
            self._enqueue(run_id, lane)

    def _enqueue(self, run_id: int, lane: str) -> None:
        with self._lock:
            if run_id not in self._known:
                self._known.add(run_id)
                self._waiting.append((run_id, lane))

    def _start_waiting(self) -> None:
        """Starts what fits: at most so many at once, and per outside system at most half of them."""
        with self._lock:
            for _place in range(len(self._waiting)):
                if len(self._busy) >= self._threads:
                    return
                run_id, lane = self._waiting.popleft()
                if lane and self._in_lane[lane] >= self._per_lane:
                    self._waiting.append((run_id, lane))
                    continue
                self._busy[run_id] = lane
                self._in_lane[lane] += 1
                self._carriers.submit(self._carry, run_id).add_done_callback(self._log_crash)

    def _carry(self, run_id: int) -> None:
        carried: Carried | None = None
        try:
            # A connection that the server has ended meanwhile is replaced before it is needed.
            close_old_connections()
            carried = carry(run_id)
        finally:
            self._forget(run_id)
        if carried is None:
            return
        if carried.reply is not None:
            self._send(self._chores[0], carried.reply.pk)
        if carried.run.finished and carried.run.key:
            self._call_next(carried.run)

    def _forget(self, run_id: int) -> None:
        with self._lock:
            lane = self._busy.pop(run_id)
            self._in_lane[lane] -= 1
            self._known.discard(run_id)
            more = bool(self._waiting)
        if more:
            self._listener.poke(GO_ON)

    def _call_next(self, run: Run) -> None:
        following = _NEXT.first(run.key, run.pk)
        if following is not None:
            self._listener.poke(following[0])

    def _send(self, chore: Chore, number: int) -> None:
        with self._lock:
            if (chore, number) in self._sending:
                return
            self._sending.add((chore, number))
        self._senders.submit(self._send_one, chore, number).add_done_callback(self._log_crash)

    def _send_one(self, chore: Chore, number: int) -> None:
        try:
            close_old_connections()
            chore.do(number)
        finally:
            with self._lock:
                self._sending.discard((chore, number))

    @staticmethod
    def _log_crash(future: Future[None]) -> None:
        problem = None if future.cancelled() else future.exception()
        if isinstance(problem, Error):
            # Nothing is lost: the lease ends, and the tables are looked at again.
            logger.error("the database does not answer: %s", problem)
        elif problem is not None:
            logger.error("a worker's thread failed", exc_info=problem)
        if problem is not None:
            connections.close_all()

    def _drain(self) -> None:
        """Runs under way end or give their lease back; what has not begun stays in the table."""
        end = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < end and (self._busy or self._sending):
            time.sleep(0.05)
