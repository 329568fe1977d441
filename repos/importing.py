"""What a forge's token or a Jenkins user sees, and which of it the portal takes over, with proposed names."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext as _

from audit.changes import Actor, kind_of, record_change, snapshot
from repos.clients import forge_client, jenkins_client
from repos.errors import RemoteError
from repos.models import Environment, Forge, JenkinsServer, Job, Purpose, Repository, Service

MOST_JOBS: Final = 2_000
_STRANGE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_WORDS: Final = re.compile(r"[A-Za-z0-9]+")
# The last words that tell what a job is for; the first that fits decides.
_PURPOSES: Final = (
    (Purpose.DEPLOY, {"deploy", "deployment", "release", "publish", "rollout", "ship"}),
    (Purpose.TEST, {"test", "tests", "testing", "check", "checks", "ci", "verify", "pr"}),
)
_ENVIRONMENTS: Final = {"prod": "production", "stage": "staging", "stg": "staging"}
# What a job's declared parameter is usually called → the portal's template for it.
_TEMPLATES: Final = {
    "CHATOPS_ID": "{run}",
    "SHA": "{sha}",
    "COMMIT": "{sha}",
    "GIT_COMMIT": "{sha}",
    "REF": "{ref}",
    "BRANCH": "{ref}",
    "VERSION": "{ref}",
    "TAG": "{ref}",
    "PR": "{number}",
    "PULL_REQUEST": "{number}",
    "ENV": "{environment}",
    "ENVIRONMENT": "{environment}",
    "SERVICE": "{service}",
}


@dataclass(frozen=True)
class Found:
    """Something that could be taken over. known: the name it has in the portal already; note: in brackets."""

    path: str
    name: str
    known: str = ""
    note: str = ""
    purpose: str = ""
    service: str = ""
    environment: str = ""


@dataclass(frozen=True)
class FoundPage:
    items: tuple[Found, ...]
    total: int | None = None
    more: bool = False


@dataclass(frozen=True)
class Imported:
    """What came of it: new rows, and for each path that was left out the reason."""

    made: list[models.Model] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


# Repositories


def find_repositories(forge: Forge, *, search: str = "", page: int = 1) -> FoundPage:
    """One page of what the token sees. Raises RemoteError."""
    seen = forge_client(forge).repositories(search=search, page=page)
    known = _known(Repository.objects.filter(forge=forge))
    items = [
        Found(
            row.path,
            propose_name(row.path, _names(Repository)),
            known=known.get(row.path.casefold(), ""),
            note=_("archived") if row.archived else "",
        )
        for row in seen.items
    ]
    return FoundPage(tuple(items), seen.total, seen.more)


def import_repositories(forge: Forge, paths: Iterable[str], actor: Actor) -> Imported:
    """Asks the forge for each: what it does not show is not taken over."""
    client = forge_client(forge)

    def read(path: str) -> Repository:
        facts = client.repository(path)
        name = propose_name(facts.path, _names(Repository))
        return Repository(name=name, forge=forge, path=facts.path)

    return _take_over(paths, _known(Repository.objects.filter(forge=forge)), read, actor)


# Jobs


def find_jobs(server: JenkinsServer, *, search: str = "") -> FoundPage:
    """Walks all folders, and proposes by name what each job is for. Raises RemoteError."""
    summaries = jenkins_client(server).jobs(limit=MOST_JOBS)
    known, names = _known(Job.objects.filter(jenkins=server)), _names(Job)
    services, environments = list(Service.objects.all()), list(Environment.objects.all())
    items = [
        Found(
            row.path,
            propose_name(row.path, names),
            known=known.get(row.path.casefold(), ""),
            note="" if row.buildable else _("disabled"),
            **_proposal(row.path, services, environments),
        )
        for row in summaries
        if search.casefold() in row.path.casefold()
    ]
    return FoundPage(tuple(items), len(items), more=len(summaries) >= MOST_JOBS)


def import_jobs(server: JenkinsServer, paths: Iterable[str], actor: Actor) -> Imported:
    """With the purpose, service and environment that its name tells, and its declared parameters filled."""
    client = jenkins_client(server)
    services, environments = list(Service.objects.all()), list(Environment.objects.all())

    def read(path: str) -> Job:
        declared = [parameter.name for parameter in client.describe(path).parameters]
        told = _proposal(path, services, environments)
        return Job(
            name=propose_name(path, _names(Job)),
            jenkins=server,
            path=path,
            purpose=told["purpose"],
            service=next((one for one in services if one.name == told["service"]), None),
            environment=next((e for e in environments if e.name == told["environment"]), None),
            parameters={name: _TEMPLATES[name] for name in declared if name in _TEMPLATES},
        )

    return _take_over(paths, _known(Job.objects.filter(jenkins=server)), read, actor)


def _proposal(
    path: str, services: Sequence[Service], environments: Sequence[Environment]
) -> dict[str, str]:
    words = [word.casefold() for word in _WORDS.findall(path.rpartition("/")[2])]
    purpose = next((kind for kind, signs in _PURPOSES if signs & set(words)), Purpose.BUILD)
    plain = "".join(words)
    fitting = [
        one.name
        for one in services
        if any(
            "".join(_WORDS.findall(name)).casefold() in plain for name in [one.name, *one.aliases]
        )
    ]
    meant = {_ENVIRONMENTS.get(word, word) for word in words}
    place = next((one.name for one in environments if one.name.casefold() in meant), "")
    return {
        "purpose": purpose.value,
        # The longest: "web-admin" rather than "web".
        "service": max(fitting, key=len, default=""),
        "environment": place if purpose is Purpose.DEPLOY else "",
    }


# Both


def page_of(found: FoundPage, page: int, *, size: int = 100) -> FoundPage:
    """A part of what was found at once."""
    end = page * size
    items = found.items[end - size : end]
    return FoundPage(items, found.total, more=found.more or len(found.items) > end)


def propose_name(path: str, taken: set[str]) -> str:
    """The last part of the path if it is free, else with what stands before it, else with a number."""
    parts = [_STRANGE.sub("-", unquote(part)).strip("-._") or "x" for part in path.split("/")]
    longer = ["-".join(parts[-count:])[:60] for count in range(1, len(parts) + 1)]
    numbered = (f"{longer[-1][:56]}-{number}" for number in range(2, 1_000))
    return next(name for name in (*longer, *numbered) if name.casefold() not in taken)


def _known(rows: "models.QuerySet[Any]") -> dict[str, str]:
    """path without case → name."""
    return {path.casefold(): name for path, name in rows.values_list("path", "name")}


def _names(model: type[Repository] | type[Job]) -> set[str]:
    return {name.casefold() for name in model.objects.values_list("name", flat=True)}


def _take_over(
    paths: Iterable[str],
    known: Mapping[str, str],
    read: Callable[[str], models.Model],
    actor: Actor,
) -> Imported:
    """Reads each on the other side and stores it; what fails is told, and the others go on."""
    outcome = Imported()
    for path in dict.fromkeys(paths):
        if path.casefold() in known:
            outcome.refused[path] = _("is in the portal already")
            continue
        try:
            row = read(path)
        except RemoteError as problem:
            outcome.refused[path] = problem.sentence
        else:
            _add(row, path, actor, outcome)
    return outcome


def _add(row: models.Model, path: str, actor: Actor, outcome: Imported) -> None:
    try:
        row.full_clean()
    except ValidationError as problem:
        outcome.refused[path] = " ".join(problem.messages)
        return
    with transaction.atomic():
        row.save()
        told = {"target_kind": kind_of(row), "target": str(row)}
        record_change(actor=actor, before={}, after=snapshot(row), **told)
    outcome.made.append(row)
