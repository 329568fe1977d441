"""WeCom (企业微信): an app of the company that people write to in private.

https://developer.work.weixin.qq.com/document/path/96466
https://developer.work.weixin.qq.com/document/path/90241
https://developer.work.weixin.qq.com/document/path/90236
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml.ElementTree import fromstring
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.platforms.base import (
    Body,
    Challenge,
    Ignored,
    IncomingMessage,
    Outgoing,
    Pace,
    Parsed,
    Platform,
    Press,
    Rejected,
    Said,
    Sender,
    SendFailed,
    Setting,
    Webhook,
)
from bot.platforms.models import Bot
from bot.platforms.reading import BLANKS, LONGEST_ID, Unusable, check_kind, readable, word
from bot.platforms.wecom.api import AppApi, Refused
from bot.platforms.wecom.crypto import LARGEST, SECRETS, Opened, Seals, answer_by
from bot.platforms.wecom.text import (
    LONGEST_BYTES,
    SETTLED,
    CardText,
    cut,
    mark_blanks,
    question,
    settled,
    to_card,
    to_markdown,
    to_plain,
)
from chatops_site.kit.http import Client

API_BASE: Final = "https://qyapi.weixin.qq.com"
DEADLINE: Final = 10.0
# WeCom lets a card be changed for three days; a little is left for the way.
CHANGEABLE: Final = timedelta(hours=71)

_DEEPEST: Final = 6
_MOST_ELEMENTS: Final = 200
_ENCRYPT: Final = re.compile(
    rb"<Encrypt>\s*(?:<!\[CDATA\[([A-Za-z0-9+/=]+)\]\]>|([A-Za-z0-9+/=]+))\s*</Encrypt>"
)
_USER: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.@-]{0,63}")
_CARD: Final = re.compile(r"card:([0-9]{10}):(\S+)")
_DIGITS: Final = re.compile(r"[0-9]{1,11}")


class WeCom(Platform):
    """The app's chats are between it and one member each; groups cannot have it."""

    label = gettext_lazy("WeCom app")
    settings = (
        Setting("corp_id"),
        Setting("agent_id"),
        Setting("api_base", required=False),
    )
    secrets = (Setting("secret"), *SECRETS)
    # What is above that, WeCom drops without a word.
    paces = (
        Pace(30, 60.0, each_conversation=True),
        Pace(1000, 3600.0, each_conversation=True),
    )
    answers_at_once = True

    def __init__(self, bot: Bot) -> None:
        super().__init__(bot)
        self._corp = self.setting("corp_id")
        self._agent = self.setting("agent_id")
        self._seals = Seals(self, receive_id=self._corp)
        self._api = AppApi(
            Client(self.setting("api_base") or API_BASE, deadline=DEADLINE),
            bot,
            corp_id=self._corp,
            secret=self.secret("secret"),
        )

    @property
    def updates_in_place(self) -> bool:
        """A card with buttons gives way once to what became of it; other messages stay as they are."""
        return True

    @property
    def has_buttons(self) -> bool:
        return True

    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        if not self._corp:
            raise Rejected("wrong_tenant")
        if webhook.method == "GET":
            return Challenge(self._seals.echo(webhook, now=now), "text/plain")
        if webhook.method != "POST":
            raise Rejected("method", status=405)
        # The vendor's own sample of a delivery names no kind at all.
        check_kind(webhook, "text/xml", "application/xml", "")
        sealed = find_sealed(webhook.body)
        opened = self._seals.open(webhook, sealed, now=now)
        if read_xml(webhook.body).get("Encrypt", "").strip() != sealed:
            raise Rejected("malformed", status=400)
        fields = read_xml(opened.content)
        self._check_receiver(fields)
        return self._read(fields, opened, webhook)

    def _check_receiver(self, fields: Mapping[str, str]) -> None:
        if fields.get("ToUserName") != self._corp:
            raise Rejected("wrong_tenant")
        if not self._agent or fields.get("AgentID") != self._agent:
            raise Rejected("wrong_app")

    def _read(self, fields: Mapping[str, str], opened: Opened, webhook: Webhook) -> Parsed:
        is_event = fields.get("MsgType") == "event"
        message_id = event_id(fields) if is_event else fields.get("MsgId", "")[:LONGEST_ID]
        try:
            if is_event:
                return self._press(fields, opened, webhook)
            return self._message(fields, opened, webhook)
        except Unusable as unusable:
            return Ignored(str(unusable), message_id)

    def _message(
        self, fields: Mapping[str, str], opened: Opened, webhook: Webhook
    ) -> IncomingMessage:
        if fields.get("MsgType") != "text":
            raise Unusable("not_text")
        if "Content" not in fields:
            raise Unusable("schema")
        user = word(fields, "FromUserName", 64)
        return IncomingMessage(
            platform="wecom",
            message_id=word(fields, "MsgId", LONGEST_ID),
            sender=Sender(tenant=self._corp, id=user, name=""),
            conversation=f"user:{user}",
            conversation_name="",
            private=True,
            text=readable(fields["Content"]).strip(BLANKS),
            sent_at=earlier(fields.get("CreateTime", ""), opened.signed_at),
            route={"user": user, "conversation": f"user:{user}"},
            source_ip=webhook.source_ip,
        )

    def _press(self, fields: Mapping[str, str], opened: Opened, webhook: Webhook) -> Press:
        if fields.get("Event") != "template_card_event":
            raise Unusable("event")
        if fields.get("EventKey") == SETTLED:
            raise Unusable("settled")
        user = word(fields, "FromUserName", 64)
        return Press(
            platform="wecom",
            press_id=event_id(fields),
            token=word(fields, "EventKey", LONGEST_ID),
            sender=Sender(tenant=self._corp, id=user, name=""),
            conversation=f"user:{user}",
            conversation_name="",
            private=True,
            pressed_at=earlier(fields.get("CreateTime", ""), opened.signed_at),
            route={
                "user": user,
                "conversation": f"user:{user}",
                "task_id": word(fields, "TaskId", 128, optional=True),
            },
            source_ip=webhook.source_ip,
        )

    def acknowledge(self, webhook: Webhook, parsed: Parsed, said: Said, *, now: datetime) -> Body:
        """Empty where the last word is not said yet, or does not fit: then it has to be sent."""
        if not said.text or not said.final:
            return Body()
        if isinstance(parsed, IncomingMessage):
            text = to_plain(said.text)
            if len(text.encode()) > LONGEST_BYTES:
                return Body()
            content = f"<MsgType>text</MsgType><Content>{escape(text)}</Content>"
        elif isinstance(parsed, Press):
            with translation.override(self.bot.language):
                card = _card_xml(to_card(said.text), str(parsed.route.get("task_id", "")))
            content = f"<MsgType>update_template_card</MsgType>{card}"
        else:
            return Body()
        return self._answered(webhook, parsed.sender.id, content, now=now)

    def _answered(self, webhook: Webhook, user: str, content: str, *, now: datetime) -> Body:
        opened = self._seals.reopen(webhook, find_sealed(webhook.body))
        xml = (
            f"<xml><ToUserName>{escape(user)}</ToUserName>"
            f"<FromUserName>{escape(self._corp)}</FromUserName>"
            f"<CreateTime>{int(now.timestamp())}</CreateTime>{content}</xml>"
        )
        answer = answer_by(opened.seal, xml.encode(), now=now)
        sealed = (
            f"<xml><Encrypt>{answer.sealed}</Encrypt><MsgSignature>{answer.signature}"
            f"</MsgSignature><TimeStamp>{answer.timestamp}</TimeStamp>"
            f"<Nonce>{answer.nonce}</Nonce></xml>"
        )
        return Body(sealed.encode(), "text/xml")

    def send(self, route: Mapping[str, Any], message: Outgoing, *, now: datetime) -> str:
        """Markdown; with buttons a card, and the markdown before it where a card cannot hold the text.

        Two messages are worth it for a result with a choice; all that buttons do can be typed as well.
        """
        user, said = _receiver(route), to_card(message.text)
        is_choice = message.final and len(message.buttons) > 1
        if not message.buttons or not (said.is_whole or is_choice):
            return self._send_markdown(user, message)
        if not said.is_whole:
            self._send_markdown(user, message)
        card = self._card(said, message)
        answer = self._send(user, {"msgtype": "template_card", "template_card": card})
        external_id = f"card:{int(now.timestamp())}:{answer.get('response_code') or ''}"
        if len(external_id) > LONGEST_ID or not _CARD.fullmatch(external_id):
            return _message_id(answer)
        return external_id

    def update(
        self, route: Mapping[str, Any], external_id: str, message: Outgoing, *, now: datetime
    ) -> str:
        """A card changes once; whatever else there is to say is a message of its own."""
        user, said = _receiver(route), to_card(message.text)
        if not self._change(user, external_id, self._card(said, message), now=now):
            return self.send(route, message, now=now)
        return "changed" if said.is_whole else self._send_markdown(user, message)

    def _card(self, said: CardText, message: Outgoing) -> dict[str, Any]:
        with translation.override(self.bot.language):
            if message.buttons:
                return question(said, message.buttons, task_id=_task_id())
            return settled(said)

    def _change(
        self, user: str, external_id: str, card: Mapping[str, Any], *, now: datetime
    ) -> bool:
        known = _CARD.fullmatch(external_id)
        if known is None or now - datetime.fromtimestamp(int(known[1]), UTC) > CHANGEABLE:
            return False
        body = {
            "userids": [user],
            "agentid": self._agent_number(),
            "response_code": known[2],
            "template_card": card,
        }
        try:
            self._api.post("/cgi-bin/message/update_template_card", body)
        except Refused:
            # The code was used, or has ended: which of the two does not matter.
            return False
        return True

    def _send_markdown(self, user: str, message: Outgoing) -> str:
        blanks = mark_blanks(message.key) if message.key else ""
        text = cut(to_markdown(message.text), LONGEST_BYTES - len(blanks.encode())) + blanks
        content: dict[str, Any] = {"msgtype": "markdown", "markdown": {"content": text}}
        if message.key:
            content["enable_duplicate_check"] = 1
        return _message_id(self._send(user, content))

    def _send(self, user: str, content: Mapping[str, Any]) -> dict[str, Any]:
        body = {"touser": user, "agentid": self._agent_number(), **content}
        answer = self._api.post("/cgi-bin/message/send", body)
        if answer.get("invaliduser") or answer.get("unlicenseduser"):
            raise SendFailed(
                _("WeCom does not deliver to this member: outside the app's visible range?"),
                retryable=False,
            )
        return answer

    def _agent_number(self) -> int:
        if not _DIGITS.fullmatch(self._agent):
            raise SendFailed(_("The agent id is a number, such as 1000002."), retryable=False)
        return int(self._agent)

    def check(self) -> str:
        if not self._seals.are_usable:
            raise SendFailed(
                _("Token and EncodingAESKey are missing, or the key has not 43 characters."),
                retryable=False,
            )
        said = self._api.get("/cgi-bin/agent/get", agentid=str(self._agent_number()))
        return _(
            "WeCom knows the app %(name)s (agent %(agent)s). Save the callback address in WeCom's "
            "console to test receiving."
        ) % {"name": str(said.get("name") or "?")[:60], "agent": self._agent}

    def name_of(self, account: str) -> str:
        return self._api.find_name(account)


