"""What GitHub answers, by REST and by GraphQL, in our words.

https://docs.github.com/en/rest and https://docs.github.com/en/graphql
"""

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, quote

from django.utils.translation import gettext as _

from chatops_site.kit.http import Answer
from repos.forges.answers import checked, link_of, quoted, repository_path, said, sha_of, text_of
from repos.forges.resources import Check, CheckState, PullRequest, PullState, Review
from repos.forges.shapes import login_of, time_of

_GREEN: Final = ("success", "neutral", "skipped")
_MERGEABLE: Final = {"MERGEABLE": True, "CONFLICTING": False}
PULLS_QUERY: Final = """
query OpenPulls($owner: String!, $name: String!, $size: Int!, $after: String) {
  repository(owner: $owner, name: $name, followRenames: false) {
    pullRequests(states: OPEN, first: $size, after: $after,
                 orderBy: {field: CREATED_AT, direction: DESC}) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes {
        number title isDraft mergeable mergeStateStatus url updatedAt
        headRefOid headRefName baseRefOid baseRefName
        author { login }
        labels(first: 50) { nodes { name } }
        latestOpinionatedReviews(first: 50) {
          pageInfo { hasNextPage } nodes { state author { login } commit { oid } }
        }
        reviewThreads(first: 50) { nodes { isResolved } }
        commits(last: 1) { nodes { commit { statusCheckRollup { contexts(first: 50) {
          pageInfo { hasNextPage }
          nodes {
            __typename
            ... on CheckRun { databaseId name status conclusion detailsUrl }
            ... on StatusContext { context state targetUrl }
          }
        } } } } }
      }
    }
  }
}
"""


def is_limit(answer: Answer) -> bool:
    """Not every 403 is one."""
    spent = answer.headers.get("X-RateLimit-Remaining", "") == "0"
    return spent or bool(answer.headers.get("Retry-After")) or "rate limit" in said(answer).lower()


def reset_time(answer: Answer) -> datetime | None:
    value = answer.headers.get("X-RateLimit-Reset", "")
    known = value.isascii() and value.isdigit() and len(value) < 12
    spent = answer.headers.get("X-RateLimit-Remaining", "") == "0"
    return datetime.fromtimestamp(int(value), UTC) if known and spent else None


def has_next(answer: Answer) -> bool:
    return 'rel="next"' in answer.headers.get("Link", "")


def last_page(answer: Answer) -> int:
    """From Link: <…&page=7>; rel="last"; 1 when there is none."""
    for link in answer.headers.get("Link", "").split(","):
        address, _semicolon, relation = link.partition(";")
        page = parse_qs(address.strip(" <>").partition("?")[2]).get("page", [""])[0]
        if 'rel="last"' in relation and page.isascii() and page.isdigit() and len(page) < 7:
            return int(page)
    return 1


def not_merged(what: str, reason: str) -> str:
    names = {"pull": what, "system": "GitHub", "said": quoted(reason)}
    return _("%(pull)s was not merged, %(system)s refused it%(said)s.") % names


def at(ref: str, path: str) -> dict[str, str]:
    return {"ref": ref, "path": path}


def blocks(state: str) -> tuple[str, ...]:
    phrases = {
        "blocked": _("GitHub's branch protection is not satisfied"),
        "behind": _("it is behind its base branch"),
    }
    return (phrases[state],) if state in phrases else ()


def read_pull(row: Any) -> PullRequest:
    head, base, mergeable = row["head"], row["base"], row.get("mergeable")
    merged, state = bool(row.get("merged_at")), row.get("mergeable_state") or ""
    return PullRequest(
        number=checked(row["number"], int),
        title=text_of(row["title"]),
        author=login_of(row.get("user")),
        state=PullState.MERGED if merged else PullState(row["state"]),
        draft=bool(row.get("draft")),
        mergeable=False if state == "dirty" else mergeable,
        head_sha=sha_of(head["sha"]),
        head_ref=text_of(head["ref"]),
        base_sha=sha_of(base["sha"]),
        base_ref=text_of(base["ref"]),
        url=link_of(row.get("html_url")),
        updated_at=time_of(row.get("updated_at")),
        blocks=blocks(state),
        merge_sha=row.get("merge_commit_sha") or "" if merged else "",
        labels=tuple(label["name"] for label in row.get("labels") or ()),
    )


