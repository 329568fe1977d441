"""What "Test connection" finds out about a forge, a Jenkins server or a job, in sentences."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from repos.builds import RUN_PARAMETER, JobDescription, Parameter
from repos.clients import forge_client
from repos.errors import RemoteError
from repos.jenkins import Jenkins
from repos.models import Forge, JenkinsServer, Job

# The parameter by which the portal recognises its own build after a crash.
DEADLINE: Final = 10.0
SMALL_SKEW: Final = 2.0
LARGE_SKEW: Final = 60.0


@dataclass(frozen=True)
class Finding:
    """One sentence of an answer, good or bad."""

    good: bool
    sentence: str

    @property
    def mark(self) -> str:
        return "✅" if self.good else "⛔"


Findings = tuple[Finding, ...]


def ask_forge(forge: Forge) -> Findings:
    """Asks the forge whose token it is."""
    if not forge.token:
        return (Finding(False, _("No token is set, so the portal can do nothing there.")),)
    try:
        identity = forge_client(forge).whoami()
    except RemoteError as problem:
        return (Finding(False, problem.sentence),)
    names = {"forge": forge.get_kind_display(), "login": identity.login, "name": identity.name}
    sentence = _("%(forge)s answers. The token belongs to %(login)s (%(name)s).")
    if not identity.name or identity.name == identity.login:
        sentence = _("%(forge)s answers. The token belongs to %(login)s.")
    rights = _("It may: %(rights)s.") % {"rights": ", ".join(identity.rights)}
    told = (Finding(True, sentence % names), *clock(identity.clock_skew))
    return (*told, Finding(True, rights)) if identity.rights else told


def ask_jenkins(server: JenkinsServer) -> Findings:
    """Asks Jenkins who the token is and whether it may read."""
    if not server.token:
        return (Finding(False, _("No API token is set, so the portal can do nothing there.")),)
    try:
        identity = _client(server).whoami()
    except RemoteError as problem:
        return (Finding(False, problem.sentence),)
    names = {"version": identity.version or "?", "user": identity.user}
    answers = _("Jenkins %(version)s answers. The token belongs to %(user)s.") % names
    found = [Finding(True, answers), *clock(identity.clock_skew)]
    if identity.may_read:
        found.append(Finding(True, _("It may read jobs.")))
    else:
        found.append(Finding(False, _("It may not read: give it Overall/Read and Job/Read.")))
    if identity.quieting_down:
        sentence = _("Jenkins is about to shut down: it queues builds and starts none.")
        found.append(Finding(False, sentence))
    return tuple(found)


def clock(skew: float | None) -> Findings:
    """What the other side's clock says about ours; skew in seconds, positive when it is ahead."""
    if skew is None:
        return ()
    if abs(skew) <= SMALL_SKEW:
        return (Finding(True, _("Its clock agrees with ours.")),)
    seconds = round(abs(skew))
    ahead = ngettext(
        "Its clock is %(seconds)d second ahead of ours.",
        "Its clock is %(seconds)d seconds ahead of ours.",
        seconds,
    )
    behind = ngettext(
        "Its clock is %(seconds)d second behind ours.",
        "Its clock is %(seconds)d seconds behind ours.",
        seconds,
    )
    sentence = (ahead if skew > 0 else behind) % {"seconds": seconds}
    return (Finding(abs(skew) < LARGE_SKEW, sentence),)


def ask_job(job: Job, *, deadline: float = DEADLINE) -> Findings:
    """Asks Jenkins what the job takes, and compares that with what the portal passes."""
    try:
        described = _client(job.jenkins, deadline=deadline).describe(job.path)
    except RemoteError as problem:
        return (Finding(False, problem.sentence),)
    if described.is_folder:
        sentence = _("%(path)s is a folder in Jenkins, not a job.") % {"path": job.path}
        return (Finding(False, sentence),)
    return (_declared(job, described), *problems(job, described))


def problems(job: Job, described: JobDescription) -> Findings:
    """Whatever would keep a build from doing what the portal means."""
    return tuple(Finding(False, sentence) for sentence in _problems(job, described))


def _problems(job: Job, described: JobDescription) -> Iterator[str]:
    known = {parameter.name: parameter for parameter in described.parameters}
    if not described.buildable:
        yield _("Jenkins cannot build it now: it is disabled.")
    for name, template in job.parameters.items():
        if name not in known:
            sentence = _("The job has no parameter %(name)s; Jenkins would drop it silently.")
            yield sentence % {"name": name}
        elif not _fits(known[name], template):
            sentence = _("%(name)s cannot be “%(text)s”; the job allows: %(choices)s.")
            choices = ", ".join(known[name].choices)
            yield sentence % {"name": name, "text": template, "choices": choices}
    yield from _without_trace(job, known)


def _without_trace(job: Job, known: dict[str, Parameter]) -> Iterator[str]:
    if RUN_PARAMETER not in known:
        yield _(
            "The job does not declare the parameter %(name)s. Without it the portal cannot find its "
            "build again when an answer of Jenkins is lost, and has to say unknown."
        ) % {"name": RUN_PARAMETER}
    elif "{run}" not in job.parameters.get(RUN_PARAMETER, ""):
        yield _("The job declares %(name)s, but it is not passed here: add %(line)s.") % {
            "name": RUN_PARAMETER,
            "line": f"{RUN_PARAMETER} = {{run}}",
        }


def _fits(parameter: Parameter, template: str) -> bool:
    return not parameter.choices or "{" in template or template in parameter.choices


def _declared(job: Job, described: JobDescription) -> Finding:
    names = ", ".join(f"{each.name} ({each.kind})" for each in described.parameters)
    if not names:
        return Finding(
            True, _("Jenkins knows %(path)s. It has no parameters.") % {"path": job.path}
        )
    sentence = _("Jenkins knows %(path)s. Its parameters: %(names)s.")
    return Finding(True, sentence % {"path": job.path, "names": names})


def _client(server: JenkinsServer, *, deadline: float = DEADLINE) -> Jenkins:
    """Of its own, with a deadline that a person at a form can wait for."""
    return Jenkins(
        base_url=server.base_url,
        username=server.username,
        token=server.token,
        ca_file=server.ca_file,
        deadline=deadline,
    )
