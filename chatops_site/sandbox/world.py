"""The one git-like state behind the sandbox: repositories, commits, pull requests, rights."""

import hashlib
import itertools
import threading
import time
from collections.abc import Callable

from chatops_site.sandbox.records import (
    Account,
    Check,
    Comment,
    Commit,
    Happening,
    Missing,
    Operation,
    Pull,
    Repository,
    Review,
    Token,
)


class World:
    """All state, under one lock: take `with world.lock` around everything that must be one step."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.listeners: list[Callable[[Happening], None]] = []
        self.clear()

    def clear(self) -> None:
        """Empties it in place, so that everybody who holds it sees the same new world."""
        with self.lock:
            self.name = ""
            self.accounts: dict[str, Account] = {}
            self.tokens: dict[str, Token] = {}
            self.repositories: dict[str, Repository] = {}
            self.before_merge: dict[tuple[str, int], list[Callable[[], None]]] = {}
            self.refusal_status = 400
            # Old path → new path of what was renamed.
            self.renamed: dict[str, str] = {}
            self._ids = itertools.count(4_730_001)
            self._last = 0.0

    def next_id(self) -> int:
        return next(self._ids)

    def now(self) -> float:
        """Wall time that never repeats, so that commits have one order."""
        self._last = max(time.time(), self._last + 1e-6)
        return self._last

    def add_account(self, login: str, name: str) -> Account:
        account = Account(id=self.next_id(), login=login, name=name)
        self.accounts[login] = account
        return account

    def add_token(
        self, secret: str, login: str, rights: dict[str, str], *, forge: str = "gitee"
    ) -> Token:
        token = Token(secret=secret, login=login, rights=rights, forge=forge)
        self.tokens[secret] = token
        return token

    def token(self, secret: str, forge: str) -> Token | None:
        """The token, whatever its state, if that forge knows it."""
        found = self.tokens.get(secret)
        return found if found is not None and found.forge == forge else None

    def tell(self, happening: Happening) -> None:
        for listener in self.listeners:
            listener(happening)

    def repository(self, path: str) -> Repository:
        found = self.repositories.get(path)
        if found is None:
            raise Missing(f"There is no repository {path}")
        return found

    def pull(self, path: str, number: int) -> Pull:
        found = self.repository(path).pulls.get(number)
        if found is None:
            raise Missing(f"There is no pull request {number} in {path}")
        return found

    def add_repository(self, path: str, *, default_branch: str, author: str) -> Repository:
        repository = Repository(self.next_id(), path, default_branch)
        self.repositories[path] = repository
        first = self.commit(repository, parents=(), message="Initial commit", author=author)
        repository.branches[default_branch] = first.sha
        return repository

    def commit(
        self,
        repository: Repository,
        *,
        parents: tuple[str, ...],
        message: str,
        author: str,
        sha: str = "",
    ) -> Commit:
        """Adds a commit; its sha follows from the repository, its parents and its message."""
        if not sha:
            text = "\0".join((repository.path, *parents, message, author))
            sha = _free_sha(text, repository.commits)
        commit = Commit(sha, parents, message, author, self.now())
        repository.commits[sha] = commit
        return commit

    def extend(
        self, repository: Repository, branch: str, *, message: str, author: str, sha: str = ""
    ) -> Commit:
        """One more commit on a branch; open pull requests from that branch move along."""
        tip = repository.branches.get(branch) or repository.branches[repository.default_branch]
        commit = self.commit(repository, parents=(tip,), message=message, author=author, sha=sha)
        repository.branches[branch] = commit.sha
        for pull in repository.pulls.values():
            if pull.state == "open" and pull.head_ref == branch:
                self._move_head(repository, pull, commit)
        return commit

    def _move_head(self, repository: Repository, pull: Pull, commit: Commit) -> None:
        old, pull.head_sha = pull.head_sha, commit.sha
        if repository.resets_on_push:
            pull.assignees = dict.fromkeys(pull.assignees, False)
            pull.testers = dict.fromkeys(pull.testers, False)
        self.log(pull, commit.author, "push", f"推送了 1 个提交 {commit.sha[:7]}")
        self.tell(Happening("pushed", repository, pull, commit.author, old_sha=old))

    def open_pull(
        self,
        repository: Repository,
        *,
        title: str,
        author: str,
        head_ref: str,
        base_ref: str = "",
        body: str = "",
        number: int = 0,
    ) -> Pull:
        base_ref = base_ref or repository.default_branch
        number = number or repository.next_number
        repository.next_number = max(repository.next_number, number + 1)
        now = self.now()
        pull = Pull(
            id=self.next_id(),
            number=number,
            title=title,
            body=body,
            author=author,
            head_ref=head_ref,
            head_sha=repository.branches[head_ref],
            base_ref=base_ref,
            base_sha=repository.branches[base_ref],
            created=now,
            updated=now,
        )
        repository.pulls[number] = pull
        self.log(pull, author, "create", "创建了 Pull Request")
        self.tell(Happening("opened", repository, pull, author))
        return pull

    def log(self, pull: Pull, login: str, action: str, content: str) -> None:
        now = self.now()
        pull.operations.append(Operation(self.next_id(), login, action, content, now))
        pull.updated = now

    def add_comment(
        self,
        pull: Pull,
        *,
        login: str,
        body: str,
        commit_id: str | None = None,
        path: str | None = None,
        position: int | None = None,
    ) -> Comment:
        now = self.now()
        comment = Comment(self.next_id(), login, body, now, now, commit_id, path, position)
        pull.comments.append(comment)
        pull.updated = now
        self.tell(Happening("commented", self._home(pull), pull, login, comment=comment))
        return comment

    def edit_comment(self, pull: Pull, comment: Comment, body: str, *, by: str) -> None:
        comment.body, comment.updated = body, self.now()
        self.tell(Happening("comment_edited", self._home(pull), pull, by, comment=comment))

    def _home(self, pull: Pull) -> Repository:
        return next(r for r in self.repositories.values() if r.pulls.get(pull.number) is pull)

    def add_review(self, pull: Pull, *, login: str, state: str, body: str = "") -> Review:
        """A verdict on the head as it is now."""
        review = Review(self.next_id(), login, state, pull.head_sha, body, self.now())
        pull.reviews.append(review)
        self.log(pull, login, "review", state)
        self.tell(Happening("reviewed", self._home(pull), pull, login, review=review))
        return review

    def set_check(
        self,
        repository: Repository,
        *,
        name: str,
        sha: str,
        conclusion: str | None,
        status: str = "completed",
        details_url: str = "",
        pull: int | None = None,
        kind: str = "run",
        login: str = "",
        description: str = "",
    ) -> Check:
        """A check run on a commit; no conclusion while it is queued or in progress."""
        now = self.now()
        done = now if status == "completed" else None
        number = self.next_id()
        check = Check(number, name, sha, status, conclusion, details_url, now, done, pull)
        check.kind, check.login, check.description = kind, login, description
        repository.checks.append(check)
        return check

    def close(self, pull: Pull, *, by: str) -> None:
        pull.state, pull.closed = "closed", self.now()
        self.log(pull, by, "close", "关闭了 Pull Request")
        self.tell(Happening("closed", self._home(pull), pull, by))

    def reopen(self, repository: Repository, pull: Pull, *, by: str) -> None:
        pull.state, pull.closed = "open", None
        pull.head_sha = repository.branches.get(pull.head_ref, pull.head_sha)
        self.log(pull, by, "reopen", "重新打开了 Pull Request")
        self.tell(Happening("reopened", repository, pull, by))

    def merge(
        self,
        repository: Repository,
        pull: Pull,
        *,
        by: str,
        method: str = "merge",
        title: str = "",
        description: str = "",
        prune: bool = False,
    ) -> Commit:
        """Lands it: merge has two parents, squash one, rebase copies each commit onto the base."""
        subject = title or f"!{pull.number} {pull.title}"
        text = (
            description or f"Merge pull request !{pull.number} from {pull.author}/{pull.head_ref}"
        )
        land = _LANDINGS[method]
        commit = land(self, repository, pull, message=f"{subject}\n\n{text}", by=by)
        pull.base_sha = repository.branches[pull.base_ref]
        repository.branches[pull.base_ref] = commit.sha
        pull.state, pull.merged = "merged", commit.at
        pull.merged_by, pull.merge_sha = by, commit.sha
        if prune and pull.head_ref != repository.default_branch:
            repository.branches.pop(pull.head_ref, None)
        self.log(pull, by, "merge", f"合并了 Pull Request ({method})")
        self.tell(Happening("merged", repository, pull, by))
        return commit


def _free_sha(text: str, taken: dict[str, Commit]) -> str:
    for attempt in itertools.count():
        sha = hashlib.sha1(f"{attempt}\0{text}".encode(), usedforsecurity=False).hexdigest()
        if sha not in taken:
            return sha
    raise AssertionError


def _merge(world: World, repository: Repository, pull: Pull, *, message: str, by: str) -> Commit:
    parents = (repository.branches[pull.base_ref], pull.head_sha)
    return world.commit(repository, parents=parents, message=message, author=by)


def _squash(world: World, repository: Repository, pull: Pull, *, message: str, by: str) -> Commit:
    parents = (repository.branches[pull.base_ref],)
    return world.commit(repository, parents=parents, message=message, author=by)


def _rebase(world: World, repository: Repository, pull: Pull, *, message: str, by: str) -> Commit:
    """The copies keep their own messages, so that a given title is lost, as it is in git."""
    tip = repository.commits[repository.branches[pull.base_ref]]
    for commit in repository.between(tip.sha, pull.head_sha):
        tip = world.commit(
            repository, parents=(tip.sha,), message=commit.message, author=commit.author
        )
    return tip


_LANDINGS = {"merge": _merge, "squash": _squash, "rebase": _rebase}
