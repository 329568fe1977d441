"""Webhooks of the forges: what happens in the world is told to the portal, signed as that forge signs."""

import contextlib
import http.client
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from chatops_site.sandbox.records import Happening
from chatops_site.sandbox.world import World

SECRET = "demo-hook-secret"  # noqa: S105 (a published value of the sandbox)
_TIMEOUT = 10.0


@dataclass(frozen=True)
class Terms:
    """How hooks are sent. mode: the forge's other way to prove itself (Gitee "password", GitLab "signing").

    copies: deliveries of each; age: seconds by which its time lies back; spoilt: signed with another secret.
    """

    # Whose hooks are sent; "" sends none.
    forge: str = ""
    secret: str = SECRET
    mode: str = ""
    copies: int = 1
    age: float = 0.0
    spoilt: bool = False
    # Where they go; "" is the portal that the sandbox was started for.
    portal: str = ""

    @property
    def key(self) -> str:
        return f"{self.secret}-spoilt" if self.spoilt else self.secret


@dataclass(frozen=True)
class Packet:
    headers: dict[str, str]
    body: bytes


# Makes what a forge sends for a happening, or None where it sends nothing; origin is the forge's own.
Maker = Callable[[World, Happening, Terms, str], Packet | None]


class Hooks:
    """Sends in order, one after the other, from a thread of its own."""

    def __init__(self, world: World, makers: Mapping[str, Maker], portal: str) -> None:
        self._world = world
        self._makers = makers
        self._portal = portal
        self._origins: Mapping[str, str] = {}
        self._terms = Terms()
        self._waiting: queue.SimpleQueue[tuple[str, str, Packet]] = queue.SimpleQueue()
        self._sent: list[dict[str, Any]] = []
        world.listeners.append(self._hear)

    def start(self, origins: Mapping[str, str]) -> None:
        """origins: where each forge is."""
        self._origins = origins
        threading.Thread(target=self._run, daemon=True).start()

    def set(self, **changes: Any) -> dict[str, Any]:
        """Changes the terms; ValueError for what they do not have."""
        try:
            self._terms = replace(self._terms, **changes)
        except TypeError as error:
            raise ValueError(str(error)) from error
        if self._terms.forge and self._terms.forge not in self._makers:
            raise ValueError(f"There is no forge {self._terms.forge!r}.")
        return {"forge": self._terms.forge, "mode": self._terms.mode}

    def clear(self) -> None:
        """Forgets what was sent and any tampering; the forge goes on sending."""
        self._sent.clear()
        self._terms = Terms(forge=self._terms.forge, portal=self._terms.portal)

    def sent(self) -> list[dict[str, Any]]:
        return list(self._sent)

    def _hear(self, happening: Happening) -> None:
        terms = self._terms
        if not terms.forge:
            return
        make, origin = self._makers[terms.forge], self._origins.get(terms.forge, "")
        packet = make(self._world, happening, terms, origin)
        for _ in range(terms.copies if packet is not None else 0):
            assert packet is not None  # noqa: S101 (said in the line above)
            self._waiting.put((terms.portal or self._portal, terms.forge, packet))

    def _run(self) -> None:
        while True:
            portal, forge, packet = self._waiting.get()
            status = 0
            with contextlib.suppress(OSError, http.client.HTTPException):
                status = _post(portal, forge, packet)
            kept = {name: value for name, value in packet.headers.items() if "oken" not in name}
            self._sent.append({"forge": forge, "status": status, "headers": kept})


def _post(portal: str, forge: str, packet: Packet) -> int:
    place = urlsplit(portal)
    connection = http.client.HTTPConnection(place.netloc, timeout=_TIMEOUT)
    path = f"{place.path}/webhooks/forge/{forge}/"
    try:
        connection.request("POST", path, packet.body, packet.headers)
        return connection.getresponse().status
    finally:
        connection.close()
