"""What the remote access API tells about jobs, builds, the queue, nodes and users.

https://www.jenkins.io/doc/book/using/remote-access-api/ ; field by field as jenkinsci/jenkins
exports them.
"""

from collections.abc import Callable
from typing import Any

from chatops_site.sandbox.jenkins import spans, timeline
from chatops_site.sandbox.jenkins.access import Visitor
from chatops_site.sandbox.jenkins.engine import Engine
from chatops_site.sandbox.jenkins.links import Links, queue_path
from chatops_site.sandbox.jenkins.model import (
    BUILD_CLASSES,
    CONTAINERS,
    JOB_CLASSES,
    Build,
    Cause,
    Job,
    Kind,
    Parameter,
    QueueItem,
    Value,
)
from chatops_site.sandbox.jenkins.tree import Bean

_BRIEF_JOB = ("name", "url", "color")
_BRIEF_BUILD = ("number", "url")
_NEWEST = 100
_DEFINITIONS = {
    "string": "StringParameterDefinition",
    "text": "TextParameterDefinition",
    "boolean": "BooleanParameterDefinition",
    "choice": "ChoiceParameterDefinition",
    "password": "PasswordParameterDefinition",
}
_VALUES = {
    "string": "StringParameterValue",
    "text": "TextParameterValue",
    "boolean": "BooleanParameterValue",
    "choice": "StringParameterValue",
    "password": "PasswordParameterValue",
}


def is_over(build: Build, now: float) -> bool:
    return not timeline.is_building(build, now)


def _ended_as(*results: str) -> Callable[[Build, float], bool]:
    def matches(build: Build, now: float) -> bool:
        return is_over(build, now) and timeline.final_result(build) in results

    return matches


PERMALINKS: dict[str, Callable[[Build, float], bool]] = {
    "lastBuild": lambda build, now: True,
    "lastCompletedBuild": is_over,
    "lastFailedBuild": _ended_as("FAILURE"),
    "lastStableBuild": _ended_as("SUCCESS"),
    "lastSuccessfulBuild": _ended_as("SUCCESS", "UNSTABLE"),
    "lastUnstableBuild": _ended_as("UNSTABLE"),
    "lastUnsuccessfulBuild": _ended_as("UNSTABLE", "FAILURE", "ABORTED", "NOT_BUILT"),
}


def permalink(job: Job, name: str, now: float) -> Build | None:
    fits = PERMALINKS[name]
    return next((build for build in job.newest_first if fits(build, now)), None)


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


