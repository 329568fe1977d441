"""The stand-in of WeCom's aibots: groups and private chats, streams that are fetched, one answer later.

https://developer.work.weixin.qq.com/document/path/100719
https://developer.work.weixin.qq.com/document/path/101031
https://developer.work.weixin.qq.com/document/path/101138
"""

import json
import secrets
import threading
import time
from dataclasses import dataclass

from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.server import Request, Response, as_json
from chatops_site.sandbox.stand import Arguments, ChatStand
from chatops_site.sandbox.talk import (
    Conversation,
    Delivery,
    Message,
    Person,
    Portal,
    find_conversation,
    find_person,
)
from chatops_site.sandbox.wecom.callback import RETRY_SECONDS, Callbacks, as_json_text
from chatops_site.sandbox.wecom.cards import read_card
from chatops_site.sandbox.wecom.crypto import Keys

CORP = "ww-demo-corp"
BOT_ID = "aibDemoBot"
BOT_NAME = "ChatOps 助手"
TOKEN = "demoAibotToken"  # noqa: S105 (a published value of the sandbox)
AES_KEY = "demoAibotAesKeyForTheSandboxOfChatOps000002"
_KEYS = Keys(TOKEN, AES_KEY, "")
_POLL_SECONDS = 1.0
_STREAM_SECONDS = 360.0
_ANSWER_SECONDS = 3_600.0
_MOST_BYTES = 20_480


@dataclass
class _Answer:
    """Where one answer may still be posted to."""

    message: Message
    since: float
    used: bool = False


