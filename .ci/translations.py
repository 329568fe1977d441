"""Whether every text that people read is there in Chinese, and every compiled catalogue is the newest."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import django
import polib
from babel.messages.extract import extract
from django.utils.translation.template import templatize

ROOT: Final = Path(__file__).resolve().parent.parent
APPS: Final = ("chatops_site", "bot", "repos", "audit")
# The stand-ins speak for other systems; their words are not the portal's.
LEFT_OUT: Final = ROOT / "chatops_site" / "sandbox"
KEYWORDS: Final[dict[str, tuple[int | tuple[int, str], ...] | None]] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
}


def main() -> int:
    """Prints every text that is missing; the number of faults is the exit status, at most 1."""
    catalogues = sorted(ROOT.glob("*/locale/zh_Hans/LC_MESSAGES/django.po"))
    faults = [fault for path in catalogues for fault in stale(path)]
    known = {
        entry.msgid for path in [*catalogues, django_catalogue()] for entry in translated(path)
    }
    faults += [
        f"{place}: {text!r} is not translated" for text, place in texts() if text not in known
    ]
    for fault in faults:
        print(fault)
    print(f"translations: {len(known)} known, {len(faults)} faults")
    return min(1, len(faults))


def translated(path: Path) -> list[polib.POEntry]:
    return [entry for entry in polib.pofile(str(path)) if entry.translated()]


def django_catalogue() -> Path:
    return Path(django.__file__).parent / "conf/locale/zh_Hans/LC_MESSAGES/django.po"


def stale(path: Path) -> Iterator[str]:
    compiled = path.with_suffix(".mo")
    if not compiled.is_file():
        yield f"{compiled.relative_to(ROOT)} is missing: make translations-compile"
        return
    there = {
        entry.msgid: (entry.msgstr, entry.msgstr_plural) for entry in polib.mofile(str(compiled))
    }
    for entry in translated(path):
        if there.get(entry.msgid) != (entry.msgstr, entry.msgstr_plural):
            yield f"{compiled.relative_to(ROOT)} is older than its catalogue: make translations-compile"
            return


def texts() -> Iterator[tuple[str, str]]:
    """Each text with the file and line where it stands first."""
    seen: set[str] = set()
    for path in sources():
        for line, text in texts_of(path):
            if text and text not in seen:
                seen.add(text)
                yield text, f"{path.relative_to(ROOT)}:{line}"


def sources() -> Iterator[Path]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*")):
            if path.suffix in (".py", ".html", ".txt") and LEFT_OUT not in path.parents:
                yield path


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    source = path.read_text("utf-8")
    if path.suffix != ".py":
        source = templatize(source, origin=str(path))
    file = io.BytesIO(source.encode())
    for line, message, _comments, _context in extract("python", file, KEYWORDS):
        yield line, message[0] if isinstance(message, tuple) else message


def compile_all() -> int:
    for path in ROOT.glob("*/locale/zh_Hans/LC_MESSAGES/django.po"):
        polib.pofile(str(path)).save_as_mofile(str(path.with_suffix(".mo")))
    return 0


if __name__ == "__main__":
    sys.exit(compile_all() if sys.argv[1:] == ["compile"] else main())
