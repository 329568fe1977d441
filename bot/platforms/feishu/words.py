"""Replies as Feishu shows them: our markdown becomes a card in which foreign words are only words.

https://open.feishu.cn/document/feishu-cards/card-json-v2-structure
https://open.feishu.cn/document/feishu-cards/card-json-v2-components/content-components/rich-text
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from bot.platforms.base import Button
from bot.platforms.markup import FENCE, TOKEN

# Feishu takes 30 KB for the whole card; this is for its text as JSON has it.
LONGEST_BYTES: Final = 22_000
LONGEST_NOTICE: Final = 150
LONGEST_LABEL: Final = 60
MOST_BUTTONS: Final = 10

# Feishu's markdown has no backslash for its tags; a number stands for every sign that could be markup.
_SIGNS: Final = {sign: f"&#{ord(sign)};" for sign in "&>[]*_~`|\\$"} | {"<": "&#60;\u200b"}
# The zero-width space breaks a tag even where somebody resolves the number too early.
_TAG: Final = "<\u200b"
_URL: Final = re.compile(r"https?://[^\s<>\"'\\()\[\]]{1,1500}")
# Clients make links of such beginnings by themselves.
_ADDRESS: Final = re.compile(r"(?i)(://|\bwww\.)")
_TONES: Final = {"primary": "primary", "danger": "danger"}


def card(text: str, buttons: Sequence[Button], *, mention: str = "") -> str:
    """A card as the JSON text that a message has. mention: the open_id of the person it is for."""
    start = f"<at id={mention}></at> " if mention else ""
    body = {"tag": "markdown", "content": start + markdown(text)}
    content = {
        "schema": "2.0",
        "config": {"update_multi": True, "summary": {"content": notice(text)}},
        "body": {"elements": [body, *_row(buttons[:MOST_BUTTONS])]},
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def markdown(text: str) -> str:
    """Our markdown as a card's, cut where it would be too long. Only links and marks of ours are left."""
    kept = text if len(text) <= LONGEST_BYTES else _cut(text, LONGEST_BYTES)
    written = _written(kept)
    while len(json.dumps(written, ensure_ascii=False).encode("utf-8", "replace")) > LONGEST_BYTES:
        kept = _cut(kept, len(kept) * 3 // 4)
        written = _written(kept)
    return written


def notice(text: str) -> str:
    """The first line without markup, for notifications and toasts."""
    first = next((line for line in text[:LONGEST_BYTES].splitlines() if line.strip(" `")), "")
    plain = "".join(_plain(token) for token in TOKEN.finditer(first[: 2 * LONGEST_NOTICE]))
    return _harmless(plain).strip()[:LONGEST_NOTICE] or "ChatOps"


def _written(text: str) -> str:
    return "".join(_one(token) for token in TOKEN.finditer(text)).strip("\n")


def _one(token: "re.Match[str]") -> str:
    if token["block"] is not None:
        return f"{FENCE}\n{_harmless(token['block'].replace(FENCE, chr(39) * 3))}\n{FENCE}"
    if token["code"] is not None:
        return f"`{_harmless(token['code'])}`"
    if token["url"] is not None:
        return _link(token["label"], token["url"])
    if token["bold"] or token["line"]:
        return token[0]
    if token["literal"] is not None:
        return _SIGNS.get(token["literal"], f"&#{ord(token['literal'])};")
    return _literal(token["text"])


def _plain(token: "re.Match[str]") -> str:
    if token["url"] is not None:
        return _words(token["label"])
    if token["bold"] or token["line"]:
        return ""
    return next(
        (token[name] for name in ("block", "code", "literal", "text") if token[name] is not None),
        "",
    )


def _link(label: str, url: str) -> str:
    shown = _literal(_words(label)).strip()
    if not shown or not _URL.fullmatch(url):
        return shown
    return f"[{shown}]({url})"


def _words(label: str) -> str:
    return re.sub(r"\\(.)|\*\*|`", lambda found: found[1] or "", label)


def _literal(text: str) -> str:
    return "".join(_SIGNS.get(sign, sign) for sign in _ADDRESS.sub("\\1\u200b", text))


def _harmless(text: str) -> str:
    """For places that know no numbers for signs: code, and what is no markdown at all."""
    return text.replace("<", _TAG)


def _cut(text: str, longest: int) -> str:
    kept = text[:longest]
    whole_lines = kept.rpartition("\n")[0]
    kept = whole_lines if len(whole_lines) > longest // 2 else kept
    return kept + (f"\n{FENCE}" if kept.count(FENCE) % 2 else "") + "\n…"


def _row(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    """Side by side where there is room."""
    if not buttons:
        return []
    columns = [
        {"tag": "column", "width": "auto", "elements": [_button(button)]} for button in buttons
    ]
    return [{"tag": "column_set", "flex_mode": "flow", "columns": columns}]


def _button(button: Button) -> dict[str, Any]:
    return {
        "tag": "button",
        "text": {"tag": "plain_text", "content": button.label[:LONGEST_LABEL] or "?"},
        "type": _TONES.get(button.tone, "default"),
        "behaviors": [{"type": "callback", "value": {"button": button.token}}],
    }
