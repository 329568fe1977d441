"""A seeded portal between real stand-ins: people say things in chat, and see what the bot answers."""

import json
import queue
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from audit.models import Entry
from bot import sending, views
from bot.engine.carry import carry
from bot.engine.claim import CARRIED
from bot.people.models import Account, Grant, Person, Role
from bot.platforms.dingtalk.adapter import sign
from bot.platforms.models import Bot, Conversation
from bot.runs.models import Reply, ReplyState, Run
from bot.sampling import Sampler
from chatops_site.sandbox.client import Sandbox
from chatops_site.sandbox.dingtalk.robot import APP_KEY, APP_SECRET, CORP, ROBOT_CODE
from chatops_site.sandbox.forges import FORGES
from repos.models import Environment, Forge, JenkinsServer, Job, Repository, Service

WEBHOOK: Final = "/webhooks/chat/ops/"
# A demo build of 6 s takes 20 ms, and Jenkins's quiet period less than that.
SPEED: Final = 300.0
LONGEST_RUN: Final = 10.0

PEOPLE: Final = {
    "zhangsan": ("张三", "user101"),
    "lisi": ("李四", "user102"),
    "wangfang": ("王芳", "user103"),
    "zhaoliu": ("赵六", "user104"),
}
READING: Final = ["prs", "pr", "status", "history", "why", "log"]
ROLES: Final = {
    "viewer": READING,
    "developer": [*READING, "test", "approve", "comment", "cancel", "retry"],
    "maintainer": [
        *READING,
        *("approve", "test", "merge", "comment", "close", "reopen"),
        *("jenkins", "cancel", "retry"),
    ],
    "releaser": ["deploy", "rollback", "status", "history", "why", "log", "cancel", "retry"],
}
TEST_PARAMETERS: Final = {"PR": "{number}", "SHA": "{sha}", "CHATOPS_ID": "{run}"}


