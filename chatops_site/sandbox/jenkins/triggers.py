"""JOB/build and JOB/buildWithParameters: every way in which they queue, join or refuse.

After jenkins.model.ParameterizedJobMixIn and hudson.model.ParametersDefinitionProperty.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from chatops_site.sandbox.jenkins.access import Visitor, check_right
from chatops_site.sandbox.jenkins.answers import as_page, moved, post_required, refused
from chatops_site.sandbox.jenkins.engine import Engine
from chatops_site.sandbox.jenkins.links import Links
from chatops_site.sandbox.jenkins.model import Cause, Job, Parameter, Value
from chatops_site.sandbox.jenkins.pages import parameter_form
from chatops_site.sandbox.server import Request, Response

_DELAY = re.compile(r"(\d+)(sec|secs|s|ms|min)?")
_UNITS = {"": 1.0, "sec": 1.0, "secs": 1.0, "s": 1.0, "ms": 0.001, "min": 60.0}


@dataclass(frozen=True)
class Trigger:
    """One request to build one job."""

    engine: Engine
    links: Links
    visitor: Visitor
    request: Request
    job: Job

    def build(self) -> Response:
        job = self.job
        _check_buildable(job)
        if job.parameters and self.request.method != "POST":
            return as_page(parameter_form(job))
        self._check_permission()
        if job.parameters:
            return self._submitted()
        item, _new = self._scheduled(())
        # An item that was queued already is answered like a new one (a TODO in Jenkins' source).
        return moved(201, self.links.queue_location(item)) if item else moved(302, ".")

    def build_with_parameters(self) -> Response:
        self._check_permission()
        _check_buildable(self.job)
        if not self.job.parameters:
            raise refused(400, f"{self.job.full_name} is not parameterized")
        given = submitted_fields(self.request)
        values = tuple(_from_field(each, given) for each in self.job.parameters)
        item, new = self._scheduled(values)
        if item is None:
            return moved(302, ".")
        return moved(201 if new else 303, self.links.queue_location(item))

    def _submitted(self) -> Response:
        form = submitted_form(self.request)
        values = _from_form(self.job, form)
        item, new = self._scheduled(values)
        if item is None or not new:
            return moved(302, ".")
        return moved(int(form.get("statusCode", 201)), self.links.queue_location(item))

    def _scheduled(self, values: tuple[Value, ...]) -> tuple[Any, bool]:
        cause, delay = self._cause(), _delay(self.request)
        return self.engine.schedule(self.job, values=values, cause=cause, delay=delay)

    def _check_permission(self) -> None:
        if self._has_token():
            return
        check_right(self.visitor, "build")
        if self.request.method != "POST":
            raise post_required()

    def _has_token(self) -> bool:
        given = submitted_fields(self.request).get("token", [""])[0]
        return bool(self.job.token) and given == self.job.token

    def _cause(self) -> Cause:
        fields = submitted_fields(self.request)
        if self._has_token():
            note = fields.get("cause", [""])[0]
            told = f"Started by remote host 127.0.0.1 with note: {note}"
            return Cause(told, host="127.0.0.1", note=note)
        visitor = self.visitor
        told = f"Started by user {visitor.full_name}"
        return Cause(told, user=visitor.name, full_name=visitor.full_name)


def submitted_fields(request: Request) -> dict[str, list[str]]:
    """Query and form body together; a JSON body is nothing to Jenkins."""
    fields = {name: list(values) for name, values in request.query.items()}
    if "form-urlencoded" in request.headers.get("Content-Type", ""):
        for name, values in request.form().items():
            fields.setdefault(name, []).extend(values)
    return fields


def submitted_form(request: Request) -> dict[str, Any]:
    """The structured form (field `json`) that Jenkins' own pages send. Refuses with 400."""
    text = submitted_fields(request).get("json", [""])[0]
    if not text:
        raise refused(400, "Nothing is submitted: this page expects a form submission")
    try:
        form = json.loads(text)
    except ValueError:
        raise refused(400, "This page expects a form submission, the json is broken") from None
    if not isinstance(form, dict):
        raise refused(400, "This page expects a form submission, the json is not an object")
    return form


def _check_buildable(job: Job) -> None:
    if job.disabled:
        raise refused(409, f"{job.full_name} is not buildable")


def _delay(request: Request) -> float | None:
    given = submitted_fields(request).get("delay", [""])[0]
    if not given:
        return None
    found = _DELAY.fullmatch(given)
    if found is None:
        raise refused(500, f"java.lang.IllegalArgumentException: Invalid time duration {given}")
    return int(found.group(1)) * _UNITS[found.group(2) or ""]


def _from_field(parameter: Parameter, given: dict[str, list[str]]) -> Value:
    values = given.get(parameter.name)
    if values is None:
        return Value(parameter.name, parameter.default, parameter.type)
    if len(values) != 1:
        told = f"Illegal number of parameter values for {parameter.name}: {len(values)}"
        raise refused(500, f"java.lang.IllegalArgumentException: {told}")
    return typed(parameter, values[0])


def _from_form(job: Job, form: dict[str, Any]) -> tuple[Value, ...]:
    entries = form.get("parameter", [])
    known = {parameter.name: parameter for parameter in job.parameters}
    given: dict[str, Value] = {}
    for entry in entries if isinstance(entries, list) else [entries]:
        name = str(entry.get("name", "")) if isinstance(entry, dict) else ""
        if name not in known:
            raise refused(
                500, f"java.lang.IllegalArgumentException: No such parameter definition: {name}"
            )
        given[name] = typed(known[name], entry.get("value", ""))
    # Unlike buildWithParameters the form knows no defaults: what is not sent is not there.
    return tuple(given.values())


def typed(parameter: Parameter, value: Any) -> Value:
    """The value as the definition makes it; an unknown choice is Jenkins' own 500."""
    if parameter.type == "boolean":
        return Value(parameter.name, str(value).lower() == "true", "boolean")
    text = str(value)
    if parameter.type == "choice" and text not in parameter.choices:
        told = f"Illegal choice for parameter {parameter.name}: {text}"
        raise refused(500, f"java.lang.IllegalArgumentException: {told}")
    return Value(parameter.name, text, parameter.type)
