"""Replies to DingTalk, over real HTTP to the sandbox's stand-in, and where they never go."""

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from bot.platforms.base import Outgoing, SendFailed
from bot.platforms.dingtalk.adapter import SESSION_ORIGINS, DingTalk, find_session
from bot.platforms.models import Bot
from chatops_site.sandbox.dingtalk.robot import APP_SECRET
from tests.dingtalk_street import Street, now, street_fixture, whole_street_fixture
from tests.loopback import Serve, answer_with, serving

__all__ = ["street_fixture", "whole_street_fixture"]

serve = pytest.fixture(serving)

_PLACES: dict[str, Callable[[Any], Any]] = {
    "socket.connect": lambda found: found[1],
    "socket.getaddrinfo": lambda found: found[:2],
}
_connects: list[Any] = []
sys.addaudithook(
    lambda event, found: _connects.append(_PLACES[event](found)) if event in _PLACES else None
)


@contextmanager
def no_call_but_to(origin: str) -> Iterator[None]:
    """Every connect and every look-up of a name counts, whoever makes it."""
    _connects.clear()
    yield
    port = urlsplit(origin).port
    assert [place for place in _connects if place != ("127.0.0.1", port)] == []


# Sending -----------------------------------------------------------------------------------------


def test_it_answers_by_the_session_webhook_and_mentions_who_asked(street: Street) -> None:
    heard = street.hear("/merge 233")
    sent = street.platform.send(
        heard.route, Outgoing("✅ Merged **shop#233**  \nNext: `/x`"), now=now()
    )
    (answer,) = street.answers()
    assert sent == ""
    assert answer["markdown"] == "✅ Merged **shop#233**  \nNext: `/x`"
    assert answer["title"] == "✅ Merged shop#233"
    assert (answer["by"], answer["conversation"]) == ("session", "cid-release")
    assert (answer["at_user_ids"], answer["at_all"]) == (["user101"], False)
    assert street.calls() == ["/robot/sendBySession"]


def test_it_goes_by_the_api_when_the_session_has_ended(street: Street) -> None:
    heard = street.hear()
    later = now() + timedelta(minutes=91)
    assert street.platform.send(heard.route, Outgoing("late"), now=later)
    assert [answer["by"] for answer in street.answers()] == ["group"]
    assert "/robot/sendBySession" not in street.calls()


def test_it_goes_by_the_api_when_dingtalk_declines_the_session(street: Street) -> None:
    heard = street.hear(conversation="private")
    street.clock.advance(5_401)
    street.platform.send(heard.route, Outgoing("late"), now=now())
    (answer,) = street.answers()
    assert (answer["by"], answer["conversation"]) == ("person", "cid-private-zhangsan")


