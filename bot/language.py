"""The language: a line of chat becomes a call, or a sentence on what is wrong with it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from django.utils.translation import gettext as _

from bot import phrasing
from bot.arguments import Shape, bind, fold, is_number, needs_number, printed
from bot.commands.base import Call, Spec
from bot.phrasing import Misread, NotACommand, Wrong

__all__ = [
    "Misread",
    "NotACommand",
    "canonical",
    "canonicalise",
    "names_a_command",
    "parse",
    "with_number",
]

LONGEST_MESSAGE: Final = 4000
MOST_GRAMMARS: Final = 20
# So many odd characters right before a command are a slip; more are a text.
MOST_STRANGE: Final = 9
LONGEST_GUESSED: Final = 30

# What stands around a command when a platform has cut the mention out; WeChat's is U+2005.
_BLANKS: Final = " \t\r\n\u00a0\u2005\u3000"
_ZERO_WIDTH: Final = "\u200b"
# What Chinese keyboards type for the signs of the language.
_TYPED: Final = str.maketrans(
    "／＃！\u3000\u00a0\t" + "".join(chr(0xFF10 + digit) for digit in range(10)),
    "/#!   0123456789",
)
# Every character at which str.splitlines splits.
_LINE_BREAK: Final = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Only what is sure to be a token: a branch may well be called glide-to-the-next-version.
_SECRET: Final = re.compile(
    r"-----BEGIN |\bgl(?:pat|dt|rtr?|cbt|ptt|ft|imt|agent|soat|ffct|oas|wt)-[\w-]{8}"
    r"|\bgh[pousr]_[A-Za-z0-9]{8}|\bgithub_pat_\w{8}|\b(?:xox[a-z]|xapp|xwfp)-[\w-]{8}"
    r"|\bSEC[0-9a-f]{64}|\bAKIA[0-9A-Z]{16}|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8}",
    re.ASCII,
)
_PUNCTUATION: Final = "。，、；：？…,.;:?!"

# "/merge233" and "/合并233": a verb and its first argument without the blank.
_GLUED: Final = re.compile(r"([A-Za-z]+(?=[#!0-9])|[^\x00-\x7F]+)([!-~]+)")


def parse(text: str, specs: Sequence[Spec]) -> Call | Misread | NotACommand:
    """What the text asks for. Never raises, whatever the text; what is misread is never to be run.

    Without "/" or "!" only an exactly known verb makes a command: fit for a message to the bot,
    not for a comment on a pull request, whose reader looks for the slash first.
    Arguments that were not given are absent from the call.
    """
    if len(text) > LONGEST_MESSAGE:
        return phrasing.too_long(LONGEST_MESSAGE).misread()
    grammar = _grammar(specs)
    line = canonicalise(text)
    body = _body(line, grammar)
    if body is None:
        return _no_command(line, grammar)
    try:
        return _read(body, grammar)
    except Wrong as wrong:
        return _without_punctuation(body, grammar) or wrong.misread()


def canonical(call: Call, spec: Spec) -> str:
    """The call as the language prints it, "/merge 233 shop squash"; parsing that gives it again."""
    return printed(spec, call.arguments)


def names_a_command(text: str, specs: Sequence[Spec]) -> bool:
    """Whether the line begins with one of our verbs, right or wrong as the rest may be."""
    body = _body(canonicalise(text), grammar := _grammar(specs))
    return body is not None and grammar.find(body.split(" ")) is not None


def with_number(text: str, number: int, specs: Sequence[Spec]) -> str:
    """The line with that number where its verb needs one and none was given: under a pull request it is meant."""
    line, grammar = canonicalise(text), _grammar(specs)
    words = (_body(line, grammar) or "").split(" ")
    found = grammar.find(words)
    if found is None or not needs_number(found.spec):
        return text
    rest = words[found.length :]
    if rest and is_number(rest[0]):
        return text
    return " ".join(["/" + found.spec.verb, str(number), *rest])


def canonicalise(text: str) -> str:
    """The text without blanks around it, one blank between words, its signs and digits ASCII."""
    front = text.lstrip(_BLANKS + _ZERO_WIDTH)
    line = front.rstrip(_BLANKS + _ZERO_WIDTH)
    # Beside a blank it is what a mention left behind; on a word it is part of that word, and shown.
    if front[len(line) :].startswith(_ZERO_WIDTH):
        line += _ZERO_WIDTH
    return re.sub(" {2,}", " ", line.translate(_TYPED))


def _body(line: str, grammar: "_Grammar") -> str | None:
    """The line without its prefix, or None when it is no command."""
    if line.startswith("//") or (line.startswith("!") and not line[1:2].isalnum()):
        return None
    if line.startswith(("/", "!")):
        return line[1:]
    return line if grammar.find(line.split(" ")) else None


def _no_command(line: str, grammar: "_Grammar") -> Misread | NotACommand:
    if not line:
        return NotACommand("empty")
    strange = next(
        (at for at, sign in enumerate(line[:MOST_STRANGE]) if not phrasing.is_strange(sign)), 0
    )
    if strange and grammar.find(re.sub("^[/!]", "", line[strange:]).split(" ")):
        return Wrong("character", phrasing.unusual(line[0])).misread()
    beginnings = {"//": "double_slash", ">": "quote", "`": "code"}
    return NotACommand(next((beginnings[b] for b in beginnings if line.startswith(b)), "text"))


def _without_punctuation(body: str, grammar: "_Grammar") -> Misread | None:
    """The hint for what is a command up to the full stop at its end."""
    trimmed = body.rstrip(_PUNCTUATION)
    if trimmed == body:
        return None
    try:
        call = _read(trimmed, grammar)
    except Wrong:
        return None
    return phrasing.punctuation(body[len(trimmed) :], call.canonical).misread()


def _read(body: str, grammar: "_Grammar") -> Call:
    if _LINE_BREAK.search(body):
        raise Wrong("one_line", _("A command is one line only, and one command a message."))
    if _SECRET.search(body):
        raise Wrong(
            "secret",
            _(
                "This holds what looks like an access token, so it was not read any further. "
                "Revoke the token: everyone in this conversation may have seen it."
            ),
        )
    words = body.split(" ")
    found = grammar.find(words)
    if found is None:
        raise grammar.unknown(words)
    return grammar.call(found, words)


@dataclass(frozen=True)
class _Found:
    spec: Spec
    # How many words its verb takes.
    length: int


class _Grammar:
    """The specs, found by the words people type."""

    def __init__(self, specs: Sequence[Spec]) -> None:
        # Kept, so that their ids stay theirs as long as this is cached by them.
        self.specs = tuple(specs)
        self.shapes = {spec.verb: Shape(spec) for spec in self.specs}
        self.verbs: dict[tuple[str, ...], Spec] = {
            tuple(fold(verb).split(" ")): spec
            for spec in reversed(self.specs)
            for verb in (*spec.aliases, spec.verb)
        }
        self.first_words = sorted({words[0] for words in self.verbs})
        self.groups: dict[str, list[str]] = {}
        for spec in self.specs:
            first, _blank, second = spec.verb.partition(" ")
            if second:
                self.groups.setdefault(first, []).append(second)

    def find(self, words: Sequence[str]) -> _Found | None:
        """The longest verb that the words begin with."""
        for length in (2, 1):
            spec = self.verbs.get(tuple(map(fold, words[:length])))
            if spec is not None and len(words) >= length:
                return _Found(spec, length)
        return None

    def call(self, found: _Found, words: Sequence[str]) -> Call:
        spec, rest = found.spec, words[found.length :]
        arguments = bind(spec, self.shapes[spec.verb], rest, named_command=self.command)
        return Call(spec.verb, arguments, printed(spec, arguments))

    def unknown(self, words: Sequence[str]) -> Wrong:
        first = fold(words[0])
        if first in self.groups:
            return self._incomplete(first, words)
        strange = phrasing.STRANGE_IN_VERB.search(words[0])
        if strange:
            return Wrong("character", phrasing.unusual(strange[0]))
        return phrasing.unknown_command(words[0], self._nearest(words))

    def _incomplete(self, first: str, words: Sequence[str]) -> Wrong:
        second = fold("".join(words[1:2])[:LONGEST_GUESSED])
        close = get_close_matches(second, self.groups[first], n=1)
        suggestion = self._suggest([first, *close, *words[2:]]) if close else ""
        return phrasing.incomplete(first, self.groups[first], suggestion)

    def _nearest(self, words: Sequence[str]) -> str:
        glued = _GLUED.fullmatch(words[0])
        guesses = [[glued[1], glued[2], *words[1:]]] if glued else []
        if not words[0]:
            guesses = [list(words[1:])]
        word = fold(words[0][:LONGEST_GUESSED])
        close = get_close_matches(word, self.first_words, cutoff=0.5 if len(word) < 4 else 0.6)
        guesses += [[verb, *words[1:]] for verb in close]
        return next(filter(None, map(self._suggest, guesses)), "")

    def _suggest(self, words: Sequence[str]) -> str:
        """The command that the words are, with its arguments if they fit; "" when it is none."""
        found = self.find(words)
        if found is None:
            return ""
        try:
            suggestion = self.call(found, words).canonical
        except Wrong:
            suggestion = ""
        # It is shown as code, where a mention cannot be defused and still be copied.
        return suggestion if suggestion and "@" not in suggestion else f"/{found.spec.verb}"

    def command(self, words: Sequence[str], spec: Spec) -> tuple[str, int] | None:
        """The verb, or first word of several, that an argument of spec names, and its length."""
        bare = [re.sub("^[/!]", "", words[0]), *words[1:2]]
        found = self.find(bare)
        if found is not None:
            return found.spec.verb, found.length
        if fold(bare[0]) in self.groups:
            return fold(bare[0]), 1
        if phrasing.STRANGE_IN_VERB.search(bare[0]):
            return None
        meant = self.find(self._nearest(bare).removeprefix("/").split(" "))
        suggestion = f"/{spec.verb} {meant.spec.verb}" if meant else ""
        raise phrasing.unknown_command(bare[0], suggestion)


_grammars: dict[tuple[int, ...], _Grammar] = {}


def _grammar(specs: Sequence[Spec]) -> _Grammar:
    """Found by identity: comparing specs would translate their summaries each time."""
    key = tuple(map(id, specs))
    grammar = _grammars.get(key)
    if grammar is None:
        if len(_grammars) >= MOST_GRAMMARS:
            _grammars.clear()
        grammar = _grammars[key] = _Grammar(specs)
    return grammar
