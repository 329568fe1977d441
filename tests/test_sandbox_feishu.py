"""Feishu's stand-in, spoken to by Feishu's own SDK: its REST client, its connection, its event handler."""

import asyncio
import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lark_oapi as lark
import lark_oapi.ws.client as lark_ws
import pytest
from lark_oapi.api.im.v1 import (
    CreateMessageRequest,
    CreateMessageRequestBody,
    P2ImMessageReceiveV1,
    PatchMessageRequest,
    PatchMessageRequestBody,
    ReplyMessageRequest,
    ReplyMessageRequestBody,
)
from lark_oapi.core.cache import LocalCache
from lark_oapi.core.model import RawRequest
from lark_oapi.core.token import TokenManager
from lark_oapi.event.callback.model.p2_card_action_trigger import (
    P2CardActionTrigger,
    P2CardActionTriggerResponse,
)
from lark_oapi.ws.pb.pbbp2_pb2 import Frame as SdkFrame

from bot.platforms.base import Button, Said
from bot.platforms.feishu.words import card
from chatops_site.sandbox.feishu import frames
from chatops_site.sandbox.feishu.app import (
    APP_ID,
    APP_SECRET,
    BOT_OPEN_ID,
    ENCRYPT_KEY,
    TENANT,
    VERIFICATION_TOKEN,
)
from chatops_site.sandbox.feishu.frames import BadFrame, Frame
from chatops_site.sandbox.talk import Packet
from tests.feishu_street import Street, eventually, street_fixture, whole_street_fixture

__all__ = ["street_fixture", "whole_street_fixture"]


@pytest.fixture(name="sdk")
def sdk_fixture(street: Street) -> Any:
    # It keeps its tokens by app for the whole process; the stand-in is new in every test.
    TokenManager.cache = LocalCache()
    builder = lark.Client.builder().app_id(APP_ID).app_secret(APP_SECRET)
    return builder.domain(street.origin).log_level(lark.LogLevel.CRITICAL).build()


# The SDK's REST client ---------------------------------------------------------------------------


def reply(sdk: Any, message_id: str, content: str, uuid: str = "") -> Any:
    body = ReplyMessageRequestBody.builder().msg_type("interactive").content(content)
    body = body.uuid(uuid) if uuid else body
    request = ReplyMessageRequest.builder().message_id(message_id).request_body(body.build())
    return sdk.im.v1.message.reply(request.build())


def change(sdk: Any, message_id: str, content: str) -> Any:
    body = PatchMessageRequestBody.builder().content(content).build()
    request = PatchMessageRequest.builder().message_id(message_id).request_body(body)
    return sdk.im.v1.message.patch(request.build())


def create(sdk: Any, chat: str, kind: str, content: str) -> Any:
    body = CreateMessageRequestBody.builder().receive_id(chat).msg_type(kind).content(content)
    request = CreateMessageRequest.builder().receive_id_type("chat_id")
    return sdk.im.v1.message.create(request.request_body(body.build()).build())


def test_the_sdk_answers_and_changes_a_message(street: Street, sdk: Any) -> None:
    heard = street.hear("/merge 233")
    told = reply(sdk, heard.message_id, card("⏳ **Merging**", (Button("b1", "Stop"),)), "once")
    assert told.success()
    again = reply(sdk, heard.message_id, card("⏳ **Merging**", ()), "once")
    assert again.data.message_id == told.data.message_id
    assert change(sdk, told.data.message_id, card("✅ Merged", ())).success()
    (answer,) = street.answers()
    assert (answer["markdown"], answer["changes"], answer["buttons"]) == ("✅ Merged", 1, [])


def test_the_sdk_sends_to_a_conversation(street: Street, sdk: Any) -> None:
    assert create(sdk, "oc_dev", "text", json.dumps({"text": "hello"})).success()
    assert create(sdk, "oc_nowhere", "text", json.dumps({"text": "hello"})).code == 230002
    (answer,) = street.answers()
    assert (answer["text"], answer["conversation"]) == ("hello", "cid-dev")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", 230099),
        ("{}", 230099),
        (json.dumps({"schema": "2.0", "body": {"x": "长" * 11_000}}, ensure_ascii=False), 230099),
        (json.dumps({"schema": "2.0", "body": {"elements": [{"tag": "button"}]}}), 230099),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_sdk_is_refused_a_card_that_is_none(
    street: Street, sdk: Any, content: str, code: int
) -> None:
    assert reply(sdk, street.hear().message_id, content).code == code
    assert street.answers() == []


