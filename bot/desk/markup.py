"""Shows the markdown of our own replies as HTML: every piece escaped, links only to http and https."""

import re
from collections.abc import Iterator
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import ngettext

from audit.display import visible

FOLDED_BEYOND: Final = 20
_FENCE: Final = "```"
_PIECE: Final = re.compile(
    r"`(?P<code>[^`\n]+)`"
    r"|\*\*(?P<bold>[^*\n]+)\*\*"
    r"|\[(?P<label>(?:\\.|[^\]\\\n])*)\]\((?P<url>https?://[^\s()<>\[\]\"'\\]+)\)"
    r"|(?P<plain>(?:\\.|[^`*\[\\])+|.)",
    re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\([\\`*_\[\]<>|~#>+-])")
_LINK: Final = re.compile(r"https?://[^\s<>\"'\\]+")
# What the replies put into foreign text so that no platform reads a mention there.
_DEFUSED: Final = "@\u200b"


def reply_html(text: str) -> SafeString:
    """A whole reply: paragraphs of lines, and code blocks that fold when they are long."""
    parts: list[SafeString] = []
    for number, part in enumerate(text.split(_FENCE)):
        lines = part.strip("\n").split("\n")
        if number % 2:
            parts.append(folded(lines))
        elif part.strip():
            parts.append(format_html("<p>{}</p>", _lines(lines)))
    return format_html_join("", "{}", ((part,) for part in parts))


def _lines(lines: list[str]) -> SafeString:
    first, *more = [line_html(line) for line in lines]
    return format_html("{}{}", first, format_html_join("", "<br>{}", ((row,) for row in more)))


def line_html(text: str) -> SafeString:
    """One line of markdown, such as a gate's fact."""
    return format_html_join("", "{}", ((piece,) for piece in _pieces(text.strip())))


def plain_line(text: str) -> str:
    """The first line of a reply as plain words, without its mark: beside it stands a pill."""
    line = text.split("\n", 1)[0].lstrip("✅⛔⏳❓ ")
    return "".join(_words(match) for match in _PIECE.finditer(line)).strip()


def _words(match: re.Match[str]) -> str:
    return match["code"] or _plain(match["bold"] or match["label"] or match["plain"] or "")


def folded(lines: list[str]) -> SafeString:
    """Log lines; the newest twenty stay open and the earlier ones fold."""
    shown = "\n".join(visible(line) for line in lines[-FOLDED_BEYOND:])
    newest = format_html('<pre class="verbatim">{}</pre>', shown)
    earlier = lines[:-FOLDED_BEYOND]
    if not earlier:
        return newest
    words = ngettext("%(count)d earlier line", "%(count)d earlier lines", len(earlier))
    return format_html(
        '<details><summary>{}</summary><pre class="verbatim">{}</pre></details>{}',
        words % {"count": len(earlier)},
        "\n".join(visible(line) for line in earlier),
        newest,
    )


def value_html(value: object) -> SafeString:
    """A value from another system: a link when it is an address, else monospaced text."""
    text = str(value)
    if _LINK.fullmatch(text):
        return link_html(text, text)
    return format_html("<code>{}</code>", visible(text))


def link_html(url: str, label: object) -> SafeString:
    if not _LINK.fullmatch(url):
        return format_html("{}", label)
    return format_html('<a href="{}" rel="noreferrer noopener">{}</a>', url, label)


def _pieces(line: str) -> Iterator[SafeString]:
    for match in _PIECE.finditer(line):
        if match["code"]:
            yield format_html("<code>{}</code>", visible(match["code"]))
        elif match["bold"]:
            yield format_html("<strong>{}</strong>", _plain(match["bold"]))
        elif match["url"]:
            yield link_html(match["url"], _plain(match["label"]))
        else:
            yield format_html("{}", _plain(match["plain"]))


def _plain(text: str) -> str:
    return visible(_ESCAPED.sub(r"\1", text).replace(_DEFUSED, "@"))
