"""Jenkins by chat: jobs, builds with typed parameters, deployments, their failures and the way back."""

import re

import pytest

from bot.commands.live import live
from bot.people.models import Grant
from bot.runs.models import Run
from repos.models import Environment, Job, Service
from tests.portal import Chat, deployed, last_run, master, merge, plain, story


def test_jenkins_jobs_lists_what_this_person_may_use(chat: Chat) -> None:
    own, all_of_them = chat.say("/jenkins jobs"), chat.say("/jobs", by="wangfang")

    assert own.splitlines() == [
        "**4 jobs**",
        "**billing-production** · deploy · billing · production · team/billing-deploy",
        "**billing-test** · test · billing · team/billing-test",
        "**myservice-production** · deploy · myservice · production · team/myservice-deploy",
        "**shop-test** · test · myservice · team/shop-test",
        "`/jenkins describe billing-production` for parameters",
    ]
    assert all_of_them.startswith("**7 jobs**")
    assert "web-staging" in all_of_them


def test_without_jobs_it_says_who_adds_them(chat: Chat) -> None:
    Job.objects.all().delete()
    assert chat.say("/jenkins jobs") == (
        "No jobs yet. An operator adds them in the portal, under Jobs."
    )


def test_describe_shows_the_parameters_and_a_line_to_fill_in(chat: Chat) -> None:
    answer = plain(chat.say("/jenkins describe myservice-production"))

    assert answer.splitlines() == [
        "**myservice-production** · team/myservice-deploy",
        "· `REF` string · Branch or tag",
        "· `SHA` string · Commit to deploy",
        "· `ENV` choice · one of staging, production · default staging · Where to",
        "· `CHATOPS_ID` string · The portal's run",
        "`/jenkins build myservice-production REF=… SHA=… ENV=staging`",
    ]


def test_describe_says_that_a_job_is_disabled(chat: Chat) -> None:
    chat.sandbox.change_jenkins("set_job", path="team/shop-test", disabled=True)
    assert "⛔ The job is disabled in Jenkins" in chat.say("/jenkins describe shop-test")


def test_a_job_without_parameters_says_so(chat: Chat) -> None:
    Job.objects.filter(name="billing-test").update(path="team/nightly")
    assert "It takes no parameters." in chat.say("/jenkins describe billing-test")


def test_a_service_is_tested_on_its_default_branch(chat: Chat) -> None:
    answer = plain(chat.say("/jenkins test my"))

    assert answer == "✅ Built shop-test · build 1 · 6 s"
    assert last_run().sha == master(chat)


def test_a_service_without_test_job_says_so(chat: Chat) -> None:
    Job.objects.filter(name="billing-test").update(purpose="build")
    assert chat.say("/jenkins test billing").startswith(
        "⛔ Not tested: billing has no test job yet."
    )


def test_a_build_gets_what_was_typed_and_the_run_s_own_mark(chat: Chat) -> None:
    answer = chat.say("/jenkins build shop-test PR=7 CHATOPS_ID=forged")

    call = next(one for one in chat.sandbox.journal("jenkins") if one["method"] == "POST")
    assert answer.startswith("✅ Built shop-test")
    assert call["arguments"]["PR"] == "7"
    assert call["arguments"]["CHATOPS_ID"] == str(last_run().pk)


def test_a_build_of_a_deploy_job_waits_for_the_deployment_before_it(chat: Chat) -> None:
    chat.only_say("/deploy myservice to production")
    chat.only_say("/jenkins build myservice-production REF=master")
    waiting = last_run()
    chat.turn()

    waiting.refresh_from_db()
    assert (waiting.state, waiting.external) == ("queued", {})

    chat.carry_out()

    assert [one["REF"] for one in deployed(chat)] == ["master", "master"]
    waiting.refresh_from_db()
    assert waiting.state == "succeeded"


def test_a_build_that_waits_in_the_queue_says_why_once(chat: Chat) -> None:
    chat.sandbox.change_jenkins("set_executors", n=0)
    since = len(chat.heard())
    chat.only_say("/deploy myservice to production")
    for _turn in range(3):
        chat.turn()
    run = last_run()
    run.progress = run.progress | {"queued_at": run.progress["queued_at"] - 31}
    run.save()
    for _turn in range(3):
        chat.turn()
    chat.send_replies()

    assert chat.heard()[since:] == [
        f"⏳ In Jenkins's queue: myservice → production · Waiting for next available executor · run {run.pk}"
    ]

    chat.sandbox.change_jenkins("set_executors", n=2)
    chat.carry_out()
    assert last_run().state == "succeeded"


def test_an_unknown_parameter_names_the_known_ones_and_builds_nothing(chat: Chat) -> None:
    answer = chat.say("/jenkins build shop-test WRONG=1")

    assert "has no parameter WRONG. It takes: PR, SHA, CHATOPS_ID." in answer
    assert chat.effects() == []


