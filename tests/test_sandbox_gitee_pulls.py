"""Pull requests of the Gitee stand-in: review, test, merge and change, with every refusal."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.forge_stand import refused
from tests.gitee_stand_in import SHOP, Gitee, gitee, running

__all__ = ["gitee", "running"]

REVIEW_MISSING = "此 Pull Request 未通过设置的审查"
TEST_MISSING = "此 Pull Request 未通过设置的测试"


# Review and test


def flags(gitee: Gitee, kind: str, number: int = 233) -> dict[str, bool]:
    rows = gitee.get(f"{SHOP}/pulls/{number}")[kind]
    return {row["login"]: row["accept"] for row in rows}


@pytest.mark.parametrize(("call", "kind"), [("review", "assignees"), ("test", "testers")])
def test_passing_sets_ones_own_flag_and_answers_nothing(gitee: Gitee, call: str, kind: str) -> None:
    answer = gitee.call("POST", f"{SHOP}/pulls/233/{call}", json={})

    assert (answer.status_code, answer.content) == (204, b"")
    assert flags(gitee, kind) == {"chatops-bot": True}
    newest = gitee.get(f"{SHOP}/pulls/233/operate_logs")[0]
    assert (newest["action_type"], newest["user"]["login"]) == (call, "chatops-bot")


@pytest.mark.parametrize(("call", "noun"), [("review", "审查"), ("test", "测试")])
def test_passing_is_for_those_who_were_named(gitee: Gitee, call: str, noun: str) -> None:
    answer = gitee.call("POST", f"{SHOP}/pulls/233/{call}", login="zhangsan")

    assert refused(answer) == (403, f"403 Forbidden: 您不是此 Pull Request 的{noun}人员")


@pytest.mark.parametrize("call", ["review", "test"])
def test_force_is_for_administrators_only(gitee: Gitee, call: str) -> None:
    gitee.change("set_gate", assignees_number=3, testers_number=3)
    path, body = f"{SHOP}/pulls/233/{call}", {"force": True}

    as_writer = gitee.call("POST", path, login="zhangsan", json=body)
    as_admin = gitee.call("POST", path, json=body)

    assert refused(as_writer) == (403, "403 Forbidden: 仅仓库管理员可以执行该操作")
    assert as_admin.status_code == 204


def test_force_passes_the_whole_gate(gitee: Gitee) -> None:
    gitee.change("set_gate", assignees_number=3, testers_number=3)

    for call in ("review", "test"):
        gitee.call("POST", f"{SHOP}/pulls/233/{call}", json={"force": True})

    assert gitee.merge().status_code == 200


@pytest.mark.parametrize("call", ["review", "test"])
def test_a_closed_pull_request_cannot_be_passed(gitee: Gitee, call: str) -> None:
    gitee.change("close_pull")

    status, message = refused(gitee.call("POST", f"{SHOP}/pulls/233/{call}"))

    assert status == 400
    assert "不是开启状态" in message


@pytest.mark.parametrize("kind", ["assignees", "testers"])
def test_reviewers_and_testers_are_assigned_and_removed(gitee: Gitee, kind: str) -> None:
    path = f"{SHOP}/pulls/233/{kind}"

    added = gitee.call("POST", path, json={kind: "zhangsan,wangfang"})
    both = flags(gitee, kind)
    removed = gitee.call("DELETE", path, params={kind: "zhangsan"})

    assert (added.status_code, removed.status_code) == (201, 200)
    assert both == {"chatops-bot": False, "zhangsan": False, "wangfang": False}
    assert flags(gitee, kind) == {"chatops-bot": False, "wangfang": False}


@pytest.mark.parametrize("kind", ["assignees", "testers"])
def test_assigning_needs_known_people(gitee: Gitee, kind: str) -> None:
    path = f"{SHOP}/pulls/233/{kind}"

    assert refused(gitee.call("POST", path, json={})) == (400, f"{kind} is missing")
    status, message = refused(gitee.call("POST", path, json={kind: "ghost"}))
    assert (status, message) == (400, f"{kind} is invalid: ghost")


@pytest.mark.parametrize("kind", ["assignees", "testers"])
def test_flags_are_reset_ones_own_or_all_by_an_administrator(gitee: Gitee, kind: str) -> None:
    gitee.make_ready()
    op = "set_review" if kind == "assignees" else "set_test"
    gitee.change(op, login="lisi")
    path = f"{SHOP}/pulls/233/{kind}"

    own = gitee.call("PATCH", path, login="lisi", json={})
    after_own = flags(gitee, kind)
    forbidden = gitee.call("PATCH", path, login="lisi", json={"reset_all": True})
    stranger = gitee.call("PATCH", path, login="zhangsan", json={})
    everything = gitee.call("PATCH", path, json={"reset_all": True})

    assert own.status_code == 200
    assert after_own == {"chatops-bot": True, "lisi": False}
    assert (forbidden.status_code, stranger.status_code) == (403, 403)
    assert everything.status_code == 200
    assert not any(flags(gitee, kind).values())


def test_a_push_moves_the_head_and_resets_the_flags(gitee: Gitee) -> None:
    gitee.make_ready()
    before = gitee.get(f"{SHOP}/pulls/233")["head"]["sha"]

    sha = gitee.change("push", sha="a" * 40)["sha"]

    assert sha == gitee.get(f"{SHOP}/pulls/233")["head"]["sha"] == "a" * 40 != before
    assert flags(gitee, "assignees") == flags(gitee, "testers") == {"chatops-bot": False}


def test_a_push_keeps_the_flags_where_the_repository_says_so(gitee: Gitee) -> None:
    gitee.system.control("set_repository", {"repository": "acme/shop", "resets_on_push": False})
    gitee.make_ready()

    gitee.change("push")

    assert flags(gitee, "assignees") == {"chatops-bot": True}


# Merging


def test_a_merge_lands_and_says_so(gitee: Gitee) -> None:
    gitee.make_ready()
    assert gitee.call("GET", f"{SHOP}/pulls/233/merge").status_code == 404

    answer = gitee.merge()

    body = answer.json()
    assert (answer.status_code, body["merged"]) == (200, True)
    assert body["message"] == "Pull Request 已成功合并"
    assert gitee.call("GET", f"{SHOP}/pulls/233/merge").status_code == 204
    pull = gitee.get(f"{SHOP}/pulls/233")
    assert (pull["state"], bool(pull["merged_at"]), pull["closed_at"]) == ("merged", True, None)
    assert gitee.get(f"{SHOP}/branches/master")["commit"]["sha"] == body["sha"]


@pytest.mark.parametrize(("method", "parents"), [("merge", 2), ("squash", 1), ("rebase", 1)])
def test_each_merge_method_makes_its_own_commits(gitee: Gitee, method: str, parents: int) -> None:
    gitee.make_ready()
    master = gitee.get(f"{SHOP}/commits/master")["sha"]
    head = gitee.get(f"{SHOP}/pulls/233")["head"]["sha"]

    sha = gitee.merge(merge_method=method).json()["sha"]

    commit = gitee.get(f"{SHOP}/commits/{sha}")
    assert len(commit["parents"]) == parents
    assert sha not in (head, master)
    landed = gitee.get(f"{SHOP}/compare/{master}...master")["commits"]
    assert len(landed) == {"merge": 3, "squash": 1, "rebase": 2}[method]


@pytest.mark.parametrize("method", ["merge", "squash"])
def test_a_marker_in_the_description_is_found_in_the_merge_commit(
    gitee: Gitee, method: str
) -> None:
    gitee.make_ready()

    gitee.merge(merge_method=method, title="修复支付回调 (!233)", description="ChatOps-Run: 17-ab")

    message = gitee.get(f"{SHOP}/commits", sha="master")[0]["commit"]["message"]
    assert message == "修复支付回调 (!233)\n\nChatOps-Run: 17-ab"


def test_without_a_title_the_commit_names_the_pull_request(gitee: Gitee) -> None:
    gitee.make_ready()

    sha = gitee.merge().json()["sha"]

    message = gitee.get(f"{SHOP}/commits/{sha}")["commit"]["message"]
    assert message.startswith("!233 修复支付回调\n")


def test_a_source_branch_is_pruned_when_asked(gitee: Gitee) -> None:
    gitee.make_ready()

    gitee.merge(prune_source_branch=True)

    assert gitee.call("GET", f"{SHOP}/branches/fix%2Fpayment-callback").status_code == 404


def test_a_merge_without_review_is_refused_in_gitees_words(gitee: Gitee) -> None:
    gitee.change("set_test", login="chatops-bot")

    assert refused(gitee.merge()) == (400, REVIEW_MISSING)


def test_a_merge_without_test_is_refused_in_gitees_words(gitee: Gitee) -> None:
    gitee.change("set_review", login="chatops-bot")

    assert refused(gitee.merge()) == (400, TEST_MISSING)


def test_the_status_of_those_refusals_can_be_set(gitee: Gitee) -> None:
    gitee.system.control("set_refusal_status", {"status": 405})

    assert refused(gitee.merge()) == (405, REVIEW_MISSING)


def test_a_gate_of_nobody_is_open(gitee: Gitee) -> None:
    gitee.change("set_gate", assignees_number=0, testers_number=0)

    assert gitee.merge().status_code == 200


@pytest.mark.parametrize(
    ("op", "arguments", "message"),
    [
        ("set_draft", {"draft": True}, "草稿状态的 Pull Request 不能合并"),
        ("set_mergeable", {"mergeable": False}, "此 Pull Request 存在冲突，不能自动合并"),
        ("close_pull", {}, "此 Pull Request 已经关闭"),
        ("merge_elsewhere", {}, "此 Pull Request 已经合并"),
    ],
)
def test_what_cannot_be_merged_is_refused(
    gitee: Gitee, op: str, arguments: dict[str, Any], message: str
) -> None:
    gitee.make_ready()
    gitee.change(op, **arguments)

    assert refused(gitee.merge()) == (400, message)


def test_a_second_merge_fails(gitee: Gitee) -> None:
    gitee.make_ready()
    gitee.merge()

    assert refused(gitee.merge()) == (400, "此 Pull Request 已经合并")


def test_of_many_merges_at_once_one_lands(gitee: Gitee) -> None:
    gitee.make_ready()

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: gitee.merge().status_code, range(24)))

    assert sorted(answers) == [200] + [400] * 23
    assert len(gitee.get(f"{SHOP}/commits", sha="master", author="chatops-bot")) == 1


def test_rebase_can_be_switched_off(gitee: Gitee) -> None:
    gitee.make_ready()
    methods = {"repository": "acme/shop", "merge_methods": ["merge", "squash"]}
    gitee.system.control("set_repository", methods)

    answer = gitee.merge(merge_method="rebase")

    assert refused(answer) == (400, "merge_method does not have a valid value")
    assert gitee.merge(merge_method="squash").status_code == 200


def test_an_unknown_merge_method_is_refused(gitee: Gitee) -> None:
    gitee.make_ready()

    assert gitee.merge(merge_method="octopus").status_code == 400


def test_a_push_right_inside_the_merge_is_what_gets_merged(gitee: Gitee) -> None:
    gitee.system.control("set_repository", {"repository": "acme/shop", "resets_on_push": False})
    gitee.make_ready()
    seen = gitee.get(f"{SHOP}/pulls/233")["head"]["sha"]
    gitee.change("hook_on_merge", sha="b" * 40)

    sha = gitee.merge().json()["sha"]

    parents = [row["sha"] for row in gitee.get(f"{SHOP}/commits/{sha}")["parents"]]
    assert parents[1] == "b" * 40
    assert gitee.get(f"{SHOP}/pulls/233")["head"]["sha"] != seen


def test_a_push_inside_the_merge_closes_the_gates_again(gitee: Gitee) -> None:
    gitee.make_ready()
    gitee.change("hook_on_merge")

    assert refused(gitee.merge()) == (400, REVIEW_MISSING)


# Changing a pull request


def test_a_pull_request_is_opened_by_the_api(gitee: Gitee) -> None:
    gitee.system.control("push", {"repository": "acme/shop", "branch": "new", "by": "lisi"})
    body = {
        "title": "新的",
        "head": "lisi:new",
        "base": "master",
        "assignees": "zhangsan",
        "assignees_number": 1,
        "draft": True,
    }

    answer = gitee.call("POST", f"{SHOP}/pulls", login="lisi", json=body)
    again = gitee.call("POST", f"{SHOP}/pulls", login="lisi", json=body)
    nowhere = gitee.call("POST", f"{SHOP}/pulls", json=body | {"head": "ghost"})

    assert (answer.status_code, answer.json()["number"]) == (201, 237)
    assert (answer.json()["draft"], answer.json()["user"]["login"]) == (True, "lisi")
    assert refused(again) == (400, "相同源分支、目标分支的 Pull Request 已存在")
    assert refused(nowhere) == (400, "源分支或目标分支不存在")


def test_a_pull_request_is_closed_and_opened_again(gitee: Gitee) -> None:
    path = f"{SHOP}/pulls/233"

    closed = gitee.call("PATCH", path, json={"state": "closed"}).json()
    repeated = gitee.call("PATCH", path, json={"state": "closed"}).json()
    opened = gitee.call("PATCH", path, json={"state": "open"}).json()

    assert (closed["state"], bool(closed["closed_at"])) == ("closed", True)
    assert repeated["closed_at"] == closed["closed_at"]
    assert (opened["state"], opened["closed_at"]) == ("open", None)


def test_an_author_without_push_right_may_change_his_own(gitee: Gitee) -> None:
    gitee.system.control("set_right", {"login": "lisi", "right": "read"})

    own = gitee.call("PATCH", f"{SHOP}/pulls/233", login="lisi", json={"title": "改名"})
    other = gitee.call("PATCH", f"{SHOP}/pulls/234", login="lisi", json={"title": "改名"})

    assert own.json()["title"] == "改名"
    assert other.status_code == 403


def test_title_body_labels_draft_and_gates_are_changed(gitee: Gitee) -> None:
    body = {
        "title": "T",
        "body": "B",
        "labels": "bug,urgent",
        "draft": True,
        "assignees_number": 2,
        "testers_number": 0,
    }

    pull = gitee.call("PATCH", f"{SHOP}/pulls/233", json=body).json()
    labels = gitee.call("POST", f"{SHOP}/pulls/233/labels", json=["hold", "bug"])

    assert (pull["title"], pull["body"], pull["draft"]) == ("T", "B", True)
    assert (pull["assignees_number"], pull["testers_number"]) == (2, 0)
    assert [row["name"] for row in labels.json()] == ["bug", "urgent", "hold"]


def test_a_state_that_cannot_be_is_refused(gitee: Gitee) -> None:
    path = f"{SHOP}/pulls/233"
    unknown = gitee.call("PATCH", path, json={"state": "merged"})
    gitee.change("merge_elsewhere")
    merged = gitee.call("PATCH", path, json={"state": "open"})

    assert refused(unknown) == (400, "state does not have a valid value")
    assert refused(merged) == (400, "此 Pull Request 已经合并，不能更改状态")


def test_a_pull_request_without_its_branch_cannot_be_reopened(gitee: Gitee) -> None:
    gitee.change("close_pull")
    gone = {"repository": "acme/shop", "branch": "fix/payment-callback"}
    gitee.system.control("delete_branch", gone)

    answer = gitee.call("PATCH", f"{SHOP}/pulls/233", json={"state": "open"})

    assert refused(answer) == (400, "源分支不存在，不能重新打开")


@pytest.mark.parametrize("body", [b"{", b'{"a":1}', b"[1]"])
def test_labels_are_a_list_of_names(gitee: Gitee, body: bytes) -> None:
    answer = gitee.call("POST", f"{SHOP}/pulls/233/labels", data=body)

    assert refused(answer) == (400, "labels is invalid")
