"""DingTalk's API: calls under its access token, and what its answers mean.

https://open.dingtalk.com/document/orgapp/obtain-the-access_token-of-an-internal-app
https://open.dingtalk.com/document/orgapp/the-robot-sends-a-group-message
https://open-dingtalk.github.io/developerpedia/docs/learn/stream/protocol
"""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from django.utils.translation import gettext as _

from bot.platforms.base import SendFailed
from bot.platforms.models import Bot
from bot.platforms.reading import told
from bot.platforms.tokens import Granted, Tokens
from chatops_site.kit.http import Answer, Client, HttpError

# After 20 messages in a minute a robot is silenced for ten, so a minute's pause is the least.
_LIMIT_PAUSE: Final = 60.0


class OpenApi:
    """Calls under the robot's access token."""

    def __init__(self, client: Client, bot: Bot, *, app_key: str, app_secret: str) -> None:
        self._client = client
        self._app_key = app_key
        self._app_secret = app_secret
        self._tokens = Tokens(bot, lambda: self._granted(self._fetch()))

    def call(self, path: str, body: dict[str, Any], *, method: str = "POST") -> dict[str, Any]:
        """What DingTalk says to it; SendFailed for anything but 200."""
        token = self._tokens.current()
        answer = self._send(method, path, body, token)
        if answer.status == 401:
            self._tokens.forget(token)
            answer = self._send(method, path, body, self._tokens.current())
        if answer.status != 200:
            raise self._refusal(answer)
        return told(answer)

    def ask_clock(self) -> float:
        """Fetches a token; how many seconds DingTalk's clock is ahead of ours (0: told none)."""
        answer, began = self._fetch(), time.time()
        self._granted(answer)
        try:
            theirs = parsedate_to_datetime(answer.headers.get("Date", ""))
            return theirs.timestamp() - began
        except (ValueError, TypeError, IndexError, OverflowError):
            return 0.0

    def open_connection(self, subscriptions: list[dict[str, str]]) -> tuple[str, str]:
        """Where a connection of ours may be opened, and the ticket for it: once, within 90 s."""
        body = {
            "clientId": self._app_key,
            "clientSecret": self._app_secret,
            "subscriptions": subscriptions,
            "ua": "chatops-portal",
        }
        answer = ask(self._client, "/v1.0/gateway/connections/open", body)
        check_limits(answer)
        said = told(answer)
        endpoint, ticket = said.get("endpoint"), said.get("ticket")
        if answer.status != 200 or not isinstance(endpoint, str) or not isinstance(ticket, str):
            raise self._refusal(answer)
        return endpoint, ticket

    def _send(self, method: str, path: str, body: dict[str, Any], token: str) -> Answer:
        headers = {"x-acs-dingtalk-access-token": token}
        answer = ask(self._client, path, body, method=method, headers=headers)
        check_limits(answer)
        return answer

    def _fetch(self) -> Answer:
        body = {"appKey": self._app_key, "appSecret": self._app_secret}
        answer = ask(self._client, "/v1.0/oauth2/accessToken", body)
        check_limits(answer)
        return answer

    def _granted(self, answer: Answer) -> Granted:
        said = told(answer)
        token, seconds = said.get("accessToken"), said.get("expireIn")
        if answer.status != 200 or not isinstance(token, str) or not token:
            raise self._refusal(answer)
        return Granted(token, float(seconds) if isinstance(seconds, int) else 0.0)

    def _refusal(self, answer: Answer) -> SendFailed:
        said = told(answer)
        reason = f"{answer.status} {said.get('code', '')} {said.get('message', '')}".strip()
        if self._app_secret:
            reason = reason.replace(self._app_secret, "…")
        return SendFailed(
            _("DingTalk refused: %(reason)s. Check the app key, the secret and the robot's rights.")
            % {"reason": reason[:200]},
            retryable=False,
        )


def ask(
    client: Client,
    path: str,
    body: dict[str, Any],
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    try:
        return client.send(method, path, json=body, headers=headers)
    except HttpError as error:
        raise SendFailed(str(error), retryable=error.retryable) from None


def check_limits(answer: Answer) -> None:
    """SendFailed for what passes by itself: too many messages, or DingTalk in trouble."""
    if answer.status == 429 or "QpsLimit" in str(told(answer).get("code", "")):
        raise limited(answer.headers.get("Retry-After"))
    if answer.status >= 500:
        raise SendFailed(
            _("DingTalk answered %(status)s; it may work again soon.") % {"status": answer.status},
            retryable=True,
        )


def limited(retry_after: str | None) -> SendFailed:
    seconds = retry_after or ""
    pause = float(seconds[:6]) if seconds.isascii() and seconds.isdigit() else _LIMIT_PAUSE
    return SendFailed(
        _("DingTalk takes no more messages from this robot for now; the reply waits."),
        retryable=True,
        retry_after=pause,
    )
