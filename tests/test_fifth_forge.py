"""A fifth forge is one class and one line: this one, defined here, lives the whole story."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from django.test import Client

from bot.hooks import take
from bot.people.models import Person
from bot.runs.models import Run, RunState
from repos.errors import HeadMoved, NotFound, Refused
from repos.forges import FORGE_KINDS
from repos.forges.base import ForgeClient
from repos.forges.events import (
    ForgeEvent,
    Happened,
    Hook,
    HookRejected,
    Payload,
    body_of,
    hmac_hex,
    is_same,
    text_digest,
)
from repos.forges.resources import (
    Check,
    CheckState,
    Comment,
    Commit,
    Comparison,
    Identity,
    Merge,
    PullRequest,
    Pulls,
    PullState,
    RepositoryFacts,
    RepositoryPage,
    Review,
)
from repos.models import Forge
from tests.portal import Chat, plain

BOT, SECRET = "notes-bot", "hook-secret"
HEAD, BASE, LANDED = "a" * 40, "b" * 40, "c" * 40
NOW = datetime(2026, 11, 28, 8, tzinfo=UTC)


def opened() -> PullRequest:
    return PullRequest(
        number=7,
        title="Ink",
        author="lisi",
        state=PullState.OPEN,
        draft=False,
        mergeable=True,
        head_sha=HEAD,
        head_ref="ink",
        base_sha=BASE,
        base_ref="master",
        url="http://notes.example/7",
        updated_at=None,
        checks=(Check("unit", CheckState.SUCCESS),),
    )


class Notebook(ForgeClient):
    """A forge of one pull request, kept in a dictionary."""

    kind: ClassVar[str] = "notebook"
    page: ClassVar[PullRequest]
    given: ClassVar[list[Review]]
    notes: ClassVar[list[Comment]]

    @classmethod
    def begin(cls) -> None:
        cls.page, cls.given, cls.notes = opened(), [], []

    def __init__(self, *, base_url: str, token: str, ca_file: str = "") -> None:
        super().__init__(base_url=base_url, token=token, ca_file=ca_file)

    def whoami(self) -> Identity:
        return Identity(BOT, "Notes")

    def repository(self, path: str) -> RepositoryFacts:
        return RepositoryFacts(path, "master", "http://notes.example")

    def repositories(self, *, search: str = "", page: int = 1) -> RepositoryPage:
        return RepositoryPage((self.repository("acme/shop"),))

    def pulls(self, path: str, *, state: PullState = PullState.OPEN, limit: int = 100) -> Pulls:
        found = tuple(one for one in (self.page,) if one.state is state)
        return Pulls(found, total=len(found))

    def pull(self, path: str, number: int) -> PullRequest:
        if number != 7:
            raise NotFound(f"The notebook has no {path}#{number}.")
        return self.page

    def checks(self, path: str, pull: PullRequest) -> tuple[Check, ...]:
        return pull.checks or ()

    def required_checks(self, path: str, branch: str) -> tuple[str, ...] | None:
        return None

    def reviews(self, path: str, pull: PullRequest) -> tuple[Review, ...]:
        return tuple(self.given)

    def approve(self, path: str, number: int, *, sha: str) -> None:
        if sha != self.page.head_sha:
            raise HeadMoved("It moved.", expected=sha, found=self.page.head_sha)
        self.given.append(Review(BOT, accepted=True))

    def approved(self, path: str, number: int, *, sha: str) -> bool:
        return bool(self.given)

    def pass_tests(self, path: str, number: int, *, sha: str, name: str, url: str) -> None:
        Notebook.page = replace(
            self.page, checks=(*(self.page.checks or ()), Check(name, CheckState.SUCCESS, url))
        )

    def tests_passed(self, path: str, number: int, *, sha: str, name: str) -> bool:
        return name in [check.name for check in self.page.checks or ()]

    def merge(self, path: str, number: int, *, sha: str, method: str, marker: str) -> Merge:
        if self.page.state is not PullState.OPEN:
            raise Refused("It is merged already.")
        Notebook.page = replace(self.page, state=PullState.MERGED, merge_sha=LANDED)
        return Merge(LANDED, marker)

    def comment(self, path: str, number: int, body: str) -> Comment:
        made = Comment(str(len(self.notes) + 1), BOT, body, "", NOW)
        self.notes.append(made)
        return made

    def comments(self, path: str, number: int, *, limit: int = 100) -> tuple[Comment, ...]:
        return tuple(self.notes[::-1][:limit])

    def read_comment(self, path: str, number: int, comment_id: str) -> Comment:
        return next(one for one in self.notes if one.id == comment_id)

    def edit_comment(self, path: str, number: int, comment_id: str, body: str) -> None:
        at = int(comment_id) - 1
        self.notes[at] = replace(self.notes[at], body=body)

    def close(self, path: str, number: int) -> None:
        Notebook.page = replace(self.page, state=PullState.CLOSED)

    def reopen(self, path: str, number: int) -> None:
        Notebook.page = replace(self.page, state=PullState.OPEN)

    def commit(self, path: str, ref: str) -> Commit:
        return Commit(LANDED, "Ink", "lisi")

    def compare(self, path: str, base: str, head: str, *, limit: int = 100) -> Comparison:
        return Comparison(0)

    @classmethod
    def receive(cls, hook: Hook, *, secret: str, now: datetime) -> ForgeEvent:
        if not is_same(hook.headers.get("x-notes", ""), hmac_hex(secret, hook.body)):
            raise HookRejected("bad_signature")
        payload = Payload(body_of(hook))
        return ForgeEvent(
            Happened.COMMENTED,
            delivery=payload.text("id"),
            path="acme/shop",
            number=7,
            comment_id=payload.text("id"),
            text_digest=text_digest(payload.text("body")),
        )


@pytest.fixture(name="there")
def there_fixture(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> Chat:
    """The one line, and an operator's forge of that kind."""
    monkeypatch.setitem(FORGE_KINDS, "notebook", f"{__name__}.Notebook")
    Notebook.begin()
    Forge.objects.update(name="notes", kind="notebook", webhook_secret=SECRET)
    for person in Person.objects.all():
        person.forge_logins = {"notes": person.username}
        person.save()
    return chat


