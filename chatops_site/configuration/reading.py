"""Reads the file: YAML without its surprises (no octal, no yes-is-true), repeats or bombs.

https://yaml.org/spec/1.2.2/#103-core-schema
"""

import re
from collections.abc import Hashable, Mapping
from typing import Any, Final

import yaml
from django.utils.translation import gettext as _

from chatops_site.configuration.problems import ConfigurationRefused

MOST_BYTES: Final = 1_000_000
MOST_NODES: Final = 200_000
DEEPEST: Final = 12

Document = dict[str, list[dict[str, Any]]]


class _Loader(yaml.SafeLoader):
    """SafeLoader with the few plain forms of YAML 1.2; so `on:` is a key and 12:30 a text."""

    # A table of its own, or the rules below would land in the library's.
    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault(_("a key is a plain text"), key)
            if key.value in seen:
                raise _fault(_("the key %(key)s stands here twice") % {"key": key.value}, key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _fault(sentence: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, sentence, node.start_mark)


# Each plain form with the characters it may begin with ("" is the empty value).
_PLAIN: Final = {
    "bool": (r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    "int": (r"[-+]?(?:0|[1-9][0-9]{0,14})", [*"-+0123456789"]),
    "null": (r"~|null|Null|NULL|", [*"~nN", ""]),
}
for _kind, (_pattern, _firsts) in _PLAIN.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(rf"^(?:{_pattern})$"), _firsts
    )


def read(source: bytes) -> Document:
    """Section → rows. Raises ConfigurationRefused."""
    if len(source) > MOST_BYTES:
        raise ConfigurationRefused(
            [_("The file is larger than %(most)s bytes.") % {"most": MOST_BYTES}]
        )
    try:
        text = source.decode("utf-8-sig")
        _measure(text)
        content = yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except UnicodeDecodeError:
        raise ConfigurationRefused([_("The file is not UTF-8 text.")]) from None
    except yaml.YAMLError as error:
        raise ConfigurationRefused([_sentence(error)]) from None
    return _document(content)


def _measure(text: str) -> None:
    """Before anything is built: how deep it nests, and how large it grows when aliases unfold."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ConfigurationRefused([_("The file nests deeper than any section does.")])
    if _unfolded(yaml.compose(text, _Loader), {}) > MOST_NODES:
        raise ConfigurationRefused([_("The file's aliases unfold to far too much.")])


def _unfolded(node: Any, known: dict[int, int]) -> int:
    """How many nodes there are under this one, aliases counted each time they stand there."""
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    else:
        parts = node.value if isinstance(node, yaml.SequenceNode) else []
    # One that is under way counts as endless: it holds itself.
    known.setdefault(id(node), MOST_NODES + 1)
    size = 1
    for part in parts:
        size += known[id(part)] if id(part) in known else _unfolded(part, known)
    known[id(node)] = size
    return size


def _sentence(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    told = (getattr(error, "context", None), getattr(error, "problem", None))
    problem = ", ".join(filter(None, told)) or _("not readable")
    if mark is None:
        return _("The file is not YAML: %(problem)s.") % {"problem": problem}
    return _("Line %(line)s, column %(column)s: %(problem)s.") % {
        "line": mark.line + 1,
        "column": mark.column + 1,
        "problem": problem,
    }


def _document(content: Any) -> Document:
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigurationRefused(
            [_("The file holds no sections; it begins with one such as forges:.")]
        )
    faults = [fault for name, rows in content.items() for fault in _faults(name, rows)]
    if faults:
        raise ConfigurationRefused(faults)
    return {name: list(rows or []) for name, rows in content.items()}


def _faults(name: Any, rows: Any) -> list[str]:
    if not isinstance(rows or [], list):
        return [_("%(section)s: a section is a list of rows.") % {"section": name}]
    return [
        _("%(section)s, row %(number)s: a row is a mapping of keys to values.")
        % {"section": name, "number": number}
        for number, row in enumerate(rows or [], 1)
        if not isinstance(row, dict) or not all(isinstance(key, str) for key in row)
    ]
