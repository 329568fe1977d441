"""Free ports on loopback, below those that the system gives to outgoing connections."""

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from typing import Final

FIRST: Final = 12_000
LAST: Final = 32_000
# Of each 200 ports the lower half is for portals, 10 apart, the upper for their sandboxes.
_blocks = [at + portal for at in range(FIRST, LAST, 200) for portal in range(0, 100, 10)]
_held: list[socket.socket] = []


def free_block() -> int:
    """A port for a portal and, from 100 above, ten for its sandbox.

    Nobody else is given them while this process lives, also while nothing listens there: a datagram
    socket on the first port says that the block is taken.
    """
    for first in _from(os.getpid() % len(_blocks)):
        with contextlib.suppress(OSError):
            _held.append(_bound(first, socket.SOCK_DGRAM))
            if all(map(_is_free, (first, *range(first + 100, first + 110)))):
                return first
    raise AssertionError(f"no free ports between {FIRST} and {LAST}")


def _from(start: int) -> Iterator[int]:
    return itertools.islice(itertools.cycle(_blocks), start, start + len(_blocks))


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError):
        _bound(port, socket.SOCK_STREAM).close()
        return True
    return False


def _bound(port: int, kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(type=kind)
    try:
        if kind is socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made
