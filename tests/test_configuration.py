"""The configuration file: applied as a whole or not at all, the same twice over, and exported again."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from audit.models import Entry, Event
from bot.models import Account, Bot, Conversation, Grant, Person, Role, Team
from chatops_site.configuration.exporting import export
from chatops_site.configuration.problems import ConfigurationRefused
from chatops_site.configuration.reading import read
from chatops_site.demo.premises import CONFIGURATION, SANDBOX_SECRETS
from repos.models import Environment, Forge, Job, Repository

pytestmark = pytest.mark.django_db

FORGE = '{name: gitee, kind: gitee, base_url: "https://gitee.com/api/v5"}'
SHOP = f"""
forges:
  - {FORGE}
repositories:
  - {{name: shop, forge: gitee, path: acme/shop}}
"""
PEOPLE = """
roles:
  - {name: maintainer, commands: [help, merge, jenkins]}
people:
  - {name: 张三, username: zhangsan, accounts: [{platform: dingtalk, tenant: ding1, id: user1}]}
"""
Apply = Callable[..., str]


@pytest.fixture(name="apply")
def apply_fixture(tmp_path: Path) -> Apply:
    """apply_config with this text; what it printed."""

    def _apply(text: str, *options: str) -> str:
        file = tmp_path / "portal.yaml"
        file.write_text(text, "utf-8")
        said = StringIO()
        call_command("apply_config", str(file), *options, stdout=said, stderr=said)
        return said.getvalue()

    return _apply


@pytest.fixture(name="refuse")
def refuse_fixture(apply: Apply) -> Apply:
    """The sentences with which apply_config refuses this text."""

    def _refuse(text: str) -> str:
        with pytest.raises(CommandError) as refused:
            apply(text)
        return str(refused.value)

    return _refuse


@pytest.fixture(name="secrets")
def secrets_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SANDBOX_SECRETS:
        monkeypatch.setenv(name, f"value-of-{name}")


@pytest.fixture(name="demo")
def demo_fixture(apply: Apply, secrets: None) -> str:
    """The demo's configuration, applied; its text."""
    text = CONFIGURATION.read_text("utf-8")
    apply(text)
    return text


# Applying


def test_it_makes_everything_that_the_demo_configuration_names(demo: str) -> None:
    assert Repository.objects.get(name="shop").test_job == Job.objects.get(name="shop-test")
    assert Forge.objects.get(name="gitee").token == "value-of-DEMO_GITEE_TOKEN"
    assert Bot.objects.get(name="ops").secrets["app_secret"] == "value-of-DEMO_DINGTALK_SECRET"
    assert Conversation.objects.get(external_id="cid-release").name == "发布群"
    assert {person.name for person in Person.objects.all()} == {"张三", "李四", "王芳", "赵六"}
    assert [team.name for team in Person.objects.get(username="lisi").teams.all()] == [
        "developers",
        "everyone",
    ]


def test_applying_the_same_file_again_changes_nothing(demo: str, apply: Apply) -> None:
    recorded = Entry.objects.count()

    said = apply(demo)

    assert said == "Nothing to change.\n"
    assert Entry.objects.count() == recorded


def test_it_prints_what_it_adds_and_changes(apply: Apply) -> None:
    apply(SHOP)

    said = apply(
        "repositories:\n  - {name: shop, approvals: 2}\nenvironments:\n  - {name: staging}"
    )

    assert "~ repository shop\n    approvals: 0 → 2\n" in said
    assert "+ environment staging\n    name: staging\n" in said
    assert "1 added, 1 changed, 0 removed." in said


def test_a_dry_run_prints_the_same_and_leaves_no_trace(apply: Apply) -> None:
    said = apply(SHOP, "--dry-run")

    assert "+ repository shop" in said
    assert "Nothing was written: this was a dry run." in said
    assert not Forge.objects.exists()
    assert not Entry.objects.exists()


def test_what_the_file_does_not_name_is_left_alone(apply: Apply) -> None:
    apply(SHOP + PEOPLE)

    apply("repositories:\n  - {name: shop, merge_method: squash}")

    assert Repository.objects.get().path == "acme/shop"
    assert Person.objects.get().accounts.count() == 1


def test_one_fault_anywhere_leaves_everything_as_it_was(apply: Apply, refuse: Apply) -> None:
    refuse(SHOP + "environments:\n  - {name: 'not one word'}")

    assert not Forge.objects.exists()


def test_every_change_is_on_record_and_no_secret_is(demo: str) -> None:
    entries = Entry.objects.filter(event=Event.CONFIG_CHANGED)

    assert {"forge", "job", "bot", "grant", "account"} <= {entry.target_kind for entry in entries}
    forges = entries.filter(target_kind="forge")
    assert [one.changes["token"] for one in forges] == [{"old": "", "new": "set"}] * 4
    assert all("token-of" not in str(entry.changes) for entry in entries)


