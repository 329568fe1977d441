"""Replies as WeCom shows them: its app's markdown, which has few signs, and plain text and card fields.

https://developer.work.weixin.qq.com/document/path/90236
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from unicodedata import east_asian_width

from django.utils.translation import gettext as _

from bot.platforms.base import Button

LONGEST_BYTES: Final = 2048
# What WeCom advises for a card: so many Han characters, or twice as many letters.
LONGEST_TITLE: Final = 36
LONGEST_REST: Final = 160
LONGEST_LABEL: Final = 26
MOST_BUTTONS: Final = 6
MOST_LINKS: Final = 6
# The key of the button that only says that there is nothing left to press.
SETTLED: Final = "settled"

_FENCE: Final = re.compile(r"^```[^\n]*\n(.*?)\n?```[ \t]*$", re.DOTALL | re.MULTILINE)
_INLINE: Final = re.compile(
    r"\\(?P<sign>[^\n])"
    r"|`(?P<code>[^`\n]*)`"
    r"|\[(?P<label>(?:\\.|[^\[\]\\\n])*)\]\((?P<url>https?://[^\s()]+)\)"
    r"|(?P<bold>\*\*)"
)
_FACTS: Final = " · "
# WeCom knows no backslash: what would be a sign of markup is told by a sign that looks like it.
_LOOKALIKE: Final[Mapping[str, str]] = {"*": "＊", "`": "'", "<": "＜"}
_LOOKALIKE_FIRST: Final[Mapping[str, str]] = {"#": "＃", ">": "＞"}
_ANCHOR: Final = re.compile(r"<(?=/?[aA][\s>])")
_LIVE: Final = (
    (re.compile(r"\*\*"), "＊＊"),
    (re.compile(r"`"), "'"),
    (re.compile(r"\](?=\()"), "］"),
    (re.compile(r"<(?=[A-Za-z/@!])"), "＜"),
    (re.compile(r"^#"), "＃"),
    (re.compile(r"^>"), "＞"),
)
_TRAILING: Final = re.compile(r"[ \t]+$", re.MULTILINE)
_BLANKS: Final = (" ", "\u00a0", "\u2002", "\u2003")
_STYLES: Final[Mapping[str, int]] = {"primary": 1, "": 2, "danger": 3}

Written = Callable[["re.Match[str]"], str]


@dataclass(frozen=True)
class CardText:
    """What a card says: texts without markup, links apart. is_whole: nothing of the reply was left out."""

    title: str
    rest: str
    links: tuple[tuple[str, str], ...]
    is_whole: bool


def to_markdown(text: str) -> str:
    """The reply in the markdown of WeCom's apps: bold, links and code in a line, quotes for blocks."""
    return _converted(text, _as_markdown, lambda line: f"> {_inert(line)}")


def to_plain(text: str) -> str:
    """The reply as a text message, in which links alone are markup."""
    return _converted(text, _as_linked_text, _unlinked)


def to_card(text: str) -> CardText:
    """The first line as the title, the others under it, links below: in a card nothing is markup."""
    title, rest = _headed(_converted(text.strip(), _as_bare_text, str))
    links = tuple(
        (_shortened(_inner(found["label"], _as_bare_text), LONGEST_LABEL), found["url"])
        for found in _INLINE.finditer(text)
        if found["label"] is not None
    )
    fits = _width(title) <= LONGEST_TITLE and _width(rest) <= LONGEST_REST
    return CardText(
        title=_shortened(title, LONGEST_TITLE),
        rest=_shortened(rest, LONGEST_REST),
        links=links[:MOST_LINKS],
        is_whole=fits and len(links) <= MOST_LINKS and not _FENCE.search(text),
    )


