"""Fills a stage's template database: run as a process of its own, since it needs its own settings."""

import json
import os
import sys
from typing import Any

import django
from django.apps import apps
from django.core.management import call_command

from repos.forges import FORGE_KINDS

COMMANDS = [
    *("help", "whoami", "prs", "pr", "approve", "test", "merge", "comment", "close", "reopen"),
    *("deploy", "rollback", "retry", "status", "log", "cancel", "history", "why"),
]


def make(model: str, **columns: Any) -> Any:
    return apps.get_model(model).objects.create(**columns)


def fill(urls: dict[str, str]) -> None:
    for kind in FORGE_KINDS:
        forge = make("repos.Forge", name=kind, kind=kind, base_url=urls[kind])
        forge.token, forge.webhook_secret = f"demo-{kind}-token", "demo-hook-secret"
        forge.save()
    gitee = apps.get_model("repos.Forge").objects.get(name="gitee")
    jenkins = make("repos.JenkinsServer", name="main", base_url=urls["jenkins"], username="bot")
    jenkins.token = "demo-jenkins-token"
    jenkins.save()
    shop = make(
        "repos.Repository", name="shop", forge=gitee, path="acme/shop", default=True, checks="all"
    )
    service = make("repos.Service", name="svc", repository=shop)
    job = {"jenkins": jenkins, "service": service}
    known = {"SHA": "{sha}", "CHATOPS_ID": "{run}"}
    test = make("repos.Job", name="t", path="t", purpose="test", parameters=known, **job)
    make("repos.Job", name="b", path="b", purpose="build", jenkins=jenkins, parameters=known)
    production = make("repos.Environment", name="production")
    deploys = {"purpose": "deploy", "environment": production, "jenkins": jenkins}
    deploys["parameters"] = known | {"REF": "{ref}", "ENV": "production"}
    make("repos.Job", name="d", path="d", service=service, **deploys)
    for name in ("x0", "x1", "x2", "x3", "x4", "x5"):
        other = make("repos.Service", name=name, repository=shop)
        make("repos.Job", name=f"d-{name}", path="team/other", service=other, **deploys)
    shop.test_job = test
    shop.save()
    people(urls)


def people(urls: dict[str, str]) -> None:
    make(
        "bot.Bot",
        name="ops",
        platform="dingtalk",
        language="en",
        settings={
            "app_key": "dingdemokey",
            # These tests are about other things than DingTalk's patience.
            "per_minute": "100000",
            "robot_code": "dingdemorobot",
            "corp_id": "ding-demo-corp",
            "api_base": urls["chat"],
        },
        secrets={"app_secret": "demo-app-secret"},
    )
    commands = [*COMMANDS, "jenkins build", "jenkins test", "jenkins jobs", "jenkins describe"]
    role = make("bot.Role", name="all", commands=commands)
    for name, username, account in (
        ("张三", "zhangsan", "user101"),
        ("李四", "lisi", "user102"),
        ("王芳", "wangfang", "user103"),
    ):
        logins = dict.fromkeys(FORGE_KINDS, username)
        person = make("bot.Person", name=name, username=username, forge_logins=logins)
        make("bot.Grant", person=person, role=role)
        make(
            "bot.Account",
            person=person,
            platform="dingtalk",
            tenant="ding-demo-corp",
            external_id=account,
        )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    call_command("migrate", verbosity=0)
    fill(json.loads(sys.argv[1]))
