"""Any chat platform of the sandbox: what people say and press there travels to the real URL and back."""

import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty
from typing import Any, Final

import pytest
import yaml
from django.http import HttpResponse
from django.test import Client

from bot.people.models import Account, Person
from bot.platforms.models import Bot, Conversation
from chatops_site.demo.premises import CONFIGURATION, SANDBOX_SECRETS
from chatops_site.sandbox.chats import CHATS, bot_name
from repos.models import Repository
from tests.portal import LONGEST_RUN, Chat, Handed, Post

Message = dict[str, Any]
# The portal's own headers come from the test client; what the platform signs has to arrive as it is.
_HOP: Final = frozenset({"host", "connection", "content-length", "accept-encoding"})
LOOK_EVERY: Final = 0.01
DEMO: Final = yaml.safe_load(CONFIGURATION.read_text("utf-8"))


class Messenger:
    """One platform's stand-in with the demo's bot, people and conversations."""

    def __init__(self, chat: Chat, post: Post, platform: str, bot: Bot) -> None:
        self.chat, self.platform, self.bot = chat, platform, bot
        self._post = post
        self._portal = Client(raise_request_exception=False)
        # Everything that the platform sent to the portal, with the portal's answers.
        self.deliveries: list[Handed] = []

    @property
    def place(self) -> str:
        """Where the story is told: the release group, or with the bot alone where there are no groups."""
        return "private" if CHATS[self.platform].private_only else "cid-release"

    def say(self, text: str, *, by: str = "zhangsan", where: str = "", **more: Any) -> Message:
        """Says it, lets the portal do all it wants to, and gives back the bot's last message."""
        self.only_say(text, by=by, where=where, **more)
        return self.carry_out()

    def only_say(
        self, text: str, *, by: str = "zhangsan", where: str = "", **more: Any
    ) -> dict[str, Any]:
        told: list[dict[str, Any]] = []
        sandbox, place = self.chat.sandbox, where or self.place
        self._during(
            lambda: told.append(sandbox.say(by, place, text, platform=self.platform, **more))
        )
        return told[0]

    def press(self, message: Message, label: str, *, by: str = "zhangsan") -> Message:
        """Presses the button with that label."""
        buttons = {one["label"]: one["id"] for one in message["buttons"]}
        sandbox = self.chat.sandbox
        self._during(
            lambda: sandbox.press(by, message["n"], buttons[label], platform=self.platform)
        )
        return self.carry_out()

    def carry_out(self) -> Message:
        """Until all is done and told; the bot's last message."""
        self.chat.carry_out()
        end = time.monotonic() + LONGEST_RUN
        while self._waits() and time.monotonic() < end:
            self._pump()
            self.chat.send_replies()
        return self.said()[-1]

    def said(self) -> list[Message]:
        """What the bot has said, as it stands now."""
        messages = self.chat.sandbox.messages(platform=self.platform)
        return [one for one in messages if one["from"] == "bot"]

    def text(self, message: Message) -> str:
        return str(message.get("markdown") or message.get("text") or "")

    def change(self, op: str, **arguments: Any) -> dict[str, Any]:
        """An operation of the stand-in's own."""
        return self.chat.sandbox.change_chat(op, platform=self.platform, **arguments)

    def during(self, action: Callable[[], Any]) -> None:
        """While it goes on, what the platform sends is answered."""
        self._during(action)

    def toasts(self) -> list[str]:
        """What whoever pressed was told at once, and nobody else."""
        messages = self.chat.sandbox.messages(platform=self.platform)
        return [str(one["toast"]) for one in messages if one.get("toast")]

    def _waits(self) -> bool:
        """Somebody's message is not answered to its end yet."""
        messages = self.chat.sandbox.messages(platform=self.platform)
        stages = [one.get("delivery", {}).get("stage") for one in messages if not one.get("toast")]
        return "acknowledged" in stages or "running" in stages

    def _during(self, action: Callable[[], Any]) -> None:
        problems: list[BaseException] = []

        def _act() -> None:
            try:
                action()
            except BaseException as problem:
                problems.append(problem)

        acting = threading.Thread(target=_act, daemon=True)
        acting.start()
        while acting.is_alive():
            self._pump()
        if problems:
            raise problems[0]

    def _pump(self) -> None:
        try:
            handed = self._post.waiting.get(timeout=LOOK_EVERY)
        except Empty:
            return
        answer = self._hand_over(handed)
        handed.status, handed.answer = answer.status_code, answer.content
        handed.kind = answer.headers.get("Content-Type", "text/plain")
        self.deliveries.append(handed)
        handed.done.set()

    def _hand_over(self, handed: Handed) -> HttpResponse:
        headers = {k: v for k, v in handed.headers.items() if k.lower() not in _HOP}
        kind = headers.pop("Content-Type", "")
        extra = {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in headers.items()}
        return self._portal.generic(  # type: ignore[return-value]
            handed.method,
            handed.path,
            handed.body,
            content_type=kind,
            **extra,  # type: ignore[arg-type]
        )


def messenger_at(chat: Chat, post: Post, platform: str) -> Messenger:
    """The demo configuration's bot of that platform, in English; DingTalk's is there already."""
    name = bot_name("ops", platform)
    bot = Bot.objects.filter(name=name).first() or demo_bot(platform, chat.sandbox.chat)
    shop = Repository.objects.get(name="shop")
    for row in DEMO["conversations"]:
        if row["bot"] == name:
            Conversation.objects.get_or_create(
                bot=bot, external_id=row["id"], defaults={"name": row["name"], "repository": shop}
            )
    for person in DEMO["people"]:
        for row in person["accounts"]:
            Account.objects.get_or_create(
                platform=row["platform"],
                tenant=row["tenant"],
                external_id=row["id"],
                defaults={"person": Person.objects.get(username=person["username"])},
            )
    return Messenger(chat, post, platform, bot)


def demo_bot(platform: str, api_base: str) -> Bot:
    """As make demo has it, but in English."""
    name = bot_name("ops", platform)
    row = next(row for row in DEMO["bots"] if row["name"] == name)
    secrets = {
        secret: SANDBOX_SECRETS[value.removeprefix("env:")]
        for secret, value in row["secrets"].items()
    }
    return Bot.objects.create(
        name=name,
        platform=row["platform"],
        language="en",
        settings=row["settings"] | {"api_base": api_base},
        secrets=secrets,
    )


@pytest.fixture(name="platform", params=list(CHATS))
def platform_fixture(request: pytest.FixtureRequest) -> str:
    """Every chat platform in turn."""
    return str(request.param)


@pytest.fixture(name="messenger")
def messenger_fixture(chat: Chat, post: Post, platform: str) -> Iterator[Messenger]:
    """The demo portal with a bot at that platform."""
    post.relaying = True
    yield messenger_at(chat, post, platform)
    post.relaying = False
    while not post.waiting.empty():
        post.waiting.get().done.set()
