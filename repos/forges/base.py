"""The contract every forge client fulfils, and the one place that makes a client for a stored forge."""

from abc import ABC, abstractmethod
from typing import ClassVar

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
)


class ForgeClient(ABC):
    """One forge, one token. Every method is one operation in our words or raises a RemoteError.

    path is owner/name; sha is the full 40 (or 64) hex digits. Methods that change something are sent
    once: after OutcomeUnknown the caller reads the state before it sends again. marker is a text that
    is left at the forge where it has a place for one (a merge commit's message), so that the effect
    can be recognised as ours.
    """

    kind: ClassVar[str]

    def __init__(self, *, base_url: str, token: str, ca_file: str = "") -> None:
        self.base_url = base_url

    @abstractmethod
    def whoami(self) -> Identity: ...

    @abstractmethod
    def repository(self, path: str) -> RepositoryFacts: ...

    @abstractmethod
    def pulls(self, path: str, *, state: PullState = PullState.OPEN, limit: int = 100) -> Pulls:
        """Newest first, following pages until limit."""

    @abstractmethod
    def pull(self, path: str, number: int) -> PullRequest: ...

    @abstractmethod
    def checks(self, path: str, pull: PullRequest) -> tuple[Check, ...]:
        """The newest check of each name on the pull request's head."""

    @abstractmethod
    def approve(self, path: str, number: int, *, sha: str) -> None:
        """Approves that head. HeadMoved when the forge's head is another one before or after."""

    @abstractmethod
    def approved(self, path: str, number: int, *, sha: str) -> bool:
        """Whether this token's user has approved that head; asked before an approval is repeated."""

    @abstractmethod
    def pass_tests(self, path: str, number: int, *, sha: str, name: str, url: str) -> None:
        """Marks the tests of that head as passed (Gitee: its test review; others: a status of that name)."""

    @abstractmethod
    def tests_passed(self, path: str, number: int, *, sha: str, name: str) -> bool: ...

    @abstractmethod
    def merge(self, path: str, number: int, *, sha: str, method: str, marker: str) -> Merge:
        """Merges that head. Refused / HeadMoved: nothing happened; OtherHeadMerged: it did, with another head."""

    @abstractmethod
    def comment(self, path: str, number: int, body: str) -> Comment: ...

    @abstractmethod
    def comments(self, path: str, number: int, *, limit: int = 100) -> tuple[Comment, ...]:
        """Newest first."""

    @abstractmethod
    def close(self, path: str, number: int) -> None: ...

    @abstractmethod
    def reopen(self, path: str, number: int) -> None: ...

    @abstractmethod
    def commit(self, path: str, ref: str) -> Commit:
        """The commit a branch, tag or sha stands for."""

    @abstractmethod
    def compare(self, path: str, base: str, head: str, *, limit: int = 100) -> Comparison: ...
