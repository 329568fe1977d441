"""The admin's page that takes people from a table: it looks first, and takes only what is right."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from audit.models import Entry
from bot.people.models import Account, Person
from tests.admin_house import log_in, page

pytestmark = pytest.mark.django_db
IMPORT = "/admin/bot/person/import/"
TABLE = "name,username,platform,tenant,account\n张三,zhangsan,dingtalk,ding-demo-corp,user101\n"


def upload(client: Client, content: bytes, button: str) -> str:
    file = SimpleUploadedFile("people.csv", content, content_type="text/csv")
    answer = client.post(IMPORT, {"file": file, button: "1"})
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_says_what_would_happen_and_changes_nothing(client: Client) -> None:
    log_in(client, "portal administrator")

    html = upload(client, TABLE.encode("gb18030"), "_look")

    assert "+ new person, account dingtalk user101" in html
    assert "Nothing was changed yet." in html
    assert "Read as GB18030" in html
    assert (Person.objects.count(), Entry.objects.filter(event="config.changed").count()) == (0, 0)


def test_it_takes_the_rows_in_the_name_of_whoever_is_signed_in(client: Client) -> None:
    log_in(client, "portal administrator")

    html = upload(client, TABLE.encode(), "_take")

    assert "Done." in html
    assert Account.objects.get().person.name == "张三"
    entry = Entry.objects.get(target_kind="account")
    assert (entry.actor_kind, entry.username, entry.reason) == ("portal", "portal", "added")


@pytest.mark.parametrize("button", ["_look", "_take"])
def test_a_refused_row_keeps_all_of_them_out_and_is_shown_as_text(
    client: Client, button: str
) -> None:
    log_in(client, "portal administrator")
    bad = "<script>,Bad Name,,,\n"

    html = upload(client, (TABLE + bad).encode(), button)

    assert "because rows were refused" in html
    assert "&lt;script&gt; (Bad Name)" in html
    assert not Person.objects.exists()


@pytest.mark.parametrize(
    ("content", "said"), [(b"a,b\n", "There is no column a"), (b"", "The submitted file is empty")]
)
def test_a_file_that_is_none_is_told_why(client: Client, content: bytes, said: str) -> None:
    log_in(client, "portal administrator")

    assert said in upload(client, content, "_take")


def test_the_list_of_people_leads_there_for_those_who_may(client: Client) -> None:
    log_in(client, "portal administrator")
    assert f'href="{IMPORT}"' in page(client, "/admin/bot/person/")
    log_in(client, "auditor")
    assert f'href="{IMPORT}"' not in page(client, "/admin/bot/person/")


def test_who_may_not_add_people_and_teams_may_not_import(client: Client) -> None:
    log_in(client, "auditor")

    assert client.get(IMPORT).status_code == 403
    assert client.post(IMPORT).status_code == 403
