"""The Chinese catalogues: complete, with the same placeholders, and compiled as they stand."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
from babel.messages.extract import extract, extract_from_dir
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
APPS = sorted(path.parent.name for path in ROOT.glob("*/locale"))
KEYWORDS = {"_": None, "gettext": None, "gettext_lazy": None, "ngettext": (1, 2)}
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]")


def catalogue(app: str) -> polib.POFile:
    return polib.pofile(str(ROOT / app / "locale/zh_Hans/LC_MESSAGES/django.po"))


def used(app: str) -> set[str]:
    """Every text in gettext's hands, in the code and in the templates of an app."""
    found = extract_from_dir(ROOT / app, [("**.py", "python")], keywords=KEYWORDS)
    return {_singular(message) for _file, _line, message, *_rest in found} | set(_in_templates(app))


def _in_templates(app: str) -> Iterator[str]:
    for template in (ROOT / app).rglob("*.html"):
        source = io.BytesIO(templatize(template.read_text("utf-8")).encode())
        for _line, message, *_rest in extract("python", source, KEYWORDS):
            yield _singular(message)


def _singular(message: str | tuple[str, ...]) -> str:
    return message if isinstance(message, str) else message[0]


def said(entry: polib.POEntry) -> str:
    """Chinese has one form, whatever the number."""
    return str(entry.msgstr_plural.get(0, "") if entry.msgid_plural else entry.msgstr)


def test_every_app_has_a_catalogue() -> None:
    assert {"audit", "bot", "repos"} <= set(APPS)


@pytest.mark.parametrize("app", APPS)
def test_every_text_is_translated(app: str) -> None:
    known = {entry.msgid for entry in catalogue(app) if said(entry) and not entry.fuzzy}
    assert used(app) - known == set()


@pytest.mark.parametrize("app", APPS)
def test_a_translation_has_the_placeholders_and_the_commands_of_its_text(app: str) -> None:
    for entry in catalogue(app):
        for pattern in (PLACEHOLDER, re.compile(r"`/[a-z]+[^`]*`")):
            there = sorted(pattern.findall(entry.msgid))
            assert sorted(pattern.findall(said(entry))) == there, entry.msgid


@pytest.mark.parametrize("app", APPS)
def test_what_is_installed_is_what_was_translated(app: str) -> None:
    compiled = polib.mofile(str(ROOT / app / "locale/zh_Hans/LC_MESSAGES/django.mo"))
    told = {entry.msgid: said(entry) for entry in catalogue(app)}
    assert {entry.msgid: said(entry) for entry in compiled} == told


def test_the_bot_s_catalogue_holds_nothing_that_is_not_said_any_more() -> None:
    assert {entry.msgid for entry in catalogue("bot")} - used("bot") == set()


def test_chinese_is_written_as_chinese() -> None:
    for entry in catalogue("bot"):
        words = PLACEHOLDER.sub("…", said(entry))
        assert not re.search("您|请稍候|！", words), words
        assert not re.search(r"[\u4e00-\u9fff][,;:!?](?![\w/])", words), words
        assert not re.search(r"[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]", words), words
