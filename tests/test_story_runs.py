"""Runs by chat: what is live, how a run ended and why, its log, ending it, and doing it once more."""

import re
from datetime import timedelta

import pytest
import requests
from django.utils import timezone

from bot.people.models import Grant
from bot.runs.models import Effect, EffectState, Reply, Run, RunState
from repos.models import Repository
from tests.portal import Chat, deployed, last_run, master, merge, plain, story

CLOCK = r"\d\d-\d\d \d\d:\d\d"


def begin_a_long_deployment(chat: Chat, by: str = "zhangsan") -> Run:
    """One that goes on until it is stopped."""
    chat.sandbox.change_jenkins("set_job", path="team/myservice-deploy", duration=1_000_000)
    chat.only_say("/deploy myservice", by=by)
    return chat.turn_until_built()


def finish_the_deployment(chat: Chat, run: Run) -> None:
    chat.sandbox.change_jenkins("finish", path="team/myservice-deploy")
    Run.objects.filter(pk=run.pk).update(due_at=timezone.now())
    chat.carry_out()
    run.refresh_from_db()


def leave_unknown(chat: Chat) -> Run:
    """A deployment whose trigger got no answer and left no trace."""
    run = chat.only_say("/deploy myservice")
    assert run is not None
    chat.sandbox.fault("jenkins", "reset_before", method="POST", path_regex="build")
    chat.turn()
    Effect.objects.update(searches=1, searched_at=timezone.now() - timedelta(minutes=2))
    chat.carry_out()
    run.refresh_from_db()
    return run


def test_status_shows_what_is_live_and_what_is_under_way(chat: Chat) -> None:
    chat.say("/deploy myservice")
    first = last_run().pk
    run = begin_a_long_deployment(chat)
    since = max(one["n"] for one in chat.sandbox.messages())
    chat.only_say("/status myservice")
    chat.turn()
    chat.send_replies()

    answer = plain(chat.heard(since)[-1]).splitlines()

    assert answer[0] == "**myservice**"
    assert re.fullmatch(
        rf"· myservice → production: abc1234 \(master\) · 张三 · {CLOCK} · run {first}", answer[1]
    )
    assert answer[2] == "**Under way**"
    assert re.fullmatch(
        rf"⏳ {run.pk} · 张三 · `/deploy myservice` · under way · {CLOCK}", answer[3]
    )


def test_status_without_a_name_shows_only_services_one_may_see(chat: Chat) -> None:
    assert chat.say("/status").splitlines() == [
        "**What is live**",
        "· billing → production: nothing deployed through the portal yet",
        "· myservice → production: nothing deployed through the portal yet",
    ]
    assert "web → staging" in chat.say("/status", by="wangfang")


def test_status_of_a_run_tells_its_end(chat: Chat) -> None:
    chat.say("/merge 235")
    number = last_run().pk

    answer = plain(chat.say(f"/status {number}", by="zhaoliu")).splitlines()

    assert re.fullmatch(rf"⛔ {number} · 张三 · `/merge 235` · refused · {CLOCK}", answer[0])
    assert re.fullmatch(r"Took \d s", answer[1])
    assert answer[2] == "⛔ Not merged: shop#235"


def test_history_shows_what_changed_things_and_who(chat: Chat) -> None:
    chat.say("/merge 235")
    chat.say("/comment 233 hello", by="lisi")
    chat.say("/prs")

    answer = chat.say("/history").splitlines()

    assert answer[0] == "**The last 2**"
    assert "李四 · `/comment 233 hello` · done" in answer[1]
    assert "张三 · `/merge 235` · refused" in answer[2]
    assert answer[3].endswith("shows why it ended so")
    assert chat.say("/history me", by="lisi").startswith("**The last 1**")


def test_history_of_a_service_holds_its_deployments(chat: Chat) -> None:
    chat.say("/deploy myservice")
    chat.say("/close 233")

    answer = chat.say("/history myservice")

    assert "`/deploy myservice`" in answer
    assert "/close" not in answer


