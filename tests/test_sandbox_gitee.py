"""The Gitee stand-in over real HTTP: who asks, shapes, lists, commits and check runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatops_site.sandbox import demo
from tests.forge_stand import refused
from tests.gitee_stand_in import SHOP, Gitee, gitee, running

__all__ = ["gitee", "running"]

RECORDED = Path(__file__).parent / "cases" / "gitee_api"


# Who asks


def test_it_tells_the_owner_of_a_token(gitee: Gitee) -> None:
    assert gitee.get("/user")["login"] == "chatops-bot"


def test_it_takes_the_demo_token_in_the_query_and_in_the_body(gitee: Gitee) -> None:
    by_query = gitee.call("GET", "/user", login="", params={"access_token": "demo-gitee-token"})
    comment = {"access_token": "demo-gitee-token", "body": "hi"}
    by_body = gitee.call("POST", f"{SHOP}/pulls/233/comments", login="", json=comment)
    by_form = gitee.call("POST", f"{SHOP}/pulls/233/comments", login="", data=comment)

    assert by_query.json()["login"] == "chatops-bot"
    assert (by_body.status_code, by_form.status_code) == (201, 201)


@pytest.mark.parametrize(
    ("login", "reason"),
    [("", "does not exist"), ("nobody", "does not exist"), ("expired", "expired")],
)
def test_it_refuses_a_token_that_is_not_good(gitee: Gitee, login: str, reason: str) -> None:
    status, message = refused(gitee.call("GET", "/user", login=login))

    assert status == 401
    assert message.startswith("401 Unauthorized")
    assert reason in message


def test_a_revoked_token_stops_working(gitee: Gitee) -> None:
    gitee.system.control("revoke_token", {"login": "lisi"})

    assert gitee.call("GET", "/user", login="lisi").status_code == 401
    assert gitee.call("GET", "/user", login="zhangsan").status_code == 200


def test_a_private_repository_does_not_exist_for_a_stranger(gitee: Gitee) -> None:
    recorded = json.loads((RECORDED / "error__project_not_found.json").read_text())

    answer = gitee.call("GET", f"{SHOP}/pulls/233", login="outsider")

    assert answer.status_code == 404
    assert answer.json() == recorded


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/repos/acme/nothing", "404 Project Not Found"),
        (f"{SHOP}/pulls/9999", "404 Pull Request Not Found"),
        (f"{SHOP}/pulls/abc", "404 Pull Request Not Found"),
        (f"{SHOP}/branches/nothing", "404 Branch Not Found"),
        (f"{SHOP}/commits/nothing", "404 Commit Not Found"),
        (f"{SHOP}/commits/nothing/check-runs", "404 Commit Not Found"),
        (f"{SHOP}/compare/master...nothing", "404 Commit Not Found"),
        (f"{SHOP}/compare/master", "404 Not Found"),
        (f"{SHOP}/pulls/comments/1", "404 Comment Not Found"),
        (f"{SHOP}/no/such/thing", "404 Not Found"),
    ],
)
def test_what_is_not_there_is_404_with_a_message(gitee: Gitee, path: str, message: str) -> None:
    assert refused(gitee.call("GET", path)) == (404, message)


def test_another_method_on_a_known_path_is_405(gitee: Gitee) -> None:
    assert refused(gitee.call("DELETE", f"{SHOP}/pulls/233")) == (405, "405 Not Allowed")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/pulls/233/merge", {}),
        ("PATCH", "/pulls/233", {"state": "closed"}),
        ("POST", "/pulls", {"title": "x", "head": "fix/payment-callback", "base": "master"}),
        ("POST", "/pulls/233/assignees", {"assignees": "lisi"}),
        ("DELETE", "/pulls/233/testers?testers=lisi", {}),
        ("POST", "/check-runs", {"name": "unit", "head_sha": "0" * 40}),
        ("POST", "/pulls/233/labels", ["bug"]),
    ],
)
def test_a_reader_may_not_change_anything(gitee: Gitee, method: str, path: str, body: Any) -> None:
    answer = gitee.call(method, SHOP + path, login="zhaoliu", json=body)

    assert refused(answer) == (403, "403 Forbidden: 没有该仓库的推送权限")


def test_a_reader_may_look_and_comment(gitee: Gitee) -> None:
    assert gitee.call("GET", f"{SHOP}/pulls/233", login="zhaoliu").status_code == 200
    answer = gitee.call("POST", f"{SHOP}/pulls/233/comments", login="zhaoliu", json={"body": "好"})
    assert answer.status_code == 201


# Shapes


def shape(value: Any) -> Any:
    """The names of all fields, without values and without the length of lists."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return None


