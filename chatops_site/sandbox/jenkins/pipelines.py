"""Stages and input steps of pipelines.

https://github.com/jenkinsci/pipeline-stage-view-plugin/tree/master/rest-api (wfapi) and the
pipeline-input-step plugin.
"""

from typing import Any

from chatops_site.sandbox.jenkins import logs, timeline
from chatops_site.sandbox.jenkins.access import Visitor, check_right
from chatops_site.sandbox.jenkins.answers import as_api, empty, not_found, post_required, refused
from chatops_site.sandbox.jenkins.engine import Engine
from chatops_site.sandbox.jenkins.exports import milliseconds
from chatops_site.sandbox.jenkins.links import Links, job_path
from chatops_site.sandbox.jenkins.model import Build, Halt, InputStep, Job, Kind
from chatops_site.sandbox.jenkins.triggers import submitted_form, typed
from chatops_site.sandbox.server import Request, Response

_MOST_RUNS = 10
ABORT_SECONDS = 0.2


class Stages:
    """The answers below wfapi; everything is 404 where the plugin is absent."""

    def __init__(self, engine: Engine, links: Links) -> None:
        self._engine = engine
        self._links = links

    def check(self, job: Job) -> None:
        if job.kind is not Kind.PIPELINE or not self._engine.settings.stage_plugin:
            raise not_found(f"{job.full_name}/wfapi")

    def of_job(self, job: Job) -> Response:
        self.check(job)
        path = f"{self._links.base.partition('://')[2].partition('/')[2]}{job_path(job)}wfapi"
        links = {
            "self": {"href": f"/{path}/describe"},
            "runs": {"href": f"/{path}/runs"},
        }
        return as_api({"_links": links, "name": job.name, "runCount": len(job.builds)})

    def runs(self, job: Job) -> Response:
        self.check(job)
        return as_api([self._run(build) for build in job.newest_first[:_MOST_RUNS]])

    def describe(self, build: Build) -> Response:
        self.check(build.job)
        return as_api(self._run(build))

    def stage(self, build: Build, node: str) -> Response:
        self.check(build.job)
        return as_api(self._stage(build, self._find_stage(build, node)) | {"stageFlowNodes": []})

    def stage_log(self, build: Build, node: str) -> Response:
        self.check(build.job)
        stage = self._find_stage(build, node)
        text = logs.text(build, self._engine.now)
        told = {
            "nodeId": node,
            "nodeStatus": stage.status,
            "length": len(text),
            "hasMore": False,
            "text": text,
            "consoleUrl": f"{self._links.local(build)}/execution/node/{node}/log",
        }
        return as_api(told)

    def pending_inputs(self, build: Build) -> Response:
        self.check(build.job)
        step = build.plan.input
        if step is None or not timeline.is_paused(build, self._engine.now):
            return as_api([])
        root, shown = self._links.local(build), input_id(step)
        told = {
            "id": shown,
            "message": step.message,
            "proceedText": step.proceed_text,
            "inputs": [{"name": each.name, "type": each.type} for each in step.parameters],
            "proceedUrl": f"{root}/wfapi/inputSubmit?inputId={shown}",
            "abortUrl": f"{root}/input/{shown}/abort",
            "redirectApprovalUrl": f"{root}/input/",
        }
        if not step.parameters:
            told["proceedUrl"] = f"{root}/input/{shown}/proceedEmpty"
        return as_api([told])

    def _find_stage(self, build: Build, node: str) -> timeline.Stage:
        for stage in timeline.stages(build, self._engine.now):
            if stage.id == node:
                return stage
        raise not_found(f"execution/node/{node}")

    def _run(self, build: Build) -> dict[str, Any]:
        now = self._engine.now
        root = self._links.local(build)
        links = {"self": {"href": f"{root}/wfapi/describe"}}
        if timeline.is_paused(build, now):
            links["pendingInputActions"] = {"href": f"{root}/wfapi/pendingInputActions"}
        end = min(timeline.ends_at(build), now)
        stages = timeline.stages(build, now)
        return {
            "_links": links,
            "id": str(build.number),
            "name": f"#{build.number}",
            "status": timeline.status(build, now),
            "startTimeMillis": milliseconds(build.started),
            "endTimeMillis": milliseconds(end),
            "durationMillis": milliseconds(end - build.started),
            "queueDurationMillis": milliseconds(build.started - build.entered),
            "pauseDurationMillis": milliseconds(sum(stage.paused for stage in stages)),
            "stages": [self._stage(build, stage) for stage in stages],
        }

    def _stage(self, build: Build, stage: timeline.Stage) -> dict[str, Any]:
        href = f"{self._links.local(build)}/execution/node/{stage.id}/wfapi/describe"
        return {
            "_links": {"self": {"href": href}},
            "id": stage.id,
            "name": stage.name,
            "execNode": "",
            "status": stage.status,
            "startTimeMillis": milliseconds(stage.start),
            "durationMillis": milliseconds(stage.duration),
            "pauseDurationMillis": milliseconds(stage.paused),
        }


def input_id(step: InputStep) -> str:
    """Jenkins shows an id with its first letter in upper case: "deploy" becomes "Deploy"."""
    return step.id[:1].upper() + step.id[1:]


class Inputs:
    """Answers to an input step; who comes second or may not is told so on a 400 page."""

    def __init__(self, engine: Engine, visitor: Visitor, request: Request) -> None:
        self._engine = engine
        self._visitor = visitor
        self._request = request

    def proceed_empty(self, build: Build, given_id: str) -> Response:
        self._settle(build, given_id)
        return self._proceeded(build)

    def proceed(self, build: Build, given_id: str) -> Response:
        step = self._settle(build, given_id)
        known = {parameter.name: parameter for parameter in step.parameters}
        entries = submitted_form(self._request).get("parameter", [])
        for entry in entries if isinstance(entries, list) else [entries]:
            name = str(entry.get("name", ""))
            if name not in known:
                raise refused(500, f"java.lang.IllegalArgumentException: No such input: {name}")
            typed(known[name], entry.get("value", ""))
        return self._proceeded(build)

    def submit(self, build: Build) -> Response:
        """wfapi/inputSubmit: an id that is not waiting is a ServletException, hence 500."""
        given_id = self._request.arguments().get("inputId", "")
        step = build.plan.input
        if step is None or given_id != input_id(step):
            raise refused(500, f"javax.servlet.ServletException: no input {given_id!r} is waiting")
        return self.proceed(build, given_id)

    def abort(self, build: Build, given_id: str) -> Response:
        self._settle(build, given_id)
        now = self._engine.now
        build.notices.append((now, f"Rejected by {self._visitor.full_name}"))
        build.halt = Halt(now + ABORT_SECONDS, "ABORTED")
        return empty(200)

    def _proceeded(self, build: Build) -> Response:
        build.resumed = self._engine.now
        build.notices.append((self._engine.now, f"Approved by {self._visitor.full_name}"))
        return empty(200)

    def _settle(self, build: Build, given_id: str) -> InputStep:
        """The input that waits, once everything that speaks against answering it was said."""
        if self._request.method != "POST":
            raise post_required()
        step = build.plan.input
        if step is None or given_id != input_id(step):
            raise not_found(f"input/{given_id}")
        if not timeline.is_paused(build, self._engine.now):
            raise refused(400, "This input has been already given")
        if step.submitter and step.submitter != self._visitor.name:
            raise refused(400, f"You need to be {step.submitter} to submit this")
        check_right(self._visitor, "build")
        return step
