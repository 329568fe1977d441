"""What Slack says, the same over HTTP and over Socket Mode: events, slash commands, pressed buttons.

https://docs.slack.dev/apis/events-api/
https://docs.slack.dev/interactivity/implementing-slash-commands
https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bot.platforms.base import Ignored, IncomingMessage, Parsed, Press, Rejected, Sender
from bot.platforms.reading import (
    BLANKS,
    LONGEST_ID,
    LONGEST_TENANT,
    Unusable,
    part,
    readable,
    shown,
    word,
)

EVENTS: Final = "events_api"
SLASHES: Final = "slash_commands"
INTERACTIVE: Final = "interactive"
# As Slack documents it, counted from the command or the press.
RESPONSE_URL_LIVES: Final = timedelta(minutes=30)
LONGEST_CHANNEL: Final = 100

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_STAMP: Final = re.compile(r"[0-9]{10}\.[0-9]{1,6}")
_MENTION: Final = re.compile(r"<@([A-Z0-9]{1,40})(?:\|[^<>]{0,100})?>[ \u00a0\u2005]?")
_RESPONSE_URL: Final = re.compile(r"[\x21-\x7e]{1,500}")
# The names that stand for a conversation without one.
_NAMELESS: Final = frozenset({"directmessage", "privategroup"})


@dataclass(frozen=True)
class Addressee:
    """The app that messages have to be for. bot_user_id may be "": the events tell it too."""

    app_id: str
    team_id: str
    bot_user_id: str


def read(kind: str, payload: Mapping[str, Any], ours: Addressee, *, now: datetime) -> Parsed:
    """Rejected for another app or workspace, Ignored for what nothing can be run for."""
    reader = _READERS.get(kind)
    if reader is None:
        return Ignored("envelope_type")
    _check_addressee(payload, ours, _TEAMS[kind](payload))
    try:
        return reader(payload, ours, now)
    except Unusable as unusable:
        return Ignored(str(unusable), _message_id(payload))


def _check_addressee(payload: Mapping[str, Any], ours: Addressee, team: object) -> None:
    if not ours.team_id or team != ours.team_id:
        raise Rejected("wrong_tenant")
    # Not every payload tells the app; the signing secret and the app token are that app's own.
    if not ours.app_id or payload.get("api_app_id", ours.app_id) != ours.app_id:
        raise Rejected("wrong_app")


def _team_of_press(payload: Mapping[str, Any]) -> object:
    team = payload.get("team")
    return team.get("id") if isinstance(team, dict) else None


def _event(payload: Mapping[str, Any], ours: Addressee, now: datetime) -> IncomingMessage:
    event = part(payload, "event")
    kind = event.get("type")
    if payload.get("type") != "event_callback" or kind not in ("app_mention", "message"):
        raise Unusable("event_type")
    own = ours.bot_user_id or _authorized_bot(payload, ours)
    _check_author(event, own)
    channel, stamp = word(event, "channel", LONGEST_CHANNEL), _stamp(event, "ts")
    private = _is_private(event, channel)
    text, mentioned = _without_mention(event, own)
    if kind == "message" and not private and not mentioned:
        raise Unusable("no_mention")
    user = word(event, "user", LONGEST_ID, optional=True)
    return IncomingMessage(
        platform="slack",
        message_id=f"{channel}:{stamp}",
        sender=Sender(_team_of_author(payload, event, ours), user, ""),
        conversation=channel,
        conversation_name="",
        private=private,
        text=text,
        sent_at=_moment(stamp, now),
        route=_route(channel, user, private=private, thread=event.get("thread_ts")),
    )


def _check_author(event: Mapping[str, Any], own: str) -> None:
    if own and event.get("user") == own:
        raise Unusable("own_message")
    if event.get("bot_id") or event.get("bot_profile"):
        raise Unusable("bot_message")
    # Edits, deletions, thread broadcasts, joins: none of them was said to the bot just now.
    if event.get("subtype"):
        raise Unusable("subtype")
    if event.get("edited"):
        raise Unusable("edited")


def _authorized_bot(payload: Mapping[str, Any], ours: Addressee) -> str:
    """The bot user that the event was delivered for, as the event tells it."""
    told = payload.get("authorizations")
    for one in told if isinstance(told, list) else ():
        if isinstance(one, dict) and one.get("is_bot") and one.get("team_id") == ours.team_id:
            return str(one.get("user_id") or "")
    return ""


def _team_of_author(payload: Mapping[str, Any], event: Mapping[str, Any], ours: Addressee) -> str:
    """In a channel shared with another company its people keep that one's id; "" where none is told."""
    for name in ("user_team", "source_team", "team"):
        told = word(event, name, LONGEST_TENANT, optional=True)
        if told:
            return told
    return "" if payload.get("is_ext_shared_channel") else ours.team_id


def _is_private(event: Mapping[str, Any], channel: str) -> bool:
    kind = event.get("channel_type")
    return kind == "im" or (kind is None and channel.startswith("D"))


def _without_mention(event: Mapping[str, Any], own: str) -> tuple[str, bool]:
    """The text without the first mention of the bot, and whether there was one."""
    raw = event.get("text")
    if not isinstance(raw, str):
        raise Unusable("schema")
    found = _find_mention(raw, own)
    kept = raw if found is None else raw[: found.start()] + raw[found.end() :]
    return _unescaped(readable(kept)).strip(BLANKS), found is not None


