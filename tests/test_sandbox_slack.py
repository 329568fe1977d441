"""The Slack stand-in: judged by Slack's own SDK on one side, and by our adapter on the other."""

import json
import threading
from typing import Any

import pytest
import requests
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web import WebClient
from slack_sdk.webhook import WebhookClient

from bot.platforms.base import Button, IncomingMessage, Outgoing, Press
from chatops_site.sandbox.slack.app import APP_TOKEN, BOT_TOKEN, BOT_USER, SIGNING_SECRET, TEAM
from tests.slack_street import Street, now, street_fixture, wait_for, whole_street_fixture

__all__ = ["street_fixture", "whole_street_fixture"]

SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "*b* <https://x/|l> &lt;"}}


def client(street: Street, token: str = BOT_TOKEN, **more: Any) -> WebClient:
    return WebClient(token=token, base_url=f"{street.origin}/api/", **more)


def refusal(street: Street, method: str, token: str = BOT_TOKEN, **body: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        client(street, token).api_call(method, json=body)
    return str(caught.value.response["error"])


# What comes to the portal ------------------------------------------------------------------------


def test_its_messages_are_genuine(street: Street) -> None:
    heard = street.hear("/merge 233", person="lisi")
    assert (heard.text, heard.slash, heard.private) == ("/merge 233", "", False)
    assert (heard.sender.tenant, heard.sender.id) == (TEAM, "U0LISI")
    assert heard.conversation == "C0RELEASE"
    private = street.hear("a <b> &amp; c", person="lisi", conversation="private")
    assert (private.text, private.private, private.conversation) == (
        "a <b> &amp; c",
        True,
        "D0LISI",
    )


def test_slack_s_own_verifier_believes_it(street: Street) -> None:
    street.say("/merge 233")
    street.say("/ops merge 233")
    verifier = SignatureVerifier(SIGNING_SECRET)
    for request in street.stub.requests:
        assert verifier.is_valid_request(request.body, dict(request.headers))


def test_what_begins_with_the_registered_command_is_a_slash_command(street: Street) -> None:
    heard = street.hear("/ops merge 233")
    assert (heard.slash, heard.text, heard.conversation_name) == ("/ops", "merge 233", "发布群")
    assert street.hear("/ops").text == ""
    assert street.hear("/opsmerge 233").slash == ""


@pytest.mark.parametrize("text", ["/merge 233", "/ops merge 233"])
@pytest.mark.parametrize(
    ("tamper", "status"),
    [
        ({"seconds": -299}, 200),
        ({"seconds": -302}, 401),
        ({"seconds": 303}, 401),
        ({"secret": "other"}, 401),
        ({"headers": {"X-Slack-Signature": None}}, 401),
        ({"headers": {"Content-Type": "text/plain"}}, 415),
        ({"body": {"team_id": "T0OTHER"}}, 401),
        ({"raw_body": "payload=x"}, 400),
    ],
    ids=str,
)
def test_a_tampered_message_meets_the_answer_it_deserves(
    street: Street, text: str, tamper: dict[str, Any], status: int
) -> None:
    assert street.say(text, tamper=tamper)["status"] == status


def test_a_message_can_be_replayed_or_its_signature_reused(street: Street) -> None:
    first = street.say("/help")
    assert street.say(tamper={"replay": first["message_id"]})["status"] == 200
    stolen = {"reuse_signature": first["message_id"]}
    assert street.say("/deploy prod", tamper=stolen)["status"] == 401
    one, again = street.stub.received
    assert one == again
    assert isinstance(one, IncomingMessage)
    assert one.message_id == first["message_id"]


def test_slack_sends_again_what_was_not_answered(street: Street) -> None:
    said = street.say("/help")
    for num in (1, 2, 3):
        told = {"message_id": said["message_id"], "num": num, "reason": "http_timeout"}
        assert street.slack.control("resend", told)["status"] == 200
    assert len({json.dumps(str(one)) for one in street.stub.received}) == 1
    assert [one.headers.get("x-slack-retry-num") for one in street.stub.requests] == [
        None, "1", "2", "3",
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["http", "dialled"])
@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"person": "nobody"}, "There is nobody 'nobody' here"),
        ({"conversation": "cid-x"}, "no conversation 'cid-x'"),
        ({"conversation": "cid-private-lisi"}, "alone"),
        ({"tamper": {"magic": 1}}, "tamper has no magic"),
        ({"tamper": {"replay": "gone"}}, "No message 'gone'|no signature"),
    ],
)
def test_a_wish_that_makes_no_sense_is_told_and_leaves_no_message(
    street: Street, mode: str, wish: dict[str, Any], sentence: str
) -> None:
    street.slack.choose_mode(mode)
    with pytest.raises(ValueError, match=sentence):
        street.say("/help", **{"person": "zhangsan", **wish})
    assert street.slack.talk.since(0) == []