def test_the_sdk_is_told_of_limits_tokens_and_recalled_messages(street: Street, sdk: Any) -> None:
    heard = street.hear()
    assert reply(sdk, heard.message_id, card("x", ())).success()
    street.stand.control("limit", {"times": 1, "reset": 9})
    limited = reply(sdk, heard.message_id, card("x", ()))
    assert (limited.code, limited.raw.status_code) == (99991400, 429)
    assert limited.raw.headers["x-ogw-ratelimit-reset"] == "9"
    street.stand.control("recall", {"message_id": heard.message_id})
    assert reply(sdk, heard.message_id, card("x", ())).code == 230011
    street.stand.control("revoke_token", {})
    assert reply(sdk, heard.message_id, card("x", ())).code == 99991663


# The SDK's event handler -------------------------------------------------------------------------


class Judge:
    """In the portal's place: the SDK itself verifies, opens and reads what the stand-in posts."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.presses: list[Any] = []

    def handler(self) -> Any:
        builder = lark.EventDispatcherHandler.builder(ENCRYPT_KEY, VERIFICATION_TOKEN)
        builder = builder.register_p2_im_message_receive_v1(self._message)
        return builder.register_p2_card_action_trigger(self._press).build()

    def judge(self, packet: Packet) -> Any:
        request = RawRequest()
        request.uri, request.body, request.headers = "/", packet.body, packet.headers
        return self.handler().do(request)

    def _message(self, event: P2ImMessageReceiveV1) -> None:
        self.messages.append(event)

    def _press(self, event: P2CardActionTrigger) -> P2CardActionTriggerResponse:
        self.presses.append(event)
        return P2CardActionTriggerResponse({"toast": {"type": "info", "content": "seen"}})


def test_the_sdk_believes_the_stand_in_s_messages(street: Street) -> None:
    judge = Judge()
    message_id = street.say("/merge 233", person="lisi")["message_id"]
    assert judge.judge(street.stand._sent[message_id]).status_code == 200
    (event,) = judge.messages
    assert event.header.app_id == APP_ID
    assert event.header.tenant_key == TENANT
    assert event.event.sender.sender_id.open_id == "ou_lisi"
    assert event.event.message.chat_id == "oc_release"
    assert json.loads(event.event.message.content) == {"text": "@_user_1 /merge 233"}
    assert event.event.message.mentions[0].id.open_id == BOT_OPEN_ID


def test_the_sdk_refuses_what_was_tampered_with(street: Street) -> None:
    judge = Judge()
    for tamper in ({"secret": "x"}, {"key": "x"}, {"header": {"token": "x"}}, {"plain": True}):
        said = street.say("/help", **tamper)
        assert said["status"] in (400, 401)
        answered = judge.judge(street.stand._sent[said["message_id"]])
        # Whatever is signed the SDK takes plain, too; this portal does not.
        assert (answered.status_code == 500) == ("plain" not in tamper)


# Tampering, the handshake, the page --------------------------------------------------------------


@pytest.mark.parametrize(
    ("tamper", "status"),
    [
        ({"seconds": -28_790}, 200),
        ({"seconds": -28_810}, 401),
        ({"seconds": 28_810}, 401),
        ({"secret": "other"}, 401),
        ({"key": "other"}, 401),
        ({"plain": True}, 400),
        ({"raw_body": "[1,2]"}, 400),
        ({"wire": "{"}, 400),
        ({"wire": '{"encrypt": "AAAA"}'}, 400),
        ({"headers": {"X-Lark-Signature": None}}, 401),
        ({"headers": {"X-Lark-Request-Nonce": None}}, 401),
        ({"headers": {"Content-Type": "text/plain"}}, 415),
        ({"header": {"app_id": "cli_other"}}, 401),
        ({"header": {"token": "other"}}, 401),
        ({"header": {"tenant_key": None}}, 401),
        ({"message": {"message_type": "image"}}, 200),
    ],
    ids=str,
)
def test_a_tampered_message_meets_the_answer_it_deserves(
    street: Street, tamper: dict[str, Any], status: int
) -> None:
    assert street.say(**tamper)["status"] == status


def test_a_message_can_be_replayed(street: Street) -> None:
    first = street.say("/help")
    street.say("/merge 1", replay=first["message_id"])
    assert street.stub.received[0] == street.stub.received[1]


@pytest.mark.parametrize("tamper", [{"unknown": 1}, {"replay": "om_none"}], ids=str)
def test_it_says_what_it_cannot_do(street: Street, tamper: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        street.say(**tamper)


def test_a_connection_has_no_signature_to_tamper_with(street: Street) -> None:
    street.stand.choose_mode("dialled")
    with pytest.raises(ValueError, match="no signature"):
        street.say(secret="x")
    assert street.say("/help")["status"] == 0


@pytest.mark.parametrize("encrypted", [True, False])
def test_it_checks_the_address_as_the_console_does(street: Street, encrypted: bool) -> None:
    told = street.stand.control("handshake", {"encrypted": encrypted})
    assert told["status"] == 200
    assert json.loads(told["answer"]) == {"challenge": told["challenge"]}
    wrong = street.stand.control("handshake", {"encrypted": encrypted, "token": "other"})
    assert wrong["status"] == 401


def test_whoever_presses_reads_the_toast(street: Street) -> None:
    heard = street.hear()
    sent = card("⏳ Sure", (Button("b1", "批准", "primary"),))
    street.platform._api.call(
        "POST",
        f"/open-apis/im/v1/messages/{heard.message_id}/reply",
        {"msg_type": "interactive", "content": sent},
    )
    street.stub.said = lambda _parsed: Said("⛔ Not **yours**\nmore")
    (answer,) = street.answers()
    street.press(answer["n"], "b1", "lisi")
    noted = street.stand.talk.since(0)[-1]
    assert (noted["from"], noted["text"], noted["toast"]) == ("lisi", "批准", "⛔ Not yours")
    with pytest.raises(ValueError, match="no button"):
        street.stand.press("lisi", answer["n"], "b2", {})


# The SDK's connection ----------------------------------------------------------------------------


@contextmanager
def sdk_line(street: Street, judge: Judge) -> Iterator[None]:
    """The SDK's own client on a loop that is put into its module, and stopped from outside."""
    loop, before = asyncio.new_event_loop(), lark_ws.loop
    lark_ws.loop = loop

    def _run() -> None:
        asyncio.set_event_loop(loop)
        # Made here, because its cache begins a task on the loop of the thread that makes it.
        client = lark_ws.Client(
            APP_ID,
            APP_SECRET,
            log_level=lark.LogLevel.CRITICAL,
            event_handler=judge.handler(),
            domain=street.origin,
            auto_reconnect=False,
        )
        loop.run_until_complete(client._connect())
        loop.create_task(client._ping_loop())
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    thread = threading.Thread(target=_run, daemon=True)
    thread.start()
    eventually(street.stand.connected)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(15)
        lark_ws.loop = before
        loop.close()


