"""Time spans and queue reasons in Jenkins' own English."""

import math

from chatops_site.sandbox.jenkins import timeline
from chatops_site.sandbox.jenkins.engine import Engine
from chatops_site.sandbox.jenkins.model import Build, QueueItem


def time_span(seconds: float) -> str:
    """As hudson.Util.getTimeSpanString: the two largest units, tenths below ten seconds."""
    seconds = round(seconds, 3)
    if seconds >= 3600:
        return f"{int(seconds // 3600)} hr {int(seconds % 3600 // 60)} min"
    if seconds >= 60:
        return f"{int(seconds // 60)} min {int(seconds % 60)} sec"
    if seconds >= 10:
        return f"{int(seconds)} sec"
    if seconds >= 1:
        return f"{math.floor(seconds * 10) / 10:g} sec"
    if seconds >= 0.1:
        return f"{math.floor(seconds * 100) / 100:g} sec"
    return f"{int(seconds * 1000)} ms"


def state(engine: Engine, item: QueueItem) -> str:
    """WaitingItem, BlockedItem, BuildableItem or LeftItem."""
    if item.left:
        return "LeftItem"
    if item.due > engine.now:
        return "WaitingItem"
    return "BlockedItem" if engine.is_blocked(item) else "BuildableItem"


def why(engine: Engine, item: QueueItem) -> str | None:
    """The reason shown beside a queue item; None once it left."""
    return _REASONS[state(engine, item)](engine, item)


def _waiting(engine: Engine, item: QueueItem) -> str:
    return f"In the quiet period. Expires in {time_span(item.due - engine.now)}"


def _blocked(engine: Engine, item: QueueItem) -> str:
    build = engine.blocking_build(item)
    if build is None:
        return "A build is already in progress"
    return f"Build #{build.number} is already in progress (ETA: {_remaining(engine, build)})"


def _remaining(engine: Engine, build: Build) -> str:
    if build.estimate < 0:
        return "N/A"
    left = build.started + build.estimate - engine.now
    return time_span(left) if left > 0 else "N/A"


def _buildable(engine: Engine, item: QueueItem) -> str:
    settings, label = engine.settings, item.job.label
    if settings.quieting:
        return "Jenkins is about to shut down"
    if label and label not in settings.labels:
        return f"There are no nodes with the label ‘{label}’"
    if settings.offline:
        return f"All nodes of label ‘{label}’ are offline" if label else _OFFLINE
    return "Waiting for next available executor" + (f" on ‘{label}’" if label else "")


_OFFLINE = "‘Built-In Node’ is offline"
_REASONS = {
    "LeftItem": lambda engine, item: None,
    "WaitingItem": _waiting,
    "BlockedItem": _blocked,
    "BuildableItem": _buildable,
}


def color(build: Build | None, now: float) -> str:
    """The ball of a job whose last build this is, animated while it runs."""
    if build is None:
        return "notbuilt"
    if timeline.is_building(build, now):
        previous = _previous(build)
        return f"{color(previous, now).removesuffix('_anime')}_anime"
    return _BALLS[timeline.final_result(build)]


def _previous(build: Build) -> Build | None:
    older = (other for other in build.job.newest_first if other.number < build.number)
    return next(older, None)


_BALLS = {
    "SUCCESS": "blue",
    "UNSTABLE": "yellow",
    "FAILURE": "red",
    "ABORTED": "aborted",
    "NOT_BUILT": "notbuilt",
}
