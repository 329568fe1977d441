"""People and their accounts from a CSV file: each row's fate is told, and all of it or nothing is kept."""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from audit.changes import Actor, Change, kind_of, record_changes, snapshot
from bot.people.models import Account, Person, Team, validate_username
from bot.people.validators import validate_forge_logins
from repos.models import Forge

LARGEST: Final = 5_000_000
MOST_ROWS: Final = 20_000
COLUMNS: Final = ("name", "username", "platform", "tenant", "account", "forge", "login", "teams")
_REQUIRED: Final = ("username",)
_TOGETHER: Final = (("platform", "tenant", "account"), ("forge", "login"))
_CHINESE: Final = {
    "姓名": "name",
    "用户名": "username",
    "平台": "platform",
    "租户": "tenant",
    "账号": "account",
    "代码托管": "forge",
    "登录名": "login",
    "团队": "teams",
}
_LONGEST: Final = {
    "name": Person._meta.get_field("name").max_length or 0,
    "tenant": Account._meta.get_field("tenant").max_length or 0,
    "account": Account._meta.get_field("external_id").max_length or 0,
}
LONGEST_TEAM: Final = Team._meta.get_field("name").max_length or 0
# What a spreadsheet makes of a long number.
_ROUNDED: Final = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)
_BETWEEN_TEAMS: Final = re.compile(r"[|、\n]")


class Unreadable(Exception):
    """The file as a whole is none of ours; the sentence says why."""


class Refused(Exception):
    """This row is not taken; the sentence says why."""


@dataclass(frozen=True)
class Table:
    """rows: the line each begins in and its cells by column. encoding: as what the bytes were read."""

    rows: tuple[tuple[int, dict[str, str]], ...]
    encoding: str


@dataclass(frozen=True)
class Fate:
    """What becomes of one row: what it adds, nothing (unchanged), or why it is refused."""

    line: int
    who: str
    added: tuple[str, ...] = ()
    refused: str = ""


@dataclass(frozen=True)
class Outcome:
    """kept: whether it is stored now; not in a dry run, and not while a row is refused."""

    fates: tuple[Fate, ...]
    kept: bool

    @property
    def refused(self) -> int:
        return sum(bool(fate.refused) for fate in self.fates)


# Reading


def read_table(content: bytes) -> Table:
    """UTF-8, else GB18030, which a Chinese spreadsheet saves. Raises Unreadable."""
    if len(content) > LARGEST:
        raise Unreadable(_("The file is larger than 5 MB."))
    text, encoding = _decoded(content)
    try:
        lines = list(_lines(text))
    except csv.Error as problem:
        raise Unreadable(_("This is no CSV: %(problem)s") % {"problem": problem}) from None
    if not lines:
        raise Unreadable(_("The file is empty."))
    (_line, head), *rest = lines
    names = _columns(head)
    if len(rest) > MOST_ROWS:
        raise Unreadable(_("More than %(most)d rows; split the file.") % {"most": MOST_ROWS})
    return Table(tuple((line, _cells(names, row)) for line, row in rest), encoding)


