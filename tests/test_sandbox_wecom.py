"""WeCom's stand-ins: genuine and tampered callbacks, what they show, and what they refuse."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from wechatpy.work.crypto import WeChatCrypto

from bot.platforms.base import Button, Ignored, IncomingMessage, Outgoing, Parsed, Poll, Press, Said
from bot.platforms.wecom.app import read_xml
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.server import Faults, Journal, Request, Response, serve
from chatops_site.sandbox.talk import Portal
from chatops_site.sandbox.wecom.aibot import AES_KEY as AIBOT_KEY
from chatops_site.sandbox.wecom.aibot import TOKEN as AIBOT_TOKEN
from chatops_site.sandbox.wecom.aibot import WeComAibot
from chatops_site.sandbox.wecom.app import AES_KEY, AGENT, CORP, SECRET, TOKEN, WeCom
from chatops_site.sandbox.wecom.crypto import Keys, seal, unseal
from tests.wecom_street import Street, aibot, aibot_street, app, app_street, now


@pytest.fixture(name="street")
def street_fixture() -> Iterator[Street]:
    with app_street() as street:
        yield street


@pytest.fixture(name="ai")
def ai_fixture() -> Iterator[Street]:
    with aibot_street() as street:
        yield street


def telling(text: str, *, final: bool = True) -> Any:
    return lambda parsed: Said(text, final=final)


# Genuine -----------------------------------------------------------------------------------------


class Recorder:
    """A portal that keeps what it got."""

    name = "portal"

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def answer(self, request: Request) -> Response:
        self.requests.append(request)
        return Response(200, b"", content_type="")


@pytest.mark.parametrize(
    ("kind", "oracle"),
    [
        (WeCom, WeChatCrypto(TOKEN, AES_KEY, CORP)),
        (WeComAibot, WeChatCrypto(AIBOT_TOKEN, AIBOT_KEY, "")),
    ],
)
def test_wechatpy_reads_what_the_stand_ins_send(
    kind: type[WeCom | WeComAibot], oracle: WeChatCrypto
) -> None:
    recorder = Recorder()
    (server,) = serve({recorder: 0}, Journal(), Faults())
    stand = kind(Clock(), Portal(f"http://127.0.0.1:{server.server_port}/x/"))
    stand.say("zhangsan", "private", "/merge 233 合并 ]]>", {}).send()
    server.shutdown()
    server.server_close()

    (request,) = recorder.requests
    query = [request.query[name][0] for name in ("msg_signature", "timestamp", "nonce")]
    is_xml = request.headers["content-type"] == "text/xml"
    sealed = request.body.decode() if is_xml else {"Encrypt": request.json()["encrypt"]}
    text = oracle.decrypt_message(sealed, *query)
    assert "/merge 233 合并" in text
    assert not is_xml or read_xml(text.encode())["Content"] == "/merge 233 合并 ]]>"


def test_the_stand_ins_read_what_wechatpy_seals_and_nothing_for_others() -> None:
    keys = Keys(TOKEN, AES_KEY, CORP)
    sealed = re.search(
        r"Encrypt><!\[CDATA\[(.*?)\]\]",
        WeChatCrypto(TOKEN, AES_KEY, CORP).encrypt_message("好", "n", "1"),
    )
    assert sealed is not None
    assert unseal(keys, sealed[1]) == "好"
    for other in (Keys(TOKEN, AES_KEY, "other"), Keys(TOKEN, "x" * 43, CORP)):
        with pytest.raises(ValueError, match=r"padding|length|decode|somebody else"):
            unseal(keys, seal(other, "x"))


def test_an_app_is_spoken_to_in_private_and_an_aibot_in_groups_too(
    street: Street, ai: Street
) -> None:
    heard = street.hear("/merge 233", person="lisi")
    assert (heard.text, heard.sender.id, heard.private) == ("/merge 233", "lisi", True)
    with pytest.raises(ValueError, match="in private only"):
        street.say(conversation="cid-release")
    heard = ai.hear("/merge 233", person="lisi", conversation="cid-release")
    assert (heard.text, heard.conversation, heard.private) == ("/merge 233", "wrrelease", False)
    assert ai.hear(conversation="private").conversation == "user:zhangsan"


def test_the_handshake_verifies_the_portal(street: Street, ai: Street) -> None:
    for place in (street, ai):
        assert place.stand.control("handshake", {})["verified"]
        wrong = place.stand.control("handshake", {"tamper": {"secret": "other"}})
        assert (wrong["verified"], wrong["status"]) == (False, 401)


# Tampered ----------------------------------------------------------------------------------------

TAMPERED = [
    ({"seconds": -28_790}, 200),
    ({"seconds": -28_810}, 401),
    ({"seconds": 28_810}, 401),
    ({"secret": "other"}, 401),
    ({"aes_key": "x" * 43}, 400),
    ({"receive_id": "ww-other"}, 400),
    ({"headers": {"Content-Type": "text/plain"}}, 415),
    ({"query": {"nonce": None}}, 401),
    ({"query": {"msg_signature": "0" * 40}}, 401),
    ({"raw_body": "[1,2]"}, 400),
    ({"raw_content": "hello"}, 400),
]


@pytest.mark.parametrize(("tamper", "status"), TAMPERED, ids=str)
def test_a_tampered_callback_meets_the_answer_it_deserves(
    street: Street, ai: Street, tamper: dict[str, Any], status: int
) -> None:
    assert street.say(**tamper)["status"] == status
    assert ai.say(**tamper)["status"] == status


def test_fields_of_the_content_can_be_changed(street: Street, ai: Street) -> None:
    assert street.say(body={"AgentID": "7"})["status"] == 401
    assert street.say(body={"ToUserName": "ww-other"})["status"] == 401
    assert ai.say(body={"aibotid": "other"})["status"] == 401
    ai.say(body={"from": {"userid": "x", "corpid": "ww-other"}})
    heard = ai.stub.received[-1]
    assert isinstance(heard, IncomingMessage)
    assert heard.sender.tenant == "ww-other"


def test_a_callback_can_be_replayed_and_its_time_and_nonce_exchanged(
    street: Street, ai: Street
) -> None:
    for place in (street, ai):
        first = place.say(nonce=str(int(time.time()) - 5))
        place.say(replay=first["message_id"])
        place.say(replay=first["message_id"], swap=True)
        assert ids(place.stub.received) == [first["message_id"]] * 3


def ids(received: list[Parsed]) -> list[str]:
    return [heard.message_id for heard in received if isinstance(heard, IncomingMessage)]


def test_it_delivers_again_with_a_new_ciphertext_up_to_three_times(
    street: Street, ai: Street
) -> None:
    for place in (street, ai):
        said = place.say()
        wish = {"message_id": said["message_id"], "times": 3, "seconds": 0.01}
        assert place.stand.control("resend", wish) == {"statuses": [200] * 3}
        assert ids(place.stub.received) == [said["message_id"]] * 4
        with pytest.raises(ValueError, match="from 1 to 3"):
            place.stand.control("resend", wish | {"times": 4})


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"magic": 1}, "tamper has no magic"),
        ({"replay": "gone"}, "No message 'gone'"),
        ({"person": "nobody"}, "There is nobody 'nobody' here"),
        ({"conversation": "cid-private-lisi"}, "alone"),
    ],
)
def test_a_wish_that_makes_no_sense_is_told_and_leaves_no_message(
    street: Street, ai: Street, wish: dict[str, Any], sentence: str
) -> None:
    for place in (street, ai):
        with pytest.raises(ValueError, match=sentence):
            place.say(**wish)
        with pytest.raises(ValueError, match="no operation 'magic'"):
            place.stand.control("magic", {})
        assert place.messages() == []


# What it shows -----------------------------------------------------------------------------------


def test_a_passive_answer_is_shown_under_its_question(street: Street) -> None:
    street.stub.said = telling("⛔ No command")
    asked = street.say()
    (answer,) = street.answers()
    assert (answer["text"], answer["by"], answer["reply_to"]) == (
        "⛔ No command",
        "passive",
        asked["n"],
    )
    assert street.messages()[0]["delivery"]["stage"] == "done"


def test_of_many_tries_one_answer_is_shown(street: Street, ai: Street) -> None:
    for place in (street, ai):
        place.stub.said = telling("⛔ No command")
        assert place.say(times=5)["statuses"] == [200] * 5
        assert len(place.answers()) == 1


def test_a_press_is_said_and_its_card_changed(street: Street) -> None:
    card_id, n = _sent_card(street)
    assert card_id.startswith("card:")
    street.stub.said = telling("⏳ Deploying\nrun 7")
    street.press(n, "yes")
    card, press = street.messages()
    assert (press["text"], press["pressed"], press["delivery"]["stage"]) == ("Yes", n, "done")
    assert (card["card"]["title"], card["card"]["replaced"]) == ("⏳ Deploying", "Settled")
    with pytest.raises(ValueError, match="no button 'yes'"):
        street.press(n, "yes")
    for wrong in (n + 1, 99):
        with pytest.raises(ValueError, match="is no card"):
            street.press(wrong, "yes")


def _sent_card(street: Street) -> tuple[str, int]:
    from_ = {"user": "zhangsan"}
    message = Outgoing("❓ Sure", buttons=(Button("yes", "Yes"),))
    card_id = app(street.origin).send(from_, message, now=now())
    return card_id, street.answers()[-1]["n"]


def test_an_answer_that_wecom_would_not_read_is_told_on_the_message(street: Street) -> None:
    street.stub.platform = app(street.origin, secrets={"aes_key_old": AES_KEY, "aes_key": "y" * 43})
    street.stub.said = telling("x")
    street.say()
    assert "passive_error" not in street.messages()[0]
    street.stub.said = telling("a \x00 b")
    street.say()
    assert "passive_error" in street.messages()[-1]


def test_a_stream_is_asked_for_until_it_is_finished(ai: Street) -> None:
    ai.clock.set_factor(20)
    words = iter(["⏳ Merging", "⏳ Merging", "⏳ Tests", "✅ Merged"])
    ai.stub.said = lambda parsed: _next(words)
    ai.say("/merge 233", conversation="cid-release")
    ai.wait(lambda: bool(ai.answers()) and ai.answers()[0]["finished"])
    (answer,) = ai.answers()
    assert (answer["markdown"], answer["changes"]) == ("✅ Merged", 2)
    polls = [parsed for parsed in ai.stub.received if isinstance(parsed, Poll)]
    assert {poll.message_id for poll in polls} == set(ids(ai.stub.received))


def _next(words: Iterator[str]) -> Said:
    text = next(words)
    return Said(text, final=text.startswith("✅"))


def test_nobody_asks_for_a_stream_after_six_minutes(ai: Street) -> None:
    ai.clock.set_factor(100)
    ai.stub.said = telling("⏳", final=False)
    ai.say()
    ai.wait(lambda: ai.answers()[0].get("given_up", False), 8)
    assert not ai.answers()[0]["finished"]


def test_who_enters_is_welcomed(ai: Street) -> None:
    assert ai.stand.control("enter", {"person": "lisi"})["status"] == 200
    assert isinstance(ai.stub.received[-1], Ignored)
    (answer,) = ai.answers()
    assert (answer["by"], answer["conversation"]) == ("welcome", "cid-private-lisi")


def test_a_card_in_a_group_is_changed_for_whoever_pressed(ai: Street) -> None:
    heard = ai.hear(conversation="cid-release")
    question = Outgoing("❓ Sure", buttons=(Button("yes", "Yes"),))
    aibot(ai.origin).send(heard.route, question, now=now())
    ai.stub.said = telling("⛔ You may not")
    ai.press(ai.answers()[-1]["n"], "yes", person="stranger")
    card = next(one for one in ai.answers() if one["by"] == "response_url")
    assert (card["card"]["title"], card["changed_for"]) == ("⛔ You may not", ["stranger"])
    ai.stub.said = telling("")
    assert ai.stand.press("lisi", card["n"], "settled", {}).send()["status"] == 200
    assert ai.stub.received[-1] == Ignored("settled", ai.messages()[-1]["message_id"])
    assert not any(isinstance(one, Press) for one in ai.stub.received[2:])


# What it refuses ---------------------------------------------------------------------------------


def ask(street: Street, method: str, path: str, body: Any = None, **params: str) -> dict[str, Any]:
    url = f"{street.origin}/cgi-bin/{path}"
    answer = requests.request(method, url, json=body, params=params, timeout=5)
    told: dict[str, Any] = answer.json()
    return told


def token_of(street: Street) -> str:
    told = ask(street, "GET", "gettoken", corpid=CORP, corpsecret=SECRET)
    return str(told["access_token"])


def test_tokens_are_given_to_the_app_alone_and_end(street: Street) -> None:
    assert ask(street, "GET", "gettoken", corpid="x", corpsecret=SECRET)["errcode"] == 40013
    assert ask(street, "GET", "gettoken", corpid=CORP, corpsecret="x")["errcode"] == 40001
    token = token_of(street)
    assert token_of(street) == token
    assert ask(street, "GET", "user/get", access_token="x", userid="lisi")["errcode"] == 40014
    street.clock.advance(7_201)
    assert ask(street, "GET", "user/get", access_token=token, userid="lisi")["errcode"] == 42001
    assert ask(street, "GET", "nothing", access_token=token)["errcode"] == 43001


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [
        ({}, 0),
        ({"agentid": str(AGENT)}, 40056),
        ({"touser": "gone"}, 81013),
        ({"msgtype": "template_card", "template_card": {"card_type": "text_notice"}}, 40058),
        ({"msgtype": "text", "text": {"content": "x"}}, 40058),
    ],
    ids=str,
)
def test_a_message_has_to_be_one(street: Street, changes: dict[str, Any], errcode: int) -> None:
    body = {"touser": "lisi", "agentid": AGENT, "msgtype": "markdown", "markdown": {"content": "x"}}
    token = token_of(street)
    assert (
        ask(street, "POST", "message/send", body | changes, access_token=token)["errcode"]
        == errcode
    )
    assert len(street.answers()) == (0 if errcode else 1)


def test_above_the_limit_messages_are_refused_or_dropped_without_a_word(street: Street) -> None:
    body = {"touser": "lisi", "agentid": AGENT, "msgtype": "markdown", "markdown": {"content": "x"}}
    token = token_of(street)
    for silently, errcodes in ((False, [0, 45009]), (True, [0, 0])):
        street.stand.control("limit", {"per_minute": 1, "silently": silently})
        told = [ask(street, "POST", "message/send", body, access_token=token) for _ in range(2)]
        assert [one["errcode"] for one in told] == errcodes
    assert len(street.answers()) == 2
    street.clock.advance(61)
    ask(street, "POST", "message/send", body, access_token=token)
    assert len(street.answers()) == 3


def test_a_response_code_counts_once_and_for_three_days(street: Street) -> None:
    card: dict[str, Any] = {"card_type": "button_interaction", "replace_text": "y"}
    card["main_title"] = {"title": "x"}
    card["button_list"] = [{"text": "y", "key": "y"}]
    for spoil in (lambda: None, lambda: street.clock.advance(72 * 3_600 + 1), end_sessions(street)):
        code = _sent_card(street)[0].split(":")[2]
        spoil()
        token = token_of(street)
        body = {"userids": ["zhangsan"], "agentid": AGENT, "response_code": code}
        told = [
            ask(street, "POST", "message/update_template_card",
                {**body, "template_card": card}, access_token=token)["errcode"]
            for _ in range(2)
        ]  # fmt: skip
        assert told[1] != 0
        assert (told[0] == 0) == (street.answers()[-1]["changes"] == 1)


def end_sessions(street: Street) -> Any:
    return lambda: street.stand.control("end_sessions", {})


def test_an_aibot_may_answer_once_within_an_hour(ai: Street) -> None:
    path = ai.hear().route["response_url"].partition("/cgi-bin/")[2]
    body = {"msgtype": "markdown", "markdown": {"content": "x"}}
    assert ask(ai, "POST", path, {"msgtype": "text", "text": {"content": "x"}})["errcode"] == 40058
    assert [ask(ai, "POST", path, body)["errcode"] for _ in range(2)] == [0, 60140]
    late = ai.hear().route["response_url"].partition("/cgi-bin/")[2]
    ai.clock.advance(timedelta(hours=1, seconds=1).total_seconds())
    assert ask(ai, "POST", late, body)["errcode"] == 60141


def test_a_reset_leaves_nothing(street: Street, ai: Street) -> None:
    card_id, n = _sent_card(street)
    ai.say()
    for place in (street, ai):
        place.stand.reset()
        assert place.messages() == []
    with pytest.raises(ValueError, match="is no card"):
        street.press(n, "yes")
    app(street.origin).update({"user": "zhangsan"}, card_id, Outgoing("x"), now=now())
    assert [answer["markdown"] for answer in street.answers()] == ["x"]
