"""A fifth platform is one class and one line: this one, defined for the tests, lives the whole story."""

import pytest
from django.db import connection
from django.test import Client

from bot.platforms.models import Bot
from bot.runs.models import Reply, Run, RunState
from tests.platform_stand import Pagers, fetching_fixture, pagers_fixture
from tests.portal import SPEED

__all__ = ["fetching_fixture", "pagers_fixture"]


def test_it_lives_the_story(pagers: Pagers) -> None:
    assert pagers.say("/approve 233").startswith("✅ Approved shop#233")
    assert pagers.say("/test 233").startswith("✅ Tests passed: shop#233")
    assert pagers.say("/merge 233").startswith("✅ Merged shop#233")
    assert pagers.say("/deploy myservice").startswith("✅ Deployed myservice")


def test_its_people_are_known_by_their_accounts_there(pagers: Pagers) -> None:
    answer = pagers.say("/merge 233", by="stranger")

    assert "pager pager-stranger" in answer
    assert pagers.chat.effects() == []


def test_what_it_did_not_sign_is_not_believed(pagers: Pagers, client: Client) -> None:
    answer = client.post("/webhooks/chat/pagers/", b"{}", content_type="application/json")

    assert (answer.status_code, answer.content) == (401, b"")


def test_one_message_tells_a_run_from_its_beginning_to_its_end(pagers: Pagers) -> None:
    pagers.chat.sandbox.set_speed(1)
    pagers.only_say("/test 233")
    pagers.chat.turn_until_built()
    pagers.chat.turn()
    pagers.chat.send_replies()
    under_way = pagers.newest.text
    pagers.chat.sandbox.set_speed(SPEED)
    pagers.chat.carry_out()

    assert under_way.startswith("⏳ Testing shop#233")
    assert len(pagers.shown) == 1
    assert pagers.newest.text.startswith("✅ Tests passed")
    assert pagers.newest.changes >= 1


@pytest.mark.django_db
def test_its_bots_are_set_up_in_the_admin(pagers: Pagers, admin_client: Client) -> None:
    page = admin_client.get(f"/admin/bot/bot/{pagers.bot.pk}/change/")

    assert 'name="setting_team"' in page.content.decode()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads small tables whole")
def test_the_answer_is_found_by_its_index(fetching: Pagers) -> None:
    asked = Reply.objects.filter(bot=fetching.bot, answers="m1").order_by("-pk")

    assert "reply_of_message" in asked.explain()


def test_where_it_comes_for_the_answer_nothing_is_sent(fetching: Pagers) -> None:
    fetching.only_say("/close 234", number="m1")
    first = fetching.poll("m1")
    fetching.chat.carry_out()
    last = fetching.poll("m1")

    assert first == {"text": "", "final": False}
    assert last == {"text": "✅ Closed shop#234", "final": True}
    assert fetching.shown == []
    assert Run.objects.get().state == RunState.SUCCEEDED


def test_a_refusal_comes_with_the_first_answer(fetching: Pagers) -> None:
    answer = fetching.only_say("/mergee 233").json()  # type: ignore[attr-defined]

    assert answer["final"]
    assert "Did you mean" in answer["text"]
    assert fetching.shown == []


def test_what_it_does_not_come_for_is_sent_after_all(fetching: Pagers) -> None:
    fetching.only_say("/close 234", number="m1")
    fetching.chat.carry_out(late=True)

    assert [one.text for one in fetching.shown] == ["✅ Closed shop#234"]
    assert Bot.objects.get(name="pagers").platform == "fetching"