def test_its_pull_request_goes_from_the_list_to_production(there: Chat) -> None:
    listed = plain(there.say("/prs"))
    refused = plain(there.say("/merge 7"))
    approved = plain(there.say("/approve 7"))
    tested = plain(there.say("/test 7"))
    merged = plain(there.say("/merge 7"))
    deployed = plain(there.say("/deploy myservice to production"))

    assert listed.startswith("**1 open in shop**\n#7 Ink · lisi · ⛔ 1 approval missing")
    assert refused.startswith("⛔ Not merged: shop#7")
    assert approved.startswith("✅ Approved shop#7")
    assert tested.startswith("✅ Tests passed: shop#7")
    assert merged.startswith("✅ Merged shop#7 into master as abc1234")
    assert deployed.startswith("✅ Deployed myservice")
    assert Notebook.page.state is PullState.MERGED


def test_a_comment_there_is_a_command(there: Chat) -> None:
    Notebook.notes.append(Comment("1", "zhangsan", "/close", "", datetime.now(UTC)))
    body = json.dumps({"id": "1", "body": "/close"}).encode()

    answer = there.portal.post(
        "/webhooks/forge/notes/",
        body,
        content_type="application/json",
        headers={"X-Notes": hmac_hex(SECRET, body)},
    )
    for number in take.ready(datetime.now(UTC)):
        take.take(number)
    there.carry_out()

    run = Run.objects.get()
    assert (answer.status_code, run.state, run.canonical) == (200, RunState.SUCCEEDED, "/close 7")
    assert Notebook.page.state is PullState.CLOSED
    assert Notebook.notes[-1].body.startswith("✅")


def test_an_operator_can_choose_it(there: Chat, admin_client: Client) -> None:
    page = admin_client.get("/admin/repos/forge/add/").content.decode()

    assert '<option value="notebook">Notebook</option>' in page
