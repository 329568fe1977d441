"""The chat stand-in: genuine and tampered messages, and what the chat page is told."""

import threading
import time
from typing import Any

import pytest
import requests

from bot.platforms.base import IncomingMessage, Outgoing
from chatops_site.sandbox.dingtalk.robot import CORP
from tests.dingtalk_street import Street, now, street_fixture, whole_street_fixture

__all__ = ["street_fixture", "whole_street_fixture"]


def test_the_stand_in_s_messages_are_genuine(street: Street) -> None:
    heard = street.hear("/merge 233", person="lisi")
    assert heard.text == "/merge 233"
    assert (heard.sender.tenant, heard.sender.id, heard.sender.name) == (CORP, "user102", "李四")
    assert (heard.conversation, heard.conversation_name) == ("cid-release", "发布群")
    assert not heard.private
    assert street.hear(conversation="private").private


@pytest.mark.parametrize(
    ("tamper", "status"),
    [
        ({"seconds": -3_599}, 200),
        ({"seconds": -3_601}, 401),
        ({"seconds": 3_605}, 401),
        ({"secret": "other"}, 401),
        ({"headers": {"sign": None}}, 401),
        ({"headers": {"Content-Type": "text/plain"}}, 415),
        ({"body": {"robotCode": "other"}}, 401),
        ({"raw_body": "[1,2]"}, 400),
    ],
    ids=str,
)
def test_a_tampered_message_meets_the_answer_it_deserves(
    street: Street, tamper: dict[str, Any], status: int
) -> None:
    said = street.say(tamper=tamper)
    assert said["status"] == status
    assert said["milliseconds"] > 0


def test_a_message_can_be_replayed_or_its_signature_reused(street: Street) -> None:
    first = street.say("/help")
    street.say(tamper={"replay": first["message_id"]})
    street.say("/deploy prod", tamper={"reuse_signature": first["message_id"]})
    heard = street.stub.received
    assert heard[0] == heard[1]
    first_proof, second_proof = heard[0].proof, heard[2].proof
    assert first_proof is not None
    assert second_proof is not None
    assert first_proof.signature_digest == second_proof.signature_digest
    assert heard[2].text == "/deploy prod"


def test_one_message_can_be_delivered_many_times_at_once(street: Street) -> None:
    said = street.say(times=20)
    assert said["statuses"] == [200] * 20
    assert len({heard.message_id for heard in street.stub.received}) == 1


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"person": "nobody"}, "There is nobody 'nobody' here"),
        ({"conversation": "cid-x"}, "no conversation 'cid-x'"),
        ({"conversation": "cid-private-lisi"}, "alone"),
        ({"tamper": {"magic": 1}}, "tamper has no magic"),
        ({"tamper": {"replay": "gone"}}, "No message 'gone'"),
        ({"times": 0}, "times is a number"),
    ],
)
def test_a_wish_that_makes_no_sense_is_told_and_leaves_no_message(
    street: Street, wish: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        street.say("/help", **{"person": "zhangsan", **wish})
    assert street.chat.control("messages", {})["messages"] == []


def test_the_page_sees_a_message_from_sending_to_done(street: Street) -> None:
    status, state = street.ask("GET", "/chat/state")
    assert status == 200
    assert {person["id"] for person in state["people"]} >= {"zhangsan", "stranger"}
    assert state["forge"]["repositories"][0]["pulls"][0]["number"] == 233

    body = {"person": "zhangsan", "conversation": "cid-dev", "text": "/help"}
    assert street.ask("POST", "/chat/say", body)[0] == 200
    street.platform.send(_first(street).route, Outgoing("⏳ under way"), now=now())
    assert _stage(street) == "running"
    street.platform.send(street.stub.received[0].route, Outgoing("✅ done"), now=now())
    assert _stage(street) == "done"


def _first(street: Street) -> IncomingMessage:
    end = time.monotonic() + 5
    while not street.stub.received and time.monotonic() < end:
        time.sleep(0.005)
    return street.stub.received[0]


def _stage(street: Street) -> str:
    messages = street.ask("GET", "/chat/events?since=0")[1]["messages"]
    return str(next(one for one in messages if one["from"] != "bot")["delivery"]["stage"])


def test_a_waiting_page_is_answered_as_soon_as_something_happens(street: Street) -> None:
    seq = street.ask("GET", "/chat/events?since=0")[1]["seq"]
    timer = threading.Timer(0.1, street.say)
    began = time.monotonic()
    timer.start()
    answer = street.ask("GET", f"/chat/events?since={seq}")[1]
    assert [one["text"] for one in answer["messages"]] == ["/help"]
    assert 0.05 < time.monotonic() - began < 2
    timer.join()


def test_a_reset_sends_waiting_pages_back_to_the_start(street: Street) -> None:
    street.say()
    seq = street.ask("GET", "/chat/events?since=0")[1]["seq"]
    street.chat.control("reset", {"state": "demo"})
    assert street.ask("GET", f"/chat/events?since={seq}")[1]["seq"] < seq
    assert street.ask("GET", "/chat/state")[1]["messages"] == []


def test_a_page_of_another_site_cannot_speak_here(street: Street) -> None:
    body = {"person": "zhangsan", "conversation": "cid-dev", "text": "/deploy"}
    assert street.ask("POST", "/chat/say", body, Origin="https://evil.example")[0] == 403
    assert street.ask("POST", "/chat/say", body, Host="evil.example")[0] == 403
    assert street.ask("POST", "/chat/say", {"person": "x"})[0] == 400
    assert street.chat.control("messages", {})["messages"] == []


@pytest.mark.parametrize("path", ["/", "/static/chat.js", "/static/chat.css"])
def test_the_page_s_files_are_served_under_a_strict_policy(street: Street, path: str) -> None:
    answer = requests.get(street.origin + path, timeout=5)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    ["/static/../chat.py", "/static/%2e%2e%2fchat.py", "/static/x.js", "/static/", "/v1.0/x"],
)
def test_nothing_else_is_served(street: Street, path: str) -> None:
    assert street.ask("GET", path)[0] == 404


def test_a_portal_that_is_down_is_told_as_unreachable() -> None:
    street = Street()
    street.close()
    said = street.say()
    assert (said["status"], bool(said["error"])) == (0, True)
    message = street.chat.control("messages", {})["messages"][0]
    assert message["delivery"]["stage"] == "unreachable"