def test_an_unknown_operation_is_told(street: Street) -> None:
    with pytest.raises(ValueError, match="no operation 'magic'"):
        street.slack.control("magic", {})
    with pytest.raises(ValueError, match="No message"):
        street.slack.control("resend", {"message_id": "x"})


def test_a_press_carries_what_the_button_holds(street: Street) -> None:
    route = street.hear().route
    buttons = (Button("token-1", "Approve"), Button("token-2", "Cancel", "danger"))
    street.platform.send(route, Outgoing("⏳ wait", buttons=buttons), now=now())
    n = street.answers()[0]["n"]
    pressed = street.press(n, "Cancel", person="lisi")
    assert (pressed.token, pressed.sender.id) == ("token-2", "U0LISI")
    assert (pressed.conversation, pressed.private) == ("C0RELEASE", False)
    assert street.press(n, "token-1").token == "token-1"
    with pytest.raises(ValueError, match="no button 'Merge'"):
        street.press(n, "Merge")


def test_a_press_can_be_answered_by_its_own_address(street: Street) -> None:
    street.platform.send(street.hear().route, Outgoing("x", buttons=(Button("t", "A"),)), now=now())
    pressed = street.press(street.answers()[0]["n"], "A")
    street.slack.control("not_in_channel", {"conversation": "cid-release"})
    street.platform.send(pressed.route, Outgoing("✅ done"), now=now())
    assert street.answers()[-1]["by"] == "response_url"


def test_the_page_sees_a_message_from_sending_to_done(street: Street) -> None:
    heard = street.hear()
    sent = street.platform.send(heard.route, Outgoing("⏳ under way"), now=now())
    assert stage(street) == "running"
    street.platform.update(heard.route, sent, Outgoing("✅ done"), now=now())
    assert stage(street) == "done"


def stage(street: Street) -> str:
    return str(street.slack.talk.since(0)[0]["delivery"]["stage"])


# Its API, as Slack's SDK calls it ----------------------------------------------------------------


def test_the_sdk_posts_and_changes_a_message(street: Street) -> None:
    web = client(street)
    posted = web.chat_postMessage(channel="C0RELEASE", text="hi", blocks=[SECTION])
    web.chat_update(channel="C0RELEASE", ts=str(posted["ts"]), text="changed")
    (answer,) = street.answers()
    assert (answer["markdown"], answer["changes"]) == ("changed", 1)


def test_the_page_gets_its_own_markdown(street: Street) -> None:
    text = "hi <@U0LISI> *b* <https://x/?a=1&amp;b=2|l> `a &lt; b` a_b &amp; &lt;c&gt;\n```\n&lt;x&gt;\n```"
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    client(street).chat_postMessage(channel="C0RELEASE", blocks=[section], text="x")
    assert street.answers()[0]["markdown"] == (
        "hi @李四 **b** [l](https://x/?a=1&b=2) `a < b` a\\_b & \\<c\\>\n```\n<x>\n```"
    )


def test_the_sdk_writes_to_a_person_and_to_one_in_a_channel(street: Street) -> None:
    web = client(street)
    assert web.chat_postMessage(channel="U0LISI", text="x")["channel"] == "D0LISI"
    web.chat_postEphemeral(channel="C0DEV", user="U0LISI", text="y")
    private, ephemeral = street.answers()
    assert private["conversation"] == "cid-private-lisi"
    assert (ephemeral["conversation"], ephemeral["seen_by"]) == ("cid-dev", "lisi")


def test_the_sdk_asks_who_is_who(street: Street) -> None:
    web = client(street)
    assert web.auth_test()["user_id"] == BOT_USER
    assert web.users_info(user="U0LISI")["user"]["profile"]["real_name"] == "李四"
    assert web.bots_info(bot="B0CHATOPS")["bot"]["app_id"] == "A0DEMO"