class Exporter:
    """Beans of everything, as one visitor may see it at the engine's moment."""

    def __init__(self, engine: Engine, links: Links, visitor: Visitor) -> None:
        self._engine = engine
        self._links = links
        self._visitor = visitor
        self._now = engine.now

    def root(self) -> Bean:
        settings = self._engine.settings
        view = {"name": "all", "url": self._links.root()}
        return Bean(
            "hudson.model.Hudson",
            {
                "assignedLabels": [],
                "mode": "NORMAL",
                "nodeDescription": "the Jenkins controller's built-in node",
                "nodeName": "",
                "numExecutors": settings.executors,
                "description": "A stand-in of Jenkins in the portal's sandbox",
                "jobs": lambda: self._jobs(self._engine.root),
                "primaryView": Bean("hudson.model.AllView", view),
                "quietingDown": settings.quieting,
                "slaveAgentPort": -1,
                "url": self._links.root(),
                "useCrumbs": settings.crumbs,
                "useSecurity": True,
                "views": [Bean("hudson.model.AllView", view)],
            },
        )

    def job(self, job: Job) -> Bean:
        fields: dict[str, Any] = {
            "actions": [],
            "description": job.description,
            "displayName": job.name.replace("%2F", "/"),
            "displayNameOrNull": None,
            "fullDisplayName": job.full_display_name,
            "fullName": job.full_name,
            "name": job.name,
            "url": self._links.job(job),
        }
        more = self._folder_fields(job) if job.kind in CONTAINERS else self._project_fields(job)
        return Bean(JOB_CLASSES[job.kind], fields | more, _BRIEF_JOB)

    def _jobs(self, folder: Job) -> list[Bean]:
        if not self._visitor.may("read"):
            return []
        return [self.job(child) for child in folder.children.values()]

    def _folder_fields(self, job: Job) -> dict[str, Any]:
        return {"healthReport": [], "jobs": lambda: self._jobs(job), "views": []}

    def _project_fields(self, job: Job) -> dict[str, Any]:
        queued = [item for item in self._engine.queued() if item.job is job]
        fields: dict[str, Any] = {
            "actions": lambda: self._definition_actions(job),
            "buildable": not job.disabled,
            "disabled": job.disabled,
            "color": lambda: self._color(job),
            "concurrentBuild": job.concurrent,
            "healthReport": [],
            "inQueue": bool(queued),
            "queueItem": lambda: self.queue_item(queued[0]) if queued else None,
            "keepDependencies": False,
            "nextBuildNumber": job.next_number,
            "resumeBlocked": False,
            "property": lambda: self._properties(job),
            "builds": lambda: [self.build(build) for build in job.newest_first[:_NEWEST]],
            "allBuilds": lambda: [self.build(build) for build in job.newest_first],
            "firstBuild": lambda: self._mention(next(reversed(job.newest_first), None)),
        }
        for name in PERMALINKS:
            fields[name] = self._permalink(job, name)
        return fields

    def _permalink(self, job: Job, name: str) -> Callable[[], Bean | None]:
        return lambda: self._mention(permalink(job, name, self._now))

    def _mention(self, build: Build | None) -> Bean | None:
        return self.build(build) if build else None

    def _color(self, job: Job) -> str:
        if job.disabled:
            return "disabled"
        return spans.color(permalink(job, "lastBuild", self._now), self._now)

    def _properties(self, job: Job) -> list[Bean]:
        found = []
        if not job.concurrent and job.kind is Kind.PIPELINE:
            kind = "job.properties.DisableConcurrentBuildsJobProperty"
            found.append(Bean(f"org.jenkinsci.plugins.workflow.{kind}", {}))
        return found + self._definition_actions(job)

    def _definition_actions(self, job: Job) -> list[Bean]:
        if not job.parameters:
            return []
        definitions = [_definition(parameter) for parameter in job.parameters]
        kind = "hudson.model.ParametersDefinitionProperty"
        return [Bean(kind, {"parameterDefinitions": definitions})]

    def build(self, build: Build) -> Bean:
        fields: dict[str, Any] = {
            "actions": lambda: [_causes(build.causes), _parameters(build.values), Bean("", {})],
            "artifacts": [],
            "building": lambda: timeline.is_building(build, self._now),
            "description": None,
            "displayName": f"#{build.number}",
            "duration": lambda: self._duration(build),
            "estimatedDuration": lambda: self._estimate(build),
            "executor": lambda: self._executor(build),
            "fullDisplayName": f"{build.job.full_display_name} #{build.number}",
            "id": str(build.number),
            "inProgress": lambda: timeline.is_building(build, self._now),
            "keepLog": False,
            "number": build.number,
            "queueId": build.queue_id,
            "result": lambda: timeline.result(build, self._now),
            "timestamp": milliseconds(build.started),
            "url": self._links.build(build),
            "changeSets": [],
            "culprits": [],
            "nextBuild": lambda: self._mention(_next_build(build)),
            "previousBuild": lambda: self._mention(_previous_build(build)),
        }
        if build.job.kind is Kind.FREESTYLE:
            fields["builtOn"] = ""
        return Bean(BUILD_CLASSES[build.job.kind], fields, _BRIEF_BUILD)

    def _duration(self, build: Build) -> int:
        if timeline.is_building(build, self._now):
            return 0
        return milliseconds(timeline.ends_at(build) - build.started)

    def _estimate(self, build: Build) -> int:
        estimate = self._engine.estimate(build.job)
        return milliseconds(estimate) if estimate >= 0 else -1

    def _executor(self, build: Build) -> Bean | None:
        if not timeline.is_building(build, self._now):
            return None
        return Bean("hudson.model.OneOffExecutor", {})

    def queue(self) -> Bean:
        seen = self._engine.queued() if self._visitor.may("read") else []
        items = [self.queue_item(item) for item in reversed(seen)]
        return Bean(
            "hudson.model.Queue", {"discoverableItems": [], "items": items}, ("discoverableItems",)
        )

    def queue_item(self, item: QueueItem) -> Bean:
        state = spans.state(self._engine, item)
        printed = "".join(f"\n{value.name}={value.printed}" for value in item.values)
        fields: dict[str, Any] = {
            "actions": [_parameters(item.values), _causes(tuple(item.causes))],
            "blocked": state == "BlockedItem",
            "buildable": state == "BuildableItem",
            "id": item.id,
            "inQueueSince": milliseconds(item.entered),
            "params": printed,
            "stuck": False,
            "task": lambda: self.job(item.job),
            "url": queue_path(item),
            "why": spans.why(self._engine, item),
        }
        return Bean(f"hudson.model.Queue${state}", fields | self._state_fields(item, state))

    def _state_fields(self, item: QueueItem, state: str) -> dict[str, Any]:
        if state == "LeftItem":
            return {"cancelled": item.cancelled, "executable": self._mention(item.build)}
        if state == "WaitingItem":
            return {"timestamp": milliseconds(item.due)}
        if state == "BlockedItem":
            return {"buildableStartMilliseconds": milliseconds(item.due)}
        since = min(item.buildable_at, self._now)
        return {"buildableStartMilliseconds": milliseconds(since), "pending": False}

    def computers(self) -> Bean:
        return Bean(
            "hudson.model.ComputerSet",
            {
                "busyExecutors": len(self._engine.running),
                "computer": [self.computer()],
                "displayName": "Nodes",
                "totalExecutors": self._engine.settings.executors,
            },
        )

    def computer(self) -> Bean:
        settings, running = self._engine.settings, self._engine.running
        busy = [self._seat(number, build) for number, build in enumerate(running)]
        idle = [self._seat(number, None) for number in range(len(busy), settings.executors)]
        return Bean(
            "hudson.model.Hudson$MasterComputer",
            {
                "displayName": "Built-In Node",
                "executors": busy + idle,
                "idle": not running,
                "numExecutors": settings.executors,
                "offline": settings.offline,
                "oneOffExecutors": [],
                "temporarilyOffline": settings.offline,
            },
        )

    def _seat(self, number: int, build: Build | None) -> Bean:
        fields = {"currentExecutable": self._mention(build), "idle": build is None}
        return Bean("hudson.model.Executor", fields | {"number": number})

    def user(self, name: str, full_name: str) -> Bean:
        fields: dict[str, Any] = {
            "absoluteUrl": self._links.user(name),
            "description": None,
            "fullName": full_name,
            "id": name,
            "property": [],
        }
        return Bean("hudson.model.User", fields)

    def who_am_i(self) -> Bean:
        visitor = self._visitor
        authorities = ["anonymous"] if visitor.anonymous else ["authenticated"]
        return Bean(
            "hudson.security.WhoAmI",
            {
                "anonymous": visitor.anonymous,
                "authenticated": True,
                "authorities": authorities,
                "name": visitor.name,
            },
        )


