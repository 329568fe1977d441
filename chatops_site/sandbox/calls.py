"""What every endpoint of a forge's stand-in gets: who asks, about what, and which page of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar
from urllib.parse import urlencode

from chatops_site.sandbox.records import (
    READ,
    Account,
    Check,
    Comment,
    Missing,
    Pull,
    Repository,
    Token,
)
from chatops_site.sandbox.server import Request, Response, as_json
from chatops_site.sandbox.world import World

_TRUE = frozenset({"true", "1"})
Row = TypeVar("Row")


class Refused(Exception):
    """An answer that is not 2xx: its status and the forge's message."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def response(self, origin: str) -> Response:
        """origin: where the forge's own links begin, for those whose refusals have one."""
        return as_json({"message": self.message}, self.status)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """What is shown of a list; pages are counted from 1."""

    rows: Sequence[Row]
    number: int
    size: int
    total: int

    @property
    def count(self) -> int:
        return -(-self.total // self.size)

    @property
    def last(self) -> int:
        """An empty list has a last page as well."""
        return max(1, self.count)


@dataclass(frozen=True)
class Call(ABC):
    """One authenticated call: who asks, about what. How it is refused is the forge's own."""

    world: World
    request: Request
    account: Account
    token: Token
    found: dict[str, str]
    arguments: dict[str, str]

    # What the routes call a pull request's number.
    numbered: ClassVar[str] = "number"
    # What a page's length is called; its default and its most.
    paging: ClassVar[tuple[str, int, int]] = ("per_page", 20, 100)

    @abstractmethod
    def absent(self, what: str) -> Refused:
        """what: "Project", "Pull Request", "Branch", "Commit", "Ref" or "Comment"."""

    @abstractmethod
    def invalid(self, name: str, how: str) -> Refused:
        """how: "is missing", "is invalid" or "does not have a valid value"."""

    @abstractmethod
    def forbidden(self, right: int) -> Refused:
        """right: the one that the token has not."""

    @property
    def origin(self) -> str:
        return self.request.origin

    @property
    def login(self) -> str:
        return self.account.login

    @property
    def right(self) -> int:
        return self.token.right_on(self.repository.path)

    @property
    def repository(self) -> Repository:
        try:
            return self.world.repository(f"{self.found['owner']}/{self.found['repo']}")
        except Missing as error:
            raise self.absent("Project") from error

    @property
    def pull(self) -> Pull:
        number = self.found[self.numbered]
        pull = self.repository.pulls.get(int(number)) if is_number(number) else None
        if pull is None:
            raise self.absent("Pull Request")
        return pull

    @property
    def branch(self) -> str:
        if self.found["branch"] not in self.repository.branches:
            raise self.absent("Branch")
        return self.found["branch"]

    @property
    def comment(self) -> tuple[Pull, Comment]:
        """The one of that id, and where it stands."""
        for pull in self.repository.pulls.values():
            for comment in pull.comments:
                if str(comment.id) == self.found["id"]:
                    return pull, comment
        raise self.absent("Comment")

    def own_comment(self, right: int) -> tuple[Pull, Comment]:
        """right: what one needs for somebody else's."""
        pull, comment = self.comment
        if comment.login != self.login:
            self.needs(right)
        return pull, comment

    @property
    def seen(self) -> list[Repository]:
        """What the token sees, by its path."""
        rows = sorted(self.world.repositories.items())
        return [found for path, found in rows if self.token.right_on(path) >= READ]

    def text(self, name: str, default: str = "") -> str:
        return self.arguments.get(name, default)

    def required(self, name: str) -> str:
        if not self.arguments.get(name):
            raise self.invalid(name, "is missing")
        return self.arguments[name]

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """The first of the choices is the default, as in the forges' own references."""
        value = self.arguments.get(name) or choices[0]
        if value not in choices:
            raise self.invalid(name, "does not have a valid value")
        return value

    def number(self, name: str, default: int) -> int:
        value = self.arguments.get(name) or str(default)
        if not is_number(value):
            raise self.invalid(name, "is invalid")
        return int(value)

    def truth(self, name: str) -> bool:
        return self.arguments.get(name, "").lower() in _TRUE

    def needs(self, right: int) -> None:
        if self.right < right:
            raise self.forbidden(right)

    def sha(self, ref: str, what: str = "Commit") -> str:
        try:
            return self.repository.resolve(ref)
        except Missing as error:
            raise self.absent(what) from error

    def page(self, rows: Sequence[Row]) -> Page[Row]:
        """The page that was asked for."""
        name, default, most = self.paging
        size = max(1, min(self.number(name, default), most))
        number = max(1, self.number("page", 1))
        return Page(rows[(number - 1) * size : number * size], number, size, len(rows))

    def address(self, page: int) -> str:
        """Where another page of the same list is."""
        query = {name: values[-1] for name, values in self.request.query.items()}
        return f"{self.request.origin}{self.request.raw_path}?{urlencode(query | {'page': page})}"

    def before_merge(self) -> None:
        """What the control wants to happen inside this merge, before it looks."""
        place = (self.repository.path, self.pull.number)
        for step in self.world.before_merge.pop(place, ()):
            step()


def is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def set_status(call: Call, conclusion: str | None) -> Check:
    """As GitHub and Gitea take one for a commit; no conclusion while it is pending."""
    return call.world.set_check(
        call.repository,
        name=call.text("context") or "default",
        sha=call.sha(call.found["ref"]),
        conclusion=conclusion,
        status="completed" if conclusion else "in_progress",
        details_url=call.text("target_url"),
        kind="status",
        login=call.login,
        description=call.text("description"),
    )


def open_pull(call: Call, *, head: str, base: str) -> Pull:
    """By the caller; GitLab alone calls its text otherwise."""
    return call.world.open_pull(
        call.repository,
        title=call.required("title"),
        author=call.login,
        head_ref=head,
        base_ref=base,
        body=call.text("body"),
    )
