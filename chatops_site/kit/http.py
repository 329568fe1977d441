"""The one client for outgoing HTTP: a total deadline, a byte cap, no redirects, checked addresses.

It stands on the adapter of requests and leaves out its Session, which follows redirects, keeps
cookies and reads proxies and passwords from the environment.
https://requests.readthedocs.io/en/latest/api/, https://www.rfc-editor.org/rfc/rfc9110
"""

import gzip
import io
import json as jsonlib
import random
import re
import time
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cached_property
from time import monotonic
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from django.utils.translation import gettext as _
from requests import PreparedRequest, Response
from requests.exceptions import Timeout as RequestsTimeout
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import TimeoutError as Urllib3Timeout
from urllib3.util import Timeout

from .addresses import Origin, check_url, parse_origin
from .http_errors import (
    AddressRefused,
    BadAnswer,
    CutOff,
    HttpError,
    NoAnswer,
    NotConnected,
    Redirected,
    Untrusted,
)
from .sockets import CheckedAdapter

__all__ = [
    "AddressRefused",
    "Answer",
    "BadAnswer",
    "Client",
    "CutOff",
    "HttpError",
    "NoAnswer",
    "NotConnected",
    "Redirected",
    "Untrusted",
    "check_url",
]

Params = Mapping[str, Any] | Sequence[tuple[str, Any]]

_BACKOFF: Final = (0.1, 0.3)
_TRANSIENT: Final = frozenset({502, 503, 504})
_JSON_TYPE: Final = re.compile(r"application/(?:[\w.+-]+\+)?json", re.IGNORECASE)
# urllib3 cuts at “#”, and quotes the whole path again when one “%” in it quotes nothing.
_TARGET: Final = re.compile(r"(?:[\x21\x22\x24\x26-\x7e]|%[0-9A-Fa-f]{2})*")
_METHOD: Final = re.compile(r"[A-Z]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# requests' own errors are OSErrors; a gzip stream breaks with three kinds.
_TIME_IS_UP: Final = (Urllib3Timeout, RequestsTimeout)
_IMPROPER: Final = (Urllib3Error, OSError, ValueError, EOFError, zlib.error)
_READ_SIZE: Final = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """A complete answer of any status. `body` is decoded, `elapsed` counts seconds."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    elapsed: float

    def json(self) -> Any:
        """What the body says, or BadAnswer unless it is strict UTF-8 JSON and is called so."""
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
        if not _JSON_TYPE.fullmatch(kind):
            raise BadAnswer(
                _("The answer (status %(status)s) is not JSON. Check the address of the API.")
                % {"status": self.status}
            )
        try:
            return jsonlib.loads(self.body.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise BadAnswer(
                _("The answer (status %(status)s) calls itself JSON but cannot be read as such.")
                % {"status": self.status}
            ) from None

    def text(self) -> str:
        return self.body.decode(errors="replace")


class Client:
    """Calls one base URL, from any number of threads, and keeps connections for the next call.

    `deadline` counts seconds over everything that a call does: DNS, connecting, TLS, sending,
    reading, and the tries of get(). `ca_file` replaces the trusted authorities.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        deadline: float = 20.0,
        byte_cap: int = 2_000_000,
        ca_file: str = "",
        redirects_are_answers: bool = False,
    ) -> None:
        self._base_url = base_url
        self._headers = {
            "User-Agent": "chatops-portal",
            "Accept-Encoding": "gzip",
            **_basic(auth),
            **(headers or {}),
        }
        self._deadline = deadline
        self._byte_cap = byte_cap
        self._ca_file = ca_file
        self._redirects_are_answers = redirects_are_answers

    def __repr__(self) -> str:
        try:
            origin = self._origin
        except HttpError:
            return "Client(?)"
        return f"Client({origin.scheme}://{origin.netloc})"

    def get(
        self,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
    ) -> Answer:
        """Reads, trying again what may pass: up to three times within the one deadline."""
        until = self._until(deadline)
        request = self._request("GET", path, params=params, headers=headers)
        for pause in _BACKOFF:
            try:
                answer = self._exchange(request, until=until)
            except (NotConnected, NoAnswer):
                wait: float | None = _jittered(pause)
                if not _fits(wait, until):
                    raise
            else:
                wait = _wait_wanted(answer, pause)
                if not _fits(wait, until):
                    return answer
            time.sleep(wait or 0.0)
        return self._exchange(request, until=until)

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Params | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
    ) -> Answer:
        """Sends once. After an error with `sent` the effect may have happened: look before more."""
        until = self._until(deadline)
        request = self._request(method, path, params=params, headers=headers)
        request.prepare_body(form, None, json=json)
        return self._exchange(request, until=until)

    def close(self) -> None:
        """Closes the connections that wait for a next call."""
        self._adapter.close()

    @cached_property
    def _origin(self) -> Origin:
        return parse_origin(self._base_url)

    @cached_property
    def _adapter(self) -> CheckedAdapter:
        return CheckedAdapter(self._origin, ca_file=self._ca_file)

    def _until(self, deadline: float | None) -> float:
        return monotonic() + (self._deadline if deadline is None else deadline)

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None,
        headers: Mapping[str, str] | None,
    ) -> PreparedRequest:
        """Prepared by hand: requests itself would read the path and quote it anew."""
        target = _target(self._origin.path + path, params)
        if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
            raise HttpError(_("The request cannot be sent: its path has unusual characters."))
        request = PreparedRequest()
        request.method = method
        request.url = f"{self._origin.scheme}://{self._origin.netloc}{target}"
        request.headers = CaseInsensitiveDict(self._headers)
        request.headers.update(headers or {})
        _check_headers(request.headers)
        return request

    def _exchange(self, request: PreparedRequest, *, until: float) -> Answer:
        """Sends and reads. The transport itself raises what happens before and at sending."""
        names = {"host": self._origin.netloc}
        try:
            answer = self._answer(request, until=until)
        except ProtocolError:
            raise CutOff(
                _("%(host)s ended the connection before its answer was complete.") % names
            ) from None
        except _TIME_IS_UP:
            # Connecting took all there was, so that nothing is left to wait for an answer.
            raise NoAnswer(_("%(host)s did not answer in time.") % names) from None
        except _IMPROPER:
            raise BadAnswer(_("%(host)s sent something that is not proper HTTP.") % names) from None
        if 300 <= answer.status < 400 and not self._redirects_are_answers:
            self._refuse_redirect(answer)
        return answer

    def _answer(self, request: PreparedRequest, *, until: float) -> Answer:
        began = monotonic()
        # A total, which urllib3 knows and requests has no word for.
        timeout: Any = Timeout(total=max(until - began, 0.001))
        with self._adapter.send(request, stream=True, timeout=timeout) as response:
            if response.status_code < 200:
                raise ValueError
            body = _decoded(_read(response, self._byte_cap), response.headers, self._byte_cap)
            return Answer(
                status=response.status_code,
                headers=response.headers,
                body=body,
                elapsed=monotonic() - began,
            )

    def _refuse_redirect(self, answer: Answer) -> None:
        if "Location" not in answer.headers:
            return
        raise Redirected(
            _(
                "%(host)s answered with a redirect to %(other)s, which is never followed. "
                "Check the base URL."
            )
            % {"host": self._origin.netloc, "other": _host_of(answer.headers["Location"])}
        )


