"""What forges tell, as frozen results in our words; no field of a forge's JSON gets past its client."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class PullState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


class CheckState(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True)
class Identity:
    """Who a token is at the forge."""

    login: str
    name: str
    # Seconds by which the forge's clock is ahead of ours, from its Date header; None when it sent none.
    clock_skew: float | None = None
    # What the token may do, as far as the forge tells.
    rights: tuple[str, ...] = ()


@dataclass(frozen=True)
class Review:
    """One person asked to review (or to test) a pull request, and their last word on its current head."""

    login: str
    accepted: bool
    # They asked for changes, and have not taken that back.
    objects: bool = False


@dataclass(frozen=True)
class Check:
    name: str
    state: CheckState
    url: str = ""


@dataclass(frozen=True)
class PullRequest:
    number: int
    title: str
    author: str
    state: PullState
    draft: bool
    # None while the forge is still computing it.
    mergeable: bool | None
    head_sha: str
    head_ref: str
    base_sha: str
    base_ref: str
    url: str
    updated_at: datetime | None
    # None where the forge tells it only when asked on its own: see ForgeClient.complete.
    reviews: tuple[Review, ...] | None = None
    checks: tuple[Check, ...] | None = None
    # Names of the checks that the forge itself requires on the base branch.
    required_checks: tuple[str, ...] | None = None
    # Discussions that the forge wants resolved before it merges, and that are not.
    unresolved: int = 0
    # What else the forge says keeps it from being merged, each a phrase: "a pipeline must succeed first".
    blocks: tuple[str, ...] = ()
    # Gitee's test review; other forges have statuses instead.
    tests: tuple[Review, ...] = ()
    # How many of reviews / tests the forge itself requires before it merges.
    reviews_required: int = 0
    tests_required: int = 0
    merge_sha: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Commit:
    sha: str
    message: str
    author: str
    url: str = ""
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Merge:
    """A merge that happened: the commit that landed on the base branch."""

    sha: str
    message: str = ""


@dataclass(frozen=True)
class Comment:
    """author: the login. edited: its text is not the one it was written with, as far as the forge tells."""

    id: str
    author: str
    body: str
    url: str
    created_at: datetime | None = None
    edited: bool = False


@dataclass(frozen=True)
class Comparison:
    """What head has that base has not."""

    ahead: int
    commits: tuple[Commit, ...] = field(default_factory=tuple)
    # True when the forge or our cap cut the list.
    cut: bool = False


@dataclass(frozen=True)
class RepositoryFacts:
    path: str
    default_branch: str
    url: str
    archived: bool = False


@dataclass(frozen=True)
class RepositoryPage:
    """One page of the repositories that a token sees; total where the forge tells it."""

    items: tuple[RepositoryFacts, ...]
    total: int | None = None
    more: bool = False


@dataclass(frozen=True)
class Pulls:
    """A list of pull requests; more is True when the cap or the forge cut it."""

    items: tuple[PullRequest, ...]
    total: int | None = None
    more: bool = False
