"""The arguments of a command: where they may stand, what fits them, how they are printed."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bot import phrasing
from bot.commands.base import Argument, Kind, Spec
from bot.phrasing import Wrong

LONGEST_TEXT: Final = 500
LONGEST_REF: Final = 200
LONGEST_JOB: Final = 200
LONGEST_WORD: Final = 63

# str.lower() would also turn a Kelvin sign into a k.
_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_NUMBER: Final = re.compile(rf"(?:({_NAME})?[#!])?([1-9][0-9]{{0,8}})")
_PAGE: Final = re.compile(r"[1-9][0-9]?")
_RUN: Final = re.compile(r"#?([1-9][0-9]{0,11})")
_ONE_NAME: Final = re.compile(_NAME)
_REF: Final = re.compile(r"[A-Za-z0-9._/-]+")
# https://git-scm.com/docs/git-check-ref-format, and names that git takes for something else.
_NO_REF: Final = re.compile(
    r"[-/]|refs/|.*[./]$|.*(?:\.\.|//|/\.|\.lock(?:/|$))|\.|(?:[A-Z]+_)?HEAD$"
)
_HEX: Final = re.compile(r"[0-9A-Fa-f]{39,}")
_SHA: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_JOB: Final = re.compile(r"(?!-)[A-Za-z0-9._%-]+(?:/[A-Za-z0-9._%-]+)*")
_PARAMETER: Final = re.compile(
    r'([A-Za-z_][A-Za-z0-9_.-]{0,62})=(?:"([ !#-~]*)"|((?!")[!-~]*))(?: |\Z)'
)
_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {"to": ("到", "in"), "page": ("页",)}
_REST: Final = frozenset({Kind.TEXT, Kind.PARAMETERS})


def fold(word: str) -> str:
    """The word in lower case; one that is longer than every word of the language stays as it is."""
    return word.translate(_LOWER) if len(word) <= LONGEST_WORD else word


class Shape:
    """Where the arguments of one spec may stand."""

    def __init__(self, spec: Spec) -> None:
        arguments = spec.arguments
        rest = next((at for at, a in enumerate(arguments) if _is_rest(a)), len(arguments))
        self.has_number = any(argument.kind is Kind.NUMBER for argument in arguments)
        self.places = tuple(a for a in arguments[: rest + 1] if _in_place(a))
        self.keywords = _keywords(arguments[:rest])
        # After a text only what ends the line is no part of it: "reason for 2h".
        self.trailing = _keywords(arguments[rest:])
        self.choices = {
            fold(word): (argument, word)
            for argument in arguments
            if argument.kind is Kind.CHOICE and not argument.keyword
            for word in argument.choices
        }
        self.repository = next(
            (a for a in arguments if a.kind is Kind.REPOSITORY and not a.keyword), None
        )
        self._check(spec, arguments[rest + 1 :])

    def _check(self, spec: Spec, after: tuple[Argument, ...]) -> None:
        """A repository after a text is reached by its number: shop#233."""
        lost = [a.name for a in after if not a.keyword and a is not self.repository]
        if lost or (self.repository in after and not self.has_number):
            raise ValueError(f"/{spec.verb}: nothing can stand after the rest of the line: {lost}")


def _is_rest(argument: Argument) -> bool:
    return argument.kind in _REST and not argument.keyword


def _in_place(argument: Argument) -> bool:
    return argument.kind is not Kind.CHOICE and not argument.keyword


def _keywords(arguments: tuple[Argument, ...]) -> dict[str, Argument]:
    own = {a.keyword: a for a in arguments if a.keyword}
    others = {also: a for word, a in own.items() for also in _SYNONYMS.get(word, ())}
    return others | own


# The verb that the words begin with and how many of them it is; it raises Wrong for an unknown one.
NamedCommand = Callable[[Sequence[str], Spec], tuple[str, int] | None]


def bind(
    spec: Spec, shape: Shape, words: Sequence[str], *, named_command: NamedCommand
) -> dict[str, Any]:
    """The arguments by name, in the order of the spec; absent ones are left out. Raises Wrong."""
    return _Binding(spec, shape, words, named_command).fill()


