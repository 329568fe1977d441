"""Where the portal's outgoing connections arrive: one port of loopback for the sockets of all stand-ins."""

import logging
import threading
from collections.abc import Mapping

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from chatops_site.sandbox.stand import SocketHandler

LARGEST = 1_000_000
# Connections that end in the middle are what the stand-ins are for.
MUTE = logging.Logger("websockets", logging.CRITICAL + 1)


def open_sockets(handlers: Mapping[str, SocketHandler]) -> str:
    """Listens on a free port; gives back its origin, such as ws://127.0.0.1:40123."""

    def _handle(connection: ServerConnection) -> None:
        request = connection.request
        path = (request.path if request else "").partition("?")[0]
        handler = handlers.get(path)
        if handler is None:
            connection.close(4004, "no such path")
            return
        try:
            handler(connection)
        except ConnectionClosed:
            return

    # Stand-ins ping for themselves, in their platforms' own ways.
    server: Server = serve(
        _handle, "127.0.0.1", 0, ping_interval=None, max_size=LARGEST, logger=MUTE
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"ws://127.0.0.1:{server.socket.getsockname()[1]}"


def make_silent(connection: ServerConnection) -> None:
    """Half-open: it stays, and nothing passes in either direction, no pong either."""
    connection.protocol.receive_data = _lose  # type: ignore[assignment,method-assign]


def _lose(_data: bytes) -> None:
    """Where the bytes of a half-open connection go."""
