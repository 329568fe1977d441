"""What Gitee answers, read into our words: its JSON, and each of its ways to refuse.

https://gitee.com/api/v5/swagger
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

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
    no_api,
    read_failed,
    redirected,
    retry_time,
)
from repos.forges.resources import (
    Check,
    CheckState,
    Comment,
    Commit,
    PullRequest,
    PullState,
    Review,
)

T = TypeVar("T")

SYSTEM: Final = "Gitee"
_SHA: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_STATES: Final = {
    "open": PullState.OPEN,
    "closed": PullState.CLOSED,
    "merged": PullState.MERGED,
}
_GREEN: Final = ("success", "neutral", "skipped")
# Gitee's refusals are fixed Chinese texts with varying statuses: the word decides.
_GATES: Final[tuple[tuple[str, Promise], ...]] = (
    ("审查", gettext_lazy("Gitee asks for more reviews before it merges")),
    ("测试", gettext_lazy("Gitee asks for a passed test before it merges")),
    ("冲突", gettext_lazy("it conflicts with the base branch")),
    ("conflict", gettext_lazy("it conflicts with the base branch")),
    ("草稿", gettext_lazy("it is a draft")),
    ("draft", gettext_lazy("it is a draft")),
    ("merge_method", gettext_lazy("this Gitee server does not offer that merge method")),
    ("合并方式", gettext_lazy("this Gitee server does not offer that merge method")),
)
_RATE_WORDS: Final = ("rate limit", "too many", "频繁", "频率", "超出限制")


def read_error(path: str, answer: Answer, what: str) -> RemoteError:
    detail = described("GET", path, answer)
    if answer.status >= 500:
        sentence = _("Gitee answered %(status)s. Try again in a moment.")
        return Unavailable(sentence % {"status": answer.status}, detail=detail)
    if 300 <= answer.status < 400:
        return BadAnswer(redirected(SYSTEM), detail=detail)
    if answer.status < 300:
        return BadAnswer(no_api(SYSTEM), detail=detail)
    return refusal("GET", path, answer, what=what, refused=not_done)


def refusal(
    method: str, path: str, answer: Answer, *, what: str, refused: Callable[[str, str], str]
) -> RemoteError:
    """A 4xx: nothing was changed."""
    detail = described(method, path, answer)
    said = _said(answer)
    if answer.status == 429 or any(word in said.casefold() for word in _RATE_WORDS):
        sentence = _("Gitee asks the portal to slow down. Nothing was changed; try again later.")
        return RateLimited(sentence, until=retry_time(answer), detail=detail)
    if answer.status == 401:
        sentence = _("Gitee refuses the portal's token. An operator has to set a new one.")
        return TokenRefused(sentence, detail=detail)
    if answer.status == 404:
        return NotFound(not_there(what), detail=detail)
    if answer.status == 403:
        sentence = _("The portal's account at Gitee may not do this with %(what)s%(said)s.")
        return Forbidden(sentence % {"what": what, "said": _quoted(said)}, detail=detail)
    return Refused(refused(what, said or str(answer.status)), detail=detail)


def not_done(what: str, said: str) -> str:
    return _("Gitee refused it for %(what)s%(said)s.") % {"what": what, "said": _quoted(said)}


def not_merged(what: str, said: str) -> str:
    why = next((str(reason) for word, reason in _GATES if word in said), "")
    if not why:
        sentence = _("%(pull)s was not merged, Gitee refused it%(said)s.")
        return sentence % {"pull": what, "said": _quoted(said)}
    sentence = _("%(pull)s was not merged: %(why)s%(said)s.")
    return sentence % {"pull": what, "why": why, "said": _quoted(said)}


def not_there(what: str) -> str:
    return _("Gitee has no %(what)s, or the portal's account may not see it.") % {"what": what}


def head_moved(sentence: str, what: str, *, expected: str, found: str) -> HeadMoved:
    names = {"pull": what, "expected": expected[:7], "found": found[:7]}
    return HeadMoved(sentence % names, expected=expected, found=found)


def check_mergeable(pull: PullRequest, what: str) -> None:
    names = {"pull": what}
    if pull.draft:
        raise Refused(_("%(pull)s is a draft. Its author has to mark it as ready.") % names)
    if pull.mergeable is False:
        raise Refused(
            _("%(pull)s conflicts with %(base)s. Its author has to resolve the conflict.")
            % {"pull": what, "base": pull.base_ref}
        )


def unclear(method: str, path: str, answer: Answer) -> OutcomeUnknown:
    return OutcomeUnknown(
        _(
            "Gitee answered %(status)s to a request that changes something. "
            "It may have been carried out: look there before you repeat it."
        )
        % {"status": answer.status},
        detail=described(method, path, answer),
    )


def not_carried_out(method: str, path: str, answer: Answer) -> RemoteError:
    """The state was read afterwards and is unchanged."""
    detail = described(method, path, answer)
    if 300 <= answer.status < 400:
        return BadAnswer(redirected(SYSTEM), detail=detail)
    if not is_clean_yes(answer):
        return BadAnswer(no_api(SYSTEM), detail=detail)
    return OutcomeUnknown(
        _(
            "Gitee said yes, but the pull request does not show it yet. "
            "Look at it in a minute before you repeat anything."
        ),
        detail=detail,
    )


def is_clean_yes(answer: Answer) -> bool:
    """A clean yes: an empty body or JSON, and no redirect. A login page is a 200 as well."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return answer.status < 300 and (not answer.body.strip() or kind.endswith("json"))


