"""What may be stored about roles and persons, and what is wrong else."""

import re
from typing import Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MOST_COMMANDS: Final = 60
MOST_FORGES: Final = 50
# Whether such a command exists is asked above, by the forms: people know no command.
_COMMAND: Final = re.compile(r"[a-z][a-z0-9-]{0,29}(?: [a-z][a-z0-9-]{0,29})?")
_FORGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LOGIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def validate_commands(value: object) -> None:
    """A list of verbs in lower case ("jenkins test") or their first words ("jenkins")."""
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_COMMANDS:
        raise ValidationError(
            _("Commands are a list of 1 to %(most)s verbs: [merge, jenkins test].")
            % {"most": MOST_COMMANDS}
        )
    for command in value:
        if not isinstance(command, str) or not _COMMAND.fullmatch(command):
            raise ValidationError(
                _("%(command)r is no command: one or two words in lower case, without the slash.")
                % {"command": str(command)[:80]}
            )
    if len(set(value)) < len(value):
        raise ValidationError(_("The list holds a command twice."))


def validate_forge_logins(value: object) -> None:
    """Forge name → the person's login there: {"gitee": "zhangsan"}."""
    if not isinstance(value, dict) or len(value) > MOST_FORGES:
        raise ValidationError(_('Forge logins are forges with logins: {"gitee": "zhangsan"}.'))
    for forge, login in value.items():
        if not isinstance(forge, str) or not _FORGE.fullmatch(forge):
            raise ValidationError(
                _("%(forge)r is no name of a forge.") % {"forge": str(forge)[:80]}
            )
        if not isinstance(login, str) or not _LOGIN.fullmatch(login):
            raise ValidationError(
                _("%(login)r is no login at %(forge)s: ASCII letters, digits, _ . and -.")
                % {"login": str(login)[:80], "forge": forge}
            )
