"""The page Link a chat account: whose it is, what it shows once, and to whom it says what to ask for."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from audit.models import Entry
from bot.people.linking import Result, Where, use_code
from bot.people.models import Account, LinkCode, Person
from bot.platforms import PLATFORMS
from bot.platforms.models import Bot
from tests.admin_house import House, log_in, page

pytestmark = pytest.mark.django_db
LINK = "/admin/link/"
HERE = Where("dingtalk", "ding-demo-corp", "user999")


def sign_in(client: Client) -> Person:
    """An auditor, who may change nothing, and is a person all the same."""
    user = log_in(client, "auditor")
    return Person.objects.create(name="李四", username="lisi", user=user)


def shown(client: Client) -> str:
    html = client.post(LINK).content.decode()
    found = re.search(r'<p class="link-code"><code>([^<]+)</code>', html)
    assert found is not None, html
    return found[1]


def test_the_code_that_is_shown_links_an_account_to_whoever_is_signed_in(client: Client) -> None:
    person = sign_in(client)

    used = use_code(shown(client), HERE)

    assert (used.result, used.person) == (Result.LINKED, person)
    assert "<code>user999</code>" in page(client, LINK)


def test_it_says_what_to_type_where_and_until_when(client: Client) -> None:
    house = House()
    sign_in(client)
    Bot.objects.create(name="asleep", platform="dingtalk", enabled=False)
    Bot.objects.create(name="comments-gitee", platform="comments")

    html = client.post(LINK).content.decode()

    code = re.findall(r"<code>/link ([A-Z2-9]{4}-[A-Z2-9]{4})</code>", html)
    assert len(code) == 1
    assert re.findall(r"<li>([^<]+ · [^<]+)</li>", html) == [
        f"{house.bot.get_platform_display()} · ops"
    ]
    until = timezone.localtime(LinkCode.objects.get().until).strftime("%H:%M")
    assert f"until {until} (10 minutes), and ends after 5 wrong tries" in html


def test_a_look_at_the_page_makes_no_code(client: Client) -> None:
    sign_in(client)

    html = page(client, LINK)

    assert "Show a code" in html
    assert not LinkCode.objects.exists()


def test_a_code_is_shown_once_and_kept_by_nobody_on_the_way(client: Client) -> None:
    sign_in(client)

    answer = client.post(LINK)
    code = re.findall(r"<code>([A-Z2-9]{4}-[A-Z2-9]{4})</code>", answer.content.decode())[0]

    assert "no-store" in answer["Cache-Control"]
    assert code not in page(client, LINK)
    assert code not in f"{[vars(row) for row in (*Entry.objects.all(), *LinkCode.objects.all())]}"


def test_another_code_ends_the_first(client: Client) -> None:
    sign_in(client)
    first, second = shown(client), shown(client)

    assert use_code(first, HERE).result is Result.WRONG
    assert use_code(second, HERE).result is Result.LINKED


def test_that_a_code_was_made_is_on_record(client: Client) -> None:
    sign_in(client)

    shown(client)

    entry = Entry.objects.get(target_kind="linkcode")
    assert (entry.actor_kind, entry.username, entry.target) == ("portal", "auditor", "李四")


def test_accounts_of_others_are_not_shown(client: Client) -> None:
    House()
    person = sign_in(client)
    Account.objects.create(person=person, platform="dingtalk", tenant="c", external_id="mine-7")

    html = page(client, LINK)

    assert "mine-7" in html
    assert "user123" not in html


@pytest.mark.parametrize("state", ["no person", "inactive"])
def test_who_is_nobody_here_is_told_what_to_ask_for(client: Client, state: str) -> None:
    person = sign_in(client)
    changed = {"user": None} if state == "no person" else {"active": False}
    Person.objects.filter(pk=person.pk).update(**changed)

    html = client.post(LINK).content.decode()

    assert "Your portal user auditor stands for no person" in html
    assert "Show a code" not in html
    assert not LinkCode.objects.exists()


def test_who_is_not_signed_in_is_sent_to_the_login(client: Client) -> None:
    for answer in (client.get(LINK), client.post(LINK)):
        assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/admin/link/")


def test_who_is_no_staff_gets_no_code(client: Client) -> None:
    user = User.objects.create_user("guest", password="a long pass word")
    Person.objects.create(name="客人", username="guest", user=user)
    client.force_login(user)

    assert client.post(LINK).status_code == 302
    assert not LinkCode.objects.exists()


def test_another_site_cannot_have_a_code_made() -> None:
    strict = Client(enforce_csrf_checks=True)
    sign_in(strict)

    assert strict.post(LINK).status_code == 403
    assert not LinkCode.objects.exists()


def test_every_page_leads_there(client: Client) -> None:
    sign_in(client)

    assert f'href="{LINK}"' in page(client, "/admin/")


def test_it_speaks_chinese(client: Client) -> None:
    sign_in(client)

    html = client.get(LINK, headers={"accept-language": "zh-hans"}).content.decode()

    assert "绑定聊天账号" in html
    assert "显示绑定码" in html


def test_a_hostile_name_is_only_text(client: Client) -> None:
    person = sign_in(client)
    Person.objects.filter(pk=person.pk).update(name="<script>alert(1)</script>")
    Account.objects.create(person=person, platform="<b>", tenant="<i>", external_id="<u>")

    html = page(client, LINK)

    assert "<script>alert" not in html
    assert "&lt;u&gt;" in html


def test_an_old_code_is_none_although_nobody_used_it(client: Client) -> None:
    sign_in(client)
    code = shown(client)
    LinkCode.objects.update(until=timezone.now() - timedelta(seconds=1))

    assert use_code(code, HERE).result is Result.WRONG


def test_platforms_of_accounts_are_all_but_the_console_and_the_company_s_robot(
    client: Client,
) -> None:
    log_in(client, "portal administrator")
    form = page(client, "/admin/bot/person/add/")
    select = re.search(r'<select name="accounts-__prefix__-platform".*?</select>', form, re.DOTALL)
    assert select is not None
    choices = re.findall(r'<option value="(\w+)"', select[0])

    spoken = {name for name in PLATFORMS if name not in ("console", "wecom_aibot")}
    assert set(choices) == spoken >= {"dingtalk", "comments"}
