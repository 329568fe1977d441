"""People from a table: each row's fate is told, all of it or nothing is kept, and twice changes nothing."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.models import Entry
from bot.people.importing import MOST_ROWS, Unreadable, read_table
from bot.people.models import Account, Person, Team
from bot.platforms import PLATFORMS
from repos.models import Forge
from tests.platform_stand import Pager

HEAD = "name,username,platform,tenant,account,forge,login,teams"
ZHANG = "张三,zhangsan,pager,T0DEMO,U0ZHANGSAN,gitee,zhangsan,backend|release"
LI = "李四,lisi,dingtalk,ding-demo-corp,user102,,,"

pytestmark = pytest.mark.django_db


class Robot(Pager):
    """Its people are those with pagers."""

    accounts_of = "pager"


@pytest.fixture(autouse=True)
def forge(monkeypatch: pytest.MonkeyPatch) -> Forge:
    monkeypatch.setitem(PLATFORMS, "pager", f"{Pager.__module__}.Pager")
    monkeypatch.setitem(PLATFORMS, "robot", f"{__name__}.Robot")
    return Forge.objects.create(name="gitee", kind="gitee", base_url="https://gitee.com/api/v5")


@pytest.fixture(name="file")
def file_fixture(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


def run(file: Path, *rows: str, head: str = HEAD, encoding: str = "utf-8", **options: Any) -> str:
    """What is said; a refused row's CommandError is left to the caller."""
    file.write_bytes("\r\n".join([head, *rows, ""]).encode(encoding))
    told = StringIO()
    call_command("import_people", str(file), stdout=told, **options)
    return told.getvalue()


def refused(file: Path, *rows: str, **options: Any) -> str:
    """The whole output of a run in which a row is refused."""
    file.write_bytes("\n".join([options.pop("head", HEAD), *rows]).encode())
    told = StringIO()
    with pytest.raises(CommandError, match="rows were refused") as error:
        call_command("import_people", str(file), stdout=told, **options)
    assert error.value.returncode == 1
    return told.getvalue()


def counts() -> tuple[int, int, int, int]:
    return tuple(model.objects.count() for model in (Person, Account, Team, Entry))  # type: ignore[return-value]


def test_a_row_makes_a_person_with_account_login_and_teams(file: Path) -> None:
    told = run(file, ZHANG)

    assert told.splitlines() == [
        "Read as UTF-8",
        "+ line 2: 张三 (zhangsan) new person, account pager U0ZHANGSAN,"
        " login zhangsan at gitee, team backend, team release",
        "1 rows with something new, 0 unchanged, 0 refused.",
    ]
    person = Person.objects.get()
    assert (person.name, person.forge_logins) == ("张三", {"gitee": "zhangsan"})
    account = Account.objects.get()
    assert (account.person, account.tenant, str(account)) == (person, "T0DEMO", "pager U0ZHANGSAN")
    assert [team.name for team in person.teams.order_by("name")] == ["backend", "release"]


def test_it_is_on_record_as_the_admin_s_changes_are(file: Path) -> None:
    run(file, ZHANG)

    entries = Entry.objects.order_by("seq")
    assert [(one.target_kind, one.target, one.reason, one.actor_kind) for one in entries] == [
        ("person", "张三", "added", "system"),
        ("account", "pager U0ZHANGSAN", "added", "system"),
        ("team", "backend", "added", "system"),
        ("team", "release", "added", "system"),
    ]
    assert entries[1].changes["person"] == {"old": "", "new": "张三"}
    assert entries[2].changes["members"] == {"old": "", "new": "张三"}


def test_twice_changes_nothing(file: Path) -> None:
    run(file, ZHANG, LI)
    before = counts()

    told = run(file, ZHANG, LI)

    assert "= line 2: 张三 (zhangsan) unchanged\n= line 3: 李四 (lisi) unchanged\n" in told
    assert counts() == before


def test_a_dry_run_says_the_same_and_changes_nothing(file: Path) -> None:
    before = counts()
    dry = run(file, ZHANG, LI, dry_run=True)
    assert counts() == before

    told = run(file, ZHANG, LI)

    assert dry.splitlines()[:-1] == told.splitlines()[:-1]
    assert dry.splitlines()[-1].endswith("This was a dry run; nothing was changed.")


def test_one_person_may_have_many_accounts(file: Path) -> None:
    told = run(
        file, ZHANG, ",zhangsan,pager,T0OTHER,ou_zhangsan,,,", "张三,zhangsan,dingtalk,c,u1,,,"
    )

    assert "+ line 3: (zhangsan) account pager ou_zhangsan" in told
    assert Person.objects.get().accounts.count() == 3


