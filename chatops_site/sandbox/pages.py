"""The pages that links of a forge's stand-in open: plain, readable, escaped."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from chatops_site.sandbox.clock import china_time
from chatops_site.sandbox.demo import BOT
from chatops_site.sandbox.records import Missing, Pull, Repository
from chatops_site.sandbox.server import Request, Response, as_html
from chatops_site.sandbox.world import World

_STYLE = """
body{font:15px/1.6 system-ui,"Noto Sans CJK SC",sans-serif;max-width:52rem;margin:2rem auto;
padding:0 1rem;color:#1f2328;background:#fff}
h1{font-size:1.5rem;margin:.2rem 0}code{background:#f3f4f6;padding:.1rem .3rem;border-radius:4px}
.state{display:inline-block;color:#fff;border-radius:1rem;padding:.1rem .8rem;background:#1a7f37}
.merged{background:#8250df}.closed{background:#cf222e}.note{color:#59636e}
article{border:1px solid #d1d9e0;border-radius:6px;padding:.5rem 1rem;margin:.6rem 0;
white-space:pre-wrap;overflow-wrap:anywhere}textarea{max-width:100%;font:inherit}button,select{font:inherit;min-height:36px}th{text-align:left;padding-right:1.5rem;vertical-align:top}
"""
# What forges do not show of a comment.
_MARK = re.compile(r"<!--.*?-->", re.DOTALL)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Style:
    """How a forge's addresses look: /acme/shop/<pulls>/233, and the mark before a number."""

    forge: str
    pulls: str
    mark: str
    commits: str = "commit"


def show(world: World, request: Request, style: Style) -> Response:
    """A pull request, a repository with its pull requests, or the list of repositories; a POST comments."""
    try:
        if request.method == "POST":
            return _comment(world, request, style)
        return _page(style, *_content(world, request.segments, style))
    except Missing as error:
        return _page(style, "没有找到", f"<p>{escape(str(error))}</p>", status=404)


def _comment(world: World, request: Request, style: Style) -> Response:
    """Somebody writes under a pull request; in a browser, and on the page itself."""
    path, place, last = _parts(request.segments)
    said = {name: values[-1] for name, values in request.form().items()}
    login, body = said.get("login", ""), said.get("body", "").strip()
    if not request.is_from_here or login not in world.accounts or not body:
        return _page(style, "没有写下", "<p>评论要从合并请求的页面写，也要有内容。</p>", status=400)
    if place != style.pulls or not _is_number(last):
        raise Missing("这里不能写评论。")
    pull = world.pull(path, int(last))
    made = world.add_comment(pull, login=login, body=body)
    return Response(303, headers={"Location": f"{request.raw_path}#note_{made.id}"})


def _content(world: World, segments: tuple[str, ...], style: Style) -> tuple[str, str]:
    if segments == ("",):
        return "代码仓库", _list(_link(f"/{path}", path) for path in world.repositories)
    path, place, last = _parts(segments)
    found = world.repository(path)
    if last in ("", style.pulls):
        return _repository(found, style)
    if place == style.pulls and _is_number(last):
        return _pull(world, found, world.pull(path, int(last)), style)
    if place == style.commits:
        return _commit(found, last, style)
    raise Missing(f"这里没有页面。这是 ChatOps 沙盒里的 {style.forge} 替身。")


def _parts(segments: tuple[str, ...]) -> tuple[str, str, str]:
    """The repository's path, the kind of page, and its last part."""
    place, _, last = "/".join(segments[2:]).rpartition("/")
    return "/".join(segments[:2]), place, last


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _page(style: Style, title: str, content: str, status: int = 200) -> Response:
    response = as_html(
        f'<!DOCTYPE html><html lang="zh"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f'<p class="note">{style.forge} 替身 · ChatOps 沙盒</p><h1>{escape(title)}</h1>{content}'
        "</body></html>",
        status,
    )
    response.headers.update(_HEADERS)
    return response


def _link(href: str, text: str) -> str:
    return f'<a href="{escape(href)}">{escape(text)}</a>'


def _list(rows: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{row}</li>" for row in rows) + "</ul>"


def _state(pull: Pull) -> str:
    draft = " · 草稿" if pull.draft else ""
    return f'<span class="state {pull.state}">{pull.state}</span>{draft}'


def _repository(found: Repository, style: Style) -> tuple[str, str]:
    rows = [
        _link(
            f"/{found.path}/{style.pulls}/{pull.number}", f"{style.mark}{pull.number} {pull.title}"
        )
        + _state(pull)
        for pull in reversed(found.pulls.values())
    ]
    return found.path, _list(rows)


def _commit(found: Repository, sha: str, style: Style) -> tuple[str, str]:
    one = found.commits[found.resolve(sha)]
    links = (
        _link(f"/{found.path}/{style.commits}/{parent}", parent[:12]) for parent in one.parents
    )
    by = f"<p>{escape(one.author)} · {china_time(one.at)}</p>"
    text = f"<article>{escape(one.message)}</article>"
    return f"{found.path} {one.sha[:12]}", text + by + _list(links)


def _pull(world: World, found: Repository, pull: Pull, style: Style) -> tuple[str, str]:
    facts = {
        "状态": _state(pull),
        "作者": _name(world, pull.author),
        "分支": f"<code>{escape(pull.head_ref)}</code> → <code>{escape(pull.base_ref)}</code>",
        "Head": _sha(found, pull.head_sha, style),
        "合并": "可以自动合并" if pull.mergeable else "存在冲突",
        **_verdicts(world, pull, style),
        "检查": _checks(found, pull),
        "标签": escape("、".join(pull.labels)) or "无",
    }
    if pull.merged:
        by = _name(world, pull.merged_by)
        facts["合并提交"] = f"{_sha(found, pull.merge_sha, style)} {by} {china_time(pull.merged)}"
    rows = "".join(f"<tr><th>{label}</th><td>{value}</td></tr>" for label, value in facts.items())
    body = f"<article>{escape(pull.body)}</article>" if pull.body else ""
    notes = "".join(
        f'<article id="note_{row.id}"><b>{_name(world, row.login)}</b> '
        f'<span class="note">{china_time(row.created)}</span>\n{escape(_MARK.sub("", row.body)).strip()}</article>'
        for row in pull.comments
    )
    title = f"{style.mark}{pull.number} {pull.title}"
    return title, (
        f"<p>{_link(f'/{found.path}', found.path)}</p><table>{rows}</table>{body}"
        f"<h2>评论（{len(pull.comments)}）</h2>{notes}{_form(world)}"
    )


def _form(world: World) -> str:
    people = "".join(
        f'<option value="{escape(one.login)}">{escape(one.name)}</option>'
        for one in world.accounts.values()
        if one.login != BOT
    )
    return (
        '<form method="post"><p><label>以谁的身份 · As <select name="login">'
        f"{people}</select></label></p>"
        '<p><label>评论 · Comment<br><textarea name="body" rows="3" cols="60" required>/test</textarea>'
        "</label></p><p><button>写下 · Comment</button> "
        '<a href="">刷新 · Reload</a></p></form>'
    )


def _verdicts(world: World, pull: Pull, style: Style) -> dict[str, str]:
    if style.forge == "Gitee":
        return {
            f"审查（需 {pull.assignees_number} 人）": _flags(world, pull.assignees),
            f"测试（需 {pull.testers_number} 人）": _flags(world, pull.testers),
        }
    last = {one.login: one.login in pull.approved_by() for one in pull.reviews}
    return {"审查": _flags(world, last), "未解决的讨论": str(pull.unresolved())}


def _name(world: World, login: str) -> str:
    account = world.accounts.get(login)
    return escape(f"{account.name} ({login})" if account else login)


def _sha(found: Repository, sha: str, style: Style) -> str:
    return f"<code>{_link(f'/{found.path}/{style.commits}/{sha}', sha[:12])}</code>"


def _flags(world: World, flags: dict[str, bool]) -> str:
    rows = (
        f"{'✔' if accepted else '…'} {_name(world, login)}" for login, accepted in flags.items()
    )
    return "<br>".join(rows) or "无"


def _checks(found: Repository, pull: Pull) -> str:
    latest = {row.name: row for row in found.checks if row.head_sha == pull.head_sha}
    rows = (
        f"{escape(row.name)}: {escape(row.conclusion or row.status)}" for row in latest.values()
    )
    return "<br>".join(rows) or "无"
