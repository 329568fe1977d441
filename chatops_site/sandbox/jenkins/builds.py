"""Below one build: its log, its interruption, its page."""

from chatops_site.sandbox.jenkins import logs, timeline
from chatops_site.sandbox.jenkins.access import Visitor, check_right
from chatops_site.sandbox.jenkins.answers import as_text, moved, post_required, refused
from chatops_site.sandbox.jenkins.engine import Engine
from chatops_site.sandbox.jenkins.model import Build, Kind
from chatops_site.sandbox.server import Request, Response


def progressive_text(engine: Engine, build: Build, request: Request) -> Response:
    """From byte `start` of the raw log; a start beyond its end reads it from the beginning."""
    size = logs.raw_size(build, engine.now)
    start = _start(request)
    raw = logs.raw_from(build, start if start <= size else 0, engine.now)
    headers = {"X-Text-Size": str(size)}
    if timeline.is_building(build, engine.now):
        headers["X-More-Data"] = "true"
    return as_text(logs.plain(raw).replace(b"\n", b"\r\n"), headers)


def _start(request: Request) -> int:
    given = request.arguments().get("start", "0")
    if not given.isdecimal():
        raise refused(500, f"java.lang.NumberFormatException: {given}")
    return int(given)


def console_text(engine: Engine, build: Build) -> Response:
    return as_text(logs.plain(logs.raw_from(build, 0, engine.now)), {})


class Interruptions:
    """stop, term and kill: every one answers a redirect, also when there is nothing to stop."""

    def __init__(self, engine: Engine, visitor: Visitor, request: Request) -> None:
        self._engine = engine
        self._visitor = visitor
        self._request = request

    def stop(self, build: Build) -> Response:
        self._check()
        self._engine.stop(build, self._visitor.full_name)
        return self._back()

    def term(self, build: Build) -> Response:
        self._check_pipeline(build)
        self._engine.term(build, self._visitor.full_name)
        return self._back()

    def kill(self, build: Build) -> Response:
        self._check_pipeline(build)
        self._engine.kill(build)
        return self._back()

    def _check_pipeline(self, build: Build) -> None:
        if build.job.kind is not Kind.PIPELINE:
            raise refused(404, "Only pipelines can be terminated or killed")
        self._check()

    def _check(self) -> None:
        check_right(self._visitor, "cancel")
        if self._request.method != "POST":
            raise post_required()

    def _back(self) -> Response:
        return moved(302, self._request.headers.get("Referer", "."))
