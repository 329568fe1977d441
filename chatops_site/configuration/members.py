"""What hangs on people: their accounts and teams, and the grants."""

from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from audit.changes import stored
from bot.models import Account, Conversation, Grant, Person, Team
from bot.platforms import PLATFORMS
from chatops_site.configuration.application import Row
from chatops_site.configuration.problems import Wrong, unknown
from chatops_site.configuration.values import text_of

_ACCOUNT_KEYS: Final = ("platform", "tenant", "id")


def settle(rows: list[Row]) -> None:
    """People's lists, which are complete where they are written. Removals first: an account may move."""
    wanted: dict[int, list[dict[str, str]]] = {}
    for row in rows:
        if "accounts" in row.values:
            with row.judging("accounts"):
                wanted[row.instance.pk] = _accounts(row)
    for row in rows:
        if row.instance.pk in wanted:
            _remove_accounts(row, wanted[row.instance.pk])
    for row in rows:
        with row.judging("accounts"):
            for account in wanted.get(row.instance.pk, []):
                _add_account(row, account)
        with row.judging("teams"):
            if "teams" in row.values:
                _join_teams(row)


def _accounts(row: Row) -> list[dict[str, str]]:
    found = []
    for account in _list(row.values["accounts"]):
        if not isinstance(account, dict):
            raise Wrong(_("an account is {platform: …, tenant: …, id: …}."))
        for name in account:
            if name not in _ACCOUNT_KEYS:
                raise Wrong(unknown(name, _ACCOUNT_KEYS))
        read = {name: text_of(account.get(name)) for name in _ACCOUNT_KEYS}
        if read["platform"] not in PLATFORMS:
            raise Wrong(unknown(read["platform"], PLATFORMS))
        read["external_id"] = read.pop("id")
        found.append(read)
    return found


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Wrong(_("this is a list: [one, two]."))
    return value


def _remove_accounts(row: Row, wanted: list[dict[str, str]]) -> None:
    for account in Account.objects.filter(person=row.instance):
        told = {name: getattr(account, name) for name in ("platform", "tenant", "external_id")}
        if told not in wanted:
            row.application.touch(account, stored(account))
            account.delete()


def _add_account(row: Row, wanted: dict[str, str]) -> None:
    holder = Account.objects.filter(**wanted).select_related("person").first()
    if holder is not None and holder.person_id == row.instance.pk:
        row.application.touch(holder, stored(holder))
        return
    if holder is not None:
        raise Wrong(
            _("%(id)s is an account of %(person)s.")
            % {"id": wanted["external_id"], "person": holder.person.name}
        )
    account = Account(person=row.instance, **wanted)
    try:
        account.full_clean()
    except ValidationError as error:
        raise Wrong(" ".join(error.messages)) from None
    row.application.save(account)


def _join_teams(row: Row) -> None:
    """A team that is new comes into being; it can do nothing until a grant names it."""
    names = [text_of(name) for name in _list(row.values["teams"])]
    person: Person = row.instance
    for name in names:
        team = Team.objects.filter(name=name).first() or Team(name=name)
        try:
            team.full_clean()
        except ValidationError as error:
            raise Wrong(" ".join(error.messages)) from None
        row.application.save(team)
    for team in Team.objects.filter(members=person).exclude(name__in=names):
        row.application.touch(team, stored(team))
        team.members.remove(person)
    for team in Team.objects.filter(name__in=names).exclude(members=person):
        row.application.touch(team, stored(team))
        team.members.add(person)


def take_grant(row: Row) -> None:
    """A grant is known again by whom it is for, its role and its scope; the rest may change."""
    wanted, places = Grant(), list[Conversation]()
    row.set(wanted, last=False)
    with row.judging("conversations"):
        places = _places(row)
    if not row.fine:
        return
    grant = _known_grant(row, wanted, places) or wanted
    if "until" in row.values:
        grant.until = wanted.until
    row.validate(grant)
    if row.fine:
        row.application.save(grant)
        row.application.claimed.add((Grant, grant.pk))
    if row.fine and "conversations" in row.values:
        grant.conversations.set(places)


def _known_grant(row: Row, wanted: Grant, places: list[Conversation]) -> Grant | None:
    """Of several alike, one that is wholly the same; else the oldest that no other row has taken."""
    columns = ("person_id", "team_id", "role_id", "repository_id", "service_id", "environment_id")
    same_columns = {column: getattr(wanted, column) for column in columns}
    alike = list(Grant.objects.filter(**same_columns).order_by("pk"))
    same = [
        grant
        for grant in alike
        if grant.until == wanted.until and set(grant.conversations.all()) == set(places)
    ]
    free = [grant for grant in alike if (Grant, grant.pk) not in row.application.claimed]
    return next(iter([*same, *free]), None)


def _places(row: Row) -> list[Conversation]:
    return [_place(text_of(name)) for name in _list(row.values.get("conversations"))]


def _place(name: str) -> Conversation:
    """By the id on the platform, with BOT: before it where two bots have the same."""
    found = [
        place
        for place in Conversation.objects.select_related("bot")
        if name in (place.external_id, f"{place.bot.name}:{place.external_id}")
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise Wrong(_("%(name)s is known to several bots; write BOT:ID.") % {"name": name})
    known = Conversation.objects.values_list("external_id", flat=True)
    raise Wrong(unknown(name, known))
