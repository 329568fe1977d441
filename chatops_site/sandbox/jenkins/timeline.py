"""Where a build stands at a moment: everything follows from its plan, its start and the clock."""

import math
from dataclasses import dataclass

from chatops_site.sandbox.jenkins.model import Build

ENDED_AS = {
    "SUCCESS": "SUCCESS",
    "UNSTABLE": "UNSTABLE",
    "FAILURE": "FAILED",
    "ABORTED": "ABORTED",
    "NOT_BUILT": "NOT_EXECUTED",
}


@dataclass(frozen=True)
class Stage:
    """One stage as pipeline-rest-api tells it; epoch seconds and seconds."""

    id: str
    name: str
    status: str
    start: float
    duration: float
    paused: float


def post_length(build: Build) -> float:
    """Seconds of post-build work, in which the result is known and the build still runs."""
    return min(0.5, build.plan.duration / 10)


def steps(build: Build) -> tuple[str, ...]:
    return build.plan.stages or ("",)


def last_step(build: Build) -> int:
    """The index of the stage that ends the build: the failing one or the last."""
    names = steps(build)
    if build.plan.fail_stage in names:
        return names.index(build.plan.fail_stage)
    return len(names) - 1


def held_step(build: Build) -> int:
    """The index of the stage held by an input step; past the end when there is none."""
    names = steps(build)
    if build.plan.input is None:
        return len(names)
    held = build.plan.input.stage
    return names.index(held) if held in names else len(names) - 1


def _width(build: Build) -> float:
    return (build.plan.duration - post_length(build)) / len(steps(build))


def _pause(build: Build) -> float:
    return build.resumed - (build.started + held_step(build) * _width(build))


def step_start(build: Build, index: int) -> float:
    plain = build.started + index * _width(build)
    return plain if index <= held_step(build) else plain + _pause(build)


def work_start(build: Build, index: int) -> float:
    plain = build.started + index * _width(build)
    return plain if index < held_step(build) else plain + _pause(build)


def step_end(build: Build, index: int) -> float:
    return work_start(build, index) + _width(build)


def halted_at(build: Build) -> float:
    return build.halt.at if build.halt else math.inf


def result_at(build: Build) -> float:
    return min(step_end(build, last_step(build)), halted_at(build))


def ends_at(build: Build) -> float:
    """Epoch seconds at which the build is over; infinite while an input holds it."""
    return min(step_end(build, last_step(build)) + post_length(build), halted_at(build))


def planned_result(build: Build) -> str:
    failing = build.plan.fail_stage in build.plan.stages and build.plan.result == "SUCCESS"
    return "FAILURE" if failing else build.plan.result


def final_result(build: Build) -> str:
    natural = step_end(build, last_step(build)) + post_length(build)
    if build.halt and build.halt.at < natural:
        return build.halt.result
    return planned_result(build)


def is_building(build: Build, now: float) -> bool:
    return now < ends_at(build)


def result(build: Build, now: float) -> str | None:
    return final_result(build) if now >= result_at(build) else None


def is_paused(build: Build, now: float) -> bool:
    held = held_step(build)
    if held >= len(steps(build)) or held > last_step(build):
        return False
    return step_start(build, held) <= now < min(build.resumed, halted_at(build))


def stages(build: Build, now: float) -> list[Stage]:
    """The stages to be seen now; those skipped by a failure show once the build is over."""
    told = []
    for index, name in enumerate(build.plan.stages):
        status = _status(build, index, now)
        if status:
            told.append(_stage(build, index=index, name=name, status=status, now=now))
    return told


def _stage(build: Build, *, index: int, name: str, status: str, now: float) -> Stage:
    start = min(step_start(build, index), ends_at(build), now)
    end = min(step_end(build, index), ends_at(build), now)
    until = min(work_start(build, index), ends_at(build), now)
    paused = max(0.0, until - start) if index == held_step(build) else 0.0
    skipped = status == "NOT_EXECUTED"
    return Stage(
        id=str(6 + 5 * index),
        name=name,
        status=status,
        start=start,
        duration=0.0 if skipped else max(0.0, end - start),
        paused=paused,
    )


def _status(build: Build, index: int, now: float) -> str:
    if index > last_step(build):
        return "NOT_EXECUTED" if now >= result_at(build) else ""
    if now >= step_end(build, index) and step_end(build, index) <= halted_at(build):
        return _ended(build, index)
    if build.halt and now >= build.halt.at:
        return _halted(build, index)
    if now < step_start(build, index):
        return ""
    paused = index == held_step(build) and is_paused(build, now)
    return "PAUSED_PENDING_INPUT" if paused else "IN_PROGRESS"


def _ended(build: Build, index: int) -> str:
    return ENDED_AS[planned_result(build)] if index == last_step(build) else "SUCCESS"


def _halted(build: Build, index: int) -> str:
    ended = ENDED_AS[build.halt.result] if build.halt else ""
    begun = step_start(build, index) <= halted_at(build)
    return ended if begun or ended == "SUCCESS" else "NOT_EXECUTED"


def status(build: Build, now: float) -> str:
    """The status of the whole build in pipeline-rest-api's words."""
    if not is_building(build, now):
        return ENDED_AS[final_result(build)]
    return "PAUSED_PENDING_INPUT" if is_paused(build, now) else "IN_PROGRESS"