def test_it_fetches_one_token_for_many_messages(street: Street) -> None:
    route = street.hear().route | {"webhook": ""}
    threads = [
        threading.Thread(
            target=street.platform.send, args=(route, Outgoing("x")), kwargs={"now": now()}
        )
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(street.answers()) == 5
    assert street.calls().count("/v1.0/oauth2/accessToken") == 1


def test_it_fetches_a_new_token_once_when_the_old_one_is_refused(street: Street) -> None:
    route = street.hear().route | {"webhook": ""}
    street.platform.send(route, Outgoing("one"), now=now())
    street.chat.control("revoke_token", {})
    street.platform.send(route, Outgoing("two"), now=now())
    assert len(street.answers()) == 2

    street.faults.add("chat", mode="status", path_regex="/send$", status=401, times=-1)
    before = len(street.calls())
    with pytest.raises(SendFailed) as caught:
        street.platform.send(route, Outgoing("three"), now=now())
    assert not caught.value.retryable
    assert len(street.calls()) - before == 3


HOSTILE = [
    "https://oapi.dingtalk.com.evil.example/robot/sendBySession?session=x",
    "https://oapi.dingtalk.com@evil.example/robot/sendBySession?session=x",
    "https://user:pw@oapi.dingtalk.com/robot/sendBySession?session=x",
    "https://evil.example\\@oapi.dingtalk.com/robot/sendBySession?session=x",
    "https://oapi.dingtalk.com\\@evil.example/robot/sendBySession?session=x",
    "https://oapi.dingtalk.com#@evil.example/robot/sendBySession?session=x",
    "https://oapi.dingtalk.com?@evil.example/robot/sendBySession?session=x",
    "https://evil.example/https://oapi.dingtalk.com/robot/sendBySession?session=x",
    "http://oapi.dingtalk.com/robot/sendBySession?session=x",
    "HTTPS://oapi.dingtalk.com/robot/sendBySession?session=x",
    "https://OAPI.dingtalk.com/robot/sendBySession?session=x",
    "https://oapi.dingtalk.com./robot/sendBySession?session=x",
    "https://oapi.dingtalk.com:8443/robot/sendBySession?session=x",
    "https://oapi.dingtalk.com:443/robot/sendBySession?session=x",
    "https://oapi.dingtalk.com/robot/other?session=x",
    "https://oapi.dingtalk.com/robot/sendBySession/../send?session=x",
    "https://oapi.dingtalk.com//robot/sendBySession?session=x",
    "https://oapi.dingtalk.com/robot/%73endBySession?session=x",
    "https://oapi.dingtalk.com/robot/sendBySession",
    "https://oapi.dingtalk.com/robot/sendBySession?",
    "https://oapi.dingtalk.com/robot/sendBySession?session=x#y",
    "https://oapi.dingtalk.com/robot/sendBySession?session=x y",
    "https://oapi.dingtalk.com/robot/sendBySession?session=x\r\nHost: evil",
    "https://oapi.dingtalk.com/robot/sendBySession?session=" + "x" * 5_000,
    "https://oapi。dingtalk。com/robot/sendBySession?session=x",
    "https://api.dingtalk.com.cn/robot/sendBySession?session=x",
    "https://1.2.3.4/robot/sendBySession?session=x",
    "https://[::1]/robot/sendBySession?session=x",
    "http://2130706433/robot/sendBySession?session=x",
    "//oapi.dingtalk.com/robot/sendBySession?session=x",
    " https://oapi.dingtalk.com/robot/sendBySession?session=x",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "",
]


@pytest.mark.parametrize("webhook", HOSTILE, ids=lambda text: text[:60])
def test_a_reply_never_goes_where_a_body_wants_it(street: Street, webhook: str) -> None:
    assert find_session(webhook, SESSION_ORIGINS) is None
    heard = street.hear()
    with no_call_but_to(street.origin):
        street.platform.send(heard.route | {"webhook": webhook}, Outgoing("secret"), now=now())
    assert [answer["by"] for answer in street.answers()] == ["group"]


def test_a_reply_never_goes_to_another_port_of_the_same_host(street: Street) -> None:
    heard = street.hear()
    for webhook in (
        f"{street.trap_origin}/robot/sendBySession?session=x",
        f"{street.origin}@{street.trap_origin[7:]}/robot/sendBySession?session=x",
        f"{street.origin}0/robot/sendBySession?session=x",
        "https://oapi.dingtalk.com/robot/sendBySession?session=x",
    ):
        with no_call_but_to(street.origin):
            street.platform.send(heard.route | {"webhook": webhook}, Outgoing("x"), now=now())
    assert street.trap.received == []
    assert "/robot/sendBySession" not in street.calls()


@pytest.mark.parametrize("host", ["oapi", "api"])
def test_both_of_dingtalk_s_hosts_may_be_answered(host: str) -> None:
    path = "/robot/sendBySession?session=e956fe5d1483d7a5"
    origin = f"https://{host}.dingtalk.com"
    assert find_session(origin + path, SESSION_ORIGINS) == (origin, path)


def test_a_redirect_is_not_followed(street: Street) -> None:
    heard = street.hear()
    location = f"{street.trap_origin}/robot/sendBySession?session=x"
    street.faults.add(
        "chat", mode="redirect", path_regex="sendBySession", status=307, location=location
    )
    with no_call_but_to(street.origin), pytest.raises(SendFailed):
        street.platform.send(heard.route, Outgoing("x"), now=now())


@pytest.mark.parametrize(
    ("fault", "retryable"),
    [
        ({"mode": "e429", "retry_after": 7}, True),
        ({"mode": "status", "status": 502}, True),
        ({"mode": "reset_before"}, True),
        ({"mode": "close_mid"}, True),
        ({"mode": "huge", "megabytes": 3}, False),
    ],
    ids=str,
)
def test_a_failed_reply_says_whether_a_retry_helps(
    street: Street, fault: dict[str, Any], retryable: bool
) -> None:
    heard = street.hear()
    street.faults.add("chat", path_regex="sendBySession", **fault)
    with pytest.raises(SendFailed) as caught:
        street.platform.send(heard.route, Outgoing("x"), now=now())
    assert caught.value.retryable is retryable
    assert caught.value.retry_after == (7 if "retry_after" in fault else None)
    assert caught.value.sentence.endswith(".")


def test_over_the_limit_the_reply_waits(street: Street) -> None:
    heard = street.hear()
    street.chat.control("limit", {"per_minute": 1})
    street.platform.send(heard.route, Outgoing("one"), now=now())
    for route in (heard.route, heard.route | {"webhook": ""}):
        with pytest.raises(SendFailed) as caught:
            street.platform.send(route, Outgoing("two"), now=now())
        assert caught.value.retryable
        assert caught.value.retry_after == 60
    street.clock.advance(61)
    street.platform.send(heard.route, Outgoing("two"), now=now())


def test_a_private_reply_without_a_staff_id_has_no_way(street: Street) -> None:
    tamper = {"body": {"senderStaffId": None}}
    route = street.hear(conversation="private", tamper=tamper).route | {"webhook": ""}
    with pytest.raises(SendFailed, match="no staff id") as caught:
        street.platform.send(route, Outgoing("x"), now=now())
    assert not caught.value.retryable


def test_a_receiver_or_conversation_unknown_to_dingtalk_is_told(street: Street) -> None:
    route = street.hear().route | {"webhook": ""}
    with pytest.raises(SendFailed, match="does not know"):
        street.platform.send(
            route | {"private": True, "staff_id": "gone"}, Outgoing("x"), now=now()
        )
    with pytest.raises(SendFailed, match="openConversationId"):
        street.platform.send(route | {"conversation": "gone"}, Outgoing("x"), now=now())


def test_a_long_reply_is_cut_and_its_code_block_closed(street: Street) -> None:
    heard = street.hear()
    log = "\n".join(f"line {n}" for n in range(2_000))
    street.platform.send(
        heard.route, Outgoing(f"[**job**](http://x) \\#1\n```\n{log}\n```"), now=now()
    )
    (answer,) = street.answers()
    assert len(answer["markdown"]) <= 4_000
    assert answer["markdown"].endswith("\n```\n…")
    assert answer["title"] == "job #1"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("", "ChatOps"),
        ("\n\n## Head *x*", "Head *x*"),
        ("⛔ `a_b` \\[x\\]", "⛔ a_b [x]"),
        ("字" * 100, "字" * 64),
    ],
)
def test_a_title_is_the_first_line_without_markup(street: Street, text: str, title: str) -> None:
    street.platform.send(street.hear().route, Outgoing(text), now=now())
    assert street.answers()[0]["title"] == title