def test_a_name_is_found_again_whatever_its_case(apply: Apply) -> None:
    apply(SHOP)

    apply("repositories:\n  - {name: Shop}")

    assert Repository.objects.get().name == "Shop"


def test_a_person_who_is_renamed_stays_the_same_person(apply: Apply) -> None:
    apply(PEOPLE)
    before = Person.objects.get().pk

    apply("people:\n  - {name: 张三丰, username: zhangsan}")

    assert (Person.objects.get().pk, Person.objects.get().name) == (before, "张三丰")


def test_an_account_may_move_from_one_person_to_another(apply: Apply) -> None:
    apply(PEOPLE)

    apply(
        "people:\n"
        "  - {name: 李四, username: lisi, accounts: [{platform: dingtalk, tenant: ding1, id: user1}]}\n"
        "  - {name: 张三, username: zhangsan, accounts: []}\n"
    )

    assert Account.objects.get().person.name == "李四"


def test_an_account_that_somebody_else_keeps_is_refused(apply: Apply, refuse: Apply) -> None:
    apply(PEOPLE)

    said = refuse(
        "people:\n"
        "  - {name: 李四, username: lisi, accounts: [{platform: dingtalk, tenant: ding1, id: user1}]}"
    )

    assert "people, 李四, accounts: user1 is an account of 张三." in said


def test_a_person_leaves_the_teams_that_are_not_written_any_more(apply: Apply) -> None:
    apply("people:\n  - {name: 张三, username: zhangsan, teams: [red, blue]}")

    said = apply("people:\n  - {name: 张三, username: zhangsan, teams: [blue, green]}")

    assert {team.name for team in Person.objects.get().teams.all()} == {"blue", "green"}
    assert "~ team red" in said
    assert Team.objects.filter(name="red").exists()


def test_the_default_repository_may_change_in_one_file(apply: Apply) -> None:
    rows = "  - {name: %s, forge: gitee, path: acme/%s, default: %s}\n"
    two = f"forges:\n  - {FORGE}\nrepositories:\n"
    apply(two + rows % ("shop", "shop", "true") + rows % ("web", "web", "false"))

    apply(two + rows % ("web", "web", "true") + rows % ("shop", "shop", "false"))

    assert Repository.objects.get(default=True).name == "web"


def test_a_second_default_repository_is_refused_by_name(apply: Apply, refuse: Apply) -> None:
    apply(SHOP.replace("acme/shop}", "acme/shop, default: true}"))

    said = refuse("repositories:\n  - {name: web, forge: gitee, path: acme/web, default: true}")

    assert "repositories, web, default: shop is the default; write default: false there." in said


# Secrets


