"""Comments on pull requests as a chat platform: one reply comment a run, changed in place.

What comes in does not come this way: a forge's webhook is one address for many events (bot/hooks).
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bot.platforms.base import Outgoing, Parsed, Platform, Rejected, SendFailed, Setting, Webhook
from repos.clients import forge_client
from repos.errors import RateLimited, RemoteError
from repos.forges.base import ForgeClient
from repos.models import Forge

LONGEST: Final = 10_000
LOOKED_THROUGH: Final = 50
# A line that begins so is a command to GitLab and to other bots.
_COMMAND: Final = re.compile(r"^(?=/)", re.MULTILINE)


class Comments(Platform):
    label = gettext_lazy("Comments at forges")
    settings = (Setting("forge"),)

    @property
    def updates_in_place(self) -> bool:
        return True

    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        raise Rejected("no_chat")

    def send(self, route: Mapping[str, Any], message: Outgoing, *, now: datetime) -> str:
        """Looks first: a comment whose answer was lost is not written twice."""
        client, mark = self._client(), _mark(route)
        try:
            there = client.comments(route["path"], route["number"], limit=LOOKED_THROUGH)
            known = next((one for one in there if mark in one.body), None)
            if known is not None:
                return self.update(route, known.id, message, now=now)
            return client.comment(route["path"], route["number"], _written(message.text, mark)).id
        except RemoteError as problem:
            raise _failed(problem, now) from problem

    def update(
        self, route: Mapping[str, Any], external_id: str, message: Outgoing, *, now: datetime
    ) -> str:
        try:
            self._client().edit_comment(
                route["path"],
                route["number"],
                external_id,
                _written(message.text, _mark(route)),
            )
        except RemoteError as problem:
            raise _failed(problem, now) from problem
        return external_id

    def check(self) -> str:
        try:
            return _("Comments as %(login)s.") % {"login": self._client().whoami().login}
        except RemoteError as problem:
            raise SendFailed(problem.sentence, retryable=problem.retryable) from problem

    def _client(self) -> ForgeClient:
        try:
            return forge_client(Forge.objects.get(name=self.bot.settings["forge"]))
        except (Forge.DoesNotExist, KeyError):
            sentence = _("The forge of these comments is not there any more.")
            raise SendFailed(sentence, retryable=False) from None


def _mark(route: Mapping[str, Any]) -> str:
    """Says which command a comment of ours answers; nobody sees it."""
    return f"<!-- chatops {route['mark']} -->"


def _written(text: str, mark: str) -> str:
    """As Markdown in which no line of ours is a command again."""
    return _COMMAND.sub(r"\\", text[:LONGEST]) + f"\n\n{mark}"


def _failed(problem: RemoteError, now: datetime) -> SendFailed:
    until = problem.until if isinstance(problem, RateLimited) else None
    wait = max(1.0, (until - now).total_seconds()) if until else None
    return SendFailed(problem.sentence, retryable=problem.retryable, retry_after=wait)
