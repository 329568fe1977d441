"""Pull requests by chat: listed, looked at, approved, tested, merged, or refused with every reason."""

import re

import pytest

from bot.people.models import Person
from bot.runs.models import Run
from repos.models import Repository
from tests.portal import Chat, last_run, plain, story

MERGE = "PUT /api/v5/repos/acme/shop/pulls/233/merge"


def test_prs_lists_each_with_what_blocks_it(chat: Chat) -> None:
    chat.make_ready(233)

    answer = plain(chat.say("/prs"))

    assert answer.splitlines() == [
        "**4 open in shop**",
        "#236 WIP: new cart · wangfang · ⛔ draft · tests not marked as passed · 1 approval missing",
        "#235 Bump driver · lisi · ⛔ conflicts · checks not green (unit)"
        " · tests not marked as passed · 1 approval missing",
        "#234 Add invoice export · zhangsan · ⛔ 1 approval missing",
        "#233 修复支付回调 · lisi · ✅ ready",
        "`/pr 236 shop` for details",
    ]


def test_prs_in_chinese(chinese: Chat) -> None:
    chinese.make_ready(233)

    answer = plain(chinese.say("/待合并"))

    assert answer.startswith("**shop 有 4 个待合并**")
    assert "#234 Add invoice export · zhangsan · ⛔ 还差 1 个审批" in answer
    assert "#233 修复支付回调 · lisi · ✅ 可合并" in answer


@pytest.mark.parametrize(
    ("text", "by", "numbers"),
    [
        ("/prs mine", "zhangsan", ["234"]),
        ("/prs shop mine", "lisi", ["235", "233"]),
        ("/prs ready", "lisi", ["233"]),
    ],
)
def test_prs_can_be_narrowed(chat: Chat, text: str, by: str, numbers: list[str]) -> None:
    chat.make_ready(233)
    assert re.findall(r"\[#(\d+)\]", chat.say(text, by=by)) == numbers


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("/prs stale", "Nothing in shop has waited longer than two weeks."),
        ("/prs ready", "Nothing is ready to merge in shop."),
        ("/prs mine", "Nothing of yours is open in shop."),
    ],
)
def test_an_empty_list_says_what_there_is_none_of(chat: Chat, text: str, answer: str) -> None:
    assert chat.say(text, by="zhaoliu") == answer


def test_pr_shows_all_that_blocks_and_all_that_is_fine(chat: Chat) -> None:
    answer = plain(chat.say("/pr 233"))

    assert answer.splitlines() == [
        "**shop#233** 修复支付回调",
        "lisi · fix/payment-callback → master · abc1234",
        "⛔ tests not marked as passed (`/test 233 shop` runs the test job and marks them)",
        "⛔ 1 approval missing (anyone with the right, but not the author: `/approve 233 shop`)",
        "✅ open · not a draft · no conflicts · checks green",
    ]


def test_pr_ends_with_the_next_command_when_nothing_blocks(chat: Chat) -> None:
    chat.make_ready(233)
    assert chat.say("/pr shop#233").endswith("\nNext: `/merge 233 shop`")


def test_approve_test_merge_is_the_whole_way(chat: Chat) -> None:
    approved = plain(chat.say("/approve 233"))
    tested = plain(chat.say("/test 233"))
    merged = plain(chat.say("/merge 233"))

    assert approved == "✅ Approved shop#233 at abc1234\nNext: `/merge 233 shop`"
    assert tested == (
        "✅ Tests passed: shop#233 at abc1234 · build 1 · 6 s\nNext: `/merge 233 shop`"
    )
    assert re.fullmatch(
        r"✅ Merged shop#233 into master as abc1234 · squash · \d s\n"
        r"Next: `/deploy billing` · `/deploy myservice`",
        merged,
    )
    assert chat.pull(233)["state"] == "merged"
    assert chat.effects().count(MERGE) == 1


def test_the_whole_way_in_chinese(chinese: Chat) -> None:
    assert plain(chinese.say("/批准 233")).startswith("✅ 已批准 shop#233（abc1234）\n下一步：")
    assert plain(chinese.say("/测试 233")).startswith(
        "✅ 测试通过：shop#233（abc1234）· 构建 1 · 6 秒\n下一步：`/merge 233 shop`"
    )
    assert plain(chinese.say("／合并　２３３")).startswith(
        "✅ 已合并 shop#233 到 master，提交 abc1234 · squash · "
    )
    assert last_run().canonical == "/merge 233"


