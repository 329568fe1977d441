"""What Jenkins tells, as frozen results in our words, and how its JSON is read into them.

https://www.jenkins.io/doc/book/using/remote-access-api/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal

ParameterKind = Literal["string", "text", "boolean", "choice", "password", "other"]

BUILD_TREE: Final = (
    "number,building,result,timestamp,duration,estimatedDuration,queueId,"
    "actions[parameters[name,value]]"
)
_DEFINITIONS: Final = (
    "parameterDefinitions[name,type,description,choices,defaultParameterValue[value]]"
)
JOB_TREE: Final = (
    "name,description,buildable,queueItem[id],jobs[name]{0,1},"
    f"property[{_DEFINITIONS}],actions[{_DEFINITIONS}]"
)
_KINDS: Final[dict[str, ParameterKind]] = {
    "StringParameterDefinition": "string",
    "TextParameterDefinition": "text",
    "BooleanParameterDefinition": "boolean",
    "ChoiceParameterDefinition": "choice",
    "PasswordParameterDefinition": "password",
}
# How Jenkins prints them in JSON; Python's str() would capitalise.
_BOOLEANS: Final = {True: "true", False: "false"}

# The parameter by which a build is recognised as a run's.
RUN_PARAMETER: Final = "CHATOPS_ID"


class Result(StrEnum):
    SUCCESS = "SUCCESS"
    UNSTABLE = "UNSTABLE"
    FAILURE = "FAILURE"
    NOT_BUILT = "NOT_BUILT"
    ABORTED = "ABORTED"


@dataclass(frozen=True)
class JenkinsIdentity:
    """Who the token is; quieting_down: Jenkins queues but starts nothing until it has restarted."""

    user: str
    version: str
    # Seconds by which Jenkins' clock is ahead of ours; None when it sent no Date.
    clock_skew: float | None = None
    may_read: bool = False
    quieting_down: bool = False


@dataclass(frozen=True)
class JobSummary:
    path: str
    url: str
    buildable: bool
    last: Result | None


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: ParameterKind
    default: str = ""
    choices: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True)
class JobDescription:
    path: str
    url: str
    description: str
    buildable: bool
    parameters: tuple[Parameter, ...] = ()
    is_folder: bool = False
    # The queue item that waits for this job right now, if there is one.
    waiting: int | None = None


@dataclass(frozen=True)
class Triggered:
    """joined: the request was folded into an item that was queued already."""

    queue_id: int
    joined: bool = False


@dataclass(frozen=True)
class QueueItem:
    """why: Jenkins' own words on what it waits for. build_number: None until the build exists."""

    id: int
    why: str
    cancelled: bool
    build_number: int | None


@dataclass(frozen=True)
class Build:
    """Durations in seconds. A result may be set while building is still true: it is not final."""

    number: int
    url: str
    building: bool
    result: Result | None
    started_at: datetime | None
    duration: float
    estimated: float | None
    queue_id: int | None
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """status in Jenkins' words: SUCCESS, FAILED, IN_PROGRESS, PAUSED_PENDING_INPUT, …"""

    name: str
    status: str
    duration: float


@dataclass(frozen=True)
class PendingInput:
    """A pipeline's question; url is the page where a person answers it."""

    id: str
    message: str
    url: str


def read_build(row: Any, *, job_url: str) -> Build:
    number, estimate = int(row["number"]), row.get("estimatedDuration")
    started = row.get("timestamp")
    return Build(
        number=number,
        url=f"{job_url}{number}/",
        building=bool(row["building"]),
        result=read_result(row.get("result")),
        started_at=datetime.fromtimestamp(started / 1000, UTC) if started else None,
        duration=(row.get("duration") or 0) / 1000,
        estimated=estimate / 1000 if estimate and estimate > 0 else None,
        queue_id=row.get("queueId"),
        parameters=read_parameters(row.get("actions")),
    )


def read_result(value: Any) -> Result | None:
    return Result(value) if value else None


def read_parameters(actions: Any) -> dict[str, str]:
    """Passwords have no value in the API and are left out."""
    found: dict[str, str] = {}
    for action in actions or ():
        for row in (action or {}).get("parameters") or ():
            if "value" in row:
                found[row["name"]] = _printed(row["value"])
    return found


def _printed(value: Any) -> str:
    if isinstance(value, bool):
        return _BOOLEANS[value]
    return "" if value is None else str(value)


def read_job(row: Any, *, path: str, url: str) -> JobDescription:
    definitions: dict[str, Parameter] = {}
    for holder in [*(row.get("property") or ()), *(row.get("actions") or ())]:
        for definition in (holder or {}).get("parameterDefinitions") or ():
            definitions.setdefault(definition["name"], _read_definition(definition))
    waiting = (row.get("queueItem") or {}).get("id")
    return JobDescription(
        path=path,
        url=url,
        description=row.get("description") or "",
        buildable=bool(row.get("buildable")),
        parameters=tuple(definitions.values()),
        is_folder="jobs" in row,
        waiting=waiting,
    )


def _read_definition(row: Any) -> Parameter:
    default = (row.get("defaultParameterValue") or {}).get("value")
    return Parameter(
        name=row["name"],
        kind=_KINDS.get(row.get("type") or "", "other"),
        default=_printed(default),
        choices=tuple(str(choice) for choice in row.get("choices") or ()),
        description=row.get("description") or "",
    )


def read_queue_item(row: Any) -> QueueItem:
    executable = row.get("executable") or {}
    return QueueItem(
        id=int(row["id"]),
        why=row.get("why") or "",
        cancelled=bool(row.get("cancelled")),
        build_number=executable.get("number"),
    )


def read_stages(row: Any) -> tuple[Stage, ...]:
    return tuple(
        Stage(stage["name"], stage["status"], (stage.get("durationMillis") or 0) / 1000)
        for stage in row.get("stages") or ()
    )


def jobs_below(row: Any, *, parent: str = "") -> Iterator[tuple[str, Any]]:
    """The jobs of a folder's JSON and of all folders in it, each with its full name."""
    for child in row.get("jobs") or ():
        path = f"{parent}/{child['name']}" if parent else str(child["name"])
        if "jobs" in child:
            yield from jobs_below(child, parent=path)
        else:
            yield path, child
