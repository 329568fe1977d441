"""Linking as people live it: a code from the portal, typed in chat, and what remains of it."""

import re
from datetime import timedelta
from typing import Any, Final

import pytest
from django.test import Client
from django.utils import timezone

from audit.changes import SYSTEM
from audit.models import Entry
from bot.people.linking import make_code
from bot.people.models import AccessRequest, Account, LinkCode, Person
from bot.runs.models import Reply, Run, RunState
from tests.portal import Chat, last_run, story

CODE: Final = re.compile(r'<p class="link-code"><code>([^<]+)</code>')


def code_of(username: str) -> str:
    return make_code(Person.objects.get(username=username), SYSTEM).code


def wrong(code: str) -> str:
    return code[:-1] + ("Q" if code[-1] != "Q" else "R")


def everything_kept() -> str:
    """All columns in which what somebody typed could be found again."""
    rows: list[Any] = [*Run.objects.all(), *Reply.objects.all(), *Entry.objects.all()]
    return " ".join(str(vars(row)) for row in rows).upper()


def test_a_stranger_becomes_the_person_whose_code_it_is(chat: Chat) -> None:
    chat.say("/whoami", by="stranger")
    code = code_of("lisi")

    answer = chat.say(f"/link {code}", by="stranger")

    assert answer.splitlines() == [
        "✅ This account now belongs to 李四",
        "dingtalk user999",
        "Next: `/help`",
    ]
    told = chat.say("/whoami", by="stranger")
    assert told.startswith("**李四** (lisi)\nAccounts: dingtalk user102, dingtalk user999\n")


def test_in_chinese(chinese: Chat) -> None:
    assert chinese.say(f"/绑定 {code_of('lisi')}", by="stranger").splitlines() == [
        "✅ 这个账号现在属于 李四",
        "dingtalk user999",
        "下一步：`/help`",
    ]


def test_the_code_comes_from_the_page_of_whoever_is_signed_in(
    chat: Chat, admin_client: Client, admin_user: Any
) -> None:
    Person.objects.filter(username="lisi").update(user=admin_user)
    found = CODE.search(admin_client.post("/admin/link/").content.decode())
    assert found is not None

    chat.say(f"/link {found[1]}", by="stranger")

    assert "user999" in admin_client.get("/admin/link/").content.decode()


def test_it_is_on_record_whose_account_it_became(chat: Chat) -> None:
    chat.say("/prs", by="stranger")
    code = code_of("lisi")

    chat.say(f"/link {code}", by="stranger")

    assert story(last_run()) == [
        "command.received", "access.allowed", "config.changed", "config.changed",
        "run.finished", "reply.sent",
    ]  # fmt: skip
    entry = Entry.objects.get(run=last_run().pk, target_kind="account")
    assert (entry.actor_kind, entry.person, entry.account) == ("chat", "李四", "user999")
    assert (entry.reason, entry.target, entry.detail) == (
        "added",
        "dingtalk user999",
        "one-time code",
    )
    assert entry.changes["person"] == {"old": "", "new": "李四"}
    assert AccessRequest.objects.get().state == "accepted"


@pytest.mark.parametrize("line", ["/link {}", "link {}", "/关联 {}", "／绑定 {}"])
def test_a_code_that_was_used_is_kept_nowhere(chat: Chat, line: str) -> None:
    code = code_of("lisi")

    assert chat.say(line.format(code.lower()), by="stranger").startswith("✅")

    assert not any(group in everything_kept() for group in code.split("-"))
    assert last_run().text.endswith(" [redacted]")
    assert last_run().arguments == {}


@pytest.mark.parametrize(
    "line", ["/lnk {}", "/link{}", "{}", "/links {}", "my code is {}", "我的码{}", "/link {}x"]
)
@pytest.mark.parametrize("by", ["stranger", "zhangsan"])
def test_a_code_in_a_line_that_is_none_is_kept_nowhere_either(
    chat: Chat, line: str, by: str
) -> None:
    code = code_of("lisi")

    chat.say(line.format(code), by=by, where=f"cid-private-{by}")

    assert code.split("-")[1] not in everything_kept()


