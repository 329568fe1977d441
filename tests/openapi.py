"""Whether requests are what an OpenAPI (3.0) or Swagger (2.0) description of an API allows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import jsonschema

from chatops_site.sandbox.server import Request

Spec = Mapping[str, Any]


def faults(spec: Spec, requests: Sequence[Request], prefix: str = "") -> list[str]:
    """What is wrong with the requests, a line each; prefix: what their paths have before the description's."""
    known = _nullable(spec)
    found = (fault for request in requests for fault in _faults(known, request, prefix))
    return list(dict.fromkeys(found))


def _faults(spec: Spec, request: Request, prefix: str) -> Iterator[str]:
    path = request.raw_path.removeprefix(prefix)
    name, operation, values = _operation(spec, request.method.lower(), path)
    label = f"{request.method} {name or path}"
    if operation is None:
        yield f"{label}: not described"
        return
    parameters = [_resolved(spec, one) for one in operation.get("parameters", ())]
    yield from _query_faults(label, spec, parameters, request)
    for one in parameters:
        if one["in"] == "path" and not _fits(spec, _schema(one), values[one["name"]]):
            yield f"{label}: {one['name']} = {values[one['name']]!r} does not fit"
    schema = _body_schema(spec, operation, parameters)
    if request.body and schema is None:
        yield f"{label}: takes no body"
    elif request.body:
        yield from (f"{label}: {text}" for text in _body_faults(spec, schema or {}, request.json()))


def _operation(
    spec: Spec, method: str, path: str
) -> tuple[str, Mapping[str, Any] | None, dict[str, str]]:
    """The most literal of the descriptions that the path fits."""
    base = str(spec.get("basePath", "/")).rstrip("/")
    for name in sorted(spec["paths"], key=lambda name: name.count("{")):
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(base + name))
        match = re.fullmatch(pattern, path)
        if match is None or method not in spec["paths"][name]:
            continue
        item = spec["paths"][name]
        shared = [*item.get("parameters", ()), *item[method].get("parameters", ())]
        values = {key: unquote(value) for key, value in match.groupdict().items()}
        return name, item[method] | {"parameters": shared}, values
    return "", None, {}


def _query_faults(
    label: str, spec: Spec, parameters: Sequence[Mapping[str, Any]], request: Request
) -> Iterator[str]:
    known = {one["name"]: one for one in parameters if one["in"] == "query"}
    for name, values in request.query.items():
        if name not in known:
            yield f"{label}: has no parameter {name}"
        elif not _fits(spec, _schema(known[name]), values[-1]):
            yield f"{label}: {name} = {values[-1]!r} does not fit"
    for name, one in known.items():
        if one.get("required") and name not in request.query:
            yield f"{label}: lacks the parameter {name}"


def _schema(parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    kept = ("type", "enum", "minimum", "maximum", "items", "format")
    inside: Mapping[str, Any] = parameter.get("schema") or {
        key: parameter[key] for key in kept if key in parameter
    }
    return inside


def _fits(spec: Spec, schema: Mapping[str, Any], text: str) -> bool:
    schema = _resolved(spec, schema)
    value: Any = text
    if schema.get("type") == "integer":
        value = int(text) if text.isdigit() else text
    if schema.get("type") == "boolean":
        value = {"true": True, "false": False}.get(text, text)
    if schema.get("type") == "array":
        value = text.split(",")
    return not list(_body_faults(spec, schema, value))


def _body_schema(
    spec: Spec, operation: Mapping[str, Any], parameters: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    if body := next((one for one in parameters if one["in"] == "body"), None):
        schema: Mapping[str, Any] = body["schema"]
        return schema
    if "requestBody" not in operation:
        return None
    content = _resolved(spec, operation["requestBody"])["content"]
    kind = content.get("application/json") or next(iter(content.values()))
    found: Mapping[str, Any] = kind["schema"]
    return found


def _body_faults(spec: Spec, schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    shared = {name: spec.get(name, {}) for name in ("components", "definitions")}
    whole = {**schema, **shared}
    checker = jsonschema.Draft4Validator(whole)
    for error in checker.iter_errors(value):
        yield f"{'.'.join(map(str, error.path)) or 'body'}: {error.message[:120]}"
    properties = _resolved(spec, schema).get("properties")
    if properties and isinstance(value, dict):
        yield from (f"has no field {name}" for name in value if name not in properties)


def _nullable(schema: Any) -> Any:
    """OpenAPI 3.0 says "nullable" where JSON Schema lists null as a type."""
    if isinstance(schema, list):
        return [_nullable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _nullable(value) for key, value in schema.items()}
    if made.pop("nullable", None) is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


def _resolved(spec: Spec, value: Mapping[str, Any]) -> Mapping[str, Any]:
    found = value
    while "$ref" in found:
        target: Any = spec
        for part in found["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        found = target
    return found
