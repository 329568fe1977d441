"""What the chat page shows behind the curtain: pull requests, queue and builds, what is live."""

from collections.abc import Callable
from typing import Any

from chatops_site.sandbox.choice import Choice
from chatops_site.sandbox.records import Pull, Repository
from chatops_site.sandbox.world import World

Facts = dict[str, Any]
_MOST_BUILDS = 20


class Pane:
    """Reads the other systems. `origins` say where people may look at them."""

    def __init__(self, world: World, choice: Choice, jenkins: Callable[[], Facts]) -> None:
        self._world = world
        self._choice = choice
        self._jenkins = jenkins
        self.origins: dict[str, str] = {}

    def read(self) -> Facts:
        jenkins = self._jenkins()
        with self._world.lock:
            repositories = [self._repository(one) for one in self._world.repositories.values()]
        return {
            "forge": {"name": self._choice.current, "repositories": repositories},
            "jenkins": {"queue": _waiting(jenkins), "builds": self._builds(jenkins)},
            "live": _live(jenkins),
        }

    def _repository(self, repository: Repository) -> Facts:
        pulls = [self._pull(repository, one) for one in repository.pulls.values()]
        return {"path": repository.path, "pulls": pulls}

    def _pull(self, repository: Repository, pull: Pull) -> Facts:
        checks = {
            check.name: check.conclusion or "pending"
            for check in repository.checks
            if check.head_sha == pull.head_sha
        }
        return {
            "number": pull.number,
            "title": pull.title,
            "author": pull.author,
            "state": pull.state,
            "draft": pull.draft,
            "head": pull.head_sha,
            "checks": [{"name": name, "state": state} for name, state in checks.items()],
            "approved": self._approved(pull),
            "approvals_required": pull.assignees_number,
            "tested": self._tested(pull),
            "mergeable": pull.mergeable,
            "url": self._url(repository, pull),
        }

    def _approved(self, pull: Pull) -> int:
        """Gitee alone has people who are to review and to test."""
        at_gitee = self._choice.current == "gitee"
        return sum(pull.assignees.values()) if at_gitee else len(pull.approved_by())

    def _tested(self, pull: Pull) -> bool | None:
        """None elsewhere: there a test is one of the checks."""
        return pull.tested() if self._choice.current == "gitee" else None

    def _url(self, repository: Repository, pull: Pull) -> str:
        origin = self.origins.get(self._choice.current, "")
        return f"{origin}/{repository.path}/{self._choice.style.pulls}/{pull.number}"

    def _builds(self, jenkins: Facts) -> list[Facts]:
        builds = [
            self._build(job, build)
            for job, facts in jenkins.get("jobs", {}).items()
            for build in facts["builds"]
        ]
        return sorted(builds, key=lambda build: build["at"], reverse=True)[:_MOST_BUILDS]

    def _build(self, job: str, build: Facts) -> Facts:
        path = "/job/".join(job.split("/"))
        return {
            "job": job,
            "number": build["number"],
            "result": build["result"],
            "building": build["building"],
            "stage": build.get("stage", ""),
            "progress": build.get("progress", 0),
            "parameters": build["parameters"],
            "at": build["started"],
            "url": f"{self.origins.get('jenkins', '')}/jenkins/job/{path}/{build['number']}/",
        }


def _waiting(jenkins: Facts) -> list[Facts]:
    return [
        {"id": item["id"], "job": item["job"], "why": item["why"] or ""}
        for item in jenkins.get("queue", [])
        if item["build"] is None and not item["cancelled"]
    ]


def _live(jenkins: Facts) -> list[Facts]:
    """The last deployment of each service and environment; jobs are named SERVICE-deploy."""
    latest: dict[tuple[str, str], Facts] = {}
    for entry in jenkins.get("deployments", []):
        service = entry["job"].rpartition("/")[2].removesuffix("-deploy")
        latest[service, entry["environment"]] = {
            "service": service,
            "environment": entry["environment"],
            "sha": entry["sha"],
        }
    return list(latest.values())
