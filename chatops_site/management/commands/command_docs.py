"""manage.py command_docs: prints docs/commands.md from the registry of commands."""

from collections.abc import Iterator
from typing import Any, Final

from django.core.management.base import BaseCommand
from django.utils import translation

from bot.commands.base import Kind, Spec
from bot.commands.registry import specs
from bot.language import LONGEST_MESSAGE
from bot.verdict import CHANGING_FOR, MOST_UNFINISHED

HEAD: Final = """\
# Commands

<!-- Written by `manage.py command_docs`; edit the commands in bot/commands/ and run it again. -->

A command is a slash, a verb, its arguments, and the repository last: `/merge 233 shop`. In a group
the bot is mentioned first, `@bot /merge 233`. `/help` shows each person only what they may do.

- **One command a message**, on one line of at most {longest:,} characters.
- **Prefix**: `/` or `!`. Behind a mention the slash may be left out: `@bot merge 233`.
- **Verbs** may be typed in any case and in Chinese: `/合并 233`. Names of repositories, services and
  jobs are matched exactly, a service also by its alias. Nothing is guessed: a slip is answered with
  "did you mean", and the corrected command is never run by itself.
- **What Chinese keyboards type is understood**: `／`, `＃`, `！`, full-width digits and spaces.
  Every other unusual character in a command is refused, and named.
- **Pull requests** are written `233`, `#233`, `!233` or `shop#233`.
- **The repository** is the one that is named, else the conversation's, else the person's, else the
  portal's default, else the only one. When several are possible the answer is a menu of complete commands.
- **Commands that change things** are not run when their message is older than {minutes} minutes, or
  when they have waited so long. A person may have {most} of them under way at once.

In a usage line, brackets mean that it may be left out, `|` separates what may be chosen, and words in
capitals stand for a name: SERVICE, ENV (an environment), JOB (the portal's name of a Jenkins job), RUN
(a run's number).
"""

# What an argument stands for, where the usage line does not say it.
MEANINGS: Final = {
    Kind.NUMBER: "the number of a pull request",
    Kind.REPOSITORY: "a repository by its name in the portal",
    Kind.REF: "a branch, a tag or a commit",
    Kind.PARAMETERS: "parameters of the job, one `NAME=value` each, with quotes around blanks",
    Kind.TEXT: "free text, up to the end of the line",
    Kind.COMMAND: "a command's verb",
}


class Command(BaseCommand):
    help = "Prints docs/commands.md: every command with aliases, usage and examples."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(page(), ending="")


def page() -> str:
    """The whole of docs/commands.md, in English whatever the portal speaks."""
    with translation.override("en"):
        head = HEAD.format(
            longest=LONGEST_MESSAGE,
            minutes=int(CHANGING_FOR.total_seconds() // 60),
            most=MOST_UNFINISHED,
        )
        return "\n".join([head, *_table(), *_sections()]).rstrip() + "\n"


def _table() -> Iterator[str]:
    yield "| command | does | changes things |"
    yield "| --- | --- | --- |"
    for spec in specs():
        changes = "yes" if spec.changes else ""
        yield f"| [`{_cell(spec.usage)}`](#{_anchor(spec)}) | {spec.summary} | {changes} |"
    yield ""


def _sections() -> Iterator[str]:
    for spec in specs():
        yield from (f"## /{spec.verb}", "", _sentence(spec), "", f"    {spec.usage}", "")
        meanings = [f"- {meaning}" for meaning in _meanings(spec)]
        yield from (*meanings, "") if meanings else ()
        if spec.aliases:
            yield from ("Also: " + ", ".join(f"`/{alias}`" for alias in spec.aliases), "")
        yield from ("Examples: " + ", ".join(f"`{example}`" for example in spec.examples), "")


def _sentence(spec: Spec) -> str:
    summary = str(spec.summary)
    first = f"{summary[0].upper()}{summary[1:]}."
    who = " Open to everybody, even to accounts that the portal does not know."
    changes = " Changes things."
    return first + (changes if spec.changes else "") + (who if spec.open_to_all else "")


def _meanings(spec: Spec) -> Iterator[str]:
    for argument in spec.arguments:
        if argument.kind in MEANINGS:
            yield f"{argument.name}: {MEANINGS[argument.kind]}"


def _anchor(spec: Spec) -> str:
    """As GitHub and Gitee make it of the heading."""
    return spec.verb.replace(" ", "-")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