def test_history_says_what_shows_up_there_while_it_is_empty(chat: Chat) -> None:
    assert chat.say("/history") == "Nothing yet. Commands that change something show up here."


def test_history_hides_what_one_may_not_see(chat: Chat) -> None:
    chat.say("/merge 12 web", by="wangfang")
    assert chat.say("/history") == "Nothing yet. Commands that change something show up here."


def test_why_shows_the_gates_and_the_effects(chat: Chat) -> None:
    chat.make_ready(233)
    chat.say("/merge 233")
    number = last_run().pk

    answer = chat.say(f"/why {number}").splitlines()

    assert re.fullmatch(rf"✅ {number} · 张三 · `/merge 233` · done · {CLOCK}", answer[0])
    assert answer[1:-1] == [
        "✅ open",
        "✅ not a draft",
        "✅ no conflicts",
        "✅ checks green",
        "✅ tests passed",
        "✅ approved by 张三",
    ]
    assert re.fullmatch(rf"· merge: done · {CLOCK}", answer[-1])


def test_why_of_a_refusal_shows_what_failed(chat: Chat) -> None:
    chat.say("/merge 235")
    assert "\n⛔ conflicts\n" in chat.say(f"/why {last_run().pk}")


def test_log_shows_the_last_lines_of_the_build(chat: Chat) -> None:
    chat.say("/deploy billing")
    number = last_run().pk

    answer = plain(chat.say(f"/log {number}"))

    assert f"{number} · 张三 · `/deploy billing` · failed" in answer
    assert answer.count("\n") == 22
    assert answer.endswith("Finished: FAILURE\n```")


def test_a_run_without_build_has_no_log(chat: Chat) -> None:
    chat.say("/close 233")
    number = last_run().pk
    assert chat.say(f"/log {number}") == f"⛔ Run {number} has no build, so it has no log."


@pytest.mark.parametrize("verb", ["status", "log", "why", "cancel", "retry"])
def test_a_run_one_may_not_see_is_answered_like_one_that_is_not_there(
    chat: Chat, verb: str
) -> None:
    chat.say("/merge 12 web", by="wangfang")
    hidden = last_run().pk

    refused = chat.say(f"/{verb} {hidden}")

    assert refused == f"⛔ There is no run `{hidden}` that you may see."
    assert chat.say(f"/{verb} 999999") == refused.replace(str(hidden), "999999")


@pytest.mark.parametrize("verb", ["status", "log", "why"])
def test_what_somebody_asked_about_themselves_is_theirs(chat: Chat, verb: str) -> None:
    chat.say("/whoami", by="wangfang")
    number = last_run().pk
    assert chat.say(f"/{verb} {number}") == f"⛔ There is no run `{number}` that you may see."


def test_a_queued_run_is_cancelled_before_it_begins(chat: Chat) -> None:
    waiting = chat.only_say("/deploy myservice")
    assert waiting is not None
    Run.objects.filter(pk=waiting.pk).update(key="held")
    Run.objects.create(
        key="held", state=RunState.RUNNING, platform="dingtalk", command="help", language="en",
        accepted_at=timezone.now(), due_at=timezone.now(), lease_until=timezone.now().replace(year=2100),
    )  # fmt: skip
    run = chat.only_say(f"/cancel {waiting.pk}", by="wangfang")
    assert run is not None
    chat.turn()
    chat.send_replies()

    told = chat.heard()[-2:]
    assert any(text.startswith(f"✅ Cancelled before it began: run {waiting.pk}") for text in told)
    assert any(text.startswith("⛔ Cancelled by 王芳 before it began\n") for text in told)
    assert [one.kind for one in waiting.replies.all()] == [Reply.Kind.FINAL]
    waiting.refresh_from_db()
    assert waiting.state == RunState.CANCELLED
    assert deployed(chat) == []
    assert story(waiting)[-2:] == ["run.finished", "reply.sent"]