def test_the_sdk_s_own_client_hears_messages_and_answers_presses(street: Street) -> None:
    street.stand.control("ping_every", {"seconds": 1})
    street.stand.control("parts", {"count": 2})
    street.stand.choose_mode("dialled")
    judge = Judge()
    button = {"id": "b1", "label": "批准", "value": {"button": "b1"}}
    sent = street.stand.bot_says("cid-dev", markdown="x", message_id="om_9", buttons=[button])
    with sdk_line(street, judge):
        assert street.say("/merge 233")["status"] == 200
        assert street.stand.press("lisi", sent["n"], "b1", {}).send()["status"] == 200
        eventually(lambda: street.stand.control("acks", {})["pings"] >= 2)
    assert judge.presses[0].event.action.value == {"button": "b1"}
    assert judge.presses[0].event.operator.open_id == "ou_lisi"
    assert street.stand.talk.since(0)[-1]["toast"] == "seen"
    assert len(judge.messages) == 1


def test_a_wrong_secret_opens_no_connection(street: Street) -> None:
    async def _ask() -> None:
        quiet = lark.LogLevel.CRITICAL
        lark_ws.Client(APP_ID, "other", log_level=quiet, domain=street.origin)._get_conn_url()

    with pytest.raises(Exception, match="514"):
        asyncio.run(_ask())


# Frames ------------------------------------------------------------------------------------------


def test_the_sdk_reads_the_frames_that_are_written_here() -> None:
    written = frames.write(
        Frame(frames.DATA, {"type": "event", "k": "长"}, b"x" * 300, 77, 9, 2**60)
    )
    read = SdkFrame()
    read.ParseFromString(written)
    assert {one.key: one.value for one in read.headers} == {"type": "event", "k": "长"}
    assert (read.method, read.service, read.SeqID, read.LogID) == (1, 77, 9, 2**60)
    assert read.payload == b"x" * 300


def test_the_frames_of_the_sdk_are_read_here() -> None:
    frame = SdkFrame()
    frame.method, frame.service, frame.SeqID, frame.LogID = 1, 77, 3, 4
    frame.payload, frame.payload_encoding, frame.LogIDNew = b"{}", "gzip", "log"
    header = frame.headers.add()
    header.key, header.value = "type", "event"
    read = frames.read(frame.SerializeToString())
    assert (read.method, read.service, read.seq_id, read.log_id) == (1, 77, 3, 4)
    assert (read.headers, read.payload) == ({"type": "event"}, b"{}")


@pytest.mark.parametrize("raw", ["//4AaGVsbG8=", "CA==", "QgU=", "/////////////w8A", "Gw=="])
def test_what_is_no_frame_is_told_so(raw: str) -> None:
    with pytest.raises(BadFrame):
        frames.read(b64decode(raw))
