"""The forges the sandbox stands in for, each on a port of its own over one state; a new one is a line here."""

from collections.abc import Callable
from typing import Final

from chatops_site.sandbox import gitee
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.control import Controlled
from chatops_site.sandbox.world import World

# Name → how it is made and where its API begins; the order is that of the ports.
FORGES: Final[dict[str, tuple[Callable[[World, Clock], Controlled], str]]] = {
    "gitee": (gitee.build_system, "/api/v5"),
}
