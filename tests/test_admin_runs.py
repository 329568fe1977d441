"""A run in the admin: its list, its timeline, its log, and the few buttons that ask once more."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from audit.models import Entry
from audit.record import Event, record
from bot.models import Effect, Grant, Person, Reply, Run
from bot.runs.story import fact
from repos.models import JenkinsServer
from tests.admin_house import House, boss, log_in, page
from tests.jenkins_stand import TOKEN, Stand

pytestmark = pytest.mark.django_db
LIST = "/admin/bot/run/"


@pytest.fixture(name="house")
def house_fixture(client: Client) -> House:
    user = boss(client)
    house = House()
    Person.objects.update(user=user)
    return house


def at(run: Run) -> str:
    return reverse("admin:bot_run_change", args=[run.pk])


def plain(html: str) -> str:
    body = html.partition('<ol class="timeline">')[2].partition("</ol>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def in_order(text: str, *parts: str) -> None:
    places = [text.find(part) for part in parts]
    assert -1 not in places, (parts[places.index(-1)], text)
    assert places == sorted(places), list(zip(parts, places, strict=True))


def test_a_row_says_state_who_what_where_outcome_when(client: Client, house: House) -> None:
    html = page(client, LIST)
    row = " ".join(re.sub(r"<[^>]+>", "|", html.split("<tbody>")[1].split("</tr>")[0]).split())

    in_order(
        row,
        "✕",
        "failed",
        "张三",
        "/deploy myservice to staging",
        "myservice → staging · 发布群",
        "Deployment failed",
        "ago",
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"state": "failed"}, True),
        ({"state": "succeeded"}, False),
        ({"command": "deploy"}, True),
        ({"command": "merge"}, False),
        ({"q": "张三"}, True),
        ({"q": "李四"}, False),
        ({"q": "myservice → staging"}, True),
        ({"q": "9" * 30}, False),
    ],
)
def test_the_list_is_filtered(
    query: dict[str, str], found: bool, client: Client, house: House
) -> None:
    assert (at(house.run) in page(client, LIST, **query)) is found


def test_a_run_is_found_by_its_number(client: Client, house: House) -> None:
    assert at(house.run) in page(client, LIST, q=f"#{house.run.pk}")


@pytest.mark.parametrize("kind", ["person", "service", "environment"])
def test_and_by_whom_or_what_it_is_about(kind: str, client: Client, house: House) -> None:
    key = getattr(house.run, f"{kind}_id")

    assert at(house.run) in page(client, LIST, **{f"{kind}__id__exact": key})


def test_the_list_counts_nothing_and_asks_once(client: Client, house: House) -> None:
    with CaptureQueriesContext(connection) as one:
        page(client, LIST)
    for _copy in range(10):
        house.run.pk = None
        house.run.save()
    with CaptureQueriesContext(connection) as many:
        page(client, LIST)

    assert len(many) == len(one)
    counts = [
        query["sql"] for query in many if "COUNT(" in query["sql"] and "bot_run" in query["sql"]
    ]
    assert counts == []


def test_an_empty_list_gives_the_command(client: Client) -> None:
    boss(client)

    assert "manage.py say /help" in page(client, LIST)


def tell_story(run: Run) -> None:
    """What the engine records of a deployment that failed."""
    now = timezone.now()
    names = {"repository": "shop", "service": "myservice", "environment": "staging"}
    record(
        fact(run, Event.COMMAND_RECEIVED, source_ip="10.0.0.9", **names),
        fact(run, Event.ACCESS_ALLOWED, rule="grant:all on everything", text="", **names),
        fact(
            run,
            Event.GATES_DECIDED,
            external={
                "open": {"passed": True, "fact": "open"},
                "checks": {"passed": True, "fact": "[ci](https://ci.example.com/1) green"},
            },
            **names,
        ),
        fact(run, Event.EFFECT_INTENDED, reason="trigger", external={"path": "team/x"}, **names),
        fact(
            run,
            Event.EFFECT_SETTLED,
            reason="trigger",
            outcome="done",
            external={"queue_id": 17, "url": "https://jenkins.example.com/queue/17"},
            **names,
        ),
        fact(
            run,
            Event.RUN_FINISHED,
            outcome="failed",
            reason="build_failed",
            duration_ms=192_000,
            **names,
        ),
    )
    Effect.objects.create(run=run, name="trigger", state="done", intended_at=now)


def test_the_timeline_tells_it_from_top_to_bottom(client: Client, house: House) -> None:
    tell_story(house.run)

    html = page(client, at(house.run))

    in_order(
        plain(html),
        "Asked",
        "/deploy myservice to staging",
        "张三",
        "10.0.0.9",
        "Allowed",
        "grant:all on everything",
        "Queued",
        "Decided: nothing blocks",
        "passes open",
        "Called: start the build in Jenkins",
        "team/x",
        "Answered: start the build in Jenkins done",
        "queue_id 17",
        "Outcome: failed",
        "build_failed",
        "3 min 12 s",
        "Reply (result): failed",
        "The robot was removed from the group.",
    )
    assert '<a href="https://ci.example.com/1" rel="noreferrer noopener">ci</a>' in html
    assert '<a href="https://jenkins.example.com/queue/17"' in html


def test_gates_that_blocked_say_what_lifts_them(client: Client, house: House) -> None:
    gates = [
        {"name": "open", "passed": True, "fact": "open"},
        {
            "name": "approvals",
            "passed": False,
            "fact": "1 approval missing",
            "remedy": "`/approve 3`",
        },
    ]
    Run.objects.update(gates=gates, state="refused")
    house.run.refresh_from_db()
    record(fact(house.run, Event.RUN_FINISHED, outcome="refused", reason="gates"))

    html = page(client, at(house.run))

    in_order(
        plain(html),
        "Decided: blocked",
        "passes open",
        "blocks 1 approval missing",
        "/approve 3",
        "Outcome: refused",
    )


def test_an_unfinished_run_says_what_it_is_doing_and_looks_again(
    client: Client, house: House
) -> None:
    Run.objects.update(state="running", attempt=2, cancel_requested_by="李四")

    answer = client.get(at(house.run))

    assert answer["Refresh"] == "5"
    in_order(plain(answer.content.decode()), "Now: under way", "2", "李四")


def test_a_stranger_s_run_has_a_page_too(client: Client, house: House) -> None:
    Run.objects.update(person=None, bot=None, actor="", state="refused", reason="stranger")

    assert "a stranger" in page(client, LIST)
    page(client, at(house.run))


def test_there_is_no_page_of_no_run(client: Client, house: House) -> None:
    for address in ("999", "x", "999/cancel", "../../9"):
        assert client.get(f"{LIST}{address}/").status_code in (301, 302, 404)


@pytest.fixture(name="stand")
def stand_fixture() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


def test_the_log_is_fetched_on_demand_and_folded(
    client: Client, house: House, stand: Stand
) -> None:
    JenkinsServer.objects.update(base_url=stand.url, username=TOKEN[0], token=TOKEN[1])
    number = int(stand.start("/job/team/job/myservice-deploy", {"SHA": "1"}).rsplit("/", 1)[1])
    stand.clock.advance(60)
    Run.objects.update(external={"build": number, "job": "team/myservice-deploy"})
    house.run.refresh_from_db()
    record(fact(house.run, Event.RUN_FINISHED, outcome="failed"))

    before = page(client, at(house.run))
    after = page(client, at(house.run), log="1")

    assert 'href="?log=1#log"' in before
    assert "[Pipeline]" not in before
    assert "[Pipeline]" in after


def test_a_log_that_cannot_be_had_is_a_sentence(client: Client, house: House) -> None:
    JenkinsServer.objects.update(base_url="http://127.0.0.1:9")
    record(fact(house.run, Event.RUN_FINISHED, outcome="failed"))

    assert "⛔ Jenkins cannot be reached" in page(client, at(house.run), log="1")


def test_buttons_need_a_person(client: Client, house: House) -> None:
    assert ">Retry</a>" in page(client, at(house.run))

    Person.objects.update(user=None)
    html = page(client, at(house.run))
    assert ">Retry</a>" not in html
    assert "your portal user has to be linked to a person" in html
    assert client.post(f"{LIST}{house.run.pk}/retry/").status_code == 403

    Person.objects.update(user=User.objects.get(), active=False)
    assert client.post(f"{LIST}{house.run.pk}/retry/").status_code == 403


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("queued", ["cancel"]),
        ("running", ["cancel"]),
        ("awaiting", ["cancel"]),
        ("unknown", ["cancel", "retry"]),
        ("failed", ["retry"]),
        ("expired", ["retry"]),
        ("succeeded", []),
    ],
)
def test_only_the_buttons_that_make_sense(
    state: str, buttons: list[str], client: Client, house: House
) -> None:
    Run.objects.update(state=state)

    html = page(client, at(house.run))

    assert re.findall(rf'href="{LIST}\d+/(cancel|retry)/"', html) == buttons


def test_a_button_asks_once_more_and_then_says_the_command(client: Client, house: House) -> None:
    address = f"{LIST}{house.run.pk}/retry/"
    html = page(client, address)
    assert "Really carry it out once more?" in html
    assert "It is done as 张三, with the rights of 张三." in html
    assert Run.objects.count() == 1

    answer = client.post(address, follow=True)

    new = Run.objects.exclude(pk=house.run.pk).get()
    assert (new.retry_of_id, new.person, new.state) == (house.run.pk, house.person, "queued")
    assert f"/retry {house.run.pk} is accepted as run {new.pk}." in answer.content.decode()
    allowed = Entry.objects.get(run=new.pk, event="access.allowed")
    assert (allowed.actor_kind, allowed.person) == ("portal", "张三")


def test_a_queued_run_is_cancelled_by_a_run_of_its_own(client: Client, house: House) -> None:
    Run.objects.update(state="queued", finished_at=None)

    client.post(f"{LIST}{house.run.pk}/cancel/")

    assert Run.objects.get(command="cancel").arguments == {"run": house.run.pk}


def test_without_the_right_the_same_rules_refuse(client: Client, house: House) -> None:
    Grant.objects.all().delete()

    answer = client.post(f"{LIST}{house.run.pk}/retry/", follow=True)

    new = Run.objects.exclude(pk=house.run.pk).get()
    assert new.state == "refused"
    assert "was refused; below is why." in answer.content.decode()


def test_a_button_that_came_too_late_does_nothing(client: Client, house: House) -> None:
    Run.objects.update(state="succeeded")

    html = client.post(f"{LIST}{house.run.pk}/retry/").content.decode()

    assert "This is not possible any more: its state has changed." in html
    assert Run.objects.count() == 1


def test_buttons_are_posts_with_a_token(house: House) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get())

    assert strict.post(f"{LIST}{house.run.pk}/retry/").status_code == 403
    assert strict.post(f"/admin/bot/reply/{house.reply.pk}/again/").status_code == 403


def test_a_reply_is_sent_again_and_that_is_on_record(client: Client, house: House) -> None:
    address = f"/admin/bot/reply/{house.reply.pk}/again/"
    assert address in page(client, at(house.run))
    assert "What it tells of is not repeated." in page(client, address)

    answer = client.post(address, follow=True)

    house.reply.refresh_from_db()
    assert (house.reply.state, house.reply.error) == ("waiting", "")
    entry = Entry.objects.get(event="config.changed")
    assert (entry.run, entry.username, entry.reason) == (house.run.pk, "boss", "sent_again")
    assert entry.changes == {"state": {"old": "failed", "new": "waiting"}}
    assert "Reply put back into the queue" in plain(answer.content.decode())


def test_an_auditor_sends_nothing_again(client: Client) -> None:
    log_in(client, "auditor")
    house = House()

    assert "Send the reply again" not in page(client, at(house.run))
    assert client.post(f"/admin/bot/reply/{house.reply.pk}/again/").status_code == 403
    assert Reply.objects.get().state == "failed"


def test_undelivered_replies_are_listed(client: Client, house: House) -> None:
    html = page(client, "/admin/bot/reply/", state="failed")

    for text in ("✕", "张三", "Deployment failed", "发布群", "The robot was removed"):
        assert text in html
    assert "Send the reply again" in page(client, f"/admin/bot/reply/{house.reply.pk}/change/")


def test_nothing_of_the_history_can_be_edited(client: Client, house: House) -> None:
    for address in (f"{LIST}add/", f"{LIST}{house.run.pk}/delete/", "/admin/bot/reply/add/"):
        assert client.get(address).status_code == 403
    form: dict[str, Any] = {"state": "succeeded"}
    client.post(at(house.run), form)
    house.run.refresh_from_db()
    assert house.run.state == "failed"


def test_old_troubles_are_not_shown_on_the_first_page(client: Client, house: House) -> None:
    assert escape("/deploy myservice to staging") in page(client, "/admin/")

    Run.objects.update(accepted_at=timezone.now() - timedelta(days=2))

    assert "Nothing went wrong." in page(client, "/admin/")
