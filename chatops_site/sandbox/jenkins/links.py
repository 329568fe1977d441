"""Absolute and root-relative addresses of jobs, builds and queue items."""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from chatops_site.sandbox.jenkins.model import Build, Job, QueueItem

CONTEXT = "/jenkins"


@dataclass(frozen=True)
class Links:
    """`base` is the root URL with the context path and without a slash at its end."""

    base: str
    location_host: str = ""

    def root(self) -> str:
        return f"{self.base}/"

    def job(self, job: Job) -> str:
        return f"{self.base}{job_path(job)}"

    def build(self, build: Build) -> str:
        return f"{self.job(build.job)}{build.number}/"

    def user(self, name: str) -> str:
        return f"{self.base}/user/{quote(name, safe='')}"

    def queue_location(self, item: QueueItem) -> str:
        """What a trigger answers as Location; behind a proxy that is often the wrong host."""
        if not self.location_host:
            return f"{self.base}/{queue_path(item)}"
        host = self.location_host
        return f"{host if '://' in host else 'http://' + host}/{queue_path(item)}"

    def local(self, build: Build) -> str:
        """The build from the root of the host, as pipeline-rest-api writes its links."""
        return f"{urlsplit(self.base).path}{job_path(build.job)}{build.number}"


def queue_path(item: QueueItem) -> str:
    return f"queue/item/{item.id}/"


def job_path(job: Job) -> str:
    """A branch "feature%2Fx" is quoted once more: /job/feature%252Fx/."""
    return "".join(f"/job/{quote(step.name, safe='')}" for step in job.ancestry) + "/"


def links_for(base: str, location_host: str) -> Links:
    root = base.rstrip("/")
    return Links(root if root.endswith(CONTEXT) else root + CONTEXT, location_host)