def _basic(auth: tuple[str, str] | None) -> dict[str, str]:
    if auth is None:
        return {}
    return {"Authorization": "Basic " + b64encode(":".join(auth).encode()).decode()}


def _query(params: Params) -> str:
    pairs = params.items() if isinstance(params, Mapping) else params
    return urlencode([(name, value) for name, value in pairs if value is not None], doseq=True)


def _target(path: str, params: Params | None) -> str:
    target = path if path.startswith("/") else f"/{path}"
    query = _query(params) if params else ""
    if not query:
        return target
    return f"{target}{'&' if '?' in target else '?'}{query}"


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER_VALUE.fullmatch(value):
            raise HttpError(
                _(
                    "The request cannot be sent: the value for %(name)s has characters that no "
                    "header may have. Was something pasted along with it?"
                )
                % {"name": name}
            )


def _read(response: Response, byte_cap: int) -> bytes:
    raw = bytearray()
    if (response.raw.length_remaining or 0) > byte_cap:
        raise _too_large(byte_cap)
    for part in response.raw.stream(_READ_SIZE, decode_content=False):
        raw += part
        if len(raw) > byte_cap:
            raise _too_large(byte_cap)
    return bytes(raw)


def _decoded(raw: bytes, headers: Mapping[str, str], byte_cap: int) -> bytes:
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity" or not raw:
        return raw
    if encoding not in {"gzip", "x-gzip"}:
        raise BadAnswer(_("The answer is compressed in a way that was not asked for."))
    # Not by urllib3, which takes a gzip stream that was cut for a whole one.
    body = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(byte_cap + 1)
    if len(body) > byte_cap:
        raise _too_large(byte_cap)
    return body


def _too_large(byte_cap: int) -> BadAnswer:
    return BadAnswer(_("The answer is larger than %(cap)s bytes.") % {"cap": byte_cap})


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _jittered(pause: float) -> float:
    return pause * random.uniform(0.5, 1.5)  # noqa: S311  # spreads load, hides nothing


def _fits(wait: float | None, until: float) -> bool:
    return wait is not None and monotonic() + wait < until


def _wait_wanted(answer: Answer, pause: float) -> float | None:
    """Seconds until the next try is due, or None when there should be none."""
    named = _retry_after(answer.headers.get("Retry-After", ""))
    if answer.status == 429:
        return named
    if answer.status in _TRANSIENT:
        return _jittered(pause) if named is None else named
    return None


def _retry_after(value: str) -> float | None:
    """Seconds by RFC 9110 section 10.2.3; None for what is neither seconds nor a date to come."""
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    wait = moment.timestamp() - time.time()
    return wait if wait >= 0 else None


def _host_of(location: str) -> str:
    try:
        return urlsplit(location).hostname or _("another path of its own")
    except ValueError:
        return _("an address that cannot be read")
