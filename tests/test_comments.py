"""Commands in pull request comments: from the forge's signed webhook to the reply beneath it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.utils import timezone

from audit.models import Entry
from bot.hooks import take
from bot.people.models import AccessRequest, Person
from bot.platforms.models import Bot
from bot.runs.models import ForgeHook, HookState, Run, RunState
from chatops_site.sandbox.hooks import SECRET
from repos.models import Forge
from tests.portal import Chat, Post, kind_fixture, last_run, wait_for_packets

__all__ = ["kind_fixture"]
SHOP = {"repository": "acme/shop", "number": 233}


class Thread:
    """The comments of one pull request at one forge, and the portal that reads them."""

    def __init__(self, chat: Chat, post: Post, kind: str) -> None:
        self.chat, self.kind, self._post = chat, kind, post
        # The comment whose webhook is awaited; those about the bot's own come when they like.
        self._about = ""

    def write(self, body: str, *, by: str = "zhangsan", **target: Any) -> int:
        """Somebody comments at the forge; nothing is delivered yet."""
        self._post.packets.clear()
        made = self.chat.sandbox.change_gitee("comment", **(SHOP | target), by=by, body=body)
        self._about = str(made["id"])
        return int(made["id"])

    def say(self, body: str, *, by: str = "zhangsan", **target: Any) -> list[str]:
        """Somebody comments, everything takes its course; what the bot's comments are now."""
        self.write(body, by=by, **target)
        assert [answer.status_code for answer in self.deliver()] == [200]
        self.settle()
        return self.replies()

    def deliver(self, *, count: int = 1, **headers: str) -> list[HttpResponse]:
        """Hands the portal what the forge sent."""
        packets = wait_for_packets(self._post, count, about=self._about)
        self._about = ""
        return [self.post(body, {**sent, **headers}) for sent, body in packets]

    def post(self, body: bytes, headers: dict[str, str]) -> HttpResponse:
        kept = {
            f"HTTP_{name.upper().replace('-', '_')}": value
            for name, value in headers.items()
            if name.lower().startswith(("x-", "webhook-", "idempotency"))
        }
        url = f"/webhooks/forge/{self.kind}/"
        return self.chat.portal.generic(  # type: ignore[return-value]
            "POST",
            url,
            body,
            content_type=headers["Content-Type"],
            **kept,  # type: ignore[arg-type]
        )

    def settle(self) -> None:
        for number in take.ready(timezone.now()):
            take.take(number)
        self.chat.carry_out()

    def replies(self) -> list[str]:
        comments = self.chat.pull(233)["comments"]
        return [
            one["body"].partition("\n\n<!-- chatops")[0].replace("  \n", "\n")
            for one in comments
            if one["login"] == "chatops-bot"
        ]


@pytest.fixture(name="thread")
def thread_fixture(chat: Chat, post: Post, kind: str) -> Iterator[Thread]:
    Forge.objects.update(
        name=kind,
        kind=kind,
        base_url=chat.sandbox.urls[kind],
        token=f"demo-{kind}-token",
        webhook_secret=SECRET,
    )
    for person in Person.objects.all():
        person.forge_logins = {kind: person.username}
        person.save()
    chat.sandbox.set_hooks(forge=kind)
    yield Thread(chat, post, kind)
    chat.sandbox.set_hooks(forge="")


def test_a_command_in_a_comment_is_answered_beneath_it(thread: Thread) -> None:
    (reply,) = thread.say("/pr")

    run = last_run()
    assert reply.startswith("**[shop#233]")
    assert (run.state, run.actor, run.platform) == (RunState.SUCCEEDED, "张三", "comments")
    assert (run.canonical, run.conversation_name) == ("/pr 233", "shop#233")


def test_approve_test_and_merge_in_one_comment_are_three_runs(thread: Thread) -> None:
    replies = thread.say("看起来不错\n\n/ops approve\n/test\n")
    thread.say("/merge")

    assert [reply[:1] for reply in replies] == ["✅", "✅"]
    assert thread.chat.pull(233)["state"] == "merged"
    assert list(Run.objects.order_by("pk").values_list("command", flat=True)) == [
        "approve",
        "test",
        "merge",
    ]


def test_a_run_has_one_reply_that_is_changed_in_place(thread: Thread) -> None:
    thread.write("/test")
    thread.deliver()
    for number in take.ready(timezone.now()):
        take.take(number)
    thread.chat.turn_until_built()
    thread.chat.send_replies()
    first = thread.replies()
    thread.chat.carry_out()

    assert len(first) == len(thread.replies()) == 1
    assert thread.replies()[0].startswith("✅")
    assert thread.replies() != first


def test_a_webhook_that_comes_twice_runs_once(thread: Thread) -> None:
    thread.chat.sandbox.set_hooks(copies=2)
    thread.write("/approve")

    answers = thread.deliver(count=2)
    thread.settle()

    assert [answer.status_code for answer in answers] == [200, 200]
    assert ForgeHook.objects.count() == Run.objects.count() == 1


def test_the_same_comment_told_by_another_webhook_runs_once(thread: Thread) -> None:
    thread.say("/approve")
    ForgeHook.objects.update(delivery="another", signature_digest=None)
    packet = wait_for_packets(thread._post, 1)[0]

    assert thread.post(packet[1], packet[0]).status_code == 200
    thread.settle()

    assert ForgeHook.objects.count() == 2
    assert Run.objects.count() == 1


def test_a_wrong_signature_writes_nothing_but_a_security_event(thread: Thread) -> None:
    thread.chat.sandbox.set_hooks(spoilt=True)
    thread.write("/merge")

    (answer,) = thread.deliver()

    assert (answer.status_code, answer.content) == (401, b"")
    assert not ForgeHook.objects.exists()
    assert Entry.objects.get().event == "webhook.rejected"


