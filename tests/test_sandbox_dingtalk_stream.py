"""The stand-in's Stream and cards: with the vendor's own client, and where that one does not look."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from bot.platforms.base import Button, Outgoing
from chatops_site.sandbox.dingtalk.robot import APP_KEY, APP_SECRET, TEMPLATE
from tests.dingtalk_dial import HERE, Gateway, eventually, gateway_fixture, whole_gateway_fixture
from tests.dingtalk_street import now

__all__ = ["gateway_fixture", "whole_gateway_fixture"]

SDK = Path(__file__).with_name("dingtalk_sdk.py")
ALL = [{"type": "CALLBACK", "topic": "/v1.0/im/bot/messages/get"}, {"type": "EVENT", "topic": "*"}]


# The vendor's client -----------------------------------------------------------------------------


class Sdk:
    """The vendor's client at work in a process of its own."""

    def __init__(self, gateway: Gateway) -> None:
        told = {"APP_KEY": APP_KEY, "APP_SECRET": APP_SECRET}
        self._process = subprocess.Popen(
            [sys.executable, str(SDK)],
            env={**os.environ, **told, "DINGTALK_OPENAPI_ENDPOINT": gateway.origin},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> dict[str, Any]:
        return self._lines.get(timeout=10)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))


@pytest.fixture(scope="module", name="whole_sdk")
def whole_sdk_fixture(whole_gateway: Gateway) -> Iterator[Sdk]:
    made = Sdk(whole_gateway)
    yield made
    made.end()
    assert eventually(lambda: whole_gateway.stand.connected() == 0)


@pytest.fixture(name="sdk")
def sdk_fixture(gateway: Gateway, whole_sdk: Sdk) -> Sdk:
    assert eventually(lambda: gateway.stand.connected() == 1, 20)
    return whole_sdk


def test_the_vendor_s_client_hears_and_answers(gateway: Gateway, sdk: Sdk) -> None:
    said = gateway.say("/prs", person="lisi")
    assert sdk.next() == {"heard": "/prs", "by": "user102", "nick": "李四"}
    assert sdk.next() == {"replied": {"errcode": 0, "errmsg": "ok"}}
    assert said["status"] == 200
    (answer,) = gateway.answers()
    assert (answer["text"], answer["mentions"]) == ("You said /prs", ["lisi"])


def test_the_vendor_s_client_reads_a_press_and_changes_the_card(gateway: Gateway, sdk: Sdk) -> None:
    route = {"conversation": "cid-release", "private": False, "staff_id": "user101"}
    robot = gateway.robot(card_template=TEMPLATE)
    robot.send(route, Outgoing("Merge?", buttons=(Button("t0ken", "Merge"),)), now=now())
    said = gateway.stand.press("lisi", gateway.answers()[0]["n"], "Merge", {}).send()
    assert sdk.next() == {"pressed": {"button": "t0ken"}, "by": "user102"}
    assert said["status"] == 200
    (card,) = gateway.answers()
    assert (card["markdown"], [one["label"] for one in card["buttons"]]) == ("Pressed", ["Merge"])


def test_the_vendor_s_client_answers_pings_and_takes_events(gateway: Gateway, sdk: Sdk) -> None:
    gateway.stand.control("ping_every", {"seconds": 0.05})
    gateway.say("/help")
    assert eventually(lambda: [ack for ack in gateway.acks() if "opaque" in ack["data"]])
    assert "heard" in sdk.next()
    assert "replied" in sdk.next()
    assert gateway.stand.control("event", {"data": {"a": 1}})["status"] == 200
    assert sdk.next() == {"event": {"a": 1}}


def test_the_vendor_s_client_comes_again_when_it_is_sent_away(gateway: Gateway, sdk: Sdk) -> None:
    gateway.stand.control("disconnect", {"seconds": 0.1})
    assert gateway.stand.connected() == 0
    assert eventually(lambda: gateway.stand.connected() == 1, 15)
    assert gateway.say("/help")["status"] == 200


# Tickets and lines -------------------------------------------------------------------------------


