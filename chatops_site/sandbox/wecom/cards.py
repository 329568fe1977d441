"""Template cards as WeCom shows them, whichever way they came: as JSON or as XML."""

import re
from typing import Any

from chatops_site.sandbox.stand import Arguments

# The page's words for the styles a button may have.
_TONES = {1: "primary", 3: "danger"}
_TITLE_BYTES, _KEY_BYTES, _MOST_BUTTONS, _MOST_ROWS = 512, 1024, 6, 6


def read_card(card: Any) -> Arguments | None:
    """What the page shows of a button_interaction card; None for one that WeCom would refuse."""
    if not isinstance(card, dict) or card.get("card_type") != "button_interaction":
        return None
    title = (card.get("main_title") or {}).get("title", "")
    buttons = card.get("button_list") or []
    task, replaced = str(card.get("task_id", "")), str(card.get("replace_text", ""))
    if not title or len(title.encode()) > _TITLE_BYTES or not all(map(_is_button, buttons)):
        return None
    if not 0 < len(buttons) <= _MOST_BUTTONS or not (replaced or task):
        return None
    rest, links = str(card.get("sub_title_text", "")), _read_links(card)
    if links is None:
        return None
    texts = [_escaped(text) for text in (title, rest) if text]
    return {
        # The page reads markdown, and a card's texts are none.
        "markdown": "\n".join([*texts, *(f"[{_escaped(label)}]({url})" for label, url in links)]),
        "card": {"title": title, "rest": rest, "links": links, "replaced": replaced},
        "task_id": task,
        "buttons": [_shown(one, spent=bool(replaced)) for one in buttons],
    }


def _read_links(card: Arguments) -> list[tuple[str, str]] | None:
    rows = card.get("horizontal_content_list") or []
    if len(rows) > _MOST_ROWS or not all(
        isinstance(row, dict) and row.get("keyname") for row in rows
    ):
        return None
    return [(str(row.get("value", "")), str(row["url"])) for row in rows if row.get("type") == 1]


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*\[\]<])", r"\\\1", text)


def _is_button(one: Any) -> bool:
    if not isinstance(one, dict) or not one.get("text"):
        return False
    key = one.get("key")
    return isinstance(key, str) and 0 < len(key.encode()) <= _KEY_BYTES


def _shown(one: Arguments, *, spent: bool) -> Arguments:
    tone = _TONES.get(one.get("style", 0), "")
    return {"id": one["key"], "label": one["text"], "tone": tone, "spent": spent}
