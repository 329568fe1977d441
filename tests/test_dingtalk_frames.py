"""What DingTalk's Stream brings: the vendor's vectors, messages and presses, and what is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from bot.platforms.base import Ignored, IncomingMessage, Parsed, Press, Rejected
from chatops_site.sandbox.dingtalk.robot import CORP
from tests.dingtalk_dial import (
    Dialled,
    Gateway,
    Noted,
    a_frame,
    dialled,
    gateway_fixture,
    line_fixture,
    noted_fixture,
    push,
    texts,
    whole_gateway_fixture,
)

__all__ = ["gateway_fixture", "line_fixture", "noted_fixture", "whole_gateway_fixture"]

CASES = json.loads(Path(__file__).with_name("cases").joinpath("dingtalk_stream.json").read_text())


# The vectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", CASES["vectors"], ids=lambda vector: vector["id"])
def test_it_judges_the_vectors_of_the_vendor_s_sdk(
    gateway: Gateway, noted: Noted, vector: dict[str, Any]
) -> None:
    frame = json.loads(vector["frames"][0]["text"])
    robot = gateway.robot(**_receiver_of(frame))
    with dialled(gateway, noted, robot=robot) as line:
        ack = push(gateway, vector["frames"][0]["text"], 0.4 if _is_farewell(frame) else 2.0)
        if _is_farewell(frame):
            assert "as soon as it was open" in line.lost().sentence
            return
    assert ack is not None
    assert ack["headers"]["messageId"] == frame["headers"]["messageId"]
    _JUDGED[vector["expect"]["verdict"]](vector, ack, noted.taken)


def _receiver_of(frame: dict[str, Any]) -> dict[str, str]:
    try:
        data = json.loads(frame["data"])
    except ValueError:
        return {}
    if not isinstance(data, dict):
        return {}
    corp = data.get("chatbotCorpId") or data.get("corpId") or CORP
    return {"corp_id": corp, "robot_code": data.get("robotCode", "r")}


def _is_farewell(frame: dict[str, Any]) -> bool:
    return (frame["type"], frame["headers"]["topic"]) == ("SYSTEM", "disconnect")


def _accepted(vector: dict[str, Any], ack: dict[str, Any], taken: list[Parsed | Rejected]) -> None:
    assert (ack["code"], ack["data"]) == (200, vector["oracle"]["ack"]["data"])
    (parsed,) = taken
    if vector["kind"] == "card_action":
        # Authentic, but the buttons of this one carry no token of ours.
        assert parsed == Ignored("not_our_button", ack["headers"]["messageId"])
        return
    assert isinstance(parsed, IncomingMessage)
    decoded = vector["expect"]["decoded"]
    left_out = {"text_raw", "command_text", "session_webhook_usable"}
    assert _told(parsed) == {name: decoded[name] for name in decoded if name not in left_out}


def _told(parsed: IncomingMessage) -> dict[str, Any]:
    return {
        "message_id": parsed.message_id,
        "text": parsed.text,
        "sender_id": parsed.sender.id or None,
        "sender_name": parsed.sender.name,
        "conversation_id": parsed.conversation,
        "conversation_type": "single" if parsed.private else "group",
        "session_webhook": parsed.route["webhook"],
        "session_webhook_expires_ms": parsed.route["expires"],
    }


def _only_acknowledged(
    vector: dict[str, Any], ack: dict[str, Any], taken: list[Parsed | Rejected]
) -> None:
    assert ack["code"] == vector["expect"]["decoded"]["ack_code"]
    assert json.loads(ack["data"]) == vector["expect"]["decoded"]["ack_data"]
    assert taken == []


def _left_alone(
    vector: dict[str, Any], ack: dict[str, Any], taken: list[Parsed | Rejected]
) -> None:
    assert (ack["code"], taken) == (404, [])


def _noted_only(
    vector: dict[str, Any], ack: dict[str, Any], taken: list[Parsed | Rejected]
) -> None:
    assert ack["code"] in (200, 400)
    assert [type(one) for one in taken] in ([Ignored], [Rejected])


_JUDGED = {
    "accept": _accepted,
    "ack_only": _only_acknowledged,
    "ignore": _left_alone,
    "error": _noted_only,
}


# Hostile frames ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        '{"type": "CALLBACK"}',
        '{"type": "CALLBACK", "headers": []}',
        '{"headers": {"messageId": 7}}',
        '{"headers": {"messageId": "a", "messageId": "b"}}',
        '{"headers": {"messageId": "\\ud800"}}',
        '{"headers": {"messageId": "' + "x" * 5_000 + '"}}',
        "[" * 20_000,
        '{"a": ' + "9" * 10_000 + "}",
        json.dumps({"headers": {"messageId": "a"}, "filler": [0] * 5_000}),
    ],
    ids=lambda text: text[:40],
)
def test_a_broken_frame_is_passed_over(
    gateway: Gateway, noted: Noted, line: Dialled, text: str
) -> None:
    assert push(gateway, text, 0.1) is None
    assert gateway.say("/help")["status"] == 200
    assert texts(noted) == ["/help"]


@pytest.mark.parametrize(
    "data",
    ["", "nonsense", "[1]", "null", '"\\ud800"', "\ud800", "{" * 9_000, '{"a": 1, "a": 2}', "{}"],
    ids=ascii,
)
@pytest.mark.parametrize(
    "topic", ["/v1.0/im/bot/messages/get", "/v1.0/card/instances/callback"], ids=["message", "card"]
)
def test_broken_data_is_noted_and_acknowledged(
    gateway: Gateway, noted: Noted, line: Dialled, data: str, topic: str
) -> None:
    ack = push(gateway, a_frame(data, topic=topic))
    assert ack is not None
    assert ack["code"] == 400
    assert [type(one) for one in noted.taken] in ([Ignored], [Rejected])


def test_a_frame_that_is_far_too_large_ends_the_connection(
    gateway: Gateway, noted: Noted, line: Dialled
) -> None:
    push(gateway, a_frame({"text": "x" * 1_200_000}), 0.1)
    assert "1009" in line.lost().sentence or "ended" in line.lost().sentence
    assert noted.taken == []


def test_an_event_that_nobody_wants_is_acknowledged_so_that_it_does_not_come_again(
    gateway: Gateway, noted: Noted, line: Dialled
) -> None:
    ack = push(gateway, a_frame({}, topic="*", type="EVENT"))
    assert ack is not None
    assert (ack["code"], json.loads(ack["data"])) == (200, {"status": "SUCCESS"})
    assert noted.taken == []


# Buttons -----------------------------------------------------------------------------------------

PRESS = {
    "corpId": CORP,
    "userId": "user102",
    "userIdType": 1,
    "type": "actionCallback",
    "spaceType": "IM_GROUP",
    "spaceId": "cid-release",
    "outTrackId": "chatops-1",
    "content": json.dumps({"cardPrivateData": {"params": {"button": "t0ken"}}}),
}


def pressed(gateway: Gateway, **changes: Any) -> dict[str, Any] | None:
    return push(gateway, a_frame(PRESS | changes, topic="/v1.0/card/instances/callback"))


def test_a_pressed_button_comes_with_its_token_and_whoever_pressed(
    gateway: Gateway, noted: Noted, line: Dialled
) -> None:
    ack = pressed(gateway)
    (press,) = noted.taken
    assert isinstance(press, Press)
    assert (press.token, press.press_id) == ("t0ken", "frame-1")
    assert (press.sender.tenant, press.sender.id) == (CORP, "user102")
    assert (press.conversation, press.private) == ("cid-release", False)
    assert press.route["card"] == "chatops-1"
    assert ack is not None
    assert (ack["code"], json.loads(ack["data"])) == (200, {"response": {}})


def test_of_a_private_card_no_conversation_is_told(
    gateway: Gateway, noted: Noted, line: Dialled
) -> None:
    pressed(gateway, spaceType="IM_ROBOT", spaceId="user102")
    (press,) = noted.taken
    assert isinstance(press, Press)
    assert (press.conversation, press.private, press.route["staff_id"]) == ("", True, "user102")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"corpId": "other"}, "wrong_tenant"),
        ({"corpId": None}, "wrong_tenant"),
        ({"userIdType": 2}, "user_id_type"),
        ({"userId": ""}, "schema"),
        ({"userId": ["user102"]}, "schema"),
        ({"content": "{oops"}, "schema"),
        ({"content": None}, "schema"),
        ({"content": json.dumps({"cardPrivateData": {"params": {"button": 7}}})}, "schema"),
        ({"content": json.dumps({"cardPrivateData": {"params": []}})}, "schema"),
        ({"content": "{}"}, "not_our_button"),
        ({"outTrackId": None}, "schema"),
    ],
    ids=str,
)
def test_a_press_that_cannot_be_believed_is_noted_and_nothing_more(
    gateway: Gateway, noted: Noted, line: Dialled, changes: dict[str, Any], reason: str
) -> None:
    pressed(gateway, **changes)
    assert [one.reason for one in noted.taken if isinstance(one, Ignored | Rejected)] == [reason]