def test_what_is_there_already_is_only_added_to(file: Path) -> None:
    person = Person.objects.create(name="张三", username="zhangsan", forge_logins={"github": "z3"})
    Team.objects.create(name="backend").members.add(person)

    run(file, ZHANG)

    person.refresh_from_db()
    assert person.forge_logins == {"github": "z3", "gitee": "zhangsan"}
    told = list(Entry.objects.order_by("seq").values_list("target_kind", "reason"))
    assert told == [("person", "changed"), ("account", "added"), ("team", "added")]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("张三,Zhang San,,,,,,", "A user name is 1 to 63 lower-case letters"),
        ("张三,,pager,T,U,,,", "A user name is 1 to 63 lower-case letters"),
        (",zhangsan,pager,T,U,,,", "name is empty"),
        ("张三,zhangsan,icq,T,U,,,", "there is no platform icq; there are: comments, dingtalk"),
        ("张三,zhangsan,console,,zhangsan,,,", "tenant is empty"),
        ("张三,zhangsan,console,t,zhangsan,,,", "there is no platform console"),
        ("张三,zhangsan,pager,,U,,,", "tenant is empty"),
        ("张三,zhangsan,pager,T,,,,", "account is empty"),
        ("张三,zhangsan,,T,U,,,", "platform is empty"),
        ("张三,zhangsan,dingtalk,T,1.23E+17,,,", "the spreadsheet has rounded the account"),
        ("张三,zhangsan,dingtalk,T,user200,,,", "the account belongs to 王芳"),
        ("张三,zhangsan,,,,hub,zhangsan,", "There is no forge hub. There are: gitee."),
        ("张三,zhangsan,,,,gitee,,", "login is empty"),
        ("张三,zhangsan,,,,gitee,张三,", "'张三' is no login at gitee"),
        ("张三,zhangsan,,,,gitee,WangFang,", "WangFang at gitee is 王芳 already."),
        ("张三,wangfang,,,,,,", "wangfang is 王芳 here; change names in the admin"),
        ("王芳,zhangsan,,,,,,", "王芳 is the name of wangfang already"),
        (",wangfang,,,,gitee,wang2,", "is wangfang at gitee here; change that in the admin"),
        ("张\u202e三,zhangsan,,,,,,", "a cell holds characters that cannot be seen"),
        ("张三,zhangsan,,,,,,,extra", "more cells than columns"),
        (f"{'张' * 101},zhangsan,,,,,,", "name is too long"),
        (f"张三,zhangsan,,,,,,{'t' * 101}", "teams is too long"),
    ],
)
def test_a_row_is_refused_with_its_reason_and_then_nothing_is_changed(
    file: Path, row: str, why: str
) -> None:
    wang = Person.objects.create(
        name="王芳", username="wangfang", forge_logins={"gitee": "wangfang"}
    )
    Account.objects.create(person=wang, platform="dingtalk", tenant="T", external_id="user200")
    before = counts()

    told = refused(file, LI, row)

    assert f"refused: {why}" in told
    assert "Nothing was changed. Correct those rows" in told
    assert counts() == before


@pytest.mark.parametrize(
    "second",
    [ZHANG, ",zhangsan,pager,T0DEMO,U0ZHANGSAN,,,", "李四,lisi,PAGER,T0DEMO,U0ZHANGSAN,,,"],
)
def test_an_account_that_stands_in_the_file_twice_is_refused(file: Path, second: str) -> None:
    told = refused(file, ZHANG, second)

    assert "⛔ line 3:" in told
    assert "refused: this stands in line 2 already" in told


def test_the_other_rows_are_taken_when_that_is_wanted(file: Path) -> None:
    told = refused(file, LI, "张三,Zhang San,,,,,,", ZHANG, skip_refused=True)

    assert told.endswith("2 rows with something new, 0 unchanged, 1 refused.\n")
    assert Person.objects.count() == 2
    assert Entry.objects.exists()


def test_a_row_that_is_refused_leaves_nothing_for_the_rows_after_it(file: Path) -> None:
    refused(file, "张三,zhangsan,icq,T,U,,,", ",zhangsan,pager,T,U,,,", skip_refused=True)

    assert not Person.objects.exists()


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("gb18030", "GB18030"), ("gbk", "GB18030")],
)
def test_what_spreadsheets_save_is_read_and_said(file: Path, encoding: str, said: str) -> None:
    assert run(file, ZHANG, encoding=encoding).startswith(f"Read as {said}\n")
    assert Person.objects.get().name == "张三"


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_commas_semicolons_and_tabs_are_fine(file: Path, sign: str) -> None:
    run(file, ZHANG.replace(",", sign), head=HEAD.replace(",", sign))

    assert Account.objects.get().external_id == "U0ZHANGSAN"


def test_columns_may_be_left_out_and_stand_in_any_order_and_be_chinese(file: Path) -> None:
    run(file, "U0ZHANGSAN, T0DEMO ,pager,zhangsan,张三", head="账号,租户,平台,用户名,姓名")

    assert str(Account.objects.get()) == "pager U0ZHANGSAN"


def test_a_cell_of_more_lines_and_empty_lines_keep_the_line_numbers_right(file: Path) -> None:
    told = refused(file, "", '张三,zhangsan,,,,,,"backend\nrelease"', "", "李四,Li,,,,,,")

    assert "+ line 3: 张三 (zhangsan) new person, team backend, team release" in told
    assert "⛔ line 6: 李四 (Li)" in told


def test_the_accounts_of_a_company_s_robot_are_the_company_s(file: Path) -> None:
    told = run(file, "张三,zhangsan,robot,T0DEMO,zhangsan,,,")

    assert "account pager zhangsan" in told


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "The file is empty"),
        (b"\n\n", "The file is empty"),
        (b"name,nickname\n", "There is no column nickname"),
        (b"name,platform\n", "username among them"),
        (b"name,username,name\n", "each once"),
        (b"\xff\xfe\x00\x81\x00", "neither UTF-8 nor GB18030"),
        (b'username\n"abc', "This is no CSV"),
        (b"username\n" + b"x" * 200_000, "This is no CSV"),
        (b"username\n" + b"x\n" * (MOST_ROWS + 1), "More than 20000 rows"),
        (b"x" * 5_000_001, "larger than 5 MB"),
    ],
)
def test_a_file_that_is_no_table_of_people_is_told_why(content: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read_table(content)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_people", str(tmp_path / "nowhere.csv"))


def test_a_whole_company_is_imported_once(file: Path) -> None:
    rows = [f"人{n},user{n},pager,T0DEMO,U{n},gitee,login{n},everybody" for n in range(500)]

    run(file, *rows)
    again = run(file, *rows)

    assert Account.objects.count() == 500
    assert Team.objects.get().members.count() == 500
    assert again.endswith("0 rows with something new, 500 unchanged, 0 refused.\n")
