"""JSON of strangers: one reading only, and nothing that is expensive to hold or to walk.

Python's own reader keeps the last of two equal keys, takes NaN and 1e400, and fails in three ways.
https://www.rfc-editor.org/rfc/rfc8259, https://docs.python.org/3.11/library/json.html
"""

import json
import math
from typing import Any, Final

DEEPEST: Final = 32
MOST_NODES: Final = 2_000
MOST_DIGITS: Final = 19


class Malformed(Exception):
    """Not UTF-8, or not one JSON value with one meaning."""


class TooMuch(Exception):
    """Proper JSON with more values in it than any message has."""


def parse(body: bytes, *, most_nodes: int = MOST_NODES) -> Any:
    """The one JSON value that the body is; Malformed or TooMuch. Lone surrogates get through."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_refuse,
        )
    except (ValueError, RecursionError):
        raise Malformed from None
    _measure(value, most_nodes)
    return value


def is_clean(text: str) -> bool:
    r"""Says whether the text can be stored: a lone surrogate ("\ud800") has no UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise ValueError("long integer")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _measure(value: Any, most_nodes: int) -> None:
    """Level by level, so that depth costs no stack of ours; what is too deep is not counted."""
    level, nodes = [value], 1
    for _ in range(DEEPEST):
        level = [child for parent in level for child in _children(parent)]
        nodes += len(level)
    if any(isinstance(child, dict | list) for child in level):
        raise Malformed
    if nodes > most_nodes:
        raise TooMuch


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