@dataclass
class Handed:
    """A webhook that waits for the test to hand it to the portal."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 200
    answer: bytes = b""
    kind: str = "text/plain"
    done: threading.Event = field(default_factory=threading.Event)


class Post:
    """Where the sandbox's chats deliver: keeps the signed webhooks for the test to carry on.

    While relaying is set, each waits for the portal's own answer, which the test fetches.
    """

    def __init__(self) -> None:
        self.packets: list[tuple[dict[str, str], bytes]] = []
        # The same with their addresses.
        self.handed: list[Handed] = []
        self.relaying = False
        self.waiting: queue.Queue[Handed] = queue.Queue()
        post = self

        class Box(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                handed = Handed(self.command, self.path, dict(self.headers), body)
                post.take(handed)
                self.send_response(handed.status)
                self.send_header("Content-Type", handed.kind)
                self.send_header("Content-Length", str(len(handed.answer)))
                self.end_headers()
                self.wfile.write(handed.answer)

            do_GET = do_POST  # noqa: N815 - the name http.server looks for

            def log_message(self, *args: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Box)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, handed: Handed) -> None:
        self.packets.append((handed.headers, handed.body))
        self.handed.append(handed)
        if self.relaying:
            self.waiting.put(handed)
            handed.done.wait(LONGEST_RUN)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Chat:
    """People, conversations and the bot; everything goes through the real URL and the sandbox."""

    def __init__(self, sandbox: Sandbox, post: Post, bot: Bot) -> None:
        self.sandbox = sandbox
        self._post = post
        self.bot = bot
        self.portal = Client(raise_request_exception=False)
        self.status = 0

    def say(self, text: str, *, by: str = "zhangsan", where: str = "cid-release") -> str:
        """Says it, lets the portal do all it wants to, and gives back the bot's last message."""
        since = self._last_message()
        self.only_say(text, by=by, where=where)
        self.carry_out()
        return "\n---\n".join(self.heard(since)[-1:])

    def only_say(
        self, text: str, *, by: str = "zhangsan", where: str = "cid-release", **tamper: Any
    ) -> Run | None:
        """Says it and goes no further: the newest run waits as the webhook left it."""
        self._post.packets.clear()
        self.sandbox.say(by, where, text, tamper=tamper)
        headers, body = self._post.packets[-1]
        self.status = self.deliver(body, headers).status_code
        return Run.objects.order_by("pk").last()

    def deliver(
        self, body: bytes, headers: Mapping[str, str], *, url: str = WEBHOOK
    ) -> HttpResponse:
        wanted = {"timestamp", "sign"}
        extra = {f"HTTP_{k.upper()}": v for k, v in headers.items() if k.lower() in wanted}
        kind = headers.get("Content-Type", "application/json")
        return self.portal.generic("POST", url, body, content_type=kind, **extra)  # type: ignore[arg-type, return-value]

    def send(self, text: str = "/help", /, *, seconds: float = 0, **fields: Any) -> HttpResponse:
        """A webhook signed here, with any field of its body another (None: left out)."""
        body = payload(text) | fields
        kept = {name: value for name, value in body.items() if value is not None}
        return self.deliver(json.dumps(kept, ensure_ascii=True).encode(), signed(seconds=seconds))

    def carry_out(self, *, late: bool = False) -> None:
        """Works like a worker, but for time: what is due later is due at once; late: replies too."""
        end = time.monotonic() + LONGEST_RUN
        while time.monotonic() < end and self.turn():
            time.sleep(0.002)
        if late:
            Reply.objects.update(due_at=timezone.now())
        self.send_replies()

    def turn(self) -> bool:
        """One turn of every run that waits; False when none is left."""
        waiting = Run.objects.filter(state__in=CARRIED)
        waiting.update(due_at=timezone.now())
        numbers = list(waiting.order_by("pk").values_list("pk", flat=True))
        for number in numbers:
            carry(number)
        return waiting.exists()

    def turn_until_built(self) -> Run:
        """Turns until the newest run has a build, which then goes on."""
        end = time.monotonic() + LONGEST_RUN
        while not last_run().external.get("build"):
            assert time.monotonic() < end, "no build began"
            self.turn()
        return last_run()

    def send_replies(self) -> None:
        for number in sending.ready(timezone.now()):
            sending.send(number)

    def heard(self, since: int = 0, where: str = "") -> list[str]:
        """What the bot has said, line ends as people see them."""
        said = [one for one in self.sandbox.messages(since) if one["from"] == "bot"]
        return [
            one["markdown"].replace("  \n", "\n") for one in said if where in one["conversation"]
        ]

    def effects(self) -> list[str]:
        """Calls that changed something at a forge or at Jenkins, in order: "PUT …/merge"."""
        return [
            f"{one['method']} {one['path']}"
            for one in self.sandbox.journal()
            if one["system"] in (*FORGES, "jenkins")
            and one["applied"]
            and one["method"] != "GET"
            and not one["path"].endswith("/graphql")
        ]

    def calls(self, system: str) -> int:
        return len(self.sandbox.journal(system))

    def pull(self, number: int, repository: str = "acme/shop") -> dict[str, Any]:
        pulls = self.sandbox.state()["pull_requests"]
        return next(p for p in pulls if (p["repository"], p["number"]) == (repository, number))

    def make_ready(self, number: int = 233, repository: str = "acme/shop") -> None:
        """Approved and tested at the forge, by its own web page."""
        for op in ("set_review", "set_test"):
            self.sandbox.change_gitee(op, repository=repository, number=number, login="chatops-bot")
        self.sandbox.change_gitee(
            "set_review", repository=repository, number=number, login="zhangsan"
        )

    def _last_message(self) -> int:
        return max((one["n"] for one in self.sandbox.messages()), default=0)


def wait_for_packets(
    post: Post, count: int, *, about: str = ""
) -> list[tuple[dict[str, str], bytes]]:
    """What the sandbox delivered; a forge's webhooks come a moment after what they tell of.

    about: a word that they hold, where others may still be under way.
    """
    end = time.monotonic() + LONGEST_RUN
    while True:
        found = [(headers, body) for headers, body in post.packets if about.encode() in body]
        if len(found) >= count:
            return found
        assert time.monotonic() < end, f"{len(found)} of {count} deliveries came"
        time.sleep(0.002)


def signed(*, seconds: float = 0, secret: str = APP_SECRET) -> dict[str, str]:
    """The headers of a webhook of now; no two are of the same millisecond."""
    stamp = str(_next_stamp() + int(seconds * 1000))
    return {"timestamp": stamp, "sign": sign(stamp, secret)}


_stamps: Final = threading.local()


def _next_stamp() -> int:
    _stamps.last = max(getattr(_stamps, "last", 0) + 1, int(time.time() * 1000))
    return int(_stamps.last)


