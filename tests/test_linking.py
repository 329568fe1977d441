"""One-time codes that link a chat account: who may use one, how often, how long, and what is kept of it."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from django.utils import timezone

from audit.changes import Actor
from audit.models import ActorKind, Entry
from bot.people.linking import MOST_TRIES, Result, Use, Where, end_code, make_code, use_code
from bot.people.models import AccessRequest, Account, LinkCode, Person
from bot.platforms.models import Bot
from chatops_site.kit.redaction import redact

ROOT: Final = Path(__file__).resolve().parent.parent
BOSS = Actor(ActorKind.PORTAL, username="boss", source_ip="192.0.2.7")
HERE = Where("slack", "T0DEMO", "U0ZHANGSAN")

pytestmark = pytest.mark.django_db


@pytest.fixture(name="person")
def person_fixture() -> Person:
    return Person.objects.create(name="张三", username="zhangsan")


def code_of(person: Person) -> str:
    return make_code(person, BOSS).code


def use(code: str, where: Where = HERE) -> Use:
    return use_code(code, where)


def wrong(code: str) -> str:
    """The same name with another secret."""
    name, secret = code.split("-")
    return f"{name}-{secret[:-1]}{'Q' if secret[-1] != 'Q' else 'R'}"


def test_a_code_is_two_short_groups_without_look_alikes(person: Person) -> None:
    codes = {code_of(person) for _number in range(200)}

    assert len(codes) == 200
    for code in codes:
        assert re.fullmatch(r"[A-HJKMNP-Z2-9]{4}-[A-HJKMNP-Z2-9]{4}", code)


def test_every_code_is_known_by_its_form_and_taken_out_of_texts(person: Person) -> None:
    for _number in range(200):
        code = code_of(person)
        assert redact(f"/lnk {code.lower()} please")[0] == "/lnk [redacted] please"


@pytest.mark.parametrize(
    "text",
    [
        "550e8400-e29b-41d4-a716-446655440000",
        "4f2a91c to production",
        "/deploy myservice feat-2024",
        "2024-2025",
        "team-test",
        "https://example.com/links/233",
        "see the link below, 3 of them",
        "/link [CODE]",
    ],
)
def test_what_only_looks_a_little_like_a_code_is_left_as_it_is(text: str) -> None:
    assert redact(text) == (text, 0)


def test_the_account_belongs_to_the_person_from_then_on(person: Person) -> None:
    found = use(code_of(person))

    assert (found.result, found.person) == (Result.LINKED, person)
    account = Account.objects.get()
    assert (account.person, str(account), account.tenant) == (person, "slack U0ZHANGSAN", "T0DEMO")
    assert [(one.target_kind, one.reason) for one in found.changes] == [("account", "added")]


@pytest.mark.parametrize("frame", ["{}", "  {} ", "`{}`", "{}。", "“{}”"])
def test_blanks_and_signs_around_it_are_no_mistake(person: Person, frame: str) -> None:
    assert use(frame.format(code_of(person))).result is Result.LINKED


@pytest.mark.parametrize("between", ["", " ", "－", "—", "_"])
def test_small_letters_and_another_dash_are_no_mistake(person: Person, between: str) -> None:
    typed = code_of(person).lower().replace("-", between)

    assert use(typed).result is Result.LINKED


def test_full_width_signs_are_no_mistake(person: Person) -> None:
    wide = "".join(chr(ord(sign) + 0xFEE0) for sign in code_of(person))

    assert use(wide).result is Result.LINKED


def test_a_code_works_once(person: Person) -> None:
    code = code_of(person)
    use(code)

    again = use(code, Where("slack", "T0DEMO", "U0OTHER"))

    assert again.result is Result.WRONG
    assert Account.objects.count() == 1


def test_a_new_code_ends_the_old_one(person: Person) -> None:
    old, new = code_of(person), code_of(person)

    assert LinkCode.objects.count() == 1
    assert use(old).result is Result.WRONG
    assert use(new).result is Result.LINKED


@pytest.mark.parametrize(("seconds", "result"), [(1, Result.LINKED), (-1, Result.WRONG)])
def test_a_code_lives_ten_minutes(person: Person, seconds: int, result: Result) -> None:
    shown = make_code(person, BOSS)
    assert timedelta(minutes=9, seconds=59) < shown.until - timezone.now() <= timedelta(minutes=10)
    LinkCode.objects.update(until=timezone.now() + timedelta(seconds=seconds))

    assert use(shown.code).result is result


@pytest.mark.parametrize(
    ("tries", "result"), [(MOST_TRIES - 1, Result.LINKED), (MOST_TRIES, Result.WRONG)]
)
def test_five_wrong_tries_end_it(person: Person, tries: int, result: Result) -> None:
    code = code_of(person)

    for _number in range(tries):
        found = use(wrong(code))
        assert (found.result, found.person) == (Result.WRONG, person)

    assert use(code).result is result


def test_a_wrong_try_counts_only_for_the_code_that_it_names(person: Person) -> None:
    other = Person.objects.create(name="李四", username="lisi")
    mine, theirs = code_of(person), code_of(other)

    for _number in range(MOST_TRIES):
        use(wrong(theirs))

    assert use(mine).result is Result.LINKED
    assert use(theirs).result is Result.WRONG


@pytest.mark.parametrize("typed", ["", "-", "zhangsan", "\x00", "😀" * 500, "K" * 4000, "2" * 8])
def test_nonsense_is_a_wrong_code_of_nobody(person: Person, typed: str) -> None:
    code_of(person)

    assert use(typed) == Use(Result.WRONG)


def test_an_account_of_somebody_else_is_not_moved_and_the_code_has_ended(person: Person) -> None:
    other = Person.objects.create(name="李四", username="lisi")
    Account.objects.create(person=other, **HERE.among())
    code = code_of(person)

    assert use(code).result is Result.TAKEN
    assert Account.objects.get().person == other
    assert use(code, Where("slack", "T0DEMO", "U0NEW")).result is Result.WRONG


def test_an_account_of_one_s_own_stays_as_it_is(person: Person) -> None:
    use(code_of(person))

    found = use(code_of(person))

    assert (found.result, found.changes) == (Result.YOURS, ())
    assert Account.objects.count() == 1


def test_a_person_who_is_switched_off_links_nothing(person: Person) -> None:
    code = code_of(person)
    Person.objects.update(active=False)

    assert use(code).result is Result.INACTIVE
    Person.objects.update(active=True)
    assert use(code).result is Result.WRONG
    assert not Account.objects.exists()


def test_the_stranger_s_request_waits_no_longer(person: Person) -> None:
    bot = Bot.objects.create(name="ops", platform="dingtalk")
    where = Where("dingtalk", "ding-demo-corp", "user999")
    request = AccessRequest.objects.create(bot=bot, **where.among())

    found = use(code_of(person), where)

    request.refresh_from_db()
    assert request.state == AccessRequest.State.ACCEPTED
    assert [one.target_kind for one in found.changes] == ["account", "accessrequest"]


def test_a_code_that_others_read_is_none_any_more(person: Person) -> None:
    code = code_of(person)

    end_code(code)

    assert use(code).result is Result.WRONG


def test_that_a_code_was_made_is_on_record_and_the_code_is_not(person: Person) -> None:
    code = code_of(person)

    entry = Entry.objects.get()
    assert (entry.event, entry.target_kind, entry.reason) == ("config.changed", "linkcode", "added")
    assert (entry.username, entry.target, entry.source_ip) == ("boss", "张三", "192.0.2.7")
    stored = f"{vars(entry)} {vars(LinkCode.objects.get())}"
    assert not any(group in stored for group in code.split("-"))


# From here on: a database of its own, because threads see only what is committed.

AT_ONCE: Final = """
import json, sys, threading
from concurrent.futures import ThreadPoolExecutor
import django
django.setup()
from django.core.management import call_command
from audit.changes import SYSTEM
from bot.people.linking import Where, make_code, use_code
from bot.people.models import Account, LinkCode, Person

