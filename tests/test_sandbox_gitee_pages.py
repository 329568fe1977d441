"""Comments, pages for people and the control of the Gitee stand-in."""

import json

import pytest
import requests

from chatops_site.sandbox import demo
from tests.forge_stand import refused
from tests.gitee_stand_in import SHOP, Gitee, gitee, running

__all__ = ["gitee", "running"]


# Comments


def test_comments_are_written_listed_changed_and_removed(gitee: Gitee) -> None:
    path = f"{SHOP}/pulls/233/comments"

    first = gitee.call("POST", path, json={"body": "第一"}).json()
    gitee.call("POST", path, json={"body": "line", "path": "a.py", "position": 3})
    changed = gitee.call("PATCH", f"{SHOP}/pulls/comments/{first['id']}", json={"body": "改"})

    assert changed.json()["body"] == "改"
    assert [row["body"] for row in gitee.get(path)] == ["改", "line"]
    assert [row["body"] for row in gitee.get(path, direction="desc")] == ["line", "改"]
    assert [row["body"] for row in gitee.get(path, comment_type="diff_comment")] == ["line"]
    assert [row["body"] for row in gitee.get(path, comment_type="pr_comment")] == ["改"]
    assert gitee.call("DELETE", f"{SHOP}/pulls/comments/{first['id']}").status_code == 204
    assert len(gitee.get(path)) == 1


def test_comments_of_others_are_for_administrators(gitee: Gitee) -> None:
    number = gitee.change("comment", by="zhangsan", body="mine")["id"]
    path = f"{SHOP}/pulls/comments/{number}"

    assert gitee.call("PATCH", path, login="lisi", json={"body": "x"}).status_code == 403
    assert gitee.call("PATCH", path, login="zhangsan", json={"body": "x"}).status_code == 200
    assert gitee.call("PATCH", path, json={"body": "admin"}).status_code == 200


def test_an_empty_comment_is_refused(gitee: Gitee) -> None:
    answer = gitee.call("POST", f"{SHOP}/pulls/233/comments", json={"body": ""})

    assert refused(answer) == (400, "body is missing")


def test_the_operation_log_tells_who_did_what_in_order(gitee: Gitee) -> None:
    gitee.make_ready()
    gitee.call("POST", f"{SHOP}/pulls/233/review")
    gitee.merge()

    rows = gitee.get(f"{SHOP}/pulls/233/operate_logs", sort="asc")

    assert [row["action_type"] for row in rows] == ["create", "review", "merge"]
    assert rows[-1]["user"]["login"] == "chatops-bot"


# Pages for people


def page(gitee: Gitee, path: str) -> requests.Response:
    return gitee.session.get(gitee.origin + path, timeout=5)


def test_the_link_of_a_pull_request_opens_a_readable_page(gitee: Gitee) -> None:
    gitee.change("comment", body="好的")

    answer = page(gitee, gitee.get(f"{SHOP}/pulls/233")["html_url"].removeprefix(gitee.origin))

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    for words in (
        "!233 修复支付回调",
        "open",
        "fix/payment-callback",
        "李四",
        "好的",
        "unit: success",
    ):
        assert words in answer.text


def test_a_hostile_title_and_body_are_escaped(gitee: Gitee) -> None:
    text = page(gitee, "/acme/web/pulls/12").text

    assert "@all &lt;b&gt;" in text
    assert "<b>升" not in text
    assert "<script>" not in text


def test_a_merged_pull_request_shows_its_commit(gitee: Gitee) -> None:
    gitee.make_ready()
    sha = gitee.merge().json()["sha"]

    assert sha[:12] in page(gitee, "/acme/shop/pulls/233").text
    assert "!233 修复支付回调" in page(gitee, f"/acme/shop/commit/{sha}").text


@pytest.mark.parametrize(
    ("path", "words"),
    [("/", "acme/shop"), ("/acme/shop", "Bump driver"), ("/acme/shop/pulls", "WIP: new cart")],
)
def test_repositories_and_their_pull_requests_have_pages(
    gitee: Gitee, path: str, words: str
) -> None:
    assert words in page(gitee, path).text


@pytest.mark.parametrize("path", ["/acme/ghost", "/acme/shop/pulls/1", "/a/b/c/d/e/<b>"])
def test_a_page_that_is_not_there_is_404(gitee: Gitee, path: str) -> None:
    answer = page(gitee, path)

    assert answer.status_code == 404
    assert "<b>" not in answer.text


# The control


def test_an_unknown_operation_names_those_that_exist(gitee: Gitee) -> None:
    with pytest.raises(ValueError, match=r"there are: .*set_check"):
        gitee.system.control("explode", {})


def test_a_hook_on_merge_of_an_unknown_operation_is_refused(gitee: Gitee) -> None:
    with pytest.raises(ValueError, match="explode"):
        gitee.change("hook_on_merge", do="explode")


def test_an_unknown_right_is_refused(gitee: Gitee) -> None:
    with pytest.raises(ValueError, match="admin, write, read, none"):
        gitee.system.control("set_right", {"login": "lisi", "right": "god"})


def test_the_state_shows_everything_but_tokens(gitee: Gitee) -> None:
    gitee.change("clear_checks", 233)
    gitee.change("unassign", 233, login="chatops-bot")

    state = gitee.system.state()

    (pull,) = [row for row in state["pull_requests"] if row["number"] == 233]
    assert (pull["repository"], pull["assignees"]) == ("acme/shop", {})
    assert "demo-gitee-token" not in json.dumps(state)


def test_a_bare_world_has_the_repositories_and_no_pull_requests(gitee: Gitee) -> None:
    demo.fill(gitee.world, "bare")
    numbers = gitee.system.control("open_pull", {"repository": "acme/web", "count": 3})["numbers"]

    assert gitee.get(f"{SHOP}/pulls") == []
    assert numbers == [1, 2, 3]
    answer = gitee.call("PUT", "/repos/acme/web/pulls/2/merge")
    assert answer.status_code == 200
