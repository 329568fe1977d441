"""Every command and every platform of the registries is complete: nothing is added by halves."""

import json
import re
from pathlib import Path

import pytest

from bot.commands import COMMANDS
from bot.commands.base import Call, Kind, Spec
from bot.commands.registry import commands, specs
from bot.language import parse
from bot.platforms import PLATFORMS
from tests.portal import Chat

TESTS = Path(__file__).parent
STORIES = "".join(path.read_text() for path in sorted(TESTS.glob("test_story_*.py")))
LONGEST_SUMMARY = 80


@pytest.mark.parametrize("spec", specs(), ids=COMMANDS)
def test_a_command_s_examples_are_calls_of_it(spec: Spec) -> None:
    assert spec.examples
    for example in spec.examples:
        call = parse(example, specs())
        assert isinstance(call, Call), example
        assert call.verb == spec.verb


@pytest.mark.parametrize("spec", specs(), ids=COMMANDS)
def test_a_command_s_usage_shows_what_it_requires(spec: Spec) -> None:
    assert spec.usage.startswith(f"/{spec.verb}")
    assert spec.summary
    assert len(str(spec.summary)) <= LONGEST_SUMMARY
    for argument in spec.arguments:
        assert argument.kind in set(Kind)


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_command_is_registered_under_its_verb(verb: str) -> None:
    assert commands()[verb].spec.verb == verb


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_command_has_a_story(verb: str) -> None:
    words = [verb, *commands()[verb].spec.aliases]
    assert any(re.search(rf'"/{re.escape(word)}[ "]|/\{{verb\}}', STORIES) for word in words)
    assert re.search(rf"/{re.escape(verb)}\b", STORIES)


@pytest.mark.parametrize("spec", specs(), ids=COMMANDS)
def test_a_command_has_a_chinese_word_or_belongs_to_one_that_has(spec: Spec) -> None:
    chinese = [alias for alias in spec.aliases if re.search("[\u4e00-\u9fff]", alias)]
    assert chinese or spec.verb in {"jenkins describe", "jenkins test"}


def test_no_word_stands_for_two_commands() -> None:
    words = [word for spec in specs() for word in (spec.verb, *spec.aliases)]
    assert len(words) == len(set(words))


def test_everything_that_has_an_effect_is_marked_so() -> None:
    reading = {spec.verb for spec in specs() if not spec.changes}
    assert reading == {
        "help", "whoami", "prs", "pr", "jenkins jobs", "jenkins describe",
        "status", "log", "history", "why",
        # Its effect is on this portal alone, and its code is its own end of 10 minutes.
        "link",
    }  # fmt: skip


def test_only_help_whoami_and_link_are_open_to_all() -> None:
    assert {spec.verb for spec in specs() if spec.open_to_all} == {"help", "whoami", "link"}


def test_help_has_a_line_for_every_command_one_may_give(chat: Chat) -> None:
    listed = chat.say("/help", by="wangfang")
    for spec in specs():
        assert f"`{spec.usage}` {spec.summary}" in listed


@pytest.mark.parametrize("platform", sorted(set(PLATFORMS) - {"comments", "console"}))
def test_a_platform_has_recorded_vectors(platform: str) -> None:
    told = json.loads((TESTS / "cases" / f"{platform}_http.json").read_text())
    verdicts = {vector["expect"].get("verdict") for vector in told["vectors"]}
    assert {"accept", "reject"} <= verdicts
