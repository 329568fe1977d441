"""Reading what forges answer: JSON into our words, and the ways to refuse that they all have.

system is the forge's name as people read it.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from django.utils.translation import gettext as _

from chatops_site.kit.http import Answer, HttpError
from repos.errors import (
    BadAnswer,
    Forbidden,
    HeadMoved,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RemoteError,
    TokenRefused,
    Unavailable,
    described,
    first_words,
    no_api,
    read_failed,
    redirected,
    retry_time,
    told_time,
)
from repos.forges.resources import PullRequest

T = TypeVar("T")

_SHA: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REASONS: Final = ("message", "error_description", "error", "messages")


# Fields


def json_of(system: str, answer: Answer) -> Any:
    try:
        return answer.json()
    except HttpError as error:
        raise read_failed(system, error, call=first_words(answer)) from error


def shaped(system: str, read: Callable[[], T]) -> T:
    """Runs what picks fields out of JSON; BadAnswer when a field is missing or of another kind."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as broken:
        raise BadAnswer(
            _("%(system)s's answer lacks what the portal needs; its version may not fit.")
            % {"system": system},
            detail=f"{type(broken).__name__}: {str(broken)[:80]}",
        ) from broken


def checked(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def text_of(value: Any) -> str:
    return checked(value, str)


def sha_of(value: Any) -> str:
    if not _SHA.fullmatch(text_of(value)):
        raise ValueError("no full sha")
    return str(value)


def link_of(value: Any) -> str:
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else ""


def count_of(answer: Answer, name: str) -> int | None:
    """A header that counts; None when it is not there or no number."""
    value = answer.headers.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None


def repository_path(path: str) -> str:
    return "/repos/" + "/".join(quote(part, safe="") for part in path.split("/"))


def is_clean_yes(answer: Answer) -> bool:
    """A clean yes: an empty body or JSON, and no redirect. A login page is a 200 as well."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return answer.status < 300 and (not answer.body.strip() or kind.endswith("json"))


def said(answer: Answer) -> str:
    """What the forge gave as its reason, on one line; "" when it is none of its JSON errors."""
    try:
        body = answer.json()
    except HttpError:
        return ""
    if not isinstance(body, Mapping):
        return ""
    parts = [body[key] for key in _REASONS if body.get(key)][:1]
    parts += body["errors"] if isinstance(body.get("errors"), list) else []
    return " ".join(" ".join(map(_flat, parts)).split())[:200]


def _flat(value: Any) -> str:
    """Reasons come as a text, a list of them, or by field."""
    if isinstance(value, Mapping):
        inner = value.get("message")
        return _flat(inner) if inner else "; ".join(f"{k} {_flat(v)}" for k, v in value.items())
    return ", ".join(map(_flat, value)) if isinstance(value, list) else str(value)


# Refusals


def read_error(
    system: str, path: str, answer: Answer, *, what: str, base_url: str, method: str = "GET"
) -> RemoteError | None:
    """What a read's status below 400 or above 499 means; None for a 4xx, which each forge words."""
    detail = described(method, path, answer)
    if answer.status >= 500:
        sentence = _("%(system)s answered %(status)s. Try again in a moment.")
        names = {"system": system, "status": answer.status}
        return Unavailable(sentence % names, detail=detail)
    if has_moved(answer, base_url):
        return NotFound(moved_away(system, what), detail=detail)
    if 300 <= answer.status < 400:
        return BadAnswer(redirected(system), detail=detail)
    if answer.status < 300:
        return BadAnswer(no_api(system), detail=detail)
    return None


def refusal(
    system: str,
    method: str,
    path: str,
    answer: Answer,
    *,
    what: str,
    refused: Callable[[str, str], str],
) -> RemoteError:
    """A 4xx: nothing was changed."""
    detail, reason = described(method, path, answer), said(answer)
    match answer.status:
        case 429:
            return slow_down(system, answer, detail=detail)
        case 401:
            return TokenRefused(
                _("%(system)s refuses the portal's token. An operator has to set a new one.")
                % {"system": system},
                detail=detail,
            )
        case 404 | 410:
            return NotFound(not_there(system, what), detail=detail)
        case 403:
            return Forbidden(may_not(system, what, reason), detail=detail)
        case 423:
            return Refused(archived(system, what, reason), detail=detail)
    return Refused(refused(what, reason or str(answer.status)), detail=detail)


def slow_down(
    system: str, answer: Answer, *, detail: str, until: datetime | None = None
) -> RateLimited:
    """With the time until which the forge takes no more calls, where it tells; until: in its own header."""
    until = retry_time(answer) or until
    sentence = _("%(system)s asks the portal to slow down. Nothing was changed; try again later.")
    if until is not None:
        sentence = _(
            "%(system)s takes no more calls from the portal until %(time)s. Nothing was changed."
        )
    names = {"system": system, "time": told_time(until) if until else ""}
    return RateLimited(sentence % names, until=until, detail=detail)


def may_not(system: str, what: str, reason: str) -> str:
    return _("The portal's account at %(system)s may not do this with %(what)s%(said)s.") % {
        "system": system,
        "what": what,
        "said": quoted(reason),
    }


def archived(system: str, what: str, reason: str) -> str:
    names = {"what": what, "system": system, "said": quoted(reason)}
    return _("%(what)s is archived or locked at %(system)s%(said)s.") % names


def not_done(system: str, what: str, reason: str) -> str:
    return _("%(system)s refused it for %(what)s%(said)s.") % {
        "system": system,
        "what": what,
        "said": quoted(reason),
    }


def not_there(system: str, what: str) -> str:
    return _("%(system)s has no %(what)s, or the portal's account may not see it.") % {
        "system": system,
        "what": what,
    }


def moved_away(system: str, what: str) -> str:
    return _(
        "%(system)s says that %(what)s has moved: it was renamed or transferred. "
        "An operator has to set its new path in the portal."
    ) % {"system": system, "what": what}


def has_moved(answer: Answer, base_url: str) -> bool:
    """A redirect that stays within the same API: a repository of another name."""
    if answer.status not in (301, 307, 308):
        return False
    # Gitea names the place without its host.
    target = urlsplit(urljoin(base_url, answer.headers.get("Location", "")))
    base = urlsplit(base_url)
    same = target.netloc == base.netloc and target.scheme == base.scheme
    return same and target.path.startswith(base.path.rstrip("/") + "/")


def quoted(reason: str) -> str:
    return _(" (“%(said)s”)") % {"said": reason} if reason else ""


def head_moved(sentence: str, what: str, *, expected: str, found: str) -> HeadMoved:
    names = {"pull": what, "expected": expected[:7], "found": found[:7]}
    return HeadMoved(sentence % names, expected=expected, found=found)


def check_mergeable(pull: PullRequest, what: str) -> None:
    """Refused for what is known before anything is sent."""
    names = {"pull": what}
    if pull.draft:
        raise Refused(_("%(pull)s is a draft. Its author has to mark it as ready.") % names)
    if pull.mergeable is False:
        raise Refused(
            _("%(pull)s conflicts with %(base)s. Its author has to resolve the conflict.")
            % {"pull": what, "base": pull.base_ref}
        )


def unclear(system: str, method: str, path: str, answer: Answer) -> OutcomeUnknown:
    return OutcomeUnknown(
        _(
            "%(system)s answered %(status)s to a request that changes something. "
            "It may have been carried out: look there before you repeat it."
        )
        % {"system": system, "status": answer.status},
        detail=described(method, path, answer),
    )


def not_carried_out(system: str, method: str, path: str, answer: Answer) -> RemoteError:
    """The state was read afterwards and is unchanged."""
    detail = described(method, path, answer)
    if 300 <= answer.status < 400:
        return BadAnswer(redirected(system), detail=detail)
    if not is_clean_yes(answer):
        return BadAnswer(no_api(system), detail=detail)
    return OutcomeUnknown(
        _(
            "%(system)s said yes, but the pull request does not show it yet. "
            "Look at it in a minute before you repeat anything."
        )
        % {"system": system},
        detail=detail,
    )