def next_page(page: Any) -> tuple[str | None, bool]:
    told = page["pageInfo"]
    return told["endCursor"], bool(told["hasNextPage"])


def read_node(node: Any) -> PullRequest:
    state = text_of(node["mergeStateStatus"]).lower()
    open_threads = sum(not one["isResolved"] for one in node["reviewThreads"]["nodes"])
    return PullRequest(
        number=checked(node["number"], int),
        title=text_of(node["title"]),
        author=login_of(node["author"]),
        state=PullState.OPEN,
        draft=bool(node["isDraft"]),
        mergeable=_MERGEABLE.get(node["mergeable"]),
        head_sha=sha_of(node["headRefOid"]),
        head_ref=text_of(node["headRefName"]),
        base_sha=sha_of(node["baseRefOid"]),
        base_ref=text_of(node["baseRefName"]),
        url=link_of(node["url"]),
        updated_at=time_of(node["updatedAt"]),
        reviews=node_reviews(node),
        checks=node_checks(node),
        unresolved=open_threads if state == "blocked" else 0,
        blocks=blocks(state),
        labels=tuple(label["name"] for label in node["labels"]["nodes"]),
    )


def node_reviews(node: Any) -> tuple[Review, ...] | None:
    found = node["latestOpinionatedReviews"]
    if found["pageInfo"]["hasNextPage"]:
        return None
    return tuple(
        read_review(
            login_of(one["author"]),
            one["state"],
            (one["commit"] or {}).get("oid"),
            node["headRefOid"],
        )
        for one in found["nodes"]
    )


def node_checks(node: Any) -> tuple[Check, ...] | None:
    rollup = node["commits"]["nodes"][0]["commit"]["statusCheckRollup"]
    if rollup is None:
        return ()
    found = rollup["contexts"]
    if found["pageInfo"]["hasNextPage"]:
        return None
    rows = sorted(found["nodes"], key=lambda row: row.get("databaseId") or 0)
    runs = {row["name"]: row for row in rows if row["__typename"] == "CheckRun"}
    statuses = [row for row in rows if row["__typename"] == "StatusContext"]
    return (
        *(read_status(row["context"], row["state"], row["targetUrl"]) for row in statuses),
        *(read_run(name, row, row["detailsUrl"]) for name, row in runs.items()),
    )


def read_review(login: str, state: str, sha: str | None, head: str) -> Review:
    accepted = state == "APPROVED" and sha == head
    return Review(login, accepted, objects=state == "CHANGES_REQUESTED")


def read_run(name: str, row: Any, url: Any) -> Check:
    """REST writes its words small, GraphQL large."""
    state = CheckState.FAILURE
    if str(row.get("status")).lower() != "completed":
        state = CheckState.PENDING
    elif str(row.get("conclusion")).lower() in _GREEN:
        state = CheckState.SUCCESS
    return Check(name, state, link_of(url))


def read_status(name: Any, state: Any, url: Any) -> Check:
    words = {"success": CheckState.SUCCESS, "pending": CheckState.PENDING}
    words["expected"] = CheckState.PENDING
    found = words.get(text_of(state).lower(), CheckState.FAILURE)
    return Check(text_of(name), found, link_of(url))


def protected_checks(row: Any) -> list[str]:
    required = (row.get("protection") or {}).get("required_status_checks") or {}
    return [text_of(name) for name in required.get("contexts") or ()]


def ruled_checks(rows: list[Any]) -> list[str]:
    rules = [row["parameters"] for row in rows if row["type"] == "required_status_checks"]
    return [text_of(one["context"]) for rule in rules for one in rule["required_status_checks"]]


def pull_path(path: str, number: int) -> str:
    return f"{repository_path(path)}/pulls/{number}"


def issue_path(path: str, number: int) -> str:
    return f"{repository_path(path)}/issues/{number}"


def comment_path(path: str, comment_id: str) -> str:
    return f"{repository_path(path)}/issues/comments/{quote(comment_id, safe='')}"