def cut(text: str, longest: int = LONGEST_BYTES) -> str:
    """At most so many bytes, cut at the end of a line where there is one near, never in a character."""
    raw = text.encode()
    if len(raw) <= longest:
        return text
    kept = raw[: longest - 4].decode("utf-8", "ignore")
    whole_lines = kept.rpartition("\n")[0]
    return (whole_lines if len(whole_lines) > len(kept) // 2 else kept) + "\n…"


def mark_blanks(key: str) -> str:
    """Blanks that differ from one reply to the next, so that WeCom drops only what it has had already."""
    digest = hashlib.sha256(key.encode()).digest()[:2]
    pairs = [byte >> shift & 3 for byte in digest for shift in (0, 2, 4, 6)]
    # The last one is none that trimming takes off.
    return "".join(_BLANKS[pair] for pair in pairs) + "\u00a0"


def question(said: CardText, buttons: Sequence[Button], *, task_id: str) -> dict[str, Any]:
    """A card with buttons."""
    return {
        **_card(said),
        "button_list": [
            {
                "text": _shortened(button.label, 10),
                "style": _STYLES.get(button.tone, 2),
                "key": button.token,
            }
            for button in buttons[:MOST_BUTTONS]
        ],
        "task_id": task_id,
    }


def settled(said: CardText) -> dict[str, Any]:
    """The same card when nothing can be pressed any more: its one button is grey."""
    return {**_card(said), "button_list": [_spent()], "replace_text": _("Settled")}


def withdrawn(said: CardText, *, task_id: str) -> dict[str, Any]:
    """As settled(), for aibots, which know no grey button: the one that is left does nothing."""
    return {**_card(said), "button_list": [_spent()], "task_id": task_id}


def _spent() -> dict[str, Any]:
    return {"text": _("Settled"), "style": _STYLES[""], "key": SETTLED}


def _card(said: CardText) -> dict[str, Any]:
    return {
        "card_type": "button_interaction",
        "main_title": {"title": said.title or "ChatOps"},
        **({"sub_title_text": said.rest} if said.rest else {}),
        **({"horizontal_content_list": _links(said)} if said.links else {}),
    }


def _links(said: CardText) -> list[dict[str, Any]]:
    return [
        {"keyname": _("Link"), "value": label, "type": 1, "url": url} for label, url in said.links
    ]


def _headed(text: str) -> tuple[str, str]:
    """Title and rest; a first line too long for a title is broken where its facts are."""
    first, _newline, rest = text.partition("\n")
    kept = _shortened(first, LONGEST_TITLE)
    if kept != first and (at := kept.rfind(_FACTS)) > 0:
        first, rest = first[:at], first[at + len(_FACTS) :] + "\n" + rest
    return first, rest.strip("\n")


def _shortened(text: str, longest: int) -> str:
    """At most that wide, in Han characters; a letter is half of one."""
    if _width(text) <= longest:
        return text
    kept = text[: 2 * longest]
    while _width(kept) > longest - 1:
        kept = kept[:-1]
    return kept + "…"


def _width(text: str) -> float:
    return sum(1.0 if east_asian_width(sign) in "WF" else 0.5 for sign in text)


def _converted(text: str, inline: Written, line: Callable[[str], str]) -> str:
    parts, at = [], 0
    for fence in _FENCE.finditer(text):
        parts.append(_INLINE.sub(inline, text[at : fence.start()]))
        parts.append("\n".join(line(one) for one in fence[1].split("\n")))
        at = fence.end()
    parts.append(_INLINE.sub(inline, text[at:]))
    return _TRAILING.sub("", "".join(parts))


def _as_markdown(found: "re.Match[str]") -> str:
    if found["sign"] is not None:
        return _literal(found)
    if found["label"] is not None:
        return f"[{_inner(found['label'], _as_markdown)}]({found['url']})"
    return found[0]


def _as_linked_text(found: "re.Match[str]") -> str:
    if found["label"] is not None:
        return f'<a href="{found["url"]}">{_inner(found["label"], _as_linked_text)}</a>'
    return _unlinked(_as_bare_text(found)) if found["code"] is not None else _as_bare_text(found)


def _as_bare_text(found: "re.Match[str]") -> str:
    if found["sign"] is not None:
        return "＜" if found["sign"] == "<" else found["sign"]
    if found["code"] is not None:
        return found["code"]
    if found["label"] is not None:
        return _inner(found["label"], _as_bare_text)
    return ""


def _inner(label: str, inline: Written) -> str:
    return _INLINE.sub(inline, label)


def _literal(found: "re.Match[str]") -> str:
    """An escaped sign, as itself where it cannot be taken for markup."""
    sign, before, after = found["sign"], found.string[: found.start()], found.string[found.end() :]
    if sign == "]" and after.startswith("("):
        return "］"
    if sign in _LOOKALIKE_FIRST and (not before or before.endswith("\n")):
        return _LOOKALIKE_FIRST[sign]
    return _LOOKALIKE.get(sign, sign)


def _inert(text: str) -> str:
    for live, lookalike in _LIVE:
        text = live.sub(lookalike, text)
    return text


def _unlinked(text: str) -> str:
    return _ANCHOR.sub("＜", text)