def test_a_secret_is_read_from_the_environment_and_its_name_is_kept(
    apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSE_TOKEN", "abc-secret")

    said = apply(SHOP.replace('v5"}', 'v5", token: "env:HOUSE_TOKEN"}'))

    assert Forge.objects.get().token == "abc-secret"
    assert Forge.objects.get().secret_sources == {"token": "HOUSE_TOKEN"}
    assert "token: set" in said
    assert "abc-secret" not in said


def test_a_secret_may_come_from_a_mounted_file(
    apply: Apply, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("from-a-file\n", "utf-8")
    monkeypatch.setenv("HOUSE_TOKEN_FILE", str(tmp_path / "token"))

    apply(SHOP.replace('v5"}', 'v5", token: "env:HOUSE_TOKEN"}'))

    assert Forge.objects.get().token == "from-a-file"


def test_a_new_value_of_a_secret_shows_only_that_it_changed(
    apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SHOP.replace('v5"}', 'v5", token: "env:HOUSE_TOKEN"}')
    monkeypatch.setenv("HOUSE_TOKEN", "first-value")
    apply(text)
    monkeypatch.setenv("HOUSE_TOKEN", "second-value")

    said = apply(text)

    assert "~ forge gitee\n    token: set → changed\n" in said
    assert "second-value" not in said


def test_a_missing_variable_is_named(refuse: Apply) -> None:
    said = refuse(SHOP.replace('v5"}', 'v5", token: "env:NOBODY_SET_THIS"}'))

    assert "forges, gitee, token: the environment variable NOBODY_SET_THIS is not set" in said


def test_the_portals_own_secrets_are_not_given_away(refuse: Apply) -> None:
    said = refuse(SHOP.replace('v5"}', 'v5", token: "env:SECRET_KEY"}'))

    assert "env:SECRET_KEY names no variable for this." in said


def test_a_bot_keeps_the_secrets_that_the_file_leaves_out(demo: str, apply: Apply) -> None:
    apply("bots:\n  - {name: ops, language: en}")

    assert Bot.objects.get(name="ops").secrets["app_secret"] == "value-of-DEMO_DINGTALK_SECRET"


def test_a_bot_without_its_secret_is_applied_with_a_word_about_it(apply: Apply) -> None:
    said = apply(
        "bots:\n  - {name: ops, platform: dingtalk, settings: {app_key: k, robot_code: r, corp_id: 7}}"
    )

    assert "bots, ops: the secret app_secret is not set yet; enter it in the admin." in said
    assert Bot.objects.get().settings["corp_id"] == "7"


# Grants


GRANT = "grants:\n  - {person: 张三, role: maintainer, on: %s}\n"


@pytest.mark.parametrize("scope", ["everything", "repository:shop", "environment:staging"])
def test_a_grant_is_on_what_it_says(apply: Apply, scope: str) -> None:
    apply(SHOP + PEOPLE + "environments:\n  - {name: staging}\n" + GRANT % f'"{scope}"')

    assert Grant.objects.get().scope == scope


def test_a_grant_that_gets_an_end_stays_the_same_grant(apply: Apply) -> None:
    apply(PEOPLE + GRANT % "everything")

    apply(GRANT.replace("on: %s", "on: everything, until: 2027-01-31"))

    until = timezone.localtime(Grant.objects.get().until)
    assert until.isoformat() == "2027-02-01T00:00:00+08:00"


def test_a_grant_may_hold_in_some_conversations_only(demo: str, apply: Apply) -> None:
    grant = Grant.objects.get(person__name="王芳", environment__name="production")

    places = [place.external_id for place in grant.conversations.all()]
    assert places == ["cid-release", "oc_release", "wrrelease", "C0RELEASE"]


def test_two_grants_that_differ_only_in_their_end_are_both_kept(apply: Apply) -> None:
    two = (
        PEOPLE
        + GRANT % "everything"
        + "  - {person: 张三, role: maintainer, on: everything, until: 2027-01-31}\n"
    )
    apply(two)

    assert apply(two) == "Nothing to change.\n"
    assert Grant.objects.count() == 2


# What is wrong is named


WRONG = {
    "forgs:\n  - {name: a}": "section forgs: there is no forgs; did you mean forges?",
    "forges:\n  - {name: a, bse_url: b}": "forges, a: key bse_url: there is no bse_url; did you mean base_url?",
    "forges:\n  - {kind: gitee}": "forges, row 1, name: this is missing.",
    "forges:\n  - {name: a, kind: svn, base_url: 'https://a.example'}": "forges, a, kind: Value 'svn' is not",
    "forges:\n  - {name: a, kind: gitee, base_url: ftp://a}": "forges, a, base_url: The address must begin",
    "forges:\n  - {name: 233, kind: gitee}": "forges, 233, name: this is a text; write it in quotes.",
    "repositories:\n  - {name: a, path: a/b, forge: gite}": "repositories, a, forge: in forges there is no gite",
    "environments:\n  - {name: a, confirm: yes}": "environments, a, confirm: this is true or false.",
    "environments:\n  - {name: a, approvals: many}": "environments, a, approvals: this is a whole number.",
    "environments:\n  - {name: a, approvals: 99}": "environments, a, approvals: Ensure this value is less",
    "environments:\n  - {name: a, after: a}": "environments, a, after: this goes round in a circle.",
    "environments:\n  - {name: a}\n  - {name: A}": "environments, A: this stands in the file twice.",
    "roles:\n  - {name: r, commands: [merg]}": "roles, r, commands: there is no merg; did you mean merge?",
    "roles:\n  - {name: r, commands: [jenkins, jenkins tset]}": "did you mean jenkins test?",
    "bots:\n  - {name: b, platform: telex}": "bots, b, platform: Value 'telex' is not",
    "bots:\n  - {name: b, platform: dingtalk, settings: {app_kee: k}}": "settings: there is no app_kee; did you",
    "bots:\n  - {name: b, platform: dingtalk, secrets: {token: k}}": "bots, b, secrets: there is no token",
    "bots:\n  - {name: b, platform: dingtalk, settings: {app_key: k}}": "settings: robot_code is missing.",
    "conversations:\n  - {bot: ops, id: c}": "conversations, c, bot: in bots there is no ops",
    "people:\n  - {name: a, username: Ann}": "people, a, username: A user name is 1 to 63 lower-case",
    "people:\n  - {name: a, username: a, accounts: [{platform: telex, id: '1'}]}": "there is no telex",
    "people:\n  - {name: a, username: a, accounts: [{platform: dingtalk, ID: '1'}]}": "there is no ID",
    "people:\n  - {name: a, username: a, forge_logins: {github: a}}": "forge_logins: in forges there is no github",
    "people:\n  - {name: a, username: a, teams: red}": "people, a, teams: this is a list",
    "grants:\n  - {role: r, on: everything}": "grants, row 1, role: in roles there is no r",
    "grants:\n  - {person: a, role: r}": "grants, row 1, on: this is missing.",
    PEOPLE + GRANT % "shop": "grants, row 1, on: this is everything, repository:NAME",
    PEOPLE + GRANT % "'repository:shop'": "grants, row 1, on: in repositories there is no shop",
    PEOPLE
    + "grants:\n  - {role: maintainer, on: everything}": "A grant goes to a person or to a team",
    PEOPLE + GRANT.replace("%s", "everything, until: soon"): "until: this is a date or a time",
    PEOPLE + GRANT.replace("%s", "everything, conversations: [c]"): "conversations: there is no c",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_fault_is_told_with_its_place(refuse: Apply, text: str) -> None:
    said = refuse(text)

    assert WRONG[text] in said
    assert said.startswith("Nothing was applied; the file has faults:\n  ")


def test_all_faults_are_told_at_once_and_none_for_what_follows_from_another(refuse: Apply) -> None:
    said = refuse(
        "forges:\n  - {name: gitee, kind: svn, base_url: 'https://a.example'}\n"
        "repositories:\n  - {name: shop, forge: gitee, path: acme/shop}\n"
        "environments:\n  - {name: a b}"
    )

    assert "forges, gitee, kind" in said
    assert "environments, a b, name" in said
    assert "repositories" not in said


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match=r"nowhere\.yaml cannot be read: No such file"):
        call_command("apply_config", "nowhere.yaml")


# Reading


UNREADABLE: dict[bytes, str] = {
    b"forges: [": "Line 1, column",
    b"forges:\n  - {name: a, name: b}": "Line 2, column 15: the key name stands here twice.",
    b"forges: []\nforges: []": "Line 2, column 1: the key forges stands here twice.",
    b"- a": "The file holds no sections",
    b"forges: 7": "forges: a section is a list of rows.",
    b"forges: [7]": "forges, row 1: a row is a mapping",
    b"? [a]\n: b": "a key is a plain text",
    b"\xff\xfe": "The file is not UTF-8 text.",
    b"a: !!python/object/apply:os.system [ls]": "could not determine a constructor",
    b"a: " + b"[" * 50 + b"]" * 50: "The file nests deeper",
    b"a: &a [*a]": "The file's aliases unfold to far too much.",
    b"x" * 1_000_001: "The file is larger than",
    b"a: b\n---\nc: d": "expected a single document",
}


@pytest.mark.parametrize("source", UNREADABLE, ids=lambda source: repr(source[:24]))
def test_an_unreadable_file_is_refused_with_the_line(source: bytes) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        read(source)

    assert UNREADABLE[source] in str(refused.value)


def test_a_bomb_of_aliases_is_refused_before_it_unfolds() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    with pytest.raises(ConfigurationRefused, match="aliases unfold"):
        read("\n".join(lines).encode())


def test_an_empty_file_changes_nothing(apply: Apply) -> None:
    assert apply("# nothing yet\n") == "Nothing to change.\n"


PLAIN: dict[str, Any] = {
    "on": "on",
    "yes": "yes",
    "12:30": "12:30",
    "2027-01-31": "2027-01-31",
    "010": "010",
    "1.10": "1.10",
    "true": True,
    "7": 7,
    "": None,
}


@pytest.mark.parametrize("written", PLAIN)
def test_a_plain_value_is_what_it_looks_like(written: str) -> None:
    assert read(f"forges:\n  - key: {written}".encode())["forges"][0]["key"] == PLAIN[written]


# Exporting


def test_an_export_applies_to_an_empty_portal_and_comes_out_the_same(
    demo: str, apply: Apply
) -> None:
    exported = export()
    for model in (
        Grant,
        Person,
        Team,
        Role,
        Conversation,
        Bot,
        Repository,
        Job,
        Environment,
        Forge,
    ):
        model._base_manager.all().delete()

    apply(exported)

    assert export() == exported


def test_an_export_applied_where_it_came_from_changes_nothing(demo: str, apply: Apply) -> None:
    assert apply(export()) == "Nothing to change.\n"


def test_an_export_names_variables_and_holds_no_secret(demo: str) -> None:
    Forge.objects.update(webhook_secret="typed-in-the-admin", secret_sources={})

    exported = export()

    assert "env:DEMO_JENKINS_TOKEN" in exported
    assert "env:DEMO_DINGTALK_SECRET" in exported
    assert not [word for word in ("token-of", "typed-in", "webhook_secret") if word in exported]


def test_an_export_is_written_as_people_write_it(demo: str) -> None:
    exported = export()

    assert "{person: 张三, role: maintainer, on: everything}" in exported
    assert "!!" not in exported


def test_export_config_prints_the_file(demo: str) -> None:
    said = StringIO()

    call_command("export_config", stdout=said)

    assert said.getvalue() == export()
