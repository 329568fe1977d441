"""The demo world: two repositories, six pull requests, five people; and a bare one without them."""

from dataclasses import dataclass, field
from typing import Any

from chatops_site.sandbox.records import Pull, Repository
from chatops_site.sandbox.world import World

BOT = "chatops-bot"
FORGES = ("gitee", "github", "gitlab", "gitea")
SHOP, WEB = "acme/shop", "acme/web"
ACCOUNTS = {
    BOT: "ChatOps",
    "zhangsan": "张三",
    "lisi": "李四",
    "wangfang": "王芳",
    "zhaoliu": "赵六",
    "outsider": "外人",
}
_RIGHTS = {
    BOT: {"*": "admin"},
    "zhangsan": {"*": "write"},
    "lisi": {"*": "write"},
    "wangfang": {"*": "write"},
    "zhaoliu": {"*": "read"},
    "outsider": {},
}
STATES = ("demo", "bare")


@dataclass(frozen=True)
class _Sketch:
    number: int
    title: str
    author: str
    branch: str
    body: str = ""
    commits: tuple[str, ...] = ()
    checks: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    # Who has approved it at the forges that have no assignees.
    approved_by: tuple[str, ...] = ()


_GREEN = {"unit": "success", "lint": "success"}
_READY: dict[str, Any] = {
    "assignees": {BOT: True, "zhangsan": False},
    "testers": {BOT: True},
    "assignees_number": 1,
    "testers_number": 1,
}
_WAITING: dict[str, Any] = {
    "assignees": {BOT: False},
    "testers": {BOT: False},
    "assignees_number": 1,
    "testers_number": 1,
}
_PULLS = {
    SHOP: (
        _Sketch(
            233,
            "修复支付回调",
            "lisi",
            "fix/payment-callback",
            body="支付网关重复回调时订单被标记两次。\n\n现在按回调流水号去重。",
            commits=("支付回调按流水号去重", "补充回调测试"),
            checks=_GREEN,
            more=_WAITING,
        ),
        _Sketch(
            234,
            "Add invoice export",
            "zhangsan",
            "feature/invoice-export",
            body="Exports invoices of a month as CSV.",
            commits=("Add invoice export",),
            checks=_GREEN,
            more=_WAITING | {"testers": {BOT: True}},
        ),
        _Sketch(
            235,
            "Bump driver",
            "lisi",
            "chore/bump-driver",
            commits=("Bump database driver to 4.1",),
            checks={"unit": "failure", "lint": "success"},
            more=_WAITING | {"mergeable": False},
        ),
        _Sketch(
            236,
            "WIP: new cart",
            "wangfang",
            "feature/new-cart",
            commits=("Sketch the new cart",),
            checks={"unit": "success"},
            more=_WAITING | {"draft": True},
        ),
    ),
    WEB: (
        _Sketch(
            12,
            "升级前端依赖 @all <b>",
            "zhangsan",
            "chore/frontend-deps",
            body="<script>alert(1)</script> 升级 vite 与 eslint。",
            commits=("升级前端依赖",),
            checks=_GREEN,
            more=_WAITING,
        ),
        _Sketch(
            13,
            "Dark mode",
            "lisi",
            "feature/dark-mode",
            commits=("Add dark mode", "Keep the choice"),
            checks=_GREEN,
            more=_READY,
            approved_by=("wangfang",),
        ),
    ),
}
_HISTORY = {
    SHOP: ("Add order list", "Add payment gateway", "Release v1.4.1", "Release v1.4.2"),
    WEB: ("Add storefront", "Release v0.9.0"),
}


def fill(world: World, state: str = "demo") -> None:
    """Empties the world and makes it the named one. ValueError for a name it does not know."""
    if state not in STATES:
        raise ValueError(f"There is no state {state!r}; there are: {', '.join(STATES)}.")
    with world.lock:
        world.clear()
        world.name = state
        for login, name in ACCOUNTS.items():
            world.add_account(login, name)
        for forge in FORGES:
            _add_tokens(world, forge)
        for path, messages in _HISTORY.items():
            _add_repository(world, path, messages)
        if state == "demo":
            _add_pulls(world)


def refill(world: World) -> None:
    """The demo world as new, with other heads; commits of before stay known, of branches that are gone."""
    with world.lock:
        known = {path: found.commits for path, found in world.repositories.items()}
        fill(world, "bare")
        for path, repository in world.repositories.items():
            repository.commits = known.get(path, {}) | repository.commits
        _add_pulls(world)
        world.name = "demo"


def _add_tokens(world: World, forge: str) -> None:
    """Published values of the sandbox: the portal's, an expired one, and everybody's."""
    world.add_token(f"demo-{forge}-token", BOT, {"*": "admin"}, forge=forge)
    expired = world.add_token(f"demo-{forge}-token-expired", BOT, {"*": "admin"}, forge=forge)
    expired.state = "expired"
    for login in ACCOUNTS:
        world.add_token(f"demo-{forge}-token-{login}", login, dict(_RIGHTS[login]), forge=forge)


def _add_repository(world: World, path: str, messages: tuple[str, ...]) -> None:
    repository = world.add_repository(path, default_branch="master", author="zhangsan")
    for message in messages:
        commit = world.extend(repository, "master", message=message, author="zhangsan")
        if message.startswith("Release "):
            repository.tags[message.removeprefix("Release ")] = commit.sha


def _add_pulls(world: World) -> None:
    for path, sketches in _PULLS.items():
        for sketch in sketches:
            _add_pull(world, world.repository(path), sketch)


def _add_pull(world: World, repository: Repository, sketch: _Sketch) -> None:
    for message in sketch.commits:
        world.extend(repository, sketch.branch, message=message, author=sketch.author)
    pull = world.open_pull(
        repository,
        title=sketch.title,
        author=sketch.author,
        head_ref=sketch.branch,
        body=sketch.body,
        number=sketch.number,
    )
    for name, value in sketch.more.items():
        setattr(pull, name, dict(value) if isinstance(value, dict) else value)
    for login in sketch.approved_by:
        world.add_review(pull, login=login, state="approved")
    for name, conclusion in sketch.checks.items():
        world.set_check(repository, name=name, sha=pull.head_sha, conclusion=conclusion)


def add_pulls(world: World, path: str, count: int, **more: Any) -> list[Pull]:
    """Many open pull requests, approved, tested and green unless `more` says otherwise."""
    with world.lock:
        repository = world.repository(path)
        return [_add_ready_pull(world, repository, more) for _ in range(count)]


def _add_ready_pull(world: World, repository: Repository, more: dict[str, Any]) -> Pull:
    number = repository.next_number
    branch = f"bench/{number}"
    world.extend(repository, branch, message=f"Change {number}", author="lisi")
    pull = world.open_pull(repository, title=f"Change {number}", author="lisi", head_ref=branch)
    world.set_check(repository, name="unit", sha=pull.head_sha, conclusion="success")
    for name, value in (_READY | more).items():
        setattr(pull, name, dict(value) if isinstance(value, dict) else value)
    return pull
