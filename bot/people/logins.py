"""Whose a login at a forge is. Logins have no case there; two persons with one login are nobody."""

from collections.abc import Iterable

from django.db.models import QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Lower

from bot.people.models import Person


def with_login(forge: str, login: str) -> Person | None:
    """The one active person with that login; None when there is none, or more than one."""
    found = list(_with_logins(forge, [login.lower()]).filter(active=True)[:2])
    return found[0] if len(found) == 1 else None


def people_of(forge: str, logins: Iterable[str]) -> dict[str, str]:
    """login as it was given → the person's name, for those we know."""
    given = {login.lower(): login for login in logins}
    known = _with_logins(forge, given).values_list("forge_logins", "name")
    return {given[logins[forge].lower()]: name for logins, name in known}


def _with_logins(forge: str, lowered: Iterable[str]) -> QuerySet[Person]:
    # Cast, because SQLite would read the login itself as JSON.
    login = Lower(Cast(KeyTextTransform(forge, "forge_logins"), TextField()))
    return Person.objects.annotate(login=login).filter(login__in=list(lowered))
