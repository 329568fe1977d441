"""One long connection of Feishu's at work, in a thread of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bot.platforms.base import IncomingMessage, Parsed, Rejected, Said
from bot.platforms.dialling import Lost
from bot.platforms.feishu.adapter import Feishu
from bot.platforms.feishu.connection import FeishuConnection
from tests.feishu_street import Street, eventually


@dataclass
class Line:
    """A connection in a thread of its own, what it took, how it ended."""

    platform: Feishu
    take: Callable[[Parsed | Rejected], Said] | None = None
    kind: type[FeishuConnection] = FeishuConnection
    taken: list[Parsed | Rejected] = field(default_factory=list)
    greetings: int = 0
    signs_of_life: int = 0
    lost: Lost | None = None
    crash: BaseException | None = None

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def connected(self) -> None:
        self.greetings += 1

    def alive(self) -> None:
        self.signs_of_life += 1

    def end(self) -> float:
        """How many seconds it took to stop."""
        began = time.monotonic()
        self.stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        return time.monotonic() - began

    def ended(self, seconds: float = 10.0) -> Lost:
        self._thread.join(seconds)
        assert self.crash is None
        assert self.lost is not None
        return self.lost

    def _run(self) -> None:
        try:
            self.kind(self.platform, self._take, self).run(self.stop)
        except Lost as lost:
            self.lost = lost
        except BaseException as crash:
            self.crash = crash

    def _take(self, parsed: Parsed | Rejected) -> Said:
        said = self.take(parsed) if self.take else Said()
        self.taken.append(parsed)
        return said

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.taken if isinstance(one, IncomingMessage)]


@contextmanager
def line_of(street: Street, platform: Feishu | None = None, **more: Any) -> Iterator[Line]:
    before = street.stand.connected()
    street.stand.choose_mode("dialled")
    line = Line(platform or street.platform, **more)
    eventually(lambda: line.greetings and street.stand.connected() > before)
    try:
        yield line
    finally:
        line.end()
        eventually(lambda: street.stand.connected() <= before)
        assert line.crash is None