def lacking(recorded: Any, ours: Any, path: str = "") -> list[str]:
    if not isinstance(recorded, dict):
        return []
    missing = [f"{path}/{name}" for name in recorded if name not in ours]
    inner = [lacking(recorded[n], ours[n], f"{path}/{n}") for n in recorded if n in ours]
    return missing + [row for rows in inner for row in rows]


def test_a_pull_request_has_every_recorded_field(gitee: Gitee) -> None:
    recorded = json.loads((RECORDED / "pull_request__open.json").read_text())

    assert lacking(recorded, gitee.get(f"{SHOP}/pulls/233")) == []


def test_an_owner_and_a_comment_have_every_recorded_field(gitee: Gitee) -> None:
    gitee.change("comment", body="好")
    comments = json.loads((RECORDED / "comments__one.json").read_text())
    owner = json.loads((RECORDED / "user__token_owner.json").read_text())

    assert lacking(comments[0], gitee.get(f"{SHOP}/pulls/233/comments")[0]) == []
    assert lacking(owner, gitee.get("/user")) == []


def test_a_reviewer_says_whether_he_accepted(gitee: Gitee) -> None:
    (reviewer,) = gitee.get(f"{SHOP}/pulls/233")["assignees"]

    assert (reviewer["login"], reviewer["accept"], reviewer["assignee"]) == (
        "chatops-bot",
        False,
        True,
    )


def test_every_url_points_at_the_stand_in(gitee: Gitee) -> None:
    texts = [
        json.dumps(gitee.get(path))
        for path in ("/user", SHOP, f"{SHOP}/pulls", f"{SHOP}/branches", f"{SHOP}/commits")
    ]

    for text in texts:
        assert text.count("http") == text.count(gitee.origin)


def test_the_demo_pull_requests_are_as_agreed(gitee: Gitee) -> None:
    shop = {row["number"]: row for row in gitee.get(f"{SHOP}/pulls")}
    web = {row["number"]: row["title"] for row in gitee.get("/repos/acme/web/pulls")}

    assert {n: row["user"]["login"] for n, row in shop.items()} == {
        233: "lisi",
        234: "zhangsan",
        235: "lisi",
        236: "wangfang",
    }
    assert [n for n, row in shop.items() if not row["mergeable"]] == [235]
    assert [n for n, row in shop.items() if row["draft"]] == [236]
    assert web == {12: "升级前端依赖 @all <b>", 13: "Dark mode"}


def test_the_same_world_has_the_same_shas_every_time(gitee: Gitee) -> None:
    before = gitee.get(f"{SHOP}/pulls/233")["head"]["sha"]
    with gitee.world.lock:
        demo.fill(gitee.world)

    after = gitee.get(f"{SHOP}/pulls/233")["head"]["sha"]

    assert before == after
    assert len(after) == 40


# Lists


def test_lists_are_paged_with_gitees_own_headers(gitee: Gitee) -> None:
    gitee.system.control("open_pull", {"repository": "acme/shop", "count": 41})

    first = gitee.call("GET", f"{SHOP}/pulls")
    last = gitee.call("GET", f"{SHOP}/pulls", params={"page": 3})
    beyond = gitee.call("GET", f"{SHOP}/pulls", params={"page": 9})
    full = gitee.call("GET", f"{SHOP}/pulls", params={"per_page": 1000})

    assert (first.headers["total_count"], first.headers["total_page"]) == ("45", "3")
    assert [len(row.json()) for row in (first, last, beyond, full)] == [20, 5, 0, 45]