def payload(text: str = "/help", *, by: str = "zhangsan") -> dict[str, Any]:
    """A group message as DingTalk sends it, to which every answer goes by the API."""
    return {
        "conversationId": "cid-release",
        "conversationTitle": "发布群",
        "chatbotCorpId": CORP,
        "chatbotUserId": "$:LWCP_v1:$bot",
        "msgId": f"msg{uuid.uuid4().hex}",
        "senderNick": PEOPLE[by][0],
        "senderStaffId": PEOPLE[by][1],
        "senderCorpId": CORP,
        "conversationType": "2",
        "senderId": "$:LWCP_v1:$someone",
        "text": {"content": f" {text}"},
        "robotCode": ROBOT_CODE,
        "msgtype": "text",
    }


def story(run: Run) -> list[str]:
    """What the record has of a run, in order."""
    return list(Entry.objects.filter(run=run.pk).order_by("seq").values_list("event", flat=True))


def plain(text: str) -> str:
    """Without link addresses and with every sha the same, so that a reply reads as in a notification."""
    return re.sub(r"\b[0-9a-f]{7}\b", "abc1234", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text))


def refuse_entries(event: str) -> None:
    """The database takes no audit entry of this kind any more."""
    rules = {
        "sqlite": (
            "CREATE TRIGGER no_more BEFORE INSERT ON audit_entry WHEN NEW.event = '%s'"
            " BEGIN SELECT RAISE(FAIL, 'the disk is full'); END",
        ),
        "postgresql": (
            "CREATE FUNCTION no_more() RETURNS trigger AS"
            " $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$ LANGUAGE plpgsql",
            "CREATE TRIGGER no_more BEFORE INSERT ON audit_entry FOR EACH ROW"
            " WHEN (NEW.event = '%s') EXECUTE FUNCTION no_more()",
        ),
    }
    with connection.cursor() as cursor:
        for rule in rules[connection.vendor]:
            cursor.execute(rule.replace("%s", event))


def deployed(chat: Chat) -> list[dict[str, str]]:
    """What the stand-in's Jenkins was asked to deploy, in order."""
    return [
        {name: one["arguments"].get(name, "") for name in ("REF", "SHA", "ENV", "CHATOPS_ID")}
        for one in chat.sandbox.journal("jenkins")
        if one["method"] == "POST" and "deploy" in one["path"] and "build" in one["path"]
    ]


def master(chat: Chat) -> str:
    return str(chat.sandbox.state()["repositories"]["acme/shop"]["branches"]["master"])


def merge(chat: Chat, number: int = 233) -> str:
    """A new head of master."""
    chat.sandbox.change_gitee("merge_elsewhere", repository="acme/shop", number=number)
    return master(chat)


def last_run() -> Run:
    return Run.objects.latest("pk")


def unsent() -> list[Reply]:
    return list(Reply.objects.filter(state=ReplyState.WAITING))


@pytest.fixture(scope="session", name="post")
def post_fixture() -> Iterator[Post]:
    post = Post()
    yield post
    post.close()


@pytest.fixture(scope="session", name="world")
def world_fixture(post: Post) -> Iterator[Sandbox]:
    with Sandbox.start("--portal", post.origin, speed=SPEED) as sandbox:
        yield sandbox


@pytest.fixture(name="sandbox")
def sandbox_fixture(world: Sandbox) -> Sandbox:
    """The demo world as new."""
    world.reset()
    world.set_speed(SPEED)
    world.change_jenkins("set_quiet_period", seconds=0)
    return world