# Test connection ---------------------------------------------------------------------------------


def test_it_says_that_dingtalk_knows_the_app(street: Street) -> None:
    assert street.platform.check() == (
        "DingTalk knows the app key dingdemokey, and its clock agrees with ours."
    )


def test_it_says_by_how_much_the_clocks_differ(serve: Serve) -> None:
    theirs = format_datetime(now() + timedelta(seconds=90), usegmt=True)
    peer = serve(answer_with(b'{"accessToken":"t","expireIn":7200}', Date=theirs))
    bot = Bot(name="ops", platform="dingtalk", settings={"app_key": "k", "api_base": peer.url})
    assert re.search(
        r"ours differ by (8[89]|9[01]) s: set the portal's clock", DingTalk(bot).check()
    )


@pytest.mark.parametrize("told", [b"{}", b"[]", b"<html>", b'{"accessToken":["t"]}'])
def test_an_answer_without_a_token_is_no_success(serve: Serve, told: bytes) -> None:
    bot = Bot(name="ops", platform="dingtalk", settings={"api_base": serve(answer_with(told)).url})
    with pytest.raises(SendFailed):
        DingTalk(bot).check()


def test_it_says_why_dingtalk_refuses_and_keeps_the_secret(street: Street) -> None:
    with pytest.raises(SendFailed) as caught:
        street.connect("wrong-secret").check()
    assert "invalidClientIdOrSecret" in caught.value.sentence
    assert "wrong-secret" not in caught.value.sentence


def test_a_secret_in_dingtalk_s_own_words_is_taken_out(street: Street) -> None:
    body = json.dumps({"code": "bad", "message": f"appSecret {APP_SECRET} is wrong"})
    street.faults.add("chat", mode="status", status=400, body=body)
    with pytest.raises(SendFailed) as caught:
        street.platform.check()
    assert APP_SECRET not in str(caught.value)


def test_a_robot_that_is_granted_more_may_send_more() -> None:
    paces = [DingTalk.paces_of({"per_minute": told})[0].count for told in ("", "100", "0", "x1")]

    assert paces == [20, 100, 20, 20]
