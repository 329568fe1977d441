"""The queue and the executors: moves items and builds on to the present whenever it is asked.

Nothing runs here. Times of events follow from the clock, so a fast or stepped clock works as well.
Coalescing and the item states follow hudson.model.Queue of jenkinsci/jenkins.
"""

import itertools
import math
from collections.abc import Callable
from typing import Protocol

from chatops_site.sandbox.jenkins import timeline
from chatops_site.sandbox.jenkins.model import (
    CONTAINERS,
    Build,
    Cause,
    Halt,
    Job,
    Kind,
    QueueItem,
    Settings,
    Value,
)

REMEMBERED_SECONDS = 300.0
GOOD = frozenset({"SUCCESS", "UNSTABLE"})


class Clock(Protocol):
    """Epoch seconds; may run faster than real time and may be stepped."""

    def now(self) -> float: ...


class Engine:
    """All state of the stand-in; `advance` brings it to the present."""

    def __init__(self, clock: Clock, on_end: Callable[[Build], None]) -> None:
        self._clock = clock
        self._on_end = on_end
        self._moment = self._forget_next = clock.now()
        self._next_id = 1
        self.settings = Settings()
        self.root = Job(name="", kind=Kind.FOLDER)
        self.items: dict[int, QueueItem] = {}
        self._open: list[QueueItem] = []
        self.running: list[Build] = []

    def fresh(self) -> "Engine":
        """An empty one on the same clock; only queue ids remember, as Jenkins' own do."""
        engine = Engine(self._clock, self._on_end)
        engine._next_id = self._next_id
        return engine

    @property
    def now(self) -> float:
        return self._moment

    def advance(self) -> None:
        present = max(self._clock.now(), self._moment)
        while True:
            while self._step():
                pass
            upcoming = self._next_event()
            if upcoming > present:
                break
            self._moment = upcoming
        self._moment = present
        self._forget_old_items()

    def find(self, full_name: str) -> Job | None:
        job = self.root
        for name in full_name.strip("/").split("/"):
            if name not in job.children:
                return None
            job = job.children[name]
        return job

    def item(self, number: int) -> QueueItem | None:
        """The queue item, unless it is unknown or left more than five minutes ago."""
        item = self.items.get(number)
        return None if item is None or self._is_forgotten(item) else item

    def queued(self) -> list[QueueItem]:
        """What waits, oldest first."""
        return [item for item in self._open if not item.left]

    def schedule(
        self, job: Job, *, values: tuple[Value, ...], cause: Cause, delay: float | None
    ) -> tuple[QueueItem | None, bool]:
        """The item this request ended in and whether it is a new one; None when vetoed."""
        if job.veto:
            return None, False
        due = self._moment + (self._quiet_period(job) if delay is None else delay)
        same = self._twin(job, values)
        if same:
            same.due = min(same.due, due)
            same.causes += [cause] if cause not in same.causes else []
            return same, False
        item = QueueItem(self._next_id, job, values, [cause], entered=self._moment, due=due)
        self._next_id += 1
        self.items[item.id] = item
        self._open.append(item)
        return item, True

    def cancel(self, item: QueueItem) -> None:
        item.left_at, item.cancelled = self._moment, True
        self._open.remove(item)

    def forget_queue(self, *, keep_waiting: bool = False) -> None:
        self._open = self.queued() if keep_waiting else []
        self.items = {item.id: item for item in self._open}

    def restart(self, seconds: float, *, keep_waiting: bool = False) -> None:
        """Down for `seconds`; pipelines survive, other builds and the queue's past do not."""
        self.forget_queue(keep_waiting=keep_waiting)
        for build in self.running:
            if build.job.kind is Kind.FREESTYLE:
                build.halt = Halt(self._moment, "ABORTED")
        self.settings.down_until = self._moment + seconds
        self.settings.starts += 1
        self.settings.quieting = False

    def stop(self, build: Build, by: str) -> None:
        self._interrupt(build, f"Aborted by {by}", ignored=build.plan.ignore_stop)

    def term(self, build: Build, by: str) -> None:
        told = f"Terminating running steps, asked by {by}"
        self._interrupt(build, told, ignored=build.plan.ignore_term)

    def kill(self, build: Build) -> None:
        if not timeline.is_building(build, self._moment):
            return
        build.notices.append((self._moment, "Hard kill!"))
        build.halt = Halt(self._moment, "ABORTED")

    def finish(self, build: Build, result: str) -> None:
        if timeline.is_building(build, self._moment):
            build.halt = Halt(self._moment, result)

    def delete(self, build: Build) -> None:
        build.job.builds.pop(build.number, None)
        self.running = [other for other in self.running if other is not build]

    def blocking_build(self, item: QueueItem) -> Build | None:
        """The running sibling an item has to wait for, of a job without concurrent builds."""
        if item.job.concurrent:
            return None
        return next((build for build in self.running if build.job is item.job), None)

    def is_blocked(self, item: QueueItem) -> bool:
        if item.job.concurrent:
            return False
        starting = any(other.pending and other.job is item.job for other in self._open)
        return starting or self.blocking_build(item) is not None

    def _interrupt(self, build: Build, told: str, *, ignored: bool) -> None:
        if not timeline.is_building(build, self._moment):
            return
        build.notices.append((self._moment, told))
        if ignored:
            return
        at = min(self._moment + build.plan.stop_delay, timeline.halted_at(build))
        build.halt = Halt(at, "ABORTED")

    def _quiet_period(self, job: Job) -> float:
        return self.settings.quiet_period if job.quiet_period is None else job.quiet_period

    def _twin(self, job: Job, values: tuple[Value, ...]) -> QueueItem | None:
        wanted = frozenset(values)
        queued = (item for item in self.queued() if item.job is job)
        return next((item for item in queued if frozenset(item.values) == wanted), None)

    def _step(self) -> bool:
        """One change that is due at the moment; False when nothing more moves."""
        return self._end_one() or self._create_one() or self._start_one()

    def _end_one(self) -> bool:
        for build in self.running:
            if not timeline.is_building(build, self._moment):
                self.running.remove(build)
                self._on_end(build)
                return True
        return False

    def _create_one(self) -> bool:
        for item in self._open:
            if item.pending and item.left_at + self.settings.executable_lag <= self._moment:
                self._open.remove(item)
                self._create(item)
                return True
        return False

    def _create(self, item: QueueItem) -> None:
        job = item.job
        item.build = Build(
            job=job,
            number=job.next_number,
            queue_id=item.id,
            values=item.values,
            causes=tuple(item.causes),
            entered=item.entered,
            started=self._moment,
            plan=job.plan,
            estimate=self.estimate(job),
        )
        job.next_number += 1
        job.builds[item.build.number] = item.build
        self.running.append(item.build)

    def _start_one(self) -> bool:
        for item in self.queued():
            if item.due > self._moment or self.is_blocked(item):
                continue
            item.buildable_at = min(item.buildable_at, self._moment)
            if self._may_start(item):
                item.left_at = self._moment
                return True
        return False

    def _may_start(self, item: QueueItem) -> bool:
        settings = self.settings
        if settings.quieting or settings.offline or self._moment < settings.down_until:
            return False
        if item.job.label and item.job.label not in settings.labels:
            return False
        starting = sum(1 for other in self._open if other.pending)
        return len(self.running) + starting < settings.executors

    def estimate(self, job: Job) -> float:
        """Seconds: the mean of the last three good builds, -1 without any."""
        good = itertools.islice(filter(self._ended_well, job.newest_first), 3)
        lengths = [timeline.ends_at(build) - build.started for build in good]
        return sum(lengths) / len(lengths) if lengths else -1

    def _ended_well(self, build: Build) -> bool:
        ended = not timeline.is_building(build, self._moment)
        return ended and timeline.final_result(build) in GOOD

    def _next_event(self) -> float:
        lag = self.settings.executable_lag
        times = [item.left_at + lag if item.left else item.due for item in self._open]
        times += [timeline.ends_at(build) for build in self.running]
        times.append(self.settings.down_until)
        return min((time for time in times if time > self._moment), default=math.inf)

    def _is_forgotten(self, item: QueueItem) -> bool:
        return item.left and not item.pending and item.left_at + REMEMBERED_SECONDS <= self._moment

    def _forget_old_items(self) -> None:
        """Now and then is enough: `item` looks at the time by itself."""
        if self._moment < self._forget_next:
            return
        self._forget_next = self._moment + REMEMBERED_SECONDS / 10
        for item in list(self.items.values()):
            if self._is_forgotten(item):
                del self.items[item.id]


def projects(root: Job) -> list[Job]:
    return [job for job in root.everything_below if job.kind not in CONTAINERS]