def test_a_failed_build_ends_with_log_and_retry(chat: Chat) -> None:
    chat.sandbox.change_jenkins("set_job", path="team/shop-test", result="UNSTABLE")

    answer = plain(chat.say("/jenkins build shop-test"))

    assert answer.startswith("⛔ Build failed: shop-test")
    assert " · unstable · build 1\n```" in answer
    assert answer.endswith(f"`/log {last_run().pk}` · `/retry {last_run().pk}`")


def test_a_deployment_is_of_the_commit_that_was_announced(chat: Chat) -> None:
    answer = plain(chat.say("/deploy myservice"))

    assert answer == "✅ Deployed myservice abc1234 to production · build 1 · 6 s"
    assert deployed(chat) == [
        {
            "REF": "master",
            "SHA": master(chat),
            "ENV": "production",
            "CHATOPS_ID": str(last_run().pk),
        }
    ]
    assert story(last_run()) == [
        "command.received",
        "access.allowed",
        "effect.intended",
        "effect.settled",
        "run.finished",
        "reply.sent",
    ]


def test_a_deployment_in_chinese(chinese: Chat) -> None:
    assert plain(chinese.say("/部署 myservice")) == (
        "✅ 已部署 myservice abc1234 到 production · 构建 1 · 6 秒"
    )


def test_a_branch_that_moves_after_the_announcement_is_not_what_is_deployed(chat: Chat) -> None:
    before = master(chat)
    chat.sandbox.change_jenkins("set_job", path="team/myservice-deploy", duration=1_000_000)
    chat.only_say("/deploy myservice")
    chat.turn_until_built()
    merge(chat)
    chat.sandbox.change_jenkins("finish", path="team/myservice-deploy")
    chat.carry_out()

    assert [one["SHA"] for one in deployed(chat)] == [before]
    assert last_run().sha == before


def test_a_long_deployment_says_once_that_it_is_under_way(chat: Chat) -> None:
    chat.sandbox.change_jenkins("set_job", path="team/myservice-deploy", duration=1_000_000)
    chat.only_say("/deploy myservice")
    for _turn in range(6):
        chat.turn()
        chat.send_replies()

    (told,) = map(plain, chat.heard())
    assert re.fullmatch(
        r"⏳ Deploying myservice abc1234 to production · build 1 · (usually .* · )?run \d+", told
    )


@pytest.mark.parametrize("ref", ["v1.4.2", "fix/payment-callback"])
def test_a_tag_or_branch_is_pinned_to_its_commit(chat: Chat, ref: str) -> None:
    chat.say(f"/deploy myservice {ref}")

    (call,) = deployed(chat)
    shop = chat.sandbox.state()["repositories"]["acme/shop"]
    assert call["REF"] == ref
    assert call["SHA"] == {**shop["branches"], **shop["tags"]}[ref]


def test_a_ref_that_is_not_there_deploys_nothing(chat: Chat) -> None:
    answer = chat.say("/deploy myservice nosuch")

    assert answer.startswith("⛔ Not done: `/deploy myservice nosuch`")
    assert deployed(chat) == []


def test_a_failed_deployment_tells_stage_log_and_what_is_still_live(chat: Chat) -> None:
    chat.say("/deploy myservice")
    merge(chat)
    chat.sandbox.change_jenkins("set_job", path="team/myservice-deploy", fail_stage="Smoke test")

    answer = plain(chat.say("/deploy myservice"))

    head, log, last = answer.split("```")
    assert head == (
        "⛔ Deployment failed: myservice abc1234 to production, stage Smoke test, after 6 s"
        " · build 2\n"
    )
    assert len(log.strip().splitlines()) == 20
    assert log.strip().endswith("Finished: FAILURE")
    number = last_run().pk
    assert last == (
        f"\nLive is still abc1234. `/retry {number}` · `/rollback myservice to production`"
    )


def test_a_failed_deployment_in_chinese(chinese: Chat) -> None:
    answer = plain(chinese.say("/deploy billing"))
    assert answer.startswith(
        "⛔ 部署失败：billing abc1234 → production，阶段 Smoke test，耗时 6 秒 · 构建 1\n```\n"
    )


def test_a_build_that_reports_another_commit_is_an_alarm(chat: Chat) -> None:
    chat.sandbox.change_jenkins(
        "set_job",
        path="team/myservice-deploy",
        parameters={"REF": "", "SHA": "", "ENV": "production", "CHATOPS_ID": ""},
    )
    job = Job.objects.get(name="myservice-production")
    job.parameters = {"SHA": "{sha}", "CHATOPS_ID": "{run}"}
    job.save()
    chat.sandbox.change_jenkins("set_job", path="team/myservice-deploy", duration=1_000_000)
    chat.only_say("/deploy myservice")
    chat.turn_until_built()
    Run.objects.filter(pk=last_run().pk).update(sha="1" * 40)
    chat.sandbox.change_jenkins("finish", path="team/myservice-deploy")

    chat.carry_out()

    assert "⛔ ATTENTION: Jenkins deployed" in chat.heard()[-1]
    assert last_run().reason == "deployed_other_sha"


