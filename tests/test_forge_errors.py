"""What goes wrong at a forge, by chat: one sentence for the person, a detail for the operator, no token anywhere."""

import datetime as dt
import http.client
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone
from django.utils.module_loading import import_string

from audit.models import Entry
from bot.runs.models import Reply, Run, RunState
from repos import clients
from repos.connections import ask_forge
from repos.models import Forge, Repository
from tests.loopback import Certificate, Peer, Serve, answer_with, make_certificate, serving
from tests.portal import Chat, kind_fixture, last_run, plain, there_fixture

__all__ = ["kind_fixture", "there_fixture"]

pytestmark = pytest.mark.full
serve_fixture = pytest.fixture(serving, name="serve")

Ask = Callable[[str], str]
Log = pytest.LogCaptureFixture
NAMES = {"gitee": "Gitee", "github": "GitHub", "gitlab": "GitLab", "gitea": "Gitea"}
# With what each is asked to merge, at a path that ends in /merge.
VERBS = {"gitee": "PUT", "github": "PUT", "gitlab": "PUT", "gitea": "POST"}
EVERY = ("/pr 233", "/prs", "/approve 233", "/merge 233")
SHOP: dict[str, Any] = {"repository": "acme/shop"}
PULL: dict[str, Any] = SHOP | {"number": 233}


@pytest.fixture(name="ask")
def ask_fixture(there: Chat, kind: str, caplog: Log) -> Iterator[Ask]:
    """Says it and gives back the one reply; afterwards nobody may have been told the token."""

    def ask(text: str) -> str:
        since = newest(there)
        there.say(text)
        (heard,) = there.heard(since)
        return plain(heard)

    yield ask
    tables = [list(model.objects.values()) for model in (Entry, Run, Reply)]
    assert f"demo-{kind}-token" not in f"{tables} {there.heard()} {caplog.text}"


def newest(there: Chat) -> int:
    return max((one["n"] for one in there.sandbox.messages()), default=0)


def for_operators(caplog: Log) -> str:
    """What the record has of how runs ended, beyond what people are told; and the log of doubts."""
    ended = [one.detail for one in Entry.objects.filter(event="run.finished")]
    return "\n".join([*ended, *(line for line in caplog.messages if "in doubt" in line)])


def at_the_forge(there: Chat) -> dict[str, Any]:
    state = there.sandbox.state()
    return {name: state[name] for name in ("repositories", "pull_requests")}


@contextmanager
def nothing_changed(there: Chat) -> Iterator[None]:
    before = at_the_forge(there)
    yield
    assert at_the_forge(there) == before


def merges(there: Chat) -> int:
    """How often it was merged, whatever was answered."""
    return sum(one["action"] == "merge" for one in there.pull(233)["operations"])


def spoil_merge(there: Chat, kind: str, mode: str, **options: Any) -> None:
    there.sandbox.fault(kind, mode, method=VERBS[kind], path_regex="/merge$", **options)


def get_ready(there: Chat) -> Chat:
    """233 has all that it needs."""
    there.make_ready()
    there.sandbox.change_gitee("review", **PULL, login="zhangsan")
    return there


ready_fixture = pytest.fixture(get_ready, name="ready")


# The token


@pytest.mark.parametrize(
    ("login", "status", "wanted"),
    [
        ("expired", 401, "refuses the portal's token. An operator has to set a new one."),
        ("outsider", 404, ", or the portal's account may not see it."),
    ],
)
def test_a_token_of_no_use_is_told_whatever_is_asked(
    there: Chat, kind: str, ask: Ask, caplog: Log, login: str, status: int, wanted: str
) -> None:
    Forge.objects.update(token=f"demo-{kind}-token-{login}")

    with nothing_changed(there):
        answers = [ask(command) for command in EVERY]

    assert all(f"\n{NAMES[kind]} " in one and wanted in one for one in answers)
    assert for_operators(caplog).count(f": {status} ") == 4


def test_an_account_that_may_only_read_does_not_merge(
    ready: Chat, kind: str, ask: Ask, caplog: Log
) -> None:
    """GitHub, Gitea and Gitee's reviewers may approve: what it counts there is the forge's affair."""
    ready.sandbox.change_gitee("set_right", login="chatops-bot", right="read")
    sentence = f"The portal's account at {NAMES[kind]} may not do this with acme/shop#233"
    may_not_merge = "GitLab does not let the portal's account merge acme/shop#233."

    with nothing_changed(ready):
        assert ask("/pr 233").startswith("**shop#233**")
        merged = ask("/merge 233")

    assert merged.startswith("⛔ Not done: `/merge 233`")
    assert (may_not_merge if kind == "gitlab" else sentence) in merged
    assert "/merge: 40" in for_operators(caplog)
    assert (sentence if kind == "gitlab" else "✅ Approved shop#233") in ask("/approve 233")


