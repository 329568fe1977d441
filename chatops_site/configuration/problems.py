"""What is wrong with a configuration file, in sentences that name section, row and key."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from django.utils.translation import gettext as _


class ConfigurationRefused(Exception):
    """The file was not applied, and nothing was changed; one sentence for each fault."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


class Wrong(Exception):
    """One value cannot be taken; the sentence says why and does not yet say where."""


class Skipped(Exception):
    """A value cannot be judged, because what it refers to was itself refused."""


def unknown(name: object, known: Iterable[str]) -> str:
    """A sentence for a name that is not among `known`, with the nearest one."""
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1, cutoff=0.6)
    if near:
        return _("there is no %(name)s; did you mean %(near)s?") % {"name": name, "near": near[0]}
    if not names:
        return _("there is no %(name)s; there are none yet.") % {"name": name}
    return _("there is no %(name)s; there are: %(known)s.") % {
        "name": name,
        "known": ", ".join(names[:20]),
    }
