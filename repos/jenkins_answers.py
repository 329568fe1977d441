"""Each way in which Jenkins, or what stands in front of it, says no, as an error in our words.

https://www.jenkins.io/doc/book/using/remote-access-api/
"""

import re
from collections.abc import Mapping
from typing import Final

from django.utils.translation import gettext as _

from chatops_site.kit.http import Answer
from repos.builds import JobDescription, Parameter
from repos.errors import (
    BadAnswer,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RemoteError,
    TokenRefused,
    Unavailable,
    described,
    redirected,
    retry_time,
)

SYSTEM: Final = "Jenkins"
_QUEUE_ITEM: Final = re.compile(r"/queue/item/([0-9]{1,18})/?(?:[?#]|\Z)")
_LOGIN: Final = re.compile(r"/(?:login|securityRealm/[A-Za-z]+)(?:[/?#]|\Z)")
_TOLD: Final = re.compile(
    r"(Illegal [^<>]{1,150}|No such parameter definition[^<>]{1,120}"
    r"|[^<>:]{1,120} is not (?:buildable|parameterized))"
)
_ANONYMOUS: Final = ("", "anonymous")


def queue_id(answer: Answer) -> int | None:
    """The id in Location. Its host is not looked at: behind a proxy it is often a wrong one."""
    found = _QUEUE_ITEM.search(answer.headers.get("Location", ""))
    return int(found[1]) if found else None


def to_login(answer: Answer) -> bool:
    """A redirect to the login page, which some set-ups send instead of 401 and 403."""
    location = answer.headers.get("Location", "")
    return 300 <= answer.status < 400 and bool(_LOGIN.search(location))


def read_error(path: str, answer: Answer, *, what: str) -> RemoteError:
    detail = described("GET", path, answer)
    if is_starting(answer):
        return starting(detail)
    if answer.status >= 500:
        sentence = _("Jenkins answered %(status)s. Try again in a moment.")
        return Unavailable(sentence % {"status": answer.status}, detail=detail)
    return refusal("GET", path, answer, what=what)


def change_error(method: str, path: str, answer: Answer, *, what: str) -> RemoteError:
    detail = described(method, path, answer)
    if is_starting(answer):
        return starting(detail)
    told = _TOLD.search(answer.text()[:100_000])
    if answer.status >= 500 and told and "X-Jenkins" in answer.headers:
        # Jenkins answers 500 to a value that its parameter does not take; nothing is queued then.
        return Refused(_refused(what, told[0]), detail=detail)
    if answer.status >= 500:
        return unclear(method, path, answer)
    return refusal(method, path, answer, what=what)


def refusal(method: str, path: str, answer: Answer, *, what: str) -> RemoteError:
    """A 3xx or 4xx, or a 2xx that is not Jenkins': nothing was changed."""
    detail = described(method, path, answer)
    if answer.status == 401 or to_login(answer):
        return token_refused(detail)
    if answer.status == 403:
        return _forbidden(answer, what=what, detail=detail)
    if answer.status == 404:
        return NotFound(not_there(what), detail=detail)
    if answer.status == 429:
        sentence = _("Jenkins asks the portal to slow down. Nothing was changed; try again later.")
        return RateLimited(sentence, until=retry_time(answer), detail=detail)
    if 300 <= answer.status < 400:
        return BadAnswer(redirected(SYSTEM), detail=detail)
    if answer.status < 300:
        return not_jenkins(detail)
    if answer.status == 409:
        return Refused(disabled(what), detail=detail)
    told = _TOLD.search(answer.text()[:100_000])
    said = told[0] if told else answer.headers.get("X-Error", "")[:200]
    return Refused(_refused(what, said or str(answer.status)), detail=detail)


def _forbidden(answer: Answer, *, what: str, detail: str) -> RemoteError:
    name = answer.headers.get("X-You-Are-Authenticated-As", "")
    if name in _ANONYMOUS:
        return token_refused(detail)
    permission = answer.headers.get("X-Required-Permission", "?")
    sentence = _(
        "The portal's account %(name)s at Jenkins lacks the permission %(permission)s for %(what)s."
    )
    names = {"name": name[:80], "permission": permission[:80], "what": what}
    return Forbidden(sentence % names, detail=detail)


def token_refused(detail: str) -> TokenRefused:
    sentence = _(
        "Jenkins does not accept the portal's user name and API token. "
        "An operator has to set new ones."
    )
    return TokenRefused(sentence, detail=detail)


def is_starting(answer: Answer) -> bool:
    return answer.status == 503 and "getting ready to work" in answer.text()[:20_000]


def starting(detail: str) -> Unavailable:
    sentence = _("Jenkins is still starting. Nothing was changed; try again in a minute.")
    return Unavailable(sentence, detail=detail)


def not_jenkins(detail: str) -> BadAnswer:
    sentence = _(
        "What answered at this address is not Jenkins (a proxy or a login page?). "
        "An operator should check the address in the portal."
    )
    return BadAnswer(sentence, detail=detail)


def unclear(method: str, path: str, answer: Answer) -> OutcomeUnknown:
    sentence = _(
        "Jenkins answered %(status)s to a request that changes something. "
        "It may have been carried out: look there before you repeat it."
    )
    return OutcomeUnknown(
        sentence % {"status": answer.status}, detail=described(method, path, answer)
    )


def not_queued(path: str, answer: Answer) -> Refused:
    sentence = _(
        "Jenkins did not queue %(job)s. It may be shutting down, a plugin may have refused, "
        "or the same build is queued already."
    )
    return Refused(sentence % {"job": path}, detail=described("POST", path, answer))


def not_there(what: str) -> str:
    return _("Jenkins has no %(what)s, or the portal's account may not see it.") % {"what": what}


def disabled(path: str) -> str:
    return _("%(job)s is disabled in Jenkins. Somebody has to enable it there.") % {"job": path}


def _refused(what: str, said: str) -> str:
    return _("Jenkins refused %(what)s (“%(said)s”).") % {"what": what, "said": said.strip()}


def check_triggerable(job: JobDescription, parameters: Mapping[str, str]) -> None:
    """Refused, unless Jenkins would build this job with exactly these parameters.

    Jenkins itself ignores a name that it does not know, and answers 500 to an unknown choice.
    """
    if job.is_folder:
        raise Refused(_("%(job)s is a folder in Jenkins, not a job.") % {"job": job.path})
    if not job.buildable:
        raise Refused(disabled(job.path))
    known = {parameter.name: parameter for parameter in job.parameters}
    unknown = [name for name in parameters if name not in known]
    if unknown:
        raise Refused(_unknown_names(job, unknown))
    for name, value in parameters.items():
        _check_value(job, known[name], value)


def _unknown_names(job: JobDescription, unknown: list[str]) -> str:
    names = {"job": job.path, "unknown": ", ".join(name[:80] for name in unknown)}
    if not job.parameters:
        return _("%(job)s takes no parameters, so not %(unknown)s either.") % names
    known = ", ".join(parameter.name for parameter in job.parameters)
    sentence = _("%(job)s has no parameter %(unknown)s. It takes: %(known)s.")
    return sentence % {**names, "known": known}


def _check_value(job: JobDescription, parameter: Parameter, value: str) -> None:
    allowed = ("true", "false") if parameter.kind == "boolean" else parameter.choices
    if parameter.kind not in ("boolean", "choice") or value in allowed:
        return
    sentence = _("%(value)s is no value for %(name)s of %(job)s. It takes: %(allowed)s.")
    names = {"value": value[:80], "name": parameter.name, "job": job.path}
    raise Refused(sentence % {**names, "allowed": ", ".join(allowed)})