# The repository


def test_a_renamed_repository_says_what_an_operator_has_to_do(
    there: Chat, kind: str, ask: Ask
) -> None:
    """Gitee's stand-in tells of no new name: it has nothing there any more."""
    there.sandbox.change_gitee("rename", **SHOP, to="acme/store")
    wanted = "has moved: it was renamed or transferred. An operator has to set its new path"
    if kind == "gitee":
        wanted = "Gitee has no acme/shop"

    with nothing_changed(there):
        assert [wanted in ask(command) for command in EVERY] == [True] * 4

    Repository.objects.filter(name="shop").update(path="acme/store")
    assert ask("/pr 233").startswith("**shop#233**")


def test_a_merge_that_meets_a_new_name_is_not_sent_after_it(
    ready: Chat, kind: str, ask: Ask, caplog: Log
) -> None:
    place = f"{ready.sandbox.urls[kind]}/elsewhere"
    spoil_merge(ready, kind, "redirect", status=307, location=place)

    with nothing_changed(ready):
        told = ask("/merge 233")

    assert f"{NAMES[kind]} says that acme/shop#233 has moved" in told
    assert "/merge: 307" in for_operators(caplog)
    assert not [one for one in ready.sandbox.journal(kind) if "elsewhere" in one["path"]]


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
def test_an_archived_repository_is_called_so(there: Chat, kind: str, ask: Ask, caplog: Log) -> None:
    """How Gitee words it is not known, nor to its stand-in."""
    there.sandbox.change_gitee("archive", **SHOP)
    wanted = f"acme/shop#233 is archived or locked at {NAMES[kind]}"

    with nothing_changed(there):
        assert wanted in ask("/approve 233")
    get_ready(there)
    with nothing_changed(there):
        assert wanted in ask("/merge 233")

    assert re.search(r"/merge: 4\d\d ", for_operators(caplog))


def test_a_repository_that_is_gone_is_not_there(there: Chat, kind: str, ask: Ask) -> None:
    Repository.objects.filter(name="shop").update(path="acme/gone")

    answers = [ask(command) for command in EVERY]

    assert all(f"{NAMES[kind]} has no acme/gone" in one for one in answers)
    assert last_run().state == RunState.FAILED


# The forge's own gates

APPROVALS = {
    "gitee": "Gitee asks for more reviews before it merges",
    "github": "GitHub's branch protection is not satisfied",
    "gitlab": "GitLab asks for more approvals",
    "gitea": "Gitea refused it (“Does not have enough approvals”)",
}
CHECKS = {
    "gitee": "tests not marked as passed",
    "github": "GitHub's branch protection is not satisfied",
    "gitlab": "a pipeline must succeed first",
    "gitea": "Gitea refused it (“Not all required status checks successful”)",
}


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"approvals": 5, "assignees_number": 5}, APPROVALS),
        ({"checks": ["e2e"], "testers_number": 5}, CHECKS),
    ],
)
def test_what_the_forge_itself_asks_for_is_named(
    ready: Chat, kind: str, ask: Ask, rule: dict[str, Any], wanted: dict[str, str]
) -> None:
    """Gitee asks for a number of people, the others by a rule of the branch."""
    op = "set_gate" if kind == "gitee" else "protect"
    ready.sandbox.change_gitee(op, **PULL, **rule)

    with nothing_changed(ready):
        told = ask("/merge 233")

    assert told.startswith("⛔ Not ")
    assert wanted[kind] in told


LATE = {
    "gitee": ": Gitee asks for more reviews before it merges (“此 Pull Request 未通过设置的审查”).",
    "github": ", GitHub refused it (“At least 5 approving reviews are required by",
    "gitlab": ": GitLab asks for more approvals (“405 Method Not Allowed”).",
    "gitea": ", Gitea refused it (“Does not have enough approvals”).",
}


def test_what_the_forge_asks_for_only_at_the_merge_is_told(
    ready: Chat, kind: str, ask: Ask, caplog: Log
) -> None:
    op = {"do": "protect", "approvals": 5}
    if kind == "gitee":
        op = {"do": "set_gate", "assignees_number": 5}
    ready.sandbox.change_gitee("hook_on_merge", **PULL, **op)

    told = ask("/merge 233")

    assert f"acme/shop#233 was not merged{LATE[kind]}" in told
    assert f"to try again: `/retry {last_run().pk}`" in told
    assert "/merge: 40" in for_operators(caplog)
    assert merges(ready) == 0


BUSY = [
    ("github", "Base branch was modified. Review and try the merge again."),
    ("gitea", "Please try again later"),
]