def test_a_running_build_is_stopped_and_tells_its_own_end(chat: Chat) -> None:
    run = begin_a_long_deployment(chat)
    since = max(one["n"] for one in chat.sandbox.messages())

    chat.say(f"/cancel {run.pk}", by="wangfang")

    said = [plain(text) for text in chat.heard(since)]
    assert any(text.startswith(f"⏳ Stopping run {run.pk}") for text in said)
    assert "⛔ Cancelled by 王芳: myservice → production · build 1" in said
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED


@pytest.mark.parametrize("mode", ["html200", "status"])
def test_a_build_whose_server_answers_nonsense_is_followed_on(chat: Chat, mode: str) -> None:
    run = begin_a_long_deployment(chat)
    more = {"status": 403} if mode == "status" else {}
    chat.sandbox.fault("jenkins", mode, method="GET", path_regex="/job/", times=1, **more)
    Run.objects.filter(pk=run.pk).update(due_at=timezone.now())
    chat.turn()
    run.refresh_from_db()
    assert run.state == RunState.RUNNING

    finish_the_deployment(chat, run)
    assert chat.heard()[-1].startswith("✅ Deployed myservice")


def test_a_stop_that_jenkins_refuses_does_not_end_the_run(chat: Chat) -> None:
    run = begin_a_long_deployment(chat)
    chat.sandbox.fault("jenkins", "status", method="POST", path_regex="/stop", status=403)

    chat.only_say(f"/cancel {run.pk}", by="wangfang")
    for _ in range(3):
        chat.turn()

    run.refresh_from_db()
    assert run.state == RunState.RUNNING

    finish_the_deployment(chat, run)
    assert run.state == RunState.SUCCEEDED


def test_what_has_ended_cannot_be_cancelled(chat: Chat) -> None:
    chat.say("/close 233")
    number = last_run().pk
    assert chat.say(f"/cancel {number}").startswith(f"⛔ Run {number} has ended already.")


def test_an_outcome_that_cannot_be_known_is_called_so(chat: Chat) -> None:
    run = leave_unknown(chat)

    answer = chat.heard()[-1]

    assert run.state == RunState.UNKNOWN
    assert answer.startswith("❓ Outcome unknown: myservice → production\nThe request was sent at ")
    assert answer.endswith(f"then `/retry {run.pk}` or `/cancel {run.pk}`.")
    assert Effect.objects.get(run=run).state == EffectState.UNKNOWN


def test_an_unknown_run_is_closed_by_cancel(chat: Chat) -> None:
    run = leave_unknown(chat)

    answer = chat.say(f"/cancel {run.pk}")

    assert answer == (
        f"✅ Closed: run {run.pk}. Its outcome stays unknown; nothing was changed by this."
    )
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.CANCELLED, "closed_by_hand")


def test_a_retry_of_an_unknown_run_is_a_new_one_of_the_same_commit(chat: Chat) -> None:
    first, run = master(chat), leave_unknown(chat)
    merge(chat)

    answer = chat.say(f"/retry {run.pk}")

    assert answer.startswith(f"✅ Deployed myservice {first[:7]} to production")
    assert last_run().retry_of_id == run.pk
    assert deployed(chat)[-1]["CHATOPS_ID"] == str(last_run().pk)


def test_a_retry_finds_the_build_that_came_to_light_late_and_starts_no_other(chat: Chat) -> None:
    run = leave_unknown(chat)
    sent = Effect.objects.get(run=run).intent["parameters"]
    address = f"{chat.sandbox.jenkins}/job/team/job/myservice-deploy/buildWithParameters"
    late = requests.post(address, data=sent, auth=("bot", "demo-jenkins-token"), timeout=10)

    answer = chat.say(f"/retry {run.pk}")

    assert late.status_code == 201
    assert answer.startswith(
        f"⛔ Not repeated: myservice → production\nRun {run.pk} did reach Jenkins"
    )
    assert last_run().reason == "ran_after_all"
    assert [effect for effect in chat.effects() if "build" in effect] == [
        "POST /jenkins/job/team/job/myservice-deploy/buildWithParameters"
    ]


