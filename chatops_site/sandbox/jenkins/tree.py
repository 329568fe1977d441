"""The `tree=` and `depth=` selection of Jenkins' remote access API.

https://www.jenkins.io/doc/book/using/remote-access-api/ (jobs[name,url],builds[number]{0,20})
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r"\s*([A-Za-z_*][A-Za-z0-9_]*|[\[\],]|\{[^}]*\})")
_RANGE = re.compile(r"\{\s*(\d*)\s*(,?)\s*(\d*)\s*\}")
DEEPEST = 4
# Shown when a tree names it and never by depth, however deep (its visibility in Jenkins is -2).
ONLY_BY_NAME = frozenset({"allBuilds"})


class MalformedTree(Exception):
    """The expression cannot be read; Jenkins answers 500 to such a one."""


@dataclass(frozen=True)
class Bean:
    """Something exported. A callable field is asked only when it is wanted; `brief` names what a
    mention of it shows without further depth (None: it is always shown in full)."""

    kind: str
    fields: Mapping[str, Any]
    brief: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Selection:
    """What is wanted of one field: its inner fields and the half-open range of a list."""

    inside: dict[str, Selection]
    first: int = 0
    last: int | None = None


def by_depth(bean: Bean, depth: int) -> dict[str, Any]:
    """The bean as it is without a tree: mentions of others are expanded `depth` levels."""
    return _expand(bean, min(depth, DEEPEST))


def by_tree(bean: Bean, expression: str) -> dict[str, Any]:
    """Only what the expression names, and every `_class`. Raises MalformedTree."""
    return _select(bean, parse(expression))


def _expand(bean: Bean, depth: int) -> dict[str, Any]:
    names = bean.fields if depth >= 0 or bean.brief is None else bean.brief
    shown = _head(bean)
    for name in names:
        if name in bean.fields and name not in ONLY_BY_NAME:
            shown[name] = _expanded(_asked(bean.fields[name]), depth)
    return shown


def _expanded(value: Any, depth: int) -> Any:
    if isinstance(value, list):
        return [_expanded(each, depth) for each in value]
    if not isinstance(value, Bean):
        return value
    return _expand(value, depth if value.brief is None else depth - 1)


def _select(bean: Bean, wanted: dict[str, Selection]) -> dict[str, Any]:
    shown = _head(bean)
    for name in bean.fields:
        selection = wanted.get(name) or wanted.get("*")
        if selection:
            shown[name] = _selected(_asked(bean.fields[name]), selection)
    return shown


def _selected(value: Any, selection: Selection) -> Any:
    if isinstance(value, list):
        return [_selected(each, selection) for each in value[selection.first : selection.last]]
    return _select(value, selection.inside) if isinstance(value, Bean) else value


def _head(bean: Bean) -> dict[str, Any]:
    return {"_class": bean.kind} if bean.kind else {}


def _asked(value: Any) -> Any:
    return value() if callable(value) else value


def parse(expression: str) -> dict[str, Selection]:
    """Raises MalformedTree for brackets that do not match and the like."""
    tokens = _tokens(expression)
    wanted, rest = _parse_list(tokens)
    if rest:
        raise MalformedTree(f"Unexpected {rest[0]!r} in {expression!r}")
    return wanted


def _tokens(expression: str) -> list[str]:
    tokens, place = [], 0
    text = expression.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise MalformedTree(f"Unexpected {text[place]!r} in {text!r}")
        tokens.append(found.group(1))
        place = found.end()
    return tokens


def _parse_list(tokens: list[str]) -> tuple[dict[str, Selection], list[str]]:
    wanted: dict[str, Selection] = {}
    while tokens and tokens[0] != "]":
        name, tokens = tokens[0], tokens[1:]
        if not re.match(r"[A-Za-z_*]", name):
            raise MalformedTree(f"Expected a name and found {name!r}")
        wanted[name], tokens = _parse_selection(tokens)
        if tokens and tokens[0] == ",":
            tokens = tokens[1:]
    return wanted, tokens


def _parse_selection(tokens: list[str]) -> tuple[Selection, list[str]]:
    inside: dict[str, Selection] = {}
    if tokens and tokens[0] == "[":
        inside, tokens = _parse_list(tokens[1:])
        if not tokens:
            raise MalformedTree("A bracket is not closed")
        tokens = tokens[1:]
    if not tokens or not tokens[0].startswith("{"):
        return Selection(inside), tokens
    first, last = _parse_range(tokens[0])
    return Selection(inside, first, last), tokens[1:]


def _parse_range(token: str) -> tuple[int, int | None]:
    found = _RANGE.fullmatch(token)
    if found is None or not any(found.groups()):
        raise MalformedTree(f"{token!r} is not a range")
    first, comma, last = found.groups()
    if not comma:
        return int(first), int(first) + 1
    return int(first or 0), int(last) if last else None