@pytest.mark.parametrize(("kind", "words"), BUSY)
def test_a_base_that_moves_meanwhile_is_merged_at_another_try(
    ready: Chat, kind: str, ask: Ask, words: str
) -> None:
    spoil_merge(ready, kind, "status", status=405, body=f'{{"message":"{words}"}}', times=2)

    assert ask("/merge 233").startswith("✅ Merged shop#233 into master")
    assert merges(ready) == 1


# A forge in trouble

Trouble = tuple[str, dict[str, Any], str]
TROUBLE: list[Trouble] = [
    ("status", {"status": 503}, "answered 503. Try again in a moment."),
    ("status", {"status": 502}, "answered 502. Try again in a moment."),
    ("reset_before", {}, "ended the connection before its answer was complete. Try again in"),
    ("hang", {}, "did not answer in time. Try again in a moment."),
    ("html200", {}, "gave no answer that can be used. The answer (status 200) is not JSON."),
    ("badjson", {}, "gave no answer that can be used. The answer (status 200) calls itself JSON"),
    ("huge", {"megabytes": 50}, "gave no answer that can be used. The answer is larger than"),
    ("redirect", {}, "answered with a redirect, which the portal does not follow."),
]


@pytest.mark.parametrize("trouble", TROUBLE, ids=[row[0] for row in TROUBLE])
def test_a_forge_in_trouble_is_named_and_nothing_is_changed(
    ready: Chat, kind: str, ask: Ask, caplog: Log, trouble: Trouble
) -> None:
    mode, options, words = trouble
    ready.sandbox.fault(kind, mode, times=-1, **options)

    with nothing_changed(ready), impatient() if mode == "hang" else nullcontext():
        listed, merged = ask("/prs"), ask("/merge 233")

    ready.sandbox.clear_faults()
    assert f"{NAMES[kind]} {words}" in listed
    assert f"{NAMES[kind]} {words}" in merged
    assert f"Nothing was changed; to try again: `/retry {last_run().pk}`" in merged
    assert len(re.findall(r"\n(?:GET /|POST /graphql|200 )", for_operators(caplog))) == 2
    assert ask(f"/retry {last_run().pk}").startswith("✅ Merged shop#233")


@contextmanager
def impatient() -> Iterator[None]:
    """Clients of forges wait 0.1 s and not 20."""
    with pytest.MonkeyPatch.context() as patch:
        quick = lambda path: partial(import_string(path), deadline=0.1)  # noqa: E731
        patch.setattr(clients, "import_string", quick)
        patch.setattr(clients, "_forges", {})
        yield


def limit(kind: str, until: dt.datetime) -> tuple[str, dict[str, Any]]:
    """Each forge's own way to name the time; those without one use Retry-After."""
    stamp = str(int(until.timestamp()))
    if kind == "github":
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": stamp}
        body = '{"message":"API rate limit exceeded"}'
        return "status", {"status": 403, "headers": headers, "body": body}
    if kind == "gitlab":
        plain_text = {"body": "Retry later\n", "content_type": "text/plain"}
        return "status", {"status": 429, "headers": {"RateLimit-Reset": stamp}, **plain_text}
    return "e429", {"retry_after": format_datetime(until, usegmt=True)}


@pytest.mark.parametrize("where", ["read", "merge"])
def test_a_limit_is_told_with_its_end_and_waited_for(
    ready: Chat, kind: str, ask: Ask, where: str
) -> None:
    until = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(minutes=10)
    mode, options = limit(kind, until)
    if where == "merge":
        spoil_merge(ready, kind, mode, **options)
    else:
        ready.sandbox.fault(kind, mode, **options)
    since = newest(ready)

    with nothing_changed(ready):
        ready.only_say("/merge 233")
        ready.turn()
        ready.send_replies()

    (told,) = ready.heard(since)
    minute = timezone.localtime(until + dt.timedelta(seconds=59)).strftime("%H:%M")
    wanted = rf"{NAMES[kind]} takes no more calls from the portal until (.* )?{minute}\. Nothing"
    assert re.match(wanted, told)
    assert abs(last_run().due_at - until) < dt.timedelta(seconds=5)
    ready.carry_out()
    assert ready.heard(since)[-1].startswith("✅ Merged shop#233")
    assert (merges(ready), len(ready.heard(since))) == (1, 2)


# A merge whose answer tells nothing


SPOILT: list[Any] = [("status", {"status": 502}), ("html200", {}), ("reset_after", {})]


@pytest.mark.parametrize(("mode", "options"), SPOILT)
def test_a_merge_that_happened_is_found_whatever_was_answered(
    ready: Chat, kind: str, ask: Ask, mode: str, options: dict[str, Any]
) -> None:
    spoil_merge(ready, kind, mode, apply=True, **options)

    assert ask("/merge 233").startswith("✅ Merged shop#233 into master")
    assert ask("/merge 233").endswith("already merged")
    assert merges(ready) == 1
    assert len([one for one in ready.effects() if one.endswith("/merge")]) == 1


