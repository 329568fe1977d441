"""Gitee's API v5, at gitee.com and at servers of one's own.

https://gitee.com/api/v5/swagger and https://help.gitee.com/openapi

It has no sha guard: a merge takes whatever the head is at that moment. So the head is read right
before, and after the merge it is read again; what slipped in between is reported, never hidden.
"""

import hmac
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chatops_site.kit.http import Answer
from repos.errors import (
    NotFound,
    NotSupported,
    OtherHeadMerged,
    Refused,
    RemoteError,
    clock_skew,
    described,
)
from repos.forges.answers import (
    check_mergeable,
    checked,
    count_of,
    head_moved,
    is_clean_yes,
    link_of,
    not_carried_out,
    not_there,
    quoted,
    repository_path,
    said,
    sha_of,
    slow_down,
    text_of,
)
from repos.forges.events import (
    ForgeEvent,
    Happened,
    Hook,
    HookRejected,
    Payload,
    body_of,
    check_fresh,
    digest,
    is_same,
    text_digest,
)
from repos.forges.resources import (
    Check,
    CheckState,
    Comment,
    Commit,
    Comparison,
    Identity,
    Merge,
    PullRequest,
    Pulls,
    PullState,
    RepositoryFacts,
    RepositoryPage,
    Review,
)
from repos.forges.rest import Refuse, RestForge, comment_name
from repos.forges.shapes import (
    answered_sha,
    login_of,
    read_comment,
    read_commit,
    read_repository,
    time_of,
)

# Gitee's own client takes these for success; a 302 or 304 proves nothing until the state is read.
TAKEN: Final = (200, 201, 204, 302, 304)
PAGE_SIZE: Final = 100
_HEX: Final = re.compile(r"[0-9a-f]{7,64}")
_HAPPENED: Final = {
    "open": Happened.OPENED,
    "close": Happened.CLOSED,
    "reopen": Happened.REOPENED,
    "merge": Happened.MERGED,
}
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


@dataclass(frozen=True)
class _Verdict:
    """One of Gitee's two verdicts on a pull request, given only by people asked for it."""

    action: str
    asked: Callable[[PullRequest], tuple[Review, ...]]
    required: Callable[[PullRequest], int]
    not_asked: Promise


_REVIEW: Final = _Verdict(
    "review",
    lambda pull: pull.reviews or (),
    lambda pull: pull.reviews_required,
    gettext_lazy(
        "%(pull)s: the portal's account %(login)s is not among its reviewers at Gitee, so Gitee "
        "would not count the approval. Add %(login)s there as a reviewer."
    ),
)
_TEST: Final = _Verdict(
    "test",
    lambda pull: pull.tests,
    lambda pull: pull.tests_required,
    gettext_lazy(
        "%(pull)s: the portal's account %(login)s is not among its testers at Gitee, so Gitee "
        "would not count the test. Add %(login)s there as a tester."
    ),
)