class _Binding:
    """The words after the verb on their way into the arguments."""

    def __init__(
        self, spec: Spec, shape: Shape, words: Sequence[str], named_command: NamedCommand
    ) -> None:
        self.spec = spec
        self.shape = shape
        self.words = list(words)
        self.named_command = named_command
        self.place = 0
        self.bound: dict[str, Any] = {}

    def fill(self) -> dict[str, Any]:
        self._take_trailing()
        while self.words:
            if not self._take_keyword() and not self._take_choice():
                self._take_in_place()
        for argument in self.spec.arguments:
            if argument.required and argument.name not in self.bound:
                raise phrasing.missing(argument, self.spec)
        return {a.name: self.bound[a.name] for a in self.spec.arguments if a.name in self.bound}

    def _take_trailing(self) -> None:
        required = sum(argument.required for argument in self.shape.places)
        while len(self.words) >= 2 + required:
            argument = self.shape.trailing.get(fold(self.words[-2]))
            value = _value(argument, self.words[-1]) if argument else None
            if argument is None or value is None or argument.name in self.bound:
                return
            self.bound[argument.name] = value
            del self.words[-2:]

    def _take_keyword(self) -> bool:
        argument = self.shape.keywords.get(fold(self.words[0]))
        if argument is None or (self._at_rest() and argument.name in self.bound):
            return False
        if argument.name in self.bound:
            raise phrasing.twice(self.words[0], self.spec)
        value = _value(argument, self.words[1]) if len(self.words) > 1 else None
        if value is None and not self._at_rest():
            raise phrasing.unfit("".join(self.words[1:2]), argument, self.spec)
        if value is None:
            return False
        self.bound[argument.name] = value
        del self.words[:2]
        return True

    def _take_choice(self) -> bool:
        argument, word = self.shape.choices.get(fold(self.words[0]), (None, ""))
        if argument is None or (self._at_rest() and argument.name in self.bound):
            return False
        if argument.name in self.bound:
            raise phrasing.twice(self.words[0], self.spec)
        self.bound[argument.name] = word
        del self.words[0]
        return True

    def _at_rest(self) -> bool:
        argument = self._current()
        return argument is not None and argument.kind in _REST

    def _current(self) -> Argument | None:
        while self.place < len(self.shape.places):
            argument = self.shape.places[self.place]
            if argument.name not in self.bound:
                return argument
            self.place += 1
        return None

    def _take_in_place(self) -> None:
        """Gives the next word to the first place that it fits; an optional place may stay empty."""
        skipped: Argument | None = None
        while argument := self._current():
            if self._has_words_for(argument) and _TAKERS.get(argument.kind, _take_word)(
                self, argument
            ):
                return
            if argument.required:
                raise phrasing.unfit(self.words[0], argument, self.spec)
            skipped = skipped or argument
            self.place += 1
        raise phrasing.unfit(self.words[0], skipped, self.spec)

    def _has_words_for(self, argument: Argument) -> bool:
        """Whether an optional argument leaves enough words for the required ones after it."""
        later = sum(a.required for a in self.shape.places[self.place + 1 :])
        return argument.required or len(self.words) > later

    def take(self, argument: Argument, value: Any, length: int) -> bool:
        self.bound[argument.name] = value
        del self.words[:length]
        return True


def _take_word(binding: _Binding, argument: Argument) -> bool:
    word = binding.words[0]
    if argument is binding.shape.repository and binding.shape.has_number:
        phrasing.refuse_second_number(word, binding.spec)
    value = _value(argument, word)
    return value is not None and binding.take(argument, value, 1)


def _take_number(binding: _Binding, argument: Argument) -> bool:
    """233, #233, !233, and shop#233 where a repository may be named."""
    match = _NUMBER.fullmatch(binding.words[0])
    if match is None:
        return False
    name, repository = match[1], binding.shape.repository
    if name is None:
        return binding.take(argument, int(match[2]), 1)
    phrasing.refuse_second_number(name, binding.spec)
    reserved = binding.shape.choices.keys() | binding.shape.keywords.keys()
    if repository is None or repository.name in binding.bound or fold(name) in reserved:
        return False
    binding.bound[repository.name] = name
    return binding.take(argument, int(match[2]), 1)


def _take_text(binding: _Binding, argument: Argument) -> bool:
    text = " ".join(binding.words)
    if len(text) > LONGEST_TEXT:
        raise phrasing.text_too_long(LONGEST_TEXT, binding.spec)
    if not text.isprintable():
        strange = next(sign for sign in text if not sign.isprintable())
        raise Wrong("character", phrasing.unusual(strange), spec=binding.spec)
    return binding.take(argument, text, len(binding.words))


