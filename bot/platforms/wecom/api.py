"""WeCom's API: calls under the app's access token, and what its error codes mean.

https://developer.work.weixin.qq.com/document/path/91039
https://developer.work.weixin.qq.com/document/path/90313
"""

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.platforms.base import SendFailed
from bot.platforms.models import Bot
from bot.platforms.tokens import Granted, Tokens
from chatops_site.kit.http import Answer, BadAnswer, Client, HttpError
from chatops_site.kit.redaction import redact, remember

_LIMIT_PAUSE: Final = 60.0
_STALE: Final = frozenset({40014, 42001, 41001})
_LIMITS: Final = frozenset({45009, 45033, 45047})
_UNKNOWN_ACCOUNTS: Final = frozenset({40003, 60111, 46004})
_REASONS: Final = {
    40001: gettext_lazy("The secret is not that of this app."),
    40013: gettext_lazy("WeCom does not know the corp id."),
    40056: gettext_lazy("WeCom does not know the agent id."),
    301002: gettext_lazy("The secret is that of another app than the agent id."),
    48002: gettext_lazy("The app may not call this interface."),
    60011: gettext_lazy("The app may not see this member: add them to its visible range."),
    60020: gettext_lazy("The portal's address is not among the app's trusted IPs."),
    81013: gettext_lazy("The receiver is unknown, or outside the app's visible range."),
}


class Refused(SendFailed):
    """WeCom answered with an error code that will be the same the next time."""

    def __init__(self, sentence: str, *, code: int) -> None:
        super().__init__(sentence, retryable=False)
        self.code = code


class AppApi:
    """Calls as one app. The access token travels in the query string, and appears nowhere else."""

    def __init__(self, client: Client, bot: Bot, *, corp_id: str, secret: str) -> None:
        self._client = client
        self._corp_id = corp_id
        self._secret = secret
        self._tokens = Tokens(bot, self._fetch)

    def get(self, path: str, **params: str) -> dict[str, Any]:
        """What WeCom says to a question; Refused or another SendFailed."""
        return self._call("GET", path, params, None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What WeCom says to a wish; Refused or another SendFailed."""
        return self._call("POST", path, {}, body)

    def find_name(self, user: str) -> str:
        """The member's name; "" for one that WeCom does not know."""
        try:
            said = self.get("/cgi-bin/user/get", userid=user)
        except Refused as refused:
            if refused.code in _UNKNOWN_ACCOUNTS:
                return ""
            raise
        name = said.get("name")
        return name if isinstance(name, str) else ""

    def _call(
        self, method: str, path: str, params: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        token = self._tokens.current()
        said = self._ask(method, path, {"access_token": token, **params}, body)
        if _code(said) in _STALE:
            self._tokens.forget(token)
            token = self._tokens.current()
            said = self._ask(method, path, {"access_token": token, **params}, body)
        check(said, secrets=(self._secret, token))
        return said

    def _fetch(self) -> Granted:
        credentials = {"corpid": self._corp_id, "corpsecret": self._secret}
        said = self._ask("GET", "/cgi-bin/gettoken", credentials, None)
        check(said, secrets=(self._secret,))
        token, seconds = said.get("access_token"), said.get("expires_in")
        if not isinstance(token, str) or not token:
            raise SendFailed(_("WeCom gave no access token."), retryable=False)
        remember(token)
        return Granted(token, float(seconds) if isinstance(seconds, int) else 0.0)

    def _ask(
        self, method: str, path: str, params: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        try:
            if method == "GET":
                return told(self._client.get(path, params=params))
            return told(self._client.send(method, path, params=params, json=body))
        except HttpError as error:
            raise SendFailed(str(error), retryable=error.retryable) from None


def told(answer: Answer) -> dict[str, Any]:
    """What the answer says, whatever its status; SendFailed when it is none of WeCom's."""
    if answer.status == 429 or answer.status >= 500:
        raise SendFailed(
            _("WeCom answered %(status)s; it may work again soon.") % {"status": answer.status},
            retryable=True,
        )
    try:
        said = answer.json()
    except BadAnswer:
        said = None
    if not isinstance(said, dict):
        raise SendFailed(
            _("WeCom's answer (status %(status)s) cannot be read. Check the address of the API.")
            % {"status": answer.status},
            retryable=False,
        )
    return said


def check(said: Mapping[str, Any], *, secrets: tuple[str, ...] = ()) -> None:
    """SendFailed unless the error code is 0. Only the code is judged; the words may change."""
    code = _code(said)
    if code == 0:
        return
    if code == -1:
        raise SendFailed(_("WeCom is busy; the reply waits."), retryable=True)
    if code in _LIMITS:
        raise SendFailed(
            _("WeCom takes no more messages from this app for now; the reply waits."),
            retryable=True,
            retry_after=_LIMIT_PAUSE,
        )
    # Cut afterwards: half a token would not be known for one.
    words = redact(str(said.get("errmsg") or "")[:2_000], secrets)[0][:160]
    shown = {"code": code, "reason": str(_REASONS.get(code, "")), "words": words}
    sentence = _("WeCom refused (%(code)s): %(words)s")
    if shown["reason"]:
        sentence = _("WeCom refused (%(code)s). %(reason)s Its words: %(words)s")
    raise Refused(sentence % shown, code=code)


def _code(said: Mapping[str, Any]) -> int:
    """Left out by some calls where all is well; anything but a number is no success."""
    code = said.get("errcode", 0)
    return code if isinstance(code, int) and not isinstance(code, bool) else -2