def test_a_failed_deployment_is_repeated_as_it_was_announced(chat: Chat) -> None:
    first = master(chat)
    chat.sandbox.change_jenkins("set_job", path="team/myservice-deploy", fail_stage="Deploy")
    chat.say("/deploy myservice")
    number = last_run().pk
    merge(chat)
    chat.sandbox.change_jenkins("set_job", path="team/myservice-deploy", fail_stage="")

    answer = chat.say(f"/retry {number}", by="wangfang")

    assert answer.startswith(f"✅ Deployed myservice {first[:7]}")
    assert (last_run().actor, last_run().canonical) == ("王芳", "/deploy myservice")


def test_what_succeeded_or_is_under_way_is_not_repeated(chat: Chat) -> None:
    chat.say("/close 233")
    number = last_run().pk
    assert chat.say(f"/retry {number}") == (
        f"⛔ Not repeated: run {number} (done). Only what ended without success can be repeated."
    )
    run = begin_a_long_deployment(chat)
    chat.only_say(f"/retry {run.pk}")
    assert "(under way)" in last_run().summary


def test_what_was_refused_at_once_is_asked_again_not_repeated(chat: Chat) -> None:
    chat.say("/merge 12 nosuch")
    number = last_run().pk
    assert chat.say(f"/retry {number}") == (
        f"⛔ Not repeated: run {number} was refused at once. Send its command again."
    )


def test_a_misread_line_is_no_run_to_repeat(chat: Chat) -> None:
    chat.say("/mergee 233")
    number = last_run().pk
    assert chat.say(f"/retry {number}") == f"⛔ There is no run `{number}` that you may see."
    assert chat.status == 200


def test_a_retry_takes_the_right_to_what_it_repeats(chat: Chat) -> None:
    chat.sandbox.change_jenkins("set_job", path="team/myservice-deploy", fail_stage="Deploy")
    chat.say("/deploy myservice")
    number = last_run().pk

    answer = chat.say(f"/retry {number}", by="lisi")

    assert answer.startswith(f"⛔ You may not `/retry {number}`: it takes the role releaser here.")
    assert len(deployed(chat)) == 1


def test_a_right_that_was_taken_back_before_the_turn_stops_the_run(chat: Chat) -> None:
    chat.make_ready(233)
    run = chat.only_say("/merge 233")
    assert run is not None
    Grant.objects.filter(person__username="zhangsan").delete()
    calls = chat.calls("gitee")

    chat.carry_out()

    assert chat.heard()[-1] == (
        "⛔ Not done: `/merge 233`\nYou had the right when you asked, and no longer have it."
    )
    assert chat.calls("gitee") == calls
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.REFUSED, "permission_revoked")


def test_a_command_that_waited_too_long_is_not_run_any_more(chat: Chat) -> None:
    chat.make_ready(233)
    run = chat.only_say("/merge 233")
    assert run is not None
    Run.objects.update(deadline_at=timezone.now())

    chat.carry_out()

    assert "It waited longer than 15 minutes" in chat.heard()[-1]
    assert chat.heard()[-1].endswith(f"Ask again: `/retry {run.pk}`")
    assert chat.effects() == []
    assert chat.say(f"/retry {run.pk}").startswith("✅ Merged")


def test_our_own_fault_is_tried_again_and_then_said_plainly(chat: Chat) -> None:
    run = chat.only_say("/close 233")
    assert run is not None
    Run.objects.filter(pk=run.pk).update(repository=None)
    Grant.objects.filter(person__username="zhangsan").update(repository=None)
    assert Repository.objects.exists()

    chat.carry_out()

    assert chat.heard()[-1] == (
        f"⛔ The portal itself failed at: `/close 233`\n"
        f"Tell an operator: run {run.pk}; the portal's log has the reason."
    )
    run.refresh_from_db()
    assert (run.state, run.attempt) == (RunState.FAILED, 5)