def test_a_login_page_instead_of_a_merge_is_told_and_another_try_merges(
    ready: Chat, kind: str, ask: Ask, caplog: Log
) -> None:
    spoil_merge(ready, kind, "html200")

    with nothing_changed(ready):
        told = ask("/merge 233")

    assert f"What answered for {NAMES[kind]} is not its API (a login page or a proxy?)" in told
    assert "200 <!DOCTYPE html>" in for_operators(caplog)
    assert ask("/merge 233").startswith("✅ Merged shop#233")
    assert merges(ready) == 1


@pytest.mark.parametrize(("mode", "options"), [("status", {"status": 502}), ("reset_before", {})])
def test_a_merge_that_never_arrives_is_given_up_in_time_and_another_one_lands(
    ready: Chat, kind: str, ask: Ask, mode: str, options: dict[str, Any]
) -> None:
    spoil_merge(ready, kind, mode, times=-1, **options)
    since = newest(ready)

    with nothing_changed(ready):
        ready.only_say("/merge 233")
        assert [ready.turn() for _time in range(3)] == [True] * 3
        Run.objects.update(deadline_at=timezone.now())
        ready.carry_out()

    (told,) = ready.heard(since)
    assert told.startswith("⛔ Not done: `/merge 233`")
    assert last_run().state == RunState.EXPIRED
    ready.sandbox.clear_faults()
    assert ask("/merge 233").startswith("✅ Merged shop#233")
    assert merges(ready) == 1


# A certificate of one's own authority


def test_a_forge_behind_an_authority_of_one_s_own(
    ready: Chat, kind: str, ask: Ask, caplog: Log, serve: Serve, tmp_path: Path
) -> None:
    own, other = (make_certificate(tmp_path, name=name) for name in ("own.test", "other.test"))
    right = front(serve, ready, kind, issued(tmp_path, own, ipaddress.ip_address("127.0.0.1")))
    wrong = front(serve, ready, kind, issued(tmp_path, own, "elsewhere.test"))
    sure = f"The portal cannot be sure that it talks to {NAMES[kind]}, nothing was sent."

    with nothing_changed(ready):
        for peer, ca_file, why in (
            (right, "", "unable to get local issuer certificate"),
            (right, str(other.file), "unable to get local issuer certificate"),
            (wrong, str(own.file), "certificate is not valid for '127.0.0.1'"),
        ):
            api = urlsplit(ready.sandbox.urls[kind]).path
            Forge.objects.update(base_url=f"https://127.0.0.1:{peer.port}{api}", ca_file=ca_file)
            told, (found,) = ask("/merge 233"), ask_forge(Forge.objects.get())
            assert f"{sure} The certificate of 127.0.0.1:{peer.port} cannot be trusted" in told
            assert why in told
            assert "an operator has to set the CA file in the portal" in told
            assert (found.good, found.sentence in told) == (False, True)
            assert why in for_operators(caplog)

    assert right.calls + wrong.calls == []
    Forge.objects.update(base_url=f"https://127.0.0.1:{right.port}{api}")
    assert all(found.good for found in ask_forge(Forge.objects.get()))
    assert ask("/merge 233").startswith("✅ Merged shop#233")
    assert merges(ready) == 1


def issued(folder: Path, authority: Certificate, name: Any) -> ssl.SSLContext:
    """A server's certificate, signed by an authority."""
    pem = authority.file.read_bytes()
    signer: Any = serialization.load_pem_private_key(pem, None)
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    alternative = x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)
    signed = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a forge")]))
        .issuer_name(x509.load_pem_x509_certificate(pem).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    file = folder / f"{signed.serial_number}.pem"
    pkcs8, clear = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    encoded = key.private_bytes(serialization.Encoding.PEM, pkcs8, clear)
    file.write_bytes(encoded + signed.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def front(serve: Serve, there: Chat, kind: str, tls: ssl.SSLContext) -> Peer:
    """The stand-in of that forge behind TLS, one call a connection."""
    peer = serve(b"", tls=tls)
    place = urlsplit(there.sandbox.urls[kind]).netloc

    def forward(sock: socket.socket) -> None:
        call = peer.calls[-1]
        method, path, _version = call.line.split()
        behind = http.client.HTTPConnection(place, timeout=10)
        behind.request(method, path, call.body or None, call.headers)
        answer = behind.getresponse()
        kept = {"Content_Type": answer.headers.get("Content-Type") or "text/plain"}
        status = f"{answer.status} {answer.reason}"
        sock.sendall(answer_with(answer.read(), status=status, Connection="close", **kept))
        behind.close()
        with suppress(OSError):
            sock.close()

    peer.replies[:] = [forward]
    return peer
