"""Resolves what a call is about to stored things: by argument, conversation, person or portal default."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from bot.commands.base import Call, Kind, Spec, Target
from bot.runs.models import Run
from chatops_site.kit.prepared import Select
from repos.models import Job, Purpose, Repository, Service


@dataclass(frozen=True)
class Place:
    """Where a message was written and by whom, as far as names are resolved by it."""

    conversation_repository_id: int | None = None
    person_repository_id: int | None = None


class NoSuch(Exception):
    """The name stands for nothing. Told in the same words as what one may not see.

    of: the thing it was looked for in, which the person may not be allowed to know of either.
    """

    def __init__(self, kind: Kind, name: str, *, of: Target | None = None) -> None:
        super().__init__(name)
        self.kind = kind
        self.name = name
        self.of = of


class Several(Exception):
    """The call could mean several things: one complete command for each."""

    def __init__(self, choices: Sequence[str], targets: Sequence[Target]) -> None:
        super().__init__(len(choices))
        self.choices = choices
        self.targets = targets


def resolve(call: Call, spec: Spec, place: Place) -> Target:
    """The target of a call, or NoSuch, or Several."""
    kinds = {argument.kind for argument in spec.arguments}
    if call.arguments.get("run") is not None and Kind.RUN in kinds:
        return _of_run(call.arguments["run"])
    for kind, way in WAYS.items():
        if kind in kinds:
            return way(call, spec, place)
    return Target()


def _of_run(number: int) -> Target:
    run = (
        Run.objects.select_related("repository__forge", "service", "environment")
        .filter(pk=number)
        .first()
    )
    if run is None:
        raise NoSuch(Kind.RUN, str(number))
    return Target(
        repository_id=run.repository_id,
        repository=run.repository.name if run.repository else "",
        service_id=run.service_id,
        service=run.service.name if run.service else "",
        environment_id=run.environment_id,
        environment=run.environment.name if run.environment else "",
        label=f"run {number}",
        lane=run.lane,
    )


def _of_job(call: Call, spec: Spec, place: Place) -> Target:
    name = str(call.arguments["job"])
    jobs = Job.objects.select_related("jenkins", "service__repository", "environment")
    job = jobs.filter(name=name).first()
    if job is None:
        raise NoSuch(Kind.JOB, name)
    repository = job.service.repository if job.service else None
    return Target(
        repository_id=repository.pk if repository else None,
        repository=repository.name if repository else "",
        service_id=job.service_id,
        service=job.service.name if job.service else "",
        environment_id=job.environment_id,
        environment=job.environment.name if job.environment else "",
        label=job.name,
        lane=f"jenkins:{job.jenkins.name}",
    )


def _of_service(call: Call, spec: Spec, place: Place) -> Target:
    name = call.arguments.get("service")
    if name is None:
        return Target()
    service = _service(str(name), call)
    if not any(argument.kind is Kind.ENVIRONMENT for argument in spec.arguments):
        return _service_target(service)
    return _of_deployment(call, service)


def _service(name: str, call: Call) -> Service:
    """By exact name, then by alias; several with that alias are a question, never a guess."""
    services = Service.objects.select_related("repository__forge")
    exact = services.filter(name=name).first()
    if exact is not None:
        return exact
    found = [service for service in services if name in service.aliases]
    if len(found) == 1:
        return found[0]
    if found:
        choices = [call.canonical.replace(f" {name}", f" {one.name}", 1) for one in found]
        raise Several(choices, [_service_target(one) for one in found])
    raise NoSuch(Kind.SERVICE, name)


def _service_target(service: Service, job: Job | None = None) -> Target:
    repository = service.repository
    environment = job.environment if job else None
    return Target(
        repository_id=service.repository_id,
        repository=repository.name if repository else "",
        service_id=service.pk,
        service=service.name,
        environment_id=environment.pk if environment else None,
        environment=environment.name if environment else "",
        label=f"{service.name} → {environment.name}" if environment else service.name,
        lane=_first_lane(repository, job),
    )


def _first_lane(repository: Repository | None, job: Job | None) -> str:
    """A deployment asks the forge for its commit first, in a lane of its own; later it is Jenkins's."""
    if job is None:
        return ""
    return f"pin:{repository.forge.name}" if repository else f"jenkins:{job.jenkins.name}"


