"""What holds for every text: no exception, no slow answer, and a printed call means itself."""

import random
import time
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.commands.base import Argument, Call, Kind, Spec
from bot.commands.registry import specs
from bot.language import LONGEST_MESSAGE, Misread, NotACommand, canonicalise, parse
from tests.test_language import REFUSED, SPECS, UNDERSTOOD

# Split at blanks: a "\n" among them stays a word.
LINE: Final = (
    "/merge 合并 /comment /hold /lock /deploy /jenkins build /help /status /prs help lock 迁移 "
    '233 #1 shop shop#233 a#1 to in 到 for 2h 1h squash mine ready x A=1 B="x y" merge staging '
    "v1.4.2 -- ; 。 é \u200b \n ／ ２ ！ ＃ \ud800 \u202e @all HEAD a/b /late at"
)
WORDS: Final = LINE.split(" ")
SIGNS: Final = "/!#=\"' \t\n\u00a0\u3000\u200b\u2005。，éе２\ud800\u202e\ufeff合并to-_.0123abZ"
LATE: Final = Spec(
    "late",
    "has everything",
    (),
    (
        Argument("number", Kind.NUMBER, required=True),
        Argument("repository", Kind.REPOSITORY),
        Argument("filter", Kind.CHOICE, choices=("mine", "ready")),
        Argument("environment", Kind.ENVIRONMENT, keyword="to"),
        Argument("text", Kind.TEXT, required=True),
        Argument("for", Kind.CHOICE, choices=("1h", "2h"), keyword="for"),
        Argument("ref", Kind.REF, keyword="at"),
    ),
)
ALL: Final = (*SPECS, LATE)


def check(text: str) -> Call | Misread | NotACommand:
    """Reads the text and holds the answer against the promises of the language."""
    answer = parse(text, ALL)
    if isinstance(answer, Call):
        again = parse(answer.canonical, ALL)
        assert again == answer
        assert answer.canonical.isprintable()
        assert answer.canonical.isascii() or {"text", "reason"} & answer.arguments.keys()
    if isinstance(answer, Misread):
        assert answer.sentence
        assert len(answer.sentence) < 600
        answer.sentence.encode()
    return answer


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=80))
@example("/merge \ud800")
@example("\udfff")
def test_any_text_gets_an_answer(text: str) -> None:
    check(text)
    check("/" + text)
    check("/comment 233 " + text)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=9))
@example(["/late", "shop#233", "for", "1h"])
@example(["/late", "233", "to", "staging", "to", "prod", "x"])
@example(["/lock", "shop", "for", "2h", "for", "1h"])
def test_whatever_the_words_a_printed_call_means_itself(words: list[str]) -> None:
    check(" ".join(words))
    check("/late " + " ".join(words))
    check("/late 233 " + " ".join(words))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=SIGNS, max_size=30))
def test_canonicalising_twice_changes_nothing_more(text: str) -> None:
    once = canonicalise(text)

    assert canonicalise(once) == once


def test_twenty_thousand_mutated_commands_get_an_answer_each() -> None:
    chance = random.Random(233)  # noqa: S311 - repeatable, not secret
    known = [case[0] for case in (*UNDERSTOOD, *REFUSED) if len(case[0]) < 200]

    kinds = {type(check(mutated(chance.choice(known), chance))) for _ in range(20_000)}

    assert kinds == {Call, Misread, NotACommand}


def mutated(text: str, chance: random.Random) -> str:
    signs = list(text)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(signs) + 1)
        chance.choice((_insert, _drop, _double))(signs, at, chance)
    return "".join(signs)


def _insert(signs: list[str], at: int, chance: random.Random) -> None:
    signs.insert(at, chance.choice(SIGNS))


def _drop(signs: list[str], at: int, chance: random.Random) -> None:
    del signs[at : at + chance.randint(1, 2)]


def _double(signs: list[str], at: int, chance: random.Random) -> None:
    signs[at:at] = signs[max(0, at - 3) : at]


@pytest.mark.parametrize(
    "unit",
    [
        *("x", "/x", " ", "x ", "é", "👍", "合", "1,", "1", "-", "a=1 ", '"', "A=", "eyJaaaaaaaa-"),
        *(
            "\u200b",
            " \u200b",
            "merge ",
            "jenkins ",
            "mergf ",
            "a/",
            "..",
            "。",
            "xapp-",
            "\n",
            "`",
        ),
    ],
)
@pytest.mark.parametrize(
    "start", ["", "/", "/merge ", "/mergee ", "/comment 233 ", "/deploy s ", "/jenkins build x "]
)
def test_the_longest_text_costs_milliseconds_whatever_it_repeats(start: str, unit: str) -> None:
    text = (start + unit * LONGEST_MESSAGE)[:LONGEST_MESSAGE]
    parse(text, SPECS)

    # About 1 ms each; what grew with the square of the length would take 100 and more.
    assert min(_seconds(text) for _ in range(3)) < 0.025


def _seconds(text: str) -> float:
    """Of this thread's own work, so that a busy machine is no reason to fail."""
    started = time.thread_time()
    parse(text, SPECS)
    return time.thread_time() - started


def test_an_ordinary_command_takes_less_than_a_millisecond() -> None:
    text = "/merge 233 shop squash"
    parse(text, SPECS)

    assert min(_seconds(text) for _ in range(5)) < 0.001


def test_every_example_of_every_command_is_understood() -> None:
    known = specs()
    read = {line: parse(line, known) for spec in known for line in spec.examples}
    verbs = {line: spec.verb for spec in known for line in spec.examples}

    assert {line: isinstance(call, Call) and call.verb for line, call in read.items()} == verbs


def test_every_verb_and_alias_of_every_command_is_found_without_a_slash() -> None:
    known = specs()
    words = [(word, spec.verb) for spec in known for word in (spec.verb, *spec.aliases)]

    for word, verb in words:
        call = parse(word, known)
        assert isinstance(call, Call | Misread), word
        assert call.verb == verb
