"""What Feishu makes of a card: its text as the chat page draws it, its buttons, mentions and links.

https://open.feishu.cn/document/feishu-cards/card-json-v2-structure
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from chatops_site.sandbox.talk import PEOPLE

LARGEST = 30 * 1024
# Feishu reads tags in its markdown wherever they stand, so the stand-in does it in code too.
_AT = re.compile(r"<at\s+(?:id|user_id|ids|email)=\"?([^>\"\s]*)\"?\s*>(?:[^<]*</at>)?\s?")
_TAG = re.compile(r"</?[A-Za-z!][^>]*>")
_ADDRESS = re.compile(r"(?i)https?://\w[^\s)\]>]*|\bwww\.\w[^\s)]*")
_NUMBER = re.compile(r"&#([0-9]{1,6});")
_TONES = {"primary": "primary", "primary_filled": "primary", "danger": "danger"}
_TONES |= {"danger_filled": "danger"}

Arguments = dict[str, Any]


class BadCard(ValueError):
    """Feishu would not take it."""


def open_id(person: str) -> str:
    return f"ou_{person}"


def shown(content: str) -> Arguments:
    """A card's JSON text as a message of the page; BadCard for one that Feishu refuses."""
    card = _parse(content)
    elements = list(_elements(card))
    raw = "\n".join(str(one.get("content", "")) for one in elements if one.get("tag") == "markdown")
    mentioned = _AT.findall(raw)
    text = _AT.sub("", raw)
    return {
        "markdown": _NUMBER.sub(_as_escape, text),
        "buttons": [_button(one) for one in elements if one.get("tag") == "button"],
        "mentions": [one.id for one in PEOPLE if open_id(one.id) in mentioned],
        "open_ids": mentioned,
        "tags": _TAG.findall(text),
        "links": _ADDRESS.findall(raw),
        "summary": str(card.get("config", {}).get("summary", {}).get("content", "")),
    }


def _parse(content: str) -> Arguments:
    if len(content.encode()) > LARGEST:
        raise BadCard("The card is larger than 30 KB.")
    try:
        card = json.loads(content)
    except ValueError:
        raise BadCard("The card is no JSON.") from None
    body = card.get("body") if isinstance(card, dict) else None
    if not isinstance(body, dict) or card.get("schema") != "2.0":
        raise BadCard("The card is none of JSON 2.0.")
    return dict(card)


def _elements(node: object) -> Iterator[Arguments]:
    """Everything with a tag, in the order in which it is drawn."""
    if isinstance(node, dict):
        if "tag" in node:
            yield node
        for child in node.values():
            yield from _elements(child)
    elif isinstance(node, list):
        for child in node:
            yield from _elements(child)


def _button(node: Arguments) -> Arguments:
    callbacks = [one for one in node.get("behaviors", []) if one.get("type") == "callback"]
    if not callbacks:
        raise BadCard("A button does nothing.")
    value = callbacks[0].get("value")
    token = value.get("button", "") if isinstance(value, dict) else ""
    label = str(node.get("text", {}).get("content", ""))
    tone = _TONES.get(str(node.get("type")), "")
    return {"id": str(token), "label": label, "tone": tone, "spent": False, "value": value}


def _as_escape(found: "re.Match[str]") -> str:
    """A sign told by its number is only that sign: as the page's markdown has it, with a backslash."""
    sign = chr(int(found[1]))
    return f"\\{sign}" if sign.isascii() and not sign.isalnum() else sign
