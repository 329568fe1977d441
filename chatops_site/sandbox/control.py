"""/__control on the chat port: look at the sandbox, change it behind the APIs, break it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chatops_site.sandbox import demo
from chatops_site.sandbox.chat import ChatSystem
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.hooks import Hooks
from chatops_site.sandbox.records import Missing
from chatops_site.sandbox.server import Faults, Journal, Request, Response, System, as_json
from chatops_site.sandbox.world import World

Arguments = dict[str, Any]


class Controlled(System, Protocol):
    """A system that the control may change and look at."""

    def control(self, op: str, arguments: Arguments) -> dict[str, Any]:
        """Does one operation. ValueError (a sentence) for what it does not understand."""
        ...

    def state(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Parts:
    """Everything that one sandbox is made of."""

    world: World
    clock: Clock
    journal: Journal
    faults: Faults
    forges: Mapping[str, Controlled]
    hooks: Hooks
    jenkins: Controlled
    chat: ChatSystem

    def systems(self) -> Mapping[str, Controlled]:
        return {**self.forges, "jenkins": self.jenkins, "chat": self.chat}

    def reset(self, state: str) -> None:
        """The named world, no faults, an empty journal; the speed stays."""
        demo.fill(self.world, state)
        self.hooks.clear()
        self.faults.clear()
        self.journal.clear()
        for system in (self.jenkins, self.chat):
            system.control("reset", {"state": state})


class FrontSystem:
    """What listens on the chat port: the control, and the chat for all other paths."""

    name = "chat"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def answer(self, request: Request) -> Response:
        if request.segments[0] != "__control":
            return self._parts.chat.answer(request)
        if not request.is_from_here:
            return as_json({"message": "The control answers only to callers on loopback."}, 403)
        return _controlled(self._parts, request)


def _controlled(parts: Parts, request: Request) -> Response:
    name = "/".join(request.segments[1:])
    action = _ACTIONS.get((request.method, name))
    if action is None and request.method == "POST" and name in parts.systems():
        action = _change_in(name)
    if action is None:
        changes = [("POST", system) for system in parts.systems()]
        known = ", ".join(f"{method} /__control/{path}" for method, path in [*_ACTIONS, *changes])
        return as_json({"message": f"The control has only: {known}"}, 404)
    try:
        return as_json(action(parts, _arguments(request)))
    except Missing as error:
        return as_json({"message": str(error)}, 404)
    except KeyError as error:
        return as_json({"message": f"The argument {error} is missing."}, 400)
    except (ValueError, TypeError) as error:
        return as_json({"message": str(error)}, 400)


def _arguments(request: Request) -> Arguments:
    """JSON keeps its types here: control operations take lists, objects and booleans."""
    found: Arguments = {name: values[-1] for name, values in request.query.items()}
    if not request.body:
        return found
    content = request.json()
    if not isinstance(content, dict):
        raise ValueError("The body is to be a JSON object.")
    return found | content


def _show_state(parts: Parts, _arguments: Arguments) -> Any:
    jenkins = parts.jenkins.state()
    return {
        **parts.forges["gitee"].state(),
        "jenkins": jenkins,
        "deployments": jenkins.get("deployments", []),
        "chat": parts.chat.state(),
        "speed": parts.clock.factor,
        "faults": parts.faults.waiting(),
    }


def _show_journal(parts: Parts, arguments: Arguments) -> Any:
    since, system = int(arguments.get("since", 0)), str(arguments.get("system", ""))
    return {"entries": parts.journal.since(since, system)}


def _reset(parts: Parts, arguments: Arguments) -> Any:
    state = str(arguments.get("state", "demo"))
    parts.reset(state)
    return {"state": state}


def _add_fault(parts: Parts, arguments: Arguments) -> Any:
    """{"system": a forge|"jenkins"|"chat"|"*", "mode": …, "times": 1, …the mode's options}"""
    options = dict(arguments)
    system = str(options.pop("system", "*"))
    if system not in ("*", *parts.systems()):
        raise ValueError(f"There is no system {system!r}; there are: {', '.join(parts.systems())}.")
    return {"fault": parts.faults.add(system, mode=str(options.pop("mode")), **options)}


def _clear_faults(parts: Parts, _arguments: Arguments) -> Any:
    parts.faults.clear()
    return {}


def _push(parts: Parts, arguments: Arguments) -> Any:
    return parts.forges["gitee"].control("push", arguments)


def _set_hooks(parts: Parts, arguments: Arguments) -> Any:
    """{"forge": whose webhooks are sent, "mode", "secret", "copies", "age", "spoilt"}"""
    return parts.hooks.set(**arguments)


def _show_hooks(parts: Parts, _arguments: Arguments) -> Any:
    return {"sent": parts.hooks.sent()}


def _set_speed(parts: Parts, arguments: Arguments) -> Any:
    parts.clock.set_factor(float(arguments["factor"]))
    return {"factor": parts.clock.factor}


def _say(parts: Parts, arguments: Arguments) -> Any:
    return parts.chat.control("say", arguments)


def _messages(parts: Parts, arguments: Arguments) -> Any:
    return parts.chat.control("messages", arguments)


def _change_in(name: str) -> Callable[[Parts, Arguments], Any]:
    def _change(parts: Parts, arguments: Arguments) -> Any:
        rest = dict(arguments)
        return parts.systems()[name].control(str(rest.pop("op")), rest)

    return _change


_ACTIONS: dict[tuple[str, str], Callable[[Parts, Arguments], Any]] = {
    ("GET", "state"): _show_state,
    ("GET", "journal"): _show_journal,
    ("GET", "messages"): _messages,
    ("POST", "reset"): _reset,
    ("POST", "fault"): _add_fault,
    ("POST", "clear_faults"): _clear_faults,
    ("POST", "push"): _push,
    ("POST", "speed"): _set_speed,
    ("POST", "hooks"): _set_hooks,
    ("GET", "hooks"): _show_hooks,
    ("POST", "say"): _say,
}