def _of_deployment(call: Call, service: Service) -> Target:
    jobs = list(
        Job.objects.select_related("jenkins", "environment")
        .filter(purpose=Purpose.DEPLOY, service=service, environment__isnull=False)
        .order_by("environment__name")
    )
    wanted = call.arguments.get("environment")
    if wanted is not None:
        jobs = [job for job in jobs if job.environment and job.environment.name == wanted]
    if not jobs:
        name = str(wanted or service.name)
        raise NoSuch(Kind.ENVIRONMENT, name, of=_service_target(service))
    targets = [_service_target(service, job) for job in jobs]
    if len(jobs) > 1:
        raise Several([f"{call.canonical} to {target.environment}" for target in targets], targets)
    return targets[0]


def _of_repository(call: Call, spec: Spec, place: Place) -> Target:
    repository = _repository(call, place)
    number = call.arguments.get("number")
    return Target(
        repository_id=repository.id,
        repository=repository.name,
        number=number,
        label=f"{repository.name}#{number}" if number else repository.name,
        lane=f"forge:{repository.forge}",
    )


class _Repository(NamedTuple):
    id: int
    name: str
    forge: str


_REPOSITORIES: Final = Repository.objects.order_by("name").values_list("pk", "name", "forge__name")
_NAMED: Final = Select(lambda name: _REPOSITORIES.filter(name=name), "any")
_BOUND: Final = Select(lambda key: _REPOSITORIES.filter(pk=key), -1)
_DEFAULT: Final = Select(lambda: _REPOSITORIES.filter(default=True))


def _repository(call: Call, place: Place) -> _Repository:
    """The argument, else the conversation's, else the person's, else the portal's, else the only one."""
    name = call.arguments.get("repository")
    if name is not None:
        named = _NAMED.first(name)
        if named is None:
            raise NoSuch(Kind.REPOSITORY, str(name))
        return _Repository(*named)
    bound = place.conversation_repository_id or place.person_repository_id
    found = _BOUND.first(bound) if bound else _DEFAULT.first()
    return _Repository(*found) if found else _only_one(call)


def _only_one(call: Call) -> _Repository:
    repositories = [_Repository(*row) for row in _REPOSITORIES[:10]]
    if len(repositories) == 1:
        return repositories[0]
    if not repositories:
        raise NoSuch(Kind.REPOSITORY, "")
    targets = [
        Target(repository_id=one.id, repository=one.name, label=one.name) for one in repositories
    ]
    raise Several([_with_repository(call, one.name) for one in repositories], targets)


def _with_repository(call: Call, name: str) -> str:
    """The same line with the repository where it is understood: /merge 233 → /merge shop#233."""
    number = call.arguments.get("number")
    if number is None:
        return f"{call.canonical} {name}"
    return call.canonical.replace(f" {number}", f" {name}#{number}", 1)


WAYS: dict[Kind, Callable[[Call, Spec, Place], Target]] = {
    Kind.JOB: _of_job,
    Kind.SERVICE: _of_service,
    Kind.NUMBER: _of_repository,
    Kind.REPOSITORY: _of_repository,
}


def near(name: str, known: Iterable[str]) -> str:
    """A known name much like the wrong one, or ""."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.6)), "")


def names_of(kind: Kind) -> list[Any]:
    """All names of a kind with what a grant on them would be on, for suggestions within one's rights."""
    queries: dict[Kind, Any] = {
        Kind.REPOSITORY: Repository.objects.values_list("name", flat=True),
        Kind.SERVICE: Service.objects.values_list("name", flat=True),
        Kind.JOB: Job.objects.values_list("name", flat=True),
    }
    return list(queries[kind]) if kind in queries else []
