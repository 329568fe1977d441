"""What people and attackers type, at the real URL: run, refused with a hint, or left alone; never a crash."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.commands.base import Call
from bot.commands.registry import specs
from bot.language import parse
from bot.runs.models import Run
from tests.portal import Chat, last_run, payload, signed

RUNS = {
    "/merge ２３３": "/merge 233",
    "／merge　２３３": "/merge 233",
    "/MERGE 233": "/merge 233",
    "/Merge #233": "/merge 233",
    "!merge 233": "/merge 233",
    "！merge 233": "/merge 233",
    "merge 233": "/merge 233",
    "/merge\u00a0233": "/merge 233",
    "/merge  233\n": "/merge 233",
    "\u2005/merge 233": "/merge 233",
    "/合并 233": "/merge 233",
    "/merge 233\u200b": "/merge 233",
    "/部署 my": "/deploy my",
}
REFUSED = (
    # Numbers that int() would take, or nobody should.
    *("/merge", "/merge 0", "/merge -1", "/merge 00233", "/merge +233", "/merge 233.0"),
    *("/merge 1e3", "/merge 0xE9", "/merge 2_3_3", "/merge 9999999999", "/merge ٢٣٣"),
    *("/merge ²", "/merge ㉓", "/merge 二三三", "/merge 233 234", "/merge 233,234"),
    # Options and several lines.
    *("/merge 233 --force", "/merge --repo=x 1", "/merge -- 1", "/merge 233\n/deploy prod"),
    *("/merge 233\r\nx", "/merge 233\u2028x", "/merge 233\x85x", "/merge 233\x0bx"),
    # Signs that look like others, or like nothing.
    *("/mergе 233", "/ⅿerge 233", "/ℳerge 233", "/ｍerge 233", "/\u200bmerge 233"),
    *("/mer\u200dge 233", "/merge 233\0", "\ufeff/merge 233", "/merge \u202e332"),
    *("/mergé 233", "/merge " + "e\u0301" * 500, "/merge " + "\ufdfa" * 100),
    *("∕merge 233", "⧸merge 233", "、merge 233", "\\merge 233", "👍/merge 233", "/merge 233。", "/merge 233，"),
    # What a shell, a database, a template or a path would read.
    *("/merge 233; rm -rf /", "/merge $(id)", "/merge `id`", "/merge 1 | tee", "/merge 1 && x"),
    *("/merge 1%0a", "/merge 1' OR '1'='1", '/status "', "/deploy ../../manage", "/deploy a/../b"),
    *("/deploy a%2fb", "/deploy a//b", "/deploy .", "/deploy ~", "/deploy -x", "/deploy " + "a" * 300),
    *("/deploy myservice branch=main;x", "/deploy myservice HEAD~1", "/deploy myservice @{u}"),
    *("/deploy myservice --upload-pack=x", "/deploy ${jndi:ldap://x}", "/deploy {{7*7}}"),
    *("/deploy %(x)s", "/deploy {0.__class__}", "/bind admin", "/merge 233 nosuch", "/deploy nosuch"),
    "/deploy myservice glpat-abcdefghij1234567890",
    "/merge " + "a" * 5_000,
)  # fmt: skip
LEFT_ALONE = (
    "", " ", "//merge 233", "please /merge 233", "> /merge 233", "`/merge 233`", '"/merge 233"',
    "！", "!!!", "你好", "👍",
)  # fmt: skip


@pytest.mark.parametrize(("text", "canonical"), RUNS.items())
def test_what_keyboards_make_of_a_command_is_that_command(
    chat: Chat, text: str, canonical: str
) -> None:
    assert chat.send(text).status_code == 200
    assert (last_run().state, last_run().canonical) == ("queued", canonical)


def test_what_is_no_command_of_the_language_is_refused_with_a_hint(chat: Chat) -> None:
    for number, text in enumerate(REFUSED):
        # Nobody types so many within a minute.
        staff = "user101" if number % 2 else "user102"
        assert chat.send(text, senderStaffId=staff).status_code == 200, text
        run = last_run()
        assert (run.state, run.text[:8]) == ("refused", text[:8]), text
        assert run.summary.startswith("⛔ "), text
        assert len(run.summary) <= 2_000, text
    assert chat.calls("gitee") == chat.calls("jenkins") == 0


def test_an_unseen_or_foreign_sign_is_named_by_its_number(chat: Chat) -> None:
    for text, sign in {
        "/mergе 233": "е (U+0435 CYRILLIC SMALL LETTER IE)",
        "/\u200bmerge 233": "(U+200B ZERO WIDTH SPACE)",
        "/merge \u202e332": "(U+202E RIGHT-TO-LEFT OVERRIDE)",
    }.items():
        chat.send(text)
        assert sign in last_run().summary, text


def test_what_was_not_said_to_the_bot_is_left_alone(chat: Chat) -> None:
    for text in LEFT_ALONE:
        assert chat.send(text).status_code == 200, text
    assert Run.objects.count() == 0


def test_templates_and_formats_are_shown_as_they_were_typed(chat: Chat) -> None:
    chat.say("/deploy {0.__class__}")
    assert last_run().text == "/deploy {0.__class__}"
    assert "class '" not in last_run().summary


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
WORDS = st.sampled_from(
    ["/merge", "/deploy", "/test", "/合并", "/help", "/retry", "/cancel", "/status", "/jenkins build",
     "/comment", "233", "shop", "web", "shop#233", "myservice", "to", "production", "1", "99999",
     "shop-test", "A=1", "me", "@all", "\u202e", "０", "/", "#", "!", "\n", "squash", "''"]
)  # fmt: skip
TEXTS = st.lists(WORDS | st.text(max_size=6), max_size=5).map(" ".join)
FIELDS = st.sampled_from([*payload(), "sessionWebhook", "sessionWebhookExpiredTime", "createAt"])
MILD = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


def every_run_is_sound() -> None:
    for run in Run.objects.all():
        if run.state == "queued":
            assert isinstance(parse(run.canonical, specs()), Call), run.canonical
        else:
            assert run.summary


@MILD
@given(body=JSON)
def test_any_signed_json_is_answered_and_runs_nothing(chat: Chat, body: Any) -> None:
    assert chat.deliver(encoded(body), signed()).status_code < 500
    assert Run.objects.count() == 0


@MILD
@given(changes=st.dictionaries(FIELDS, JSON, min_size=1, max_size=3))
def test_a_message_with_odd_fields_is_answered(chat: Chat, changes: dict[str, Any]) -> None:
    assert chat.deliver(encoded(payload("/merge 233") | changes), signed()).status_code < 500
    every_run_is_sound()


@MILD
@given(text=TEXTS, private=st.booleans())
def test_any_text_of_somebody_known_is_answered(chat: Chat, text: str, private: bool) -> None:
    kind = "1" if private else "2"
    body = payload(text, by="wangfang") | {"conversationType": kind}
    assert chat.deliver(encoded(body), signed()).status_code == 200
    every_run_is_sound()


@MILD
@given(raw=st.binary(max_size=200))
def test_any_signed_bytes_are_answered(chat: Chat, raw: bytes) -> None:
    assert chat.deliver(raw, signed()).status_code < 500
    assert Run.objects.count() == 0


@MILD
@given(at=st.integers(0, 2_000), bit=st.integers(0, 7), text=TEXTS)
def test_one_flipped_bit_of_a_signature_is_no_signature(
    chat: Chat, at: int, bit: int, text: str
) -> None:
    headers = signed()
    raw = bytearray(headers["sign"].encode())
    raw[at % len(raw)] ^= 1 << bit
    flipped = {**headers, "sign": raw.decode("latin-1")}
    assert chat.deliver(encoded(payload(text)), flipped).status_code == 401
