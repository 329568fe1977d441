"""Who may what, as people meet it: strangers, refusals with their way out, and what is kept from them."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Entry
from bot.people.models import AccessRequest, Account, Grant, Person, Role, Team
from bot.platforms.models import Conversation
from bot.runs.models import Delivery, Run, RunState
from repos.models import Environment, JenkinsServer, Job, Repository, Service
from tests.portal import Chat, last_run, plain, refuse_entries, story


def test_a_stranger_is_told_the_id_and_waits_for_an_operator(chat: Chat) -> None:
    answer = chat.say("/merge 233", by="stranger")

    assert answer == (
        "⛔ I do not know this account yet: dingtalk user999."
        " An access request is waiting for an operator."
        " Or link it yourself: portal → Link a chat account."
    )
    request = AccessRequest.objects.get()
    assert (request.external_id, request.shown_name, request.state) == (
        "user999",
        "陌生人",
        "waiting",
    )
    assert story(last_run()) == ["command.received", "access.denied", "reply.sent"]


def test_a_stranger_in_chinese(chinese: Chat) -> None:
    assert chinese.say("/合并 233", by="stranger") == (
        "⛔ 还不认识这个账号：dingtalk user999。已提交开通申请，等管理员处理。"
        "也可以自己绑定：门户 → 绑定聊天账号。"
    )


def test_a_stranger_who_asks_often_is_one_request(chat: Chat) -> None:
    for text in ("/merge 233", "/mergee 1", "/prs"):
        chat.say(text, by="stranger")
    assert AccessRequest.objects.count() == 1


def test_a_stranger_may_ask_for_help_and_for_the_ids_an_operator_needs(chat: Chat) -> None:
    listed, who = chat.say("/help", by="stranger"), chat.say("/whoami", by="stranger")

    assert re.findall(r"^`/(\w+)", listed, re.MULTILINE) == ["help", "whoami", "link", "help"]
    assert who.splitlines() == [
        "I do not know this account yet.",
        "Your account: dingtalk `user999`",
        "Tenant: `ding-demo-corp`",
        "Conversation: `cid-release`",
    ]


def test_a_job_of_nobody_takes_a_right_on_everything(chat: Chat) -> None:
    Job.objects.create(
        name="nightly",
        jenkins=JenkinsServer.objects.get(),
        path="team/nightly",
        purpose="build",
    )
    Role.objects.create(name="builder", commands=["jenkins"])
    grant = Grant.objects.create(
        person=Person.objects.get(username="zhaoliu"),
        role=Role.objects.get(name="builder"),
        repository=Repository.objects.get(name="shop"),
    )

    refused = chat.say("/jenkins build nightly", by="zhaoliu")
    Grant.objects.filter(pk=grant.pk).update(repository=None)
    allowed = chat.say("/jenkins build nightly", by="zhaoliu")

    assert refused.startswith("⛔ You may not `/jenkins build nightly`")
    assert allowed.startswith("✅ Built nightly")


def test_a_name_is_nobody_and_neither_is_an_id_of_another_organisation(chat: Chat) -> None:
    chat.send("/merge 233", senderStaffId="user777", senderNick="张三")
    chat.send("/merge 233", senderCorpId="ding-other-corp")
    chat.send("/merge 233", senderStaffId=None)

    assert Run.objects.filter(state="refused", reason="stranger", person=None).count() == 3
    assert Run.objects.count() == 3


def test_help_holds_what_this_person_may_do_and_no_more(chat: Chat) -> None:
    viewer, maintainer = chat.say("/help", by="zhaoliu"), chat.say("/帮助", by="zhangsan")

    def verbs(text: str) -> list[str]:
        return re.findall(r"^`/([a-z]+(?: [a-z]+)?)", text, re.MULTILINE)[:-1]

    assert verbs(viewer) == [
        "help",
        "whoami",
        "link",
        "prs",
        "pr",
        "status",
        "log",
        "history",
        "why",
    ]
    assert len(verbs(maintainer)) == 23


def test_help_of_one_command_shows_usage_examples_and_aliases(chat: Chat) -> None:
    assert chat.say("/help 合并").splitlines() == [
        "**`/merge 233 [repo] [merge|squash|rebase]`** merges a pull request's head after all gates",
        "· `/merge 233`",
        "· `/merge 233 shop squash`",
        "· `/合并 233`",
        "Also: `合并` `合入`",
    ]
    assert chat.say("/help merge", by="zhaoliu") == (
        "⛔ You have no command `/merge` here. `/help` shows what you may do."
    )


def test_whoami_shows_accounts_logins_and_roles(chat: Chat) -> None:
    assert chat.say("/whoami", by="lisi").splitlines() == [
        "**李四** (lisi)",
        "Accounts: dingtalk user102",
        "Forge logins: gitee lisi",
        "Your account: dingtalk `user102`",
        "Tenant: `ding-demo-corp`",
        "Conversation: `cid-release`",
        "· developer · repository:shop",
    ]
    Grant.objects.all().delete()
    assert chat.say("/whoami", by="lisi").endswith("under Grants.")


def test_a_refusal_names_the_role_the_account_and_whom_to_ask(chat: Chat) -> None:
    answer = chat.say("/merge 233", by="lisi")

    assert answer == (
        "⛔ You may not `/merge 233`: it takes the role maintainer here.\n"
        "Your account: dingtalk user102. Ask 张三, 王芳."
    )
    entry = Entry.objects.get(run=last_run().pk, event="access.denied")
    assert (entry.outcome, entry.reason, entry.rule) == ("denied", "denied_no_grant", "no grant")
    assert chat.calls("gitee") == 0


def test_a_refusal_in_chinese(chinese: Chat) -> None:
    assert chinese.say("/部署 myservice", by="lisi") == (
        "⛔ 你没有执行 `/deploy myservice` 的权限：需要角色 releaser。\n"
        "你的账号：dingtalk user102。可联系 张三、王芳。"
    )


@pytest.mark.parametrize("change", ["elsewhere", "expired"])
def test_a_role_that_holds_elsewhere_or_not_any_more_is_named(chat: Chat, change: str) -> None:
    grant = Grant.objects.get(person__username="zhangsan", role__name="maintainer")
    if change == "elsewhere":
        grant.conversations.add(Conversation.objects.get(external_id="cid-dev"))
    else:
        Grant.objects.filter(pk=grant.pk).update(until=timezone.now())
    Grant.objects.create(
        person=grant.person, role=Grant.objects.get(person__username="zhaoliu").role
    )

    answer = chat.say("/merge 233")

    assert "\nYou have maintainer, but not for this, here and now.\n" in answer


def test_a_person_who_is_switched_off_may_nothing_any_more(chat: Chat) -> None:
    Person.objects.filter(username="zhangsan").update(active=False)

    answer = chat.say("/prs")

    assert answer.startswith("⛔ You may not `/prs`")
    assert last_run().reason == "denied_person_inactive"


def test_a_team_s_grant_is_its_members_right(chat: Chat) -> None:
    chat.make_ready(233)
    team = Team.objects.create(name="backend")
    team.members.add(Person.objects.get(username="lisi"))
    Grant.objects.create(
        team=team, role=Grant.objects.get(person__username="wangfang", role__name="maintainer").role
    )
    assert chat.say("/merge 233", by="lisi").startswith("✅ Merged")


@pytest.mark.parametrize(
    ("hidden", "missing"),
    [
        ("/merge 12 web", "/merge 12 nosuch"),
        ("/merge web#12", "/merge nosuch#12"),
        ("/prs web", "/prs nosuch"),
        ("/deploy web", "/deploy nosuch"),
        ("/deploy web to staging", "/deploy nosuch to staging"),
        ("/deploy web to nowhere", "/deploy nosuch to nowhere"),
        ("/rollback web to staging", "/rollback nosuch to staging"),
        ("/status web", "/status nosuch"),
        ("/jenkins test web", "/jenkins test nosuch"),
        ("/jenkins describe web-test", "/jenkins describe nosuch-test"),
        ("/jenkins build web-test A=1", "/jenkins build nosuch-test A=1"),
    ],
)
def test_what_one_may_not_see_is_answered_like_what_is_not_there(
    chat: Chat, hidden: str, missing: str
) -> None:
    told = chat.say(hidden)

    assert told.startswith("⛔ There is no ")
    assert told.replace("web", "nosuch") == chat.say(missing)
    assert chat.effects() == []


def test_a_suggestion_is_only_of_what_one_may_use(chat: Chat) -> None:
    assert chat.say("/deploy myservcie") == (
        "⛔ There is no service `myservcie` that you may use here.\n"
        "Did you mean `/deploy myservice`?"
    )
    assert chat.say("/status webb") == "⛔ There is no service `webb` that you may use here."
    assert chat.say("/status webb", by="wangfang").endswith("Did you mean `/status web`?")


def test_a_corrected_command_is_never_run_by_itself(chat: Chat) -> None:
    chat.make_ready(233)
    assert chat.say("/mergee 233") == "⛔ No command /mergee. Did you mean `/merge 233`?"
    assert chat.effects() == []


def test_the_repository_is_the_argument_s_then_the_place_s_then_one_s_own(chat: Chat) -> None:
    web = Repository.objects.get(name="web")
    Person.objects.filter(username="wangfang").update(repository=web)

    def repository(text: str, where: str) -> str:
        return plain(chat.say(text, by="wangfang", where=where)).split(" in ")[1].split("**")[0]

    assert repository("/prs web", "cid-release") == "web"
    assert repository("/prs", "cid-release") == "shop"
    assert repository("/prs", "cid-dev") == "web"
    Person.objects.update(repository=None)
    assert repository("/prs", "cid-dev") == "shop"


def test_without_any_default_one_chooses_among_whole_commands(chat: Chat) -> None:
    Repository.objects.update(default=False)

    answer = chat.say("/merge 233 squash", by="wangfang", where="cid-dev")

    assert answer.splitlines() == [
        "⛔ `/merge 233 squash` could mean several. Which one?",
        "1. `/merge shop#233 squash`",
        "2. `/merge web#233 squash`",
    ]
    assert chat.say("/merge 233", where="cid-dev").count("\n") == 1


def test_without_any_repository_nothing_is_told_about_one(chat: Chat) -> None:
    Service.objects.update(repository=None)
    Grant.objects.filter(repository__isnull=False).delete()
    Conversation.objects.update(repository=None)
    Repository.objects.all().delete()
    assert chat.say("/prs", by="wangfang").startswith("⛔ You may not `/prs` here.")


def test_one_right_in_one_environment_is_none_in_another(chat: Chat) -> None:
    Grant.objects.filter(person__username="wangfang", role__name="releaser").update(
        environment=Environment.objects.get(name="staging")
    )

    refused = chat.say("/deploy web to production", by="wangfang")

    assert refused.startswith("⛔ You may not `/deploy web to production`")
    assert chat.say("/deploy web to staging", by="wangfang").startswith("✅ Deployed web")


def test_the_record_keeps_what_was_typed_without_the_token_in_it(chat: Chat) -> None:
    answer = chat.say("/deploy myservice glpat-abcdefghij1234567890")

    assert "Revoke the token" in answer
    for entry in Entry.objects.filter(run=last_run().pk):
        assert "abcdefghij" not in str(vars(entry))
    assert Entry.objects.get(event="command.received").redactions == 1
    assert last_run().text == "/deploy myservice [redacted]"


def test_without_a_record_of_the_intent_there_is_no_effect(chat: Chat) -> None:
    chat.make_ready(233)
    refuse_entries("effect.intended")

    answer = chat.say("/merge 233")

    assert answer.startswith("⛔ The portal itself failed at: `/merge 233`")
    assert chat.effects() == []
    assert chat.pull(233)["state"] == "open"


def test_without_a_record_of_the_command_there_is_no_run(chat: Chat) -> None:
    refuse_entries("command.received")

    chat.only_say("/merge 233")

    assert chat.status == 503
    assert (Run.objects.count(), Delivery.objects.count()) == (0, 0)


def test_nobody_has_more_than_twenty_commands_under_way(chat: Chat) -> None:
    for number in range(1, 31):
        assert chat.send(f"/test {number}").status_code == 200

    states = [run.reason or run.state for run in Run.objects.order_by("pk")]
    assert states == [RunState.QUEUED] * 20 + ["too_many"]
    assert "You have 20 commands under way" in last_run().summary
    assert Entry.objects.filter(event="message.ignored", reason="too_many").count() == 9


def test_who_was_declined_is_not_told_of_a_request_that_waits(chat: Chat) -> None:
    chat.send("/merge 233", senderStaffId="user999")
    AccessRequest.objects.update(state=AccessRequest.State.DECLINED)

    chat.send("/merge 233", senderStaffId="user999")

    assert last_run().summary == (
        "⛔ I do not know this account: dingtalk user999. An operator can link it."
    )


def test_sixty_commands_a_minute_are_answered_and_the_next_one_is_told_why_not(chat: Chat) -> None:
    for _number in range(70):
        assert chat.send("/whoami").status_code == 200
    chat.send("/whoami", senderStaffId="user102")

    runs = Run.objects.order_by("pk")
    states = [run.reason or run.state for run in runs]
    assert states == [RunState.QUEUED] * 60 + ["too_fast", RunState.QUEUED]
    assert "more than 60 commands within a minute" in runs[60].summary
    assert Entry.objects.filter(event="message.ignored", reason="too_fast").count() == 9

    Run.objects.update(accepted_at=timezone.now() - timedelta(minutes=1))
    chat.send("/whoami")
    assert last_run().state == RunState.QUEUED


def test_a_stranger_is_answered_five_times_in_ten_minutes(chat: Chat) -> None:
    for _number in range(7):
        chat.send("/merge 233", senderStaffId="user999")

    assert [run.reason for run in Run.objects.all()] == ["stranger"] * 5
    assert Entry.objects.filter(event="message.ignored", reason="too_fast").count() == 2


def test_whoever_has_too_many_may_still_ask_and_cancel_and_others_are_not_held_up(
    chat: Chat,
) -> None:
    for number in range(1, 22):
        chat.send(f"/test {number}")
    first = Run.objects.earliest("pk")

    for text, staff in (
        ("/prs", "user101"),
        (f"/cancel {first.pk}", "user101"),
        ("/test 9", "user102"),
    ):
        chat.send(text, senderStaffId=staff)
        assert last_run().state == RunState.QUEUED


def test_a_minute_later_it_is_told_again(chat: Chat) -> None:
    for number in range(1, 22):
        chat.send(f"/test {number}")
    Run.objects.filter(reason="too_many").update(accepted_at=timezone.now() - timedelta(seconds=61))
    chat.send("/test 99")
    assert Run.objects.filter(reason="too_many").count() == 2


def test_two_accounts_of_one_person_are_one_person(chat: Chat) -> None:
    chat.make_ready(233)
    Repository.objects.update(approvals=2)
    person = Person.objects.get(username="wangfang")
    values: dict[str, Any] = {"platform": "dingtalk", "tenant": "ding-demo-corp"}
    Account.objects.create(person=person, external_id="user888", **values)

    chat.say("/approve 233", by="wangfang")
    chat.send("/approve 233", senderStaffId="user888")
    chat.carry_out()

    assert "approved by 张三, 王芳" in chat.say("/pr 233")
    Repository.objects.update(approvals=3)
    assert "1 approval missing" in chat.say("/merge 233")


@pytest.mark.parametrize(
    ("text", "by", "events"),
    [
        ("/prs", "zhaoliu", "received allowed finished"),
        ("/approve 233", "zhangsan", "received allowed intended settled finished"),
        ("/approve 234", "zhangsan", "received allowed finished"),
        ("/test 233", "lisi", "received allowed intended settled intended settled finished"),
        ("/comment 233 hi", "lisi", "received allowed intended settled finished"),
        ("/close 999", "zhangsan", "received allowed finished"),
        ("/merge 233", "lisi", "received denied"),
        ("/merge 12 nosuch", "zhangsan", "received refused"),
        ("/mergee 233", "zhangsan", "received refused"),
        ("/retry 999999", "zhangsan", "received refused"),
    ],
)
def test_every_kind_of_run_is_recorded_in_its_order(
    chat: Chat, text: str, by: str, events: str
) -> None:
    chat.say(text, by=by)

    told = [event.split(".")[1] for event in story(last_run())]

    assert told == [*events.split(), "sent"]


def test_an_entry_says_who_asked_what_where_and_what_came_of_it(chat: Chat) -> None:
    chat.say("/关闭 233")

    received, *_between, finished, _sent = Entry.objects.filter(run=last_run().pk).order_by("seq")

    assert (received.person, received.account, received.conversation_name) == (
        "张三",
        "user101",
        "发布群",
    )
    assert (received.text, received.canonical) == ("/关闭 233", "/close 233")
    assert (finished.outcome, finished.reason, finished.target) == (
        "succeeded",
        "close",
        "shop#233",
    )
    assert finished.detail == "✅ Closed shop#233"
