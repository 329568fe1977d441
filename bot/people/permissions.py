"""Who may what: one pure function of stored facts, and the queries that fetch the facts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from bot.people.models import Grant, Person, Role, Team
from chatops_site.kit.prepared import Select

MOST_NAMES: Final = 3


@dataclass(frozen=True)
class GrantFact:
    """A role that a person holds; without repository, service and environment it holds everywhere.

    commands: verbs, or first words of verbs. conversations: their ids on the platform; none: all.
    """

    role: str
    commands: tuple[str, ...]
    repository: str = ""
    service: str = ""
    environment: str = ""
    conversations: frozenset[str] = frozenset()
    until: datetime | None = None

    @property
    def scope(self) -> str:
        """As the configuration file writes it: repository:shop, or everything."""
        for kind in ("repository", "service", "environment"):
            if name := getattr(self, kind):
                return f"{kind}:{name}"
        return "everything"


@dataclass(frozen=True)
class Ask:
    """What someone wants to do, by stored names; with a service its repository is named too."""

    command: str
    repository: str = ""
    service: str = ""
    environment: str = ""
    conversation: str = ""
    # About something that belongs to no repository, service or environment: only a grant on everything reaches it.
    everything: bool = False


@dataclass(frozen=True)
class Decision:
    """rule: the rule that decided, for the record. reason: its stable code.

    missing_roles: the person's own roles that would do, were they granted here and now.
    """

    allowed: bool
    rule: str
    reason: str
    missing_roles: tuple[str, ...] = ()


def decide(
    person_active: bool,
    grants: Sequence[GrantFact],
    ask: Ask,
    *,
    open_to_all: bool,
    now: datetime,
) -> Decision:
    """Whether the person who holds these grants may do that now. What no grant allows is denied."""
    if open_to_all:
        return Decision(True, "open to all", "open_to_all")
    if not person_active:
        return Decision(False, "person inactive", "person_inactive")
    able = [grant for grant in grants if covers_command(grant, ask.command)]
    here = [grant for grant in able if _reaches(grant, ask)]
    valid = [grant for grant in here if grant.until is None or now < grant.until]
    for grant in valid:
        if not grant.conversations or ask.conversation in grant.conversations:
            return Decision(True, f"grant:{grant.role} on {grant.scope}", "granted")
    if valid:
        return Decision(False, "other conversation", "other_conversation", _roles(valid))
    if here:
        return Decision(False, "grant expired", "grant_expired", _roles(here))
    return Decision(False, "no grant", "no_grant", _roles(able))


def covers_command(grant: GrantFact, command: str) -> bool:
    """Whether the grant's role has the command, wherever the grant holds."""
    return _covers(grant.commands, command)


def _covers(commands: Collection[str], command: str) -> bool:
    """A role with "jenkins" has "jenkins test" too."""
    return command in commands or command.split(" ")[0] in commands


def _reaches(grant: GrantFact, ask: Ask) -> bool:
    """Whether the ask lies in the grant's scope; what is about nothing, as /help, lies in any."""
    if ask.everything:
        return not (grant.repository or grant.service or grant.environment)
    if not (ask.repository or ask.service or ask.environment):
        return True
    scopes = (
        (grant.repository, ask.repository),
        (grant.service, ask.service),
        (grant.environment, ask.environment),
    )
    return all(asked == granted for granted, asked in scopes if granted)


def _roles(grants: Sequence[GrantFact]) -> tuple[str, ...]:
    return tuple(sorted({grant.role for grant in grants}))


def facts_of(person_id: int | None) -> tuple[GrantFact, ...]:
    """The grants of a person, their own and their teams', in one query; a stranger (None) has none."""
    if person_id is None:
        return ()
    rows = _FACTS.rows(person_id)
    return tuple(_fact(list(grant)) for _pk, grant in groupby(rows, key=itemgetter(0)))


_FACT_COLUMNS: Final = (
    "role__name",
    "role__commands",
    "repository__name",
    "service__name",
    "environment__name",
    "until",
)


def _grants_of(person_id: int) -> QuerySet[Grant, tuple[Any, ...]]:
    teams = Team.objects.filter(members=person_id)
    grants = Grant.objects.filter(Q(person=person_id) | Q(team__in=teams)).order_by("pk")
    return grants.values_list("pk", *_FACT_COLUMNS, "conversations__external_id")


_FACTS: Final = Select(_grants_of, -1)


def _fact(rows: Sequence[Sequence[Any]]) -> GrantFact:
    """One grant's rows: they differ in the conversation only."""
    _pk, role, commands, repository, service, environment, until, _conversation = rows[0]
    return GrantFact(
        role=role,
        commands=tuple(commands),
        repository=repository or "",
        service=service or "",
        environment=environment or "",
        conversations=frozenset(row[-1] for row in rows if row[-1] is not None),
        until=until,
    )


def roles_that_may(ask: Ask) -> list[str]:
    """The names of the roles that have the command, whoever holds them."""
    return [role.name for role in _able_roles(ask)]


def who_may(ask: Ask) -> list[str]:
    """Up to three active people who may do that now and there: whom a refusal names."""
    grants = Grant.objects.filter(
        _scope(ask),
        Q(until=None) | Q(until__gt=timezone.now()),
        Q(conversations=None) | Q(conversations__external_id=ask.conversation),
        role__in=_able_roles(ask),
    ).values("pk")
    people = Person.objects.filter(
        Q(grant__in=grants) | Q(teams__grant__in=grants), active=True
    ).order_by("name")
    return list(people.values_list("name", flat=True).distinct()[:MOST_NAMES])


def _able_roles(ask: Ask) -> list[Role]:
    return [role for role in Role.objects.order_by("name") if _covers(role.commands, ask.command)]


def _scope(ask: Ask) -> Q:
    """_reaches as a condition on grants; a grant's other two scopes are null by its constraint."""
    scope = Q(repository=None, service=None, environment=None)
    if ask.everything:
        return scope
    if not (ask.repository or ask.service or ask.environment):
        return Q()
    for kind in ("repository", "service", "environment"):
        if name := getattr(ask, kind):
            scope |= Q(**{f"{kind}__name": name})
    return scope
