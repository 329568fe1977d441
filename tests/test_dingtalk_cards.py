"""DingTalk's cards: made once, changed in place, pressed by Stream, and a message where none can be."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from bot.platforms.base import Button, IncomingMessage, Outgoing, Press, SendFailed
from bot.platforms.dingtalk.adapter import DingTalk
from bot.platforms.models import Bot, Connection
from chatops_site.sandbox.dingtalk.robot import TEMPLATE
from tests.dingtalk_dial import Gateway, Noted, dialled, gateway_fixture, whole_gateway_fixture
from tests.dingtalk_street import now

__all__ = ["gateway_fixture", "whole_gateway_fixture"]

DELIVER = "/v1.0/card/instances/createAndDeliver"
UPDATE = "/v1.0/card/instances"
OFFER = Outgoing(
    "⏳ Merge **shop#233**",
    final=False,
    buttons=(Button("t0ken-1", "Merge", "primary"), Button("t0ken-2", "Hold")),
    key="chatops-7",
)
GROUP = {"conversation": "cid-release", "private": False, "staff_id": "user101"}
PRIVATE = {"conversation": "cid-private-zhangsan", "private": True, "staff_id": "user101"}


@pytest.fixture(name="robot")
def robot_fixture(gateway: Gateway) -> DingTalk:
    return gateway.robot(card_template=TEMPLATE)


def labels(message: dict[str, Any]) -> list[tuple[str, str]]:
    return [(button["id"], button["label"]) for button in message["buttons"]]


def test_only_with_a_template_there_are_buttons(gateway: Gateway, robot: DingTalk) -> None:
    plain = gateway.robot()
    assert (robot.updates_in_place, plain.updates_in_place) == (True, False)
    plain.send(GROUP, OFFER, now=now())
    assert gateway.calls(DELIVER) == 0
    assert [answer["by"] for answer in gateway.answers()] == ["group"]


@pytest.mark.parametrize(
    ("route", "place"), [(GROUP, "cid-release"), (PRIVATE, "cid-private-zhangsan")], ids=str
)
def test_a_reply_is_a_card_with_its_buttons(
    gateway: Gateway, robot: DingTalk, route: dict[str, Any], place: str
) -> None:
    track = robot.send(route, OFFER, now=now())
    (card,) = gateway.answers()
    assert (card["by"], card["card"], card["conversation"]) == ("card", track, place)
    assert card["markdown"] == "⏳ Merge **shop#233**"
    assert labels(card) == [("t0ken-1", "Merge"), ("t0ken-2", "Hold")]


def test_however_often_one_reply_is_tried_there_is_one_card(
    gateway: Gateway, robot: DingTalk
) -> None:
    gateway.faults.add("chat", mode="reset_after", path_regex="createAndDeliver")
    with pytest.raises(SendFailed) as caught:
        robot.send(GROUP, OFFER, now=now())
    assert caught.value.retryable
    assert robot.send(GROUP, OFFER, now=now()) == robot.send(GROUP, OFFER, now=now())
    assert len(gateway.answers()) == 1


def test_no_two_replies_share_a_card(gateway: Gateway, robot: DingTalk) -> None:
    other_key = Outgoing("x", key="chatops-8")
    no_key = Outgoing("x")
    tracks = [
        robot.send(GROUP, OFFER, now=now()),
        robot.send(GROUP | {"webhook": "of another message"}, OFFER, now=now()),
        robot.send(GROUP, other_key, now=now()),
        robot.send(GROUP, no_key, now=now()),
        robot.send(GROUP, no_key, now=now()),
    ]
    assert len(set(tracks)) == len(gateway.answers()) == 5


def test_a_later_message_takes_the_place_of_the_earlier_one(
    gateway: Gateway, robot: DingTalk
) -> None:
    track = robot.send(GROUP, OFFER, now=now())
    assert robot.update(GROUP, track, Outgoing("✅ Merged", key="chatops-8"), now=now()) == track
    (card,) = gateway.answers()
    assert (card["markdown"], card["changes"], labels(card)) == ("✅ Merged", 1, [])


def test_more_buttons_than_the_template_has_are_left_out(gateway: Gateway, robot: DingTalk) -> None:
    many = tuple(Button(f"t{n}", f"Button {n}") for n in range(9))
    robot.send(GROUP, Outgoing("x", buttons=many), now=now())
    assert [label for _token, label in labels(gateway.answers()[0])] == [
        f"Button {n}" for n in range(6)
    ]


def test_a_long_text_is_cut(gateway: Gateway, robot: DingTalk) -> None:
    robot.send(GROUP, Outgoing("line\n" * 2_000), now=now())
    assert len(gateway.answers()[0]["markdown"]) <= 4_000


# Where no card can be ----------------------------------------------------------------------------


def test_without_the_right_to_cards_it_is_a_message(
    gateway: Gateway, robot: DingTalk, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.stand.control("card_rights", {"granted": False})
    with caplog.at_level(logging.WARNING):
        robot.send(GROUP, OFFER, now=now())
    assert [answer["by"] for answer in gateway.answers()] == ["group"]
    assert "Card.Instance.Write" in caplog.text


def test_with_a_template_that_is_unknown_it_is_a_message(gateway: Gateway) -> None:
    robot = gateway.robot(card_template="another.schema")
    robot.send(PRIVATE, OFFER, now=now())
    assert [answer["by"] for answer in gateway.answers()] == ["person"]


def test_where_dingtalk_takes_the_card_and_shows_it_to_nobody_it_is_a_message(
    gateway: Gateway, robot: DingTalk, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SendFailed, match="openConversationId"):
        robot.send(GROUP | {"conversation": "cid-gone"}, OFFER, now=now())
    assert gateway.calls(DELIVER) == 1
    assert "spaceId" in caplog.text


def test_a_private_card_needs_a_staff_id(gateway: Gateway, robot: DingTalk) -> None:
    with pytest.raises(SendFailed, match="no staff id"):
        robot.send(PRIVATE | {"staff_id": ""}, OFFER, now=now())
    assert gateway.calls(DELIVER) == 0


def test_a_card_that_is_gone_is_followed_by_a_new_one(gateway: Gateway, robot: DingTalk) -> None:
    track = robot.send(GROUP, OFFER, now=now())
    gateway.stand.reset()
    later = robot.update(GROUP, track, Outgoing("✅ Merged", key="chatops-8"), now=now())
    assert later != track
    assert [answer["card"] for answer in gateway.answers()] == [later]


def test_what_was_no_card_is_followed_by_one(gateway: Gateway, robot: DingTalk) -> None:
    robot.update(GROUP, "a-process-query-key", OFFER, now=now())
    assert gateway.calls(UPDATE) == 0
    assert [answer["by"] for answer in gateway.answers()] == ["card"]


@pytest.mark.parametrize(
    "fault",
    [{"mode": "e429", "retry_after": 7}, {"mode": "status", "status": 502}, {"mode": "hang"}],
    ids=str,
)
def test_what_passes_by_itself_is_tried_again_as_a_card(
    gateway: Gateway, fault: dict[str, Any]
) -> None:
    robot = gateway.robot(card_template=TEMPLATE)
    track = robot.send(GROUP, OFFER, now=now())
    for method in ("POST", "PUT"):
        gateway.faults.add("chat", method=method, path_regex="card/instances", seconds=0.1, **fault)
    more = Outgoing("x", key="chatops-8")
    with pytest.raises(SendFailed) as sending:
        robot.send(GROUP, more, now=now())
    with pytest.raises(SendFailed) as updating:
        robot.update(GROUP, track, more, now=now())
    assert sending.value.retryable
    assert updating.value.retryable
    assert [answer["card"] for answer in gateway.answers()] == [track]


@pytest.mark.parametrize(
    "body",
    ["[]", "{}", '{"success": true, "result": []}', '{"result": {"deliverResults": [7, null]}}'],
)
def test_an_odd_answer_of_dingtalk_is_no_fault_of_ours(
    gateway: Gateway, robot: DingTalk, body: str
) -> None:
    gateway.faults.add("chat", mode="status", status=200, body=body, path_regex="createAndDeliver")
    assert robot.send(GROUP, OFFER, now=now()).startswith("chatops-")


# Pressing ----------------------------------------------------------------------------------------


@pytest.fixture(name="noted")
def noted_fixture(gateway: Gateway) -> Iterator[Noted]:
    noted = Noted()
    with dialled(gateway, noted):
        yield noted


def test_a_press_brings_the_button_s_token_and_whoever_pressed(
    gateway: Gateway, robot: DingTalk, noted: Noted
) -> None:
    robot.send(GROUP, OFFER, now=now())
    (card,) = gateway.answers()
    said = gateway.stand.press("lisi", card["n"], "Merge", {}).send()
    (press,) = noted.taken
    assert isinstance(press, Press)
    assert said["status"] == 200
    assert (press.token, press.sender.id) == ("t0ken-1", "user102")
    assert (press.conversation, press.private) == ("cid-release", False)


def test_the_answer_to_a_press_goes_where_the_card_is(
    gateway: Gateway, robot: DingTalk, noted: Noted
) -> None:
    for route in (GROUP, PRIVATE):
        robot.send(route, OFFER, now=now())
        card = gateway.answers()[-1]
        gateway.stand.press("zhangsan", card["n"], "t0ken-2", {}).send()
        press = noted.taken[-1]
        assert isinstance(press, Press)
        robot.send(press.route, Outgoing("⛔ No.", key="chatops-9"), now=now())
        assert gateway.answers()[-1]["conversation"] == card["conversation"]
    assert len(gateway.answers()) == 4


def test_two_presses_of_one_button_are_two(gateway: Gateway, robot: DingTalk, noted: Noted) -> None:
    robot.send(GROUP, OFFER, now=now())
    n = gateway.answers()[0]["n"]
    gateway.stand.press("lisi", n, "Merge", {}).send()
    gateway.stand.press("lisi", n, "Merge", {}).send()
    assert len({press.press_id for press in noted.taken if isinstance(press, Press)}) == 2


def test_with_webhooks_for_messages_a_press_still_comes_by_stream(
    gateway: Gateway, robot: DingTalk, noted: Noted
) -> None:
    robot.send(GROUP, OFFER, now=now())
    gateway.stand.choose_mode("http")
    try:
        gateway.stand.press("lisi", gateway.answers()[0]["n"], "Merge", {}).send()
    finally:
        gateway.stand.choose_mode("dialled")
    assert [type(one) for one in noted.taken] == [Press]


def test_a_press_that_nobody_listens_for_reaches_nobody(gateway: Gateway, robot: DingTalk) -> None:
    robot.send(GROUP, OFFER, now=now())
    said = gateway.stand.press("lisi", gateway.answers()[0]["n"], "Merge", {}).send()
    assert (said["status"], "no connection" in said["error"]) == (0, True)


def test_a_whole_conversation_by_stream(gateway: Gateway, robot: DingTalk, noted: Noted) -> None:
    said = gateway.say("/pr 233", conversation="cid-dev")
    (heard,) = noted.taken
    assert isinstance(heard, IncomingMessage)
    track = robot.send(heard.route, OFFER, now=now())
    robot.update(heard.route, track, Outgoing("✅ Done", key="chatops-8"), now=now())
    question = gateway.stand.talk.since(0)[0]
    assert (question["n"], question["delivery"]["stage"]) == (said["n"], "done")


@pytest.mark.django_db
def test_buttons_are_offered_while_a_connection_is_there_to_bring_the_presses() -> None:
    told = {"app_key": "k", "robot_code": "r", "corp_id": "c", "card_template": "t.schema"}
    bot = Bot.objects.create(name="ops", platform="dingtalk", settings=told)
    robot, moment = DingTalk(bot), now()
    without = robot.has_buttons
    line = Connection.objects.create(
        bot=bot, holder="host:1", state="connected", since=moment, at=moment
    )
    connected = robot.has_buttons
    Connection.objects.filter(pk=line.pk).update(at=moment - timedelta(minutes=1))

    assert (without, connected, robot.has_buttons) == (False, True, False)