def _take_parameters(binding: _Binding, argument: Argument) -> bool:
    rest, at, parameters = " ".join(binding.words), 0, dict[str, str]()
    while at < len(rest):
        match = _PARAMETER.match(rest, at)
        if match is None:
            raise phrasing.unfit(rest[at:].split(" ")[0], argument, binding.spec)
        if match[1] in parameters:
            raise phrasing.twice(match[1], binding.spec)
        parameters[match[1]] = match[2] or match[3] or ""
        at = match.end()
    return binding.take(argument, parameters, len(binding.words))


def _take_command(binding: _Binding, argument: Argument) -> bool:
    named = binding.named_command(binding.words, binding.spec)
    return named is not None and binding.take(argument, *named)


_TAKERS: Final = {
    Kind.NUMBER: _take_number,
    Kind.TEXT: _take_text,
    Kind.PARAMETERS: _take_parameters,
    Kind.COMMAND: _take_command,
}


def _value(argument: Argument, word: str) -> Any:
    """What the word is as that argument, or None when it does not fit."""
    if argument.kind is Kind.CHOICE:
        return next((choice for choice in argument.choices if fold(choice) == fold(word)), None)
    return _READERS[argument.kind](word)


def _run(word: str) -> int | None:
    match = _RUN.fullmatch(word)
    return int(match[1]) if match else None


def _page(word: str) -> int | None:
    return int(word) if _PAGE.fullmatch(word) else None


def _number(word: str) -> int | None:
    match = _NUMBER.fullmatch(word)
    return int(match[2]) if match and match[1] is None else None


def _name(word: str) -> str | None:
    return word if _ONE_NAME.fullmatch(word) else None


def _ref(word: str) -> str | None:
    if len(word) > LONGEST_REF or not _REF.fullmatch(word) or _NO_REF.match(word):
        return None
    # A sha with a digit lost or too many could be the name of a branch that someone made for it.
    return None if _HEX.fullmatch(word) and not _SHA.fullmatch(word) else word


def _job(word: str) -> str | None:
    if len(word) > LONGEST_JOB or not _JOB.fullmatch(word) or ".." in word:
        return None
    return None if "." in word.split("/") else word


def _text(word: str) -> str | None:
    return word if word.isprintable() and len(word) <= LONGEST_TEXT else None


_READERS: Final = {
    Kind.NUMBER: _number,
    Kind.RUN: _run,
    Kind.PAGE: _page,
    Kind.REPOSITORY: _name,
    Kind.SERVICE: _name,
    Kind.ENVIRONMENT: _name,
    Kind.REF: _ref,
    Kind.JOB: _job,
    Kind.TEXT: _text,
}


def needs_number(spec: Spec) -> bool:
    return any(argument.kind is Kind.NUMBER and argument.required for argument in spec.arguments)


def is_number(word: str) -> bool:
    """233, #233, shop#233."""
    return _NUMBER.fullmatch(word) is not None


def printed(spec: Spec, arguments: Mapping[str, Any]) -> str:
    """The call as it is typed: /merge 233 shop squash."""
    joined = _joined_repository(spec)
    parts = ["/" + spec.verb]
    for argument in spec.arguments:
        if argument.name not in arguments or argument.name == joined:
            continue
        words = _words(argument, arguments[argument.name])
        if argument.kind is Kind.NUMBER and joined in arguments:
            words = f"{arguments[joined]}#{words}"
        parts.append(f"{argument.keyword} {words}" if argument.keyword else words)
    return " ".join(parts)


def _joined_repository(spec: Spec) -> str:
    """Beside a text it is printed as shop#233, so that no word of the text is taken for it."""
    kinds = {argument.kind for argument in spec.arguments}
    if not {Kind.TEXT, Kind.NUMBER} <= kinds:
        return ""
    names = (a.name for a in spec.arguments if a.kind is Kind.REPOSITORY and not a.keyword)
    return next(names, "")


def _words(argument: Argument, value: Any) -> str:
    if argument.kind is not Kind.PARAMETERS:
        return str(value)
    quoted = {name: f'"{v}"' if v == "" or " " in v else v for name, v in value.items()}
    return " ".join(f"{name}={v}" for name, v in quoted.items())