def open_ticket(gateway: Gateway, subscriptions: object = ALL) -> str:
    body = {"clientId": APP_KEY, "clientSecret": APP_SECRET, "subscriptions": subscriptions}
    url = f"{gateway.origin}/v1.0/gateway/connections/open"
    told: dict[str, str] = requests.post(url, json=body, timeout=5).json()
    return f"{told['endpoint']}?ticket={told['ticket']}"


def is_taken(address: str) -> bool:
    """Whether the line stays: a refused ticket is told by a close."""
    with connect(address, proxy=None) as line:
        try:
            line.recv(timeout=0.2)
        except TimeoutError:
            return True
        except ConnectionClosed:
            return False
        return True


@pytest.fixture(name="quiet")
def quiet_fixture() -> Iterator[Gateway]:
    """A stand-in of its own, without the vendor's client on it."""
    made = Gateway()
    yield made
    made.close()


def test_a_ticket_opens_one_connection_within_ninety_seconds(quiet: Gateway) -> None:
    first, second = open_ticket(quiet), open_ticket(quiet)
    assert is_taken(first)
    assert not is_taken(first)
    quiet.clock.advance(91)
    assert not is_taken(second)
    assert not is_taken(second.partition("?")[0])


def test_no_ticket_without_the_secret(quiet: Gateway) -> None:
    body = {"clientId": APP_KEY, "clientSecret": "wrong", "subscriptions": ALL}
    url = f"{quiet.origin}/v1.0/gateway/connections/open"
    answer = requests.post(url, json=body, timeout=5)
    assert answer.status_code == 401
    assert "ticket" not in answer.json()


def acknowledge(line: Connection, **data: str) -> None:
    headers = {"messageId": json.loads(line.recv(timeout=2))["headers"]["messageId"]}
    line.send(json.dumps({"code": 200, "headers": headers, "data": json.dumps(data)}))


def test_an_event_comes_again_until_it_is_acknowledged(quiet: Gateway) -> None:
    with connect(open_ticket(quiet), proxy=None) as line:
        pushed = threading.Thread(target=quiet.stand.control, args=("event", {"data": {"a": 1}}))
        assert eventually(lambda: quiet.stand.connected() == 1)
        pushed.start()
        acknowledge(line, status="LATER")
        acknowledge(line, status="SUCCESS")
        pushed.join()
        with pytest.raises(TimeoutError):
            line.recv(timeout=0.4)


def test_who_did_not_subscribe_gets_no_messages(quiet: Gateway) -> None:
    with connect(open_ticket(quiet, [{"type": "EVENT", "topic": "*"}]), proxy=None):
        assert eventually(lambda: quiet.stand.connected() == 1)
        said = quiet.say("/help")
    assert (said["status"], "no connection" in said["error"]) == (0, True)


def test_a_line_that_ends_before_its_acknowledgement_leaves_the_message_unheard(
    quiet: Gateway,
) -> None:
    line = connect(open_ticket(quiet), proxy=None)
    assert eventually(lambda: quiet.stand.connected() == 1)
    delivery = quiet.stand.say("zhangsan", "cid-dev", "/help", {})
    delivery.send_later()
    line.recv(timeout=2)
    line.close()
    assert eventually(lambda: delivery.message["delivery"]["stage"] == "unreachable")


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"tamper": {"secret": "x"}}, "no signature"),
        ({"tamper": {"magic": 1}}, "tamper has no magic"),
    ],
)
def test_a_stream_s_message_has_no_signature_to_tamper_with(
    quiet: Gateway, wish: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        quiet.say(**wish)


def test_an_operation_that_there_is_not_is_told(quiet: Gateway) -> None:
    with pytest.raises(ValueError, match="no operation 'magic'"):
        quiet.stand.control("magic", {})
    with pytest.raises(ValueError, match="no connection"):
        quiet.stand.control("frame", {"text": "{}"})


# Cards -------------------------------------------------------------------------------------------


def a_card(**changes: Any) -> dict[str, Any]:
    card = {
        "cardTemplateId": TEMPLATE,
        "outTrackId": "track-1",
        "callbackType": "STREAM",
        "cardData": {"cardParamMap": {"text": "x", "button_1_label": "Go", "button_1_token": "t"}},
        "openSpaceId": "dtv1.card//IM_GROUP.cid-dev",
        "imGroupOpenDeliverModel": {"robotCode": "dingdemorobot"},
    }
    return card | changes


def put_up(gateway: Gateway, card: object, method: str = "POST") -> requests.Response:
    body = {"appKey": APP_KEY, "appSecret": APP_SECRET}
    url = f"{gateway.origin}/v1.0/oauth2/accessToken"
    token = requests.post(url, json=body, timeout=5).json()["accessToken"]
    path = "/createAndDeliver" if method == "POST" else ""
    headers = {"x-acs-dingtalk-access-token": token}
    place = f"{gateway.origin}/v1.0/card/instances{path}"
    return requests.request(method, place, json=card, headers=headers, timeout=5)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cardTemplateId": "other"}, "param.cardTemplateIdNotExist"),
        ({"outTrackId": ""}, "param.outTrackIdEmpty"),
        ({"callbackType": "HTTP"}, "param.invalid"),
        ({"cardData": {"cardParamMap": {"text": 7}}}, "param.invalid"),
        ({"cardData": None}, "param.invalid"),
        ({"imGroupOpenDeliverModel": {"robotCode": "other"}}, "chatbotNotFound"),
    ],
    ids=str,
)
def test_a_card_that_is_none_is_refused(quiet: Gateway, changes: dict[str, Any], code: str) -> None:
    answer = put_up(quiet, a_card(**changes))
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert quiet.answers() == []


