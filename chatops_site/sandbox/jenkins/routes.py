"""Which address of Jenkins means what; one `Visit` answers one request."""

import re
from collections.abc import Callable
from urllib.parse import unquote

from chatops_site.sandbox.jenkins import builds, pages
from chatops_site.sandbox.jenkins.access import CRUMB_FIELD, Gate, Visitor, check_read
from chatops_site.sandbox.jenkins.answers import (
    as_api,
    as_page,
    empty,
    not_found,
    post_required,
    refused,
)
from chatops_site.sandbox.jenkins.engine import Engine
from chatops_site.sandbox.jenkins.exports import PERMALINKS, Exporter, permalink
from chatops_site.sandbox.jenkins.links import Links
from chatops_site.sandbox.jenkins.model import CONTAINERS, Build, Job, QueueItem
from chatops_site.sandbox.jenkins.pipelines import Inputs, Stages
from chatops_site.sandbox.jenkins.tree import Bean, MalformedTree, by_depth, by_tree
from chatops_site.sandbox.jenkins.triggers import Trigger
from chatops_site.sandbox.server import Request, Response

Path = tuple[str, ...]


def path_of(request: Request) -> Path:
    """The segments decoded once: the router has to see %252F and %2F as different things."""
    return tuple(unquote(part) for part in request.raw_path.split("/") if part)


def wants_page(request: Request) -> bool:
    """A browser; programs send */* or application/json and must log in."""
    reading = request.method in ("GET", "HEAD")
    return reading and "text/html" in request.headers.get("Accept", "")


