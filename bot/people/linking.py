"""One-time codes: who shows one in the portal and types it in chat owns the account it came from.

The first group of a code names it, the second is its secret; only a keyed digest of both is kept.
"""

import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import salted_hmac

from audit.changes import Actor, Change, kind_of, stored
from audit.record import Event, Fact, record
from bot.people.models import AccessRequest, Account, LinkCode, Person

LIVES: Final = timedelta(minutes=10)
MOST_TRIES: Final = 5
# No I, L, O, 0 or 1: nobody reads them twice alike. kit/redaction.py knows codes by their form.
_LETTERS: Final = "ABCDEFGHJKMNPQRSTUVWXYZ"
_DIGITS: Final = "23456789"
_GROUP: Final = 4
_SALT: Final = "bot.people.linking"
# Of a digest: the half that tells the name, before the half that tells the whole.
_HALF: Final = 32


class Result(StrEnum):
    """What came of a typed code; the words are stored with the run and in the record."""

    LINKED = "linked"
    YOURS = "yours_already"
    TAKEN = "account_of_another"
    INACTIVE = "person_inactive"
    WRONG = "wrong_code"


@dataclass(frozen=True)
class Shown:
    """A new code, to be shown once."""

    code: str
    until: datetime


@dataclass(frozen=True)
class Where:
    """The account that a code was typed from; never without an id."""

    platform: str
    tenant: str
    account: str

    def among(self) -> dict[str, str]:
        return {"platform": self.platform, "tenant": self.tenant, "external_id": self.account}


@dataclass(frozen=True)
class Use:
    """What came of it, whose code it was (or, of a wrong one, seemed to be), and what is changed."""

    result: Result
    person: Person | None = None
    changes: tuple[Change, ...] = ()


def make_code(person: Person, actor: Actor) -> Shown:
    """A code for that person, in place of an earlier one. That it was made goes on record, it does not."""
    until = timezone.now() + LIVES
    with transaction.atomic():
        name, secret = _free_name(), _group()
        values = {"digest": _digest(name, secret), "until": until, "tries": 0}
        LinkCode.objects.update_or_create(person=person, defaults=values)
        record(
            Fact(
                event=Event.CONFIG_CHANGED,
                actor_kind=actor.kind,
                username=actor.username,
                person=person.name,
                source_ip=actor.source_ip,
                target_kind="linkcode",
                target=person.name,
                reason="added",
            )
        )
    return Shown(f"{name}-{secret}", until)


def use_code(typed: str, where: Where) -> Use:
    """Links the account if the code is right, which ends it whatever comes of it; a wrong one is a try.

    Call it in the transaction in which the result is recorded.
    """
    with transaction.atomic():
        person, right = _take(typed)
        if person is None or not right:
            return Use(Result.WRONG, person)
        if not person.active:
            return Use(Result.INACTIVE, person)
        return _link(person, where)


def end_code(typed: str) -> None:
    """Somebody has typed it where others read it: if it is a code it is none any more."""
    with transaction.atomic():
        _take(typed)


def name_of(typed: str) -> str:
    """A word for what the typed code names, the same for all tries of one code; not the name itself."""
    return _digest(_plain(typed)[:_GROUP], "")[: _HALF // 2]


def _take(typed: str) -> tuple[Person | None, bool]:
    """Whose code that names, and whether it was right. Each look at a code costs one of its tries."""
    plain, now = _plain(typed), timezone.now()
    wanted = _digest(plain[:_GROUP], plain[_GROUP:])
    named = None
    for code in LinkCode.objects.filter(digest__startswith=wanted[:_HALF]).select_related("person"):
        this = LinkCode.objects.filter(pk=code.pk, digest=code.digest)
        # The try first: of many at once no more than five are looked at, and one of them is right.
        if not this.filter(until__gt=now, tries__lt=MOST_TRIES).update(tries=F("tries") + 1):
            continue
        named = code.person
        if hmac.compare_digest(code.digest.encode(), wanted.encode()) and this.delete()[0]:
            return named, True
    return named, False


def _link(person: Person, where: Where) -> Use:
    try:
        with transaction.atomic():
            account, new = Account.objects.get_or_create(
                **where.among(), defaults={"person": person}
            )
    except IntegrityError:
        account, new = Account.objects.get(**where.among()), False
    if account.person_id != person.pk:
        return Use(Result.TAKEN, person)
    if not new:
        return Use(Result.YOURS, person)
    added = Change({}, stored(account), target_kind=kind_of(account), target=str(account))
    return Use(Result.LINKED, person, (added, *_accepted(where)))


def _accepted(where: Where) -> list[Change]:
    """The request that was made when the account was a stranger's waits no longer."""
    waiting = AccessRequest.objects.filter(**where.among(), state=AccessRequest.State.WAITING)
    changes = []
    for request in waiting:
        before = stored(request)
        request.state = AccessRequest.State.ACCEPTED
        request.save(update_fields=["state"])
        changes.append(
            Change(before, stored(request), target_kind=kind_of(request), target=str(request))
        )
    return changes


def _free_name() -> str:
    """No two live codes have one name, or a wrong try would count for both."""
    while True:
        name = _group()
        half, now = _digest(name, "")[:_HALF], timezone.now()
        if not LinkCode.objects.filter(digest__startswith=half, until__gt=now).exists():
            return name


def _group() -> str:
    """Four characters with a letter and a digit among them: by that a code is known from a word."""
    while True:
        group = "".join(secrets.choice(_LETTERS + _DIGITS) for _place in range(_GROUP))
        if not group.isalpha() and not group.isdigit():
            return group


def _plain(typed: str) -> str:
    """What a phone makes of it (small letters, blanks, full-width signs) is the same code."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", typed[:100])).upper()[:40]


def _digest(name: str, secret: str) -> str:
    """Keyed, so that a copy of the table alone tells no code."""
    halves = (("name", name), ("whole", f"{name}-{secret}"))
    return "".join(
        salted_hmac(f"{_SALT}.{of}", text, algorithm="sha256").hexdigest()[:_HALF]
        for of, text in halves
    )
