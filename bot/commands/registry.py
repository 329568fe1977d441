"""Turns the table of commands into instances, once a process."""

from collections.abc import Mapping
from functools import cache

from django.utils.module_loading import import_string

from bot.commands import COMMANDS
from bot.commands.base import Command, Spec


@cache
def commands() -> Mapping[str, Command]:
    return {verb: import_string(path)() for verb, path in COMMANDS.items()}


@cache
def specs() -> tuple[Spec, ...]:
    return tuple(command.spec for command in commands().values())
