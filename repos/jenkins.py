"""One Jenkins server: its jobs, its queue, and builds from trigger to end.

https://www.jenkins.io/doc/book/using/remote-access-api/

An API token needs no crumb. Redirects are never followed: a 303 tells that a request joined a
queued item and a 302 that nothing was queued, and whoever follows them sees a 200 instead.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote, urlsplit

from django.utils.translation import gettext as _

from chatops_site.kit.http import Answer, BadAnswer, Client, HttpError
from repos.builds import (
    BUILD_TREE,
    JOB_TREE,
    Build,
    JenkinsIdentity,
    JobDescription,
    JobSummary,
    PendingInput,
    QueueItem,
    Stage,
    Triggered,
    jobs_below,
    read_build,
    read_job,
    read_parameters,
    read_queue_item,
    read_result,
    read_stages,
)
from repos.console import last_lines
from repos.errors import BadAnswer as UnreadableAnswer
from repos.errors import (
    Forbidden,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    change_failed,
    clock_skew,
    described,
    read_failed,
)
from repos.jenkins_answers import (
    SYSTEM,
    change_error,
    check_triggerable,
    not_jenkins,
    not_queued,
    queue_id,
    read_error,
    to_login,
    token_refused,
    unclear,
)

T = TypeVar("T")

FOLDER_DEPTH: Final = 8
NEWEST_BUILDS: Final = 100
# A build exists a moment after its item left the queue; in between it is in neither place.
GAP_SECONDS: Final = 0.5
LOG_WINDOW: Final = 64_000
LOG_CAP: Final = 512_000
BEYOND_ANY_LOG: Final = 10**15


class Jenkins:
    """One server and one API token. Every method is one operation or raises a RemoteError.

    path is a job's full name, team/mb/feature%2Fx, just as Jenkins names it: each part is quoted
    once more in addresses. What changes something is sent once.
    """

    def __init__(
        self,
        *,
        base_url: str,
        username: str,
        token: str,
        ca_file: str = "",
        deadline: float = 20.0,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        # Jenkins translates the reasons why an item waits.
        common: dict[str, Any] = {
            "headers": {"Accept-Language": "en"},
            "auth": (username, token),
            "ca_file": ca_file,
            "deadline": deadline,
            "redirects_are_answers": True,
        }
        self._http = Client(base_url, **common)
        self._logs = Client(base_url, byte_cap=LOG_CAP, **common)
        self._seen: deque[int] = deque(maxlen=256)

    def url_of(self, path: str) -> str:
        """The job's page, under the address that is set for this server."""
        return f"{self.base_url}{_job(path)}/"

    def whoami(self) -> JenkinsIdentity:
        answer = self._get("/whoAmI/api/json", what=_("the account"))
        row = self._json("/whoAmI/api/json", answer)
        if row.get("anonymous"):
            raise token_refused(described("GET", "/whoAmI/api/json", answer))
        try:
            root = self._api("", what=_("start page"), tree="quietingDown")
        except (Forbidden, NotFound):
            root = None
        return JenkinsIdentity(
            user=str(row.get("name")),
            version=answer.headers.get("X-Jenkins", ""),
            clock_skew=clock_skew(answer),
            may_read=root is not None,
            quieting_down=bool(root and root.get("quietingDown")),
        )

    def jobs(self, *, limit: int = 500) -> tuple[JobSummary, ...]:
        """All jobs, folders and multibranch projects included down to FOLDER_DEPTH, in one call."""
        tree = ""
        for _depth in range(FOLDER_DEPTH):
            below = f",{tree}" if tree else ""
            tree = f"jobs[name,buildable,lastCompletedBuild[result]{below}]{{0,{limit}}}"
        root = self._api("", what=_("jobs"), tree=tree)
        found = _shaped(lambda: list(jobs_below(root))[:limit])
        return _shaped(lambda: tuple(self._summary(path, row) for path, row in found))

    def describe(self, path: str) -> JobDescription:
        row = self._api(_job(path), what=path, tree=JOB_TREE)
        return _shaped(lambda: read_job(row, path=path, url=self.url_of(path)))

    def trigger(self, path: str, parameters: Mapping[str, str]) -> Triggered:
        """Queues a build without the quiet period. Refused: it is not queued, and why.

        Names and choices are checked first: Jenkins drops an unknown name without a word.
        """
        job = self.describe(path)
        given = _lowered_booleans(job, parameters)
        check_triggerable(job, given)
        address = f"{_job(path)}/{'buildWithParameters' if job.parameters else 'build'}"
        form = given if job.parameters else None
        answer = self._post(address, what=path, form=form, params={"delay": "0sec"})
        found = queue_id(answer)
        if found is None and answer.status == 302:
            raise not_queued(path, answer)
        if found is None or answer.status not in (201, 303):
            raise unclear("POST", address, answer)
        # For a job without parameters Jenkins answers 201 with the waiting item's id as well.
        joined = answer.status == 303 or found == job.waiting or found in self._seen
        self._seen.append(found)
        return Triggered(found, joined=joined)

    def queue_item(self, queue_id: int) -> QueueItem | None:
        """None: Jenkins has forgotten it, as it does 5 minutes after it left and at a restart."""
        tree = "id,why,cancelled,executable[number]"
        try:
            row = self._api(f"/queue/item/{queue_id}", what=_("queue item"), tree=tree)
        except NotFound:
            return None
        return _shaped(lambda: read_queue_item(row))

    def build(self, path: str, number: int) -> Build:
        row = self._api(f"{_job(path)}/{number}", what=f"{path} #{number}", tree=BUILD_TREE)
        return _shaped(lambda: read_build(row, job_url=self.url_of(path)))

    def build_of(self, path: str, queue_id: int) -> Build | None:
        """The build that came from a queue item; for items that the queue has forgotten."""
        return next((one for one in self._builds(path) if one.queue_id == queue_id), None)

    def find(self, path: str, name: str, value: str) -> Triggered | Build | None:
        """What was triggered with that parameter: still queued, or among the newest builds."""
        for seconds in (0.0, GAP_SECONDS):
            time.sleep(seconds)
            found = self._queued(path, name, value) or self._built(path, name, value)
            if found is not None:
                return found
        return None

    def log_tail(self, path: str, number: int, lines: int = 20) -> tuple[str, ...]:
        """The last lines, never the whole of a long log. Hidden notes and colours are removed."""
        address = f"{_job(path)}/{number}/logText/progressiveText"
        what = f"{path} #{number}"
        size, whole = self._log_size(address, what)
        if whole is not None:
            return last_lines(whole, lines=lines, from_start=True)
        start = max(0, size - LOG_WINDOW)
        answer = self._log_answer(lambda: self._logs.get(address, params={"start": str(start)}))
        _text_size(address, answer, what)
        return last_lines(answer.body, lines=lines, from_start=start == 0)

    def stages(self, path: str, number: int) -> tuple[Stage, ...]:
        """Empty for what is no pipeline and where the plugin pipeline-rest-api is missing."""
        try:
            address = f"{_job(path)}/{number}/wfapi/describe"
            row = self._json(address, self._get(address, what=f"{path} #{number}"))
        except NotFound:
            return ()
        return _shaped(lambda: read_stages(row))

    def pending_inputs(self, path: str, number: int) -> tuple[PendingInput, ...]:
        try:
            address = f"{_job(path)}/{number}/wfapi/pendingInputActions"
            rows = self._json(address, self._get(address, what=f"{path} #{number}"))
        except NotFound:
            return ()
        page = f"{self.url_of(path)}{number}/input/"
        return _shaped(
            lambda: tuple(
                PendingInput(str(row["id"]), row.get("message") or "", page) for row in rows
            )
        )

    def cancel_item(self, queue_id: int) -> bool:
        """False: it is not in the queue any more (then look for its build)."""
        failed: OutcomeUnknown | None = None
        try:
            params = {"id": str(queue_id)}
            answer = self._post("/queue/cancelItem", what=_("queue item"), params=params)
            if answer.status == 204:
                return True
        except NotFound:
            pass
        except OutcomeUnknown as error:
            failed = error
        # Older versions answer 302 or 404 to a cancellation that worked: the item tells.
        item = self.queue_item(queue_id)
        if failed and item and item.why and not item.cancelled:
            raise failed
        return item is not None and item.cancelled

    def stop(self, path: str, number: int) -> None:
        """Asks politely. Jenkins says yes even to a finished build: look at it afterwards."""
        self._post(f"{_job(path)}/{number}/stop", what=f"{path} #{number}")

    def term(self, path: str, number: int) -> None:
        """Fails the running steps of a pipeline. NotSupported: the job is no pipeline."""
        self._end(path, number, "term")

    def kill(self, path: str, number: int) -> None:
        """Ends a pipeline at once, without its clean-up. NotSupported: the job is no pipeline."""
        self._end(path, number, "kill")

    def _end(self, path: str, number: int, how: str) -> None:
        try:
            self._post(f"{_job(path)}/{number}/{how}", what=f"{path} #{number}")
        except NotFound as missing:
            self.build(path, number)
            raise NotSupported(
                _("%(build)s can only be stopped, it is no pipeline.")
                % {"build": f"{path} #{number}"},
                detail=missing.detail,
            ) from missing

    def _summary(self, path: str, row: Any) -> JobSummary:
        last = (row.get("lastCompletedBuild") or {}).get("result")
        buildable = bool(row.get("buildable"))
        return JobSummary(path, self.url_of(path), buildable, read_result(last))

    def _builds(self, path: str) -> list[Build]:
        tree = f"builds[{BUILD_TREE}]{{0,{NEWEST_BUILDS}}}"
        row = self._api(_job(path), what=path, tree=tree)
        url = self.url_of(path)
        return _shaped(lambda: [read_build(each, job_url=url) for each in row["builds"]])

    def _built(self, path: str, name: str, value: str) -> Build | None:
        builds = self._builds(path)
        return next((one for one in builds if one.parameters.get(name) == value), None)

    def _queued(self, path: str, name: str, value: str) -> Triggered | None:
        tree = "items[id,task[url],actions[parameters[name,value]]]"
        root = self._api("/queue", what=_("queue"), tree=tree)
        found = _shaped(lambda: _matching(root["items"], path, {name: value}))
        return Triggered(found[0]) if found else None

    def _log_size(self, address: str, what: str) -> tuple[int, bytes | None]:
        """The raw size in bytes; with the whole log where Jenkins sent it and it is short.

        A start beyond the end makes some versions send nothing and others the log from its
        beginning. The latter is cut off at LOG_CAP: then a HEAD tells the size.
        """
        beyond = {"start": str(BEYOND_ANY_LOG)}
        try:
            answer = self._logs.get(address, params=beyond)
        except BadAnswer:
            answer = self._log_answer(lambda: self._logs.send("HEAD", address, params=beyond))
        except HttpError as error:
            raise read_failed(SYSTEM, error) from error
        size = _text_size(address, answer, what)
        return size, answer.body or None

    def _log_answer(self, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except HttpError as error:
            raise read_failed(SYSTEM, error) from error

    def _api(self, path: str, *, what: str, tree: str) -> Any:
        address = f"{path}/api/json"
        answer = self._get(address, what=what, params={"tree": tree})
        if "X-Jenkins" not in answer.headers:
            raise not_jenkins(described("GET", address, answer))
        return self._json(address, answer)

    def _get(self, path: str, *, what: str, params: Mapping[str, str] | None = None) -> Answer:
        try:
            answer = self._http.get(path, params=params)
        except HttpError as error:
            raise read_failed(SYSTEM, error) from error
        if answer.status != 200:
            raise read_error(path, answer, what=what)
        return answer

    def _json(self, path: str, answer: Answer) -> Any:
        try:
            return answer.json()
        except BadAnswer as error:
            raise not_jenkins(described("GET", path, answer)) from error

    def _post(
        self,
        path: str,
        *,
        what: str,
        form: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        try:
            answer = self._http.send("POST", path, form=form, params=params)
        except HttpError as error:
            raise change_failed(SYSTEM, error) from error
        if to_login(answer) or answer.status not in (200, 201, 204, 302, 303):
            raise change_error("POST", path, answer, what=what)
        return answer


def _job(path: str) -> str:
    return "".join(f"/job/{quote(name, safe='')}" for name in path.split("/"))


def _matching(rows: Any, path: str, wanted: Mapping[str, str]) -> list[int]:
    """The ids of the queue items of that job which have these parameters."""
    return [
        int(row["id"])
        for row in rows
        if wanted.items() <= read_parameters(row.get("actions")).items() and _is_of(row, path)
    ]


def _is_of(row: Any, path: str) -> bool:
    """Whether a queue item is of that job; the host in its address may be an internal one."""
    address = urlsplit(str((row.get("task") or {}).get("url", ""))).path
    return unquote(address).rstrip("/").endswith(unquote(_job(path)))


def _lowered_booleans(job: JobDescription, parameters: Mapping[str, str]) -> dict[str, str]:
    booleans = {each.name for each in job.parameters if each.kind == "boolean"}
    return {
        name: value.lower() if name in booleans else value for name, value in parameters.items()
    }


def _text_size(address: str, answer: Answer, what: str) -> int:
    """The raw log's size in bytes. Log answers have no X-Jenkins; this header proves them."""
    if answer.status != 200:
        raise read_error(address, answer, what=what)
    value = answer.headers.get("X-Text-Size", "")
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise not_jenkins(described("GET", address, answer))
    return int(value)


def _shaped(read: Callable[[], T]) -> T:
    """Runs what picks fields out of JSON; an error in our words when one is missing."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as broken:
        raise UnreadableAnswer(
            _("Jenkins' answer lacks what the portal needs; its version may not fit."),
            detail=f"{type(broken).__name__}: {str(broken)[:80]}",
        ) from broken