def test_a_card_for_nobody_is_taken_and_not_delivered(quiet: Gateway) -> None:
    answer = put_up(quiet, a_card(openSpaceId="dtv1.card//IM_GROUP.cid-gone"))
    (row,) = answer.json()["result"]["deliverResults"]
    assert (answer.status_code, row["success"], quiet.answers()) == (200, False, [])


def test_a_change_names_what_changes(quiet: Gateway) -> None:
    put_up(quiet, a_card())
    change = {"outTrackId": "track-1", "cardData": {"cardParamMap": {"text": "y"}}}
    assert put_up(quiet, change, "PUT").json() == {"success": True, "result": True}
    (card,) = quiet.answers()
    assert (card["markdown"], len(card["buttons"]), card["changes"]) == ("y", 1, 1)
    assert put_up(quiet, change | {"outTrackId": "other"}, "PUT").status_code == 400
    assert put_up(quiet, {"outTrackId": "track-1"}, "PUT").status_code == 400


def test_cards_take_a_token(quiet: Gateway) -> None:
    url = f"{quiet.origin}/v1.0/card/instances"
    assert requests.put(url, json=a_card(), timeout=5).status_code == 401
    assert requests.post(f"{url}/createAndDeliver", json=a_card(), timeout=5).status_code == 401


@pytest.mark.parametrize(
    ("person", "button", "sentence"),
    [("lisi", "Stop", "no button 'Stop'"), ("nobody", "Go", "nobody 'nobody'")],
)
def test_only_what_is_there_can_be_pressed(
    quiet: Gateway, person: str, button: str, sentence: str
) -> None:
    put_up(quiet, a_card())
    n = quiet.answers()[0]["n"]
    with pytest.raises(ValueError, match=sentence):
        quiet.stand.press(person, n, button, {})
    with pytest.raises(ValueError, match="is no card"):
        quiet.stand.press("lisi", n + 1, "Go", {})


def test_a_private_card_is_pressed_by_its_person_alone(quiet: Gateway) -> None:
    model = {"spaceType": "IM_ROBOT", "robotCode": "dingdemorobot"}
    space = {"openSpaceId": "dtv1.card//IM_ROBOT.user101", "imRobotOpenDeliverModel": model}
    put_up(quiet, {**a_card(**space), "imGroupOpenDeliverModel": None})
    n = quiet.answers()[0]["n"]
    with pytest.raises(ValueError, match="alone"):
        quiet.stand.press("lisi", n, "Go", {})
    assert quiet.stand.press("zhangsan", n, "Go", {}).message["pressed"] == n


def test_paths_of_others_are_left_to_them() -> None:
    gateway = Gateway()
    assert requests.get(f"{gateway.origin}/v1.0/nothing", timeout=5).json()["code"]
    assert requests.get(f"{gateway.origin}/other", timeout=5).json() == {}
    gateway.close()
    assert gateway.origin.startswith(HERE)