@pytest.mark.parametrize(
    ("method", "body", "code"),
    [
        ("chat.postMessage", {"channel": "C0GONE", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "C0DEV"}, "no_text"),
        ("chat.postMessage", {"channel": "C0DEV", "text": "x" * 40_001}, "msg_too_long"),
        ("chat.postMessage", {"channel": "C0DEV", "blocks": [SECTION] * 51}, "invalid_blocks"),
        ("chat.postMessage", {"channel": "C0DEV", "blocks": ["x"]}, "invalid_blocks"),
        ("chat.postMessage", {"channel": "C0DEV", "blocks": [{"type": "x"}]}, "invalid_blocks"),
        ("chat.update", {"channel": "C0DEV", "ts": "1.2", "text": "x"}, "message_not_found"),
        ("chat.postEphemeral", {"channel": "C0DEV", "user": "U9", "text": "x"},
         "user_not_in_channel"),
        ("users.info", {"user": "U0NOBODY"}, "user_not_found"),
        ("bots.info", {"bot": "B9"}, "bot_not_found"),
        ("magic.do", {}, "unknown_method"),
    ],
)  # fmt: skip
def test_it_refuses_what_slack_refuses(
    street: Street, method: str, body: dict[str, Any], code: str
) -> None:
    assert refusal(street, method, **body) == code


def section(length: int) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "x" * length}}


def actions(**changes: Any) -> dict[str, Any]:
    label = {"type": "plain_text", "text": "A"}
    button = {"type": "button", "action_id": "a", "text": label, "value": "v", **changes}
    return {"type": "actions", "elements": [button]}


