"""The commands in a comment, by Prow's rules: each begins a line, and what is quoted or code does not count."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from bot import language
from bot.commands.base import Spec

MOST_COMMANDS: Final = 10
# Says that a line is meant for us where the forge has commands of its own: GitLab swallows /approve.
PREFIX: Final = re.compile(r"[/／]ops +", re.IGNORECASE)
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_HIDDEN: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


def commands_in(body: str, *, number: int, specs: Sequence[Spec]) -> list[str]:
    """Each as it would be typed in chat, with the number of the pull request that it stands under.

    A line that is none of our commands is somebody else's, unless it begins with "/ops".
    """
    found = []
    for line in _lines(_HIDDEN.sub("", body)):
        meant = PREFIX.match(line)
        text = "/" + line[meant.end() :].lstrip("/／") if meant else line
        if meant or language.names_a_command(text, specs):
            found.append(language.with_number(text, number, specs))
    return found[:MOST_COMMANDS]


def _lines(body: str) -> Iterator[str]:
    """The lines that begin with a slash, outside fences; an indented or quoted one does not begin with it."""
    fence = ""
    for line in body.splitlines():
        mark = _FENCE.match(line)
        if fence:
            closes = mark is not None and mark[1].startswith(fence)
            fence = "" if closes and not line[mark.end() :].strip() else fence  # type: ignore[union-attr]
        elif mark is not None:
            fence = mark[1]
        elif line.startswith(("/", "／")) and not line.startswith("//"):
            yield line.rstrip()
