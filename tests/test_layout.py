"""The shape of the house: what lies at the top, who may import whom, and how long anything may be."""

import ast
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

# They read the same trees: once, by one worker.
ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("chatops_site", "bot", "repos", "audit")
TOP: Final = {
    "manage.py",
    *PACKAGES,
    *("tests", "docs", ".ci"),
    *("requirements.txt", "README.md", "pyproject.toml", "Makefile", "LICENSE"),
    *(".env.example", ".gitignore"),
}
MOST_LINES: Final = 500
LONGEST_FUNCTION: Final = 40
MEDIAN_FUNCTION: Final = 8

# Each may import itself and what stands after it.
FLOORS: Final = ("wiring", "bot", "repos", "audit", "kit")
# The rooms of bot, likewise; a new one needs its place here.
ROOMS: Final = (
    "admin",
    "desk",
    "management",
    "engine",
    "hooks",
    "connect",
    "views",
    "pressing",
    "dispatch",
    "verdict",
    "language",
    "arguments",
    "phrasing",
    "commands",
    "sending",
    "replies",
    "models",
    "runs",
    "people",
    "platforms",
    "sampling",
    "wording",
)
# Narrower than their place: what else the design keeps apart.
APART: Final = {
    "engine": ("hooks", "views", "dispatch", "verdict", "language", "arguments", "phrasing"),
    "people": ("platforms",),
}
# Django reads these; they import what they migrate or gather.
OUTSIDE: Final = ("migrations", "apps", "locale")


@dataclass(frozen=True)
class Import:
    """One import, written in `module`, of the module `of`; lazy when it stands inside a function."""

    module: str
    of: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.of}"


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the four packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[dotted.removesuffix(".__init__")] = ast.parse(path.read_text("utf-8"))
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import of one of our modules by another, wherever it stands."""
    return tuple(each for name, tree in modules().items() for each in _imports_of(name, tree))


def _imports_of(module: str, tree: ast.Module) -> Iterator[Import]:
    lazy = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        for name in _named_by(module, node):
            if name.split(".")[0] in PACKAGES:
                yield Import(module, name, getattr(node, "lineno", 0), id(node) in lazy)


def _named_by(module: str, node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    package = node.module or ""
    if node.level:
        is_package = (ROOT / module.replace(".", "/")).is_dir()
        above = module.split(".")[: None if is_package and node.level == 1 else -node.level]
        package = ".".join([*above, *filter(None, [node.module])])
    # "from bot import dispatch" names a module, "from bot.dispatch import accept" a thing in one.
    known = modules()
    inner = [f"{package}.{alias.name}" for alias in node.names]
    return [name if name in known else package for name in inner]


def floor_of(module: str) -> str:
    first, _dot, rest = module.partition(".")
    if first == "chatops_site":
        return rest.split(".")[0] if rest.split(".")[0] in ("kit", "sandbox", "demo") else "wiring"
    return first


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def told(offenders: list[Import]) -> str:
    return "\n".join(map(str, offenders))


def test_at_the_top_lies_what_the_design_names() -> None:
    ignored = {".git", ".venv", ".env", "var", "static", ".hypothesis", "__pycache__"}
    there = {path.name for path in ROOT.iterdir() if path.name not in ignored}

    there = {name for name in there if not name.startswith((".coverage", ".mypy", ".ruff"))}

    assert there == TOP


def test_imports_run_downwards_from_floor_to_floor() -> None:
    places = {floor: place for place, floor in enumerate(FLOORS)}
    offenders = [
        each
        for each in imports()
        if floor_of(each.module) in places
        and floor_of(each.of) in places
        and places[floor_of(each.of)] < places[floor_of(each.module)]
    ]

    assert not offenders, told(offenders)


@pytest.mark.parametrize("alone", ["kit", "sandbox", "demo"])
def test_the_ground_floor_the_sandbox_and_the_demo_import_only_themselves(alone: str) -> None:
    offenders = [
        each for each in imports() if floor_of(each.module) == alone and floor_of(each.of) != alone
    ]

    assert not offenders, told(offenders)


def test_no_part_of_the_portal_imports_the_sandbox() -> None:
    offenders = [
        each
        for each in imports()
        if floor_of(each.of) == "sandbox" and floor_of(each.module) != "sandbox"
    ]

    assert not offenders, told(offenders)


def test_every_room_of_bot_has_its_place() -> None:
    rooms = {room_of(name) for name in modules() if name.startswith("bot.")}

    assert rooms - set(OUTSIDE) <= set(ROOMS)


def test_imports_inside_bot_run_from_room_to_room_in_one_direction() -> None:
    places = {room: place for place, room in enumerate(ROOMS)}
    offenders = [
        each
        for each in imports()
        if room_of(each.module) in places
        and room_of(each.of) in places
        and (floor_of(each.module), floor_of(each.of)) == ("bot", "bot")
        and places[room_of(each.of)] < places[room_of(each.module)]
    ]

    assert not offenders, told(offenders)


def test_rooms_that_are_kept_apart_do_not_import_each_other() -> None:
    offenders = [
        each
        for each in imports()
        if (floor_of(each.module), floor_of(each.of)) == ("bot", "bot")
        and room_of(each.of) in APART.get(room_of(each.module), ())
    ]

    assert not offenders, told(offenders)


def test_only_the_command_line_the_admin_and_the_wiring_know_the_engine() -> None:
    allowed = ("bot.engine", "bot.management", "bot.admin", "chatops_site.")
    offenders = [
        each
        for each in imports()
        if each.of.startswith("bot.engine") and not each.module.startswith(allowed)
    ]

    assert not offenders, told(offenders)


def test_forges_know_no_stored_thing() -> None:
    offenders = [
        each
        for each in imports()
        if each.module.startswith("repos.forges") and each.of.startswith("repos.models")
    ]

    assert not offenders, told(offenders)


def test_no_import_hides_inside_a_function() -> None:
    offenders = [each for each in imports() if each.lazy]

    assert not offenders, told(offenders)


def sources() -> list[Path]:
    folders = (*PACKAGES, "tests", ".ci")
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function with its length in lines, its decorators apart."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            name = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            yield name, node.end_lineno - node.lineno + 1


def test_no_file_is_longer_than_anybody_reads() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in sources()}

    assert not {str(path): n for path, n in lengths.items() if n > MOST_LINES}


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        name: length
        for path in sources()
        if "migrations" not in path.parts
        for name, length in functions(path)
        if length > LONGEST_FUNCTION
    }

    assert not long


def test_most_functions_are_short() -> None:
    lengths = [
        length
        for path in sources()
        if path.relative_to(ROOT).parts[0] in PACKAGES
        for _name, length in functions(path)
    ]

    assert statistics.median(lengths) <= MEDIAN_FUNCTION


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name
        for name, tree in modules().items()
        if tree.body and ast.get_docstring(tree) is None and ".migrations" not in name
    ]

    assert not silent
