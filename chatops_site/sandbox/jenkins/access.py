"""Who asks and what they may: Basic authentication, sessions, crumbs and permissions.

As hudson.security does it: an API token needs no crumb, a password or a cookie does; a wrong token
is 401, nobody at all is a 403 login page, and a job that may not be read does not exist.
"""

import base64
import hashlib
import html
import secrets
from dataclasses import dataclass
from http.cookies import SimpleCookie

from chatops_site.sandbox.jenkins.answers import HTML, Refusal, not_found, refused
from chatops_site.sandbox.jenkins.model import Job, User
from chatops_site.sandbox.server import Request, Response

CRUMB_FIELD = "Jenkins-Crumb"
ANONYMOUS = "anonymous"
EVERYTHING = frozenset({"read", "discover", "build", "cancel"})
PERMISSIONS = {
    "read": ("hudson.model.Item.Read", "Job/Read"),
    "build": ("hudson.model.Item.Build", "Job/Build"),
    "cancel": ("hudson.model.Item.Cancel", "Job/Cancel"),
}


@dataclass(frozen=True)
class Visitor:
    """Somebody recognised for one request; `session` is the id in the cookie or ""."""

    name: str
    full_name: str
    rights: frozenset[str]
    by_token: bool = False
    session: str = ""

    @property
    def anonymous(self) -> bool:
        return self.name == ANONYMOUS

    def may(self, right: str) -> bool:
        return right in self.rights


class Gate:
    """Recognises visitors and refuses what they may not; sessions die with a restart."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self._sessions: dict[str, str] = {}
        self._salt = secrets.token_hex(8)

    def forget_sessions(self) -> None:
        self._sessions.clear()
        self._salt = secrets.token_hex(8)

    def visitor(self, request: Request) -> Visitor:
        """Raises Refusal (401) for a wrong user, password or token."""
        session = self._session(request)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return self._visitor(self._sessions.get(session, ANONYMOUS), session=session)
        name, secret = _decoded(given)
        user = self.users.get(name)
        if user and secret in user.tokens:
            return self._visitor(name, by_token=True, session=session)
        if user and user.password and secret == user.password:
            return self._visitor(name, session=session)
        raise refused(401, f"Invalid password/token for user: {name}")

    def _visitor(self, name: str, *, by_token: bool = False, session: str = "") -> Visitor:
        user = self.users.get(name)
        if user is None:
            return Visitor(name, name, frozenset(), session=session)
        return Visitor(name, user.full_name, user.rights, by_token=by_token, session=session)

    def _session(self, request: Request) -> str:
        cookies = SimpleCookie(request.headers.get("Cookie", ""))
        found = (morsel.value for name, morsel in cookies.items() if name.startswith("JSESSIONID"))
        return next(found, "")

    def crumb(self, visitor: Visitor) -> tuple[str, str]:
        """A crumb and the session it belongs to; the session is begun when there is none."""
        session = visitor.session or secrets.token_hex(12)
        self._sessions[session] = visitor.name
        return self._crumb(visitor.name, session), session

    def check_crumb(self, request: Request, visitor: Visitor) -> None:
        if visitor.by_token:
            return
        given = request.headers.get(CRUMB_FIELD, "") or request.arguments().get(CRUMB_FIELD, "")
        known = visitor.session in self._sessions
        if not known or given != self._crumb(visitor.name, visitor.session):
            raise refused(403, "No valid crumb was included in the request")

    def _crumb(self, name: str, session: str) -> str:
        return hashlib.sha256(f"{self._salt}:{name}:{session}".encode()).hexdigest()


def _decoded(given: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(given, validate=True).decode()
    except ValueError:
        return "", ""
    name, _, secret = text.partition(":")
    return name, secret


def check_entry(visitor: Visitor, path: str) -> None:
    """An anonymous visitor of a locked Jenkins sees the login page, and that is a 403."""
    if visitor.anonymous and not visitor.rights:
        raise Refusal(_login_page(path))


def check_read(visitor: Visitor, job: Job) -> None:
    if visitor.may("read"):
        return
    if visitor.may("discover"):
        raise refused(403, f"Please login to access job {job.name}")
    raise not_found(job.full_name)


def check_right(visitor: Visitor, right: str) -> None:
    if visitor.may(right):
        return
    permission, told = PERMISSIONS[right]
    headers = {"X-You-Are-Authenticated-As": visitor.name, "X-Required-Permission": permission}
    raise refused(403, f"{visitor.full_name} is missing the {told} permission", headers)


def _login_page(path: str) -> Response:
    target = html.escape(f"/jenkins/login?from={path}", quote=True)
    page = (
        f"<html><head><meta http-equiv='refresh' content='1;url={target}'/></head>"
        "<body style='background-color:white; color:white;'>Authentication required</body></html>"
    )
    headers = {
        "X-You-Are-Authenticated-As": ANONYMOUS,
        "X-Required-Permission": "hudson.model.Hudson.Read",
    }
    return Response(403, page.encode(), headers, HTML)
