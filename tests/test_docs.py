"""The documents say what is: commands, settings, dependencies, files, links, and an example that applies."""

import re
from io import StringIO
from pathlib import Path
from typing import Final

import pytest
from django.core.management import call_command
from django.utils import translation

from bot.commands import COMMANDS
from bot.models import Grant, Person
from chatops_site.configuration.applying import apply
from chatops_site.configuration.reading import read
from chatops_site.management.commands.command_docs import page

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
PAGES: Final = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
# Read by gunicorn's options, not by the settings.
ELSEWHERE: Final = {"WEB_CONCURRENCY"}
_LINK: Final = re.compile(r"\]\((?!https?:)([^)#\s]+)?(?:#([^)\s]+))?\)")
_FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_FILE: Final = re.compile(r"`((?:bot|repos|audit|chatops_site|tests|docs|\.ci)/[\w./-]*)`")


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def settings_read() -> set[str]:
    """Every name that the environment is asked for."""
    source = text("chatops_site/settings.py") + text("chatops_site/environment.py")
    calls = r"\b(?:env|self)\.[a-z_]+\(\s*\"([A-Z_]+)\""
    return set(re.findall(calls, source)) | ELSEWHERE


def requirements(name: str) -> list[str]:
    """Package names in the order of the file; the direct ones stand above the first blank line."""
    return re.findall(r"^([A-Za-z][\w.-]*(?:\[\w+\])?)==", text(name), re.MULTILINE)


def anchors(markdown: str) -> set[str]:
    """Of a page's headings, as GitHub and Gitee make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", markdown), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def test_the_page_of_commands_is_current() -> None:
    printed = StringIO()
    call_command("command_docs", stdout=printed)

    assert text("docs/commands.md") == printed.getvalue(), (
        "run: manage.py command_docs > docs/commands.md"
    )


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_command_has_its_section_with_an_example(verb: str) -> None:
    section = page().partition(f"\n## /{verb}\n")[2].partition("\n## ")[0]

    assert f"    /{verb}" in section
    assert "Examples: `/" in section


def test_the_page_of_commands_is_english_whatever_the_portal_speaks() -> None:
    with translation.override("zh-hans"):
        summaries = re.findall(r"^\| \[.*\) \| (.*?) \|", page(), re.MULTILINE)

    assert len(summaries) == len(COMMANDS)
    assert all(summary.isascii() for summary in summaries)


def test_the_settings_that_are_looked_for_are_found() -> None:
    assert {"SECRET_KEY", "ENCRYPTION_KEYS", "DATABASE_URL", "TIME_ZONE"} <= settings_read()


@pytest.mark.parametrize("name", sorted(settings_read()))
def test_every_setting_is_explained(name: str) -> None:
    assert re.search(rf"^{name}=", text(".env.example"), re.MULTILINE), ".env.example"
    assert f"| `{name}` |" in text("docs/configuration.md"), "docs/configuration.md"


def test_no_setting_is_explained_that_nothing_reads() -> None:
    explained = re.findall(r"^([A-Z_]+)=", text(".env.example"), re.MULTILINE)
    described = re.findall(r"^\| `([A-Z_]+)` \|", text("docs/configuration.md"), re.MULTILINE)

    assert set(explained) == set(described) == settings_read()


@pytest.mark.parametrize("file", ["requirements.txt", ".ci/requirements.txt"])
def test_every_dependency_has_its_reason(file: str) -> None:
    table = "\n".join(line for line in text("docs/dependencies.md").splitlines() if "|" in line)

    named = [
        name for name in requirements(file) if not re.search(rf"[| ]{re.escape(name)}[ ,|]", table)
    ]

    assert requirements(file)
    assert named == [], f"no line in docs/dependencies.md for {named}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(path: Path) -> None:
    named = _FILE.findall(path.read_text("utf-8"))

    assert [name for name in named if not (ROOT / name).exists() and "<" not in name] == []


def test_the_map_of_the_readme_shows_what_is_there() -> None:
    block = text("README.md").partition("## Where things are")[2].split("```")[1]
    parent, lost = ROOT, []
    for line in block.strip("\n").splitlines():
        names = re.split("  +", line.strip())[0].split()
        if not line.startswith(" "):
            parent = ROOT / names[0] if len(names) == 1 else ROOT
        here = parent if line.startswith(" ") else ROOT
        lost += [str(here / name) for name in names if not (here / name).exists()]

    assert lost == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    found = _LINK.findall(_FENCE.sub("", path.read_text("utf-8")))
    for name, anchor in found:
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{path.name} links to {name}"
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), f"{path.name}: #{anchor}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = {name for name, _anchor in _LINK.findall(text("README.md"))}

    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= linked


@pytest.mark.parametrize("path", sorted((DOCS / "images").glob("*")), ids=lambda path: path.name)
def test_pictures_are_small_and_used(path: Path) -> None:
    assert path.stat().st_size < 300_000
    assert f"docs/images/{path.name}" in text("README.md")


@pytest.mark.django_db
def test_the_example_of_the_configuration_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    example = re.search(r"```yaml\n(.*?)```", text("docs/configuration.md"), re.DOTALL)
    assert example is not None
    for name in set(re.findall(r"env:([A-Z_]+)", example[1])):
        monkeypatch.setenv(name, f"not-a-real-{name.lower()}")

    first = apply(read(example[1].encode()))
    again = apply(read(example[1].encode()))

    assert first.warnings == ()
    assert Person.objects.get(username="zhangsan").name == "张三"
    assert Grant.objects.count() == 3
    assert again.changes == ()
