"""The pieces replies are made of: marks, names, shas, durations, links, and foreign text made harmless."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from django.utils.translation import gettext as _

DONE: Final = "✅"
BLOCKED: Final = "⛔"
UNDER_WAY: Final = "⏳"
UNKNOWN: Final = "❓"

LONGEST_TITLE: Final = 80
LONGEST_REPLY: Final = 4000
# What markdown (DingTalk's, CommonMark's) would read as markup.
_MARKUP = re.compile(r"([\\`*_\[\]<>|~]|^[#>+-])")
# Zero-width space: breaks "@all" for every platform and is not seen.
_DEFUSED_AT = "@\u200b"


def escape(text: str, *, longest: int = LONGEST_TITLE) -> str:
    """Foreign text as one harmless line: no markup, no mention, no control or direction characters."""
    visible = "".join(" " if c.isspace() else c for c in text if not _unseen(c)).strip()
    if len(visible) > longest:
        visible = visible[: longest - 1] + "…"
    return _MARKUP.sub(r"\\\1", visible).replace("@", _DEFUSED_AT).replace("＠", _DEFUSED_AT)


def _unseen(character: str) -> bool:
    return (
        unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"}
        and not character.isspace()
    )


def sha7(sha: str) -> str:
    return sha[:7]


def code(text: str) -> str:
    """A command or name to copy; backticks cannot end it early."""
    return "`" + "".join(c for c in text if c != "`" and not _unseen(c)) + "`"


def link(label: str, url: str) -> str:
    """label as a link when the address is plain http(s) without anything that could end the markup."""
    if re.fullmatch(r"https?://[^\s()<>\[\]\"'\\]+", url):
        return f"[{label}]({url})"
    return label


def block(lines: Iterable[str]) -> str:
    """Log lines in a code block that they cannot leave."""
    kept = ["".join(c for c in line if c == "\t" or not _unseen(c)) for line in lines]
    text = "\n".join(line.replace("```", "'''")[:300] for line in kept)
    return f"```\n{text}\n```"


def duration(seconds: float) -> str:
    """3 min 12 s; under ten seconds one decimal is noise too, so whole seconds."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    if minutes:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}
    return _("%(seconds)d s") % {"seconds": rest}


def listed(names: Iterable[str]) -> str:
    """Names in a row as the language writes them: "张三、王芳"."""
    return _(", ").join(names)


def sentences(first: str, following: str) -> str:
    """One after the other: English puts a blank between them, Chinese none. Either may be empty."""
    if not (first and following):
        return first or following
    return _("%(first)s %(following)s") % {"first": first, "following": following}


def lines(*parts: str) -> str:
    """Parts as lines of one message, empty ones left out; two blanks make markdown break the line."""
    return "  \n".join(part for part in parts if part)


def cut(text: str) -> str:
    """At most 4,000 characters, cut at a line end; an open code block is closed."""
    if len(text) <= LONGEST_REPLY:
        return text
    kept = text[: LONGEST_REPLY - 10].rsplit("\n", 1)[0]
    return kept + ("\n```" if kept.count("```") % 2 else "") + "\n…"
