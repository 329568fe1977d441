"""A stand-in of Jenkins: queue, builds, logs and stages over real HTTP, all derived from a clock.

https://www.jenkins.io/doc/book/using/remote-access-api/
"""

import threading
from collections.abc import Callable
from typing import Any

from chatops_site.sandbox.jenkins import seed, spans, timeline
from chatops_site.sandbox.jenkins.access import Gate, Visitor, check_entry
from chatops_site.sandbox.jenkins.answers import VERSION, Refusal, as_page
from chatops_site.sandbox.jenkins.controls import Controls, WrongOperation
from chatops_site.sandbox.jenkins.engine import Clock, Engine, projects
from chatops_site.sandbox.jenkins.links import CONTEXT, Links, links_for
from chatops_site.sandbox.jenkins.model import Build, QueueItem
from chatops_site.sandbox.jenkins.routes import Path, Visit, is_page, path_of, wants_page
from chatops_site.sandbox.server import Request, Response

__all__ = ["JenkinsSystem", "WrongOperation", "build_system"]

_READY = "Please wait while Jenkins is getting ready to work ..."


class JenkinsSystem:
    """One Jenkins below /jenkins; safe to be asked from many threads."""

    name = "jenkins"

    def __init__(self, world: Any, clock: Clock, base_url: Callable[[], str] | None = None) -> None:
        self._base_url = base_url
        self._lock = threading.RLock()
        self._deployments: list[dict[str, Any]] = getattr(world, "deployments", [])
        self._gate = Gate()
        self._engine = Engine(clock, on_end=self._record)
        self._begin("demo")

    def _begin(self, state: str) -> None:
        seed.fill(self._engine, self._gate, state)
        self._controls = Controls(self._engine, self._gate)

    def answer(self, request: Request) -> Response:
        with self._lock:
            self._engine.advance()
            path = path_of(request)
            if f"/{path[0] if path else ''}" != CONTEXT:
                return as_page("<h1>404 Not Found</h1>", 404)
            response = self._answered(request, path[1:])
            self._engine.advance()
        settings = self._engine.settings
        response.headers.setdefault("X-Jenkins", VERSION)
        response.headers.setdefault("X-Jenkins-Session", f"{settings.starts:08x}")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    def control(self, op: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Applies an operation; raises WrongOperation (a ValueError) with a sentence."""
        with self._lock:
            if op == "reset":
                return self._reset(str(arguments.get("state", "demo")))
            self._engine.advance()
            told = self._controls.apply(op, arguments)
            self._engine.advance()
        return told

    def _reset(self, state: str) -> dict[str, Any]:
        """Jobs, builds, queue, users and settings anew; queue ids go on growing."""
        if state not in seed.STATES:
            raise WrongOperation(f"There is no state {state!r}; there are: {seed.STATES}.")
        self._engine = self._engine.fresh()
        self._gate = Gate()
        self._deployments.clear()
        self._begin(state)
        return {"state": state}

    def state(self) -> dict[str, Any]:
        """Jobs with their builds, the queue and the settings, for the control and for tests."""
        with self._lock:
            self._engine.advance()
            settings = self._engine.settings
            return {
                "jobs": {job.full_name: self._job_state(job) for job in projects(self._root)},
                "deployments": [dict(entry) for entry in self._deployments],
                "queue": [self._item_state(item) for item in self._engine.items.values()],
                "running": len(self._engine.running),
                "quieting": settings.quieting,
                "executors": settings.executors,
                "down": self._engine.now < settings.down_until,
            }

    @property
    def _root(self) -> Any:
        return self._engine.root

    def _answered(self, request: Request, path: Path) -> Response:
        if self._engine.now < self._engine.settings.down_until:
            return as_page(f"<html><body><h1>{_READY}</h1></body></html>", 503)
        try:
            return self._visit(request, path)
        except Refusal as refusal:
            return refusal.response

    def _visit(self, request: Request, path: Path) -> Response:
        visitor = self._gate.visitor(request)
        if request.method == "POST" and self._engine.settings.crumbs:
            self._gate.check_crumb(request, visitor)
        visitor = self._admitted(visitor, request, path)
        visit = Visit(
            self._engine, self._gate, links=self._links(request), visitor=visitor, request=request
        )
        return visit.answer(path)

    def _admitted(self, visitor: Visitor, request: Request, path: Path) -> Visitor:
        if visitor.anonymous and wants_page(request) and is_page(path):
            # A person who follows a link from the chat sees the page without an account.
            return Visitor(visitor.name, visitor.full_name, frozenset({"read"}))
        if path != ("login",):
            check_entry(visitor, request.raw_path)
        return visitor

    def _links(self, request: Request) -> Links:
        host = request.headers.get("Host", "127.0.0.1")
        base = self._base_url() if self._base_url else f"http://{host}"
        return links_for(base, self._engine.settings.location_host)

    def _record(self, build: Build) -> None:
        """A deployment that went well is what runs in its environment from now on."""
        sha, environment = build.value_of("SHA"), build.value_of("ENV")
        succeeded = timeline.final_result(build) == "SUCCESS"
        if not succeeded or sha is None or environment is None:
            return
        entry = {"job": build.job.full_name, "build": build.number, "sha": sha}
        entry |= {"ref": build.value_of("REF") or "", "environment": environment}
        self._deployments.append(entry | {"at": timeline.ends_at(build)})

    def _job_state(self, job: Any) -> dict[str, Any]:
        return {
            "kind": job.kind.value,
            "disabled": job.disabled,
            "concurrent": job.concurrent,
            "next_number": job.next_number,
            "builds": [self._build_state(job.builds[number]) for number in sorted(job.builds)],
        }

    def _build_state(self, build: Build) -> dict[str, Any]:
        now = self._engine.now
        stages = [one for one in timeline.stages(build, now) if one.status != "NOT_EXECUTED"]
        length = timeline.ends_at(build) - build.started
        return {
            "number": build.number,
            "queue_id": build.queue_id,
            "parameters": {value.name: value.printed for value in build.values},
            "causes": [cause.text for cause in build.causes],
            "building": timeline.is_building(build, now),
            "paused": timeline.is_paused(build, now),
            "result": timeline.result(build, now),
            "started": build.started,
            "stage": stages[-1].name if stages else "",
            "progress": min(1.0, max(0.0, (now - build.started) / length)) if length > 0 else 1.0,
        }

    def _item_state(self, item: QueueItem) -> dict[str, Any]:
        return {
            "id": item.id,
            "job": item.job.full_name,
            "state": spans.state(self._engine, item),
            "why": spans.why(self._engine, item),
            "cancelled": item.cancelled,
            "build": item.build.number if item.build else None,
        }


def build_system(
    world: Any, clock: Clock, base_url: Callable[[], str] | None = None
) -> JenkinsSystem:
    """A Jenkins with the demo jobs; `base_url` defaults to the address each request came to."""
    return JenkinsSystem(world, clock, base_url)
