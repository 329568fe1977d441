"""What never gets into logs, replies and the audit."""

import base64
import io
import json
import logging
import re
import time
from html import escape
from urllib.parse import quote, quote_plus

import pytest

from chatops_site.kit.redaction import REMEMBERED, RedactingFilter, redact, remember

CANARY = 'c4n/ary+<值>&"w0rd'


def _forms() -> dict[str, str]:
    raw = CANARY.encode()
    return {
        "plain": CANARY,
        "url": quote(CANARY, safe=""),
        "url lower": re.sub("%..", lambda m: m[0].lower(), quote(CANARY, safe="")),
        "form": quote_plus(CANARY),
        "path": quote(CANARY),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "base64": base64.b64encode(raw).decode(),
        "base64 url": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "basic": base64.b64encode(b"bot:" + raw).decode(),
        "basic, shifted": base64.b64encode(b"bots:" + raw + b"!").decode(),
        "basic, shifted again": base64.b64encode(b"robot:" + raw).decode(),
        "json": json.dumps(CANARY)[1:-1],
        "html": escape(CANARY),
    }


@pytest.mark.parametrize("form", _forms())
def test_an_exact_value_is_found_in_each_of_its_forms(form: str) -> None:
    text, count = redact(f"before {_forms()[form]} after", [CANARY])
    assert count == 1
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert len(text) < len("before [redacted] after") + 14
    assert "[redacted]" in text


@pytest.mark.parametrize(
    ("leak", "left"),
    [
        ("glpat-abcdefghij1234567890", "[redacted]"),
        ("ghp_abcdefghij1234567890", "[redacted]"),
        ("github_pat_11ABCDEFG0abcdefghij", "[redacted]"),
        ("xoxb-1234-abcdefgh", "[redacted]"),
        ("SEC" + "0a" * 32, "[redacted]"),
        ("Authorization: Bearer abc.def-123", "Authorization: [redacted]"),
        ("curl -H 'PRIVATE-TOKEN: abcdef'", "curl -H 'PRIVATE-TOKEN: [redacted]'"),
        ("Cookie: sessionid=abc; csrftoken=d", "Cookie: [redacted]"),
        ("https://user:pa:ss@host/x", "https://[redacted]@host/x"),
        ("/x?access_token=abc&n=1", "/x?access_token=[redacted]&n=1"),
        ("/send?key=abc-def", "/send?key=[redacted]"),
        ("?timestamp=1&sign=abc%3D", "?timestamp=1&sign=[redacted]"),
        ('{"app_secret": "a\\"bc", "n": 1}', '{"app_secret": "[redacted]", "n": 1}'),
        ("{'password': 'a b'}", "{'password': \"[redacted]\"}"),
        ("JENKINS_TOKEN=abc next", "JENKINS_TOKEN=[redacted] next"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "[redacted]"),
        (
            "a -----BEGIN RSA PRIVATE KEY-----\nMII/+=\n-----END RSA PRIVATE KEY----- b",
            "a [redacted] b",
        ),
        ("cut -----BEGIN PRIVATE KEY-----\nMII", "cut [redacted]"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(leak: str, left: str) -> None:
    assert redact(leak) == (left, 1)


@pytest.mark.parametrize(
    "text",
    [
        "/merge 233 shop squash",
        "/jenkins build team/app REF=main monkey=yes DRY_RUN=true",
        "/部署 myservice v1.4.2 到 staging",
        "the bearer of bad news, basic training",
        "https://gitee.com/acme/shop/pulls/233#note_1",
        "token bucket: 5 left; secret santa",
        "sha 0123456789abcdef0123456789abcdef01234567",
        "eyJ is how a JWT begins",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text, ["", "ab", "abc"]) == (text, 0)


def test_redacting_twice_changes_nothing_more() -> None:
    once, _ = redact("a?token=abc Authorization: Bearer abcdef12 {'secret': 'x'} key=1 //a:b@c")
    assert redact(once) == (once, 0)


@pytest.mark.parametrize(
    "unit",
    [
        "a", "-", "a-", "eyJ", "eyJa.", "//", "//a:", "http://a:", "-----BEGIN PRIVATE KEY-----",
        "token", "a_token", "'token'", '"token":"', "a-token:", "Bearer ", "[redacted]", "key=",
        '"', "\\", " ", "\n", "值",
    ],
)  # fmt: skip
def test_long_input_takes_linear_time(unit: str) -> None:
    began = time.process_time()
    redact(unit * (200_000 // len(unit)), [CANARY])
    assert time.process_time() - began < 1.5


def _logged(level: int, message: str, *args: object, exc_info: bool = False) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.log(level, message, *args, exc_info=exc_info)
    return stream.getvalue()


def test_a_log_line_is_redacted_after_its_arguments_are_filled_in() -> None:
    assert _logged(logging.INFO, "GET %s%s", "/x?access_", "token=abc") == (
        "GET /x?access_token=[redacted]\n"
    )


def test_a_logged_traceback_is_redacted() -> None:
    remember("plain-canary-words")
    try:
        raise ValueError("plain-canary-words")
    except ValueError:
        text = _logged(logging.ERROR, "It failed", exc_info=True)
    assert "Traceback" in text
    assert "ValueError: [redacted]" in text
    assert "raise ValueError" in text


def test_a_log_call_with_wrong_arguments_loses_nothing_and_leaks_nothing() -> None:
    assert _logged(logging.INFO, "one %d", "token=abc") == "one %d ('token=[redacted]',)\n"


def test_a_logged_stack_is_redacted() -> None:
    record = logging.makeLogRecord({"msg": "here", "stack_info": "login(token=abc)"})
    RedactingFilter().filter(record)
    assert record.stack_info == "login(token=[redacted]"


def test_only_so_many_values_are_remembered() -> None:
    remember("the-oldest-value")
    for number in range(REMEMBERED):
        remember(f"value-number-{number:04}")
    assert redact("the-oldest-value value-number-0000") == ("the-oldest-value [redacted]", 1)


def test_a_short_value_is_not_remembered() -> None:
    remember("merge")
    assert redact("/merge 233") == ("/merge 233", 0)
