"""SQL compiled once gives what the ORM gives: rows with their types, and inserted rows with their keys."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import Q
from django.utils import timezone

from bot.models import Bot, Delivery
from chatops_site.kit.prepared import Fetch, Select, Update, insert, update
from repos.models import Environment, Forge, Repository, Service

pytestmark = pytest.mark.django_db

by_name = Select(
    lambda name: Service.objects.filter(name=name).values_list("name", "aliases"), "any"
)
by_two = Select(
    lambda name, path: Forge.objects.filter(name=name, base_url=path).values_list("pk"), "a", "b"
)
since = Select(
    lambda moment, bot: (
        Delivery.objects.filter(Q(at__gt=moment) & Q(bot=bot) | Q(at=moment, bot__name="exact"))
        .order_by("pk")
        .values_list("message_id", "at")
    ),
    datetime(1971, 1, 1, tzinfo=UTC),
    -1,
)
postpone = Update(
    lambda key, until: (Delivery.objects.filter(pk=key, body_digest="d"), {"at": until}),
    -1,
    datetime(1971, 1, 1, tzinfo=UTC),
)
service = Fetch(
    lambda name: Service.objects.filter(name=name).select_related("repository__forge"), "any"
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


@pytest.fixture
def deliveries() -> list[Delivery]:
    bot = Bot.objects.create(name="ops", platform="dingtalk")
    now = timezone.now()
    made = [
        Delivery(bot=bot, message_id=f"m{n}", body_digest="d", at=now + timedelta(seconds=n))
        for n in range(3)
    ]
    insert(made)
    return made


def test_times_and_constants_keep_their_places(deliveries: list[Delivery]) -> None:
    first = deliveries[0]

    found = since.rows(first.at, first.bot_id)

    assert found == [("m1", deliveries[1].at), ("m2", deliveries[2].at)]


def test_a_prepared_update_changes_only_the_rows_it_means(deliveries: list[Delivery]) -> None:
    later = deliveries[0].at + timedelta(days=1)

    changed = postpone.run(deliveries[1].pk, later)

    assert changed == 1
    assert list(Delivery.objects.filter(at=later)) == [deliveries[1]]


def test_a_prepared_update_says_that_it_changed_nothing(deliveries: list[Delivery]) -> None:
    Delivery.objects.update(body_digest="other")

    assert postpone.run(deliveries[1].pk, timezone.now()) == 0


def test_a_fetched_instance_brings_its_relations_without_another_query(
    django_assert_num_queries: Any,
) -> None:
    forge = Forge.objects.create(
        name="f", kind="gitee", base_url="https://gitee.com/api/v5", token="t-1"
    )
    shop = Repository.objects.create(name="shop", forge=forge, path="acme/shop")
    Service.objects.create(name="one", repository=shop, aliases=["first"])

    with django_assert_num_queries(1):
        found = service.first("one")
        assert found is not None
        assert found.repository is not None
        told = (found.aliases, found.repository.path, found.repository.forge.token)

    assert told == (["first"], "acme/shop", "t-1")


def test_a_fetched_instance_may_lack_its_relation() -> None:
    Service.objects.create(name="alone")

    found = service.first("alone")

    assert found is not None
    assert found.repository is None
    assert service.first("nobody") is None


def test_an_update_adapts_its_values(deliveries: list[Delivery]) -> None:
    bot = deliveries[0].bot
    told = {"settings": {"a": [1]}, "secrets": {"app_secret": "s-123456"}, "enabled": False}

    changed = update(Bot, {"id": bot.pk, "name": "ops"}, told)

    stored = Bot.objects.get()
    assert changed == 1
    assert (stored.settings, stored.secrets, stored.enabled) == tuple(told.values())


def test_an_update_touches_nothing_else(deliveries: list[Delivery]) -> None:
    assert update(Bot, {"id": deliveries[0].bot_id, "name": "other"}, {"enabled": False}) == 0
    assert Bot.objects.get().enabled
