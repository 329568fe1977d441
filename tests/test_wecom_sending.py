"""Replies to WeCom, over real HTTP to the sandbox's stand-in: what is sent, where, and what is never told."""

import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from bot.platforms.base import Button, Outgoing, Said, SendFailed
from bot.platforms.wecom.app import WeCom
from bot.platforms.wecom.text import cut, mark_blanks, to_markdown
from chatops_site.sandbox.wecom.app import AES_KEY, CORP, SECRET
from tests.loopback import Serve, answer_with, serving
from tests.wecom_street import Street, app, app_street, now

serve = pytest.fixture(serving)

BUTTONS = (Button("token-yes", "Confirm", "primary"), Button("token-no", "Deny", "danger"))
QUESTION = Outgoing("❓ Deploy myservice to production\nrun 7", final=False, buttons=BUTTONS)
ROUTE = {"user": "zhangsan", "conversation": "user:zhangsan"}


@pytest.fixture(name="street")
def street_fixture() -> Iterator[Street]:
    with app_street() as street:
        yield street


@pytest.fixture(name="wecom")
def wecom_fixture(street: Street) -> WeCom:
    return app(street.origin)


def failure(platform: WeCom, route: dict[str, Any], text: str = "x") -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        platform.send(route, Outgoing(text), now=now())
    return caught.value


def token_of(street: Street) -> str:
    """The stand-in gives the same one to all while it lasts."""
    asked = {"corpid": CORP, "corpsecret": SECRET}
    told = requests.get(f"{street.origin}/cgi-bin/gettoken", params=asked, timeout=5).json()
    return str(told["access_token"])


# The app: messages --------------------------------------------------------------------------------


def test_it_answers_the_member_who_asked_and_nobody_else(street: Street, wecom: WeCom) -> None:
    route = street.hear("/merge 233", person="lisi").route
    sent = wecom.send(route, Outgoing("✅ Merged **shop#233**  \nNext: `/x`"), now=now())
    (answer,) = street.answers()
    assert answer["markdown"] == "✅ Merged **shop#233**\nNext: `/x`"
    assert answer["conversation"] == "cid-private-lisi"
    assert sent
    assert not sent.startswith("card:")


@pytest.mark.parametrize("user", ["@all", "zhangsan|lisi", "", "a b", "@zhangsan", "x" * 65, None])
def test_it_never_writes_to_all_or_to_several(street: Street, wecom: WeCom, user: object) -> None:
    for earlier in ("", "card:1790000000:c"):
        with pytest.raises(SendFailed) as caught:
            wecom.update({"user": user}, earlier, Outgoing("x"), now=now())
        assert not caught.value.retryable
    assert street.calls() == []


def test_a_long_reply_is_cut_between_lines_and_never_in_a_character(
    street: Street, wecom: WeCom
) -> None:
    text = "⛔ Failed\n" + "\n".join(f"第 {n} 行" for n in range(500))
    wecom.send(ROUTE, Outgoing(text, key="chatops-1"), now=now())
    (answer,) = street.answers()
    assert answer["markdown"].endswith("行\n…")
    assert 1_900 < len(answer["markdown"].encode()) <= 2_048
    for longest in range(20, 40):
        assert len(cut("字🚀" * 20, longest).encode()) <= longest


def test_the_same_reply_tried_twice_is_shown_once_and_another_of_the_same_words_too(
    street: Street, wecom: WeCom
) -> None:
    for key in ("chatops-1", "chatops-1", "chatops-2"):
        wecom.send(ROUTE, Outgoing("No runs.", key=key), now=now())
    assert [answer["markdown"] for answer in street.answers()] == ["No runs.", "No runs."]
    assert mark_blanks("a").strip() == ""
    assert len({mark_blanks(f"chatops-{n}") for n in range(100)}) > 95


# The app: cards -----------------------------------------------------------------------------------


def test_buttons_come_on_a_card(street: Street, wecom: WeCom) -> None:
    external_id = wecom.send(ROUTE, QUESTION, now=now())
    (card,) = street.answers()
    assert card["card"]["title"] == "❓ Deploy myservice to production"
    assert card["card"]["rest"] == "run 7"
    assert card["buttons"] == [
        {"id": "token-yes", "label": "Confirm", "tone": "primary", "spent": False},
        {"id": "token-no", "label": "Deny", "tone": "danger", "spent": False},
    ]
    assert external_id.startswith("card:")
    assert len(external_id) <= 200


def test_what_a_card_cannot_hold_is_said_in_full_before_it(street: Street, wecom: WeCom) -> None:
    long = "\n".join(f"line {n} of many" for n in range(40))
    for text in (f"❓ Deploy\n{long}", "❓ Deploy\n```\nline 0\n```"):
        wecom.send(ROUTE, Outgoing(text, buttons=BUTTONS), now=now())
        whole, card = street.answers()[-2:]
        assert whole["markdown"] == to_markdown(text)
        assert (card["card"]["title"], len(card["buttons"])) == ("❓ Deploy", 2)
        assert card["card"]["rest"].startswith("line 0")


