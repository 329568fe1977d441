"""Replies as Slack writes them: our markdown becomes mrkdwn in which foreign words are only words.

https://docs.slack.dev/messaging/formatting-message-text
https://docs.slack.dev/reference/block-kit/blocks/section-block
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from bot.platforms.base import Button
from bot.platforms.markup import FENCE, TOKEN

LONGEST_SECTION: Final = 3_000
# Slack refuses about 13,000 characters over all blocks, whatever each of them may hold.
LONGEST_MESSAGE: Final = 12_000
LONGEST_NOTICE: Final = 150
LONGEST_LABEL: Final = 75
MOST_BUTTONS: Final = 25

_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# mrkdwn has no escape: what would begin markup is written by a character that looks like it.
_LOOKALIKES: Final = str.maketrans({"`": "\u02cb", "*": "\u2217", "~": "\u223c"})
_URL: Final = re.compile(r"https?://[^\s<>\"\\]{1,1500}")
_TONES: Final = frozenset({"primary", "danger"})


def blocks(text: str, buttons: Sequence[Button], *, mention: str = "") -> list[dict[str, Any]]:
    """The blocks of a message. mention: the id of the person it is for, who is told by it."""
    start = f"<@{mention}> " if mention else ""
    sections = [_section(one) for one in split(start + mrkdwn(text))]
    return [*sections, *_actions(buttons[:MOST_BUTTONS])]


def mrkdwn(text: str) -> str:
    """Our markdown as mrkdwn. Only links and marks of our own are left in it."""
    written: list[str] = []
    for token in TOKEN.finditer(text):
        written.append(_written(token, at_start=not written or written[-1].endswith("\n")))
    return "".join(written).strip("\n")


def notice(text: str) -> str:
    """The first line without markup, for notifications."""
    first = next((line for line in text.splitlines() if line.strip(" `")), "")
    plain = "".join(_plain(token) for token in TOKEN.finditer(first[: 2 * LONGEST_NOTICE]))
    return _entities(plain.strip()[:LONGEST_NOTICE]) or "ChatOps"


def split(written: str) -> list[str]:
    """Sections of at most 3,000 characters; no entity, link or code block is cut in two."""
    sections, section, in_code = [], "", False
    for piece in _pieces(written if len(written) <= LONGEST_MESSAGE else _cut(written)):
        room = LONGEST_SECTION - len(FENCE) - 1
        if section and len(section) + len(piece) > room:
            sections.append(section.rstrip("\n") + (f"\n{FENCE}" if in_code else ""))
            section = f"{FENCE}\n" if in_code else ""
        section += piece
        in_code = in_code != (piece.count(FENCE) % 2 == 1)
    return [one for one in (*sections, section.strip("\n")) if one.strip()] or ["…"]


def _cut(written: str) -> str:
    kept = ""
    for piece in _pieces(written):
        if len(kept) + len(piece) > LONGEST_MESSAGE - 10:
            break
        kept += piece
    return kept.rstrip("\n") + (f"\n{FENCE}" if kept.count(FENCE) % 2 else "") + "\n…"


def _pieces(written: str) -> Iterator[str]:
    """Lines, and of long ones parts that nothing is lost by dividing."""
    for line in written.splitlines(keepends=True):
        if len(line) <= LONGEST_SECTION // 2:
            yield line
        else:
            yield from _ATOMS.findall(line)


_ATOMS: Final = re.compile(
    r"```|<[^<>\n]*>|&(?:amp|lt|gt);|(?:(?!```)[^<&]){1,500}|[<&]", re.DOTALL
)


def _section(text: str) -> dict[str, Any]:
    # verbatim: Slack makes no links or mentions of its own of what stands there.
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _actions(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    if not buttons:
        return []
    return [{"type": "actions", "elements": [_button(n, one) for n, one in enumerate(buttons)]}]


def _button(n: int, button: Button) -> dict[str, Any]:
    label = {"type": "plain_text", "text": button.label[:LONGEST_LABEL] or "?", "emoji": False}
    tone = {"style": button.tone} if button.tone in _TONES else {}
    return {
        "type": "button",
        "action_id": f"chatops_{n}",
        "text": label,
        "value": button.token,
        **tone,
    }


def _written(token: re.Match[str], *, at_start: bool) -> str:
    if token["block"] is not None:
        return f"{FENCE}\n{_entities(token['block'])}\n{FENCE}"
    if token["code"] is not None:
        return f"`{_entities(token['code'])}`"
    if token["url"] is not None:
        return _link(token["label"], token["url"])
    if token["bold"]:
        return "*"
    if token["line"]:
        return "\n"
    plain = _entities(_plain(token).translate(_LOOKALIKES))
    # A line that begins so would be a quotation.
    return f"\u200b{plain}" if at_start and plain.startswith("&gt;") else plain


def _plain(token: re.Match[str]) -> str:
    if token["url"] is not None:
        return _words(token["label"])
    if token["bold"] or token["line"]:
        return ""
    return next(
        (token[name] for name in ("block", "code", "literal", "text") if token[name] is not None),
        "",
    )


def _words(label: str) -> str:
    return re.sub(r"\\(.)|\*\*|`", lambda found: found[1] or "", label)


def _link(label: str, url: str) -> str:
    shown = _entities(_words(label)[:LONGEST_NOTICE].translate(_LOOKALIKES)).strip()
    if not _URL.fullmatch(url) or not shown:
        return shown
    return f"<{_entities(url).replace('|', '%7C')}|{shown.replace('|', chr(0xA6))}>"


def _entities(text: str) -> str:
    return text.translate(_ENTITIES)
