"""Answers of WeCom's aibot, over real HTTP to the sandbox's stand-in: one, for an hour, to WeCom alone."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from bot.platforms.base import Button, Outgoing, SendFailed
from bot.platforms.wecom.aibot import WeComAibot
from chatops_site.sandbox.wecom.aibot import TOKEN
from tests.loopback import Serve, answer_with, serving
from tests.wecom_street import Street, aibot, aibot_street, now

serve = pytest.fixture(serving)

BUTTONS = (Button("token-yes", "Confirm", "primary"), Button("token-no", "Deny", "danger"))
QUESTION = Outgoing("❓ Deploy myservice to production\nrun 7", buttons=BUTTONS)


@pytest.fixture(name="ai")
def ai_fixture() -> Iterator[Street]:
    with aibot_street() as street:
        yield street


def failure(platform: WeComAibot, route: dict[str, Any], text: str = "x") -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        platform.send(route, Outgoing(text), now=now())
    return caught.value


def test_the_result_is_posted_once_to_the_address_that_came_along(ai: Street) -> None:
    heard, platform = ai.hear("/merge 233", conversation="cid-release"), aibot(ai.origin)
    for progress in (Outgoing("⏳", final=False), Outgoing("⏳", final=False, buttons=BUTTONS)):
        assert platform.send(heard.route, progress, now=now()) == ""
    assert platform.send(heard.route, Outgoing("✅ Merged **it** \\#1"), now=now()) == ""
    posted = [one for one in ai.answers() if one["by"] == "response_url"]
    assert [one["markdown"] for one in posted] == ["✅ Merged **it** \\#1"]
    assert posted[0]["conversation"] == "cid-release"
    again = failure(platform, heard.route)
    assert not again.retryable
    assert "used up" in again.sentence


def test_a_question_goes_out_as_a_card_and_its_press_brings_an_address_of_its_own(
    ai: Street,
) -> None:
    heard, platform = ai.hear("/deploy myservice", conversation="cid-release"), aibot(ai.origin)
    platform.send(heard.route, QUESTION, now=now())
    card = ai.answers()[-1]
    assert [button["id"] for button in card["buttons"]] == ["token-yes", "token-no"]
    press = ai.press(card["n"], "token-yes", person="lisi")
    assert (press.token, press.sender.id) == ("token-yes", "lisi")
    platform.send(press.route, Outgoing("✅ Deployed"), now=now())
    assert ai.answers()[-1]["markdown"] == "✅ Deployed"


def test_what_a_card_cannot_hold_is_sent_without_buttons(ai: Street) -> None:
    heard, platform = ai.hear(), aibot(ai.origin)
    text = "❓ Deploy\n```\nlog\n```"
    platform.send(heard.route, Outgoing(text, buttons=BUTTONS), now=now())
    assert ai.answers()[-1]["markdown"] == text
    assert ai.answers()[-1]["buttons"] == []


def test_after_an_hour_there_is_no_way_to_answer(ai: Street) -> None:
    heard, platform = ai.hear(), aibot(ai.origin)
    with pytest.raises(SendFailed, match="one hour") as caught:
        platform.send(heard.route, Outgoing("late"), now=now() + timedelta(hours=1))
    assert not caught.value.retryable
    assert "/cgi-bin/aibot/response" not in ai.calls()


def test_a_busy_wecom_is_asked_again(ai: Street) -> None:
    heard, platform = ai.hear(), aibot(ai.origin)
    ai.stand.control("busy", {"times": 1})
    assert failure(platform, heard.route).retryable
    platform.send(heard.route, Outgoing("x"), now=now())
    assert ai.answers()[-1]["markdown"] == "x"


ELSEWHERE = [
    "https://qyapi.weixin.qq.com.evil.example/cgi-bin/aibot/response?response_code=x",
    "https://qyapi.weixin.qq.com@evil.example/cgi-bin/aibot/response?response_code=x",
    "https://evil.example\\@qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=x",
    "https://user:pw@qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=x",
    "http://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=x",
    "HTTPS://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=x",
    "https://qyapi.weixin.qq.com:443/cgi-bin/aibot/response?response_code=x",
    "https://qyapi.weixin.qq.com/cgi-bin/message/send?response_code=x",
    "https://qyapi.weixin.qq.com/cgi-bin/aibot/response/../send?response_code=x",
    "https://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=x#y",
    "https://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=x&y=z",
    "https://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=",
    "//qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=x",
    "file:///etc/passwd",
    "",
]


@pytest.mark.parametrize("address", [*ELSEWHERE, None, 7, ["x"]])
@pytest.mark.parametrize("base", ["", "http://127.0.0.1:1"])
def test_an_answer_never_goes_where_a_body_wants_it(address: object, base: str) -> None:
    route = {"response_url": address, "expires": int(now().timestamp()) + 99}
    failed = failure(aibot(base), route)
    assert not failed.retryable
    assert "named no address" in failed.sentence


def test_an_answer_goes_to_the_vendor_or_to_where_the_bot_is_set(ai: Street, serve: Serve) -> None:
    trap = serve(answer_with(b'{"errcode":0}'))
    heard = ai.hear()
    path = heard.route["response_url"].removeprefix(ai.origin)
    route = heard.route | {"response_url": trap.url + path}
    assert "named no address" in failure(aibot(ai.origin), route).sentence
    assert trap.calls == []
    aibot(trap.url).send(route, Outgoing("x"), now=now())
    assert len(trap.calls) == 1


def test_the_answer_s_code_is_not_told(ai: Street, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    heard, platform = ai.hear(), aibot(ai.origin)
    response = heard.route["response_url"].partition("=")[2]
    ai.faults.add("chat", mode="reset_before", path_regex="response$")
    failed = failure(platform, heard.route)
    assert failed.retryable
    ai.stand.control("end_sessions", {})
    ended = failure(platform, heard.route)
    assert not ended.retryable
    assert response not in failed.sentence + ended.sentence + caplog.text
    assert TOKEN not in caplog.text