def test_what_is_merged_is_recorded_from_the_asking_to_the_reply(chat: Chat) -> None:
    chat.make_ready(233)

    chat.say("/merge 233")

    assert story(last_run()) == [
        "command.received",
        "access.allowed",
        "gates.decided",
        "effect.intended",
        "effect.settled",
        "run.finished",
        "reply.sent",
    ]


def test_the_merge_commit_names_who_asked_and_the_run(chat: Chat) -> None:
    chat.make_ready(233)

    chat.say("/merge 233")

    call = next(one for one in chat.sandbox.journal("gitee") if one["method"] == "PUT")
    assert f"Merged for 张三 by ChatOps run {last_run().pk} of" in str(call["arguments"])


def test_every_gate_that_fails_is_told_at_once(chat: Chat) -> None:
    chat.sandbox.change_gitee("set_draft", repository="acme/shop", number=235)

    answer = plain(chat.say("/merge 235"))

    assert answer.splitlines() == [
        "⛔ Not merged: shop#235",
        "· draft (lisi can mark it ready)",
        "· conflicts (lisi resolves them and pushes)",
        "· check unit failed on abc1234 (`/test 235 shop` runs the test job again)",
        "· tests not marked as passed (`/test 235 shop` runs the test job and marks them)",
        "· 1 approval missing (anyone with the right, but not the author: `/approve 235 shop`)",
    ]
    assert chat.effects() == []
    assert story(last_run())[-2:] == ["run.finished", "reply.sent"]


@pytest.mark.parametrize(
    ("op", "more", "fact"),
    [
        ("set_draft", {}, "draft (lisi can mark it ready)"),
        ("set_mergeable", {"mergeable": False}, "conflicts (lisi resolves them and pushes)"),
        (
            "set_check",
            {"name": "unit", "conclusion": "failure"},
            "check unit failed on abc1234 (`/test 233 shop` runs the test job again)",
        ),
        (
            "set_check",
            {"name": "e2e", "conclusion": None},
            "check e2e is still running on abc1234 (`/test 233 shop` runs the test job again)",
        ),
        (
            "unassign",
            {"login": "chatops-bot"},
            "tests not marked as passed (`/test 233 shop` runs the test job and marks them)",
        ),
        ("close_pull", {}, "closed (`/reopen 233 shop`)"),
        ("merge_elsewhere", {}, "already merged"),
    ],
)
def test_one_gate_alone_stops_a_merge(
    chat: Chat, op: str, more: dict[str, object], fact: str
) -> None:
    chat.make_ready(233)
    chat.sandbox.change_gitee(op, repository="acme/shop", number=233, **more)

    answer = plain(chat.say("/merge 233"))

    assert answer == f"⛔ Not merged: shop#233\n· {fact}"
    assert chat.effects() == []


def test_approvals_are_of_people_and_counted_by_the_portal_s_own_rule(chat: Chat) -> None:
    chat.make_ready(233)
    Repository.objects.update(approvals=2)

    assert "· 1 approval missing" in chat.say("/merge 233")
    chat.say("/approve 233", by="zhangsan")
    assert "· 1 approval missing" in chat.say("/merge 233")
    chat.say("/approve 233", by="wangfang")
    assert chat.say("/merge 233").startswith("✅ Merged")


def test_nobody_approves_their_own(chat: Chat) -> None:
    answer = plain(chat.say("/approve 234", by="zhangsan"))

    assert answer == (
        "⛔ Not approved: shop#234\nIt is your own pull request; somebody else has to approve it."
    )
    assert last_run().reason == "self_approval"
    assert chat.effects() == []


def test_whoever_has_no_known_login_might_be_the_author(chat: Chat) -> None:
    Person.objects.filter(username="zhangsan").update(forge_logins={})

    answer = chat.say("/approve 233")

    assert "Your login at gitee is not known here" in answer
    assert chat.effects() == []


def test_an_approval_is_of_what_was_looked_at(chat: Chat) -> None:
    chat.say("/pr 233")
    chat.sandbox.push("acme/shop", 233)

    refused = plain(chat.say("/approve 233"))
    chat.say("/pr 233")

    assert refused == (
        "⛔ Not approved: shop#233 has moved from abc1234 to abc1234 since you looked."
        " Look again: `/pr 233 shop`"
    )
    assert chat.say("/approve 233").startswith("✅ Approved")


@pytest.mark.parametrize(
    ("op", "why"), [("close_pull", "it is closed"), ("merge_elsewhere", "it is already merged")]
)
def test_what_is_not_open_is_not_approved(chat: Chat, op: str, why: str) -> None:
    chat.sandbox.change_gitee(op, repository="acme/shop", number=233)
    assert plain(chat.say("/approve 233")) == f"⛔ Not approved: shop#233, {why}."


