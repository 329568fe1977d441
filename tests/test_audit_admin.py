"""The record in the admin: what an auditor sees, finds and cannot do."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation
from django.utils.html import escape

from audit.record import ActorKind, Entry, Event, Fact, Outcome, record

pytestmark = pytest.mark.django_db
LIST = "/admin/audit/entry/"
PAYLOAD = "<script>alert(1)</script>'\"&"
TEXT_COLUMNS = [
    name
    for name, field in Fact.__dataclass_fields__.items()
    if field.type is str and name not in {"sha", "observed_sha"}
]


@pytest.fixture
def auditor(client: Client) -> Client:
    return log_in(client)


def log_in(client: Client) -> Client:
    user = User.objects.create_user("auditor", password="a long pass word", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_entry"))
    client.force_login(user)
    return client


def page(client: Client, address: str = LIST, **query: Any) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def write(event: Event = Event.RUN_FINISHED, **facts: Any) -> Entry:
    (entry,) = record(Fact(event=event, **facts))
    return entry


def detail(client: Client, entry: Entry) -> str:
    return page(client, f"{LIST}{entry.seq}/change/")


def whats(html: str) -> list[str]:
    """The third column of the list: what was asked, newest first."""
    return re.findall(r'class="field-what"><a[^>]*>(.*?)</a>', html)


def test_a_row_says_state_who_what_where_outcome_and_when(auditor: Client) -> None:
    write(
        person="张三",
        canonical="/deploy myservice to staging",
        target="myservice",
        environment="staging",
        conversation_name="发布群",
        outcome=Outcome.FAILED,
        reason="build_failed",
    )
    html = page(auditor)
    row = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "|", html.split("<tbody>")[1].split("</tr>")[0]))

    seen = [part.strip() for part in row.split("|") if part.strip()]
    assert seen[:6] == [
        "✕",
        "Run finished",
        "张三",
        "/deploy myservice to staging",
        "myservice · staging · 发布群",
        "failed · build_failed",
    ]
    assert "ago" in seen[6]
    assert 'class="state state-failed"' in html


@pytest.mark.parametrize(
    ("outcome", "tone"),
    [
        ("succeeded", "done"),
        ("refused", "failed"),
        ("running", "under-way"),
        ("awaiting", "waiting"),
        ("unknown", "unknown"),
        ("something new", "under-way"),
    ],
)
def test_the_pill_shows_the_outcome(outcome: str, tone: str, auditor: Client) -> None:
    write(outcome=outcome, canonical="/merge 233")

    assert f'class="state state-{tone}"' in page(auditor)


def test_no_page_contains_a_raw_payload(auditor: Client) -> None:
    payloads: dict[str, Any] = dict.fromkeys(TEXT_COLUMNS, PAYLOAD)
    entry = write(
        external={PAYLOAD: [PAYLOAD]},
        changes={PAYLOAD: {"old": PAYLOAD, "new": PAYLOAD}},
        **payloads,
    )

    for html in (page(auditor), page(auditor, person=PAYLOAD), detail(auditor, entry)):
        assert "<script>alert(1)" not in html
        assert escape("<script>alert(1)</script>") in html


def test_characters_that_mislead_the_eye_are_written_out(auditor: Client) -> None:
    entry = write(text="/merge \u202e332\x1b[2J", person="a\u200bb")

    html = detail(auditor, entry) + page(auditor)

    assert "\\u202e332\\u001b[2J" in html
    assert not {"\u202e", "\x1b"} & set(html)


def test_the_entrys_page_shows_what_applies_and_only_that(auditor: Client) -> None:
    entry = write(
        text="/merge 233",
        external={"url": "https://gitee.com/acme/shop/pulls/233", "名": "值"},
        changes={"merge_method": {"old": "merge", "new": "squash"}},
        sha="a" * 40,
    )
    html = detail(auditor, entry)

    assert "What was asked" in html
    assert '<pre class="verbatim">/merge 233</pre>' in html
    assert "&quot;名&quot;: &quot;值&quot;" in html
    assert "<td>merge</td><td>squash</td>" in html
    assert "a" * 40 in html
    assert "field-service" not in html


def test_an_entry_of_a_run_leads_to_the_runs_page_if_there_is_one(auditor: Client) -> None:
    html = detail(auditor, write(run=42))

    assert re.search(r'field-run_page.*?>\s*(<a href="/admin/bot/run/42/change/">)?42<', html, re.S)


def test_nobody_adds_changes_or_deletes_through_the_admin(admin_client: Client) -> None:
    entry = write(detail="as it was")
    one = f"{LIST}{entry.seq}"
    attempts = [
        admin_client.get(f"{LIST}add/"),
        admin_client.post(f"{LIST}add/", {"event": "login.ok"}),
        admin_client.post(f"{one}/change/", {"detail": "forged"}),
        admin_client.get(f"{one}/delete/"),
        admin_client.post(f"{one}/delete/", {"post": "yes"}),
    ]
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": [entry.seq]})

    assert {answer.status_code for answer in attempts} == {403}
    assert Entry.objects.get(seq=entry.seq).detail == "as it was"


def test_the_pages_offer_nothing_to_change(admin_client: Client) -> None:
    entry = write(person="张三")

    for html in (page(admin_client), detail(admin_client, entry)):
        assert 'name="action"' not in html
        assert 'name="_save"' not in html
        assert "addlink" not in html.split('id="content"')[1]
        assert "deletelink" not in html


@pytest.mark.parametrize("address", [LIST, f"{LIST}1/change/"])
def test_staff_without_the_right_see_nothing(address: str, client: Client) -> None:
    client.force_login(User.objects.create_user("staff", is_staff=True))

    assert client.get(address).status_code == 403


@pytest.mark.parametrize("address", [LIST, f"{LIST}1/change/"])
def test_strangers_are_sent_to_the_login(address: str, client: Client) -> None:
    answer = client.get(address)

    assert (answer.status_code, "/login/" in answer.headers["Location"]) == (302, True)


def three_entries() -> None:
    write(canonical="A", person="张三", command="merge", target="shop#233", run=7, sha="a" * 40)
    write(
        canonical="B",
        person="李四",
        command="deploy",
        target="myservice",
        outcome="failed",
        sha="abcdef0" + "1" * 33,
    )
    write(
        Event.COMMAND_REFUSED,
        canonical="C",
        person="张三",
        command="deploy",
        run=77,
        sha="abcdef0" + "2" * 33,
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"person": "张三"}, ["C", "A"]),
        ({"command": "deploy"}, ["C", "B"]),
        ({"target": "shop#233"}, ["A"]),
        ({"outcome": "failed"}, ["B"]),
        ({"event": "command.refused"}, ["C"]),
        ({"person": "张三", "command": "deploy"}, ["C"]),
        ({"person": "王五"}, []),
        ({"q": "7"}, ["A"]),
        ({"q": "#77"}, ["C"]),
        ({"q": "李四"}, ["B"]),
        ({"q": "shop#233"}, ["A"]),
        ({"q": "deploy"}, ["C", "B"]),
        ({"q": "aaaaaaa"}, ["A"]),
        ({"q": "a" * 40}, ["A"]),
        ({"q": "abcdef0"}, ["C", "B"]),
        ({"q": "aaaaaa"}, []),
        ({"q": "9" * 40}, []),
        ({"q": "x' OR 1=1"}, []),
        ({"person": "\x00"}, ["C", "B", "A"]),
    ],
)
def test_entries_are_found(query: dict[str, str], found: list[str], auditor: Client) -> None:
    three_entries()
    shown = [each for each in whats(page(auditor, **query)) if each in {"A", "B", "C"}]

    assert shown == found


def test_a_filter_keeps_the_others_and_suggests_what_was_seen(auditor: Client) -> None:
    three_entries()
    html = page(auditor, event="run.finished", person="张三")

    assert '<input type="hidden" name="event" value="run.finished">' in html
    assert '<option value="myservice"></option>' in html
    assert 'value="张三"' in html


@pytest.mark.parametrize(("since", "found"), [("1h", ["new"]), ("7d", ["new", "old"]), ("", None)])
def test_the_time_filter_goes_by_the_clock(
    since: str, found: list[str] | None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, age in (("ancient", 100), ("old", 2), ("new", 0)):
        moment = timezone.now() - timedelta(days=age)
        with monkeypatch.context() as clock:
            clock.setattr(timezone, "now", lambda moment=moment: moment)
            write(canonical=name)

    shown = [each for each in whats(page(log_in(client), since=since)) if not each.startswith("#")]

    assert shown == (found or ["new", "old", "ancient"])


def test_an_empty_time_span_says_what_to_do(auditor: Client) -> None:
    assert "Nothing matches" in page(auditor, event="secret.rotated")


def test_older_entries_follow_by_key_until_the_last(auditor: Client) -> None:
    record(*(Fact(event=Event.REPLY_SENT, canonical=f"r{n}") for n in range(120)))
    seen: list[str] = []
    link: str | None = "?event=reply.sent"
    while link:
        html = page(auditor, LIST + link)
        seen += whats(html)
        older = re.search(r'href="([^"]*)" rel="next"', html)
        link = older[1].replace("&amp;", "&") if older else None
        assert older is None or "event=reply.sent" in older[1]

    assert seen == [f"r{n}" for n in reversed(range(120))]
    assert "Newest" in html


@pytest.mark.parametrize("before", ["x", "-1", "9" * 60, "１２", ""])
def test_a_mistyped_page_key_is_no_error(before: str, auditor: Client) -> None:
    write(canonical="A")

    assert "A" in whats(page(auditor, before=before))


def test_a_filter_chosen_on_an_old_page_starts_at_the_newest(auditor: Client) -> None:
    html = page(auditor, before="5")

    links = re.findall(r'href="(\?[^"]*event=[^"]*)"', html)
    assert links
    assert not [link for link in links if "before=" in link]


def test_the_list_never_counts_skips_or_sorts_out_duplicates(auditor: Client) -> None:
    three_entries()
    with CaptureQueriesContext(connection) as queries:
        page(auditor, person="张三", event="run.finished", since="7d", q="7")
    asked = [query["sql"].upper() for query in queries if "AUDIT_ENTRY" in query["sql"].upper()]

    assert asked
    assert not [sql for sql in asked if re.search(r"\bCOUNT\(|\bOFFSET\b|\bDISTINCT\b", sql)]
    assert all("LIMIT" in sql for sql in asked)


def test_the_pages_speak_chinese(auditor: Client) -> None:
    entry = write(
        Event.COMMAND_REFUSED, actor_kind=ActorKind.CHAT, text="/merge 233", outcome="refused"
    )
    with translation.override("zh-hans"):
        headers = {"HTTP_ACCEPT_LANGUAGE": "zh-hans"}
        listed = auditor.get(LIST, **headers).content.decode()  # type: ignore[arg-type]
        shown = auditor.get(f"{LIST}{entry.seq}/change/", **headers).content.decode()  # type: ignore[arg-type]

    assert all(
        word in listed for word in ("已拒绝命令", "已拒绝", "聊天", "最近 24 小时", "前</time>")
    )
    assert all(word in shown for word in ("要做什么", "原文", "条目本身"))