def find_sealed(body: bytes) -> str:
    """The ciphertext, found without reading any XML: nothing is read before its signature was."""
    if len(body) > LARGEST:
        raise Rejected("too_large", status=413)
    found = _ENCRYPT.findall(body)
    if len(found) != 1:
        raise Rejected("malformed", status=400)
    return str(found[0][0] or found[0][1], "ascii")


def read_xml(raw: bytes) -> dict[str, str]:
    """The texts right under the root, by name. Rejected for any doctype, and for what no message is."""
    try:
        root = fromstring(raw.decode(), forbid_dtd=True)
    except (ParseError, ValueError, LookupError):
        raise Rejected("malformed", status=400) from None
    children = list(root)
    names = {child.tag for child in children}
    if root.tag != "xml" or len(names) != len(children) or _is_too_much(root):
        raise Rejected("malformed", status=400)
    return {str(child.tag): str(child.text or "") for child in children}


def _is_too_much(root: Element) -> bool:
    level, count = [root], 1
    for _depth in range(_DEEPEST):
        level = [child for parent in level for child in parent]
        count += len(level)
    return bool(level) or count > _MOST_ELEMENTS


def event_id(fields: Mapping[str, str]) -> str:
    """Events have no id: what happened to whom and when is one. Nothing of the envelope is in it."""
    names = ("FromUserName", "CreateTime", "Event", "EventKey", "TaskId")
    told = "\n".join(fields.get(name, "") for name in names)
    return "event:" + hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()


