"""The webhook at its real URL: what gets in, what is turned away, and that nothing happens twice."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from audit.models import Entry
from bot import views
from bot.platforms.models import Bot
from bot.runs.models import Delivery, Reply, Run
from bot.sampling import Sampler
from tests.portal import WEBHOOK, Chat, last_run, payload, refuse_entries, signed

CASES = json.loads((Path(__file__).parent / "cases" / "dingtalk_http.json").read_text())["vectors"]


def body(text: str = "/help", /, **fields: Any) -> bytes:
    return json.dumps(payload(text) | fields).encode()


def rejections() -> list[str]:
    found = Entry.objects.filter(event="webhook.rejected").order_by("seq")
    return list(found.values_list("reason", flat=True))


def test_a_signed_message_is_on_disk_before_it_is_acknowledged(chat: Chat) -> None:
    answer = chat.send("/prs")

    assert (answer.status_code, answer.content) == (200, b"")
    assert (Delivery.objects.count(), last_run().state) == (1, "queued")
    assert [entry.event for entry in Entry.objects.order_by("seq")] == [
        "command.received",
        "access.allowed",
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_it_takes_nothing_but_post(chat: Chat, method: str) -> None:
    assert chat.portal.generic(method, WEBHOOK).status_code == 405


def test_it_needs_no_csrf_token_and_sets_no_cookie(chat: Chat) -> None:
    chat.portal = Client(enforce_csrf_checks=True)
    answer = chat.send("/help")
    assert answer.status_code == 200
    assert not answer.cookies


@pytest.mark.parametrize(
    "path",
    ["/webhooks/chat/", "/webhooks/chat//", "/webhooks/chat/ops/../x/", "/webhooks/chat/a/b/"],
)
def test_another_path_is_nothing(chat: Chat, path: str) -> None:
    assert chat.deliver(body(), signed(), url=path).status_code == 404


def test_another_host_is_not_answered(chat: Chat) -> None:
    answer = chat.portal.post(WEBHOOK, body(), content_type="application/json", HTTP_HOST="evil")
    assert answer.status_code == 400
    assert Delivery.objects.count() == 0


def test_the_largest_body_is_read_and_one_byte_more_is_not(chat: Chat) -> None:
    room = views.LARGEST_BODY - len(body("/help", pad=""))

    assert chat.deliver(body("/help", pad="x" * room), signed()).status_code == 200
    assert chat.deliver(body("/help", pad="x" * (room + 1)), signed()).status_code == 413
    assert Run.objects.count() == 1


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "２３"])
def test_a_length_that_is_no_number_is_malformed(chat: Chat, length: str) -> None:
    headers: dict[str, Any] = {f"HTTP_{name.upper()}": value for name, value in signed().items()}
    answer = chat.portal.generic(
        "POST", WEBHOOK, body(), content_type="application/json", CONTENT_LENGTH=length, **headers
    )
    assert (answer.status_code, answer.content) == (400, b"")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)  # fmt: skip
def test_another_content_type_is_not_read(chat: Chat, kind: str) -> None:
    answer = chat.deliver(body(), {**signed(), "Content-Type": kind})
    assert (answer.status_code, answer.content) == (415, b"")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "missing_header"),
        ({"timestamp": "", "sign": ""}, "missing_header"),
        ({"timestamp": "1790000000000"}, "missing_header"),
        ({"sign": "abc"}, "missing_header"),
        ({"timestamp": "abc", "sign": "x"}, "bad_timestamp"),
        ({"timestamp": "1790000000", "sign": "x"}, "bad_timestamp"),
        ({"timestamp": "NaN", "sign": "x"}, "bad_timestamp"),
        ({"timestamp": "1" * 20, "sign": "x"}, "bad_timestamp"),
        ({"timestamp": "1790000000000", "sign": "é"}, "bad_signature"),
        ({"timestamp": "1790000000000", "sign": "x"}, "bad_signature"),
    ],
)
def test_without_a_valid_signature_nothing_is_believed(
    chat: Chat, headers: dict[str, str], reason: str
) -> None:
    answer = chat.deliver(body("/merge 233"), headers)

    assert (answer.status_code, answer.content) == (401, b"")
    assert rejections() == [reason]
    assert (Delivery.objects.count(), Run.objects.count()) == (0, 0)


def test_an_underscore_is_no_dash(chat: Chat) -> None:
    headers: dict[str, Any] = {f"X_{name.upper()}": value for name, value in signed().items()}
    answer = chat.portal.generic(
        "POST", WEBHOOK, body(), content_type="application/json", **headers
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("seconds", [-3_605, 3_605])
def test_a_signature_lives_an_hour(chat: Chat, seconds: int) -> None:
    assert chat.send("/help", seconds=seconds).status_code == 401
    assert rejections() == ["expired"]


def test_another_secret_signs_nothing_here(chat: Chat) -> None:
    assert chat.deliver(body(), signed(secret="of another bot")).status_code == 401


def test_an_unknown_bot_answers_like_a_wrong_signature(chat: Chat) -> None:
    Bot.objects.create(name="quiet", platform="dingtalk", enabled=False)
    Bot.objects.create(name="shell", platform="console")
    wrong = chat.deliver(body(), signed(secret="wrong"))

    for name in ("nosuch", "quiet", "shell", "x" * 300):
        other = chat.deliver(body(), signed(), url=f"/webhooks/chat/{name}/")
        assert (
            (other.status_code, other.content) == (wrong.status_code, wrong.content) == (401, b"")
        )
        assert dict(other.headers) == dict(wrong.headers)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"chatbotCorpId": "ding-other"}, "wrong_tenant"),
        ({"robotCode": "dingother"}, "wrong_app"),
        ({"robotCode": None}, "wrong_app"),
    ],
)
def test_what_is_for_another_receiver_is_turned_away(
    chat: Chat, fields: dict[str, Any], reason: str
) -> None:
    assert chat.send("/help", **fields).status_code == 401
    assert rejections() == [reason]


@pytest.mark.parametrize(
    "raw",
    [
        b"null", b"[]", b'"x"', b"1", b"{}x", b'{"a":1}\0\0', b"\xff", b'\xef\xbb\xbf{}',
        b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":1e400}', b"[" * 100_000, b'{"a":' * 20_000,
        '{"a":1}'.encode("utf-16"), b'{"n":' + b"9" * 5_000 + b"}",
    ],
)  # fmt: skip
def test_a_signed_body_that_is_no_message_is_refused_and_nothing_breaks(
    chat: Chat, raw: bytes
) -> None:
    assert chat.deliver(raw, signed()).status_code in {200, 400}
    assert Run.objects.count() == 0


def test_a_message_delivered_twenty_times_is_one_run(chat: Chat) -> None:
    raw, headers = body("/test 233"), signed()

    assert {chat.deliver(raw, headers).status_code for _ in range(20)} == {200}
    assert (Run.objects.count(), Delivery.objects.count()) == (1, 1)


def test_the_same_message_newly_signed_is_still_the_same(chat: Chat) -> None:
    raw = body("/test 233")
    assert chat.deliver(raw, signed()).status_code == 200
    assert chat.deliver(raw, signed()).status_code == 200
    assert Run.objects.count() == 1


def test_a_signature_is_good_for_one_body_only(chat: Chat) -> None:
    headers = signed()
    chat.deliver(body("/help"), headers)

    answer = chat.deliver(body("/merge 233"), headers)

    assert (answer.status_code, answer.content) == (401, b"")
    assert [run.command for run in Run.objects.all()] == ["help"]
    assert Entry.objects.filter(event="signature.reused").count() == 1


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ({"msgtype": "picture"}, 200),
        ({"text": {"content": ["/help"]}}, 200),
        ({"robotCode": "another"}, 401),
        ({"chatbotCorpId": "another"}, 401),
    ],
)
def test_a_signature_is_used_up_by_what_was_no_command_too(
    chat: Chat, first: dict[str, Any], status: int
) -> None:
    headers = signed()
    assert chat.deliver(json.dumps(payload() | first).encode(), headers).status_code == status

    answer = chat.deliver(body("/merge 233"), headers)

    assert answer.status_code == 401
    assert Run.objects.count() == 0
    assert Entry.objects.filter(event="signature.reused").count() == 1


def test_a_signature_is_used_up_by_what_was_no_json(chat: Chat) -> None:
    headers = signed()
    assert chat.deliver(b"no json", headers).status_code == 400
    assert chat.deliver(body("/merge 233"), headers).status_code == 401
    assert Run.objects.count() == 0


def test_a_picture_delivered_twice_is_answered_twice(chat: Chat) -> None:
    headers, raw = signed(), json.dumps(payload() | {"msgtype": "picture"}).encode()
    assert [chat.deliver(raw, headers).status_code for _again in range(2)] == [200, 200]
    assert Delivery.objects.count() == 1


def test_the_vectors_of_a_swapped_body_and_a_replay_in_their_order(chat: Chat) -> None:
    """As the vendor's own SDK made them, signed anew: their time is long over."""
    vectors = [vector for vector in CASES if vector.get("sequence") == "ding-body-swap-pub"]
    told = vectors[0]["credentials"]
    Bot.objects.update(
        settings={**chat.bot.settings, "corp_id": told["corp_id"], "robot_code": told["robot_code"]}
    )
    headers = signed()

    verdicts = [
        (vector["expect"]["verdict"], chat.deliver(raw, headers).status_code)
        for vector in vectors
        for raw in [b64decode(vector["request"]["body_b64"])]
    ]

    assert verdicts == [("accept", 200), ("reject", 401), ("duplicate", 200)]
    assert Delivery.objects.count() == 1


