"""Whether a pull request of the GitHub stand-in can be merged, and in whose words not.

https://docs.github.com/en/rest/pulls/pulls#merge-a-pull-request
"""

from collections.abc import Iterator

from chatops_site.sandbox.records import Check, Pull, Repository

_GREEN = ("success", "neutral", "skipped")
NOT_MERGEABLE = "Pull Request is not mergeable"


def latest_checks(found: Repository, sha: str) -> list[Check]:
    """The newest of each name and kind."""
    rows = [row for row in found.checks if row.head_sha == sha]
    return list({(row.kind, row.name): row for row in rows}.values())


def unmet(found: Repository, pull: Pull) -> Iterator[str]:
    """What protection of the default branch asks for and the pull request has not."""
    rule = found.protection
    if pull.base_ref != found.default_branch:
        return
    if len(pull.approved_by()) < rule.approvals:
        need = rule.approvals
        reviews = "review is" if need == 1 else "reviews are"
        yield f"At least {need} approving {reviews} required by reviewers with write access."
    green = {row.name for row in latest_checks(found, pull.head_sha) if row.conclusion in _GREEN}
    yield from (
        f'Required status check "{name}" is expected.' for name in rule.checks if name not in green
    )
    if rule.discussions and pull.unresolved():
        yield "A conversation must be resolved before this pull request can be merged."


def look(found: Repository, pull: Pull) -> tuple[bool | None, str]:
    """mergeable and mergeable_state; the first looks may find them still being worked out."""
    if pull.state != "open":
        return None, "unknown"
    if pull.unknown_looks > 0:
        pull.unknown_looks -= 1
        return None, "unknown"
    checks = latest_checks(found, pull.head_sha)
    states = {
        "dirty": not pull.mergeable,
        "draft": pull.draft,
        "blocked": any(unmet(found, pull)),
        "unstable": not all(row.conclusion in _GREEN for row in checks),
    }
    return pull.mergeable, next((state for state, holds in states.items() if holds), "clean")


def refusals(found: Repository, pull: Pull, method: str) -> Iterator[str]:
    """Every reason of a 405."""
    if pull.state != "open":
        yield NOT_MERGEABLE
    if pull.draft:
        yield "Pull Request is still a draft"
    if not pull.mergeable:
        yield NOT_MERGEABLE
    if method not in found.merge_methods:
        noun = {"merge": "Merge commits"}.get(method, f"{method.capitalize()} merges")
        yield f"{noun} are not allowed on this repository."
    yield from unmet(found, pull)
