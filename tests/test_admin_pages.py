"""Every page of the admin: hostile text stays text, nothing inline, no other host, both languages."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from audit.record import Event, record
from bot.desk.markup import FOLDED_BEYOND, folded, plain_line, reply_html
from bot.models import AccessRequest, Heartbeat, Reply, Run
from bot.runs.story import fact
from tests.admin_house import House, boss, page, refused

pytestmark = pytest.mark.django_db
PAYLOAD = "<script>alert(1)</script>'\"&{{7*7}}"
INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\bsrc=)[^>]*>|\son[a-z]+=", re.IGNORECASE)
ELSEWHERE = re.compile(r'(?:src|href|action)="(?:https?:)?//(?!testserver)[^"]*', re.IGNORECASE)


def addresses(house: House) -> list[str]:
    """The list, the adding and the change page of all that is registered."""
    found = ["/admin/", "/admin/password_change/"]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{name}_changelist"))
        found += [reverse(f"{name}_change", args=[one.pk]) for one in model._base_manager.all()[:3]]
    found += [f"/admin/bot/run/{house.run.pk}/retry/", f"/admin/bot/reply/{house.reply.pk}/again/"]
    found += [f"/admin/bot/run/{house.run.pk}/change/?log=1", "/admin/bot/bot/add/"]
    found += [f"/admin/{place}/add/" for place in ("repos/job", "bot/grant", "bot/person")]
    found += ["/admin/bot/bot/add/?platform=dingtalk", f"/admin/bot/run/?q={quote(PAYLOAD)}"]
    found += [f"/admin/repos/forge/{house.forge.pk}/history/", "/admin/repos/", "/admin/bot/"]
    return found


@pytest.fixture(name="hostile")
def hostile_fixture(client: Client) -> House:
    user = boss(client)
    user.first_name = PAYLOAD
    user.save()
    house = House(PAYLOAD)
    house.person.user = user
    house.person.save()
    record(
        fact(house.run, Event.COMMAND_RECEIVED, account_name=PAYLOAD, source_ip=PAYLOAD),
        fact(house.run, Event.ACCESS_ALLOWED, rule=PAYLOAD),
        fact(
            house.run,
            Event.EFFECT_INTENDED,
            reason=PAYLOAD,
            detail=PAYLOAD,
            external={
                PAYLOAD: PAYLOAD,
                "url": "javascript:alert(1)",
                "parameters": {PAYLOAD: PAYLOAD},
            },
        ),
        fact(house.run, Event.EFFECT_SETTLED, reason=PAYLOAD, outcome=PAYLOAD),
        fact(house.run, Event.RUN_FINISHED, outcome=PAYLOAD, reason=PAYLOAD, observed_sha=PAYLOAD),
        fact(house.run, Event.CONFIG_CHANGED, username=PAYLOAD),
    )
    return house


def test_hostile_text_stays_text_on_every_page(client: Client, hostile: House) -> None:
    escaped = 0
    for address in addresses(hostile):
        html = page(client, address)
        assert "<script>alert" not in html, address
        assert 'href="javascript' not in html, address
        escaped += "&lt;script&gt;alert(1)" in html
    assert escaped > 25


def test_no_page_needs_more_than_its_own_host(client: Client, hostile: House) -> None:
    for address in addresses(hostile):
        answer = client.get(address)
        html = answer.content.decode()
        assert not INLINE.search(html), (address, INLINE.search(html))
        assert not ELSEWHERE.search(html), (address, ELSEWHERE.search(html))
        assert "script-src 'self'" in answer["Content-Security-Policy"], address


def test_an_error_page_is_escaped_too(client: Client, hostile: House) -> None:
    for address, form in (
        ("/admin/repos/forge/add/", {"name": PAYLOAD, "base_url": PAYLOAD}),
        ("/admin/repos/job/add/", {"name": PAYLOAD, "parameters": PAYLOAD}),
        ("/admin/bot/person/add/", {"name": PAYLOAD, "forge_logins": f"{PAYLOAD}: {PAYLOAD}"}),
        ("/admin/bot/role/add/", {"name": PAYLOAD, "commands": [PAYLOAD]}),
        ("/admin/bot/grant/add/", {"scope": PAYLOAD}),
    ):
        html = refused(client, address, **form)
        assert "<script>alert" not in html, address
        assert "errorlist" in html, address


@given(st.text(alphabet=st.sampled_from("<>&\"'`*[]()\\/:jshtp@a \n"), max_size=60))
def test_no_reply_becomes_markup_of_its_own(text: str) -> None:
    html = str(reply_html(text))

    left = re.sub(
        r"</?(?:p|br|code|strong|pre|details|summary|a)(?: class=\"verbatim\"| href=\"https?://[^\"<>]*\""
        r" rel=\"noreferrer noopener\")?>",
        "",
        html,
    )
    assert "<" not in left
    assert ">" not in left


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a `b<c` **d**", "<p>a <code>b&lt;c</code> <strong>d</strong></p>"),
        (
            "[x \\[1\\]](https://e.com/?a=1&b)",
            '<p><a href="https://e.com/?a=1&amp;b" rel="noreferrer noopener">x [1]</a></p>',
        ),
        ("[x](javascript:alert)", "<p>[x](javascript:alert)</p>"),
        ("one  \ntwo", "<p>one<br>two</p>"),
        ("@\u200ball \\*", "<p>@all *</p>"),
    ],
)
def test_a_reply_is_shown_as_chat_shows_it(text: str, html: str) -> None:
    assert reply_html(text) == html


def test_a_long_log_is_folded_and_its_end_stays_open() -> None:
    lines = [f"line {number}" for number in range(50)]

    html = str(folded(lines))

    assert f"<summary>{50 - FOLDED_BEYOND} earlier lines</summary>" in html
    assert html.index("line 29") < html.index("</details>") < html.index("line 30")


def test_a_list_shows_plain_words_without_the_mark() -> None:
    assert plain_line("⛔ Not merged: [shop\\#233](https://x.cn/1) `a`\nmore") == (
        "Not merged: shop#233 a"
    )


def test_the_overview_puts_decisions_first(client: Client) -> None:
    boss(client)
    house = House()
    Run.objects.create(
        language="en",
        command="merge",
        canonical="/merge 233",
        actor="李四",
        state="unknown",
        accepted_at=timezone.now(),
        due_at=timezone.now(),
    )

    html = page(client, "/admin/")

    places = [
        html.index(text)
        for text in (
            "Needs a decision",
            "No worker is running",
            "Li Lei wants to speak to the bot",
            "/merge 233",
            "The robot was removed from the group.",
            "Under way",
            "Nothing is running.",
            "Went wrong in the last 24 hours",
            "/deploy myservice to staging",
            "People and rights",
        )
    ]
    assert places == sorted(places)
    assert f"/admin/bot/accessrequest/{house.wanted.pk}/change/" in html


def test_a_quiet_night_says_so(client: Client) -> None:
    boss(client)
    Heartbeat.objects.create(worker="one", at=timezone.now())

    html = page(client, "/admin/")

    for sentence in ("Nothing waits for you.", "Nothing is running.", "Nothing went wrong."):
        assert sentence in html


def test_a_worker_that_fell_silent_is_told_with_its_time(client: Client) -> None:
    boss(client)
    Heartbeat.objects.create(worker="one", at=timezone.now() - timedelta(minutes=7))

    html = page(client, "/admin/")

    assert "No worker is running" in html
    assert "7\xa0minutes ago" in html


def test_old_undelivered_replies_and_decided_requests_are_gone(client: Client) -> None:
    boss(client)
    House()
    Reply.objects.update(created_at=timezone.now() - timedelta(days=8))
    AccessRequest.objects.update(state="declined")

    html = page(client, "/admin/")

    assert "Li Lei" not in html
    assert "not delivered" not in html


def test_the_language_is_switched_in_the_header(client: Client) -> None:
    boss(client)
    assert 'name="language" value="zh-hans"' in page(client, "/admin/")

    answer = client.post(
        "/admin/language/", {"language": "zh-hans", "next": "/admin/"}, follow=True
    )

    html = answer.content.decode()
    for words in ("需要处理", "进行中", "没有正在运行的工作进程", "人员与权限", 'value="en"'):
        assert words in html, words


def test_the_switch_leads_nowhere_else(client: Client) -> None:
    answer = client.post(
        "/admin/language/", {"language": "en", "next": "https://evil.example.com/"}
    )

    assert answer["Location"] == "/"


def test_the_login_page_has_the_switch_too(client: Client) -> None:
    User.objects.create_superuser("boss", password="a long pass word")

    assert 'name="language" value="zh-hans"' in page(client, "/admin/login/")


def test_every_form_is_chinese_where_that_is_chosen(client: Client) -> None:
    boss(client)
    house = House()
    client.cookies["django_language"] = "zh-hans"

    expected = {
        f"/admin/repos/forge/{house.forge.pk}/change/": ("令牌", "测试连接", "已设置"),
        f"/admin/repos/repository/{house.shop.pk}/change/": ("合并之前", "必需的检查"),
        f"/admin/bot/bot/{house.bot.pk}/change/": ("接收地址", "设置"),
        "/admin/bot/grant/add/": ("全部",),
        f"/admin/bot/run/{house.run.pk}/change/": ("重试", "再次发送回复"),
        f"/admin/bot/accessrequest/{house.wanted.pk}/change/": ("接受", "拒绝"),
    }
    for address, words in expected.items():
        html = page(client, address)
        for word in words:
            assert word in html, (address, word)