def test_a_changing_command_older_than_fifteen_minutes_is_not_run(chat: Chat) -> None:
    chat.make_ready(233)

    chat.send("/merge 233", seconds=-1_000)
    chat.carry_out()

    assert chat.heard()[-1].startswith("⛔ Not done: `/merge 233`\nThe message is older than 15")
    assert last_run().reason == "stale_command"
    assert chat.effects() == []


def test_the_time_in_the_body_counts_when_it_is_the_earlier_one(chat: Chat) -> None:
    created = int(signed()["timestamp"]) - 1_000_000
    chat.send("/merge 233", createAt=created)
    assert last_run().reason == "stale_command"


def test_a_reading_command_of_that_age_is_answered(chat: Chat) -> None:
    chat.send("/prs", seconds=-1_000)
    chat.carry_out()
    assert chat.heard()[-1].startswith("**4 open in shop**")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"msgtype": "picture"}, "not_text"),
        ({"msgtype": "file"}, "not_text"),
        ({"msgtype": "richText", "content": {"richText": [{"text": 1}]}}, "schema"),
        ({"text": {"content": "/merge 233", "isReplyMsg": True}}, "quote"),
        ({"text": {"content": ["/merge 233"]}}, "schema"),
        ({"text": None}, "schema"),
        ({"text": {"content": "/merge 233\ud800"}}, "bad_text"),
        ({"senderId": "$:LWCP_v1:$bot"}, "own_message"),
    ],
)
def test_what_is_no_text_of_a_person_runs_nothing(
    chat: Chat, fields: dict[str, Any], reason: str
) -> None:
    assert chat.send("/merge 233", **fields).status_code == 200

    assert (Run.objects.count(), Reply.objects.count()) == (0, 0)
    assert Entry.objects.get(event="message.ignored").reason == reason