def at_once(codes):
    barrier = threading.Barrier(len(codes))
    def type_it(place):
        barrier.wait()
        return use_code(codes[place], Where("slack", "T0DEMO", f"U{place}")).result
    with ThreadPoolExecutor(len(codes)) as pool:
        return sorted(pool.map(type_it, range(len(codes))))

call_command("migrate", verbosity=0)
first = Person.objects.create(name="first", username="first")
code = make_code(first, SYSTEM).code
used = at_once([code] * 8)
code = make_code(first, SYSTEM).code
guesses = at_once([code.split("-")[0] + "-nono"] * 8)
print(json.dumps({
    "used": used,
    "accounts": Account.objects.count(),
    "guesses": guesses,
    "tries": LinkCode.objects.get().tries,
    "afterwards": use_code(code, Where("slack", "T0DEMO", "U99")).result,
}))
"""


def test_of_many_at_once_one_gets_it_and_many_guesses_are_five_tries(tmp_path: Path) -> None:
    own = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'db'}"}
    line = [sys.executable, "-c", AT_ONCE]
    told = json.loads(subprocess.check_output(line, cwd=ROOT, env=own, timeout=60))

    assert told["used"] == sorted([Result.LINKED, *[Result.WRONG] * 7])
    assert told["accounts"] == 1
    assert told["guesses"] == [Result.WRONG] * 8
    assert (told["tries"], told["afterwards"]) == (MOST_TRIES, Result.WRONG)
