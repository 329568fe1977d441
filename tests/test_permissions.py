"""Who may what: the pure decision over stored facts, and the facts themselves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bot.people.models import Grant, Person, Role, Team
from bot.people.permissions import (
    Ask,
    Decision,
    GrantFact,
    covers_command,
    decide,
    facts_of,
    roles_that_may,
    who_may,
)
from bot.people.validators import validate_commands, validate_forge_logins
from bot.platforms.models import Bot, Conversation
from repos.models import Environment, Forge, Repository, Service

NOW = datetime(2026, 11, 23, 23, 0, tzinfo=UTC)
READING = ("help", "whoami", "prs", "pr", "status")
ROLES: dict[str, tuple[str, ...]] = {
    "viewer": READING,
    "tester": (*READING, "test", "jenkins"),
    "maintainer": (*READING, "test", "approve", "merge"),
    "releaser": (*READING, "deploy", "rollback"),
    "nobody": (),
}
OBJECTS = {
    "shop": Ask("", repository="shop"),
    "myservice in production": Ask(
        "", repository="shop", service="myservice", environment="production"
    ),
    "other": Ask("", repository="other"),
}
# verb → the roles that have it; everybody else is refused, on every object.
MAY = {
    "prs": {"viewer", "tester", "maintainer", "releaser"},
    "pr": {"viewer", "tester", "maintainer", "releaser"},
    "test": {"tester", "maintainer"},
    "approve": {"maintainer"},
    "merge": {"maintainer"},
    "jenkins build": {"tester"},
    "deploy": {"releaser"},
    "rollback": {"releaser"},
}


def fact(role: str = "maintainer", **scope: Any) -> GrantFact:
    return GrantFact(role, ROLES[role], **scope)


def decided(*grants: GrantFact, on: Ask, active: bool = True) -> Decision:
    return decide(active, grants, on, open_to_all=False, now=NOW)


def ask(command: str, thing: Ask) -> Ask:
    return Ask(command, thing.repository, thing.service, thing.environment)


@pytest.mark.parametrize("thing", OBJECTS)
@pytest.mark.parametrize("verb", MAY)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_everywhere_may_its_commands_and_no_other(role: str, verb: str, thing: str) -> None:
    decision = decided(fact(role), on=ask(verb, OBJECTS[thing]))

    assert decision.allowed == (role in MAY[verb])


@pytest.mark.parametrize("thing", OBJECTS)
@pytest.mark.parametrize("verb", MAY)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_on_a_repository_may_its_commands_there_only(
    role: str, verb: str, thing: str
) -> None:
    decision = decided(fact(role, repository="shop"), on=ask(verb, OBJECTS[thing]))

    assert decision.allowed == (role in MAY[verb] and thing != "other")


@pytest.mark.parametrize("scope", [{"service": "myservice"}, {"environment": "production"}])
@pytest.mark.parametrize("thing", OBJECTS)
def test_a_role_on_a_service_or_environment_ends_there(scope: dict[str, str], thing: str) -> None:
    decision = decided(fact("releaser", **scope), on=ask("deploy", OBJECTS[thing]))

    assert decision.allowed == (thing == "myservice in production")


@pytest.mark.parametrize(
    "scope",
    [{"service": "myservice"}, {"environment": "staging"}, {"repository": "SHOP"}],
)
def test_names_are_compared_exactly(scope: dict[str, str]) -> None:
    asked = Ask("deploy", repository="shop", service="MyService", environment="production")

    assert not decided(fact("releaser", **scope), on=asked).allowed


@pytest.mark.parametrize("scope", [{"repository": "shop"}, {"service": "x"}, {"environment": "x"}])
def test_what_is_about_nothing_takes_the_command_anywhere(scope: dict[str, str]) -> None:
    assert decided(fact("viewer", **scope), on=Ask("prs")).allowed
    assert not decided(fact("viewer", **scope), on=Ask("merge")).allowed


@pytest.mark.parametrize(
    ("grants", "asked", "rule"),
    [
        (
            [fact(repository="shop")],
            Ask("merge", repository="shop"),
            "grant:maintainer on repository:shop",
        ),
        (
            [fact("releaser", service="myservice")],
            Ask("deploy", repository="shop", service="myservice"),
            "grant:releaser on service:myservice",
        ),
        (
            [fact("releaser", environment="production")],
            Ask("deploy", repository="shop", service="myservice", environment="production"),
            "grant:releaser on environment:production",
        ),
        ([fact()], Ask("merge", repository="shop"), "grant:maintainer on everything"),
        ([fact("viewer"), fact()], Ask("merge"), "grant:maintainer on everything"),
        ([], Ask("merge", repository="shop"), "no grant"),
        ([fact("viewer")], Ask("merge", repository="shop"), "no grant"),
    ],
)
def test_a_decision_names_its_rule(grants: list[GrantFact], asked: Ask, rule: str) -> None:
    decision = decided(*grants, on=asked)

    assert decision.rule == rule
    assert decision.allowed == rule.startswith("grant:")


def test_whoever_holds_the_role_elsewhere_is_told_which_it_is() -> None:
    decision = decided(fact(repository="other"), fact("viewer"), on=Ask("merge", repository="shop"))

    assert decision == Decision(False, "no grant", "no_grant", ("maintainer",))


@pytest.mark.parametrize(
    ("until", "allowed"),
    [(None, True), (NOW + timedelta(seconds=1), True), (NOW, False), (NOW - timedelta(1), False)],
)
def test_a_grant_ends_at_its_time(until: datetime | None, allowed: bool) -> None:
    decision = decided(fact(until=until), on=Ask("merge", repository="shop"))

    assert decision.allowed == allowed
    assert decision.rule == ("grant:maintainer on everything" if allowed else "grant expired")


def test_a_valid_grant_counts_beside_an_expired_one() -> None:
    grants = (fact(until=NOW - timedelta(1)), fact(repository="shop"))

    decision = decided(*grants, on=Ask("merge", repository="shop"))

    assert decision.rule == "grant:maintainer on repository:shop"


@pytest.mark.parametrize(
    ("conversation", "allowed"), [("cid1", True), ("cid2", False), ("", False)]
)
def test_a_grant_may_hold_in_some_conversations_only(conversation: str, allowed: bool) -> None:
    asked = Ask("merge", repository="shop", conversation=conversation)

    decision = decided(fact(conversations=frozenset({"cid1", "cid9"})), on=asked)

    assert decision.allowed == allowed
    assert decision.reason == ("granted" if allowed else "other_conversation")


def test_an_inactive_person_may_nothing_of_their_own() -> None:
    decision = decided(fact(), on=Ask("merge", repository="shop"), active=False)

    assert decision == Decision(False, "person inactive", "person_inactive")


@pytest.mark.parametrize("active", [True, False])
def test_what_is_open_to_all_needs_no_grant(active: bool) -> None:
    decision = decide(active, (), Ask("help"), open_to_all=True, now=NOW)

    assert decision == Decision(True, "open to all", "open_to_all")


@pytest.mark.parametrize(
    ("command", "covered"),
    [
        ("jenkins test", True),
        ("jenkins build", True),
        ("jenkins", True),
        ("jenkinsfile", False),
        ("test jenkins", True),
        ("merge", False),
    ],
)
def test_the_first_word_of_a_verb_covers_all_verbs_with_it(command: str, covered: bool) -> None:
    assert covers_command(fact("tester"), command) == covered


def test_one_verb_of_two_words_covers_no_other() -> None:
    grant = GrantFact("builder", ("jenkins build",))

    assert covers_command(grant, "jenkins build")
    assert not covers_command(grant, "jenkins test")
    assert not covers_command(grant, "jenkins")


@pytest.fixture
def shop(db: None) -> Repository:
    forge = Forge.objects.create(name="gitee", kind="gitee", base_url="http://127.0.0.1/api/v5")
    return Repository.objects.create(name="shop", forge=forge, path="acme/shop", checks="all")


@pytest.fixture
def maintainer(db: None) -> Role:
    return Role.objects.create(name="maintainer", commands=list(ROLES["maintainer"]))


def person(name: str, *, active: bool = True) -> Person:
    return Person.objects.create(name=name, username=name.lower(), active=active)


def conversation(external_id: str) -> Conversation:
    bot, _made = Bot.objects.get_or_create(name="ops", platform="dingtalk")
    return Conversation.objects.create(bot=bot, external_id=external_id)


def test_a_stranger_has_no_facts_and_costs_no_query() -> None:
    assert facts_of(None) == ()


def test_the_facts_of_a_person_are_their_own_and_their_teams_grants(
    shop: Repository, maintainer: Role
) -> None:
    service = Service.objects.create(name="myservice", repository=shop)
    production = Environment.objects.create(name="production")
    releaser = Role.objects.create(name="releaser", commands=["deploy", "jenkins test"])
    zhangsan, lisi = person("Zhangsan"), person("Lisi")
    team = Team.objects.create(name="core")
    team.members.set([zhangsan, lisi])
    own = Grant.objects.create(person=zhangsan, role=maintainer, repository=shop, until=NOW)
    own.conversations.set([conversation("cid1"), conversation("cid2")])
    Grant.objects.create(team=team, role=releaser, service=service)
    Grant.objects.create(team=team, role=releaser, environment=production)
    Grant.objects.create(person=lisi, role=maintainer)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        facts = facts_of(zhangsan.pk)

    assert facts == (
        GrantFact(
            "maintainer",
            ROLES["maintainer"],
            repository="shop",
            conversations=frozenset({"cid1", "cid2"}),
            until=NOW,
        ),
        GrantFact("releaser", ("deploy", "jenkins test"), service="myservice"),
        GrantFact("releaser", ("deploy", "jenkins test"), environment="production"),
    )
    assert [one.scope for one in facts] == [
        "repository:shop",
        "service:myservice",
        "environment:production",
    ]
    assert len(queries) == 1


def test_a_refusal_can_name_up_to_three_active_people_who_may(
    shop: Repository, maintainer: Role
) -> None:
    team = Team.objects.create(name="core")
    members = [person(name) for name in ("Chen", "Ann", "Dora", "Bob")]
    team.members.set([*members, person("Aaron", active=False)])
    Grant.objects.create(team=team, role=maintainer, repository=shop)
    Grant.objects.create(person=members[1], role=maintainer)

    assert who_may(Ask("merge", repository="shop")) == ["Ann", "Bob", "Chen"]
    assert who_may(Ask("merge", repository="other")) == ["Ann"]
    assert who_may(Ask("merge")) == ["Ann", "Bob", "Chen"]
    assert who_may(Ask("deploy", repository="shop")) == []


def test_nobody_is_named_whose_grant_is_over_or_holds_elsewhere(
    shop: Repository, maintainer: Role
) -> None:
    past, here, there = person("Past"), person("Here"), person("There")
    Grant.objects.create(person=past, role=maintainer, until=datetime(2020, 1, 1, tzinfo=UTC))
    one = Grant.objects.create(person=here, role=maintainer)
    one.conversations.set([conversation("cid1"), conversation("cid3")])
    Grant.objects.create(person=there, role=maintainer).conversations.add(conversation("cid2"))

    assert who_may(Ask("merge", repository="shop", conversation="cid1")) == ["Here"]
    assert who_may(Ask("merge", repository="shop", conversation="")) == []


def test_a_refusal_can_name_the_roles_that_would_do(maintainer: Role) -> None:
    Role.objects.create(name="admin", commands=["merge", "jenkins"])
    Role.objects.create(name="viewer", commands=["prs"])

    assert roles_that_may(Ask("merge", repository="shop")) == ["admin", "maintainer"]
    assert roles_that_may(Ask("jenkins test")) == ["admin"]
    assert roles_that_may(Ask("deploy")) == []


@pytest.mark.parametrize("value", [["merge"], ["jenkins", "jenkins test"], ["a"] * 1, ["to-do"]])
def test_a_role_takes_a_list_of_verbs(value: object) -> None:
    validate_commands(value)


@pytest.mark.parametrize(
    "value",
    [
        [],
        "merge",
        {"merge": 1},
        None,
        [1],
        [["merge"]],
        ["Merge"],
        ["/merge"],
        [""],
        ["merge "],
        ["merge\n"],
        ["a b c"],
        ["合并"],
        ["merge", "merge"],
        [f"verb{number}" for number in range(61)],
        ["verb2", "x" * 31],
    ],
)
def test_a_role_refuses_what_is_no_list_of_verbs(value: object) -> None:
    with pytest.raises(ValidationError):
        validate_commands(value)


@pytest.mark.parametrize("value", [{}, {"gitee": "zhangsan"}, {"git.lab": "z_3.x", "a": "_b"}])
def test_a_person_takes_a_login_for_each_forge(value: object) -> None:
    validate_forge_logins(value)


@pytest.mark.parametrize(
    "value",
    [
        [],
        None,
        "gitee",
        {"gitee": ""},
        {"gitee": None},
        {"gitee": ["a"]},
        {"gitee": "zhang san"},
        {"gitee": "张三"},
        {"gitee": "a\n"},
        {"gitee": "@a"},
        {"": "a"},
        {"-x": "a"},
        {1: "a"},
        {f"forge{number}": "a" for number in range(51)},
    ],
)
def test_a_person_refuses_what_is_no_login(value: object) -> None:
    with pytest.raises(ValidationError):
        validate_forge_logins(value)


def test_a_wrong_command_is_named_in_a_sentence() -> None:
    with pytest.raises(ValidationError, match="'/merge' is no command: one or two words"):
        validate_commands(["/merge"])
