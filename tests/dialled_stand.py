"""A chat platform that is only reached by dialling: radios, and the mast that they dial.

python -m tests.dialled_stand BOT is manage.py connect with that platform known, and in a hurry.
"""

import contextlib
import json
import queue
import socket
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from threading import Event
from typing import Any, ClassVar, Final, Self

import django
from django.utils import timezone

if __name__ == "__main__":
    django.setup()

from bot.connect.keeping import Times
from bot.connect.supervise import Pauses
from bot.management.commands import connect
from bot.platforms import PLATFORMS
from bot.platforms.base import (
    IncomingMessage,
    Outgoing,
    Parsed,
    Platform,
    Rejected,
    Sender,
    Setting,
    Webhook,
)
from bot.platforms.dialling import Dialled, Lost

KEY: Final = "radio-key-of-the-tests"


class Radio(Platform):
    """Its bots call the mast at a port of this machine, with their key."""

    label = "Radio"
    settings = (Setting("port"),)
    secrets = (Setting("key"),)
    dialled: ClassVar[str] = "tests.dialled_stand.RadioConnection"

    def receive(self, webhook: Webhook, *, now: datetime) -> Parsed:
        raise Rejected("no_webhook")

    def send(self, route: Mapping[str, Any], message: Outgoing, *, now: datetime) -> str:
        return ""

    def check(self) -> str:
        return "A radio."


class RadioConnection(Dialled):
    """A line a message, acknowledged by its id once it is taken."""

    def run(self, stop: Event) -> None:
        address = ("127.0.0.1", int(self.platform.setting("port")))
        try:
            with socket.create_connection(address, timeout=5.0) as line:
                self._talk(line, stop)
        except OSError:
            raise Lost("The mast does not answer.") from None

    def _talk(self, line: socket.socket, stop: Event) -> None:
        line.sendall(f"{self.platform.secret('key')}\n".encode())
        line.settimeout(0.05)
        rest = b""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                came = line.recv(4096)
                if not came:
                    raise Lost("The mast hung up.")
                *whole, rest = (rest + came).split(b"\n")
                for one in whole:
                    self._hear(line, json.loads(one))

    def _hear(self, line: socket.socket, said: dict[str, str]) -> None:
        if "refused" in said:
            # As careless as nobody should be.
            key = self.platform.secret("key")
            raise Lost(f"The key is not {key}.", refused=True)
        if "welcome" in said:
            self.signs.connected()
            return
        self.signs.alive()
        self.take(_message(said))
        line.sendall(f"{said['id']}\n".encode())


def _message(said: Mapping[str, str]) -> IncomingMessage:
    return IncomingMessage(
        platform="radio",
        message_id=said["id"],
        sender=Sender("mast", "caller", "Caller"),
        conversation="channel",
        conversation_name="Channel",
        private=False,
        text=said["text"],
        sent_at=timezone.now(),
    )


class Call:
    """One radio that has called, as the mast sees it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._lines = line.makefile("r", encoding="utf-8")
        self.key = self.hear()

    def say(self, **said: str) -> None:
        self._line.sendall(f"{json.dumps(said)}\n".encode())

    def hear(self, *, seconds: float = 10.0) -> str:
        """What it says next; "" once it has hung up, or says nothing for so long."""
        self._line.settimeout(seconds)
        try:
            return self._lines.readline().strip()
        except OSError:
            return ""

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._lines.close()
        self._line.close()


class Mast:
    """Takes calls; whoever shows another key than this one is refused. A context manager."""

    def __init__(self) -> None:
        self.key = KEY
        self._calls: queue.Queue[Call] = queue.Queue()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def next_call(self, *, seconds: float = 15.0) -> Call:
        return self._calls.get(timeout=seconds)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._answer(Call(self._server.accept()[0]))

    def _answer(self, call: Call) -> None:
        if call.key == self.key:
            call.say(welcome="yes")
            self._calls.put(call)
            return
        call.say(refused="yes")
        call.hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


class Hurried(connect.Command):
    """manage.py connect, with shorter waits."""

    pauses = Pauses(first=0.1, longest=0.3, longest_refused=0.5)
    times = Times(write_every=0.3, write_after=0.0, look_every=0.3, tick=0.05)


if __name__ == "__main__":
    PLATFORMS["radio"] = "tests.dialled_stand.Radio"
    Hurried().run_from_argv(["manage.py", "connect", *sys.argv[1:]])
