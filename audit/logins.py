"""Records logins to the portal, whoever's form they came through."""

from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import transaction
from django.http import HttpRequest

from audit.record import ActorKind, Event, Fact, Outcome, record

LOCKED: Final = "locked"

# Django's two login signals are the only boundary that every way in passes (the admin's form, a
# test client, a single sign-on backend), so this is the one place where a signal writes the record.


def login_succeeded(*, request: HttpRequest | None, user: Any, **_signal: Any) -> None:
    """Receiver of user_logged_in."""
    _record(Event.LOGIN_OK, Outcome.SUCCEEDED, request=request, username=user.get_username())


def login_refused(
    *, credentials: dict[str, Any], request: HttpRequest | None = None, **_signal: Any
) -> None:
    """Receiver of user_login_failed.

    The name is kept only if somebody has it: people type passwords into the wrong field.
    """
    name = _known(str(credentials.get("username", "")))
    _record(Event.LOGIN_FAILED, Outcome.REFUSED, request=request, username=name)


def login_locked(*, request: HttpRequest | None, username: str) -> None:
    """A login that was not even tried."""
    name = _known(username)
    _record(Event.LOGIN_FAILED, Outcome.REFUSED, request=request, username=name, reason=LOCKED)


def _known(typed: str) -> str:
    name = typed.replace("\x00", "")[:150]
    return name if get_user_model()._default_manager.filter(username=name).exists() else ""


def _record(
    event: Event,
    outcome: Outcome,
    *,
    request: HttpRequest | None,
    username: str,
    reason: str = "",
) -> None:
    address = request.META.get("REMOTE_ADDR", "") if request else ""
    fact = Fact(
        event=event,
        outcome=outcome,
        actor_kind=ActorKind.PORTAL,
        username=username,
        source_ip=str(address),
        reason=reason or ("" if username else "unknown_name"),
    )
    with transaction.atomic():
        record(fact)