def earlier(told: str, signed_at: datetime) -> datetime:
    """The content's own time only where it is the earlier one: a replay cannot make itself younger."""
    if not _DIGITS.fullmatch(told):
        return signed_at
    return datetime.fromtimestamp(min(int(told), int(signed_at.timestamp())), UTC)


def _receiver(route: Mapping[str, Any]) -> str:
    """One member: neither @all nor several may ever be written to."""
    user = route.get("user")
    if not isinstance(user, str) or not _USER.fullmatch(user):
        raise SendFailed(_("WeCom told no member to answer to."), retryable=False)
    return user


def _task_id() -> str:
    """One that the app never had before, which WeCom insists on."""
    return f"chatops-{secrets.token_hex(16)}"


def _message_id(answer: Mapping[str, Any]) -> str:
    told = answer.get("msgid")
    return str(told)[:LONGEST_ID] if isinstance(told, str) else ""


def _card_xml(said: CardText, task_id: str) -> str:
    card = settled(said)
    (button,) = card["button_list"]
    rest = f"<SubTitleText>{escape(said.rest)}</SubTitleText>" if said.rest else ""
    links = "".join(
        f"<HorizontalContentList><KeyName>{escape(link['keyname'])}</KeyName>"
        f"<Value>{escape(link['value'])}</Value><Type>{link['type']}</Type>"
        f"<Url>{escape(link['url'])}</Url></HorizontalContentList>"
        for link in card.get("horizontal_content_list", [])
    )
    return (
        "<TemplateCard><CardType>button_interaction</CardType>"
        f"<MainTitle><Title>{escape(card['main_title']['title'])}</Title></MainTitle>{rest}{links}"
        f"<ButtonList><Text>{escape(button['text'])}</Text><Style>{button['style']}</Style>"
        f"<Key>{button['key']}</Key></ButtonList>"
        f"<TaskId>{escape(task_id)}</TaskId>"
        f"<ReplaceText>{escape(card['replace_text'])}</ReplaceText></TemplateCard>"
    )
