"""A furnished portal for the tests of the admin: one of everything, and people who may do this or that."""

from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from bot.models import (
    AccessRequest,
    Account,
    Bot,
    Conversation,
    Grant,
    Person,
    Reply,
    Role,
    Run,
    Team,
)
from repos.models import Environment, Forge, JenkinsServer, Job, Repository, Service

TOKEN = "canary-token-4711"
HOOK = "canary-hook-4712"
APP_SECRET = "canary-app-secret-4713"
NO_ACCOUNTS = {"accounts-TOTAL_FORMS": "0", "accounts-INITIAL_FORMS": "0"}


def log_in(client: Client, group: str, name: str = "") -> User:
    """A member of one of the portal's groups."""
    user = User.objects.create_user(name or group.split()[0], password="a long pass word")
    user.is_staff = True
    user.save()
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return user


def boss(client: Client) -> User:
    user = User.objects.create_superuser("boss", password="a long pass word")
    client.force_login(user)
    return user


def page(client: Client, address: str, **query: Any) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200, (address, answer.status_code)
    return answer.content.decode()


def refused(client: Client, address: str, **form: Any) -> str:
    """The page that comes back instead of a redirect."""
    answer = client.post(address, form)
    assert answer.status_code == 200, (address, answer.status_code)
    return answer.content.decode()


def saved(client: Client, address: str, **form: Any) -> None:
    answer = client.post(address, form)
    assert answer.status_code == 302, answer.content.decode().partition("errorlist")[2][:600]


class House:
    """One of everything that can be set up; hostile names where any text may stand."""

    def __init__(
        self, text: str = "", *, forge: str = "", jenkins: str = "", chat: str = ""
    ) -> None:
        self.forge = Forge.objects.create(
            name="gitee",
            kind="gitee",
            base_url=forge or "https://gitee.com/api/v5",
            token=TOKEN,
            webhook_secret=HOOK,
        )
        self.server = JenkinsServer.objects.create(
            name="main",
            base_url=jenkins or "https://jenkins.example.com",
            username=text or "bot",
            token=TOKEN,
        )
        self.shop = Repository.objects.create(
            name="shop", forge=self.forge, path="acme/shop", checks=[text or "ci"]
        )
        self.staging = Environment.objects.create(name="staging")
        self.service = Service.objects.create(
            name="myservice", repository=self.shop, aliases=[text or "my"]
        )
        self.job = Job.objects.create(
            name="myservice-staging",
            jenkins=self.server,
            path="team/myservice-deploy",
            purpose="deploy",
            service=self.service,
            environment=self.staging,
            parameters={"REF": "{ref}", "SHA": "{sha}", "CHATOPS_ID": "{run}", text or "X": text},
        )
        self._chat(text, chat)
        self._people(text)
        self._history(text)

    def _chat(self, text: str, address: str) -> None:
        self.bot = Bot.objects.create(
            name="ops",
            platform="dingtalk",
            settings={
                "app_key": text or "dingdemokey",
                "robot_code": "dingdemorobot",
                "corp_id": "ding-demo-corp",
                "api_base": address,
            },
            secrets={"app_secret": APP_SECRET},
        )
        self.group = Conversation.objects.create(
            bot=self.bot, external_id="cid1", name=text or "发布群", repository=self.shop
        )

    def _people(self, text: str) -> None:
        self.person = Person.objects.create(
            name=text or "张三", username="zhangsan", forge_logins={"gitee": text or "zhangsan"}
        )
        Account.objects.create(
            person=self.person, platform="dingtalk", tenant=text, external_id=text or "user123"
        )
        self.team = Team.objects.create(name=text or "crew")
        self.team.members.add(self.person)
        self.role = Role.objects.create(name="all", commands=["cancel", "deploy", "retry", "help"])
        self.grant = Grant.objects.create(person=self.person, role=self.role)
        self.wanted = AccessRequest.objects.create(
            bot=self.bot,
            platform="dingtalk",
            tenant="ding-demo-corp",
            external_id=text or "user777",
            shown_name=text or "Li Lei",
            conversation=text or "发布群",
        )

    def _history(self, text: str) -> None:
        now = timezone.now()
        self.run = Run.objects.create(
            bot=self.bot,
            platform="dingtalk",
            account=text or "user123",
            person=self.person,
            actor=text or "张三",
            conversation_name=text or "发布群",
            language="en",
            text=text or "/deploy myservice to staging",
            command="deploy",
            arguments={"service": "myservice"},
            canonical=text or "/deploy myservice to staging",
            changes_things=True,
            target=text or "myservice → staging",
            service=self.service,
            environment=self.staging,
            repository=self.shop,
            state="failed",
            accepted_at=now,
            due_at=now,
            finished_at=now,
            summary=text or "⛔ Deployment failed",
            reason="build_failed",
            gates=[{"name": "open", "passed": False, "fact": text, "remedy": text}],
            external={"build": 7, "job": "team/myservice-deploy", "note": text},
        )
        self.reply = Reply.objects.create(
            run=self.run,
            bot=self.bot,
            kind="final",
            text=text or "⛔ Deployment failed",
            state="failed",
            error=text or "The robot was removed from the group.",
            due_at=now,
            created_at=now,
        )