def test_a_card_s_links_can_be_followed(street: Street, wecom: WeCom) -> None:
    text = "⏳ Deploying · [build 91](https://j/91/?a=1&b=2)"
    card_id = wecom.send(ROUTE, Outgoing(text, buttons=BUTTONS), now=now())
    (card,) = street.answers()
    assert card["card"]["title"] == "⏳ Deploying · build 91"
    assert card["card"]["links"] == [("build 91", "https://j/91/?a=1&b=2")]
    street.stub.said = lambda parsed: Said(text, final=True)
    street.press(card["n"], "token-yes")
    assert street.answers()[0]["card"]["links"] == [("build 91", "https://j/91/?a=1&b=2")]
    assert card_id.startswith("card:")


def test_a_press_comes_back_with_the_button_s_token(street: Street, wecom: WeCom) -> None:
    wecom.send(ROUTE, QUESTION, now=now())
    (card,) = street.answers()
    press = street.press(card["n"], "token-yes")
    assert (press.token, press.sender.id, press.conversation) == (
        "token-yes",
        "zhangsan",
        "user:zhangsan",
    )
    assert press.route["task_id"] == card["task_id"]


def test_a_card_gives_way_once_to_what_became_of_it(street: Street, wecom: WeCom) -> None:
    card_id = wecom.send(ROUTE, QUESTION, now=now())
    first = wecom.update(ROUTE, card_id, Outgoing("⏳ Deploying", final=False), now=now())
    (card,) = street.answers()
    assert (card["card"]["title"], card["changes"]) == ("⏳ Deploying", 1)
    assert card["card"]["replaced"] == "Settled"
    assert all(button["spent"] for button in card["buttons"])

    for earlier in (first, card_id):
        wecom.update(ROUTE, earlier, Outgoing("✅ Deployed"), now=now())
    assert [answer["markdown"] for answer in street.answers()][1:] == ["✅ Deployed"] * 2


def test_a_card_can_give_way_to_one_with_other_buttons(street: Street, wecom: WeCom) -> None:
    card_id = wecom.send(ROUTE, QUESTION, now=now())
    again = Outgoing("⛔ Failed", buttons=(Button("token-again", "Try again"),))
    wecom.update(ROUTE, card_id, again, now=now())
    (card,) = street.answers()
    assert (card["card"]["title"], card["card"]["replaced"]) == ("⛔ Failed", "")
    assert street.press(card["n"], "token-again").token == "token-again"


def test_a_card_of_three_days_ago_is_left_alone(street: Street, wecom: WeCom) -> None:
    card_id = wecom.send(ROUTE, QUESTION, now=now() - timedelta(hours=72))
    wecom.update(ROUTE, card_id, Outgoing("✅ Deployed"), now=now())
    assert [answer["changes"] for answer in street.answers()] == [0, 0]
    assert "/cgi-bin/message/update_template_card" not in street.calls()


def test_what_became_of_a_card_is_said_in_full_where_the_card_cannot(
    street: Street, wecom: WeCom
) -> None:
    card_id = wecom.send(ROUTE, QUESTION, now=now())
    wecom.update(ROUTE, card_id, Outgoing("⛔ Failed\n```\nlog\n```"), now=now())
    again = Outgoing("⛔ Failed\n```\nlog\n```", buttons=BUTTONS)
    wecom.update(ROUTE, wecom.send(ROUTE, QUESTION, now=now()), again, now=now())
    settled, whole, asked, whole_again = street.answers()
    assert (settled["card"]["title"], settled["card"]["replaced"]) == ("⛔ Failed", "Settled")
    assert (asked["card"]["title"], asked["card"]["replaced"]) == ("⛔ Failed", "")
    assert whole["markdown"] == whole_again["markdown"] == "⛔ Failed\n> log"


@pytest.mark.parametrize("odd", ["", "changed", "card:", "card:x:y", "card:1790000000:", "msg-1"])
def test_what_is_no_card_is_not_changed(street: Street, wecom: WeCom, odd: str) -> None:
    wecom.update(ROUTE, odd, Outgoing("✅ Done"), now=now())
    assert street.calls()[-1] == "/cgi-bin/message/send"
    assert street.calls().count("/cgi-bin/message/update_template_card") == 0


# The app: tokens and errors -----------------------------------------------------------------------