@pytest.mark.parametrize(
    ("blocks", "code"),
    [
        ([section(3_001)], "invalid_blocks"),
        ([section(0)], "invalid_blocks"),
        ([section(3_000)] * 5, "msg_blocks_too_long"),
        ([actions(value="v" * 2_001)], "invalid_blocks"),
        ([actions(action_id="a" * 256)], "invalid_blocks"),
        ([actions(style="loud")], "invalid_blocks"),
        ([actions(text={"type": "mrkdwn", "text": "A"})], "invalid_blocks"),
        ([actions(text={"type": "plain_text", "text": "A" * 76})], "invalid_blocks"),
        ([{"type": "actions", "elements": []}], "invalid_blocks"),
        ([{"type": "actions", "elements": actions()["elements"] * 2}], "invalid_blocks"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_it_measures_blocks_as_slack_does(
    street: Street, blocks: list[dict[str, Any]], code: str
) -> None:
    assert refusal(street, "chat.postMessage", channel="C0DEV", blocks=blocks) == code
    assert street.answers() == []


@pytest.mark.parametrize(
    ("token", "code"), [("xoxb-wrong", "invalid_auth"), (APP_TOKEN, "not_allowed_token_type")]
)
def test_it_looks_at_the_token(street: Street, token: str, code: str) -> None:
    assert refusal(street, "auth.test", token) == code
    assert (
        requests.post(f"{street.origin}/api/auth.test", timeout=5).json()["error"] == "not_authed"
    )


def test_a_revoked_token_is_refused_until_the_reset(street: Street) -> None:
    street.slack.control("revoke_token", {})
    assert refusal(street, "auth.test") == "token_revoked"
    street.slack.reset()
    assert client(street).auth_test()["ok"]


def test_a_bot_that_was_taken_out_is_put_in_again(street: Street) -> None:
    street.slack.control("not_in_channel", {"conversation": "cid-dev"})
    assert refusal(street, "chat.postMessage", channel="C0DEV", text="x") == "not_in_channel"
    street.slack.control("not_in_channel", {"conversation": "cid-dev", "left": False})
    assert client(street).chat_postMessage(channel="C0DEV", text="x")["ok"]


def test_the_sdk_waits_as_long_as_it_is_told(street: Street) -> None:
    street.slack.control("limit", {"times": 1, "retry_after": 1})
    web = client(street, retry_handlers=[RateLimitErrorRetryHandler(max_retry_count=1)])
    assert web.auth_test()["ok"]
    assert street.calls() == ["auth.test", "auth.test"]


def test_a_response_url_takes_five_answers_in_half_an_hour(street: Street) -> None:
    hook = WebhookClient(street.hear("/ops help").route["response_url"])
    statuses = [hook.send(text=f"{n}", response_type="in_channel").status_code for n in range(6)]
    assert statuses == [200] * 5 + [404]
    assert [answer["ephemeral"] for answer in street.answers()] == [False] * 5

    later = WebhookClient(street.hear("/ops help").route["response_url"])
    street.clock.advance(1_801)
    assert json.loads(later.send(text="late").body)["error"] == "expired_url"


def test_paths_that_are_not_slack_s_are_left_to_others(street: Street) -> None:
    for path, status in (("/robot/send", 404), ("/api", 404), ("/commands/x", 404)):
        answer = requests.post(street.origin + path, timeout=5)
        assert answer.status_code == status
        assert ("ok" in answer.json()) is not path.startswith("/robot")


# Socket Mode, with Slack's own client ------------------------------------------------------------


class Sdk:
    """slack_sdk's client as its documentation uses it; it reconnects by itself."""

    def __init__(self, street: Street, *, acknowledges: bool = True) -> None:
        self.requests: list[SocketModeRequest] = []
        self._acknowledges = acknowledges
        self._came = threading.Event()
        self._client = SocketModeClient(
            app_token=APP_TOKEN, web_client=client(street), ping_interval=1
        )
        self._client.socket_mode_request_listeners.append(self._listen)
        self._client.connect()

    def __enter__(self) -> "Sdk":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _listen(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        self.requests.append(request)
        if self._acknowledges:
            client.send_socket_mode_response(SocketModeResponse(request.envelope_id))


def test_the_sdk_gets_envelopes_that_our_adapter_reads(street: Street) -> None:
    street.platform.send(street.hear().route, Outgoing("x", buttons=(Button("t", "A"),)), now=now())
    n = street.answers()[0]["n"]
    street.slack.choose_mode("dialled")
    with Sdk(street) as sdk:
        wait_for(street.slack.connected)
        assert street.say("/merge 233")["status"] == 200
        assert street.say("/ops merge 233")["status"] == 200
        assert street.slack.press("lisi", n, "A", {}).send()["status"] == 200
    kinds = [one.type for one in sdk.requests]
    assert kinds == ["events_api", "slash_commands", "interactive"]
    mention, slash, press = (
        street.platform.read(one.type, one.payload, now=now()) for one in sdk.requests
    )
    assert isinstance(mention, IncomingMessage)
    assert isinstance(slash, IncomingMessage)
    assert isinstance(press, Press)
    assert (mention.text, slash.text, press.token) == ("/merge 233", "merge 233", "t")


def test_what_the_sdk_does_not_acknowledge_comes_again(street: Street) -> None:
    street.slack.choose_mode("dialled")
    street.slack.control("ack_seconds", {"seconds": 0.2})
    with Sdk(street, acknowledges=False) as sdk:
        wait_for(street.slack.connected)
        assert street.say("/help")["status"] == 0
    assert [one.retry_attempt for one in sdk.requests] == [0, 1, 2, 3]
    assert len({one.envelope_id for one in sdk.requests}) == 1


def test_the_sdk_comes_back_when_it_is_told_to_go(street: Street) -> None:
    street.slack.choose_mode("dialled")
    with Sdk(street):
        wait_for(street.slack.connected)
        street.slack.control("disconnect", {"reason": "refresh_requested", "seconds": 0.1})
        wait_for(street.slack.connected)
        assert street.say("/help")["status"] == 200
    assert street.calls().count("apps.connections.open") == 2


def test_without_a_connection_nothing_can_be_brought(street: Street) -> None:
    street.slack.choose_mode("dialled")
    said = street.say("/help")
    assert (said["status"], said["error"]) == (0, "The portal holds no connection.")


def test_a_ticket_is_for_one_connection(street: Street) -> None:
    web = client(street)
    address = str(web.apps_connections_open(app_token=APP_TOKEN)["url"])
    first = SocketModeClient(app_token=APP_TOKEN, web_client=web, auto_reconnect_enabled=False)
    second = SocketModeClient(app_token=APP_TOKEN, web_client=web, auto_reconnect_enabled=False)
    for one in (first, second):
        one.wss_uri = address
        one.connect()
    wait_for(street.slack.connected)
    wait_for(lambda: not second.is_connected())
    assert street.slack.connected() == 1
    first.close()
    second.close()
    wait_for(lambda: not street.slack.connected())
