"""kill -9 at every point of a command's way: at most one effect, no acknowledged command lost.

The points are those of facts/security-and-reliability.md, section 2.3. Every case has a portal of its
own: database, gunicorn, workers. `make check` runs the whole matrix, the plain suite a few of it.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest

from tests import stage_oracle as oracle
from tests.stage import Stage, Theatre, opened, wait_for

pytestmark = pytest.mark.crash

DONE, UNKNOWN = "✅", "❓"


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    yield from opened()


@dataclass(frozen=True)
class Deed:
    """One command on its own pull request or service, and where its effect is counted."""

    text: str
    # What its replies name.
    about: str
    effects: Callable[[], int]
    # The effect's request: system, method, path.
    request: tuple[str, str, str]
    # An effect that nobody can repeat safely ends as unknown when no trace of it is found.
    repeatable: bool = True


def approve(stage: Stage) -> Deed:
    number = stage.open_pull(assignees={"chatops-bot": False})
    path = f"/pulls/{number}/review$"
    count = lambda: len(stage.approvals(number))  # noqa: E731
    return Deed(f"/approve {number}", f"shop#{number}", count, ("gitee", "POST", path))


def merge(stage: Stage) -> Deed:
    number = stage.open_pull()
    path = f"/pulls/{number}/merge$"
    count = lambda: len(stage.merges(number))  # noqa: E731
    return Deed(f"/merge {number}", f"shop#{number}", count, ("gitee", "PUT", path))


def test(stage: Stage) -> Deed:
    number = stage.open_pull(testers={"chatops-bot": False})
    path = f"/{stage.test_job.rpartition('/')[2]}/buildWithParameters$"
    count = lambda: len(stage.builds(stage.test_job))  # noqa: E731
    place = ("jenkins", "POST", path)
    return Deed(f"/test {number}", f"shop#{number}", count, place, repeatable=False)


def deploy(stage: Stage) -> Deed:
    path = f"/{stage.deploy_job.rpartition('/')[2]}/buildWithParameters$"
    count = lambda: len(stage.builds(stage.deploy_job))  # noqa: E731
    place = ("jenkins", "POST", path)
    return Deed(f"/deploy {stage.service}", stage.service, count, place, repeatable=False)


def at(forge: str, verb: Callable[[Stage], Deed], request: tuple[str, str]) -> Callable[..., Deed]:
    """The same deed at another forge; request: the method and the last part of its effect's path."""

    def deed_there(stage: Stage) -> Deed:
        stage.move_to(forge)
        deed, (method, last) = verb(stage), request
        number = deed.text.split()[1]
        return replace(deed, request=(forge, method, f"/{number}/{last}$"))

    return deed_there


test.__test__ = False  # type: ignore[attr-defined]
VERBS = {"approve": approve, "test": test, "merge": merge, "deploy": deploy}
ELSEWHERE = {
    "approve at github": at("github", approve, ("POST", "reviews")),
    "approve at gitlab": at("gitlab", approve, ("POST", "approve")),
    "approve at gitea": at("gitea", approve, ("POST", "reviews")),
    "merge at github": at("github", merge, ("PUT", "merge")),
    "merge at gitlab": at("gitlab", merge, ("PUT", "merge")),
    "merge at gitea": at("gitea", merge, ("POST", "merge")),
}


def check_done(stage: Stage, deed: Deed, *, mark: str = DONE, effects: int = 1) -> None:
    """Comes to rest with one reply of that mark and so many effects."""
    stage.rest()
    finals = stage.finals(deed.about)
    assert [text[0] for text in finals] in ([mark], [mark, mark]), (finals, oracle.told(stage))
    assert deed.effects() == effects
    oracle.check(stage, crashes=1)


# The web process dies; the platform delivers the very same bytes again.


def web_dies(theatre: Theatre, point: str, verb: str) -> None:
    with theatre.stage() as stage:
        deed = (VERBS | ELSEWHERE)[verb](stage)
        web = stage.start_web(fail=point)
        packet = stage.packet(deed.text)
        assert stage.deliver(packet) == 0
        web.kill()
        assert len(stage.runs()) == (point in ("c2", "c3"))
        stage.start_web()
        stage.start_worker()
        assert stage.deliver(packet) == 200
        check_done(stage, deed)
        assert len(stage.runs()) == 1


def web_dies_once_it_has_answered(theatre: Theatre, verb: str) -> None:
    """Nobody delivers it again: the table alone has it."""
    with theatre.stage() as stage:
        deed = (VERBS | ELSEWHERE)[verb](stage)
        web = stage.start_web()
        stage.say(deed.text)
        web.kill()
        stage.start_worker()
        check_done(stage, deed)


# The worker dies; another one finishes.


def worker_dies(theatre: Theatre, point: str, verb: str) -> None:
    with theatre.stage() as stage:
        deed = (VERBS | ELSEWHERE)[verb](stage)
        stage.start_web()
        # It is there first: a command that waits is told so, and that reply would be the first sent.
        worker = stage.start_worker(fail=point)
        stage.say(deed.text)
        assert worker.ends() == -9
        stage.start_worker()
        lost = point == "c5" and not deed.repeatable
        check_done(stage, deed, mark=UNKNOWN if lost else DONE, effects=0 if lost else 1)
        if lost:
            check_searched_twice(stage)


def connection_breaks(theatre: Theatre, mode: str, verb: str) -> None:
    with theatre.stage() as stage:
        deed = (VERBS | ELSEWHERE)[verb](stage)
        system, method, path = deed.request
        stage.sandbox.fault(system, mode, method=method, path_regex=path)
        stage.start_web()
        stage.start_worker()
        stage.say(deed.text)
        lost = mode == "reset_before" and not deed.repeatable
        check_done(stage, deed, mark=UNKNOWN if lost else DONE, effects=0 if lost else 1)
        if lost:
            check_searched_twice(stage)