def _find_mention(text: str, own: str) -> re.Match[str] | None:
    if not own:
        # Who the bot is was not told; where it is mentioned it is so first.
        return _MENTION.match(text.lstrip(BLANKS)) and _MENTION.search(text)
    return next((one for one in _MENTION.finditer(text) if one[1] == own), None)


def _unescaped(text: str) -> str:
    """Once, and the ampersand last, so that “&amp;lt;” stays what was typed."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _slash(payload: Mapping[str, Any], ours: Addressee, now: datetime) -> IncomingMessage:
    if payload.get("ssl_check"):
        raise Unusable("ssl_check")
    channel = word(payload, "channel_id", LONGEST_CHANNEL)
    user = word(payload, "user_id", LONGEST_ID)
    text = payload.get("text", "")
    if not isinstance(text, str):
        raise Unusable("schema")
    name = shown(payload.get("channel_name"), longest=200)
    private = name == "directmessage" or channel.startswith("D")
    return IncomingMessage(
        platform="slack",
        message_id=word(payload, "trigger_id", LONGEST_ID),
        sender=Sender(ours.team_id, user, shown(payload.get("user_name"), longest=100)),
        conversation=channel,
        conversation_name="" if name in _NAMELESS else name,
        private=private,
        text=_unescaped(readable(text)).strip(BLANKS),
        slash=word(payload, "command", LONGEST_ID),
        sent_at=now,
        route=_route(channel, user, private=private) | _response_url(payload, now),
    )


def _press(payload: Mapping[str, Any], ours: Addressee, now: datetime) -> Press:
    if payload.get("type") != "block_actions":
        raise Unusable("interaction_type")
    action, user = _first_action(payload), part(payload, "user")
    container, channel = part(payload, "container"), part(payload, "channel")
    place = word({**container, **_named(channel)}, "channel_id", LONGEST_CHANNEL, optional=True)
    told = action.get("action_ts")
    pressed_at = _moment(told, now) if isinstance(told, str) and _STAMP.fullmatch(told) else now
    presser = word(user, "id", LONGEST_ID)
    name = shown(channel.get("name"), longest=200)
    private = place.startswith("D")
    thread = part(payload, "message").get("thread_ts") or container.get("thread_ts")
    return Press(
        platform="slack",
        press_id=_press_id(payload, action),
        token=word(action, "value", LONGEST_ID),
        sender=Sender(
            word(user, "team_id", LONGEST_TENANT, optional=True) or ours.team_id,
            presser,
            shown(user.get("name") or user.get("username"), longest=100),
        ),
        conversation=place,
        conversation_name="" if name in _NAMELESS else name,
        private=private,
        pressed_at=pressed_at,
        route=_route(place, presser, private=private, thread=thread) | _response_url(payload, now),
    )


def _first_action(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    actions = payload.get("actions")
    if not isinstance(actions, list) or not actions or not isinstance(actions[0], dict):
        raise Unusable("schema")
    if actions[0].get("type") != "button":
        raise Unusable("action_type")
    return actions[0]


def _named(channel: Mapping[str, Any]) -> dict[str, Any]:
    return {"channel_id": channel["id"]} if channel.get("id") else {}


def _press_id(payload: Mapping[str, Any], action: Mapping[str, Any]) -> str:
    trigger = word(payload, "trigger_id", LONGEST_ID, optional=True)
    return trigger or word(action, "action_ts", LONGEST_ID)


def _route(channel: str, user: str, *, private: bool, thread: object = None) -> dict[str, Any]:
    in_thread = isinstance(thread, str) and _STAMP.fullmatch(thread)
    return {
        "channel": channel,
        "user": user,
        "private": private,
        "thread": thread if in_thread else "",
    }


def _response_url(payload: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    told = payload.get("response_url")
    if not isinstance(told, str) or not _RESPONSE_URL.fullmatch(told):
        return {}
    expires = now + RESPONSE_URL_LIVES
    return {"response_url": told, "expires": int((expires - _EPOCH).total_seconds())}


def _stamp(event: Mapping[str, Any], name: str) -> str:
    stamp = word(event, name, LONGEST_ID)
    if not _STAMP.fullmatch(stamp):
        raise Unusable("schema")
    return stamp


def _moment(stamp: str, now: datetime) -> datetime:
    """When Slack had it. Never later than now: a message cannot make itself younger."""
    seconds, _, fraction = stamp.partition(".")
    told = timedelta(seconds=int(seconds), microseconds=int(fraction.ljust(6, "0")))
    return min(_EPOCH + told, now)


def _message_id(payload: Mapping[str, Any]) -> str:
    """Of what is ignored, where it can be told."""
    try:
        event = part(payload, "event")
        if event:
            return f"{word(event, 'channel', LONGEST_CHANNEL)}:{_stamp(event, 'ts')}"
        return word(payload, "trigger_id", LONGEST_ID, optional=True)
    except Unusable:
        return ""


_TEAMS: Final[dict[str, Callable[[Mapping[str, Any]], object]]] = {
    EVENTS: lambda payload: payload.get("team_id"),
    SLASHES: lambda payload: payload.get("team_id"),
    INTERACTIVE: _team_of_press,
}
_READERS: Final[dict[str, Callable[[Mapping[str, Any], Addressee, datetime], Parsed]]] = {
    EVENTS: _event,
    SLASHES: _slash,
    INTERACTIVE: _press,
}