class WeComAibot(ChatStand):
    """Its conversations are called as on the wire: group "wr" and the key, members by their ids."""

    name = "wecom_aibot"
    label = "企业微信智能机器人"

    def __init__(self, clock: Clock, portal: Portal) -> None:
        super().__init__(clock, portal)
        self._lock = threading.Lock()
        self._callbacks = Callbacks(
            _KEYS,
            portal,
            clock,
            write=as_json_text,
            envelop=lambda sealed: json.dumps({"encrypt": sealed}),
            kind="application/json",
        )
        self._operations = {
            "handshake": lambda told: self._callbacks.shake(told.get("tamper") or {}),
            "resend": self._resend,
            "end_sessions": self._end_sessions,
            "busy": self._keep_busy,
            "enter": self._enter,
        }
        self._round = 0
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._answers: dict[str, _Answer] = {}
            self._cards: dict[int, Message] = {}
            self._streams: dict[str, Message] = {}
            self._busy = 0
            # Streams of before are not asked for any more.
            self._round += 1
        self._callbacks.clear()
        self.talk.clear()

    def say(self, person: str, conversation: str, text: str, tamper: Arguments) -> Delivery:
        speaker, place = find_person(person), find_conversation(conversation, person)
        self._callbacks.check(tamper)
        message = self.person_says(
            speaker,
            place.id,
            text,
            message_id=secrets.token_urlsafe(20) + "=",
        )
        content = self._from(speaker, place, message) | {
            "msgtype": "text",
            "text": {"content": text if place.private else f"@{BOT_NAME} {text}"},
        }
        return self._deliver(message, content, tamper)

    def press(self, person: str, n: int, button: str, tamper: Arguments) -> Delivery:
        speaker, card = find_person(person), self._cards.get(n)
        if card is None:
            raise ValueError(f"Message {n} is no card.")
        place = find_conversation(card["conversation"], person)
        pressed = next((one for one in card["buttons"] if one["id"] == button), None)
        if pressed is None or pressed["spent"]:
            raise ValueError(f"Message {n} has no button {button!r} to press.")
        self._callbacks.check(tamper)
        message = self.person_says(
            speaker,
            place.id,
            pressed["label"],
            pressed=n,
            message_id=secrets.token_urlsafe(20) + "=",
        )
        told = {"card_type": "button_interaction", "event_key": button, "task_id": card["task_id"]}
        event = {"eventtype": "template_card_event", "template_card_event": told}
        content = self._from(speaker, place, message) | {
            "create_time": int(time.time()),
            "msgtype": "event",
            "event": event,
        }
        return self._deliver(message, content, tamper)

    def answer(self, request: Request) -> Response | None:
        if request.segments[:2] != ("cgi-bin", "aibot"):
            return None
        if (request.method, request.segments[2:]) != ("POST", ("response",)):
            return _told(43001, "require other method, or no such path")
        return self._take_answer(request)

    def _from(self, person: Person, place: Conversation, message: Message) -> Arguments:
        code = secrets.token_hex(16)
        with self._lock:
            self._answers[code] = _Answer(message, self.clock.now())
        return {
            "msgid": message["message_id"],
            "aibotid": BOT_ID,
            **({} if place.private else {"chatid": chat_id(place)}),
            "chattype": "single" if place.private else "group",
            "from": {"userid": person.id},
            "response_url": f"{self.origin}/cgi-bin/aibot/response?response_code={code}",
        }

    def _deliver(self, message: Message, content: Arguments, tamper: Arguments) -> Delivery:
        packet = self._callbacks.prepare(message["message_id"], content, tamper)
        return Delivery(
            lambda: self._callbacks.post(packet),
            self.talk,
            message,
            lambda body: self._hear(message, content, body),
        )

    def _hear(self, message: Message, content: Arguments, body: bytes) -> None:
        """A passive answer: shown, or told as a fault of the portal on the message itself."""
        told = self._read(message, body)
        if told is None:
            return
        if told.get("response_type") == "update_template_card" and "pressed" in message:
            self._replace(message, told)
        elif told.get("msgtype") == "stream" and "pressed" not in message:
            self._begin_stream(message, content, told["stream"])
        elif told.get("msgtype") == "text" and "entered" in message:
            text = str(told["text"]["content"])
            self.bot_says(message["conversation"], text=text, by="welcome", reply_to=message["n"])
        else:
            self.talk.update(message, passive_error=f"No such answer here: {told}")

    def _read(self, message: Message, body: bytes) -> Arguments | None:
        try:
            told = json.loads(self._callbacks.read(body, _opened))
        except (ValueError, KeyError, TypeError) as error:
            self.talk.update(message, passive_error=f"{type(error).__name__}: {error}")
            return None
        return told if isinstance(told, dict) else None

    def _begin_stream(self, message: Message, content: Arguments, stream: Arguments) -> None:
        with self._lock:
            known, current = self._streams.get(message["message_id"]), self._round
        if known is not None:
            return
        said = self.bot_says(
            message["conversation"],
            **_shown(stream),
            stream=str(stream["id"]),
            by="stream",
            reply_to=message["n"],
        )
        with self._lock:
            self._streams[message["message_id"]] = said
        if not stream["finish"]:
            asked = {name: content[name] for name in content if name not in ("text", "msgid")}
            asked |= {"msgtype": "stream", "stream": {"id": stream["id"]}}
            threading.Thread(target=self._poll, args=(said, asked, current), daemon=True).start()

    def _poll(self, said: Message, asked: Arguments, current: int) -> None:
        """About every second until it is finished, for six minutes at most."""
        end = self.clock.now() + _STREAM_SECONDS
        while not said["finished"] and self._round == current:
            time.sleep(_POLL_SECONDS / self.clock.factor)
            if self.clock.now() > end:
                self.talk.update(said, given_up=True)
                return
            asked["msgid"] = secrets.token_urlsafe(20) + "="
            answered = self._callbacks.ask(asked)
            if answered.status == 200 and self._round == current:
                self._go_on(said, answered.body)

    def _go_on(self, said: Message, body: bytes) -> None:
        told = self._read(said, body)
        stream = (told or {}).get("stream") or {}
        if str(stream.get("id")) != said["stream"]:
            self.talk.update(said, passive_error=f"Another stream: {stream.get('id')}")
            return
        shown = _shown(stream)
        if any(said[name] != value for name, value in shown.items()):
            self.bot_changes(said, **shown)

    def _replace(self, press: Message, told: Arguments) -> None:
        asked, card = self._cards[press["pressed"]], read_card(told.get("template_card"))
        place_is_group = not asked["conversation"].startswith("cid-private-")
        if card is None or card["task_id"] != asked["task_id"]:
            self.talk.update(press, passive_error="WeCom would refuse this card.")
            return
        only = told.get("userids") if place_is_group else None
        # The page shows one card for everybody; whose copy was changed is told beside it.
        if only is None or only == [press["from"]]:
            self.bot_changes(asked, **card, changed_for=only or "everybody")
        self.talk.move_delivery(press, "done")

    def _take_answer(self, request: Request) -> Response:
        code = request.query.get("response_code", [""])[-1]
        with self._lock:
            known = self._answers.get(code)
            # WeCom documents no number for these; callers may only know that 0 is success.
            if known is None or known.used:
                return _told(60140, "response_code invalid or used")
            if self.clock.now() - known.since > _ANSWER_SECONDS:
                return _told(60141, "response_code expired")
            if self._busy:
                self._busy -= 1
                return _told(-1, "system busy")
            shown = _read_answer(request)
            if shown is None:
                return _told(40058, "Invalid param")
            known.used = True
        place, asked = known.message["conversation"], known.message["n"]
        said = self.bot_says(place, **shown, by="response_url", reply_to=asked)
        if said.get("task_id"):
            self._cards[said["n"]] = said
        return _told(0, "ok")

    def _resend(self, arguments: Arguments) -> Arguments:
        """{"message_id", "times"?: 1 to 3, "seconds"?: 5}: as after an answer that did not arrive."""
        seconds = float(arguments.get("seconds", RETRY_SECONDS))
        name, times = str(arguments["message_id"]), int(arguments.get("times", 1))
        answered = self._callbacks.resend(name, times, seconds)
        return {"statuses": [one.status for one in answered]}

    def _end_sessions(self, _arguments: Arguments) -> Arguments:
        """No address takes an answer any more."""
        with self._lock:
            self._answers.clear()
        return {}

    def _keep_busy(self, arguments: Arguments) -> Arguments:
        """{"times": 1}: that many of the next answers are told to come again."""
        self._busy = int(arguments.get("times", 1))
        return {}

    def _enter(self, arguments: Arguments) -> Arguments:
        """{"person"}: opens the private chat for the first time today."""
        speaker = find_person(str(arguments["person"]))
        place = find_conversation("private", speaker.id)
        message = self.person_says(
            speaker,
            place.id,
            "",
            entered=True,
            message_id=secrets.token_urlsafe(20) + "=",
        )
        content = self._from(speaker, place, message)
        content |= {"msgtype": "event", "event": {"eventtype": "enter_chat"}}
        return self._deliver(message, content, {}).send()


def chat_id(place: Conversation) -> str:
    """The group's id on the wire."""
    return "wr" + place.id.removeprefix("cid-")


def _shown(stream: Arguments) -> Arguments:
    text = str(stream.get("content", "")).encode()[:_MOST_BYTES].decode("utf-8", "ignore")
    return {"markdown": text, "finished": bool(stream.get("finish"))}


def _opened(body: bytes) -> dict[str, str]:
    told = json.loads(body)
    return {
        "encrypt": str(told["encrypt"]),
        "signature": str(told["msgsignature"]),
        "timestamp": str(told["timestamp"]),
        "nonce": str(told["nonce"]),
    }


def _read_answer(request: Request) -> Arguments | None:
    try:
        content = request.json()
        if content["msgtype"] == "markdown":
            text = str(content["markdown"]["content"])
            return {"markdown": text} if len(text.encode()) <= _MOST_BYTES else None
        return (
            read_card(content["template_card"]) if content["msgtype"] == "template_card" else None
        )
    except (ValueError, KeyError, TypeError):
        return None


def _told(errcode: int, errmsg: str) -> Response:
    return as_json({"errcode": errcode, "errmsg": errmsg})
