"""GitHub's REST API of 2022-11-28, at github.com and at Enterprise servers; one GraphQL query for lists.

https://docs.github.com/en/rest and https://docs.github.com/en/graphql
"""

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from django.utils.translation import gettext as _

from chatops_site.kit.http import Answer, Client, HttpError
from repos.errors import (
    Forbidden,
    NotFound,
    Refused,
    RemoteError,
    clock_skew,
    described,
    read_failed,
)
from repos.forges.answers import (
    archived,
    checked,
    not_there,
    read_error,
    repository_path,
    said,
    slow_down,
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
from repos.forges.github_answers import (
    PULLS_QUERY,
    at,
    comment_path,
    has_next,
    is_limit,
    issue_path,
    last_page,
    next_page,
    not_merged,
    protected_checks,
    pull_path,
    read_node,
    read_pull,
    read_review,
    read_run,
    read_status,
    reset_time,
    ruled_checks,
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
)

PAGE_SIZE: Final = 100
GRAPH_PAGE: Final = 50
SENDS: Final = 3
_BASE_MODIFIED: Final = "Base branch was modified"
_VERDICTS: Final = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")
_HAPPENED: Final = {
    "opened": Happened.OPENED,
    "synchronize": Happened.PUSHED,
    "reopened": Happened.REOPENED,
}


class GitHub(RestForge):
    kind = "github"
    system = "GitHub"
    page_size = PAGE_SIZE

    def __init__(
        self, *, base_url: str, token: str, ca_file: str = "", deadline: float = 20.0
    ) -> None:
        super().__init__(base_url=base_url, token=token, ca_file=ca_file, deadline=deadline)
        # Enterprise has REST under /api/v3 and GraphQL at /api/graphql.
        base = base_url.rstrip("/")
        self._graph = Client(
            base.removesuffix("/v3") if base.endswith("/api/v3") else base,
            headers=self._headers(token),
            ca_file=ca_file,
            deadline=deadline,
            redirects_are_answers=True,
        )

    def _headers(self, token: str) -> dict[str, str]:
        return {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "Authorization": f"Bearer {token}",
        }

    def _refusal(
        self, method: str, path: str, answer: Answer, *, what: str, refused: Refuse
    ) -> RemoteError:
        if answer.status in (403, 429) and is_limit(answer):
            detail = described(method, path, answer)
            return slow_down(self.system, answer, detail=detail, until=reset_time(answer))
        if answer.status == 403 and "archived" in said(answer):
            sentence = archived(self.system, what, said(answer))
            return Refused(sentence, detail=described(method, path, answer))
        return super()._refusal(method, path, answer, what=what, refused=refused)

    def whoami(self) -> Identity:
        answer = self._get("/user", what=_("the token's account"))
        row = self._json(answer)
        login = self._shaped(lambda: text_of(row["login"]))
        scopes = answer.headers.get("X-OAuth-Scopes", "")
        rights = tuple(one.strip() for one in scopes.split(",") if one.strip())
        self._login = login
        return Identity(login, row.get("name") or "", clock_skew(answer), rights)

    def repository(self, path: str) -> RepositoryFacts:
        row = self._json(self._get(repository_path(path), what=path))
        return self._shaped(lambda: read_repository(row))

    def repositories(self, *, search: str = "", page: int = 1) -> RepositoryPage:
        """GitHub searches only among all public ones as well, so the token's own are looked through."""
        what = _("the token's repositories")
        params = {"sort": "full_name"}
        if not search:
            answer = self._get("/user/repos", what=what, params=params | self._paging(page, 100))
            rows = self._rows(answer)
            items = self._shaped(lambda: tuple(map(read_repository, rows)))
            return RepositoryPage(items, more=has_next(answer))
        seen = self._list("/user/repos", what=what, params=params, limit=1_000)
        found = self._shaped(lambda: [read_repository(row) for row in seen.items])
        found = [one for one in found if search.casefold() in one.path.casefold()]
        start = (page - 1) * PAGE_SIZE
        shown = tuple(found[start : start + PAGE_SIZE])
        total = None if seen.more else len(found)
        return RepositoryPage(shown, total, more=len(found) > start + PAGE_SIZE)

    def pulls(self, path: str, *, state: PullState = PullState.OPEN, limit: int = 100) -> Pulls:
        """The open ones with their checks and reviews, where the token may ask by GraphQL."""
        found = self._graph_pulls(path, limit) if state is PullState.OPEN else None
        if found is not None:
            return found
        asked = "open" if state is PullState.OPEN else "closed"
        params = {"state": asked, "sort": "created", "direction": "desc"}
        rows = self._list(f"{repository_path(path)}/pulls", what=path, params=params, limit=limit)
        # A pull request opened meanwhile pushes another onto the next page: it comes twice.
        items = self._shaped(lambda: {pull.number: pull for pull in map(read_pull, rows.items)})
        return Pulls(tuple(one for one in items.values() if one.state is state), more=rows.more)

    def _graph_pulls(self, path: str, limit: int) -> Pulls | None:
        """None where GraphQL is not to be had."""
        items, after, more = dict[int, PullRequest](), None, True
        total = 0
        while more and len(items) < limit:
            body = self._ask(path, min(GRAPH_PAGE, limit), after)
            if body is None:
                return None
            page = self._shaped(lambda: body["data"]["repository"]["pullRequests"])  # noqa: B023
            pulls = self._shaped(lambda: [read_node(one) for one in page["nodes"]])  # noqa: B023
            items |= {pull.number: pull for pull in pulls}
            total = self._shaped(lambda: checked(page["totalCount"], int))  # noqa: B023
            after, more = self._shaped(lambda: next_page(page))  # noqa: B023
        return Pulls(tuple(items.values())[:limit], total, more=more or len(items) > limit)

    def _ask(self, path: str, size: int, after: str | None) -> Any:
        """A POST that changes nothing; None when GraphQL is refused, or cannot tell everything."""
        owner, _slash, name = path.partition("/")
        variables = {"owner": owner, "name": name, "size": size, "after": after}
        query = {"operationName": "OpenPulls", "query": PULLS_QUERY, "variables": variables}
        try:
            answer = self._graph.send("POST", "/graphql", json=query)
        except HttpError as error:
            raise read_failed(self.system, error, call="POST /graphql") from error
        if answer.status != 200:
            failed = read_error(
                self.system,
                "/graphql",
                answer,
                what=path,
                base_url=self.base_url,
                method="POST",
            ) or self._refusal("POST", "/graphql", answer, what=path, refused=self._not_done)
            if isinstance(failed, NotFound | Forbidden):
                return None
            raise failed
        body = self._json(answer)
        errors = self._shaped(lambda: [one.get("type") for one in body.get("errors") or ()])
        if "RATE_LIMITED" in errors:
            detail = described("POST", "/graphql", answer)
            raise slow_down(self.system, answer, detail=detail, until=reset_time(answer))
        # REST tells what was renamed from what is not there.
        return None if errors else body

    def pull(self, path: str, number: int) -> PullRequest:
        row = self._json(self._get(pull_path(path, number), what=f"{path}#{number}"))
        return self._shaped(lambda: read_pull(row))

    def checks(self, path: str, pull: PullRequest) -> tuple[Check, ...]:
        """Check runs and statuses; one of each kind when both have the same name."""
        address = f"{repository_path(path)}/commits/{pull.head_sha}"
        runs = self._list(
            f"{address}/check-runs", what=path, params={}, limit=500, key="check_runs"
        )
        ordered = self._shaped(lambda: sorted(runs.items, key=lambda row: int(row["id"])))
        newest = self._shaped(lambda: {text_of(row["name"]): row for row in ordered})
        return (
            *self._statuses(path, pull.head_sha),
            *(read_run(name, row, row.get("details_url")) for name, row in newest.items()),
        )

    def _statuses(self, path: str, sha: str) -> tuple[Check, ...]:
        """The combined status has the newest of each context."""
        address = f"{repository_path(path)}/commits/{quote(sha, safe='')}/status"
        rows = self._list(address, what=path, params={}, limit=500, key="statuses")
        return self._shaped(
            lambda: tuple(
                read_status(row["context"], row["state"], row.get("target_url"))
                for row in rows.items
            )
        )

    def required_checks(self, path: str, branch: str) -> tuple[str, ...] | None:
        quoted_branch = quote(branch, safe="")
        try:
            row = self._json(
                self._get(f"{repository_path(path)}/branches/{quoted_branch}", what=path)
            )
        except (NotFound, Forbidden):
            return None
        names = self._shaped(lambda: protected_checks(row))
        try:
            rules = self._get(f"{repository_path(path)}/rules/branches/{quoted_branch}", what=path)
        except (NotFound, Forbidden):
            return tuple(names)
        rows = self._rows(rules)
        return tuple(dict.fromkeys([*names, *self._shaped(lambda: ruled_checks(rows))]))

    def reviews(self, path: str, pull: PullRequest) -> tuple[Review, ...]:
        what = f"{path}#{pull.number}"
        address = f"{pull_path(path, pull.number)}/reviews"
        rows = self._list(address, what=what, params={}, limit=2_000).items
        last = self._shaped(
            lambda: {login_of(row["user"]): row for row in rows if row["state"] in _VERDICTS}
        )
        return tuple(
            read_review(login, row["state"], row.get("commit_id"), pull.head_sha)
            for login, row in last.items()
        )

    def approve(self, path: str, number: int, *, sha: str) -> None:
        """The approval is bound to the commit: one that is pushed meanwhile is not approved by it."""
        what, pull = f"{path}#{number}", self._expected(path, number, sha=sha)
        if pull.author.casefold() == self.own_login().casefold():
            sentence = _("%(pull)s is the portal's own at %(system)s, which it may not approve.")
            raise Refused(sentence % {"pull": what, "system": self.system})
        if self._has_mine(path, pull):
            return
        body = {"event": "APPROVE", "commit_id": sha}
        address = f"{pull_path(path, number)}/reviews"
        answer = self._send("POST", address, what=what, body=body)
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
        body = {"state": "success", "context": name} | ({"target_url": url} if url else {})
        address = f"{repository_path(path)}/statuses/{quote(sha, safe='')}"
        answer = self._send("POST", address, what=f"{path}#{number}", body=body)
        if answer.status != 201:
            raise unclear(self.system, "POST", address, answer)

    def tests_passed(self, path: str, number: int, *, sha: str, name: str) -> bool:
        found = self._statuses(path, sha)
        return any(one.name == name and one.state is CheckState.SUCCESS for one in found)

    def merge(self, path: str, number: int, *, sha: str, method: str, marker: str) -> Merge:
        self._ready(path, number, sha=sha)
        body = {"sha": sha, "merge_method": method, "commit_message": marker}
        answer = self._send_merge(path, number, body)
        after = self._settled(path, number, answer, PullState.MERGED)
        return Merge(sha=answered_sha(answer) or after.merge_sha)

    def _send_merge(self, path: str, number: int, body: dict[str, str]) -> Answer:
        """Once more when only the base moved (405): GitHub asks for that, and nothing was merged."""
        address, what = f"{pull_path(path, number)}/merge", f"{path}#{number}"
        for left in reversed(range(SENDS)):
            try:
                return self._send("PUT", address, what=what, body=body, refused=not_merged)
            except Refused as no:
                again = _BASE_MODIFIED in no.detail
                if not again and ": 409" not in no.detail:
                    raise
                self._expected(path, number, sha=body["sha"])
                if not (again and left):
                    raise
        raise AssertionError

    def comment(self, path: str, number: int, body: str) -> Comment:
        address = f"{issue_path(path, number)}/comments"
        answer = self._send("POST", address, what=f"{path}#{number}", body={"body": body})
        return self._written(address, answer, read_comment)

    def comments(self, path: str, number: int, *, limit: int = 100) -> tuple[Comment, ...]:
        """They come oldest first and in no other order: the last pages are read first."""
        address, what = f"{issue_path(path, number)}/comments", f"{path}#{number}"
        first = self._get(address, what=what, params=self._paging(1, PAGE_SIZE))
        rows, page = list[Any](), last_page(first)
        while page > 1 and len(rows) < limit:
            answer = self._get(address, what=what, params=self._paging(page, PAGE_SIZE))
            rows, page = self._rows(answer) + rows, page - 1
        if len(rows) < limit:
            rows = self._rows(first) + rows
        newest = rows[::-1][:limit]
        return self._shaped(lambda: tuple(map(read_comment, newest)))

    def read_comment(self, path: str, number: int, comment_id: str) -> Comment:
        what = comment_name(path, number, comment_id)
        row = self._json(self._get(comment_path(path, comment_id), what=what))
        place = self._shaped(lambda: text_of(row["issue_url"]))
        if not place.endswith(f"/issues/{number}"):
            raise NotFound(not_there(self.system, what))
        return self._shaped(lambda: read_comment(row))

    def edit_comment(self, path: str, number: int, comment_id: str, body: str) -> None:
        what = comment_name(path, number, comment_id)
        self._send("PATCH", comment_path(path, comment_id), what=what, body={"body": body})

    def commit(self, path: str, ref: str) -> Commit:
        if ref in ("", ".", ".."):
            raise NotFound(not_there(self.system, _("%(ref)s in %(path)s") % at(ref, path)))
        address = f"{repository_path(path)}/commits/{quote(ref, safe='')}"
        what = _("%(ref)s in %(path)s") % at(ref, path)
        try:
            row = self._json(self._get(address, what=what))
        except Refused as no:
            # An unknown ref is a 422 "No commit found for SHA".
            if "No commit found" not in no.detail:
                raise
            raise NotFound(not_there(self.system, what), detail=no.detail) from no
        return self._shaped(lambda: read_commit(row))

    def compare(self, path: str, base: str, head: str, *, limit: int = 100) -> Comparison:
        """Oldest first; of many the newest."""
        ends = f"{quote(base, safe='')}...{quote(head, safe='')}"
        address = f"{repository_path(path)}/compare/{ends}"
        first = self._get(address, what=path, params=self._paging(1, PAGE_SIZE))
        body = self._json(first)
        ahead = self._shaped(lambda: checked(body["ahead_by"], int))
        rows, pages = list[Any](), -(-ahead // PAGE_SIZE)
        for page in range(max(0, ahead - limit) // PAGE_SIZE + 1, pages + 1):
            params = self._paging(page, PAGE_SIZE)
            answer = first if page == 1 else self._get(address, what=path, params=params)
            rows += self._rows(answer, "commits")
        commits = self._shaped(lambda: tuple(map(read_commit, rows[-limit:])))
        return Comparison(ahead, commits, cut=len(commits) < ahead)

    def _send_state(self, path: str, number: int, state: PullState) -> Answer:
        body, what = {"state": state.value}, f"{path}#{number}"
        return self._send("PATCH", pull_path(path, number), what=what, body=body)

    def _paging(self, page: int, size: int) -> dict[str, str]:
        return {"page": str(page), "per_page": str(size)}

    def _is_last(self, answer: Answer, *, page: int, count: int, size: int) -> bool:
        return not has_next(answer)

    @classmethod
    def receive(cls, hook: Hook, *, secret: str, now: datetime) -> ForgeEvent:
        """Signed over the raw body, without a time: the delivery id keeps it from being replayed."""
        if {"x-gitea-event", "x-forgejo-event"} & set(hook.headers):
            raise HookRejected("not_github")
        right = f"sha256={hmac_hex(secret, hook.body)}" if secret else ""
        if not is_same(hook.headers.get("x-hub-signature-256", ""), right):
            raise HookRejected("bad_signature")
        return _read_hook(Payload(body_of(without_form(hook))), hook)


def _read_hook(payload: Payload, hook: Hook) -> ForgeEvent:
    """https://docs.github.com/en/webhooks/webhook-events-and-payloads"""
    event, action = hook.headers.get("x-github-event", ""), payload.get("action")
    delivery = hook.headers.get("x-github-delivery", "")[:100] or digest(hook.body.hex())
    known, happened = dict[str, Any](), Happened.NOTHING
    if event == "issue_comment" and action == "created" and payload.get("issue.pull_request"):
        happened = Happened.COMMENTED
        known = {
            "number": payload.number("issue.number"),
            "comment_id": str(payload.number("comment.id")),
            "text_digest": text_digest(payload.text("comment.body")),
        }
    elif event == "pull_request":
        happened = _happened(payload, str(action))
        known = {"number": payload.number("number")}
    if happened is not Happened.NOTHING:
        known["path"] = payload.text("repository.full_name")
    told = f"{event} {action or ''}".strip()[:80]
    return ForgeEvent(happened, delivery, told=told, **known)


def _happened(payload: Payload, action: str) -> Happened:
    if action == "closed":
        merged = payload.get("pull_request.merged") is True
        return Happened.MERGED if merged else Happened.CLOSED
    return _HAPPENED.get(action, Happened.NOTHING)
