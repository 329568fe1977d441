"""The WeCom stand-in: one company's app, its sealed callbacks to the portal, and the app's API.

https://developer.work.weixin.qq.com/document/path/90236
https://developer.work.weixin.qq.com/document/path/90241
https://developer.work.weixin.qq.com/document/path/94888
"""

import json
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml.ElementTree import fromstring

from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.server import Request, Response, Router, as_json
from chatops_site.sandbox.stand import Arguments, ChatStand
from chatops_site.sandbox.talk import (
    PEOPLE,
    Delivery,
    Message,
    Person,
    Portal,
    find_conversation,
    find_person,
)
from chatops_site.sandbox.wecom.callback import RETRY_SECONDS, Callbacks
from chatops_site.sandbox.wecom.cards import read_card
from chatops_site.sandbox.wecom.crypto import Keys

CORP = "ww-demo-corp"
AGENT = 1000002
SECRET = "demo-wecom-secret"  # noqa: S105 (a published value of the sandbox)
TOKEN = "demoWecomToken"  # noqa: S105 (likewise)
AES_KEY = "demoWecomAesKeyForTheSandboxOfChatOps000001"
_KEYS = Keys(TOKEN, AES_KEY, CORP)
_TOKEN_SECONDS = 7_200
_CODE_SECONDS = 72 * 3_600
_DUPLICATE_SECONDS = 1_800
_MOST_BYTES = 2_048
_BARE = frozenset({"CreateTime", "MsgId", "AgentID"})


@dataclass(frozen=True)
class _Code:
    """What a response code may change, once."""

    message: Message
    person: str
    since: float


