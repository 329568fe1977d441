"""At which of the forges the demo's repositories are: chosen on the chat page."""

import shlex
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from chatops_site.sandbox import demo
from chatops_site.sandbox.hooks import Hooks
from chatops_site.sandbox.pages import Style
from chatops_site.sandbox.world import World

_PATIENCE = 60.0


class NotChosen(Exception):
    """The portal was not moved to that forge; the text says why."""


@dataclass
class Choice:
    """Moves the portal to a forge by a command, and begins the story there anew.

    command has {forge} where the forge's name goes; without one the forge stays what it is.
    """

    world: World
    hooks: Hooks
    styles: Mapping[str, Style]
    command: str = ""

    def __post_init__(self) -> None:
        self.current = next(iter(self.styles))
        self._lock = threading.Lock()
        if self.command:
            self.hooks.set(forge=self.current)

    @property
    def style(self) -> Style:
        return self.styles[self.current]

    def offered(self) -> list[dict[str, str]]:
        names = self.styles if self.command else {}
        return [{"name": name, "label": style.forge} for name, style in names.items()]

    def choose(self, name: str) -> None:
        """Raises NotChosen; until the portal has moved, everything stays at the old forge."""
        if not self.command or name not in self.styles:
            raise NotChosen(f"There is no forge {name!r} to choose.")
        with self._lock:
            self._move(name)
            # Nobody is told that the demo's pull requests were opened.
            self.hooks.set(forge="")
            demo.refill(self.world)
            self.hooks.set(forge=name)
            self.current = name

    def _move(self, name: str) -> None:
        line = [part.replace("{forge}", name) for part in shlex.split(self.command)]
        try:
            ended = subprocess.run(  # noqa: S603 (as the sandbox was told on its command line)
                line, capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotChosen(str(error)) from error
        if ended.returncode != 0:
            raise NotChosen((ended.stderr or ended.stdout).strip()[-300:])