@pytest.mark.parametrize(
    ("params", "numbers"),
    [
        ({}, [236, 235, 234, 233]),
        ({"direction": "asc"}, [233, 234, 235, 236]),
        ({"sort": "long-running"}, [233, 234, 235, 236]),
        ({"author": "lisi"}, [235, 233]),
        ({"head": "feature/new-cart"}, [236]),
        ({"head": "wangfang:feature/new-cart"}, [236]),
        ({"base": "nothing"}, []),
        ({"assignee": "chatops-bot", "author": "zhangsan"}, [234]),
        ({"tester": "lisi"}, []),
        ({"labels": "bug"}, [233]),
        ({"milestone_number": "1"}, []),
        ({"since": "2999-01-01T00:00:00+08:00"}, []),
        ({"since": "2020-01-01T00:00:00+08:00"}, [236, 235, 234, 233]),
        ({"state": "closed"}, [232]),
        ({"state": "merged"}, [231]),
        ({"state": "all", "author": "lisi"}, [235, 233, 232, 231]),
    ],
)
def test_pull_requests_are_filtered(
    gitee: Gitee, params: dict[str, str], numbers: list[int]
) -> None:
    _add_old_pulls(gitee)

    found = gitee.get(f"{SHOP}/pulls", **params)

    assert sorted(row["number"] for row in found) == sorted(numbers)
    if len(numbers) == 4 and "state" not in params:
        assert [row["number"] for row in found] == numbers


def _add_old_pulls(gitee: Gitee) -> None:
    world = gitee.world
    shop = world.repository("acme/shop")
    for number in (231, 232):
        world.extend(shop, f"old/{number}", message=f"Old {number}", author="lisi")
        world.open_pull(shop, title="Old", author="lisi", head_ref=f"old/{number}", number=number)
    gitee.change("merge_elsewhere", 231)
    gitee.change("close_pull", 232)
    world.pull("acme/shop", 233).labels.append("bug")


def test_the_last_changed_pull_request_comes_first_when_asked(gitee: Gitee) -> None:
    gitee.change("comment", 234, body="ping")

    assert gitee.get(f"{SHOP}/pulls", sort="updated")[0]["number"] == 234
    assert gitee.get(f"{SHOP}/pulls", sort="popularity")[0]["number"] == 234


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"state": "opened"}, "state does not have a valid value"),
        ({"sort": "size"}, "sort does not have a valid value"),
        ({"page": "two"}, "page is invalid"),
        ({"since": "yesterday"}, "since is invalid"),
    ],
)
def test_a_filter_with_a_bad_value_is_400(
    gitee: Gitee, params: dict[str, str], message: str
) -> None:
    assert refused(gitee.call("GET", f"{SHOP}/pulls", params=params)) == (400, message)


# Repositories and commits


def test_a_repository_says_its_default_branch_and_the_callers_rights(gitee: Gitee) -> None:
    own = gitee.get(SHOP)
    readers = gitee.call("GET", SHOP, login="zhaoliu").json()

    assert (own["full_name"], own["default_branch"]) == ("acme/shop", "master")
    assert own["permission"] == {"pull": True, "push": True, "admin": True}
    assert readers["permission"] == {"pull": True, "push": False, "admin": False}


def test_a_branch_with_a_slash_is_found_by_its_quoted_name(gitee: Gitee) -> None:
    branch = gitee.get(f"{SHOP}/branches/fix%2Fpayment-callback")

    assert branch["name"] == "fix/payment-callback"
    assert branch["commit"]["sha"] == gitee.get(f"{SHOP}/pulls/233")["head"]["sha"]
    assert "master" in [row["name"] for row in gitee.get(f"{SHOP}/branches")]


def test_a_commit_is_found_by_branch_tag_sha_and_short_sha(gitee: Gitee) -> None:
    by_tag = gitee.get(f"{SHOP}/commits/v1.4.2")
    sha = by_tag["sha"]

    assert by_tag["commit"]["message"] == "Release v1.4.2"
    for ref in ("master", sha, sha[:8]):
        assert gitee.get(f"{SHOP}/commits/{ref}")["sha"] == sha
    assert {"name": "v1.4.2", "message": "", "commit": {"sha": sha}} in gitee.get(f"{SHOP}/tags")


def test_commits_are_listed_newest_first(gitee: Gitee) -> None:
    messages = [row["commit"]["message"] for row in gitee.get(f"{SHOP}/commits", sha="master")]

    assert messages[0] == "Release v1.4.2"
    assert messages[-1] == "Initial commit"