def test_rollback_deploys_the_commit_before_the_live_one(chat: Chat) -> None:
    first = master(chat)
    chat.say("/deploy myservice")
    merge(chat)
    answer = chat.say("/deploy myservice")
    assert answer.endswith("\nBack: `/rollback myservice to production`")

    back = chat.say("/rollback myservice")

    assert back.startswith(f"✅ Deployed myservice {first[:7]} to production")
    assert deployed(chat)[-1]["SHA"] == first
    production = Environment.objects.get(name="production")
    now_live = live(Service.objects.get(name="myservice"), production)
    assert now_live is not None
    assert now_live.sha == first


def test_rollback_after_a_failed_deployment_goes_to_the_last_good_one(chat: Chat) -> None:
    chat.say("/deploy myservice")
    good = merge(chat)
    chat.say("/deploy myservice")
    merge(chat, 234)
    chat.sandbox.change_jenkins("set_job", path="team/myservice-deploy", result="FAILURE")
    assert "`/rollback myservice to production`" in chat.say("/deploy myservice")
    chat.sandbox.change_jenkins("set_job", path="team/myservice-deploy", result="SUCCESS")

    assert chat.say("/rollback myservice").startswith(f"✅ Deployed myservice {good[:7]}")


def test_a_second_rollback_does_not_return_to_what_the_first_one_left(chat: Chat) -> None:
    oldest = master(chat)
    chat.say("/deploy myservice")
    merge(chat)
    chat.say("/deploy myservice")
    assert chat.say("/rollback myservice").startswith(f"✅ Deployed myservice {oldest[:7]}")

    assert chat.say("/rollback myservice").startswith("⛔ Not rolled back: myservice → production")


def test_without_an_earlier_deployment_there_is_nothing_to_go_back_to(chat: Chat) -> None:
    chat.say("/deploy myservice")

    answer = chat.say("/rollback myservice")

    assert answer.startswith("⛔ Not rolled back: myservice → production\n")
    assert len(deployed(chat)) == 1


def test_several_environments_are_a_menu_of_whole_commands(chat: Chat) -> None:
    answer = chat.say("/deploy web v0.9.0", by="wangfang")

    assert answer.splitlines() == [
        "⛔ `/deploy web v0.9.0` could mean several. Which one?",
        "1. `/deploy web v0.9.0 to production`",
        "2. `/deploy web v0.9.0 to staging`",
    ]
    assert deployed(chat) == []
    assert chat.say("/deploy web v0.9.0 to staging", by="wangfang").startswith("✅ Deployed web")
    assert deployed(chat)[-1]["ENV"] == "staging"


def test_a_menu_holds_only_what_the_person_may_choose(chat: Chat) -> None:
    Grant.objects.filter(person__username="wangfang", role__name="releaser").update(
        environment=Environment.objects.get(name="staging")
    )
    assert chat.say("/deploy web", by="wangfang").splitlines()[1:] == [
        "1. `/deploy web to staging`"
    ]


def test_an_alias_of_two_services_is_a_menu_too(chat: Chat) -> None:
    Service.objects.filter(name="billing").update(aliases=["my"])
    assert chat.say("/deploy my").splitlines() == [
        "⛔ `/deploy my` could mean several. Which one?",
        "1. `/deploy billing`",
        "2. `/deploy myservice`",
    ]


def test_an_environment_without_job_is_told(chat: Chat) -> None:
    assert chat.say("/deploy myservice to staging") == (
        "⛔ There is no deployment of `staging` that you may use here."
    )


def test_a_service_without_repository_cannot_be_pinned(chat: Chat) -> None:
    Service.objects.filter(name="myservice").update(repository=None)
    assert "so its commit cannot be pinned" in chat.say("/deploy myservice", by="wangfang")
    assert deployed(chat) == []


def test_a_disabled_job_is_told_by_jenkins_s_own_words(chat: Chat) -> None:
    chat.sandbox.change_jenkins("set_job", path="team/myservice-deploy", disabled=True)

    answer = chat.say("/deploy myservice")

    assert "team/myservice-deploy is disabled in Jenkins." in answer
    assert last_run().state == "failed"


@pytest.mark.parametrize("text", ["/jenkins describe nosuch", "/jenkins build nosuch A=1"])
def test_a_job_that_is_not_there_is_told(chat: Chat, text: str) -> None:
    assert chat.say(text) == "⛔ There is no job `nosuch` that you may use here."
