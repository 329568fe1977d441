"""Whether a pull request of the Gitea stand-in can be merged, and in whose words not.

https://docs.gitea.com/usage/access-control/protected-branches
"""

import re
from collections.abc import Iterator

from chatops_site.sandbox.records import WRITE, Check, Pull, Repository
from chatops_site.sandbox.world import World

# A draft is a title that begins so, in any case: [repository.pull-request] WORK_IN_PROGRESS_PREFIXES.
_WIP = re.compile(r"(?:wip:|\[wip\])", re.IGNORECASE)


def is_wip(title: str) -> bool:
    return _WIP.match(title) is not None


def title_of(pull: Pull) -> str:
    """What other forges keep as a mark, Gitea writes into the title."""
    return f"WIP: {pull.title}" if pull.draft and not is_wip(pull.title) else pull.title


def is_draft(pull: Pull) -> bool:
    return is_wip(title_of(pull))


def is_mergeable(pull: Pull) -> bool:
    return pull.mergeable and not is_draft(pull)


def look(pull: Pull) -> bool:
    """mergeable: no as well while conflicts are still being looked for."""
    if pull.state == "open" and pull.unknown_looks > 0:
        pull.unknown_looks -= 1
        return False
    return is_mergeable(pull)


def is_writer(world: World, found: Repository, login: str) -> bool:
    tokens = (row for row in world.tokens.values() if (row.login, row.forge) == (login, "gitea"))
    return any(token.right_on(found.path) >= WRITE for token in tokens)


def latest(rows: list[Check]) -> list[Check]:
    """The newest of each name."""
    return list({row.name: row for row in rows}.values())


def unmet(world: World, found: Repository, pull: Pull) -> Iterator[str]:
    """What the protected default branch asks for and the pull request has not."""
    rule = found.protection
    if pull.base_ref != found.default_branch:
        return
    rows = [row for row in found.checks if row.head_sha == pull.head_sha]
    green = {row.name for row in latest(rows) if row.conclusion == "success"}
    if not set(rule.checks) <= green:
        yield "Not all required status checks successful"
    official = [login for login in pull.approved_by() if is_writer(world, found, login)]
    if len(official) < rule.approvals:
        yield "Does not have enough approvals"