def test_it_fetches_one_token_for_many_messages(street: Street, wecom: WeCom) -> None:
    threads = [
        threading.Thread(target=wecom.send, args=(ROUTE, Outgoing("x")), kwargs={"now": now()})
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(street.answers()) == 5
    assert street.calls().count("/cgi-bin/gettoken") == 1


@pytest.mark.parametrize("code", [40014, 42001])
def test_it_fetches_a_new_token_once_when_the_old_one_is_refused(
    street: Street, wecom: WeCom, code: int
) -> None:
    wecom.send(ROUTE, Outgoing("one"), now=now())
    street.stand.control("revoke_token", {})
    wecom.send(ROUTE, Outgoing("two"), now=now())
    assert len(street.answers()) == 2

    told = json.dumps({"errcode": code, "errmsg": "x"})
    street.faults.add("chat", mode="status", path_regex="/send$", status=200, body=told, times=-1)
    before = len(street.calls())
    assert not failure(wecom, ROUTE).retryable
    assert street.calls()[before:] == [
        "/cgi-bin/message/send",
        "/cgi-bin/gettoken",
        "/cgi-bin/message/send",
    ]


@pytest.mark.parametrize(
    ("code", "retryable", "words"),
    [
        (-1, True, "busy"),
        (45009, True, "no more messages"),
        (40056, False, "agent id"),
        (60020, False, "trusted IPs"),
        (81013, False, "visible range"),
        (99999, False, "99999"),
    ],
)
def test_an_error_code_says_what_it_means_and_whether_a_retry_helps(
    street: Street, wecom: WeCom, code: int, retryable: bool, words: str
) -> None:
    told = json.dumps({"errcode": code, "errmsg": "ok"})
    street.faults.add("chat", mode="status", path_regex="/send$", status=200, body=told)
    failed = failure(wecom, ROUTE)
    assert failed.retryable is retryable
    assert words in failed.sentence
    assert failed.retry_after == (60 if code == 45009 else None)


@pytest.mark.parametrize("told", ["[]", "null", '{"errcode": "0"}', '{"errcode": true}', "<html>"])
def test_an_answer_that_is_none_is_no_success(serve: Serve, told: str) -> None:
    peer = serve(answer_with(told.encode()))
    assert not failure(app(peer.url), ROUTE).retryable


def test_who_cannot_be_reached_is_told(street: Street, wecom: WeCom) -> None:
    assert "81013" in failure(wecom, {"user": "gone"}).sentence
    told = json.dumps({"errcode": 0, "errmsg": "ok", "invaliduser": "zhangsan"})
    street.faults.add("chat", mode="status", path_regex="/send$", status=200, body=told)
    assert "visible range" in failure(wecom, ROUTE).sentence


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
def test_no_failure_ever_tells_the_token(
    street: Street,
    wecom: WeCom,
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
    retryable: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    wecom.send(ROUTE, Outgoing("one"), now=now())
    token = token_of(street)
    street.faults.add("chat", path_regex="/send$", **fault)
    failed = failure(wecom, ROUTE)
    assert failed.retryable is retryable
    for told in (repr(failed), failed.sentence, caplog.text, repr(wecom.__dict__)):
        assert token not in told
        assert SECRET not in told
        assert "access_token" not in told


def test_secrets_in_wecom_s_own_words_are_taken_out(street: Street, wecom: WeCom) -> None:
    wecom.send(ROUTE, Outgoing("one"), now=now())
    token = token_of(street)
    told = json.dumps({"errcode": 40035, "errmsg": f"{SECRET}, {token} and {token} are bad"})
    street.faults.add("chat", mode="status", path_regex="/send$", status=200, body=told)
    sentence = failure(wecom, ROUTE).sentence
    assert "40035" in sentence
    assert token[:20] not in sentence
    assert SECRET not in sentence


def test_a_secret_that_is_refused_is_not_told(
    street: Street, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = app(street.origin, secrets={"secret": "wrong-secret-of-mine"})
    failed = failure(wrong, ROUTE)
    assert "40001" in failed.sentence
    assert "not that of this app" in failed.sentence
    assert "wrong-secret-of-mine" not in failed.sentence + caplog.text
    unreachable = app("http://127.0.0.1:1", secrets={"secret": "wrong-secret-of-mine"})
    told = failure(unreachable, ROUTE)
    assert "wrong-secret-of-mine" not in told.sentence + repr(told) + caplog.text


def test_a_redirect_is_not_followed(street: Street, wecom: WeCom, serve: Serve) -> None:
    trap = serve(answer_with())
    wecom.send(ROUTE, Outgoing("one"), now=now())
    street.faults.add(
        "chat", mode="redirect", path_regex="/send$", status=307, location=f"{trap.url}/x"
    )
    failure(wecom, ROUTE)
    assert trap.calls == []


# The app: test connection, names ------------------------------------------------------------------


def test_it_says_which_app_it_is(wecom: WeCom) -> None:
    assert wecom.check().startswith("WeCom knows the app ChatOps (agent 1000002).")


def test_it_says_what_is_wrong_with_the_settings(street: Street) -> None:
    for platform, words in (
        (app(street.origin, agent_id="1000009"), "another app"),
        (app(street.origin, agent_id="ops"), "is a number"),
        (app(street.origin, corp_id="ww-other"), "corp id"),
        (app(street.origin, secrets={"aes_key": AES_KEY[1:]}), "43 characters"),
    ):
        with pytest.raises(SendFailed, match=words):
            platform.check()
    street.stand.control("trust", {"trusted": False})
    with pytest.raises(SendFailed, match=r"trusted IPs.* from ip: 203\.0\.113\.9"):
        app(street.origin).check()


def test_it_asks_what_an_account_is_called(wecom: WeCom) -> None:
    assert wecom.name_of("lisi") == "李四"
    assert wecom.name_of("gone") == ""