def _decoded(content: bytes) -> tuple[str, str]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding), "UTF-8" if encoding == "utf-8-sig" else "GB18030"
        except UnicodeDecodeError:
            continue
    raise Unreadable(_("The file is neither UTF-8 nor GB18030. Save it as CSV UTF-8."))


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the line it begins in."""
    head = text.split("\n", 1)[0]
    sign = max(",;\t", key=head.count)
    reader, begins = csv.reader(StringIO(text, newline=""), delimiter=sign, strict=True), 1
    for row in reader:
        if any(cell.strip() for cell in row):
            yield begins, row
        begins = reader.line_num + 1


def _columns(head: list[str]) -> list[str]:
    words = [word.strip().casefold() for word in head]
    names = [_CHINESE.get(word, word) for word in words]
    shown = ", ".join(COLUMNS)
    for name in names:
        if name and name not in COLUMNS:
            sentence = _("There is no column %(name)s. The first row names them: %(all)s.")
            raise Unreadable(sentence % {"name": name[:60], "all": shown})
    missing = [name for name in _REQUIRED if name not in names]
    if missing or len({*filter(None, names)}) < len([*filter(None, names)]):
        sentence = _("The first row names the columns, each once, username among them: %(all)s.")
        raise Unreadable(sentence % {"all": shown})
    return names


def _cells(names: list[str], row: list[str]) -> dict[str, str]:
    """Cells beyond the last column are kept under "", so that they can be refused."""
    padded = [*row, *[""] * (len(names) - len(row))]
    cells = {name: cell.strip() for name, cell in zip(names, padded, strict=False) if name}
    beyond = [cell for cell in row[len(names) :] if cell.strip()]
    unnamed = [cell for name, cell in zip(names, row, strict=False) if not name and cell.strip()]
    return cells | {"": "".join([*unnamed, *beyond])}


# Taking over


def import_people(
    table: Table,
    platforms: Mapping[str, str],
    actor: Actor,
    *,
    keep: bool = True,
    skip_refused: bool = False,
) -> Outcome:
    """Each row in turn, in one transaction. With keep=False, or a refused row, it is undone again.

    platforms: each platform's name → the platform whose accounts its people have.
    """
    with transaction.atomic():
        known = _Known.load(platforms)
        fates = tuple(_fate(known, line, row) for line, row in table.rows)
        known.finish()
        record_changes(actor, known.changes())
        kept = keep and (skip_refused or not any(fate.refused for fate in fates))
        if not kept:
            transaction.set_rollback(True)
    return Outcome(fates, kept)


def _fate(known: "_Known", line: int, row: Mapping[str, str]) -> Fate:
    """A row is taken as a whole or not at all: everything is looked at before anything is added."""
    who = " ".join(filter(None, (row.get("name", ""), f"({row.get('username', '')})")))
    try:
        wanted = _Wanted.of(row)
        known.check(line, wanted)
    except Refused as why:
        return Fate(line, who, refused=str(why))
    return Fate(line, who, added=tuple(known.add(line, wanted)))


@dataclass(frozen=True)
class _Wanted:
    """A row whose cells are well formed."""

    name: str
    username: str
    platform: str
    tenant: str
    account: str
    forge: str
    login: str
    teams: tuple[str, ...]

    @classmethod
    def of(cls, row: Mapping[str, str]) -> "_Wanted":
        cells = {name: row.get(name, "") for name in COLUMNS}
        if row.get(""):
            raise Refused(_("more cells than columns"))
        if any(not cell.replace("\n", "").isprintable() for cell in cells.values()):
            raise Refused(_("a cell holds characters that cannot be seen"))
        _check_cells(cells)
        teams = [name.strip() for name in _BETWEEN_TEAMS.split(cells.pop("teams"))]
        if any(len(name) > LONGEST_TEAM for name in teams):
            raise Refused(_("%(column)s is too long") % {"column": "teams"})
        return cls(**cells, teams=tuple(dict.fromkeys(filter(None, teams))))


def _check_cells(cells: dict[str, str]) -> None:
    for name, longest in _LONGEST.items():
        if len(cells[name]) > longest:
            raise Refused(_("%(column)s is too long") % {"column": name})
    try:
        validate_username(cells["username"])
        if cells["login"]:
            validate_forge_logins({cells["forge"]: cells["login"]})
    except ValidationError as problem:
        raise Refused(" ".join(problem.messages)) from None
    for group in _TOGETHER:
        if any(cells[name] for name in group):
            for name in group:
                if not cells[name]:
                    raise Refused(_("%(column)s is empty") % {"column": name})
    if _ROUNDED.fullmatch(cells["account"]):
        raise Refused(_("the spreadsheet has rounded the account; format that column as text"))


@dataclass
class _Known:
    """Everybody, read once, and what the rows have added so far."""

    platforms: Mapping[str, str]
    forges: dict[str, str]
    people: dict[str, Person]
    names: dict[str, str]
    holders: dict[tuple[str, str, str], str]
    logins: dict[tuple[str, str], str]
    teams: dict[str, Team]
    members: set[tuple[str, str]]
    seen: dict[tuple[str, ...], int] = field(default_factory=dict)
    before: dict[str, dict[str, str]] = field(default_factory=dict)
    new_people: list[Person] = field(default_factory=list)
    new_accounts: list[tuple[str, Account]] = field(default_factory=list)
    new_teams: list[Team] = field(default_factory=list)
    joined: dict[str, list[str]] = field(default_factory=dict)
    told: list[Change] = field(default_factory=list)

    @classmethod
    def load(cls, platforms: Mapping[str, str]) -> "_Known":
        people = {person.username: person for person in Person.objects.all()}
        accounts = Account.objects.values_list(
            "platform", "tenant", "external_id", "person__username"
        )
        return cls(
            platforms=platforms,
            forges={name.casefold(): name for name in Forge.objects.values_list("name", flat=True)},
            people=people,
            names={person.name: person.username for person in people.values()},
            holders={(place, tenant, key): who for place, tenant, key, who in accounts},
            logins={
                (forge, login.casefold()): person.username
                for person in people.values()
                for forge, login in person.forge_logins.items()
            },
            teams={team.name: team for team in Team.objects.all()},
            members=set(
                Team.objects.filter(members__isnull=False).values_list("name", "members__username")
            ),
        )

    # Looking

    def check(self, line: int, wanted: _Wanted) -> None:
        self._check_twice(line, wanted)
        self._check_name(wanted)
        self._check_account(wanted)
        self._check_login(wanted)

    def _check_twice(self, line: int, wanted: _Wanted) -> None:
        """A row that says what an earlier one said is a slip; a second account of one person is none."""
        mark = self._mark(wanted)
        if mark in self.seen:
            raise Refused(_("this stands in line %(line)d already") % {"line": self.seen[mark]})

    def _mark(self, wanted: _Wanted) -> tuple[str, ...]:
        if wanted.account:
            return ("account", *self._key(wanted))
        return ("person", wanted.username, wanted.forge, wanted.login, *wanted.teams)

    def _check_name(self, wanted: _Wanted) -> None:
        person = self.people.get(wanted.username)
        if person is None and not wanted.name:
            raise Refused(_("%(column)s is empty") % {"column": "name"})
        if person is not None and wanted.name not in ("", person.name):
            sentence = _("%(username)s is %(person)s here; change names in the admin")
            raise Refused(sentence % {"username": wanted.username, "person": person.name})
        holder = self.names.get(wanted.name, wanted.username)
        if holder != wanted.username:
            sentence = _("%(person)s is the name of %(username)s already")
            raise Refused(sentence % {"person": wanted.name, "username": holder})

    def _check_account(self, wanted: _Wanted) -> None:
        if not wanted.account:
            return
        if wanted.platform.casefold() not in self.platforms:
            sentence = _("there is no platform %(name)s; there are: %(all)s")
            names = ", ".join(sorted({*self.platforms.values()}))
            raise Refused(sentence % {"name": wanted.platform, "all": names})
        holder = self.holders.get(self._key(wanted), wanted.username)
        if holder != wanted.username:
            sentence = _("the account belongs to %(person)s; an operator can move it")
            raise Refused(sentence % {"person": self.people[holder].name})

    def _key(self, wanted: _Wanted) -> tuple[str, str, str]:
        platform = wanted.platform.casefold()
        return self.platforms.get(platform, platform), wanted.tenant, wanted.account

    def _check_login(self, wanted: _Wanted) -> None:
        if not wanted.login:
            return
        forge = self.forges.get(wanted.forge.casefold())
        if forge is None:
            known = ", ".join(sorted(self.forges.values())) or "–"
            sentence = _("There is no forge %(forge)s. There are: %(known)s.")
            raise Refused(sentence % {"forge": wanted.forge, "known": known})
        holder = self.logins.get((forge, wanted.login.casefold()), wanted.username)
        if holder != wanted.username:
            sentence = _("%(login)s at %(forge)s is %(person)s already.")
            names = {"login": wanted.login, "forge": forge, "person": self.people[holder].name}
            raise Refused(sentence % names)
        person = self.people.get(wanted.username)
        has = person.forge_logins.get(forge, wanted.login) if person else wanted.login
        if has.casefold() != wanted.login.casefold():
            sentence = _("is %(login)s at %(forge)s here; change that in the admin")
            raise Refused(sentence % {"login": has, "forge": forge})

    # Adding

    def add(self, line: int, wanted: _Wanted) -> Iterator[str]:
        """In memory; finish() stores it. Says what is new."""
        self.seen[self._mark(wanted)] = line
        if wanted.username not in self.people:
            yield self._add_person(wanted)
        if wanted.account and self._key(wanted) not in self.holders:
            yield self._add_account(wanted)
        if wanted.login and self._add_login(wanted):
            yield _("login %(login)s at %(forge)s") % {
                "login": wanted.login,
                "forge": self.forges[wanted.forge.casefold()],
            }
        for name in wanted.teams:
            if (name, wanted.username) not in self.members:
                yield self._join(name, wanted.username)

    def _add_person(self, wanted: _Wanted) -> str:
        person = Person(name=wanted.name, username=wanted.username)
        self.people[person.username] = person
        self.names[person.name] = person.username
        self.new_people.append(person)
        return _("new person")

    def _add_account(self, wanted: _Wanted) -> str:
        platform, tenant, key = self._key(wanted)
        account = Account(platform=platform, tenant=tenant, external_id=key)
        self.holders[platform, tenant, key] = wanted.username
        self.new_accounts.append((wanted.username, account))
        return _("account %(account)s") % {"account": account}

    def _add_login(self, wanted: _Wanted) -> bool:
        person, forge = self.people[wanted.username], self.forges[wanted.forge.casefold()]
        if forge in person.forge_logins:
            return False
        if person.pk:
            self.before.setdefault(person.username, snapshot(person))
        person.forge_logins = person.forge_logins | {forge: wanted.login}
        self.logins[forge, wanted.login.casefold()] = person.username
        return True

    def _join(self, name: str, username: str) -> str:
        """A team that is new comes into being; it can do nothing until a grant names it."""
        if name not in self.teams:
            self.teams[name] = Team(name=name)
            self.new_teams.append(self.teams[name])
        self.members.add((name, username))
        self.joined.setdefault(name, []).append(username)
        return _("team %(team)s") % {"team": name}

    # Storing

    def finish(self) -> None:
        """Rows first, then what hangs on them; what is told of each is read after the last of it."""
        Person.objects.bulk_create(self.new_people, batch_size=500)
        for username in self.before:
            self.people[username].save(update_fields=["forge_logins"])
        for username, account in self.new_accounts:
            account.person = self.people[username]
        Account.objects.bulk_create(
            (account for _who, account in self.new_accounts), batch_size=500
        )
        for team in self.new_teams:
            team.save()
        for name, usernames in self.joined.items():
            team, new = self.teams[name], self.teams[name] in self.new_teams
            before = {} if new else snapshot(team)
            team.members.add(*(self.people[username] for username in usernames))
            self.told.append(_change(team, before))

    def changes(self) -> list[Change]:
        people = [_change(person, {}) for person in self.new_people]
        changed = [_change(self.people[name], old) for name, old in self.before.items()]
        accounts = [_change(account, {}) for _who, account in self.new_accounts]
        return [*people, *changed, *accounts, *self.told]


def _change(thing: Person | Account | Team, before: dict[str, str]) -> Change:
    return Change(before, snapshot(thing), target_kind=kind_of(thing), target=str(thing))