class WeCom(ChatStand):
    """Its chats are private ones. What a member gets above the limit is dropped, as WeCom does."""

    name = "wecom"
    label = "企业微信应用"
    private_only = True

    def __init__(self, clock: Clock, portal: Portal) -> None:
        super().__init__(clock, portal)
        self._lock = threading.Lock()
        self._callbacks = Callbacks(
            _KEYS, portal, clock, write=_as_xml, envelop=_envelope, kind="text/xml"
        )
        self._router = Router[Callable[[Request], Response]](
            {
                ("GET", "cgi-bin/gettoken"): self._grant_token,
                ("POST", "cgi-bin/message/send"): self._send,
                ("POST", "cgi-bin/message/update_template_card"): self._update_card,
                ("GET", "cgi-bin/user/get"): self._show_member,
                ("GET", "cgi-bin/agent/get"): self._show_agent,
            }
        )
        self._operations = {
            "handshake": lambda told: self._callbacks.shake(told.get("tamper") or {}),
            "resend": self._resend,
            "limit": self._limit,
            "revoke_token": self._revoke_token,
            "end_sessions": self._end_sessions,
            "trust": self._trust,
        }
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._token, self._token_until = "", 0.0
            self._codes: dict[str, _Code] = {}
            self._tasks: set[str] = set()
            self._told: dict[str, float] = {}
            self._per_minute, self._silently, self._trusted = 0, False, True
            self._minutes: dict[str, deque[float]] = defaultdict(deque)
        self._callbacks.clear()
        self.talk.clear()

    def say(self, person: str, conversation: str, text: str, tamper: Arguments) -> Delivery:
        speaker, place = find_person(person), find_conversation(conversation, person)
        if not place.private:
            raise ValueError("WeCom's apps are spoken to in private only.")
        self._callbacks.check(tamper)
        message_id = str(secrets.randbelow(10**18) + 4 * 10**18)
        message = self.person_says(
            speaker,
            place.id,
            text,
            message_id=message_id,
        )
        content = _from(speaker) | {"MsgType": "text", "Content": text, "MsgId": message_id}
        return self._deliver(message, content | {"AgentID": str(AGENT)}, tamper)

    def press(self, person: str, n: int, button: str, tamper: Arguments) -> Delivery:
        speaker, card = find_person(person), self._card(n)
        find_conversation(card["conversation"], person)
        pressed = next((one for one in card["buttons"] if one["id"] == button), None)
        if pressed is None or pressed["spent"]:
            raise ValueError(f"Message {n} has no button {button!r} to press.")
        self._callbacks.check(tamper)
        message = self.person_says(
            speaker,
            card["conversation"],
            pressed["label"],
            pressed=n,
            message_id="press" + secrets.token_hex(8),
        )
        content = _from(speaker) | {
            "MsgType": "event",
            "Event": "template_card_event",
            "EventKey": button,
            "TaskId": card["task_id"],
            "CardType": "button_interaction",
            "ResponseCode": self._new_code(card, speaker),
            "AgentID": str(AGENT),
        }
        return self._deliver(message, content, tamper)

    def answer(self, request: Request) -> Response | None:
        if request.segments[0] != "cgi-bin" or request.segments[1:2] == ("aibot",):
            return None
        match = self._router.find(request.method, request.segments)
        if match is None:
            return _told(43001, "require other method, or no such path")
        return match[0](request)

    def _card(self, n: int) -> Message:
        for message in self.talk.since(n - 1):
            if message["n"] == n and message["from"] == "bot" and message.get("task_id"):
                return message
        raise ValueError(f"Message {n} is no card.")

    def _deliver(self, message: Message, content: Arguments, tamper: Arguments) -> Delivery:
        packet = self._callbacks.prepare(message["message_id"], content, tamper)
        return Delivery(
            lambda: self._callbacks.post(packet),
            self.talk,
            message,
            lambda body: self._hear(message, body),
        )

    def _hear(self, message: Message, body: bytes) -> None:
        """A passive answer: shown, or told as a fault of the portal on the message itself.

        Of several tries WeCom listens to one; the others' connections were cut.
        """
        if message.get("heard"):
            return
        message["heard"] = True
        try:
            root = fromstring(self._callbacks.read(body, _opened))
        except (ValueError, KeyError, ParseError) as error:
            self.talk.update(message, passive_error=f"{type(error).__name__}: {error}")
            return
        kind = root.findtext("MsgType")
        receiver = root.findtext("ToUserName"), root.findtext("FromUserName")
        if receiver != (message["from"], CORP):
            self.talk.update(message, passive_error=f"An answer for {receiver}.")
        elif kind == "text":
            text = _cut(root.findtext("Content") or "")
            self.bot_says(message["conversation"], text=text, by="passive", reply_to=message["n"])
        elif kind == "update_template_card" and "pressed" in message:
            self._replace(message, read_card(_card_of(root.find("TemplateCard"))))
        else:
            self.talk.update(message, passive_error=f"No such answer here: {kind}.")

    def _replace(self, press: Message, card: Arguments | None) -> None:
        if card is None:
            self.talk.update(press, passive_error="WeCom would refuse this card.")
            return
        asked = self._live(press["pressed"])
        self.bot_changes(asked, **{**card, "task_id": asked["task_id"]})
        self.talk.move_delivery(press, "done")

    def _live(self, n: int) -> Message:
        """The message itself, where since() gives copies."""
        with self._lock:
            return next(code.message for code in self._codes.values() if code.message["n"] == n)

    def _new_code(self, card: Message, person: Person) -> str:
        code, message = secrets.token_urlsafe(32), self._live(card["n"])
        with self._lock:
            self._codes[code] = _Code(message, person.id, self.clock.now())
        return code

    def _grant_token(self, request: Request) -> Response:
        asked = request.arguments()
        if asked.get("corpid") != CORP:
            return _told(40013, "invalid corpid, hint: [1], from ip: 203.0.113.9")
        if asked.get("corpsecret") != SECRET:
            return _told(40001, "invalid credential, hint: [2], from ip: 203.0.113.9")
        with self._lock:
            if not self._token_lives():
                self._token = secrets.token_urlsafe(128)
                self._token_until = self.clock.now() + _TOKEN_SECONDS
            left = int(self._token_until - self.clock.now())
        return _told(0, "ok", access_token=self._token, expires_in=left)

    def _refusal(self, request: Request) -> Response | None:
        if not self._trusted:
            return _told(60020, "not allow to access from your ip, from ip: 203.0.113.9")
        given = request.query.get("access_token", [""])[-1]
        if not given or given != self._token:
            return _told(40014, "invalid access_token")
        if not self._token_lives():
            return _told(42001, "access_token expired")
        return None

    def _send(self, request: Request) -> Response:
        content = _content(request)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if content.get("agentid") != AGENT:
            return _told(40056, "invalid agentid")
        wanted = str(content.get("touser", "")).split("|")
        people = [one for one in PEOPLE if one.id in wanted or wanted == ["@all"]]
        if not people:
            return _told(81013, "user & party & tag all invalid")
        over = [one for one in people if self._is_over_limit(one)]
        if over and not self._silently:
            return _told(45009, "api freq out of limit")
        strangers = [one for one in wanted if one not in {person.id for person in people}]
        reached = [] if self._is_duplicate(content) else [one for one in people if one not in over]
        return self._show(content, reached, invalid="|".join(strangers))

    def _show(self, content: Arguments, people: list[Person], *, invalid: str) -> Response:
        kind = content.get("msgtype")
        told = {"msgid": secrets.token_urlsafe(40), "invaliduser": invalid}
        if kind == "markdown":
            text = _cut(str((content.get("markdown") or {}).get("content", "")))
            for one in people:
                self.bot_says(f"cid-private-{one.id}", markdown=text.rstrip(), by="send")
            return _told(0, "ok", **told)
        card = read_card(content.get("template_card")) if kind == "template_card" else None
        if card is None or card["task_id"] in self._tasks:
            return _told(40058, "Invalid param")
        self._tasks.add(card["task_id"])
        code = secrets.token_urlsafe(32)
        for one in people:
            said = self.bot_says(f"cid-private-{one.id}", **card, by="send")
            with self._lock:
                self._codes[code] = _Code(said, one.id, self.clock.now())
        return _told(0, "ok", response_code=code, **told)

    def _update_card(self, request: Request) -> Response:
        content = _content(request)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        card = read_card(content.get("template_card"))
        if content.get("agentid") != AGENT or card is None:
            return _told(40058, "Invalid param")
        with self._lock:
            known = self._codes.get(str(content.get("response_code")))
        # WeCom documents no number for it; callers may only know that 0 is success.
        if known is None or self.clock.now() - known.since > _CODE_SECONDS:
            return _told(42036, "invalid response_code")
        if content.get("userids") != [known.person]:
            return _told(60111, "userid not found")
        with self._lock:
            self._codes[str(content["response_code"])] = _Code(known.message, known.person, 0.0)
        task = card["task_id"] or known.message["task_id"]
        self.bot_changes(known.message, **{**card, "task_id": task})
        return _told(0, "ok")

    def _show_member(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        wanted = request.query.get("userid", [""])[-1]
        found = next((one for one in PEOPLE if one.id == wanted), None)
        if found is None:
            return _told(60111, "userid not found")
        return _told(0, "ok", userid=found.id, name=found.name, status=1)

    def _show_agent(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if request.query.get("agentid") != [str(AGENT)]:
            return _told(301002, "not allow operate another agent with this accesstoken")
        return _told(0, "ok", agentid=AGENT, name="ChatOps")

    def _token_lives(self) -> bool:
        return bool(self._token) and self.clock.now() < self._token_until

    def _is_over_limit(self, person: Person) -> bool:
        with self._lock:
            now, minute = self.clock.now(), self._minutes[person.id]
            while minute and now - minute[0] > 60:
                minute.popleft()
            if self._per_minute and len(minute) >= self._per_minute:
                return True
            minute.append(now)
            return False

    def _is_duplicate(self, content: Arguments) -> bool:
        if not content.get("enable_duplicate_check"):
            return False
        seconds = float(content.get("duplicate_check_interval", _DUPLICATE_SECONDS))
        mark, now = json.dumps(content, sort_keys=True), self.clock.now()
        with self._lock:
            before, self._told[mark] = self._told.get(mark), now
        return before is not None and now - before < seconds

    def _resend(self, arguments: Arguments) -> Arguments:
        """{"message_id", "times"?: 1 to 3, "seconds"?: 5}: as after an answer that did not arrive."""
        seconds = float(arguments.get("seconds", RETRY_SECONDS))
        name, times = str(arguments["message_id"]), int(arguments.get("times", 1))
        answered = self._callbacks.resend(name, times, seconds)
        return {"statuses": [one.status for one in answered]}

    def _limit(self, arguments: Arguments) -> Arguments:
        """{"per_minute": 30, "silently"?: true}: messages to one member; 0 lifts the limit."""
        with self._lock:
            self._per_minute = int(arguments["per_minute"])
            self._silently = bool(arguments.get("silently"))
            self._minutes.clear()
        return {}

    def _revoke_token(self, _arguments: Arguments) -> Arguments:
        self._token = ""
        return {}

    def _end_sessions(self, _arguments: Arguments) -> Arguments:
        """No response code is worth anything any more."""
        with self._lock:
            ended = {code: _Code(one.message, one.person, 0.0) for code, one in self._codes.items()}
            self._codes = ended
        return {}

    def _trust(self, arguments: Arguments) -> Arguments:
        """{"trusted": false}: the portal's address is not among the trusted IPs."""
        self._trusted = bool(arguments["trusted"])
        return {}


def _from(person: Person) -> Arguments:
    return {"ToUserName": CORP, "FromUserName": person.id, "CreateTime": str(int(time.time()))}


def _as_xml(content: Arguments) -> str:
    """Texts in CDATA, numbers bare, as WeCom writes them."""
    fields = "".join(
        f"<{name}>{_field(name, str(value))}</{name}>" for name, value in content.items()
    )
    return f"<xml>{fields}</xml>"


def _field(name: str, value: str) -> str:
    if name in _BARE:
        return escape(value)
    return "<![CDATA[" + value.replace("]]>", "]]]]><![CDATA[>") + "]]>"


def _envelope(sealed: str) -> str:
    return _as_xml({"ToUserName": CORP, "AgentID": str(AGENT), "Encrypt": sealed})


def _opened(body: bytes) -> dict[str, str]:
    root = fromstring(body)
    names = {"Encrypt": "encrypt", "MsgSignature": "signature"}
    names |= {"TimeStamp": "timestamp", "Nonce": "nonce"}
    return {ours: root.findtext(theirs) or "" for theirs, ours in names.items()}


def _card_of(element: Element | None) -> Arguments | None:
    """The XML of a card as the JSON of one."""
    if element is None:
        return None
    return {
        "card_type": element.findtext("CardType"),
        "main_title": {"title": element.findtext("MainTitle/Title") or ""},
        "sub_title_text": element.findtext("SubTitleText") or "",
        "horizontal_content_list": [
            {
                "keyname": row.findtext("KeyName"),
                "value": row.findtext("Value"),
                "type": int(row.findtext("Type") or 0),
                "url": row.findtext("Url"),
            }
            for row in element.findall("HorizontalContentList")
        ],
        "button_list": [
            {"text": one.findtext("Text"), "key": one.findtext("Key")}
            for one in element.findall("ButtonList")
        ],
        "replace_text": element.findtext("ReplaceText") or "",
        "task_id": element.findtext("TaskId") or "",
    }


def _content(request: Request) -> Arguments:
    try:
        content = request.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _cut(text: str) -> str:
    return text.encode()[:_MOST_BYTES].decode("utf-8", "ignore")


def _told(errcode: int, errmsg: str, **more: Any) -> Response:
    return as_json({"errcode": errcode, "errmsg": errmsg, **more})
