"""The contract every forge client fulfils."""

from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from repos.forges.events import ForgeEvent, Hook
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
    RepositoryPage,
    Review,
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
        self._login = ""

    def own_login(self) -> str:
        """Whose token it is; asked once."""
        self._login = self._login or self.whoami().login
        return self._login

    @abstractmethod
    def whoami(self) -> Identity: ...

    @abstractmethod
    def repository(self, path: str) -> RepositoryFacts: ...

    @abstractmethod
    def repositories(self, *, search: str = "", page: int = 1) -> RepositoryPage:
        """Those the token sees, up to 100 a page; search: a part of the path."""

    @abstractmethod
    def pulls(self, path: str, *, state: PullState = PullState.OPEN, limit: int = 100) -> Pulls:
        """Newest first, following pages until limit; with whatever the list tells of each."""

    @abstractmethod
    def pull(self, path: str, number: int) -> PullRequest: ...

    def complete(self, path: str, pull: PullRequest, *, checks: bool, reviews: bool) -> PullRequest:
        """The pull request with what is wanted of these and not told yet, one call for each."""
        if checks and pull.checks is None:
            pull = replace(pull, checks=self.checks(path, pull))
        if reviews and pull.reviews is None:
            pull = replace(pull, reviews=self.reviews(path, pull))
        return pull

    @abstractmethod
    def checks(self, path: str, pull: PullRequest) -> tuple[Check, ...]:
        """The newest check of each name on the pull request's head."""

    @abstractmethod
    def required_checks(self, path: str, branch: str) -> tuple[str, ...] | None:
        """Names that the forge requires before it merges into branch; None where it cannot tell."""

    @abstractmethod
    def reviews(self, path: str, pull: PullRequest) -> tuple[Review, ...]:
        """Each reviewer once, with their last word; accepted only if it was given on this very head."""

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
    def read_comment(self, path: str, number: int, comment_id: str) -> Comment:
        """NotFound, too, when the comment is not on that pull request."""

    @abstractmethod
    def edit_comment(self, path: str, number: int, comment_id: str, body: str) -> None: ...

    @abstractmethod
    def close(self, path: str, number: int) -> None: ...

    @abstractmethod
    def reopen(self, path: str, number: int) -> None: ...

    @abstractmethod
    def commit(self, path: str, ref: str) -> Commit:
        """The commit a branch, tag or sha stands for."""

    @abstractmethod
    def compare(self, path: str, base: str, head: str, *, limit: int = 100) -> Comparison: ...

    @classmethod
    @abstractmethod
    def receive(cls, hook: Hook, *, secret: str, now: datetime) -> ForgeEvent:
        """Verifies a webhook over its raw bytes in constant time, then reads it; or HookRejected."""
