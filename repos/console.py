"""The text of a piece of a Jenkins log: without what only terminals and Jenkins itself can read."""

import codecs
import re
from typing import Final

# Jenkins hides links and stage marks in the log: https://javadoc.jenkins.io/hudson/console/ConsoleNote.html
_NOTE: Final = re.compile(r"\x1b\[8mha:[A-Za-z0-9+/=]*(?:\x1b\[0m)?")
_ESCAPE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
MOST_LINE_CHARACTERS: Final = 1_000


def last_lines(raw: bytes, *, lines: int, from_start: bool) -> tuple[str, ...]:
    """The last lines of the piece. Unless it is from_start, its first line is taken as cut."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    # final=False: a character that is still being written is left for the next look.
    text = decoder.decode(raw if from_start else _from_character(raw))
    found = text.replace("\r\n", "\n").split("\n")
    if found and not found[-1]:
        found.pop()
    if not from_start and len(found) > 1:
        del found[0]
    return tuple(plain(line) for line in found[-lines:])


def plain(line: str) -> str:
    """One line as a person sees it; of what a carriage return overwrote only the last is left."""
    shown = _ESCAPE.sub("", _NOTE.sub("", line))
    shown = shown.rstrip("\r").rpartition("\r")[2]
    return _CONTROL.sub("", shown)[:MOST_LINE_CHARACTERS]


def _from_character(raw: bytes) -> bytes:
    """Without the rest of a UTF-8 character that the cut went through."""
    rest = 0
    while rest < min(3, len(raw)) and 0x80 <= raw[rest] < 0xC0:
        rest += 1
    return raw[rest:]