@pytest.fixture(name="chat")
def chat_fixture(
    sandbox: Sandbox,
    post: Post,
    db: None,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Chat:
    """The demo portal, in English."""
    settings.WAKE_DIR = str(tmp_path)
    settings.FOLLOW_SECONDS = 0.01
    monkeypatch.setattr(views, "rejections", Sampler(per_minute=30))
    return Chat(sandbox, post, seed(sandbox, language="en"))


# The plain suite goes to the two that are least alike, make check to all.
KINDS: Final = [
    name if name in ("gitee", "gitlab") else pytest.param(name, marks=pytest.mark.full)
    for name in FORGES
]


@pytest.fixture(name="kind", params=KINDS)
def kind_fixture(request: pytest.FixtureRequest) -> str:
    """Every kind of forge in turn; a file that wants it imports this and there_fixture."""
    return str(request.param)


@pytest.fixture(name="there")
def there_fixture(chat: Chat, kind: str) -> Chat:
    """The demo portal with its repositories at another forge."""
    Forge.objects.update(
        name=kind, kind=kind, base_url=chat.sandbox.urls[kind], token=f"demo-{kind}-token"
    )
    for person in Person.objects.all():
        person.forge_logins = {kind: person.username}
        person.save()
    return chat


@pytest.fixture(name="chinese")
def chinese_fixture(chat: Chat) -> Chat:
    """The same in Chinese."""
    Bot.objects.update(language="zh-hans")
    return chat


def seed(sandbox: Sandbox, *, language: str) -> Bot:
    """The demo portal's configuration as rows; the sandbox's demo world is its other half."""
    _seed_systems(sandbox)
    bot = Bot.objects.create(
        name="ops",
        platform="dingtalk",
        language=language,
        settings={
            "app_key": APP_KEY,
            "robot_code": ROBOT_CODE,
            "corp_id": CORP,
            "api_base": sandbox.chat,
        },
        secrets={"app_secret": APP_SECRET},
    )
    shop = Repository.objects.get(name="shop")
    Conversation.objects.create(bot=bot, external_id="cid-release", name="发布群", repository=shop)
    Conversation.objects.create(bot=bot, external_id="cid-dev", name="研发群")
    _seed_people()
    return bot


def _seed_systems(sandbox: Sandbox) -> None:
    forge = Forge.objects.create(
        name="gitee", kind="gitee", base_url=sandbox.gitee, token="demo-gitee-token"
    )
    jenkins = JenkinsServer.objects.create(
        name="main", base_url=sandbox.jenkins, username="bot", token="demo-jenkins-token"
    )
    shop = Repository.objects.create(
        name="shop", forge=forge, path="acme/shop", merge_method="squash", default=True,
        checks="all", approvals=1,
    )  # fmt: skip
    web = Repository.objects.create(name="web", forge=forge, path="acme/web", checks="all")
    for name in ("staging", "production"):
        Environment.objects.create(name=name)
    for service, repository, aliases in (
        ("myservice", shop, ["my"]),
        ("web", web, []),
        ("billing", shop, []),
    ):
        owner = Service.objects.create(name=service, repository=repository, aliases=aliases)
        _seed_jobs(jenkins, owner)
    shop.test_job = Job.objects.get(name="shop-test")
    shop.save()
    web.test_job = Job.objects.get(name="web-test")
    web.save()


def _seed_jobs(jenkins: JenkinsServer, service: Service) -> None:
    test = "shop-test" if service.name == "myservice" else f"{service.name}-test"
    Job.objects.create(
        name=test, jenkins=jenkins, path=f"team/{test}", purpose="test", service=service,
        parameters=TEST_PARAMETERS,
    )  # fmt: skip
    places = ("staging", "production") if service.name == "web" else ("production",)
    for place in places:
        Job.objects.create(
            name=f"{service.name}-{place}", jenkins=jenkins, path=f"team/{service.name}-deploy",
            purpose="deploy", service=service, environment=Environment.objects.get(name=place),
            parameters={"REF": "{ref}", "SHA": "{sha}", "ENV": place, "CHATOPS_ID": "{run}"},
        )  # fmt: skip


def _seed_people() -> None:
    roles = {name: Role.objects.create(name=name, commands=has) for name, has in ROLES.items()}
    people = {}
    for login, (name, staff) in PEOPLE.items():
        person = Person.objects.create(name=name, username=login, forge_logins={"gitee": login})
        Account.objects.create(person=person, platform="dingtalk", tenant=CORP, external_id=staff)
        people[login] = person
    shop, web = Repository.objects.get(name="shop"), Repository.objects.get(name="web")
    Grant.objects.create(person=people["zhangsan"], role=roles["maintainer"], repository=shop)
    for service in Service.objects.filter(name__in=("myservice", "billing")):
        Grant.objects.create(person=people["zhangsan"], role=roles["releaser"], service=service)
    Grant.objects.create(person=people["lisi"], role=roles["developer"], repository=shop)
    Grant.objects.create(person=people["zhaoliu"], role=roles["viewer"], repository=shop)
    for role in ("maintainer", "releaser"):
        Grant.objects.create(person=people["wangfang"], role=roles[role])
    Grant.objects.create(person=people["wangfang"], role=roles["viewer"], repository=web)
