"""GitLab's API v4, at gitlab.com and at servers of one's own, also under a relative root.

https://docs.gitlab.com/api/merge_requests/ and https://docs.gitlab.com/api/merge_request_approvals/
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from django.utils.translation import gettext as _

from chatops_site.kit.http import Answer, HttpError
from repos.errors import (
    Forbidden,
    NotFound,
    NotSupported,
    Refused,
    RemoteError,
    TokenRefused,
    clock_skew,
    described,
)
from repos.forges.answers import (
    archived,
    checked,
    count_of,
    is_clean_yes,
    moved_away,
    not_carried_out,
    not_there,
    quoted,
    slow_down,
    text_of,
)
from repos.forges.events import ForgeEvent, Hook, Payload, body_of
from repos.forges.gitlab_answers import (
    check_proof,
    counts,
    read_check,
    read_commit,
    read_hook,
    read_note,
    read_pull,
    read_repository,
    tame,
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
from repos.forges.shapes import time_of

PAGE_SIZE: Final = 100
# How long GitLab may need to work out a merge, or to carry one out.
SETTLE_SECONDS: Final = (0.2, 0.3, 0.5, 1.0)
_ASKED: Final = {
    PullState.OPEN: "opened",
    PullState.CLOSED: "closed",
    PullState.MERGED: "merged",
}


class GitLab(RestForge):
    """GitLab binds a merge and an approval to a sha, but keeps old approvals after a push if the project says so."""

    kind = "gitlab"
    system = "GitLab"
    page_size = PAGE_SIZE

    def _headers(self, token: str) -> dict[str, str]:
        return {"PRIVATE-TOKEN": token}

    def _paging(self, page: int, size: int) -> dict[str, str]:
        return {"page": str(page), "per_page": str(size)}

    def _is_last(self, answer: Answer, *, page: int, count: int, size: int) -> bool:
        """Some endpoints leave X-Next-Page out; it is empty on the last page."""
        following = answer.headers.get("X-Next-Page")
        return count < size if following is None else not following.strip()

    def _total(self, answer: Answer) -> int | None:
        return count_of(answer, "X-Total")

    def whoami(self) -> Identity:
        answer = self._get("/user", what=_("the token's account"))
        row = self._json(answer)
        login = self._shaped(lambda: text_of(row["username"]))
        self._login = login
        return Identity(login=login, name=row.get("name") or "", clock_skew=clock_skew(answer))

    def repository(self, path: str) -> RepositoryFacts:
        """NotFound when GitLab serves it under its old path but names another."""
        row = self._json(self._get(_project(path), what=path))
        found = self._shaped(lambda: read_repository(row))
        if found.path.casefold() != path.casefold():
            raise NotFound(moved_away(self.system, path))
        return found

    def repositories(self, *, search: str = "", page: int = 1) -> RepositoryPage:
        params = {"membership": "true", "order_by": "path", "sort": "asc"}
        params |= self._paging(page, PAGE_SIZE)
        if search:
            params |= {"search": search, "search_namespaces": "true"}
        answer = self._get("/projects", what=_("the token's repositories"), params=params)
        rows = self._rows(answer)
        more = not self._is_last(answer, page=page, count=len(rows), size=PAGE_SIZE)
        items = self._shaped(lambda: tuple(map(read_repository, rows)))
        return RepositoryPage(items, self._total(answer), more)

    def pulls(self, path: str, *, state: PullState = PullState.OPEN, limit: int = 100) -> Pulls:
        params = {"state": _ASKED[state], "order_by": "created_at", "sort": "desc"}
        rows = self._list(f"{_project(path)}/merge_requests", what=path, params=params, limit=limit)
        # A pull request opened meanwhile pushes another onto the next page: it comes twice.
        items = self._shaped(lambda: {pull.number: pull for pull in map(read_pull, rows.items)})
        return Pulls(tuple(items.values()), total=rows.total, more=rows.more)

    def pull(self, path: str, number: int) -> PullRequest:
        row = self._json(self._get(_pull_path(path, number), what=f"{path}#{number}"))
        return self._shaped(lambda: read_pull(row))

    def checks(self, path: str, pull: PullRequest) -> tuple[Check, ...]:
        address = f"{_project(path)}/repository/commits/{pull.head_sha}/statuses"
        rows = self._list(address, what=path, params={}, limit=500)
        ordered = self._shaped(lambda: sorted(rows.items, key=lambda row: int(row["id"])))
        newest = self._shaped(lambda: {text_of(row["name"]): row for row in ordered})
        return tuple(read_check(name, row) for name, row in newest.items())

    def required_checks(self, path: str, branch: str) -> tuple[str, ...]:
        """None by name: the project's rule about pipelines comes as a block."""
        return ()

    def reviews(self, path: str, pull: PullRequest) -> tuple[Review, ...]:
        """Approvals have no sha here: those older than the newest version do not count."""
        rows = self._approvals(path, pull.number)
        since = self._pushed_at(path, pull) if rows else None
        resets = bool(rows) and self._resets(path, rows)
        return self._shaped(
            lambda: tuple(
                Review(text_of(row["user"]["username"]), counts(row, since=since, resets=resets))
                for row in rows
            )
        )

    def approve(self, path: str, number: int, *, sha: str) -> None:
        what = f"{path}#{number}"
        pull = self._expected(path, number, sha=sha)
        if self._has_mine(path, pull):
            return
        address = f"{_pull_path(path, number)}/approve"
        try:
            self._send("POST", address, what=what, body={"sha": sha}, refused=_not_approved)
        except TokenRefused as refused:
            raise self._really(refused, _cannot_approve(what)) from refused
        except Refused as refused:
            raise self._moved(path, number, sha) or refused from refused

    def approved(self, path: str, number: int, *, sha: str) -> bool:
        """Strict where GitLab tells no time of the approval: see reviews."""
        pull = self.pull(path, number)
        return pull.head_sha == sha and self._has_mine(path, pull)

    def pass_tests(self, path: str, number: int, *, sha: str, name: str, url: str) -> None:
        self._expected(path, number, sha=sha)
        body = {"state": "success", "name": name, "target_url": url}
        what = f"{path}#{number}"
        self._send("POST", f"{_project(path)}/statuses/{sha}", what=what, body=body)

    def tests_passed(self, path: str, number: int, *, sha: str, name: str) -> bool:
        pull = self.pull(path, number)
        found = self.checks(path, pull) if pull.head_sha == sha else ()
        return any(one.name == name and one.state is CheckState.SUCCESS for one in found)

    def merge(self, path: str, number: int, *, sha: str, method: str, marker: str) -> Merge:
        """Only the state merged is success: GitLab answers 200 to failures as well."""
        what = f"{path}#{number}"
        pull = self._ready(path, number, sha=sha)
        if method == "rebase":
            self._check_fast_forward(path)
        body = _merge_body(sha, method, marker, pull.title)
        address = f"{_pull_path(path, number)}/merge"
        try:
            why_not = partial(self._why_not, path, number)
            answer = self._send("PUT", address, what=what, body=body, refused=why_not)
        except TokenRefused as refused:
            raise self._really(refused, _cannot_merge(what)) from refused
        except Refused as refused:
            raise self._moved(path, number, sha) or refused from refused
        return self._landed(path, number, answer, sha)

    def comment(self, path: str, number: int, body: str) -> Comment:
        address = f"{_pull_path(path, number)}/notes"
        answer = self._send("POST", address, what=f"{path}#{number}", body={"body": tame(body)})
        return self._written(address, answer, read_note)

    def comments(self, path: str, number: int, *, limit: int = 100) -> tuple[Comment, ...]:
        params = {"sort": "desc", "order_by": "created_at", "activity_filter": "only_comments"}
        address = f"{_pull_path(path, number)}/notes"
        most = PAGE_SIZE * self.most_pages
        rows = self._list(
            address, what=f"{path}#{number}", params=params, limit=min(limit * 2, most)
        )
        own = self._shaped(lambda: [row for row in rows.items if not row.get("system")])
        return self._shaped(lambda: tuple(map(read_note, own[:limit])))

    def read_comment(self, path: str, number: int, comment_id: str) -> Comment:
        what = comment_name(path, number, comment_id)
        row = self._json(self._get(_note_path(path, number, comment_id), what=what))
        if self._shaped(lambda: bool(row.get("system"))):
            raise NotFound(not_there(self.system, what))
        return self._shaped(lambda: read_note(row))

    def edit_comment(self, path: str, number: int, comment_id: str, body: str) -> None:
        address, what = _note_path(path, number, comment_id), f"{path}#{number}"
        self._send("PUT", address, what=what, body={"body": tame(body)})

    def commit(self, path: str, ref: str) -> Commit:
        what = _("%(ref)s in %(path)s") % {"ref": ref[:80], "path": path}
        if ref in ("", ".", ".."):
            raise NotFound(not_there(self.system, what))
        address = f"{_project(path)}/repository/commits/{quote(ref, safe='')}"
        row = self._json(self._get(address, what=what))
        return self._shaped(lambda: read_commit(row))

    def compare(self, path: str, base: str, head: str, *, limit: int = 100) -> Comparison:
        what = _("%(base)s or %(head)s in %(path)s") % {"base": base, "head": head, "path": path}
        params, address = {"from": base, "to": head}, f"{_project(path)}/repository/compare"
        row = self._json(self._get(address, what=what, params=params))
        commits = self._shaped(lambda: tuple(map(read_commit, row["commits"])))
        cut = len(commits) > limit or bool(row.get("compare_timeout"))
        return Comparison(len(commits), commits[-limit:], cut=cut)

    def _send_state(self, path: str, number: int, state: PullState) -> Answer:
        event = "close" if state is PullState.CLOSED else "reopen"
        body, what = {"state_event": event}, f"{path}#{number}"
        return self._send("PUT", _pull_path(path, number), what=what, body=body)

    def _approvals(self, path: str, number: int) -> list[Any]:
        address = f"{_pull_path(path, number)}/approvals"
        row = self._json(self._get(address, what=f"{path}#{number}"))
        return self._shaped(lambda: checked(row["approved_by"], list))

    def _pushed_at(self, path: str, pull: PullRequest) -> datetime | None:
        """When its head came; None if the newest version is of another head."""
        address, what = f"{_pull_path(path, pull.number)}/versions", f"{path}#{pull.number}"
        rows = self._rows(self._get(address, what=what))
        if not rows or rows[0].get("head_commit_sha") != pull.head_sha:
            return None
        return self._shaped(lambda: time_of(rows[0]["created_at"]))

    def _resets(self, path: str, rows: list[Any]) -> bool:
        """Whether a push takes approvals back; asked only when GitLab tells no time of them."""
        if all(row.get("approved_at") for row in rows):
            return False
        try:
            row = self._json(self._get(f"{_project(path)}/approvals", what=path))
        except (NotFound, Forbidden):
            return False
        return self._shaped(lambda: row.get("reset_approvals_on_push") is True)

    def _really(self, refused: TokenRefused, sentence: str) -> RemoteError:
        """GitLab answers 401 to a good token as well; only a 401 for /user tells of a bad one."""
        try:
            self.whoami()
        except TokenRefused:
            return refused
        except RemoteError as failed:
            return Refused(sentence, detail=f"{refused.detail}; {failed}")
        return Refused(sentence, detail=refused.detail)

    def _why_not(self, path: str, number: int, what: str, reason: str) -> str:
        """A 405 gives no reason, but the merge request may."""
        try:
            blocks = self.pull(path, number).blocks
        except RemoteError:
            blocks = ()
        if not blocks:
            return _not_merged(what, reason)
        names = {"pull": what, "why": "; ".join(blocks), "said": quoted(reason)}
        return _("%(pull)s was not merged: %(why)s%(said)s.") % names

    def _check_fast_forward(self, path: str) -> None:
        row = self._json(self._get(_project(path), what=path))
        if self._shaped(lambda: row.get("merge_method")) != "ff":
            raise NotSupported(
                _(
                    "GitLab's project settings decide the merge method, and rebasing makes a new "
                    "head which has to be checked anew. Use merge or squash."
                )
            )

    def _landed(self, path: str, number: int, answer: Answer, sha: str) -> Merge:
        """A merge may run on after its 200; an open one with an error has ended."""
        row = answer.json() if _is_object(answer) else {}
        address = f"{_pull_path(path, number)}/merge"
        if row.get("merge_error") and row.get("state") == "opened":
            raise Refused(
                _not_merged(f"{path}#{number}", str(row["merge_error"])[:200]),
                detail=described("PUT", address, answer),
            )
        for seconds in (0.0, *SETTLE_SECONDS):
            time.sleep(seconds)
            after = self._read_back(path, number)
            if after.state is PullState.MERGED:
                return Merge(sha=after.merge_sha or sha)
            if not is_clean_yes(answer):
                break
        raise not_carried_out(self.system, "PUT", address, answer)

    def _refusal(
        self, method: str, path: str, answer: Answer, *, what: str, refused: Refuse
    ) -> RemoteError:
        """GitLab tells the end of a limit in a header of its own."""
        if answer.status == 429:
            detail, until = described(method, path, answer), _time_in(answer, "RateLimit-Reset")
            return slow_down(self.system, answer, detail=detail, until=until)
        return super()._refusal(method, path, answer, what=what, refused=refused)

    def _send(
        self,
        method: str,
        path: str,
        *,
        what: str,
        body: Mapping[str, Any],
        refused: Refuse | None = None,
    ) -> Answer:
        """To an archived project GitLab answers as to somebody without the right."""
        try:
            return super()._send(method, path, what=what, body=body, refused=refused)
        except (Forbidden, TokenRefused) as no:
            if not self._is_archived("/".join(path.split("/")[:3])):
                raise
            raise Forbidden(archived(self.system, what, ""), detail=no.detail) from no

    def _is_archived(self, project: str) -> bool:
        try:
            row = self._json(self._get(project, what=project))
            return self._shaped(lambda: row.get("archived") is True)
        except RemoteError:
            return False

    @classmethod
    def receive(cls, hook: Hook, *, secret: str, now: datetime) -> ForgeEvent:
        check_proof(hook, secret=secret, now=now)
        return read_hook(hook, Payload(body_of(hook)))


