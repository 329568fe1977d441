"""Feishu's API: calls under the app's tenant token, and what its error codes mean for people.

https://open.feishu.cn/document/server-docs/authentication-management/access-token/tenant_access_token_internal
https://open.feishu.cn/document/server-docs/api-call-guide/generic-error-code
https://open.feishu.cn/document/server-docs/api-call-guide/frequency-control
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.platforms.base import SendFailed
from bot.platforms.models import Bot
from bot.platforms.tokens import Granted, Tokens
from chatops_site.kit.http import Answer, BadAnswer, Client, HttpError
from chatops_site.kit.redaction import redact

MISSING_SCOPE: Final = 99991672
# Feishu names the pause in a header; without it five a second have been too many.
LIMIT_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 600.0

_BAD_TOKENS: Final = frozenset({99991661, 99991663, 99991664, 99991665})
_LIMITED: Final = frozenset({99991400, 230020, 11232, 11233})
_PASSING: Final = frozenset({1, 1000040343, 230049})
_SCOPES: Final = re.compile(r"\[([a-z0-9_.:, -]{1,300})\]")
_SECRET: Final = gettext_lazy(
    "Copy App ID and App Secret again from the app's page “Credentials & Basic Info”."
)
_PUBLISH: Final = gettext_lazy(
    "Add the bot under “Features”, publish a version of the app and have it approved."
)
_INVITE: Final = gettext_lazy("Add the bot to the group: group settings, Bots.")
_ADVICE: Final = {
    10003: _SECRET,
    10014: _SECRET,
    10012: _PUBLISH,
    99991543: _SECRET,
    403: _SECRET,
    514: _SECRET,
    1000040344: _SECRET,
    1000040350: gettext_lazy("Fifty connections are open already; end some of them."),
    99991662: _PUBLISH,
    230006: _PUBLISH,
    230002: _INVITE,
    230013: gettext_lazy("The person is outside the range that the app may be used by."),
    230018: gettext_lazy("The group lets only its owner or administrators speak."),
    MISSING_SCOPE: gettext_lazy(
        "Grant the app the missing permission under “Permissions & Scopes”, and publish a version."
    ),
}


class Declined(SendFailed):
    """Feishu understood the call and said no; code is Feishu's number for why."""

    def __init__(self, code: int, *, scopes: str = "", retryable: bool = False) -> None:
        told = _("Feishu refused: %(code)s.") % {"code": f"{code} {scopes}".strip()}
        super().__init__(f"{told} {_ADVICE.get(code, '')}".strip(), retryable=retryable)
        self.code = code


@dataclass(frozen=True)
class Endpoint:
    """Where one outgoing connection is opened. address holds its ticket and is a secret."""

    address: str = field(repr=False)
    configuration: dict[str, Any]


class OpenApi:
    """Calls under one app's token. Every method gives what Feishu says to it, or SendFailed."""

    def __init__(self, client: Client, bot: Bot, *, app_id: str, app_secret: str) -> None:
        self._client = client
        self._app_id, self._app_secret = app_id, app_secret
        self._tokens = Tokens(bot, self._fetch)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The whole answer; a token that is not taken any more is renewed once."""
        token = self._tokens.current()
        answer = self._send(method, path, body, token)
        if _code(answer) in _BAD_TOKENS or answer.status == 401:
            self._tokens.forget(token)
            answer = self._send(method, path, body, self._tokens.current())
        return _accepted(answer)

    def open_connection(self) -> Endpoint:
        body = {"AppID": self._app_id, "AppSecret": self._app_secret}
        headers = {"locale": "zh"}
        answer = self._exchange("POST", "/callback/ws/endpoint", body, headers)
        data = part(_accepted(answer), "data")
        address = data.get("URL")
        if not isinstance(address, str):
            raise SendFailed(_("Feishu told no address to connect to."), retryable=True)
        return Endpoint(address, part(data, "ClientConfig"))

    def _fetch(self) -> Granted:
        body = {"app_id": self._app_id, "app_secret": self._app_secret}
        path = "/open-apis/auth/v3/tenant_access_token/internal"
        said = _accepted(self._exchange("POST", path, body, {}))
        token, seconds = said.get("tenant_access_token"), said.get("expire")
        if not isinstance(token, str) or not token:
            raise SendFailed(_("Feishu gave no token."), retryable=True)
        return Granted(token, float(seconds) if isinstance(seconds, int) else 0.0)

    def _send(self, method: str, path: str, body: dict[str, Any] | None, token: str) -> Answer:
        return self._exchange(method, path, body, {"Authorization": f"Bearer {token}"})

    def _exchange(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Answer:
        try:
            answer = self._client.send(method, path, json=body, headers=headers)
        except HttpError as error:
            raise SendFailed(redact(str(error))[0], retryable=error.retryable) from None
        _check_limits(answer)
        return answer


def part(said: dict[str, Any], name: str) -> dict[str, Any]:
    inner = said.get(name)
    return inner if isinstance(inner, dict) else {}


def _told(answer: Answer) -> dict[str, Any]:
    try:
        said = answer.json()
    except BadAnswer:
        return {}
    return said if isinstance(said, dict) else {}


def _code(answer: Answer) -> int:
    """Feishu's own number, else the status."""
    code = _told(answer).get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else answer.status


def _accepted(answer: Answer) -> dict[str, Any]:
    """Of a refusal only numbers and scopes go on: what else stands there may repeat a secret."""
    said, code = _told(answer), _code(answer)
    if code == 0 and answer.status == 200:
        return said
    named = _SCOPES.search(str(said.get("msg", ""))[:2_000]) if code == MISSING_SCOPE else None
    raise Declined(code, scopes=named[0] if named else "", retryable=code in _PASSING)


def _check_limits(answer: Answer) -> None:
    """SendFailed for what passes by itself: too many messages, or Feishu in trouble."""
    if answer.status == 429 or _code(answer) in _LIMITED:
        raise SendFailed(
            _("Feishu takes no more messages from this bot for now; the reply waits."),
            retryable=True,
            retry_after=_pause(answer.headers.get("x-ogw-ratelimit-reset", "")),
        )
    if answer.status >= 500:
        raise SendFailed(
            _("Feishu answered %(status)s; it may work again soon.") % {"status": answer.status},
            retryable=True,
        )


def _pause(reset: str) -> float:
    seconds = reset.strip()
    if not seconds.isascii() or not seconds.isdigit():
        return LIMIT_PAUSE
    return min(max(float(seconds[:6]), 1.0), LONGEST_PAUSE)