def test_comparing_lists_what_the_head_has_more(gitee: Gitee) -> None:
    found = gitee.get(f"{SHOP}/compare/master...fix%2Fpayment-callback")

    assert [row["commit"]["message"] for row in found["commits"]] == [
        "支付回调按流水号去重",
        "补充回调测试",
    ]
    assert found["merge_base_commit"]["sha"] == found["base_commit"]["sha"]
    assert len(found["files"]) == 2


def test_comparing_a_branch_with_itself_is_empty(gitee: Gitee) -> None:
    assert gitee.get(f"{SHOP}/compare/master...master")["commits"] == []


def test_a_pull_request_lists_its_commits_and_files(gitee: Gitee) -> None:
    messages = [row["commit"]["message"] for row in gitee.get(f"{SHOP}/pulls/233/commits")]

    assert messages == ["补充回调测试", "支付回调按流水号去重"]
    assert len(gitee.get(f"{SHOP}/pulls/233/files")) == 2


# Check runs


def checks_of(gitee: Gitee, number: int, **params: str) -> dict[str, str | None]:
    sha = gitee.get(f"{SHOP}/pulls/{number}")["head"]["sha"]
    rows = gitee.get(f"{SHOP}/commits/{sha}/check-runs", **params)["check_runs"]
    return {row["name"]: row["conclusion"] for row in rows}


def test_checks_belong_to_a_sha_and_do_not_follow_a_push(gitee: Gitee) -> None:
    assert checks_of(gitee, 233) == {"unit": "success", "lint": "success"}
    assert checks_of(gitee, 235) == {"unit": "failure", "lint": "success"}

    gitee.change("push")

    assert checks_of(gitee, 233) == {}


def test_a_check_run_is_created_and_completed(gitee: Gitee) -> None:
    sha = gitee.get(f"{SHOP}/pulls/233")["head"]["sha"]
    body = {"name": "chatops", "head_sha": sha, "details_url": "http://127.0.0.1:1/build/7"}

    created = gitee.call("POST", f"{SHOP}/check-runs", json=body | {"status": "in_progress"})
    path = f"{SHOP}/check-runs/{created.json()['id']}"
    report = {"conclusion": "failure", "output": {"title": "2 failed"}}
    changed = gitee.call("PATCH", path, json=report).json()

    assert (created.status_code, created.json()["conclusion"]) == (201, None)
    assert (changed["status"], changed["conclusion"]) == ("completed", "failure")
    assert changed["output"] == {"title": "2 failed"}
    assert changed["completed_at"]
    assert checks_of(gitee, 233)["chatops"] == "failure"


def test_only_the_latest_check_of_a_name_counts_unless_all_are_asked(gitee: Gitee) -> None:
    sha = gitee.get(f"{SHOP}/pulls/235")["head"]["sha"]
    gitee.change("set_check", 235, name="unit", conclusion="success")

    every = gitee.get(f"{SHOP}/commits/{sha}/check-runs", filter="all")

    assert checks_of(gitee, 235)["unit"] == "success"
    assert every["total_count"] == 3
    assert checks_of(gitee, 235, check_name="lint") == {"lint": "success"}
    assert checks_of(gitee, 235, status="queued") == {}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"head_sha": "x"}, "name is missing"),
        ({"name": "unit"}, "head_sha is missing"),
        ({"name": "unit", "head_sha": "abc"}, "head_sha is invalid"),
    ],
)
def test_a_check_run_needs_a_name_and_a_known_sha(
    gitee: Gitee, body: dict[str, str], message: str
) -> None:
    assert refused(gitee.call("POST", f"{SHOP}/check-runs", json=body)) == (400, message)


def test_a_check_run_with_a_strange_conclusion_is_refused(gitee: Gitee) -> None:
    sha = gitee.get(f"{SHOP}/pulls/233")["head"]["sha"]
    body = {"name": "unit", "head_sha": sha}

    strange = gitee.call("POST", f"{SHOP}/check-runs", json=body | {"conclusion": "great"})
    empty = gitee.call("POST", f"{SHOP}/check-runs", json=body | {"status": "completed"})
    unknown = gitee.call("PATCH", f"{SHOP}/check-runs/1", json={"conclusion": "success"})

    assert refused(strange) == (400, "conclusion does not have a valid value")
    assert refused(empty) == (400, "conclusion is missing")
    assert refused(unknown) == (404, "404 Check Run Not Found")