def _next_build(build: Build) -> Build | None:
    builds = build.job.builds
    later = range(build.number + 1, build.job.next_number)
    return next((builds[number] for number in later if number in builds), None)


def _previous_build(build: Build) -> Build | None:
    builds = build.job.builds
    earlier = range(build.number - 1, 0, -1)
    return next((builds[number] for number in earlier if number in builds), None)


def _definition(parameter: Parameter) -> Bean:
    name = _DEFINITIONS[parameter.type]
    value = Value(parameter.name, parameter.default, parameter.type)
    fields: dict[str, Any] = {
        "defaultParameterValue": _value(value),
        "description": parameter.description,
        "name": parameter.name,
        "type": name,
    }
    if parameter.type == "choice":
        fields["choices"] = list(parameter.choices)
    return Bean(f"hudson.model.{name}", fields)


def _value(value: Value) -> Bean:
    shown = {} if value.secret else {"value": value.value}
    return Bean(f"hudson.model.{_VALUES[value.type]}", {"name": value.name} | shown)


def _parameters(values: tuple[Value, ...]) -> Bean:
    if not values:
        return Bean("", {})
    return Bean("hudson.model.ParametersAction", {"parameters": [_value(v) for v in values]})


def _causes(causes: tuple[Cause, ...]) -> Bean:
    return Bean("hudson.model.CauseAction", {"causes": [_cause(cause) for cause in causes]})


def _cause(cause: Cause) -> Bean:
    if cause.host:
        fields = {"addr": cause.host, "note": cause.note, "shortDescription": cause.text}
        return Bean("hudson.model.Cause$RemoteCause", fields)
    fields = {"shortDescription": cause.text, "userId": cause.user, "userName": cause.full_name}
    return Bean("hudson.model.Cause$UserIdCause", fields)