def _said(answer: Answer) -> str:
    """What Gitee gave as its reason, on one line; "" when it is none of its JSON errors."""
    try:
        said = answer.json()
    except HttpError:
        return ""
    for key in ("message", "error_description", "error", "messages"):
        if isinstance(said, dict) and said.get(key):
            return " ".join(str(said[key]).split())[:200]
    return ""


def _quoted(said: str) -> str:
    return _(" (“%(said)s”)") % {"said": said} if said else ""


def json_of(answer: Answer) -> Any:
    try:
        return answer.json()
    except HttpError as error:
        raise read_failed(SYSTEM, error) from error


def shaped(read: Callable[[], T]) -> T:
    """Runs what picks fields out of JSON; BadAnswer when a field is missing or of another kind."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as broken:
        raise BadAnswer(
            _("Gitee's answer lacks what the portal needs; its version may not fit."),
            detail=f"{type(broken).__name__}: {str(broken)[:80]}",
        ) from broken


def rows_of(value: Any, key: str) -> list[Any]:
    return shaped(lambda: _checked(value[key] if key else value, list))


def count_of(answer: Answer, name: str) -> int | None:
    value = answer.headers.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None


def repository_path(path: str) -> str:
    return "/repos/" + "/".join(quote(part, safe="") for part in path.split("/"))


def pull_path(path: str, number: int) -> str:
    return f"{repository_path(path)}/pulls/{number}"


def answered_sha(answer: Answer) -> str:
    """Newer servers name the merge commit; older ones answer an empty 200."""
    try:
        return sha_of(answer.json()["sha"])
    except (HttpError, KeyError, TypeError, ValueError):
        return ""


def _checked(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def text_of(value: Any) -> str:
    return _checked(value, str)


def sha_of(value: Any) -> str:
    if not _SHA.fullmatch(text_of(value)):
        raise ValueError("no full sha")
    return str(value)


def link_of(value: Any) -> str:
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else ""


def read_pull(row: Any) -> PullRequest:
    head, base = row["head"], row["base"]
    merged = bool(row.get("merged_at"))
    mergeable = row.get("mergeable")
    updated = row.get("updated_at")
    return PullRequest(
        number=_checked(row["number"], int),
        title=text_of(row["title"]),
        author=(row.get("user") or {}).get("login") or "",
        state=PullState.MERGED if merged else _STATES[row["state"]],
        draft=bool(row.get("draft")),
        mergeable=mergeable if isinstance(mergeable, bool) else None,
        head_sha=sha_of(head["sha"]),
        head_ref=text_of(head["ref"]),
        base_sha=base.get("sha") or "",
        base_ref=text_of(base["ref"]),
        url=link_of(row.get("html_url")),
        updated_at=datetime.fromisoformat(updated) if updated else None,
        reviews=read_reviews(row.get("assignees")),
        tests=read_reviews(row.get("testers")),
        reviews_required=int(row.get("assignees_number") or 0),
        tests_required=int(row.get("testers_number") or 0),
        merge_sha=row.get("merge_commit_sha") or "" if merged else "",
        labels=tuple(label["name"] for label in row.get("labels") or ()),
    )


def read_reviews(rows: Any) -> tuple[Review, ...]:
    return tuple(Review(text_of(row["login"]), bool(row.get("accept"))) for row in rows or ())


def read_check(name: str, row: Any) -> Check:
    state = CheckState.FAILURE
    if row.get("status") != "completed":
        state = CheckState.PENDING
    elif row.get("conclusion") in _GREEN:
        state = CheckState.SUCCESS
    return Check(name, state, link_of(row.get("details_url")))


def read_comment(row: Any) -> Comment:
    return Comment(
        id=str(row["id"]),
        author=(row.get("user") or {}).get("login") or "",
        body=row.get("body") or "",
        url=link_of(row.get("html_url")),
    )


def read_commit(row: Any) -> Commit:
    inner = row["commit"]
    author = row.get("author") or inner.get("author") or {}
    return Commit(
        sha=sha_of(row["sha"]),
        message=inner.get("message") or "",
        author=author.get("login") or author.get("name") or "",
        url=link_of(row.get("html_url")),
        parents=tuple(parent["sha"] for parent in row.get("parents") or ()),
    )