class Gitee(RestForge):
    kind = "gitee"
    system = "Gitee"
    taken = TAKEN

    page_size = PAGE_SIZE

    def _headers(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    def _refusal(
        self, method: str, path: str, answer: Answer, *, what: str, refused: Refuse
    ) -> RemoteError:
        if any(word in said(answer).casefold() for word in _RATE_WORDS):
            return slow_down(self.system, answer, detail=described(method, path, answer))
        return super()._refusal(method, path, answer, what=what, refused=refused)

    def whoami(self) -> Identity:
        answer = self._get("/user", what=_("the token's account"))
        row = self._json(answer)
        skew = clock_skew(answer)
        login = self._shaped(lambda: text_of(row["login"]))
        who = Identity(login=login, name=row.get("name") or "", clock_skew=skew)
        self._login = who.login
        return who

    def repository(self, path: str) -> RepositoryFacts:
        row = self._json(self._get(repository_path(path), what=path))
        return self._shaped(lambda: read_repository(row))

    def repositories(self, *, search: str = "", page: int = 1) -> RepositoryPage:
        params = {"sort": "full_name", "page": str(page), "per_page": str(PAGE_SIZE)}
        if search:
            params["q"] = search
        answer = self._get("/user/repos", what=_("the token's repositories"), params=params)
        rows, total = self._rows(answer, ""), count_of(answer, "total_count")
        more = len(rows) == PAGE_SIZE if total is None else page * PAGE_SIZE < total
        return RepositoryPage(self._shaped(lambda: tuple(map(read_repository, rows))), total, more)

    def pulls(self, path: str, *, state: PullState = PullState.OPEN, limit: int = 100) -> Pulls:
        params = {"state": state.value, "sort": "created", "direction": "desc"}
        rows = self._list(f"{repository_path(path)}/pulls", what=path, params=params, limit=limit)
        # A pull request opened meanwhile pushes another onto the next page: it comes twice.
        items = self._shaped(lambda: {pull.number: pull for pull in map(_read_pull, rows.items)})
        return Pulls(tuple(items.values()), total=rows.total, more=rows.more)

    def pull(self, path: str, number: int) -> PullRequest:
        row = self._json(self._get(_pull_path(path, number), what=f"{path}#{number}"))
        return self._shaped(lambda: _read_pull(row))

    def checks(self, path: str, pull: PullRequest) -> tuple[Check, ...]:
        """Empty, too, at older servers, which know no check runs at all (404)."""
        address = f"{repository_path(path)}/commits/{pull.head_sha}/check-runs"
        try:
            rows = self._list(address, what=path, params={}, limit=500, key="check_runs")
        except NotFound:
            return ()
        ordered = self._shaped(lambda: sorted(rows.items, key=lambda row: int(row["id"])))
        newest = {str(row.get("name")): row for row in ordered}
        return tuple(_read_check(name, row) for name, row in newest.items())

    def required_checks(self, path: str, branch: str) -> None:
        """Gitee has no such rule by name."""

    def reviews(self, path: str, pull: PullRequest) -> tuple[Review, ...]:
        return pull.reviews or ()

    def approve(self, path: str, number: int, *, sha: str) -> None:
        """The token's account must be one of the reviewers (assignees), else Refused."""
        self._give(_REVIEW, path, number, sha=sha)

    def approved(self, path: str, number: int, *, sha: str) -> bool:
        return self._given(_REVIEW, path, number, sha=sha)

    def pass_tests(self, path: str, number: int, *, sha: str, name: str, url: str) -> None:
        """Name and url have no place at Gitee. NotSupported: it asks nobody for a test here."""
        self._give(_TEST, path, number, sha=sha)

    def tests_passed(self, path: str, number: int, *, sha: str, name: str) -> bool:
        return self._given(_TEST, path, number, sha=sha)

    def merge(self, path: str, number: int, *, sha: str, method: str, marker: str) -> Merge:
        """Three calls: read, merge, read. Nothing is sent unless the head is the expected one."""
        what = f"{path}#{number}"
        check_mergeable(self._expected(path, number, sha=sha), what)
        body = {"merge_method": method, "description": marker}
        address = f"{_pull_path(path, number)}/merge"
        answer = self._send("PUT", address, what=what, body=body, refused=_not_merged)
        after = self._settled(path, number, answer, PullState.MERGED)
        merge_sha = answered_sha(answer) or after.merge_sha
        if after.head_sha != sha:
            self._check_landed(path, after, merge_sha=merge_sha, expected=sha)
        return Merge(sha=merge_sha or self._marked_tip(path, after.base_ref, marker))

    def comment(self, path: str, number: int, body: str) -> Comment:
        address = f"{_pull_path(path, number)}/comments"
        answer = self._send("POST", address, what=f"{path}#{number}", body={"body": body})
        return self._written(address, answer, read_comment)

    def comments(self, path: str, number: int, *, limit: int = 100) -> tuple[Comment, ...]:
        address = f"{_pull_path(path, number)}/comments"
        what, params = f"{path}#{number}", {"direction": "desc"}
        rows = self._list(address, what=what, params=params, limit=limit)
        if rows.more and rows.items[0]["id"] < rows.items[-1]["id"]:
            # An older server that ignores the direction: the newest are on its last pages.
            rows = self._list(address, what=what, params=params, limit=PAGE_SIZE * self.most_pages)
        found = self._shaped(
            lambda: sorted(rows.items, key=lambda row: int(row["id"]), reverse=True)
        )
        return self._shaped(lambda: tuple(read_comment(row) for row in found[:limit]))

    def read_comment(self, path: str, number: int, comment_id: str) -> Comment:
        what = comment_name(path, number, comment_id)
        row = self._json(self._get(_comment_path(path, comment_id), what=what))
        pull = self._shaped(lambda: text_of(row["pull_request_url"]))
        if pull.rpartition("/")[2] != str(number):
            raise NotFound(not_there(self.system, what))
        return self._shaped(lambda: read_comment(row))

    def edit_comment(self, path: str, number: int, comment_id: str, body: str) -> None:
        address, what = _comment_path(path, comment_id), f"{path}#{number}"
        self._send("PATCH", address, what=what, body={"body": body})

    def commit(self, path: str, ref: str) -> Commit:
        what = _("%(ref)s in %(path)s") % {"ref": ref[:80], "path": path}
        if ref in ("", ".", ".."):
            raise NotFound(not_there(self.system, what))
        try:
            found = self._commit(path, ref, what)
        except NotFound:
            found = self._commit(path, self._named(path, ref, what), what)
        if _HEX.fullmatch(ref) and not found.sha.startswith(ref):
            raise Refused(
                _("%(ref)s reads like a commit and is also the name of a branch or tag. Rename it.")
                % {"ref": ref}
            )
        return found

    def compare(self, path: str, base: str, head: str, *, limit: int = 100) -> Comparison:
        span = f"{quote(base, safe='')}...{quote(head, safe='')}"
        what = _("%(base)s or %(head)s in %(path)s") % {"base": base, "head": head, "path": path}
        row = self._json(self._get(f"{repository_path(path)}/compare/{span}", what=what))
        commits = self._shaped(lambda: tuple(read_commit(each) for each in row["commits"]))
        return Comparison(len(commits), commits[-limit:], cut=len(commits) > limit)

    def _commit(self, path: str, ref: str, what: str) -> Commit:
        address = f"{repository_path(path)}/commits/{quote(ref, safe='')}"
        row = self._json(self._get(address, what=what))
        return self._shaped(lambda: read_commit(row))

    def _named(self, path: str, ref: str, what: str) -> str:
        """The sha of a branch or tag, for servers whose commits/REF takes only a sha."""
        address = f"{repository_path(path)}/branches/{quote(ref, safe='')}"
        try:
            branch = self._json(self._get(address, what=what))
        except NotFound:
            tags = self._list(f"{repository_path(path)}/tags", what=what, params={}, limit=1_000)
            branch = next((tag for tag in tags.items if tag.get("name") == ref), None)
        if branch is None:
            raise NotFound(not_there(self.system, what))
        return self._shaped(lambda: sha_of(branch["commit"]["sha"]))

    def _give(self, verdict: _Verdict, path: str, number: int, *, sha: str) -> None:
        what = f"{path}#{number}"
        pull = self._expected(path, number, sha=sha)
        mine = self._mine(verdict, pull)
        if mine is None:
            raise self._not_asked(verdict, pull, what)
        if mine.accepted:
            return
        address = f"{_pull_path(path, number)}/{verdict.action}"
        answer = self._send("POST", address, what=what, body={"force": False})
        after = self._read_back(path, number)
        if after.head_sha != sha:
            sentence = _(
                "%(pull)s moved from %(expected)s to %(found)s at the very moment of the verdict. "
                "Gitee may have counted it for the new commit, which nobody looked at: check there."
            )
            raise head_moved(sentence, what, expected=sha, found=after.head_sha)
        given = self._mine(verdict, after)
        if not is_clean_yes(answer) and not (given and given.accepted):
            raise not_carried_out(self.system, "POST", address, answer)

    def _given(self, verdict: _Verdict, path: str, number: int, *, sha: str) -> bool:
        pull = self.pull(path, number)
        mine = self._mine(verdict, pull)
        return pull.head_sha == sha and mine is not None and mine.accepted

    def _mine(self, verdict: _Verdict, pull: PullRequest) -> Review | None:
        login = self.own_login().casefold()
        return next((one for one in verdict.asked(pull) if one.login.casefold() == login), None)

    def _not_asked(self, verdict: _Verdict, pull: PullRequest, what: str) -> RemoteError:
        sentence = str(verdict.not_asked) % {"pull": what, "login": self._login}
        kind = Refused if verdict.required(pull) or verdict is _REVIEW else NotSupported
        return kind(sentence)

    def _send_state(self, path: str, number: int, state: PullState) -> Answer:
        body, what = {"state": state.value}, f"{path}#{number}"
        return self._send("PATCH", _pull_path(path, number), what=what, body=body)

    def _paging(self, page: int, size: int) -> dict[str, str]:
        return {"page": str(page), "per_page": str(size)}

    def _is_last(self, answer: Answer, *, page: int, count: int, size: int) -> bool:
        """Proxies may drop total_page (for its underscores): then a short page ends it."""
        pages = count_of(answer, "total_page")
        return count < size if pages is None else page >= pages

    def _total(self, answer: Answer) -> int | None:
        return count_of(answer, "total_count")

    def _check_landed(self, path: str, pull: PullRequest, *, merge_sha: str, expected: str) -> None:
        """A head that moved after the merge is fine: then the merge commit still has ours."""
        try:
            parents = self._commit(path, merge_sha, path).parents if merge_sha else ()
        except RemoteError:
            parents = ()
        if expected in parents:
            return
        what = f"{path}#{pull.number}"
        names = {"pull": what, "expected": expected[:7], "found": pull.head_sha[:7]}
        raise OtherHeadMerged(
            _(
                "%(pull)s was merged with ANOTHER commit than the checked one: %(found)s instead "
                "of %(expected)s. Somebody pushed in the same moment, and Gitee cannot be told "
                "which commit to take. Review %(found)s now and revert the merge if it is wrong."
            )
            % names,
            expected=expected,
            found=pull.head_sha,
            merge_sha=merge_sha,
        )

    def _marked_tip(self, path: str, branch: str, marker: str) -> str:
        """The merge's sha at servers that tell it nowhere; "" when it cannot be found either."""
        try:
            tip = self._commit(path, branch, path)
        except RemoteError:
            return ""
        return tip.sha if marker and marker in tip.message else ""

    @classmethod
    def receive(cls, hook: Hook, *, secret: str, now: datetime) -> ForgeEvent:
        """The signature does not cover the body, so that nothing in it is more than a hint."""
        signature_digest = _check_signature(hook, secret=secret, now=now)
        timestamp = hook.headers["x-gitee-timestamp"]
        return _read_hook(Payload(body_of(hook)), timestamp, signature_digest)


def _not_merged(what: str, reason: str) -> str:
    why = next((str(gate) for word, gate in _GATES if word in reason), "")
    if not why:
        sentence = _("%(pull)s was not merged, Gitee refused it%(said)s.")
        return sentence % {"pull": what, "said": quoted(reason)}
    sentence = _("%(pull)s was not merged: %(why)s%(said)s.")
    return sentence % {"pull": what, "why": why, "said": quoted(reason)}


def _read_pull(row: Any) -> PullRequest:
    head, base = row["head"], row["base"]
    merged = bool(row.get("merged_at"))
    mergeable = row.get("mergeable")
    updated = row.get("updated_at")
    return PullRequest(
        number=checked(row["number"], int),
        title=text_of(row["title"]),
        author=login_of(row.get("user")),
        state=PullState.MERGED if merged else _STATES[row["state"]],
        draft=bool(row.get("draft")),
        mergeable=mergeable if isinstance(mergeable, bool) else None,
        head_sha=sha_of(head["sha"]),
        head_ref=text_of(head["ref"]),
        base_sha=base.get("sha") or "",
        base_ref=text_of(base["ref"]),
        url=link_of(row.get("html_url")),
        updated_at=time_of(updated),
        reviews=_read_reviews(row.get("assignees")),
        tests=_read_reviews(row.get("testers")),
        reviews_required=int(row.get("assignees_number") or 0),
        tests_required=int(row.get("testers_number") or 0),
        merge_sha=row.get("merge_commit_sha") or "" if merged else "",
        labels=tuple(label["name"] for label in row.get("labels") or ()),
    )


def _read_reviews(rows: Any) -> tuple[Review, ...]:
    return tuple(Review(text_of(row["login"]), bool(row.get("accept"))) for row in rows or ())


def _read_check(name: str, row: Any) -> Check:
    state = CheckState.FAILURE
    if row.get("status") != "completed":
        state = CheckState.PENDING
    elif row.get("conclusion") in _GREEN:
        state = CheckState.SUCCESS
    return Check(name, state, link_of(row.get("details_url")))


def _pull_path(path: str, number: int) -> str:
    return f"{repository_path(path)}/pulls/{number}"


def _comment_path(path: str, comment_id: str) -> str:
    return f"{repository_path(path)}/pulls/comments/{quote(comment_id, safe='')}"


def _check_signature(hook: Hook, *, secret: str, now: datetime) -> str:
    """The digest of the signature; of the password there is none. Either is told in one header."""
    told = hook.headers.get("x-gitee-token", "")
    timestamp = hook.headers.get("x-gitee-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 15):
        raise HookRejected("no_timestamp")
    message = f"{timestamp}\n{secret}".encode()
    right = b64encode(hmac.new(secret.encode(), message, sha256).digest()).decode()
    signed = is_same(told, right)
    if not secret or not (signed or is_same(told, secret)):
        raise HookRejected("bad_signature")
    check_fresh(datetime.fromtimestamp(int(timestamp) / 1000, UTC), now)
    return digest(told, timestamp) if signed else ""


def _read_hook(payload: Payload, timestamp: str, signature_digest: str) -> ForgeEvent:
    """https://help.gitee.com/webhook/gitee-webhook-push-data-format"""
    name, action = payload.get("hook_name"), payload.get("action")
    known, ids = dict[str, Any](), [str(name), str(action), timestamp]
    happened = Happened.NOTHING
    if name == "note_hooks" and payload.get("noteable_type") == "PullRequest":
        known = {
            "comment_id": str(payload.number("comment.id")),
            "text_digest": text_digest(payload.text("comment.body")),
        }
        happened = Happened.COMMENTED if action == "comment" else Happened.NOTHING
        ids = ["note", known["comment_id"], str(action), str(payload.get("comment.updated_at"))]
    elif name == "merge_request_hooks":
        happened = _happened(payload)
        ids.append(str(payload.get("pull_request.id")))
    if known or happened is not Happened.NOTHING:
        known |= {
            "path": payload.text("repository.full_name"),
            "number": payload.number("pull_request.number"),
        }
    told = f"{name} {action}"[:80]
    return ForgeEvent(happened, digest(*ids), told=told, signature_digest=signature_digest, **known)


def _happened(payload: Payload) -> Happened:
    if payload.get("action_desc") == "source_branch_changed":
        return Happened.PUSHED
    return _HAPPENED.get(str(payload.get("action")), Happened.NOTHING)
