"""Strict JSON has one reading, refuses the rest, and never raises anything else."""

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatops_site.kit import strict_json
from chatops_site.kit.strict_json import Malformed, TooMuch, is_clean, parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=30,
)


@settings(deadline=None)
@given(VALUES)
def test_it_reads_what_python_writes(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_it_never_raises_anything_else(body: bytes) -> None:
    with suppress(Malformed, TooMuch):
        parse(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"nothing",
        "文本=你好".encode(),
        b'{"a":1}\0\0',
        b'{"a":1}{"a":1}',
        b'{"a":1} x',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-32"),
        '{"a":"中"}'.encode("gbk"),
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b"\xc0\xaf",
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e400]",
        b"[-1e400]",
        b"9" * 20,
        b"-" + b"9" * 20,
        b"9" * 5_000,
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'[{"b":{"a":1,"a":1}}]',
        b"[" * 33 + b"]" * 33,
        b'{"a":' * 33 + b"1" + b"}" * 33,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"{'a':1}",
        b"[1,]",
        b"[01]",
        b'"a\nb"',
        b'"a',
        "［1］".encode(),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_it_refuses_what_has_no_one_meaning(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse(body)


@pytest.mark.parametrize("body", [b"9" * 19, b"-" + b"9" * 19, b"1e308", b" [1]\r\n", b"null"])
def test_it_takes_what_is_just_within_the_limits(body: bytes) -> None:
    assert parse(body) == json.loads(body)


def test_it_takes_thirty_two_levels() -> None:
    assert parse(b"[" * 32 + b"1" + b"]" * 32)


def test_it_counts_values_and_says_when_there_are_too_many() -> None:
    assert len(parse(json.dumps([0] * (strict_json.MOST_NODES - 1)).encode())) == 1_999
    with pytest.raises(TooMuch):
        parse(json.dumps([0] * strict_json.MOST_NODES).encode())
    with pytest.raises(TooMuch):
        parse(json.dumps({str(n): n for n in range(10_000)}).encode())


@pytest.mark.parametrize("start", [b"[", b'{"a":', b"[" + b"1,", b'{"a":"\\u0061'], ids=repr)
def test_it_is_fast_whatever_the_shape(start: bytes) -> None:
    body = start * (250_000 // len(start))
    began = time.process_time()
    with pytest.raises((Malformed, TooMuch)):
        parse(body)
    assert time.process_time() - began < 0.25


def test_it_says_what_cannot_be_stored() -> None:
    assert is_clean("/merge 233 🚀")
    assert not is_clean(parse(b'"\\ud83d"'))
    assert is_clean(parse(b'"\\ud83d\\ude80"'))
