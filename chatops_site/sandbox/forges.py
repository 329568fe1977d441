"""The forges the sandbox stands in for, each on a port of its own over one state; a new one is a line here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatops_site.sandbox import gitee, github, gitlab
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.control import Controlled
from chatops_site.sandbox.hooks import Maker
from chatops_site.sandbox.world import World


@dataclass(frozen=True)
class Stand:
    """How a forge's stand-in is made, where its API begins, and how it words its webhooks."""

    build: Callable[[World, Clock], Controlled]
    api: str
    hook: Maker


# The order is that of the ports.
FORGES: Final[dict[str, Stand]] = {
    "gitee": Stand(gitee.build_system, "/api/v5", gitee.make_hook),
    "github": Stand(github.build_system, "/api/v3", github.make_hook),
    "gitlab": Stand(gitlab.build_system, "/api/v4", gitlab.make_hook),
}
