"""What the language gives back when a line is no call, and the sentences for it."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.commands.base import Argument, Kind, Spec
from bot.wording import code, escape, listed, sentences

LONGEST_QUOTE: Final = 40
_FLAG: Final = re.compile(r"--?[A-Za-z].*|--")
_NUMBERS: Final = re.compile(r"(?:[#!]?[0-9]+[,，、]+)+[#!]?[0-9]*")
_DIGITS: Final = re.compile(r"[#!]?[0-9]+")
# Anything but ASCII and the characters of Chinese verbs.
STRANGE_IN_VERB: Final = re.compile("[^ -~\u4e00-\u9fff]")
_STRANGE: Final = re.compile("[^ -~]")
# ASCII that no argument is made of: quotes, brackets, what a shell would read.
_SHELL: Final = re.compile(r"[;|&$`<>(){}\[\]'\"\\*?~^]")
# Opening and closing quotes: what stands in them is quoted, not meant.
_QUOTES: Final = frozenset({"Pi", "Pf", "Ps", "Pe"})
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Zl", "Zp", "Zs"})


@dataclass(frozen=True)
class Misread:
    """A line that was meant as a command and is none; it is never run.

    sentence is all that a person needs, usage and "did you mean" included; verb, usage and
    suggestion (a command ready to copy) repeat its parts. reason is a stable code.
    """

    reason: str
    sentence: str
    verb: str = ""
    usage: str = ""
    suggestion: str = ""


@dataclass(frozen=True)
class NotACommand:
    """reason: empty, text, quote, code or double_slash."""

    reason: str


class Wrong(Exception):
    """Why a line cannot be read; with a spec, its usage ends the sentence."""

    def __init__(
        self, reason: str, problem: str, *, spec: Spec | None = None, suggestion: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.problem = problem
        self.spec = spec
        self.suggestion = suggestion

    def misread(self) -> Misread:
        if self.spec is None:
            return Misread(self.reason, self.problem, suggestion=self.suggestion)
        sentence = _("%(problem)s Usage: %(usage)s") % {
            "problem": self.problem,
            "usage": code(self.spec.usage),
        }
        return Misread(self.reason, sentence, self.spec.verb, self.spec.usage, self.suggestion)


def is_strange(sign: str) -> bool:
    """What nobody types before a command on purpose: emoji, unseen characters, foreign slashes."""
    if sign.isascii():
        return sign == "\\" or (not sign.isprintable() and not sign.isspace())
    return not sign.isalnum() and unicodedata.category(sign) not in _QUOTES


def unusual(sign: str) -> str:
    """A sentence that names the character by its code point."""
    name = unicodedata.name(sign, "")
    shown = "" if unicodedata.category(sign) in _UNSEEN else f"{escape(sign)} "
    return _(
        "The character %(sign)s has no place in a command. Type it again by hand, without it."
    ) % {"sign": f"{shown}(U+{ord(sign):04X} {name})".replace(" )", ")")}


def _quoted(word: str) -> str:
    """The beginning of a foreign word; escape looks at each character, and there may be thousands."""
    return escape(word[: LONGEST_QUOTE + 1], longest=LONGEST_QUOTE)


def too_long(longest: int) -> Wrong:
    problem = _("A message of more than %(longest)d characters is no command; nothing was done.")
    return Wrong("too_long", problem % {"longest": longest})


def punctuation(sign: str, suggestion: str) -> Wrong:
    problem = _("Leave out the %(sign)s at the end: %(suggestion)s")
    shown = {"sign": escape(sign[:5]), "suggestion": code(suggestion)}
    return Wrong("punctuation", problem % shown, suggestion=suggestion)


def unknown_command(word: str, suggestion: str) -> Wrong:
    shown = {"word": _quoted(word), "suggestion": code(suggestion)}
    problem = _("No command /%(word)s.") if word else _("A command begins right after its slash.")
    hint = _("Did you mean %(suggestion)s?") if suggestion else _("`/help` lists what there is.")
    return Wrong("unknown_command", sentences(problem, hint) % shown, suggestion=suggestion)


def incomplete(first: str, seconds: Sequence[str], suggestion: str) -> Wrong:
    problem = _("/%(first)s goes on with one of these: %(all)s.") % {
        "first": first,
        "all": listed(code(f"/{first} {second}") for second in seconds),
    }
    if suggestion:
        meant = _("Did you mean %(suggestion)s?") % {"suggestion": code(suggestion)}
        problem = sentences(problem, meant)
    return Wrong("incomplete", problem, suggestion=suggestion)


_NOUNS: Final[Mapping[Kind, Promise]] = {
    Kind.NUMBER: gettext_lazy("the number of a pull request"),
    Kind.REPOSITORY: gettext_lazy("a repository"),
    Kind.SERVICE: gettext_lazy("a service"),
    Kind.ENVIRONMENT: gettext_lazy("an environment"),
    Kind.REF: gettext_lazy("a branch, a tag or a commit"),
    Kind.RUN: gettext_lazy("the number of a run"),
    Kind.PAGE: gettext_lazy("the number of a page"),
    Kind.CHOICE: gettext_lazy("one of its words"),
    Kind.JOB: gettext_lazy("a Jenkins job"),
    Kind.PARAMETERS: gettext_lazy("a parameter"),
    Kind.TEXT: gettext_lazy("a text"),
    Kind.COMMAND: gettext_lazy("a command"),
}

_RULES: Final[Mapping[Kind, Promise]] = {
    Kind.NUMBER: gettext_lazy("1 to 9 digits that do not begin with 0"),
    Kind.REPOSITORY: gettext_lazy("a name of letters, digits, dots, dashes and underscores"),
    Kind.SERVICE: gettext_lazy("a name of letters, digits, dots, dashes and underscores"),
    Kind.ENVIRONMENT: gettext_lazy("a name of letters, digits, dots, dashes and underscores"),
    Kind.REF: gettext_lazy("the name of a branch or tag, or a sha of exactly 40 or 64 digits"),
    Kind.RUN: gettext_lazy("up to 12 digits that do not begin with 0"),
    Kind.PAGE: gettext_lazy("1 to 99"),
    Kind.JOB: gettext_lazy("its full name, such as team/shop-test"),
    Kind.PARAMETERS: gettext_lazy('name=value, or name="value with blanks"'),
}


def missing(argument: Argument, spec: Spec) -> Wrong:
    problem = _("/%(verb)s lacks %(noun)s.") % {"verb": spec.verb, "noun": _NOUNS[argument.kind]}
    return Wrong("missing", problem, spec=spec)


def twice(word: str, spec: Spec) -> Wrong:
    shown = {"word": _quoted(word)}
    problem = _("That was given already: %(word)s is one too many.") % shown
    return Wrong("twice", problem, spec=spec)


def text_too_long(longest: int, spec: Spec) -> Wrong:
    problem = _("The text is too long: at most %(longest)d characters.") % {"longest": longest}
    return Wrong("text_too_long", problem, spec=spec)


def refuse_second_number(word: str, spec: Spec) -> None:
    """A repository that is called 234 is not worth merging the wrong pull request for."""
    if _DIGITS.fullmatch(word):
        raise second_number(spec)


def second_number(spec: Spec) -> Wrong:
    return Wrong("second_number", _("One pull request a command."), spec=spec)


def unfit(word: str, argument: Argument | None, spec: Spec) -> Wrong:
    """What is wrong with the word: its signs first, then its place (None: none is left for it)."""
    shown = {"word": _quoted(word)}
    if not word:
        return missing(argument, spec) if argument else Wrong("extra", "", spec=spec)
    strange = _STRANGE.search(word)
    if strange:
        return Wrong("character", unusual(strange[0]), spec=spec)
    if _FLAG.fullmatch(word):
        problem = _("Options such as %(word)s are not understood; each argument has its place.")
        return Wrong("option", problem % shown, spec=spec)
    if _NUMBERS.fullmatch(word):
        return second_number(spec)
    shell = _SHELL.search(word)
    if shell:
        return Wrong("character", unusual(shell[0]), spec=spec)
    if argument is None:
        return Wrong("extra", _("%(word)s is one word too many.") % shown, spec=spec)
    return _not_that(argument, shown, spec)


def _not_that(argument: Argument, shown: dict[str, str], spec: Spec) -> Wrong:
    if argument.choices:
        problem = _("%(word)s is none of %(choices)s.")
        shown = shown | {"choices": listed(argument.choices)}
    else:
        problem = _("%(word)s is not %(noun)s: that is %(rule)s.")
        shown = shown | {
            "noun": str(_NOUNS[argument.kind]),
            "rule": str(_RULES.get(argument.kind, "")),
        }
    return Wrong(argument.kind.value, problem % shown, spec=spec)
