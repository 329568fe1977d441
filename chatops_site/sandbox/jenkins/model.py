"""What the Jenkins stand-in remembers: jobs, queue items, builds and users."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of job that a Jenkins of a small team has."""

    FOLDER = "folder"
    MULTIBRANCH = "multibranch"
    FREESTYLE = "freestyle"
    PIPELINE = "pipeline"


JOB_CLASSES = {
    Kind.FOLDER: "com.cloudbees.hudson.plugins.folder.Folder",
    Kind.MULTIBRANCH: "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject",
    Kind.FREESTYLE: "hudson.model.FreeStyleProject",
    Kind.PIPELINE: "org.jenkinsci.plugins.workflow.job.WorkflowJob",
}
BUILD_CLASSES = {
    Kind.FREESTYLE: "hudson.model.FreeStyleBuild",
    Kind.PIPELINE: "org.jenkinsci.plugins.workflow.job.WorkflowRun",
}
CONTAINERS = frozenset({Kind.FOLDER, Kind.MULTIBRANCH})


@dataclass(frozen=True)
class Parameter:
    """A parameter definition; `type` is string, text, boolean, choice or password."""

    name: str
    type: str = "string"
    default: str | bool = ""
    choices: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True)
class Value:
    """A parameter's value in one queue item or build."""

    name: str
    value: str | bool
    type: str = "string"

    @property
    def secret(self) -> bool:
        return self.type == "password"

    @property
    def printed(self) -> str:
        if self.secret:
            return "****"
        return str(self.value).lower() if isinstance(self.value, bool) else self.value


@dataclass(frozen=True)
class Cause:
    """Why something was queued."""

    text: str
    user: str = ""
    full_name: str = ""
    host: str = ""
    note: str = ""


@dataclass(frozen=True)
class InputStep:
    """An input step that holds a pipeline at the beginning of one stage."""

    id: str = "Proceed"
    message: str = "Go on?"
    stage: str = ""
    submitter: str = ""
    proceed_text: str = "Proceed"
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True)
class Plan:
    """How the builds of a job are going to run; lengths are in seconds."""

    duration: float = 6.0
    result: str = "SUCCESS"
    stages: tuple[str, ...] = ()
    fail_stage: str = ""
    log: tuple[str, ...] = ()
    megabytes: float = 0
    input: InputStep | None = None
    ignore_stop: bool = False
    ignore_term: bool = False
    stop_delay: float = 2.0


@dataclass(frozen=True)
class Halt:
    """A build's end that came before its plan's: at `at` (epoch seconds), with this result."""

    at: float
    result: str


@dataclass(eq=False)
class Job:
    """A job or a folder of jobs; `name` is what Jenkins calls it ("feature%2Fx" of a branch)."""

    name: str
    kind: Kind = Kind.PIPELINE
    parent: Job | None = None
    children: dict[str, Job] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    plan: Plan = field(default_factory=Plan)
    description: str = ""
    disabled: bool = False
    concurrent: bool = True
    label: str = ""
    token: str = ""
    veto: bool = False
    uncancellable: bool = False
    quiet_period: float | None = None
    builds: dict[int, Build] = field(default_factory=dict)
    next_number: int = 1

    @property
    def ancestry(self) -> tuple[Job, ...]:
        if self.parent is None:
            return ()
        return (*self.parent.ancestry, self)

    @property
    def full_name(self) -> str:
        return "/".join(job.name for job in self.ancestry)

    @property
    def full_display_name(self) -> str:
        return " » ".join(job.name.replace("%2F", "/") for job in self.ancestry)

    @property
    def newest_first(self) -> list[Build]:
        return list(reversed(self.builds.values()))

    @property
    def everything_below(self) -> list[Job]:
        found: list[Job] = []
        for child in self.children.values():
            found += [child, *child.everything_below]
        return found


@dataclass(eq=False)
class QueueItem:
    """One entry of the queue; times are epoch seconds, `left_at` is infinite until it left."""

    id: int
    job: Job
    values: tuple[Value, ...]
    causes: list[Cause]
    entered: float
    due: float
    buildable_at: float = math.inf
    left_at: float = math.inf
    build: Build | None = None
    cancelled: bool = False

    @property
    def left(self) -> bool:
        return self.left_at < math.inf

    @property
    def pending(self) -> bool:
        return self.left and not self.cancelled and self.build is None


@dataclass(eq=False)
class Build:
    """One execution of a job; `resumed` is infinite until its input was answered."""

    job: Job
    number: int
    queue_id: int
    values: tuple[Value, ...]
    causes: tuple[Cause, ...]
    entered: float
    started: float
    plan: Plan
    estimate: float = -1
    resumed: float = math.inf
    halt: Halt | None = None
    notices: list[tuple[float, str]] = field(default_factory=list)

    def value_of(self, name: str) -> str | None:
        return next((value.printed for value in self.values if value.name == name), None)


@dataclass
class User:
    """Somebody Jenkins knows; `rights` are among read, discover, build and cancel."""

    name: str
    full_name: str
    password: str = ""
    tokens: frozenset[str] = frozenset()
    rights: frozenset[str] = frozenset()


@dataclass
class Settings:
    """What an operator of this Jenkins may set; times are epoch seconds, lengths seconds."""

    quiet_period: float = 5.0
    executable_lag: float = 0.4
    executors: int = 4
    offline: bool = False
    labels: frozenset[str] = frozenset({"linux", "built-in"})
    quieting: bool = False
    stage_plugin: bool = True
    crumbs: bool = True
    location_host: str = ""
    down_until: float = 0.0
    starts: int = 1
