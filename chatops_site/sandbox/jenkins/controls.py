"""What /__control/jenkins may do to this Jenkins: one function an operation."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from chatops_site.sandbox.jenkins import timeline
from chatops_site.sandbox.jenkins.access import EVERYTHING, Gate
from chatops_site.sandbox.jenkins.engine import Engine, projects
from chatops_site.sandbox.jenkins.model import (
    CONTAINERS,
    Build,
    InputStep,
    Job,
    Kind,
    Parameter,
    Plan,
    User,
)

Arguments = dict[str, Any]
_RESULTS = frozenset(timeline.ENDED_AS)
_JOB_FIELDS = {
    "description": str,
    "disabled": bool,
    "concurrent": bool,
    "label": str,
    "token": str,
    "veto": bool,
    "uncancellable": bool,
    "next_number": int,
}
_PLAN_FIELDS = {each.name for each in fields(Plan)}


class WrongOperation(ValueError):
    """The operation or an argument of it makes no sense; str() is a sentence."""


class Controls:
    """Operations by name; each returns what is worth telling."""

    def __init__(self, engine: Engine, gate: Gate) -> None:
        self._engine = engine
        self._gate = gate
        self._operations: dict[str, Callable[[Arguments], Arguments]] = {
            "set_job": self.set_job,
            "set_quiet_period": self.set_quiet_period,
            "finish": self.finish,
            "restart": self.restart,
            "quiet_down": self.quiet_down,
            "set_executors": self.set_executors,
            "forget_queue": self.forget_queue,
            "set_plugin": self.set_plugin,
            "set_crumbs": self.set_crumbs,
            "set_location_host": self.set_location_host,
            "delete_build": self.delete_build,
            "set_rights": self.set_rights,
        }

    def apply(self, op: str, arguments: Arguments) -> Arguments:
        """Raises WrongOperation."""
        if op not in self._operations:
            known = ", ".join(sorted(self._operations))
            raise WrongOperation(f"There is no operation {op!r}; there are: {known}.")
        return self._operations[op](arguments)

    def set_job(self, given: Arguments) -> Arguments:
        """path "*" means every job; a path that is not there is made, folders included."""
        jobs = projects(self._engine.root) if given.get("path") == "*" else [self._made(given)]
        for job in jobs:
            if "parameters" in given:
                job.parameters = parameters_from(given["parameters"])
            if "quiet_period" in given:
                length = given["quiet_period"]
                job.quiet_period = None if length is None else float(length)
            for name in _JOB_FIELDS.keys() & given.keys():
                setattr(job, name, _JOB_FIELDS[name](given[name]))
            job.plan = plan_from(job.plan, given)
        return {"jobs": [job.full_name for job in jobs]}

    def _made(self, given: Arguments) -> Job:
        path = _text(given, "path")
        return add_job(self._engine.root, path, Kind(str(given.get("kind", Kind.PIPELINE))))

    def set_quiet_period(self, given: Arguments) -> Arguments:
        """Without quiet period there is by default no moment without executable either."""
        seconds = float(given.get("seconds", 5))
        settings = self._engine.settings
        settings.quiet_period = seconds
        settings.executable_lag = float(given.get("lag", 0.4 if seconds else 0.0))
        return {"seconds": seconds, "lag": settings.executable_lag}

    def finish(self, given: Arguments) -> Arguments:
        build = self._build(given)
        result = _result(given.get("result", "SUCCESS"))
        self._engine.finish(build, result)
        return {"number": build.number, "result": result}

    def restart(self, given: Arguments) -> Arguments:
        seconds = float(given.get("seconds", 5))
        self._engine.restart(seconds, keep_waiting=bool(given.get("keep_waiting", False)))
        self._gate.forget_sessions()
        return {"until": self._engine.settings.down_until}

    def quiet_down(self, given: Arguments) -> Arguments:
        self._engine.settings.quieting = bool(given.get("on", True))
        return {"on": self._engine.settings.quieting}

    def set_executors(self, given: Arguments) -> Arguments:
        settings = self._engine.settings
        settings.executors = int(given.get("n", settings.executors))
        settings.offline = bool(given.get("offline", False))
        return {"n": settings.executors, "offline": settings.offline}

    def forget_queue(self, given: Arguments) -> Arguments:
        forgotten = sorted(self._engine.items)
        self._engine.forget_queue(keep_waiting=bool(given.get("keep_waiting", False)))
        return {"forgotten": forgotten}

    def set_plugin(self, given: Arguments) -> Arguments:
        self._engine.settings.stage_plugin = bool(given.get("on", True))
        return {"on": self._engine.settings.stage_plugin}

    def set_crumbs(self, given: Arguments) -> Arguments:
        self._engine.settings.crumbs = bool(given.get("on", True))
        return {"on": self._engine.settings.crumbs}

    def set_location_host(self, given: Arguments) -> Arguments:
        self._engine.settings.location_host = str(given.get("host", "")).rstrip("/")
        return {"host": self._engine.settings.location_host}

    def delete_build(self, given: Arguments) -> Arguments:
        build = self._build(given)
        self._engine.delete(build)
        return {"number": build.number}

    def set_rights(self, given: Arguments) -> Arguments:
        """Rights among read, discover, build, cancel; unknown users are made."""
        name = _text(given, "user")
        rights = frozenset(given.get("rights", ()))
        if rights - EVERYTHING:
            raise WrongOperation(f"Rights are among {sorted(EVERYTHING)}.")
        user = self._gate.users.setdefault(name, User(name, name))
        user.rights = rights
        if "tokens" in given:
            user.tokens = frozenset(given["tokens"])
        if "password" in given:
            user.password = str(given["password"])
        return {"user": name, "rights": sorted(rights)}

    def _build(self, given: Arguments) -> Build:
        job = self._engine.find(_text(given, "path"))
        if job is None:
            raise WrongOperation(f"There is no job {given['path']!r}.")
        number = int(given.get("number") or max(job.builds, default=0))
        if number not in job.builds:
            raise WrongOperation(f"{job.full_name} has no build {number}.")
        return job.builds[number]


def _text(given: Arguments, name: str) -> str:
    if not given.get(name):
        raise WrongOperation(f"The argument {name!r} is missing.")
    return str(given[name])


def _result(given: Any) -> str:
    if given not in _RESULTS:
        raise WrongOperation(f"{given!r} is no result; there are: {sorted(_RESULTS)}.")
    return str(given)


def add_job(root: Job, path: str, kind: Kind) -> Job:
    """The job at this path, made with its folders where it is not there yet."""
    job = root
    names = path.strip("/").split("/")
    for place, name in enumerate(names):
        last = place == len(names) - 1
        made = Job(name=name, kind=kind if last else Kind.FOLDER, parent=job)
        if job is not root and job.kind not in CONTAINERS:
            raise WrongOperation(f"{job.full_name} is no folder.")
        made.concurrent = made.kind is not Kind.FREESTYLE
        job = job.children.setdefault(name, made)
    return job


def parameters_from(given: Any) -> tuple[Parameter, ...]:
    """A list of {name, type, default, choices, description} or a dict of names and defaults."""
    if isinstance(given, dict):
        given = [{"name": name, "default": default} for name, default in given.items()]
    return tuple(_parameter(entry) for entry in given)


def _parameter(entry: Any) -> Parameter:
    if isinstance(entry, str):
        return Parameter(entry)
    choices = tuple(str(choice) for choice in entry.get("choices", ()))
    default = entry.get("default", choices[0] if choices else "")
    return Parameter(
        name=str(entry["name"]),
        type=str(entry.get("type") or _guessed_type(choices, default)),
        default=default if isinstance(default, bool) else str(default),
        choices=choices,
        description=str(entry.get("description", "")),
    )


def _guessed_type(choices: tuple[str, ...], default: Any) -> str:
    if choices:
        return "choice"
    return "boolean" if isinstance(default, bool) else "string"


def plan_from(plan: Plan, given: Arguments) -> Plan:
    changes = {name: given[name] for name in _PLAN_FIELDS & given.keys()}
    if "result" in changes:
        changes["result"] = _result(changes["result"])
    if "stages" in changes:
        changes["stages"] = tuple(str(stage) for stage in changes["stages"])
    if "log" in changes:
        changes |= _log_from(changes["log"])
    if "input" in changes:
        changes["input"] = _input_from(changes["input"])
    for name in ("duration", "stop_delay", "megabytes"):
        if name in changes:
            changes[name] = float(changes[name])
    return replace(plan, **changes)


def _log_from(given: Any) -> Arguments:
    """Lines, one text of lines, or {"megabytes": 50} for a very long log."""
    if isinstance(given, dict):
        return {"log": (), "megabytes": float(given.get("megabytes", 50))}
    lines = given.splitlines() if isinstance(given, str) else given
    return {"log": tuple(str(line) for line in lines)}


def _input_from(given: Any) -> InputStep | None:
    if not given:
        return None
    wanted = given if isinstance(given, dict) else {}
    texts = {
        name: str(wanted[name])
        for name in ("id", "message", "stage", "submitter", "proceed_text")
        if name in wanted
    }
    return InputStep(**texts, parameters=parameters_from(wanted.get("parameters", ())))
