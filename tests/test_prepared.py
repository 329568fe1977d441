"""SQL compiled once gives what the ORM gives: rows with their types, and inserted rows with their keys."""

import pytest
from django.utils import timezone

from bot.models import Bot, Delivery
from chatops_site.kit.prepared import Select, insert
from repos.models import Environment, Forge, Service

pytestmark = pytest.mark.django_db

by_name = Select(
    lambda name: Service.objects.filter(name=name).values_list("name", "aliases"), "any"
)
by_two = Select(
    lambda name, path: Forge.objects.filter(name=name).filter(base_url=path).values_list("pk"),
    "a",
    "b",
)


def test_a_prepared_select_gives_the_rows_of_its_arguments() -> None:
    Service.objects.create(name="one", aliases=["first", "erste"])
    Service.objects.create(name="two")

    assert by_name.rows("one") == [("one", ["first", "erste"])]
    assert by_name.first("two") == ("two", [])


def test_a_prepared_select_gives_nothing_where_nothing_is() -> None:
    assert by_name.rows("none") == []
    assert by_name.first("none") is None


def test_a_prepared_select_keeps_its_arguments_apart() -> None:
    forge = Forge.objects.create(name="f", kind="gitee", base_url="https://gitee.com/api/v5")

    assert by_two.first("f", "https://gitee.com/api/v5") == (forge.pk,)
    assert by_two.first("https://gitee.com/api/v5", "f") is None


def test_an_argument_is_never_read_as_sql() -> None:
    Service.objects.create(name="one")

    assert by_name.rows("one' OR '1'='1") == []


def test_a_select_whose_arguments_do_not_all_reach_the_sql_is_refused() -> None:
    crooked = Select(lambda name: Service.objects.filter(name=name.upper()), "any")

    with pytest.raises(ValueError, match="ANY"):
        crooked.rows("one")


def test_inserted_rows_are_read_back_as_they_were() -> None:
    bot = Bot.objects.create(name="ops", platform="dingtalk")
    now = timezone.now()
    made = [
        Delivery(bot=bot, message_id=f"m{n}", signature_digest=None, body_digest="d", at=now)
        for n in range(3)
    ]

    insert(made)

    stored = list(Delivery.objects.order_by("pk"))
    assert [one.pk for one in made] == [one.pk for one in stored]
    assert [(one.message_id, one.signature_digest, one.at) for one in stored] == [
        ("m0", None, now),
        ("m1", None, now),
        ("m2", None, now),
    ]


def test_secrets_are_encrypted_by_an_insert_too() -> None:
    forge = Forge(name="f", kind="gitee", base_url="https://gitee.com/api/v5", token="t-123456")

    insert([forge])

    stored = Forge.objects.get(pk=forge.pk)
    assert stored.token == "t-123456"
    assert stored.secret_sources == {}


def test_an_inserted_row_can_be_saved_again() -> None:
    environment = Environment(name="production")
    insert([environment])

    environment.confirm = True
    environment.save()

    assert Environment.objects.get().confirm
