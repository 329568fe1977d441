"""Takes secrets out of text: the values this process has decrypted, those named, and what looks so.

Token forms: https://docs.gitlab.com/security/tokens/,
https://docs.github.com/authentication/keeping-your-account-and-data-secure/about-authentication-to-github
"""

import json
import logging
import re
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import escape
from threading import Lock
from typing import Final
from urllib.parse import quote, quote_plus

MARK: Final = "[redacted]"
# Shorter values would turn ordinary words into marks.
SHORTEST: Final = 6
SHORTEST_REMEMBERED: Final = 8
REMEMBERED: Final = 1_000

_WORD = r"(?<![\w-])"
_VALUE = rf"(?!{re.escape(MARK)})(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s&;,\"'<>{{}}]+)"
_NAMES = (
    r"(?:password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key|"
    r"encrypt_?key|aes_?key|credentials?|signature)"
)

# Letters and digits, at least one of each.
_CODE_GROUP = r"(?=[2-9]{0,3}[A-Z])(?=[A-Z]{0,3}[2-9])[A-HJKMNP-Z2-9]{4}"

# Each pattern is linear: repetitions are bounded or start only where a word starts.
_PATTERNS: Final = tuple(
    (re.compile(pattern, flags), replacement)
    for pattern, replacement, flags in (
        (
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[^-]|-(?!----))*"
            r"(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?",
            MARK,
            0,
        ),
        (
            rf"{_WORD}((?:(?:proxy-)?authorization|(?:set-)?cookie|"
            rf"[\w-]{{1,40}}-(?:token|signature|secret|key)):[ \t]*)(?!{re.escape(MARK)})"
            rf"[^\s\"'][^\r\n\"']*",
            rf"\1{MARK}",
            re.IGNORECASE,
        ),
        (rf"{_WORD}gl[a-z]{{2,5}}-[\w-]{{16,}}", MARK, 0),
        (rf"{_WORD}(?:gh[pousr]_[A-Za-z0-9]{{16,}}|github_pat_\w{{16,}})", MARK, 0),
        (rf"{_WORD}(?:xox[a-z]|xapp|xwfp)-[\w-]{{8,}}", MARK, 0),
        (r"SEC[0-9a-f]{64}", MARK, 0),
        # A code that links a chat account, by its form, and whatever was typed in a code's place.
        (
            rf"(?:(?<![A-Z0-9_-])|(?<=link)){_CODE_GROUP}-{_CODE_GROUP}(?![A-Z0-9_-])",
            MARK,
            re.IGNORECASE,
        ),
        (
            r"((?:\A[ \t]{0,9}|[/!／！])(?:link|绑定|关联)[ \t\u3000\xa0]{1,9})"
            rf"(?!{re.escape(MARK)})(?=[^\n`]{{0,20}}\d)[^\n`]{{1,60}}",
            rf"\1{MARK}",
            re.IGNORECASE,
        ),
        (rf"{_WORD}eyJ[\w-]{{8,}}\.[\w-]{{8,}}\.[\w-]*", MARK, 0),
        (
            rf"{_WORD}((?:Bearer|Basic)[ \t]+)(?=[^\s]*[\d+/=._-])[\w.~+/=-]{{8,}}",
            rf"\1{MARK}",
            re.IGNORECASE,
        ),
        (r"(?<=://)[^\s/?#@:]*:[^\s/?#@]+@", f"{MARK}@", 0),
        (rf"{_WORD}((?:key|sign|sig)=){_VALUE}", rf"\1{MARK}", re.IGNORECASE),
        (rf"{_WORD}([\w.-]{{0,40}}?{_NAMES}=){_VALUE}", rf"\1{MARK}", re.IGNORECASE),
        (
            rf"([\"'][\w.-]{{0,40}}?(?:{_NAMES}|authorization|cookie)\\?[\"']\s{{0,3}}:\s{{0,3}})"
            rf"(?!.?{re.escape(MARK)})(?:\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?)",
            rf'\1"{MARK}"',
            re.IGNORECASE,
        ),
    )
)

_lock = Lock()
_remembered: OrderedDict[str, None] = OrderedDict()


def redact(text: str, secrets: Iterable[str] = ()) -> tuple[str, int]:
    """The text without secrets, and how many were taken out.

    `secrets` are exact values, looked for as they stand and in base64, URL, hex, JSON and HTML
    forms, together with all that this process has decrypted. Redacting twice changes nothing more.
    """
    with _lock:
        known = {*secrets, *_remembered}
    text, count = _without_values(text, known)
    for pattern, replacement in _PATTERNS:
        text, found = pattern.subn(replacement, text)
        count += found
    return text, count


def remember(secret: str) -> None:
    """Lets every later redact() and RedactingFilter of this process know the value."""
    if len(secret) < SHORTEST_REMEMBERED:
        return
    with _lock:
        _remembered[secret] = None
        _remembered.move_to_end(secret)
        if len(_remembered) > REMEMBERED:
            _remembered.popitem(last=False)


class RedactingFilter(logging.Filter):
    """Rewrites a log record, its traceback included, before any handler writes it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(_message(record))[0], None
        if record.exc_info:
            record.exc_text = record.exc_text or _FORMATTER.formatException(record.exc_info)
            record.exc_info = None
        if record.exc_text:
            record.exc_text = redact(record.exc_text)[0]
        if record.stack_info:
            record.stack_info = redact(record.stack_info)[0]
        return True


_FORMATTER = logging.Formatter()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args}"


def _without_values(text: str, secrets: set[str]) -> tuple[str, int]:
    count = 0
    for secret in sorted(secrets, key=len, reverse=True):
        for form in _forms(secret):
            found = text.count(form)
            if found:
                text = text.replace(form, MARK)
                count += found
    return text, count


@lru_cache(maxsize=4096)
def _forms(secret: str) -> tuple[str, ...]:
    """The ways in which a value may stand in a text, longest first."""
    if len(secret) < SHORTEST:
        return ()
    raw = secret.encode(errors="surrogatepass")
    forms = {secret, json.dumps(secret)[1:-1], escape(secret), raw.hex(), raw.hex().upper()}
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        forms.update({quoted, re.sub(r"%..", lambda match: match[0].lower(), quoted)})
    forms.update(_base64_forms(raw))
    return tuple(sorted(forms, key=len, reverse=True))


def _base64_forms(raw: bytes) -> Iterator[str]:
    """What base64 makes of a value wherever it begins in the encoded text, in both alphabets."""
    for before in range(3):
        encoded = b64encode(bytes(before) + raw).decode()
        whole = encoded[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        if len(whole) >= SHORTEST:
            yield whole
            yield whole.translate(str.maketrans("+/", "-_"))
