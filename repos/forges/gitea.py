"""Gitea's and Forgejo's API v1, always at a server of one's own.

https://docs.gitea.com/api and https://forgejo.org/docs/latest/user/api-usage/

`mergeable` is false for conflicts and also while Gitea is still checking; there is no third value. So a
merge looks again before it believes in a conflict.
"""

import re
import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from django.utils.translation import gettext as _

from chatops_site.kit.http import Answer, HttpError
from repos.errors import (
    Forbidden,
    NotFound,
    Refused,
    clock_skew,
)
from repos.forges.answers import (
    checked,
    count_of,
    is_clean_yes,
    link_of,
    may_not,
    not_there,
    quoted,
    repository_path,
    sha_of,
    text_of,
    unclear,
)
from repos.forges.events import (
    ForgeEvent,
    Happened,
    Hook,
    HookRejected,
    Payload,
    body_of,
    digest,
    hmac_hex,
    is_same,
    text_digest,
    without_form,
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
from repos.forges.rest import RestForge, comment_name
from repos.forges.shapes import login_of, read_comment, read_commit, read_repository, time_of

# The most that a server gives unless it is set up otherwise.
PAGE_SIZE: Final = 50
# How long a conflict may turn out to be a check under way, and a busy server to become free.
PATIENCE: Final = (0.2, 0.4, 0.6)
_BUSY: Final = "try again later"
_HEAD_MOVED: Final = "head out of date"
_NO_RIGHT: Final = "not allowed to merge"
_WIP: Final = re.compile(r"\s*(?:\[wip\]|wip:)", re.IGNORECASE)
_STATES: Final = {"success": CheckState.SUCCESS, "pending": CheckState.PENDING}
_HAPPENED: Final = {
    "opened": Happened.OPENED,
    "synchronized": Happened.PUSHED,
    "closed": Happened.CLOSED,
    "reopened": Happened.REOPENED,
}


class Gitea(RestForge):
    kind = "gitea"
    system = "Gitea"
    page_size = PAGE_SIZE

    def _headers(self, token: str) -> dict[str, str]:
        return {"Authorization": f"token {token}"}

    def _paging(self, page: int, size: int) -> dict[str, str]:
        return {"page": str(page), "limit": str(size)}

    def _is_last(self, answer: Answer, *, page: int, count: int, size: int) -> bool:
        """A server may give fewer a page than asked for: its links decide, and where a list has none, the total."""
        if links := answer.headers.get("Link", ""):
            return 'rel="next"' not in links
        total = self._total(answer)
        return total is not None and count >= total

    def _total(self, answer: Answer) -> int | None:
        return count_of(answer, "X-Total-Count")

    # Reading

    def whoami(self) -> Identity:
        answer = self._get("/user", what=_("the token's account"))
        row = self._json(answer)
        login = self._shaped(lambda: text_of(row["login"]))
        return Identity(login, name=row.get("full_name") or "", clock_skew=clock_skew(answer))

    def repository(self, path: str) -> RepositoryFacts:
        row = self._json(self._get(repository_path(path), what=path))
        return self._shaped(lambda: read_repository(row))

    def repositories(self, *, search: str = "", page: int = 1) -> RepositoryPage:
        what, params = _("the token's repositories"), self._paging(page, PAGE_SIZE)
        if search:
            params |= {"q": search, "private": "true"}
            answer = self._get("/repos/search", what=what, params=params)
            rows = self._rows(answer, "data")
        else:
            answer = self._get("/user/repos", what=what, params=params)
            rows = self._rows(answer)
        items = self._shaped(lambda: tuple(map(read_repository, rows)))
        more = not self._is_last(answer, page=page, count=len(rows), size=PAGE_SIZE)
        return RepositoryPage(items, self._total(answer), more and bool(rows))

    def pulls(self, path: str, *, state: PullState = PullState.OPEN, limit: int = 100) -> Pulls:
        """Gitea lists merged ones among the closed; newest first is its default."""
        params = {"state": "open" if state is PullState.OPEN else "closed"}
        rows = self._list(f"{repository_path(path)}/pulls", what=path, params=params, limit=limit)
        found = self._shaped(lambda: {one.number: one for one in map(_read_pull, rows.items)})
        kept = tuple(one for one in found.values() if one.state is state)
        return Pulls(kept, rows.total if state is PullState.OPEN else None, rows.more)

    def pull(self, path: str, number: int) -> PullRequest:
        row = self._json(self._get(_pull_path(path, number), what=f"{path}#{number}"))
        return self._shaped(lambda: _read_pull(row))

    def checks(self, path: str, pull: PullRequest) -> tuple[Check, ...]:
        rows = self._statuses(path, pull.head_sha)
        return tuple(_read_check(name, row) for name, row in rows.items())

    def required_checks(self, path: str, branch: str) -> tuple[str, ...] | None:
        """None, too, where a rule is a pattern: what it stands for cannot be named."""
        address = f"{repository_path(path)}/branches/{quote(branch, safe='')}"
        try:
            row = self._json(self._get(address, what=f"{path} {branch}"))
        except NotFound:
            return None
        names = self._shaped(lambda: _required(row))
        return None if any(set(name) & set("*?[") for name in names) else names

    def reviews(self, path: str, pull: PullRequest) -> tuple[Review, ...]:
        address, what = f"{_pull_path(path, pull.number)}/reviews", f"{path}#{pull.number}"
        rows = self._list(address, what=what, params={}, limit=1_000).items
        return self._shaped(lambda: _last_words(rows, pull.head_sha))

    def _statuses(self, path: str, sha: str) -> dict[str, Any]:
        """The newest of each name."""
        address = f"{repository_path(path)}/commits/{quote(sha, safe='')}/statuses"
        rows = self._list(address, what=path, params={}, limit=500).items
        ordered = self._shaped(lambda: sorted(rows, key=lambda row: int(row["id"])))
        return {str(row.get("context")): row for row in ordered}

    # Verdicts

    def approve(self, path: str, number: int, *, sha: str) -> None:
        self._expected(path, number, sha=sha)
        if self.approved(path, number, sha=sha):
            return
        body = {"event": "APPROVED", "body": "", "commit_id": sha}
        address, what = f"{_pull_path(path, number)}/reviews", f"{path}#{number}"
        answer = self._send("POST", address, what=what, body=body, refused=_not_approved)
        try:
            given = answer.json()["state"] == "APPROVED"
        except (HttpError, KeyError, TypeError):
            given = False
        if not given:
            raise unclear(self.system, "POST", address, answer)

    def approved(self, path: str, number: int, *, sha: str) -> bool:
        pull = self.pull(path, number)
        return pull.head_sha == sha and self._has_mine(path, pull)

    def pass_tests(self, path: str, number: int, *, sha: str, name: str, url: str) -> None:
        self._expected(path, number, sha=sha)
        body = {"state": "success", "context": name, "target_url": url, "description": "ChatOps"}
        address = f"{repository_path(path)}/statuses/{sha}"
        answer = self._send("POST", address, what=f"{path}#{number}", body=body)
        if answer.status != 201:
            raise unclear(self.system, "POST", address, answer)

    def tests_passed(self, path: str, number: int, *, sha: str, name: str) -> bool:
        row = self._statuses(path, sha).get(name)
        return row is not None and _read_check(name, row).state is CheckState.SUCCESS

    # Merging

    def merge(self, path: str, number: int, *, sha: str, method: str, marker: str) -> Merge:
        pull = self._ready(path, number, sha=sha)
        body = {"Do": method, "head_commit_id": sha, "MergeMessageField": marker}
        answer = self._send_merge(path, pull, body=body)
        after = self._settled(path, number, answer, PullState.MERGED)
        return Merge(sha=after.merge_sha)

    def _is_undecided(self, pull: PullRequest) -> bool:
        """Gitea says no while it does not know."""
        return pull.mergeable is False and not pull.draft

    def _send_merge(self, path: str, pull: PullRequest, *, body: Mapping[str, Any]) -> Answer:
        """A busy server is asked again, as long as the head is the same."""
        for seconds in PATIENCE:
            try:
                return self._merge_once(path, pull, body=body)
            except Refused as refused:
                if _BUSY not in refused.detail:
                    raise
            time.sleep(seconds)
            self._expected(path, pull.number, sha=pull.head_sha)
        return self._merge_once(path, pull, body=body)

    def _merge_once(self, path: str, pull: PullRequest, *, body: Mapping[str, Any]) -> Answer:
        """Gitea has a 405 for a missing right as well."""
        address, what = f"{_pull_path(path, pull.number)}/merge", f"{path}#{pull.number}"
        refuse = partial(_not_merged, base=pull.base_ref)
        try:
            return self._send("POST", address, what=what, body=body, refused=refuse)
        except Refused as refused:
            if _HEAD_MOVED in refused.detail:
                raise self._moved(path, pull.number, pull.head_sha) or refused from refused
            if _NO_RIGHT in refused.detail:
                sentence = may_not(self.system, what, "")
                raise Forbidden(sentence, detail=refused.detail) from refused
            raise

    # Talking

    def comment(self, path: str, number: int, body: str) -> Comment:
        address = f"{repository_path(path)}/issues/{number}/comments"
        answer = self._send("POST", address, what=f"{path}#{number}", body={"body": body})
        return self._written(address, answer, read_comment)

    def comments(self, path: str, number: int, *, limit: int = 100) -> tuple[Comment, ...]:
        """Gitea gives all of them at once, oldest first."""
        address = f"{repository_path(path)}/issues/{number}/comments"
        rows = self._rows(self._get(address, what=f"{path}#{number}"))
        found = self._shaped(lambda: sorted(rows, key=lambda row: int(row["id"]), reverse=True))
        return self._shaped(lambda: tuple(map(read_comment, found[:limit])))

    def read_comment(self, path: str, number: int, comment_id: str) -> Comment:
        what = comment_name(path, number, comment_id)
        row = self._json(self._get(_comment_path(path, comment_id), what=what))
        place = self._shaped(lambda: row.get("pull_request_url") or row.get("issue_url") or "")
        if place.rpartition("/")[2] != str(number):
            raise NotFound(not_there(self.system, what))
        return self._shaped(lambda: read_comment(row))

    def edit_comment(self, path: str, number: int, comment_id: str, body: str) -> None:
        address, what = _comment_path(path, comment_id), f"{path}#{number}"
        answer = self._send("PATCH", address, what=what, body={"body": body})
        if not is_clean_yes(answer):
            raise unclear(self.system, "PATCH", address, answer)

    def _send_state(self, path: str, number: int, state: PullState) -> Answer:
        body, what = {"state": state.value}, f"{path}#{number}"
        return self._send("PATCH", _pull_path(path, number), what=what, body=body)

    # Commits

    def commit(self, path: str, ref: str) -> Commit:
        what = _("%(ref)s in %(path)s") % {"ref": ref[:80], "path": path}
        if ref in ("", ".", ".."):
            raise NotFound(not_there(self.system, what))
        address = f"{repository_path(path)}/git/commits/{quote(ref, safe='')}"
        row = self._json(self._get(address, what=what))
        return self._shaped(lambda: read_commit(row))

    def compare(self, path: str, base: str, head: str, *, limit: int = 100) -> Comparison:
        """Gitea tells the newest first."""
        span = f"{quote(base, safe='')}...{quote(head, safe='')}"
        what = _("%(base)s or %(head)s in %(path)s") % {"base": base, "head": head, "path": path}
        row = self._json(self._get(f"{repository_path(path)}/compare/{span}", what=what))
        commits = self._shaped(lambda: tuple(map(read_commit, row["commits"] or ()))[::-1])
        total = self._shaped(lambda: int(row.get("total_commits") or len(commits)))
        return Comparison(total, commits[-limit:], cut=total > min(limit, len(commits)))

    # Webhooks

    @classmethod
    def receive(cls, hook: Hook, *, secret: str, now: datetime) -> ForgeEvent:
        """No time is signed: what was captured stays valid, so that only unknown deliveries count."""
        headers = hook.headers
        event = headers.get("x-gitea-event") or headers.get("x-forgejo-event") or ""
        if not event:
            raise HookRejected("not_gitea")
        told = headers.get("x-gitea-signature") or headers.get("x-forgejo-signature") or ""
        signed = without_form(hook).body
        if not secret or not is_same(told, hmac_hex(secret, signed)):
            raise HookRejected("bad_signature")
        payload = Payload(body_of(Hook(headers, signed)))
        delivery = headers.get("x-gitea-delivery") or headers.get("x-forgejo-delivery") or ""
        known = _read_hook(event, payload)
        words = f"{event} {payload.get('action')}"[:80]
        given = delivery or hmac_hex("", signed)
        return ForgeEvent(delivery=digest(given), told=words, **known)


def _read_hook(event: str, payload: Payload) -> dict[str, Any]:
    action = payload.get("action")
    if event == "issue_comment" and (payload.get("is_pull") or payload.get("issue.pull_request")):
        return {
            "happened": Happened.COMMENTED if action == "created" else Happened.NOTHING,
            "path": payload.text("repository.full_name"),
            "number": payload.number("issue.number"),
            "comment_id": str(payload.number("comment.id")),
            "text_digest": text_digest(payload.text("comment.body")),
        }
    happened = _HAPPENED.get(str(action)) if event.startswith("pull_request") else None
    if happened is None or event not in ("pull_request", "pull_request_sync"):
        return {"happened": Happened.NOTHING}
    if happened is Happened.CLOSED and payload.get("pull_request.merged") is True:
        happened = Happened.MERGED
    return {
        "happened": happened,
        "path": payload.text("repository.full_name"),
        "number": payload.number("number"),
    }


def _pull_path(path: str, number: int) -> str:
    return f"{repository_path(path)}/pulls/{number}"


def _comment_path(path: str, comment_id: str) -> str:
    return f"{repository_path(path)}/issues/comments/{quote(comment_id, safe='')}"


def _not_merged(what: str, reason: str, *, base: str) -> str:
    """Two reasons Gitea tells by a status alone: a conflict that only the merge found, and a merge."""
    names = {"pull": what, "base": base, "system": Gitea.system, "said": quoted(reason)}
    if reason == "409":
        return (
            _("%(pull)s conflicts with %(base)s. Its author has to resolve the conflict.") % names
        )
    if reason == "405":
        return _("%(pull)s is merged already.") % names
    return _("%(pull)s was not merged, %(system)s refused it%(said)s.") % names


def _not_approved(what: str, reason: str) -> str:
    if "your own" in reason:
        sentence = _("%(pull)s is the portal's own at %(system)s, which it may not approve.")
        return sentence % {"pull": what, "system": Gitea.system}
    return _("%(system)s refused it for %(what)s%(said)s.") % {
        "system": Gitea.system,
        "what": what,
        "said": quoted(reason),
    }


def _read_pull(row: Any) -> PullRequest:
    head, base = row["head"], row["base"]
    merged = bool(row.get("merged"))
    title = text_of(row["title"])
    draft = bool(row.get("draft")) or _WIP.match(title) is not None
    # A draft is never mergeable, whether it conflicts or not.
    mergeable = None if draft else row.get("mergeable")
    closed = PullState.OPEN if row["state"] == "open" else PullState.CLOSED
    return PullRequest(
        number=checked(row["number"], int),
        title=title,
        author=login_of(row.get("user")),
        state=PullState.MERGED if merged else closed,
        draft=draft,
        mergeable=mergeable if isinstance(mergeable, bool) else None,
        head_sha=sha_of(head["sha"]),
        head_ref=text_of(head["ref"]),
        base_sha=base.get("sha") or "",
        base_ref=text_of(base["ref"]),
        url=link_of(row.get("html_url")),
        updated_at=time_of(row.get("updated_at")),
        merge_sha=row.get("merge_commit_sha") or "" if merged else "",
        labels=tuple(label["name"] for label in row.get("labels") or ()),
    )


def _required(row: Any) -> tuple[str, ...]:
    names = row.get("status_check_contexts") if row.get("enable_status_check") else ()
    return tuple(map(text_of, names or ()))


def _read_check(name: str, row: Any) -> Check:
    """One status has its word in `status`; the combined one, in `state`."""
    word = row.get("status") or row.get("state")
    return Check(name, _STATES.get(word, CheckState.FAILURE), link_of(row.get("target_url")))


def _last_words(rows: list[Any], head: str) -> tuple[Review, ...]:
    last: dict[str, Review] = {}
    for row in sorted(rows, key=lambda row: int(row["id"])):
        login, state = login_of(row.get("user")), row.get("state")
        if not login or state not in ("APPROVED", "REQUEST_CHANGES"):
            continue
        counts = not row.get("dismissed")
        accepted = counts and state == "APPROVED" and row.get("commit_id") == head
        last[login] = Review(login, accepted, objects=counts and state == "REQUEST_CHANGES")
    return tuple(last.values())