def _time_in(answer: Answer, name: str) -> datetime | None:
    """A header in epoch seconds."""
    seconds = answer.headers.get(name, "")
    fits = seconds.isascii() and seconds.isdigit() and len(seconds) < 12
    return datetime.fromtimestamp(int(seconds), UTC) if fits else None


def _is_object(answer: Answer) -> bool:
    try:
        return isinstance(answer.json(), dict)
    except HttpError:
        return False


def _project(path: str) -> str:
    return f"/projects/{quote(path, safe='')}"


def _pull_path(path: str, number: int) -> str:
    return f"{_project(path)}/merge_requests/{number}"


def _note_path(path: str, number: int, comment_id: str) -> str:
    return f"{_pull_path(path, number)}/notes/{quote(comment_id, safe='')}"


def _merge_body(sha: str, method: str, marker: str, title: str) -> dict[str, Any]:
    squash = method == "squash"
    name = "squash_commit_message" if squash else "merge_commit_message"
    return {"sha": sha, "squash": squash, name: f"{title}\n\n{marker}"}


def _cannot_approve(what: str) -> str:
    return _(
        "GitLab does not let the portal's account approve %(pull)s: it may be its author, "
        "or not eligible, or has approved it already."
    ) % {"pull": what}


def _cannot_merge(what: str) -> str:
    return _("GitLab does not let the portal's account merge %(pull)s.") % {"pull": what}


def _not_approved(what: str, reason: str) -> str:
    names = {"pull": what, "said": quoted(reason)}
    return _("%(pull)s was not approved, GitLab refused it%(said)s.") % names


def _not_merged(what: str, reason: str) -> str:
    names = {"pull": what, "said": quoted(reason)}
    return _("%(pull)s was not merged, GitLab refused it%(said)s.") % names