def worker_dies_while_it_waits(theatre: Theatre, verb: str) -> None:
    """The effect has happened, the answer never comes, and then the worker is killed."""
    with theatre.stage() as stage:
        deed = (VERBS | ELSEWHERE)[verb](stage)
        system, method, path = deed.request
        stage.sandbox.fault(system, "hang", method=method, path_regex=path, apply=True)
        stage.start_web()
        worker = stage.start_worker()
        stage.say(deed.text)
        wait_for(lambda: deed.effects() == 1, what="the effect")
        worker.kill()
        stage.start_worker()
        check_done(stage, deed)


def worker_dies_beside_a_build(theatre: Theatre, verb: str) -> None:
    with theatre.stage() as stage:
        stage.set_jobs(duration=2.0)
        deed = (VERBS | ELSEWHERE)[verb](stage)
        stage.start_web()
        worker = stage.start_worker()
        stage.say(deed.text)
        wait_for(lambda: deed.effects() == 1, what="the build")
        worker.kill()
        stage.start_worker()
        check_done(stage, deed)


def check_searched_twice(stage: Stage) -> None:
    """Unknown is said after two looks among Jenkins's builds, RECONCILE_SECONDS apart."""
    jobs = [*stage.calls("GET", f"{stage.deploy_job.rpartition('/')[2]}/api/json")]
    jobs += stage.calls("GET", f"{stage.test_job.rpartition('/')[2]}/api/json")
    looks = [call["at"] for call in jobs if call["query"].get("tree", "").startswith("builds[")]
    assert len(looks) >= 2
    assert max(looks) - min(looks) >= float(stage.env["RECONCILE_SECONDS"])


Case = Callable[[Theatre, str], None]
WEB: dict[str, Case] = {
    "before anything": lambda theatre, verb: web_dies(theatre, "c0", verb),
    "inside the transaction": lambda theatre, verb: web_dies(theatre, "c1", verb),
    "committed, nobody told": lambda theatre, verb: web_dies(theatre, "c2", verb),
    "worker told, not answered": lambda theatre, verb: web_dies(theatre, "c3", verb),
    "answered": web_dies_once_it_has_answered,
}
WORKER: dict[str, Case] = {
    "claimed": lambda theatre, verb: worker_dies(theatre, "c4", verb),
    "intended, not sent": lambda theatre, verb: worker_dies(theatre, "c5", verb),
    "sent, no answer": worker_dies_while_it_waits,
    "answer read": lambda theatre, verb: worker_dies(theatre, "c7", verb),
    "outcome committed": lambda theatre, verb: worker_dies(theatre, "c8", verb),
    "reply sent": lambda theatre, verb: worker_dies(theatre, "c9", verb),
}
CONNECTION: dict[str, Case] = {
    "not applied": lambda theatre, verb: connection_breaks(theatre, "reset_before", verb),
    "applied": lambda theatre, verb: connection_breaks(theatre, "reset_after", verb),
}


def elsewhere(verb: str) -> list[str]:
    """That verb at the other forges; all of them at once would be too many processes for a small machine."""
    return [name for name in ELSEWHERE if name.startswith(verb)]


def play(theatre: Theatre, case: Case, *verbs: str) -> None:
    """One case for several commands at once, each on a stage of its own."""
    with ThreadPoolExecutor(len(verbs)) as pool:
        for done in [pool.submit(case, theatre, verb) for verb in verbs]:
            done.result()


@pytest.mark.full
@pytest.mark.parametrize("case", WEB.values(), ids=WEB)
def test_the_web_process_may_be_killed_anywhere(theatre: Theatre, case: Case) -> None:
    play(theatre, case, *VERBS)


@pytest.mark.full
@pytest.mark.parametrize("case", WORKER.values(), ids=WORKER)
def test_the_worker_may_be_killed_anywhere(theatre: Theatre, case: Case) -> None:
    play(theatre, case, *VERBS)


@pytest.mark.full
@pytest.mark.parametrize("case", CONNECTION.values(), ids=CONNECTION)
def test_the_connection_may_break_at_the_effect(theatre: Theatre, case: Case) -> None:
    play(theatre, case, *VERBS)


@pytest.mark.full
@pytest.mark.parametrize(
    "point", ["intended, not sent", "sent, no answer", "answer read", "outcome committed"]
)
@pytest.mark.parametrize("verb", ["approve", "merge"])
def test_at_every_forge_the_worker_may_be_killed_at_the_effect(
    theatre: Theatre, point: str, verb: str
) -> None:
    play(theatre, WORKER[point], *elsewhere(verb))


@pytest.mark.full
@pytest.mark.parametrize("case", CONNECTION.values(), ids=CONNECTION)
@pytest.mark.parametrize("verb", ["approve", "merge"])
def test_at_every_forge_the_connection_may_break(theatre: Theatre, case: Case, verb: str) -> None:
    play(theatre, case, *elsewhere(verb))


@pytest.mark.full
def test_the_worker_may_be_killed_beside_a_running_build(theatre: Theatre) -> None:
    play(theatre, worker_dies_beside_a_build, "test", "deploy")


# A few of them for the plain suite.


def test_a_redelivered_message_is_carried_out_once(theatre: Theatre) -> None:
    play(theatre, WEB["committed, nobody told"], "merge")


@pytest.mark.parametrize(
    "point", ["intended, not sent", pytest.param("answer read", marks=pytest.mark.full)]
)
def test_a_killed_worker_leaves_one_merge_and_one_deployment_at_most(
    theatre: Theatre, point: str
) -> None:
    play(theatre, WORKER[point], "merge", "deploy")
