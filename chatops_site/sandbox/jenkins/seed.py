"""The demo jobs and users, named as the portal's demo configuration has them; and a bare state."""

from dataclasses import replace
from typing import Any

from chatops_site.sandbox.jenkins.access import EVERYTHING, Gate
from chatops_site.sandbox.jenkins.controls import add_job, parameters_from, plan_from
from chatops_site.sandbox.jenkins.engine import Engine, projects
from chatops_site.sandbox.jenkins.model import Job, Kind, User

DEMO_SECONDS = 6.0
TEST_STAGES = ("Checkout", "Build", "Unit test")
DEPLOY_STAGES = ("Checkout", "Build", "Deploy", "Smoke test")
TEST_PARAMETERS = [
    {"name": "PR", "description": "Number of the pull request"},
    {"name": "SHA", "description": "Commit to test"},
    {"name": "CHATOPS_ID", "description": "The portal's run"},
]
DEPLOY_PARAMETERS = [
    {"name": "REF", "description": "Branch or tag"},
    {"name": "SHA", "description": "Commit to deploy"},
    {"name": "ENV", "choices": ["staging", "production"], "description": "Where to"},
    {"name": "CHATOPS_ID", "description": "The portal's run"},
]
_TESTS = ("shop-test", "web-test", "billing-test")
_DEPLOYS = ("myservice-deploy", "web-deploy", "billing-deploy")


STATES = ("demo", "bare")


def fill(engine: Engine, gate: Gate, state: str) -> None:
    """`bare`: no quiet period and builds of no length, so that tests need no patience."""
    _add_jobs(engine.root)
    gate.users = {user.name: user for user in _users()}
    if state == "bare":
        engine.settings.quiet_period = engine.settings.executable_lag = 0.0
        for job in projects(engine.root):
            job.plan = replace(job.plan, duration=0.0)


def _add_jobs(root: Job) -> None:
    for name in _TESTS:
        _pipeline(root, f"team/{name}", stages=TEST_STAGES, parameters=TEST_PARAMETERS)
    for name in _DEPLOYS:
        job = _pipeline(root, f"team/{name}", stages=DEPLOY_STAGES, parameters=DEPLOY_PARAMETERS)
        job.concurrent = False
    billing = add_job(root, "team/billing-deploy", Kind.PIPELINE)
    billing.plan = plan_from(billing.plan, {"fail_stage": "Smoke test"})
    add_job(root, "team/mb", Kind.MULTIBRANCH)
    for branch in ("master", "feature%2Fx"):
        _pipeline(root, f"team/mb/{branch}", stages=TEST_STAGES, parameters=[])
    _pipeline(root, "team/old", stages=TEST_STAGES, parameters=[]).disabled = True
    add_job(root, "team/nightly", Kind.FREESTYLE)


def _pipeline(root: Job, path: str, *, stages: tuple[str, ...], parameters: Any) -> Job:
    job = add_job(root, path, Kind.PIPELINE)
    job.parameters = parameters_from(parameters)
    job.plan = plan_from(job.plan, {"duration": DEMO_SECONDS, "stages": stages})
    return job


def _users() -> list[User]:
    def user(name: str, full_name: str, rights: frozenset[str]) -> User:
        return User(
            name,
            full_name,
            password=f"demo-{name}-password",
            tokens=frozenset({f"demo-{name}-token"}),
            rights=rights,
        )

    bot = user("bot", "ChatOps bot", EVERYTHING)
    bot.tokens, bot.password = frozenset({"demo-jenkins-token"}), "demo-jenkins-password"
    return [
        bot,
        user("wangfang", "王芳", EVERYTHING),
        user("reader", "Reader", frozenset({"read"})),
        user("stranger", "Stranger", frozenset()),
    ]
