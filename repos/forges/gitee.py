"""Gitee's API v5, at gitee.com and at servers of one's own.

https://gitee.com/api/v5/swagger and https://help.gitee.com/openapi

It has no sha guard: a merge takes whatever the head is at that moment. So the head is read right
before, and after the merge it is read again; what slipped in between is reported, never hidden.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chatops_site.kit.http import Answer, Client, HttpError
from repos.errors import (
    BadAnswer,
    NotFound,
    NotSupported,
    OtherHeadMerged,
    OutcomeUnknown,
    Refused,
    RemoteError,
    change_failed,
    clock_skew,
    read_failed,
)
from repos.forges.base import ForgeClient
from repos.forges.gitee_answers import (
    SYSTEM,
    answered_sha,
    check_mergeable,
    count_of,
    head_moved,
    is_clean_yes,
    json_of,
    link_of,
    not_carried_out,
    not_done,
    not_merged,
    not_there,
    pull_path,
    read_check,
    read_comment,
    read_commit,
    read_error,
    read_pull,
    refusal,
    repository_path,
    rows_of,
    sha_of,
    shaped,
    text_of,
    unclear,
)
from repos.forges.resources import (
    Check,
    Comment,
    Commit,
    Comparison,
    Identity,
    Merge,
    PullRequest,
    Pulls,
    PullState,
    RepositoryFacts,
    Review,
)

# Gitee's own client takes these for success; a 302 or 304 proves nothing until the state is read.
TAKEN: Final = (200, 201, 204, 302, 304)
PAGE_SIZE: Final = 100
MOST_PAGES: Final = 50
# How long a merge that was answered with 200 may take to show in the pull request.
SETTLE_SECONDS: Final = (0.0, 0.2, 0.5)
_HEX: Final = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True)
class _Verdict:
    """One of Gitee's two verdicts on a pull request, given only by people asked for it."""

    action: str
    asked: Callable[[PullRequest], tuple[Review, ...]]
    required: Callable[[PullRequest], int]
    not_asked: Promise


