"""Access requests: an operator says who a stranger is, and from then on the bot knows them."""

from typing import Any

import pytest
from django.test import Client

from audit.models import Entry
from bot.models import AccessRequest, Account, Grant, Person
from tests.admin_house import House, boss, log_in, page, refused, saved

pytestmark = pytest.mark.django_db


def at(house: House) -> str:
    return f"/admin/bot/accessrequest/{house.wanted.pk}/change/"


def told() -> list[tuple[str, str]]:
    rows = Entry.objects.filter(event="config.changed").order_by("seq")
    return list(rows.values_list("reason", "target_kind"))


def test_the_page_shows_who_asked_from_where(client: Client) -> None:
    boss(client)
    house = House()

    html = page(client, at(house))

    for text in ("Li Lei", "dingtalk user777", "ding-demo-corp", "发布群", 'value="lilei"'):
        assert text in html
    # A display name proves nothing, so nobody known is preselected.
    assert f'<option value="{house.person.pk}">' in html
    assert f'value="{house.person.pk}" selected' not in html


def test_someone_new_is_made_with_a_role(client: Client) -> None:
    boss(client)
    house = House()
    form = {"name": "Li Lei", "username": "lilei", "role": house.role.pk, "scope": "everything"}

    saved(client, at(house), **form, _accept="1")

    person = Person.objects.get(username="lilei")
    account = Account.objects.get(person=person)
    assert (account.platform, account.tenant, account.external_id) == (
        "dingtalk",
        "ding-demo-corp",
        "user777",
    )
    assert Grant.objects.get(person=person).scope == "everything"
    assert AccessRequest.objects.get().state == "accepted"
    assert told() == [
        ("added", "person"),
        ("added", "account"),
        ("added", "grant"),
        ("changed", "accessrequest"),
    ]
    assert "Li Lei from now on." in page(client, "/admin/bot/accessrequest/")


def test_the_account_goes_to_someone_known(client: Client) -> None:
    log_in(client, "operator")
    house = House()

    saved(client, at(house), person=house.person.pk, name="Li Lei", _accept="1")

    assert Account.objects.filter(person=house.person).count() == 2
    assert Person.objects.count() == 1


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"username": "lilei"}, "Someone new needs a name. Or choose someone known above."),
        ({"name": "Li"}, "Someone new needs a user name."),
        ({"name": "张三", "username": "x"}, "张三 is known already. Choose them above"),
        ({"name": "Li", "username": "Li Lei"}, "A user name is 1 to 63 lower-case letters"),
        ({"name": "Li", "username": "li", "role": "1"}, "Choose where the role holds:"),
    ],
)
def test_what_is_missing_is_said(form: dict[str, Any], sentence: str, client: Client) -> None:
    boss(client)
    house = House()
    if "role" in form:
        form = form | {"role": house.role.pk}

    html = refused(client, at(house), **form, _accept="1")

    assert sentence in html
    assert AccessRequest.objects.get().state == "waiting"
    assert told() == []


def test_an_account_that_is_known_by_now_is_not_given_again(client: Client) -> None:
    boss(client)
    house = House()
    Account.objects.create(
        person=house.person, platform="dingtalk", tenant="ding-demo-corp", external_id="user777"
    )

    html = refused(client, at(house), name="Li", username="li", _accept="1")

    assert "This account is 张三" in html
    assert not Person.objects.filter(username="li").exists()


def test_declining_makes_nobody(client: Client) -> None:
    log_in(client, "operator")
    house = House()

    saved(client, at(house), _decline="1")

    assert AccessRequest.objects.get().state == "declined"
    assert told() == [("changed", "accessrequest")]
    assert Person.objects.count() == 1
    saved(client, at(house), name="Li", username="li", _accept="1")
    assert "has been decided already" in page(client, "/admin/bot/accessrequest/")
    assert Person.objects.count() == 1


def test_an_operator_gives_no_roles(client: Client) -> None:
    log_in(client, "operator")
    house = House()
    assert 'name="role"' not in page(client, at(house))
    form = {"name": "Li", "username": "li", "role": house.role.pk, "scope": "everything"}

    saved(client, at(house), **form, _accept="1")

    assert Grant.objects.count() == 1


def test_an_auditor_only_reads(client: Client) -> None:
    log_in(client, "auditor")
    house = House()

    assert "_accept" not in page(client, at(house))
    assert client.post(at(house), {"_decline": "1"}).status_code == 403
    assert AccessRequest.objects.get().state == "waiting"


def test_an_empty_list_says_what_would_fill_it(client: Client) -> None:
    boss(client)

    assert "Whoever speaks to a bot without being known" in page(
        client, "/admin/bot/accessrequest/"
    )