@pytest.mark.parametrize("change", ["wrong", "late", "short", "half"])
def test_a_wrong_or_late_code_is_kept_nowhere_and_told_why(chat: Chat, change: str) -> None:
    code = code_of("lisi")
    typed = {"wrong": wrong(code), "late": code, "short": code[:-1], "half": code.replace("-", "")}
    if change in ("late", "half"):
        LinkCode.objects.update(until=timezone.now())

    answer = chat.say(f"/link {typed[change]}", by="stranger")

    assert answer.splitlines() == [
        "⛔ Not linked: the code is wrong, used, or older than 10 minutes",
        "Sign in to the portal, open Link a chat account, and type here what it shows.",
    ]
    assert code[:4] not in everything_kept()
    entry = Entry.objects.get(run=last_run().pk, event="access.denied")
    assert (entry.outcome, entry.reason) == ("denied", "wrong_code")
    assert entry.target == ("李四" if change in ("wrong", "short") else "")
    assert not Account.objects.filter(external_id="user999").exists()


def test_the_sixth_wrong_code_of_an_account_is_not_looked_at(chat: Chat) -> None:
    for _number in range(5):
        chat.say("/link K7MQ-2RTX")
    code = code_of("lisi")

    answer = chat.say(f"/link {code}")

    assert answer.startswith("⛔ Not linked: 5 wrong codes came from this account")
    assert last_run().reason == "too_many_codes"
    assert LinkCode.objects.get().tries == 0
    Run.objects.update(accepted_at=timezone.now() - timedelta(minutes=11))
    assert chat.say(f"/link {code}").startswith("⛔ Not linked: this account belongs to somebody")


def test_another_s_account_is_not_moved(chat: Chat) -> None:
    answer = chat.say(f"/link {code_of('lisi')}", by="zhangsan")

    assert answer.splitlines() == [
        "⛔ Not linked: this account belongs to somebody else already",
        "An operator can move it. The code has ended.",
    ]
    assert Account.objects.get(external_id="user101").person.username == "zhangsan"
    assert not LinkCode.objects.exists()


def test_one_s_own_account_again_changes_nothing(chat: Chat) -> None:
    answer = chat.say(f"/link {code_of('zhangsan')}")

    assert answer.splitlines() == [
        "✅ This account belongs to 张三 already",
        "Next: `/help`",
    ]
    assert last_run().reason == "yours_already"


@pytest.mark.parametrize("by", ["stranger", "zhangsan"])
def test_without_a_code_the_way_to_one_is_told(chat: Chat, by: str) -> None:
    assert chat.say("/link", by=by).splitlines() == [
        "⛔ Not linked: that takes a one-time code",
        "Sign in to the portal, open Link a chat account, and type here what it shows.",
    ]


def test_what_a_crash_interrupted_is_told_as_it_was(chat: Chat) -> None:
    """The turn that used the code ended before the run did; another worker takes it up."""
    chat.only_say(f"/link {code_of('lisi')}", by="stranger")
    run = last_run()
    progress = {"link": {"result": "linked", "person": "李四"}}
    Run.objects.filter(pk=run.pk).update(arguments={}, progress=progress)

    chat.carry_out()

    assert last_run().state == RunState.SUCCEEDED
    assert "✅ This account now belongs to 李四" in chat.heard()[-1]


def test_who_typed_first_comes_first(chat: Chat) -> None:
    """Whoever reads a code in a group may be quick, and still comes second."""
    code = code_of("lisi")
    chat.send(f"/link {code}", senderStaffId="user900")
    chat.send(f"/link {code.lower()}", senderStaffId="user901")
    runs = list(Run.objects.order_by("pk"))

    chat.carry_out()

    assert runs[0].key == runs[1].key != ""
    assert Account.objects.get(external_id="user900").person.username == "lisi"
    assert not Account.objects.filter(external_id="user901").exists()


def test_the_console_has_no_account_to_link(chat: Chat) -> None:
    from_console = Person.objects.get(username="lisi")
    code = code_of("lisi")
    chat.only_say("/help")
    run = Run.objects.create(
        platform="console", account="lisi", person=from_console, actor="李四", language="en",
        text="/link [redacted]", command="link", arguments={"code": code}, state="queued",
        accepted_at=timezone.now(), due_at=timezone.now(),
    )  # fmt: skip

    chat.carry_out()

    run.refresh_from_db()
    assert run.summary.startswith("⛔ Not linked: a code works only in chat, never in a comment")
    assert run.arguments == {}
    assert not LinkCode.objects.exists()