def test_without_a_secret_nothing_is_believed(thread: Thread) -> None:
    Forge.objects.update(webhook_secret="")
    thread.write("/merge")

    assert thread.deliver()[0].status_code == 401


def test_an_unknown_forge_and_a_known_one_look_the_same(thread: Thread) -> None:
    kind, thread.kind = thread.kind, "nowhere"
    thread.write("/merge")
    assert thread.deliver()[0].status_code == 401
    thread.kind = kind


def test_a_text_that_was_changed_on_the_way_is_not_believed(thread: Thread) -> None:
    """What runs is what the forge has, and a signature over the body does not even let it in."""
    thread.write("/pr")
    sent, body = wait_for_packets(thread._post, 1)[0]

    answer = thread.post(body.replace(b"/pr", b"/merge"), dict(sent))
    thread.settle()

    assert answer.status_code == (200 if thread.kind in ("gitee", "gitlab") else 401)
    assert not Run.objects.exists()


def test_an_edited_comment_never_runs(thread: Thread) -> None:
    number = thread.write("/pr")
    thread.chat.sandbox.change_gitee("edit_comment", **SHOP, id=number, body="/merge")
    thread.deliver(count=2)
    thread.settle()

    assert not Run.objects.exists()
    assert {hook.reason for hook in ForgeHook.objects.all()} <= {"", "edited"}


def test_a_comment_that_is_gone_does_nothing(thread: Thread) -> None:
    thread.write("/merge")
    thread.deliver()
    thread.chat.sandbox.reset()
    thread.settle()

    assert ForgeHook.objects.get().state == HookState.IGNORED
    assert not Run.objects.exists()


def test_the_bots_own_comments_are_no_commands(thread: Thread) -> None:
    thread.write("/merge", by="chatops-bot")
    thread.deliver()
    thread.settle()

    assert ForgeHook.objects.get().reason == "own_comment"
    assert not Run.objects.exists()


def test_a_stranger_is_told_their_id_and_an_operator_can_accept_them(thread: Thread) -> None:
    (reply,) = thread.say("/merge", by="outsider")

    assert "outsider" in reply
    assert thread.kind in reply
    assert thread.chat.pull(233)["state"] == "open"
    asked = AccessRequest.objects.get()
    assert (asked.platform, asked.tenant, asked.external_id) == (
        "comments",
        thread.kind,
        "outsider",
    )


def test_who_may_not_is_refused_with_the_rule(thread: Thread) -> None:
    (reply,) = thread.say("/merge", by="zhaoliu")

    assert reply.startswith("⛔")
    assert thread.chat.pull(233)["state"] == "open"


def test_a_talk_without_commands_leaves_nothing_but_its_webhook(thread: Thread) -> None:
    thread.say("I would `/merge` this.\n\n> /merge\n")

    assert ForgeHook.objects.get().reason == "no_command"
    assert not Run.objects.exists()
    assert not Bot.objects.filter(platform="comments").exists()


def test_a_forge_that_is_down_is_asked_again(thread: Thread) -> None:
    thread.write("/pr")
    thread.deliver()
    thread.chat.sandbox.fault(thread.kind, "status", status=503, times=4)
    thread.settle()
    waiting = ForgeHook.objects.get()
    ForgeHook.objects.update(due_at=timezone.now())
    thread.chat.sandbox.clear_faults()
    thread.settle()

    assert (waiting.state, waiting.attempts) == (HookState.WAITING, 1)
    assert waiting.due_at > waiting.received_at
    assert len(thread.replies()) == 1


def test_a_webhook_that_waited_too_long_is_given_up_and_recorded(thread: Thread) -> None:
    thread.write("/pr")
    thread.deliver()
    ForgeHook.objects.update(received_at=timezone.now() - timedelta(minutes=16))
    thread.chat.sandbox.fault(thread.kind, "status", status=503, times=-1)
    thread.settle()

    assert ForgeHook.objects.get().state == HookState.FAILED
    entry = Entry.objects.get(event="forge.event")
    assert (entry.outcome, entry.reason) == ("failed", "Unavailable")


def test_a_push_voids_approvals_of_the_older_head(thread: Thread) -> None:
    thread.chat.say("/approve 233")
    thread._about = thread.chat.sandbox.push("acme/shop", 233)
    thread.deliver()
    thread.settle()

    assert Run.objects.get(command="approve").reason == "voided_by_push"
    assert Entry.objects.filter(event="approval.voided").count() == 1
    assert "1 approval missing" in thread.chat.say("/pr 233")


def test_a_reply_whose_answer_was_lost_is_not_written_twice(thread: Thread) -> None:
    thread.write("/pr")
    thread.deliver()
    thread.chat.sandbox.fault(
        thread.kind, "reset_after", method="POST", path_regex="(comments|notes)$"
    )
    thread.settle()
    for reply in last_run().replies.all():
        reply.due_at = timezone.now()
        reply.save()
    thread.chat.send_replies()

    assert len(thread.replies()) == 1
    assert last_run().replies.get().state == "sent"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'{"a":' * 40, b"\xff"])
def test_a_malformed_body_is_refused_without_a_word(thread: Thread, body: bytes) -> None:
    thread.write("/pr")
    sent, _body = wait_for_packets(thread._post, 1)[0]

    answer = thread.post(body, dict(sent))

    assert answer.status_code in (400, 401)
    assert answer.content == b""
    assert not ForgeHook.objects.exists()


def test_more_than_256_kib_are_not_read(thread: Thread) -> None:
    answer = thread.post(json.dumps({"a": "x" * 300_000}).encode(), {"Content-Type": "text/json"})

    assert answer.status_code == 413
