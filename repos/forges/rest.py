"""What the clients of all forges share: one REST API, one token, and how a change is sent and looked at again."""

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

from django.utils.translation import gettext as _

from chatops_site.kit.http import Answer, Client, HttpError
from repos.errors import (
    BadAnswer,
    HeadMoved,
    OutcomeUnknown,
    Refused,
    RemoteError,
    change_failed,
    described,
    read_failed,
)
from repos.forges import answers
from repos.forges.answers import head_moved
from repos.forges.base import ForgeClient
from repos.forges.resources import Comment, PullRequest, PullState

T = TypeVar("T")
# How long a change that was taken may need to show.
SETTLE_SECONDS: Final = (0.0, 0.2, 0.5)
Refuse = Callable[[str, str], str]


@dataclass(frozen=True)
class Rows:
    """Rows of a list as they came; total where the forge tells it."""

    items: list[Any]
    total: int | None
    more: bool


class RestForge(ForgeClient):
    """A forge with a REST API. The token goes in a header: a query would be written into access logs."""

    # The forge's name as people read it.
    system: ClassVar[str]
    # The statuses after which a change counts as taken; others are refusals or unclear.
    taken: ClassVar[tuple[int, ...]] = (200, 201, 202, 204)
    page_size: ClassVar[int] = 100
    most_pages: ClassVar[int] = 50
    # Seconds between looks at a pull request whose mergeability is still being worked out.
    looks: ClassVar[tuple[float, ...]] = (0.2, 0.3, 0.5, 1.0)

    def __init__(
        self, *, base_url: str, token: str, ca_file: str = "", deadline: float = 20.0
    ) -> None:
        super().__init__(base_url=base_url, token=token, ca_file=ca_file)
        self._http = Client(
            base_url,
            headers={"Accept": "application/json", **self._headers(token)},
            ca_file=ca_file,
            deadline=deadline,
            redirects_are_answers=True,
        )

    @abstractmethod
    def _headers(self, token: str) -> dict[str, str]:
        """How this forge is told the token."""

    @abstractmethod
    def _paging(self, page: int, size: int) -> dict[str, str]:
        """The parameters that ask for a page, from 1."""

    @abstractmethod
    def _is_last(self, answer: Answer, *, page: int, count: int, size: int) -> bool:
        """Whether that page, of count rows, is the last one."""

    def _total(self, answer: Answer) -> int | None:
        """How many there are on all pages, where the forge tells."""
        return None

    @abstractmethod
    def _send_state(self, path: str, number: int, state: PullState) -> Answer:
        """Asks to close or to reopen."""

    def close(self, path: str, number: int) -> None:
        self._set_state(path, number, PullState.CLOSED)

    def reopen(self, path: str, number: int) -> None:
        self._set_state(path, number, PullState.OPEN)

    def _set_state(self, path: str, number: int, state: PullState) -> None:
        self._settled(path, number, self._send_state(path, number, state), state)

    def _refusal(
        self, method: str, path: str, answer: Answer, *, what: str, refused: Refuse
    ) -> RemoteError:
        """A 4xx: nothing was changed. refused words a no from what was asked and the forge's reason."""
        return answers.refusal(self.system, method, path, answer, what=what, refused=refused)

    def _not_done(self, what: str, reason: str) -> str:
        return answers.not_done(self.system, what, reason)

    def _json(self, answer: Answer) -> Any:
        return answers.json_of(self.system, answer)

    def _shaped(self, read: Callable[[], T]) -> T:
        return answers.shaped(self.system, read)

    def _get(self, path: str, *, what: str, params: Mapping[str, str] | None = None) -> Answer:
        """A 200, or what its absence means."""
        try:
            answer = self._http.get(path, params=params)
        except HttpError as error:
            raise read_failed(self.system, error, call=f"GET {path}") from error
        if answer.status == 200:
            return answer
        raise answers.read_error(
            self.system, path, answer, what=what, base_url=self.base_url
        ) or self._refusal("GET", path, answer, what=what, refused=self._not_done)

    def _send(
        self,
        method: str,
        path: str,
        *,
        what: str,
        body: Mapping[str, Any],
        refused: Refuse | None = None,
    ) -> Answer:
        """Sent once; an answer that is taken, or Refused and its kin, or OutcomeUnknown."""
        try:
            answer = self._http.send(method, path, json=body)
        except HttpError as error:
            raise change_failed(self.system, error, call=f"{method} {path}") from error
        if answer.status in self.taken:
            return answer
        if answers.has_moved(answer, self.base_url):
            detail = described(method, path, answer)
            raise Refused(answers.moved_away(self.system, what), detail=detail)
        if answer.status >= 500 or answer.status < 400:
            raise answers.unclear(self.system, method, path, answer)
        raise self._refusal(method, path, answer, what=what, refused=refused or self._not_done)

    def _rows(self, answer: Answer, key: str = "") -> list[Any]:
        body = self._json(answer)
        return self._shaped(lambda: answers.checked(body[key] if key else body, list))

    def _list(
        self, path: str, *, what: str, params: Mapping[str, str], limit: int, key: str = ""
    ) -> Rows:
        """Page after page until there are limit rows; key: where the rows are in the body."""
        size, items, total, last = min(self.page_size, limit), [], None, False
        for page in range(1, self.most_pages + 1):
            answer = self._get(path, what=what, params={**params, **self._paging(page, size)})
            rows = self._rows(answer, key)
            items += rows
            total = self._total(answer)
            last = not rows or self._is_last(answer, page=page, count=len(rows), size=size)
            if last or len(items) >= limit:
                break
        return Rows(items[:limit], total, more=len(items) > limit or not last)

    def _expected(self, path: str, number: int, *, sha: str) -> PullRequest:
        """The pull request, open and at that head; Refused or HeadMoved else."""
        pull = self.pull(path, number)
        names = {"pull": f"{path}#{number}"}
        if pull.state is PullState.MERGED:
            raise Refused(_("%(pull)s is merged already.") % names)
        if pull.state is PullState.CLOSED:
            raise Refused(_("%(pull)s is closed. Reopen it first.") % names)
        if pull.head_sha != sha:
            raise _moved_on(f"{path}#{number}", expected=sha, found=pull.head_sha)
        return pull

    def _ready(self, path: str, number: int, *, sha: str) -> PullRequest:
        """Looks again while the forge works out whether it merges; what it never says, it decides itself."""
        pull = self._expected(path, number, sha=sha)
        for seconds in self.looks:
            if not self._is_undecided(pull):
                break
            time.sleep(seconds)
            pull = self._expected(path, number, sha=sha)
        answers.check_mergeable(pull, f"{path}#{number}")
        return pull

    def _is_undecided(self, pull: PullRequest) -> bool:
        return pull.mergeable is None

    def _moved(self, path: str, number: int, sha: str) -> HeadMoved | None:
        """Whether a refusal is one because the head is another by now; None, too, where that cannot be read."""
        try:
            found = self.pull(path, number).head_sha
        except RemoteError:
            return None
        return None if found == sha else _moved_on(f"{path}#{number}", expected=sha, found=found)

    def _has_mine(self, path: str, pull: PullRequest) -> bool:
        """Whether this token's user has a standing approval of the head."""
        login = self.own_login().casefold()
        found = self.reviews(path, pull)
        return any(one.accepted and one.login.casefold() == login for one in found)

    def _written(self, address: str, answer: Answer, read: Callable[[Any], Comment]) -> Comment:
        """The comment that an answer to a POST shows; without it nobody knows whether it is there."""
        try:
            return self._shaped(lambda: read(answer.json()))
        except (HttpError, BadAnswer) as broken:
            raise answers.unclear(self.system, "POST", address, answer) from broken

    def _read_back(self, path: str, number: int) -> PullRequest:
        """After a change: what cannot be read leaves its outcome unknown."""
        try:
            return self.pull(path, number)
        except RemoteError as failed:
            raise OutcomeUnknown(
                _(
                    "%(system)s took the request for %(pull)s, but its state could not be read "
                    "afterwards: %(why)s"
                )
                % {"system": self.system, "pull": f"{path}#{number}", "why": failed.sentence},
                detail=failed.detail,
            ) from failed

    def _settled(self, path: str, number: int, answer: Answer, state: PullState) -> PullRequest:
        """Looks until it is in the state that was asked for; what never comes was not carried out."""
        for seconds in SETTLE_SECONDS:
            time.sleep(seconds)
            pull = self._read_back(path, number)
            if pull.state is state:
                return pull
            if not answers.is_clean_yes(answer):
                break
        raise answers.not_carried_out(self.system, state.upper(), f"{path}#{number}", answer)


def _moved_on(what: str, *, expected: str, found: str) -> HeadMoved:
    sentence = _(
        "%(pull)s has moved from %(expected)s to %(found)s. Nothing was changed; look at it again."
    )
    return head_moved(sentence, what, expected=expected, found=found)


def comment_name(path: str, number: int, comment_id: str) -> str:
    return _("comment %(id)s on %(pull)s") % {"id": comment_id, "pull": f"{path}#{number}"}
