"""The example of the design document applies as it stands, twice over, and is exported again."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from bot.models import Bot, Conversation, Grant
from repos.models import Environment, Forge, Job, Repository

pytestmark = pytest.mark.django_db

# Copied from the project's design document (MIT, as everything here).
EXAMPLE = Path(__file__).parent / "cases" / "portal__design_example.yaml"
VARIABLES = {
    "GITEE_TOKEN": "token-of-gitee",
    "GITEE_HOOK": "hook-of-gitee",
    "JENKINS_TOKEN": "token-of-jenkins",
    "DINGTALK_SECRET": "secret-of-dingtalk",
}


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def apply() -> str:
    said = StringIO()
    call_command("apply_config", str(EXAMPLE), stdout=said, stderr=said)
    return said.getvalue()


def test_the_example_sets_up_all_that_it_names() -> None:
    apply()

    assert Forge.objects.get().token == VARIABLES["GITEE_TOKEN"]
    assert Repository.objects.get().test_job == Job.objects.get(name="shop-test")
    assert Bot.objects.get().secrets == {"app_secret": VARIABLES["DINGTALK_SECRET"]}
    assert Conversation.objects.get().repository == Repository.objects.get()
    assert Grant.objects.get().scope == "repository:shop"


def test_an_environment_that_only_another_one_names_is_made() -> None:
    said = apply()

    production = Environment.objects.get(name="production")
    assert production.after == Environment.objects.get(name="staging")
    assert "staging" in said


def test_applying_the_example_again_changes_nothing() -> None:
    apply()
    before = StringIO()
    call_command("export_config", stdout=before)

    apply()

    after = StringIO()
    call_command("export_config", stdout=after)
    assert after.getvalue() == before.getvalue()
    assert "env:GITEE_TOKEN" in after.getvalue()
    assert not any(secret in after.getvalue() for secret in VARIABLES.values())
