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
    """One person asked to review (or to test) a pull request, and whether they passed it."""

    login: str
    accepted: bool


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
    reviews: tuple[Review, ...] = ()
    tests: tuple[Review, ...] = ()
    # How many of reviews / tests the forge itself requires before it merges.
    reviews_required: int = 0
    tests_required: int = 0
    merge_sha: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    name: str
    state: CheckState
    url: str = ""


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
    id: str
    author: str
    body: str
    url: str


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
class Pulls:
    """A list of pull requests; more is True when the cap or the forge cut it."""

    items: tuple[PullRequest, ...]
    total: int | None = None
    more: bool = False