class Visit:
    """One request of one visitor; `answer` finds the address and what is behind it."""

    def __init__(
        self, engine: Engine, gate: Gate, *, links: Links, visitor: Visitor, request: Request
    ) -> None:
        self._engine = engine
        self._gate = gate
        self._links = links
        self._visitor = visitor
        self._request = request
        self._export = Exporter(engine, links, visitor)
        self._stages = Stages(engine, links)
        self._inputs = Inputs(engine, visitor, request)
        self._interrupt = builds.Interruptions(engine, visitor, request)

    def answer(self, path: Path) -> Response:
        if path[:1] == ("job",):
            return self._below_jobs(path)
        if path[:2] == ("queue", "item") and len(path) > 2:
            return self._queue_item(path[2], path[3:])
        if path[:1] in (("user",), ("computer",)) and len(path) > 1:
            return self._named(path)
        endpoint = self._top_routes().get(path)
        if endpoint is None:
            raise not_found("/".join(path))
        return endpoint()

    def _top_routes(self) -> dict[Path, Callable[[], Response]]:
        export = self._export
        return {
            (): lambda: as_page(pages.folder_page(self._engine.root, self._links)),
            ("login",): lambda: as_page(pages.page("Sign in", "")),
            ("api", "json"): lambda: self._api(export.root()),
            ("crumbIssuer", "api", "json"): self._crumb,
            ("me", "api", "json"): self._me,
            ("whoAmI", "api", "json"): lambda: self._api(export.who_am_i()),
            ("queue", "api", "json"): lambda: self._api(export.queue()),
            ("queue", "cancelItem"): self._cancel_item,
            ("computer", "api", "json"): lambda: self._api(export.computers()),
        }

    def _api(self, bean: Bean) -> Response:
        query = {name: values[-1] for name, values in self._request.query.items()}
        try:
            if query.get("tree"):
                return as_api(by_tree(bean, query["tree"]))
            return as_api(by_depth(bean, int(query.get("depth") or 0)))
        except MalformedTree as problem:
            raise refused(500, f"javax.servlet.ServletException: {problem}") from None
        except ValueError:
            raise refused(500, "java.lang.NumberFormatException: depth") from None

    def _crumb(self) -> Response:
        if not self._engine.settings.crumbs:
            raise not_found("crumbIssuer/api/json")
        crumb, session = self._gate.crumb(self._visitor)
        kind = "hudson.security.csrf.DefaultCrumbIssuer"
        fields = {"crumb": crumb, "crumbRequestField": CRUMB_FIELD}
        response = self._api(Bean(kind, fields))
        cookie = f"JSESSIONID.sandbox={session}; Path=/jenkins; HttpOnly; SameSite=Lax"
        response.headers["Set-Cookie"] = cookie
        return response

    def _me(self) -> Response:
        if self._visitor.anonymous:
            raise not_found("me")
        return self._api(self._export.user(self._visitor.name, self._visitor.full_name))

    def _named(self, path: Path) -> Response:
        first, name, rest = path[0], path[1], path[2:]
        if rest != ("api", "json"):
            if path == ("computer", "api", "json"):
                return self._api(self._export.computers())
            raise not_found("/".join(path))
        if first == "computer" and name in ("(master)", "(built-in)", "Built-In Node"):
            return self._api(self._export.computer())
        user = self._gate.users.get(name)
        if first == "user" and user:
            return self._api(self._export.user(user.name, user.full_name))
        raise not_found("/".join(path))

    # The queue

    def _queue_item(self, number: str, rest: Path) -> Response:
        item = self._readable_item(number)
        if rest == ("api", "json"):
            return self._api(self._export.queue_item(item))
        if rest == ():
            text = f"Queue item exists. For details check, for example, {item.id}/api/json?depth=2"
            return as_page(text)
        raise not_found(f"queue/item/{number}")

    def _readable_item(self, number: str) -> QueueItem:
        item = self._engine.item(int(number)) if number.isdecimal() else None
        if item is None or not self._visitor.may("read"):
            raise not_found(f"queue/item/{number}")
        return item

    def _cancel_item(self) -> Response:
        if self._request.method != "POST":
            raise post_required()
        given = self._request.arguments().get("id", "")
        item = self._engine.item(int(given)) if given.isdecimal() else None
        if item is None or item.left or not self._visitor.may("read"):
            raise refused(404, f"Provided id ({given}) not found")
        if not self._visitor.may("cancel"):
            raise refused(422, f"Item for id ({given}) is not cancellable")
        if item.job.uncancellable:
            raise refused(500, f"Could not cancel run for id ({given})")
        self._engine.cancel(item)
        return empty(204)

    # Jobs

    def _below_jobs(self, path: Path) -> Response:
        job, rest = self._walk(path)
        check_read(self._visitor, job)
        if rest in _JOB_ROUTES:
            return _JOB_ROUTES[rest](self, job)
        if rest and job.kind not in CONTAINERS:
            return self._below_build(self._build(job, rest[0]), rest[1:])
        raise not_found("/".join(path))

    def _walk(self, path: Path) -> tuple[Job, Path]:
        job = self._engine.root
        while len(path) > 1 and path[0] == "job":
            if path[1] not in job.children:
                raise not_found("/".join(path))
            job, path = job.children[path[1]], path[2:]
        return job, path

    def job_page(self, job: Job) -> Response:
        return as_page(pages.job_page(job, self._links, self._engine.now))

    def job_api(self, job: Job) -> Response:
        return self._api(self._export.job(job))

    def build(self, job: Job) -> Response:
        return self._trigger(job).build()

    def build_with_parameters(self, job: Job) -> Response:
        return self._trigger(job).build_with_parameters()

    def job_stages(self, job: Job) -> Response:
        return self._stages.of_job(job)

    def job_runs(self, job: Job) -> Response:
        return self._stages.runs(job)

    def _trigger(self, job: Job) -> Trigger:
        if job.kind in CONTAINERS:
            raise not_found(f"{job.full_name}/build")
        return Trigger(self._engine, self._links, self._visitor, self._request, job)

    # Builds

    def _build(self, job: Job, name: str) -> Build:
        found = job.builds.get(int(name)) if name.isdecimal() else None
        if name in PERMALINKS:
            found = permalink(job, name, self._engine.now)
        if found is None:
            raise not_found(f"{job.full_name}/{name}")
        return found

    def _below_build(self, build: Build, rest: Path) -> Response:
        endpoint = self._build_routes().get(rest)
        if endpoint:
            return endpoint(build)
        if len(rest) == 3 and rest[0] == "input":
            return self._input(build, rest)
        if rest[:2] == ("execution", "node") and len(rest) > 3:
            return self._stage(build, rest)
        raise not_found("/".join(rest))

    def _build_routes(self) -> dict[Path, Callable[[Build], Response]]:
        engine, request = self._engine, self._request
        return {
            (): lambda b: as_page(pages.build_page(b, self._links, engine.now)),
            ("console",): lambda b: as_page(pages.console_page(b, engine.now)),
            ("api", "json"): lambda b: self._api(self._export.build(b)),
            ("consoleText",): lambda b: builds.console_text(engine, b),
            ("logText", "progressiveText"): lambda b: builds.progressive_text(engine, b, request),
            ("stop",): self._interrupt.stop,
            ("term",): self._interrupt.term,
            ("kill",): self._interrupt.kill,
            ("wfapi",): self._stages.describe,
            ("wfapi", "describe"): self._stages.describe,
            ("wfapi", "pendingInputActions"): self._stages.pending_inputs,
            ("wfapi", "inputSubmit"): self._inputs.submit,
            ("wfapi", "artifacts"): lambda b: as_api([]),
        }

    def _input(self, build: Build, rest: Path) -> Response:
        actions = {
            "proceedEmpty": self._inputs.proceed_empty,
            "proceed": self._inputs.proceed,
            "submit": self._inputs.proceed,
            "abort": self._inputs.abort,
        }
        if rest[2] not in actions:
            raise not_found("/".join(rest))
        return actions[rest[2]](build, rest[1])

    def _stage(self, build: Build, rest: Path) -> Response:
        if rest[3:] in (("wfapi",), ("wfapi", "describe")):
            return self._stages.stage(build, rest[2])
        if rest[3:] == ("wfapi", "log"):
            return self._stages.stage_log(build, rest[2])
        raise not_found("/".join(rest))


_JOB_ROUTES: dict[Path, Callable[[Visit, Job], Response]] = {
    (): Visit.job_page,
    ("api", "json"): Visit.job_api,
    ("build",): Visit.build,
    ("buildWithParameters",): Visit.build_with_parameters,
    ("wfapi",): Visit.job_stages,
    ("wfapi", "runs"): Visit.job_runs,
}


_NAME = re.compile(r"\d+|last[A-Z]\w*Build|lastBuild")
_PAGES: tuple[Path, ...] = ((), ("console",), ("consoleText",))


def is_page(path: Path) -> bool:
    """Whether people open this in a browser: a folder, a job, a build or its log."""
    while len(path) > 1 and path[0] == "job":
        path = path[2:]
    return path == () or (bool(_NAME.fullmatch(path[0])) and path[1:] in _PAGES)
