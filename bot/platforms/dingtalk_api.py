"""DingTalk's API: the access token that threads share, and what its answers mean.

https://open.dingtalk.com/document/orgapp/obtain-the-access_token-of-an-internal-app
https://open.dingtalk.com/document/orgapp/the-robot-sends-a-group-message
"""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any, Final

from django.utils.translation import gettext as _

from bot.platforms.base import SendFailed
from chatops_site.kit.http import Answer, BadAnswer, Client, HttpError

# Fetching a token often is throttled, and one about to end is no use on the way.
_TOKEN_MARGIN: Final = 300.0
_DAY: Final = 86_400
# After 20 messages in a minute a robot is silenced for ten, so a minute's pause is the least.
_LIMIT_PAUSE: Final = 60.0


class OpenApi:
    """Calls under one access token, which is fetched once and shared by all threads."""

    def __init__(self, client: Client, *, app_key: str, app_secret: str) -> None:
        self._client = client
        self._app_key = app_key
        self._app_secret = app_secret
        self._lock = Lock()
        self._token = ""
        self._until = 0.0

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What DingTalk says to it; SendFailed for anything but 200."""
        token = self._current()
        answer = self._send(path, body, token)
        if answer.status == 401:
            self._forget(token)
            answer = self._send(path, body, self._current())
        if answer.status != 200:
            raise self._refusal(answer)
        return told(answer)

    def ask_clock(self) -> float:
        """Fetches a token; how many seconds DingTalk's clock is ahead of ours (0: told none)."""
        answer, began = self._fetch(), time.time()
        try:
            theirs = parsedate_to_datetime(answer.headers.get("Date", ""))
            return theirs.timestamp() - began
        except (ValueError, TypeError, IndexError, OverflowError):
            return 0.0

    def _send(self, path: str, body: dict[str, Any], token: str) -> Answer:
        answer = post(self._client, path, body, headers={"x-acs-dingtalk-access-token": token})
        check_limits(answer)
        return answer

    def _current(self) -> str:
        with self._lock:
            if time.monotonic() >= self._until:
                self._fetch()
            return self._token

    def _forget(self, token: str) -> None:
        with self._lock:
            if self._token == token:
                self._until = 0.0

    def _fetch(self) -> Answer:
        body = {"appKey": self._app_key, "appSecret": self._app_secret}
        answer = post(self._client, "/v1.0/oauth2/accessToken", body)
        check_limits(answer)
        said = told(answer)
        token, seconds = said.get("accessToken"), said.get("expireIn")
        if answer.status != 200 or not isinstance(token, str) or not token:
            raise self._refusal(answer)
        lasts = float(min(seconds, _DAY)) if isinstance(seconds, int) else 0.0
        self._token = token
        self._until = time.monotonic() + max(lasts - _TOKEN_MARGIN, lasts / 2)
        return answer

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


def post(
    client: Client, path: str, body: dict[str, Any], *, headers: Mapping[str, str] | None = None
) -> Answer:
    try:
        return client.send("POST", path, json=body, headers=headers)
    except HttpError as error:
        raise SendFailed(str(error), retryable=error.retryable) from None


def told(answer: Answer) -> dict[str, Any]:
    try:
        said = answer.json()
    except BadAnswer:
        return {}
    return said if isinstance(said, dict) else {}


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
