"""The forges the sandbox stands in for, each on a port of its own over one state; a new one is a line here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatops_site.sandbox import gitea, gitee, github, gitlab
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.control import Controlled
from chatops_site.sandbox.hooks import Maker
from chatops_site.sandbox.pages import Style
from chatops_site.sandbox.world import World


@dataclass(frozen=True)
class Stand:
    """How a forge's stand-in is made, where its API begins, how it words its webhooks and its pages."""

    build: Callable[[World, Clock], Controlled]
    api: str
    hook: Maker
    pages: Style


# The order is that of the ports.
FORGES: Final[dict[str, Stand]] = {
    "gitee": Stand(gitee.build_system, "/api/v5", gitee.make_hook, gitee.PAGES),
    "github": Stand(github.build_system, "/api/v3", github.make_hook, github.PAGES),
    "gitlab": Stand(gitlab.build_system, "/api/v4", gitlab.make_hook, gitlab.PAGES),
    "gitea": Stand(gitea.build_system, "/api/v1", gitea.make_hook, gitea.PAGES),
}
