"""Slack's Web API: calls under the bot's token, and what its error codes mean for people.

https://docs.slack.dev/apis/web-api/
https://docs.slack.dev/apis/web-api/rate-limits
"""

import re
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.platforms.base import SendFailed
from bot.platforms.reading import told
from chatops_site.kit.http import Answer, Client, HttpError
from chatops_site.kit.redaction import redact

# Slack names the pause; without one the slowest tier's minute is shared by one or two calls.
LIMIT_PAUSE: Final = 30.0

_CODE: Final = re.compile(r"[a-z0-9_]{1,60}")
_LIMITED: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_PASSING: Final = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
)
_TOKEN: Final = gettext_lazy(
    "Install the app to the workspace again and copy the new bot token to the bot's secrets."
)
_INVITE: Final = gettext_lazy("Invite the bot there: /invite @its-name.")
_ADMIN: Final = gettext_lazy("An administrator of the workspace can lift that.")
_ADVICE: Final = {
    "invalid_auth": _TOKEN,
    "not_authed": _TOKEN,
    "token_revoked": _TOKEN,
    "token_expired": _TOKEN,
    "account_inactive": _TOKEN,
    "missing_scope": gettext_lazy(
        "Add the missing scope to the app, and install it to the workspace again."
    ),
    "not_allowed_token_type": gettext_lazy(
        "The token is of another kind: the bot token begins with xoxb-, the app token with xapp-."
    ),
    "not_in_channel": _INVITE,
    "channel_not_found": _INVITE,
    "is_archived": gettext_lazy("The conversation is archived."),
    "restricted_action": _ADMIN,
    "restricted_action_read_only_channel": _ADMIN,
    "restricted_action_thread_only_channel": _ADMIN,
    "access_denied": _ADMIN,
    "org_login_required": _ADMIN,
    "messages_tab_disabled": gettext_lazy(
        "Allow messages to the app: App Home, Messages Tab, in the app's settings."
    ),
    "user_not_found": gettext_lazy("Slack does not know that person any more."),
    "link_disabled": gettext_lazy("Turn on Socket Mode in the app's settings."),
}

# What an app token is refused with: installing the app anew would not help.
_OF_APP_TOKENS: Final = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "token_revoked",
        "token_expired",
        "account_inactive",
        "missing_scope",
    }
)


class Declined(SendFailed):
    """Slack understood the call and said no; code is Slack's word for why."""

    def __init__(self, code: str, *, retryable: bool = False, advice: str | None = None) -> None:
        told = _("Slack refused: %(code)s.") % {"code": code}
        known = str(_ADVICE.get(code, "")) if advice is None else advice
        super().__init__(f"{told} {known}".strip(), retryable=retryable)
        self.code = code


class WebApi:
    """Calls under one token. Every method gives what Slack says to it, or SendFailed."""

    def __init__(self, client: Client, token: str) -> None:
        self._client = client
        self._token = token

    def post_message(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._call("chat.postMessage", json=body)

    def post_ephemeral(self, body: dict[str, Any]) -> dict[str, Any]:
        """Only the user named in it sees that, and only until Slack is opened anew."""
        return self._call("chat.postEphemeral", json=body)

    def update(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._call("chat.update", json=body)

    def who_am_i(self) -> dict[str, Any]:
        return self._call("auth.test", json={})

    def bot(self, bot_id: str) -> dict[str, Any]:
        """Methods that read take forms only."""
        return _inner(self._call("bots.info", form={"bot": bot_id}), "bot")

    def user(self, user_id: str) -> dict[str, Any]:
        return _inner(self._call("users.info", form={"user": user_id}), "user")

    def open_connection(self) -> str:
        """An address for one connection, under an app token; it holds a ticket and is a secret."""
        try:
            return str(self._call("apps.connections.open", json={}).get("url") or "")
        except Declined as declined:
            if declined.code not in _OF_APP_TOKENS:
                raise
            advice = _(
                "Make an app-level token with the scope connections:write in the app's settings, "
                "and copy it to the bot's secrets."
            )
            raise Declined(declined.code, advice=advice) from None

    def _call(
        self, method: str, *, json: Any = None, form: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        if not self._token:
            raise Declined("not_authed")
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            answer = self._client.send(
                "POST", f"/api/{method}", json=json, form=form, headers=headers
            )
        except HttpError as error:
            raise SendFailed(redact(str(error))[0], retryable=error.retryable) from None
        check_limits(answer)
        said = told(answer)
        if answer.status != 200 or said.get("ok") is not True:
            raise _declined(answer, said)
        return said


def check_limits(answer: Answer) -> None:
    """SendFailed for what passes by itself: too many messages, or Slack in trouble."""
    code = told(answer).get("error")
    if answer.status == 429 or code in tuple(_LIMITED):
        raise _limited(answer.headers.get("Retry-After", ""))
    if answer.status >= 500:
        raise SendFailed(
            _("Slack answered %(status)s; it may work again soon.") % {"status": answer.status},
            retryable=True,
        )


def _declined(answer: Answer, said: dict[str, Any]) -> Declined:
    """Only Slack's own words go on: what else stands there may repeat the token."""
    code = said.get("error")
    known = code if isinstance(code, str) and _CODE.fullmatch(code) else f"status {answer.status}"
    return Declined(known, retryable=known in _PASSING)


def _limited(retry_after: str) -> SendFailed:
    seconds = retry_after.strip()
    named = seconds.isascii() and seconds.isdigit()
    return SendFailed(
        _("Slack takes no more messages from this bot for now; the reply waits."),
        retryable=True,
        retry_after=float(seconds[:6]) if named else LIMIT_PAUSE,
    )


def _inner(said: dict[str, Any], name: str) -> dict[str, Any]:
    inner = said.get(name)
    return inner if isinstance(inner, dict) else {}