def test_a_head_that_moves_right_before_the_merge_is_not_merged(chat: Chat) -> None:
    chat.make_ready(233)
    run = chat.only_say("/merge 233")
    assert run is not None
    Run.objects.filter(pk=run.pk).update(progress={"pinned": "0" * 40})

    chat.carry_out()

    assert "moved from 0000000 to" in chat.heard()[-1]
    assert chat.effects() == []


def test_a_head_that_moves_inside_the_merge_is_an_alarm(chat: Chat) -> None:
    chat.make_ready(233)
    chat.sandbox.change_gitee("set_repository", repository="acme/shop", resets_on_push=False)
    chat.sandbox.change_gitee("hook_on_merge", repository="acme/shop", number=233)

    answer = plain(chat.say("/merge 233"))

    assert answer.startswith(
        "⛔ ATTENTION: another commit than the checked one was merged: shop#233"
    )
    assert "Do not deploy before that." in answer
    assert last_run().reason == "merged_other_sha"


def test_a_method_given_wins_over_the_repository_s(chat: Chat) -> None:
    chat.make_ready(233)
    assert " · rebase · " in chat.say("/merge 233 shop rebase")


def test_a_second_merge_is_told_that_it_is_done(chat: Chat) -> None:
    chat.make_ready(233)
    chat.say("/merge 233")

    assert plain(chat.say("/merge 233", by="wangfang")).endswith("· already merged")
    assert chat.effects().count(MERGE) == 1


def test_failed_tests_tell_stage_and_log_and_mark_nothing(chat: Chat) -> None:
    chat.sandbox.change_jenkins("set_job", path="team/shop-test", fail_stage="Unit test")

    answer = plain(chat.say("/test 233"))

    assert answer.startswith(
        "⛔ Tests failed: shop#233 at abc1234, stage Unit test, after 6 s · build 1\n```\n"
    )
    assert answer.endswith(f"```\n`/test 233 shop` · `/log {last_run().pk}`")
    assert not chat.pull(233)["testers"]["chatops-bot"]


def test_tests_of_a_head_that_moved_meanwhile_are_not_marked(chat: Chat) -> None:
    chat.sandbox.change_jenkins("set_job", path="team/shop-test", duration=1_000_000)
    chat.only_say("/test 233")
    chat.turn_until_built()
    chat.sandbox.push("acme/shop", 233)
    chat.sandbox.change_jenkins("finish", path="team/shop-test")

    chat.carry_out()

    assert "nothing was marked. Test again: `/test 233 shop`" in chat.heard()[-1]
    assert not chat.pull(233)["testers"]["chatops-bot"]


def test_a_repository_without_test_job_says_who_sets_it(chat: Chat) -> None:
    Repository.objects.update(test_job=None)

    answer = chat.say("/test 233")

    assert answer == (
        "⛔ Not tested: shop#233\nThe repository shop has no test job yet."
        " An operator sets it in the portal, under Repositories."
    )


def test_a_closed_pull_request_is_not_tested(chat: Chat) -> None:
    chat.sandbox.change_gitee("close_pull", repository="acme/shop", number=233)
    assert plain(chat.say("/test 233")) == "⛔ Not tested: shop#233 is not open any more."
    assert chat.calls("jenkins") == 0


def test_a_comment_is_signed_with_who_asked(chat: Chat) -> None:
    answer = plain(chat.say("/comment 233 请补一个测试"))

    assert answer == "✅ Commented on shop#233"
    body = chat.pull(233)["comments"][-1]["body"]
    assert body.startswith("请补一个测试\n\n— 张三 · ChatOps run ")


def test_close_and_reopen_do_what_they_say_once(chat: Chat) -> None:
    assert chat.say("/close 233") == "✅ Closed shop#233"
    assert plain(chat.say("/close 233")) == "⛔ Nothing to do: shop#233 is closed."
    assert chat.say("/reopen 233") == "✅ Reopened shop#233"
    assert plain(chat.say("/reopen 233")) == "⛔ Nothing to do: shop#233 is open."
    assert chat.pull(233)["state"] == "open"
    assert len(chat.effects()) == 2


def test_a_pull_request_that_is_not_there_is_told_by_the_forge_s_name(chat: Chat) -> None:
    answer = chat.say("/merge 999")

    assert answer.startswith("⛔ Not done: `/merge 999`\nGitee has no acme/shop#999")
    assert "Nothing was changed" in answer
    assert chat.effects() == []
