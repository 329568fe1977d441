"""How a call to a forge or to Jenkins can end badly: a sentence for people, a detail for operators."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _

from chatops_site.kit.http import (
    AddressRefused,
    Answer,
    CutOff,
    HttpError,
    NoAnswer,
    NotConnected,
    Redirected,
    Untrusted,
)

FIRST_WORDS: Final = 200


class RemoteError(Exception):
    """A call did not succeed.

    sentence: for the person, translated, no secrets; quotes the other side where that helps.
    detail: for the operator (method, path without query, status, the answer's first words).
    retryable: the same call may succeed later.
    maybe_applied: the effect may have happened although no success was seen; reconcile before
    repeating.
    """

    retryable = False
    maybe_applied = False

    def __init__(self, sentence: str, *, detail: str = "") -> None:
        super().__init__(detail or sentence)
        self.sentence = sentence
        self.detail = detail


class NotFound(RemoteError):
    """The thing is not there, or the token may not see it."""


class TokenRefused(RemoteError):
    """The token is wrong or expired (401)."""


class Forbidden(RemoteError):
    """The token is known but may not do this (403)."""


class NotSupported(RemoteError):
    """This forge (or this server's version) has no such thing."""


class Refused(RemoteError):
    """The other side understood and said no: not mergeable, its own gates, a disabled job."""


class HeadMoved(RemoteError):
    """The head is not the expected one; the sentence says whether anything was changed."""

    def __init__(self, sentence: str, *, expected: str, found: str, detail: str = "") -> None:
        super().__init__(sentence, detail=detail)
        self.expected = expected
        self.found = found


class OtherHeadMerged(HeadMoved):
    """The worst case at a forge without a sha guard: a head that nobody checked was merged."""

    def __init__(
        self, sentence: str, *, expected: str, found: str, merge_sha: str, detail: str = ""
    ) -> None:
        super().__init__(sentence, expected=expected, found=found, detail=detail)
        self.merge_sha = merge_sha


class RateLimited(RemoteError):
    retryable = True

    def __init__(self, sentence: str, *, until: datetime | None = None, detail: str = "") -> None:
        super().__init__(sentence, detail=detail)
        self.until = until


class Unavailable(RemoteError):
    """Nothing was sent, or the other side answered that it is down (5xx on a read)."""

    retryable = True


class OutcomeUnknown(RemoteError):
    """A call that changes things was sent and no clear answer came (reset, deadline, 5xx)."""

    retryable = True
    maybe_applied = True


class BadAnswer(RemoteError):
    """An answer that is none: HTML instead of JSON, missing fields, too large, a redirect."""


def read_failed(system: str, error: HttpError, *, call: str = "") -> RemoteError:
    """What it means to a person that a call which changes nothing got no usable answer.

    call, for the operator: "GET /path", or what came as its answer.
    """
    detail = _why(error, call)
    if not error.sent:
        return _nothing_sent(system, error, detail)
    if isinstance(error, Redirected):
        return BadAnswer(redirected(system), detail=detail)
    if isinstance(error, NoAnswer):
        return Unavailable(_silence(error) % {"system": system}, detail=detail)
    sentence = _("%(system)s gave no answer that can be used. %(why)s")
    return BadAnswer(sentence % {"system": system, "why": error}, detail=detail)


def change_failed(system: str, error: HttpError, *, call: str = "") -> RemoteError:
    """The same for a call that changes things: whatever was sent may have been carried out."""
    detail = _why(error, call)
    if not error.sent:
        return _nothing_sent(system, error, detail)
    return OutcomeUnknown(
        _(
            "The request was sent to %(system)s and no clear answer came back. "
            "It may have been carried out: look there before you repeat it."
        )
        % {"system": system},
        detail=detail,
    )


def _why(error: HttpError, call: str) -> str:
    return f"{call}: {error}" if call else str(error)


def _silence(error: NoAnswer) -> str:
    if isinstance(error, CutOff):
        return _(
            "%(system)s ended the connection before its answer was complete. Try again in a moment."
        )
    return _("%(system)s did not answer in time. Try again in a moment.")


def _nothing_sent(system: str, error: HttpError, detail: str) -> RemoteError:
    if isinstance(error, AddressRefused):
        return Refused(
            _(
                "The portal may not call the address that is set for %(system)s. Nothing was sent; "
                "an operator can allow it with OUTGOING_ALLOW."
            )
            % {"system": system},
            detail=detail,
        )
    if not isinstance(error, NotConnected):
        return Refused(str(error), detail=detail)
    if isinstance(error, Untrusted):
        return Unavailable(untrusted(system, str(error)), detail=detail)
    return Unavailable(
        _("%(system)s cannot be reached, nothing was sent. Try again in a moment.")
        % {"system": system},
        detail=detail,
    )


def untrusted(system: str, why: str) -> str:
    return _(
        "The portal cannot be sure that it talks to %(system)s, nothing was sent. %(why)s "
        "If the certificate comes from your own authority, an operator has to set the CA file "
        "in the portal; if not, its address or the certificate has to be corrected."
    ) % {"system": system, "why": why}


def redirected(system: str) -> str:
    return _(
        "%(system)s answered with a redirect, which the portal does not follow. "
        "An operator should check its address in the portal."
    ) % {"system": system}


def no_api(system: str) -> str:
    return _(
        "What answered for %(system)s is not its API (a login page or a proxy?). "
        "An operator should check its address in the portal."
    ) % {"system": system}


def described(method: str, path: str, answer: Answer) -> str:
    """For the operator: the call without its query, the status, and the answer's first words."""
    return f"{method} {path.partition('?')[0]}: {first_words(answer)}"


def first_words(answer: Answer) -> str:
    words = " ".join(answer.text()[:2_000].split())[:FIRST_WORDS]
    return f"{answer.status} {words}".rstrip()


def retry_time(answer: Answer) -> datetime | None:
    """When Retry-After (seconds or a date) allows the next call; None when there is none."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 8:
        return datetime.now(UTC) + timedelta(seconds=int(value))
    return answer_time(value)


def told_time(moment: datetime) -> str:
    """For people: to the minute and never too early; with its date when that is not today."""
    try:
        local = timezone.localtime(moment + timedelta(seconds=59))
    except OverflowError:
        return f"{moment:%Y-%m-%d}"
    today = local.date() == timezone.localdate()
    return f"{local:%H:%M}" if today else f"{local:%Y-%m-%d %H:%M}"


def clock_skew(answer: Answer) -> float | None:
    """Seconds by which the other side's clock is ahead of ours, to the second."""
    theirs = answer_time(answer.headers.get("Date", ""))
    return (theirs - datetime.now(UTC)).total_seconds() if theirs else None


def answer_time(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