_REVIEW: Final = _Verdict(
    "review",
    lambda pull: pull.reviews,
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


@dataclass(frozen=True)
class _Rows:
    items: list[Any]
    total: int | None
    more: bool


class Gitee(ForgeClient):
    """The token goes in a header: in a query it would be written into access logs."""

    kind = "gitee"

    def __init__(
        self, *, base_url: str, token: str, ca_file: str = "", deadline: float = 20.0
    ) -> None:
        super().__init__(base_url=base_url, token=token, ca_file=ca_file)
        self._login = ""
        self._http = Client(
            base_url,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            ca_file=ca_file,
            deadline=deadline,
            redirects_are_answers=True,
        )

    def whoami(self) -> Identity:
        answer = self._get("/user", what=_("the token's account"))
        row = json_of(answer)
        skew = clock_skew(answer)
        login = shaped(lambda: text_of(row["login"]))
        who = Identity(login=login, name=row.get("name") or "", clock_skew=skew)
        self._login = who.login
        return who

    def repository(self, path: str) -> RepositoryFacts:
        row = json_of(self._get(repository_path(path), what=path))
        return shaped(
            lambda: RepositoryFacts(
                path=row.get("full_name") or path,
                default_branch=text_of(row["default_branch"]),
                url=link_of(row.get("html_url")),
                archived=bool(row.get("archived")),
            )
        )

    def pulls(self, path: str, *, state: PullState = PullState.OPEN, limit: int = 100) -> Pulls:
        params = {"state": state.value, "sort": "created", "direction": "desc"}
        rows = self._list(f"{repository_path(path)}/pulls", what=path, params=params, limit=limit)
        # A pull request opened meanwhile pushes another onto the next page: it comes twice.
        items = shaped(lambda: {pull.number: pull for pull in map(read_pull, rows.items)})
        return Pulls(tuple(items.values()), total=rows.total, more=rows.more)

    def pull(self, path: str, number: int) -> PullRequest:
        row = json_of(self._get(pull_path(path, number), what=f"{path}#{number}"))
        return shaped(lambda: read_pull(row))

    def checks(self, path: str, pull: PullRequest) -> tuple[Check, ...]:
        """Empty, too, at older servers, which know no check runs at all (404)."""
        address = f"{repository_path(path)}/commits/{pull.head_sha}/check-runs"
        try:
            rows = self._list(address, what=path, params={}, limit=500, key="check_runs")
        except NotFound:
            return ()
        ordered = shaped(lambda: sorted(rows.items, key=lambda row: int(row["id"])))
        newest = {str(row.get("name")): row for row in ordered}
        return tuple(read_check(name, row) for name, row in newest.items())

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
        address = f"{pull_path(path, number)}/merge"
        answer = self._send("PUT", address, what=what, body=body, refused=not_merged)
        after = self._merged(path, number, answer)
        merge_sha = answered_sha(answer) or after.merge_sha
        if after.head_sha != sha:
            self._check_landed(path, after, merge_sha=merge_sha, expected=sha)
        return Merge(sha=merge_sha or self._marked_tip(path, after.base_ref, marker))

    def comment(self, path: str, number: int, body: str) -> Comment:
        address = f"{pull_path(path, number)}/comments"
        answer = self._send("POST", address, what=f"{path}#{number}", body={"body": body})
        try:
            return shaped(lambda: read_comment(answer.json()))
        except (HttpError, BadAnswer) as broken:
            raise unclear("POST", address, answer) from broken

    def comments(self, path: str, number: int, *, limit: int = 100) -> tuple[Comment, ...]:
        address = f"{pull_path(path, number)}/comments"
        what, params = f"{path}#{number}", {"direction": "desc"}
        rows = self._list(address, what=what, params=params, limit=limit)
        if rows.more and rows.items[0]["id"] < rows.items[-1]["id"]:
            # An older server that ignores the direction: the newest are on its last pages.
            rows = self._list(address, what=what, params=params, limit=PAGE_SIZE * MOST_PAGES)
        found = shaped(lambda: sorted(rows.items, key=lambda row: int(row["id"]), reverse=True))
        return shaped(lambda: tuple(read_comment(row) for row in found[:limit]))

    def close(self, path: str, number: int) -> None:
        self._set_state(path, number, PullState.CLOSED)

    def reopen(self, path: str, number: int) -> None:
        self._set_state(path, number, PullState.OPEN)

    def commit(self, path: str, ref: str) -> Commit:
        what = _("%(ref)s in %(path)s") % {"ref": ref[:80], "path": path}
        if ref in ("", ".", ".."):
            raise NotFound(not_there(what))
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
        row = json_of(self._get(f"{repository_path(path)}/compare/{span}", what=what))
        commits = shaped(lambda: tuple(read_commit(each) for each in row["commits"]))
        return Comparison(len(commits), commits[-limit:], cut=len(commits) > limit)

    def _commit(self, path: str, ref: str, what: str) -> Commit:
        row = json_of(
            self._get(f"{repository_path(path)}/commits/{quote(ref, safe='')}", what=what)
        )
        return shaped(lambda: read_commit(row))

    def _named(self, path: str, ref: str, what: str) -> str:
        """The sha of a branch or tag, for servers whose commits/REF takes only a sha."""
        address = f"{repository_path(path)}/branches/{quote(ref, safe='')}"
        try:
            branch = json_of(self._get(address, what=what))
        except NotFound:
            tags = self._list(f"{repository_path(path)}/tags", what=what, params={}, limit=1_000)
            branch = next((tag for tag in tags.items if tag.get("name") == ref), None)
        if branch is None:
            raise NotFound(not_there(what))
        return shaped(lambda: sha_of(branch["commit"]["sha"]))

    def _expected(self, path: str, number: int, *, sha: str) -> PullRequest:
        """The pull request, open and at that head; Refused or HeadMoved else."""
        pull = self.pull(path, number)
        names = {"pull": f"{path}#{number}"}
        if pull.state is PullState.MERGED:
            raise Refused(_("%(pull)s is merged already.") % names)
        if pull.state is PullState.CLOSED:
            raise Refused(_("%(pull)s is closed. Reopen it first.") % names)
        if pull.head_sha != sha:
            sentence = _(
                "%(pull)s has moved from %(expected)s to %(found)s. "
                "Nothing was changed; look at it again."
            )
            raise head_moved(sentence, f"{path}#{number}", expected=sha, found=pull.head_sha)
        return pull

    def _give(self, verdict: _Verdict, path: str, number: int, *, sha: str) -> None:
        what = f"{path}#{number}"
        pull = self._expected(path, number, sha=sha)
        mine = self._mine(verdict, pull)
        if mine is None:
            raise self._not_asked(verdict, pull, what)
        if mine.accepted:
            return
        address = f"{pull_path(path, number)}/{verdict.action}"
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
            raise not_carried_out("POST", address, answer)

    def _given(self, verdict: _Verdict, path: str, number: int, *, sha: str) -> bool:
        pull = self.pull(path, number)
        mine = self._mine(verdict, pull)
        return pull.head_sha == sha and mine is not None and mine.accepted

    def _mine(self, verdict: _Verdict, pull: PullRequest) -> Review | None:
        login = (self._login or self.whoami().login).casefold()
        return next((one for one in verdict.asked(pull) if one.login.casefold() == login), None)

    def _not_asked(self, verdict: _Verdict, pull: PullRequest, what: str) -> RemoteError:
        sentence = str(verdict.not_asked) % {"pull": what, "login": self._login}
        kind = Refused if verdict.required(pull) or verdict is _REVIEW else NotSupported
        return kind(sentence)

    def _read_back(self, path: str, number: int) -> PullRequest:
        try:
            return self.pull(path, number)
        except RemoteError as failed:
            raise OutcomeUnknown(
                _(
                    "Gitee took the request for %(pull)s, but its state could not be read "
                    "afterwards: %(why)s"
                )
                % {"pull": f"{path}#{number}", "why": failed.sentence},
                detail=failed.detail,
            ) from failed

    def _merged(self, path: str, number: int, answer: Answer) -> PullRequest:
        for seconds in SETTLE_SECONDS:
            time.sleep(seconds)
            pull = self._read_back(path, number)
            if pull.state is PullState.MERGED:
                return pull
            if not is_clean_yes(answer):
                break
        raise not_carried_out("PUT", f"{pull_path(path, number)}/merge", answer)

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

    def _set_state(self, path: str, number: int, state: PullState) -> None:
        address, what = pull_path(path, number), f"{path}#{number}"
        answer = self._send("PATCH", address, what=what, body={"state": state.value})
        if self._read_back(path, number).state is not state:
            raise not_carried_out("PATCH", address, answer)

    def _list(
        self, path: str, *, what: str, params: Mapping[str, str], limit: int, key: str = ""
    ) -> _Rows:
        """Pages until limit. Proxies may drop total_page (its underscore): a short page ends it."""
        size, items, total, last = min(PAGE_SIZE, limit), [], None, False
        for page in range(1, MOST_PAGES + 1):
            paging = {"page": str(page), "per_page": str(size)}
            answer = self._get(path, what=what, params={**params, **paging})
            rows = rows_of(json_of(answer), key)
            items += rows
            total, pages = count_of(answer, "total_count"), count_of(answer, "total_page")
            last = not rows or (len(rows) < size if pages is None else page >= pages)
            if last or len(items) >= limit:
                break
        return _Rows(items[:limit], total, more=len(items) > limit or not last)

    def _get(self, path: str, *, what: str, params: Mapping[str, str] | None = None) -> Answer:
        try:
            answer = self._http.get(path, params=params)
        except HttpError as error:
            raise read_failed(SYSTEM, error) from error
        if answer.status == 200:
            return answer
        raise read_error(path, answer, what)

    def _send(
        self,
        method: str,
        path: str,
        *,
        what: str,
        body: Mapping[str, Any],
        refused: Callable[[str, str], str] = not_done,
    ) -> Answer:
        try:
            answer = self._http.send(method, path, json=body)
        except HttpError as error:
            raise change_failed(SYSTEM, error) from error
        if answer.status in TAKEN:
            return answer
        if answer.status >= 500:
            raise unclear(method, path, answer)
        raise refusal(method, path, answer, what=what, refused=refused)
