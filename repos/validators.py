"""What may be stored about forges, repositories, Jenkins servers and jobs, else what is wrong."""

import re
from collections.abc import Iterable
from pathlib import Path
from string import Formatter
from typing import Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from chatops_site.kit.addresses import check_url
from chatops_site.kit.http_errors import AddressRefused

PLACEHOLDERS: Final = (
    "number",
    "sha",
    "ref",
    "run",
    "service",
    "environment",
    "repository",
    "pull",
    "person",
)
MOST_NAMES: Final = 50
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PARAMETER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
_OWNER_OR_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_PEM_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_MOST_PEM_BYTES: Final = 4_000_000


def validate_base_url(value: str) -> None:
    """An http(s) root that the portal may call, without user, query, fragment or dot segments."""
    try:
        check_url(value)
    except AddressRefused as refused:
        raise ValidationError(str(refused)) from refused
    if any(segment in (".", "..") for segment in value.split("/")):
        raise ValidationError(_("The address must not hold . or .. as a part of its path."))


def validate_ca_file(value: str) -> None:
    """The absolute path of a readable file with at least one certificate in PEM form."""
    if not value:
        return
    path = Path(value)
    if not path.is_absolute():
        raise ValidationError(_("Name the CA file by its absolute path, such as /etc/ssl/ca.pem."))
    try:
        with path.open("rb") as file:
            beginning = file.read(_MOST_PEM_BYTES)
    except (OSError, ValueError):
        raise ValidationError(
            _("The file %(path)s is not there or the portal may not read it.") % {"path": value}
        ) from None
    if _PEM_BEGIN not in beginning:
        raise ValidationError(
            _("%(path)s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----).")
            % {"path": value}
        )


def validate_checks(value: object) -> None:
    """ "all" (also ""), "required" (by the forge), "none" or a list of check names as it shows them."""
    if value in ("all", "required", "none", ""):
        return
    if not isinstance(value, list):
        raise ValidationError(
            _('Required checks are "all", "required", "none" or a list of check names.')
        )
    for name in _distinct(value):
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise ValidationError(
                _("%(name)r is no name of a check: 1 to 200 printable characters.")
                % {"name": name[:80]}
            )


def validate_aliases(value: object) -> None:
    """A list of names, each usable in a command, none twice whatever its case."""
    if not isinstance(value, list):
        raise ValidationError(_("Aliases are a list of names."))
    for name in _distinct(value):
        if not _NAME.fullmatch(name):
            raise ValidationError(
                _(
                    "%(name)r is no alias: 1 to 63 letters, digits, dots, dashes or underscores, "
                    "beginning with a letter or digit."
                )
                % {"name": name[:80]}
            )


def _distinct(values: Iterable[object]) -> list[str]:
    names: list[str] = []
    for value in values:
        if not isinstance(value, str):
            raise ValidationError(_("Each entry of the list is a text in quotes."))
        names.append(value)
    if len(names) > MOST_NAMES:
        raise ValidationError(
            _("The list is too long: %(most)s entries at most.") % {"most": MOST_NAMES}
        )
    if len({name.casefold() for name in names}) < len(names):
        raise ValidationError(_("The list holds an entry twice."))
    return names


def validate_repository_path(value: str) -> None:
    """owner/name as in the forge's addresses, with groups between for forges that have them."""
    segments = value.split("/")
    if not 2 <= len(segments) <= 6 or len(value) > 200:
        raise ValidationError(_("A repository's path is owner/name, such as acme/shop."))
    for segment in segments:
        if not _OWNER_OR_REPOSITORY.fullmatch(segment) or segment.endswith(".git"):
            raise ValidationError(
                _(
                    "%(segment)r cannot be part of a repository's path: letters, digits, dots, "
                    "dashes and underscores, without .git at the end."
                )
                % {"segment": segment[:80]}
            )


def validate_job_path(value: str) -> None:
    """A job's full name as Jenkins tells it; a branch keeps its %2F: team/mb/feature%2Fx."""
    if value.startswith("/") or value.endswith("/"):
        raise ValidationError(
            _("A job's path neither begins nor ends with a slash: team/shop-test.")
        )
    for segment in value.split("/"):
        if not segment.strip():
            raise ValidationError(_("A job's path has no empty part: team/shop-test."))
        if segment in (".", ".."):
            raise ValidationError(_("A job's path must not hold . or .. as a part."))
        if not segment.isprintable() or any(sign in segment for sign in "?*\\!@#$^&|<>[]:;"):
            raise ValidationError(
                _("%(segment)r holds a character that Jenkins allows in no job's name.")
                % {"segment": segment[:80]}
            )


def validate_parameters(value: object) -> None:
    """Jenkins parameter name → template whose only placeholders are PLACEHOLDERS, as {sha}."""
    if not isinstance(value, dict):
        raise ValidationError(_('Parameters are names with templates: {"SHA": "{sha}"}.'))
    if len(value) > MOST_NAMES:
        raise ValidationError(
            _("The list is too long: %(most)s entries at most.") % {"most": MOST_NAMES}
        )
    for name, template in value.items():
        if not isinstance(name, str) or not _PARAMETER.fullmatch(name):
            raise ValidationError(
                _("%(name)r is no name of a Jenkins parameter: ASCII letters, digits, _ . and -.")
                % {"name": str(name)[:80]}
            )
        _check_template(name, template)


def _check_template(name: str, template: object) -> None:
    if not isinstance(template, str) or len(template) > 500:
        raise ValidationError(
            _("The template of %(name)s is a text of at most 500 characters.") % {"name": name}
        )
    try:
        fields = list(Formatter().parse(template))
    except ValueError:
        raise ValidationError(
            _("The template of %(name)s has a brace without its partner; write {{ for a brace.")
            % {"name": name}
        ) from None
    # "{sha!r}" and "{sha:>9}" are parts of format's own language that nobody needs here.
    for _text, field, spec, conversion in fields:
        if field is not None and (field not in PLACEHOLDERS or spec or conversion):
            raise ValidationError(
                _("The template of %(name)s holds {%(field)s}; there are: %(known)s.")
                % {
                    "name": name,
                    "field": field,
                    "known": ", ".join(f"{{{known}}}" for known in PLACEHOLDERS),
                }
            )
