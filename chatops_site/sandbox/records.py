"""What the sandbox's forges are made of: accounts, commits, pull requests with all that hangs on them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

ADMIN, WRITE, READ, NONE = 3, 2, 1, 0
RIGHTS = {"admin": ADMIN, "write": WRITE, "read": READ, "none": NONE}


class Missing(Exception):
    """No such repository, pull request, branch or commit; the text says which."""


@dataclass(frozen=True)
class Account:
    id: int
    login: str
    name: str


@dataclass
class Token:
    """A secret of an account with its right on each repository; "*" stands for all of them."""

    secret: str = field(repr=False)
    login: str
    rights: dict[str, str]
    # "valid", "expired" or "revoked".
    state: str = "valid"
    # Only this forge knows it.
    forge: str = "gitee"

    def right_on(self, path: str) -> int:
        return RIGHTS[self.rights.get(path, self.rights.get("*", "none"))]


@dataclass(frozen=True)
class Commit:
    sha: str
    parents: tuple[str, ...]
    message: str
    author: str
    at: float


@dataclass
class Check:
    """A check of a commit. kind: "run" (GitHub's check run) or "status"; only GitHub tells them apart."""

    id: int
    name: str
    head_sha: str
    status: str
    conclusion: str | None
    details_url: str
    started: float
    completed: float | None
    pull: int | None = None
    output: dict[str, Any] = field(default_factory=dict)
    kind: str = "run"
    login: str = ""
    description: str = ""


@dataclass
class Comment:
    id: int
    login: str
    body: str
    created: float
    updated: float
    commit_id: str | None = None
    path: str | None = None
    position: int | None = None


@dataclass
class Review:
    """A verdict on a pull request's head; state: "approved", "changes", "commented", "pending", "dismissed"."""

    id: int
    login: str
    state: str
    sha: str
    body: str
    at: float


@dataclass
class Discussion:
    """A thread on a pull request that may have to be resolved before a merge."""

    id: int
    login: str
    body: str
    resolved: bool = False


@dataclass
class Protection:
    """What a forge asks for before it merges into the default branch."""

    approvals: int = 0
    checks: tuple[str, ...] = ()
    discussions: bool = False


@dataclass(frozen=True)
class Operation:
    """One line of a pull request's operation log."""

    id: int
    login: str
    action: str
    content: str
    at: float


@dataclass
class Pull:
    id: int
    number: int
    title: str
    body: str
    author: str
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    created: float
    updated: float
    state: str = "open"
    draft: bool = False
    mergeable: bool = True
    assignees: dict[str, bool] = field(default_factory=dict)
    testers: dict[str, bool] = field(default_factory=dict)
    assignees_number: int = 0
    testers_number: int = 0
    labels: list[str] = field(default_factory=list)
    closed: float | None = None
    merged: float | None = None
    merged_by: str = ""
    merge_sha: str = ""
    comments: list[Comment] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    # Reviews and discussions of all forges but Gitee, which has assignees and testers.
    reviews: list[Review] = field(default_factory=list)
    discussions: list[Discussion] = field(default_factory=list)
    # So many looks find its mergeability still being worked out.
    unknown_looks: int = 0

    def approved_by(self) -> list[str]:
        """Whose last verdict is an approval of the head, in the order they gave it."""
        last = {
            one.login: one
            for one in self.reviews
            if one.state in ("approved", "changes", "dismissed")
        }
        return [
            login
            for login, one in last.items()
            if one.state == "approved" and one.sha == self.head_sha
        ]

    def unresolved(self) -> int:
        return sum(not one.resolved for one in self.discussions)

    def reviewed(self) -> bool:
        return sum(self.assignees.values()) >= self.assignees_number

    def tested(self) -> bool:
        return sum(self.testers.values()) >= self.testers_number


@dataclass
class Repository:
    id: int
    path: str
    default_branch: str
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    merge_methods: set[str] = field(default_factory=lambda: {"merge", "squash", "rebase"})
    resets_on_push: bool = True
    next_number: int = 1
    archived: bool = False
    protection: Protection = field(default_factory=Protection)

    @property
    def owner(self) -> str:
        return self.path.split("/")[0]

    @property
    def name(self) -> str:
        return self.path.split("/")[1]

    def resolve(self, ref: str) -> str:
        """The full sha of a branch, a tag, a sha or a unique beginning of one (7 digits up)."""
        named = self.branches.get(ref) or self.tags.get(ref)
        if named:
            return named
        if ref in self.commits:
            return ref
        found = [sha for sha in self.commits if len(ref) >= 7 and sha.startswith(ref)]
        if len(found) != 1:
            raise Missing(f"{ref} is no branch and no commit of {self.path}")
        return found[0]

    def history(self, sha: str) -> Iterator[Commit]:
        """The commit and all its ancestors, newest first, each once."""
        seen, waiting = {sha}, [self.commits[sha]]
        while waiting:
            waiting.sort(key=lambda commit: commit.at)
            commit = waiting.pop()
            yield commit
            fresh = [parent for parent in commit.parents if parent not in seen]
            seen.update(fresh)
            waiting += [self.commits[parent] for parent in fresh]

    def between(self, base: str, head: str) -> list[Commit]:
        """The commits that `head` has and `base` has not, oldest first."""
        known = {commit.sha for commit in self.history(base)}
        return [commit for commit in self.history(head) if commit.sha not in known][::-1]

    def merge_base(self, base: str, head: str) -> Commit:
        known = {commit.sha for commit in self.history(base)}
        shared = (commit for commit in self.history(head) if commit.sha in known)
        return next(shared, self.commits[base])


@dataclass(frozen=True)
class Happening:
    """Something that a forge tells by webhook."""

    # "opened", "pushed", "closed", "reopened", "merged", "commented", "comment_edited", "reviewed"
    kind: str
    repository: Repository
    pull: Pull
    by: str
    comment: Comment | None = None
    review: Review | None = None
    old_sha: str = ""
