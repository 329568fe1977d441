"""What the written states of connections come to: for /readyz, the metrics and the admin."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bot.platforms.models import GONE_AFTER, Connection, ConnectionState

# So long may a bot be without a connection: platforms close them now and then.
OUT_FOR: Final = timedelta(minutes=2)
# Newest first. Older ones are of processes that ended long ago.
MOST_READ: Final = 500


@dataclass(frozen=True)
class Report:
    """One bot's connections. rows: newest sign of life first, at least one."""

    bot: str
    rows: Sequence[Connection]
    now: datetime

    @property
    def running(self) -> list[Connection]:
        """Of processes that are alive and have not said that they stop."""
        return [one for one in self.rows if is_running(one, self.now)]

    @property
    def connected(self) -> bool:
        return any(one.state == ConnectionState.CONNECTED for one in self.running)

    @property
    def wanted(self) -> bool:
        """Whether there should be a connection: nobody has stopped the last process."""
        return bool(self.running) or self.rows[0].state != ConnectionState.STOPPED

    @property
    def well(self) -> bool:
        """Connected, stopped on purpose, or without a connection for a moment only."""
        if self.connected or not self.wanted:
            return True
        return any(self.now - one.since <= OUT_FOR for one in self.running)

    @property
    def silent_since(self) -> datetime | None:
        """When something last came, over whichever of them; None: never."""
        return max((one.heard_at for one in self.rows if one.heard_at), default=None)


def is_running(connection: Connection, now: datetime) -> bool:
    stopped = connection.state == ConnectionState.STOPPED
    return not stopped and not is_gone(connection, now)


def is_gone(connection: Connection, now: datetime) -> bool:
    """Its process ended without a word, or hangs."""
    return connection.state != ConnectionState.STOPPED and now - connection.at > GONE_AFTER


def of_bots(now: datetime) -> list[Report]:
    """Of every enabled bot that has or had an outgoing connection."""
    rows = Connection.objects.filter(bot__enabled=True).select_related("bot")
    return _by_bot(rows.defer("bot__secrets", "bot__settings").order_by("-at")[:MOST_READ], now)


def _by_bot(rows: Iterable[Connection], now: datetime) -> list[Report]:
    grouped: dict[str, list[Connection]] = defaultdict(list)
    for row in rows:
        grouped[row.bot.name].append(row)
    return [Report(bot, found, now) for bot, found in sorted(grouped.items())]
