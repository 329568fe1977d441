"""`python -m chatops_site.sandbox`: forges, Jenkins and chat platforms on ports of loopback."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from chatops_site.sandbox import chat, demo, jenkins
from chatops_site.sandbox.choice import Choice
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.control import FrontSystem, Parts
from chatops_site.sandbox.forges import FORGES
from chatops_site.sandbox.hooks import Hooks
from chatops_site.sandbox.pane import Pane
from chatops_site.sandbox.server import Faults, Journal, serve
from chatops_site.sandbox.sockets import open_sockets
from chatops_site.sandbox.world import World

_ENDS = (signal.SIGTERM, signal.SIGINT)


def _options(line: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chatops_site.sandbox", description=__doc__)
    parser.add_argument(
        "--port",
        type=int,
        default=8900,
        help="chat; Gitee is +1, Jenkins +2, the other forges follow",
    )
    parser.add_argument("--portal", default="http://127.0.0.1:8800", help="where webhooks go")
    parser.add_argument(
        "--bot",
        default="ops",
        help="DingTalk's bot in the portal; the others' names begin with it: ops-feishu",
    )
    parser.add_argument("--speed", type=float, default=1.0, help="how fast Jenkins' time passes")
    parser.add_argument("--state", choices=demo.STATES, default="demo")
    parser.add_argument(
        "--move",
        default="",
        help="a command that moves the portal to the {forge} in it; then the page offers to",
    )
    parser.add_argument(
        "--connect",
        default="",
        help="a command that keeps the {bot} in it connected while the page wants that",
    )
    parser.add_argument("--config", type=Path, help='JSON: {"gitee": [{"op": …}], "jenkins": […]}')
    return parser.parse_args(line)


def assemble(
    *, portal: str, bot: str, speed: float, state: str, move: str = "", connect: str = ""
) -> Parts:
    """A whole sandbox that does not listen yet."""
    world, clock = World(), Clock(speed)
    demo.fill(world, state)
    builds = jenkins.build_system(world, clock)
    builds.control("reset", {"state": state})
    hooks = Hooks(world, {name: stand.hook for name, stand in FORGES.items()}, portal)
    styles = {name: stand.pages for name, stand in FORGES.items()}
    choice = Choice(world, hooks, styles, move)
    return Parts(
        world=world,
        clock=clock,
        journal=Journal(),
        faults=Faults(),
        forges={name: stand.build(world, clock) for name, stand in FORGES.items()},
        hooks=hooks,
        jenkins=builds,
        chat=chat.build_system(
            clock,
            Pane(world, choice, builds.state),
            choice,
            portal=portal,
            bot=bot,
            connect=connect,
        ),
    )


def open_ports(parts: Parts, port: int = 0) -> dict[str, str]:
    """Listens on the ports from port on (0: any free ones); gives back the systems' URLs."""
    first, *others = parts.forges.values()
    systems = (FrontSystem(parts), first, parts.jenkins, *others)
    ports = [port + index if port else 0 for index in range(len(systems))]
    servers = serve(dict(zip(systems, ports, strict=True)), parts.journal, parts.faults)
    origins = [f"http://127.0.0.1:{server.server_port}" for server in servers]
    places = dict(zip((system.name for system in systems), origins, strict=True))
    # The chat sends out links and session webhooks, so it has to know where all are.
    parts.chat.control("listen", places | {"sockets": open_sockets(parts.chat.sockets)})
    parts.hooks.start(places)
    apis = {name: f"{places[name]}{stand.api}" for name, stand in FORGES.items()}
    return {
        **apis,
        "chat": origins[0],
        "jenkins": f"{origins[2]}/jenkins",
        "control": f"{origins[0]}/__control",
    }


def _prepare(parts: Parts, path: Path | None) -> None:
    if path is None:
        return
    for name, changes in json.loads(path.read_text("utf-8")).items():
        for change in changes:
            rest = dict(change)
            parts.systems()[name].control(str(rest.pop("op")), rest)


def run(line: Sequence[str]) -> int:
    """Serves until SIGTERM or SIGINT; open connections are dropped."""
    # Waited for and never handled: a handler that sets an Event can meet its lock half taken.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    options = _options(line)
    parts = assemble(
        portal=options.portal,
        bot=options.bot,
        speed=options.speed,
        state=options.state,
        move=options.move,
        connect=options.connect,
    )
    _prepare(parts, options.config)
    print(json.dumps(open_ports(parts, options.port)), flush=True)
    signal.sigwait(_ENDS)
    parts.chat.close()
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