def test_the_bot_s_own_echo_makes_no_loop(chat: Chat) -> None:
    for _ in range(20):
        chat.send("/test 233", senderId="$:LWCP_v1:$bot")
    assert Run.objects.count() == 0


@pytest.mark.parametrize("text", ["hello", "please /merge 233", "> /merge 233", "```\n/merge 233"])
def test_what_people_say_in_a_group_is_left_alone(chat: Chat, text: str) -> None:
    assert chat.say(text) == ""
    assert Run.objects.count() == 0
    assert Entry.objects.get(event="message.ignored").text == text


def test_in_private_a_text_gets_a_hint_and_is_no_run(chat: Chat) -> None:
    answer = chat.say("hello", where="private")

    assert answer == "⛔ That is no command. `/help` shows what you may do here."
    assert Run.objects.count() == 0
    assert chat.say("", where="private") == ""


def test_the_hint_in_chinese(chinese: Chat) -> None:
    assert chinese.say("你好", where="private") == "⛔ 这不是命令。`/help` 列出你在这里能做的事。"


def test_a_text_of_sixty_kilobytes_is_refused_and_kept_short(chat: Chat) -> None:
    assert chat.send("/merge " + "a" * 60_000).status_code == 200

    assert "more than 4000 characters is no command" in last_run().summary
    entry = Entry.objects.get(event="command.received")
    assert (len(entry.text), entry.text_length) == (1_000, 60_007)
    assert entry.text_digest


def test_rejections_are_counted_and_few_of_them_written_down(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "rejections", Sampler(per_minute=2))

    for _ in range(20):
        assert chat.deliver(body(), {}).status_code == 401

    # Twice that number when a minute ends in between.
    assert 2 <= len(rejections()) <= 4


def test_a_sample_tells_how_many_it_stands_for() -> None:
    sampler = Sampler(per_minute=2)
    told = [sampler.count("a") for _ in range(5)]
    assert told[:2] == [1, 1]
    assert sum(filter(None, told)) <= 5


@pytest.mark.parametrize("event", ["command.received", "message.ignored"])
def test_what_cannot_be_written_down_is_not_acknowledged(chat: Chat, event: str) -> None:
    refuse_entries(event)
    text = {"command.received": "/prs", "message.ignored": "hello"}[event]

    answer = chat.send(text)

    assert (answer.status_code, answer.content) == (503, b"")
    assert (Run.objects.count(), Delivery.objects.count(), Reply.objects.count()) == (0, 0, 0)


def test_once_the_database_writes_again_the_same_delivery_is_taken(chat: Chat) -> None:
    refuse_entries("command.received")
    raw, headers = body("/prs"), signed()
    assert chat.deliver(raw, headers).status_code == 503
    with connection.cursor() as cursor:
        on = " ON audit_entry" if connection.vendor == "postgresql" else ""
        cursor.execute(f"DROP TRIGGER no_more{on}")

    assert chat.deliver(raw, headers).status_code == 200
    assert Run.objects.count() == 1


def test_a_rejection_that_cannot_be_written_down_is_still_a_rejection(chat: Chat) -> None:
    refuse_entries("webhook.rejected")
    assert chat.deliver(body(), {}).status_code == 401
