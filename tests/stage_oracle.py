"""What must hold after every storm: the invariants of facts/security-and-reliability.md, section 2.5.

Effects are counted at the sandbox; of the portal's own tables only the record and the deliveries are
looked at.
"""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from tests.stage import Stage, applied


def check(stage: Stage, *, crashes: int = 0) -> None:
    """Every invariant; `crashes` is how often a process was killed, each may have doubled one reply."""
    acknowledged_are_on_disk(stage)
    every_run_is_over(stage)
    effects_are_single(stage)
    the_record_tells_it_in_order(stage)
    the_record_has_no_gap(stage)
    everyone_is_answered(stage, crashes=crashes)
    deployments_do_not_overlap(stage)
    what_was_merged_was_checked(stage)
    nothing_failed_loudly(stage)


def effects_are_single(stage: Stage) -> None:
    """I1: at most one build a run, one merge and one approval a pull request."""
    builds = [*stage.builds(stage.deploy_job), *stage.builds(stage.test_job)]
    ids = Counter(build["parameters"]["CHATOPS_ID"] for build in builds)
    assert [run for run, count in ids.items() if count > 1] == []
    for pull in stage.sandbox.state()["pull_requests"]:
        actions = Counter(entry["action"] for entry in pull["operations"])
        assert actions["merge"] <= 1, pull
    calls = Counter(call["path"] for call in stage.merge_calls() if applied(call))
    assert [path for path, count in calls.items() if count > 1] == []


def acknowledged_are_on_disk(stage: Stage) -> None:
    """I2."""
    known = {str(row[0]) for row in stage.database.rows("SELECT message_id FROM bot_delivery")}
    assert stage.acknowledged <= known


def every_run_is_over(stage: Stage) -> None:
    """I3."""
    assert stage.open_ends() == []


def the_record_tells_it_in_order(stage: Stage) -> None:
    """I4 and I5: accepted, authorised, intended, settled, finished; an effect arrives after its intent."""
    for run, entries in _record(stage).items():
        events = [entry["event"] for entry in entries]
        assert events[0] == "command.received", (run, events)
        if events[1] != "access.allowed":
            continue
        assert events.count("run.finished") == 1, (run, events)
        if "effect.intended" in events:
            told = [event for event in events if event.startswith(("effect.", "run.finished"))]
            assert told[0] == "effect.intended", (run, events)
            assert told[-1] == "run.finished", (run, events)
            assert {"effect.settled", "effect.unknown"} & set(told), (run, events)
            _check_arrival(stage, run, entries)


def _check_arrival(stage: Stage, run: int, entries: list[dict[str, Any]]) -> None:
    intended = min(entry["at"] for entry in entries if entry["event"] == "effect.intended")
    arrived = [
        call["at"]
        for call in stage.calls("POST", "/buildWithParameters")
        if call["arguments"].get("CHATOPS_ID") == str(run)
    ]
    number = entries[0]["number"]
    if entries[0]["command"] == "merge" and number and "done_by_other" not in _reasons(entries):
        arrived += [
            call["at"]
            for call in stage.merge_calls(f"/{number}/merge")
            if any(f"run {run} " in text for text in call["arguments"].values())
        ]
    assert all(intended <= at for at in arrived), (run, intended, arrived)


def _reasons(entries: list[dict[str, Any]]) -> set[str]:
    return {entry["reason"] for entry in entries}


def _record(stage: Stage) -> dict[int, list[dict[str, Any]]]:
    columns = ("run", "event", "at", "number", "command", "reason", "sha", "external")
    sql = f"SELECT {', '.join(columns)} FROM audit_entry WHERE run IS NOT NULL ORDER BY seq"  # noqa: S608
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in stage.database.rows(sql):
        entry = dict(zip(columns, row, strict=True))
        entry["at"] = _seconds(entry["at"])
        found[int(entry["run"])].append(entry)
    return found


def _seconds(at: Any) -> float:
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return float((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def the_record_has_no_gap(stage: Stage) -> None:
    """I6: on SQLite numbers are given at commit, so that one missing was taken out."""
    numbers = [int(row[0]) for row in stage.database.rows("SELECT seq FROM audit_entry")]
    assert len(numbers) == len(set(numbers))
    if stage.database.url.startswith("sqlite"):
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def everyone_is_answered(stage: Stage, *, crashes: int) -> None:
    """I8: each run's result reached the conversation, and none more often than crashes explain."""
    sql = "SELECT run_id, text FROM bot_reply WHERE kind = 'final'"
    owed = {int(run): str(text) for run, text in stage.database.rows(sql)}
    assert set(owed) == {run[0] for run in stage.runs()}
    said = Counter(_first_line(text) for text in stage.replies_said())
    wanted = Counter(_first_line(text) for text in owed.values())
    missing = {line: count for line, count in wanted.items() if said[line] < count}
    assert missing == {}
    assert sum((said[line] - count for line, count in wanted.items())) <= crashes


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0].strip()


def deployments_do_not_overlap(stage: Stage) -> None:
    """I9: at Jenkins, by start and end."""
    builds = sorted(stage.builds(stage.deploy_job), key=lambda build: float(build["started"]))
    for earlier, later in pairwise(builds):
        assert later["started"] >= earlier["started"] + stage.duration, (earlier, later)


def what_was_merged_was_checked(stage: Stage) -> None:
    """I10: the head that a merge landed is the one that its intent pinned."""
    for run, entries in _record(stage).items():
        finished = [entry for entry in entries if entry["reason"] == "merged"]
        if entries[0]["command"] == "merge" and finished:
            pinned = [e["sha"] for e in entries if e["event"] == "effect.intended"]
            assert stage.pull(int(entries[0]["number"]))["head_sha"] == pinned[0], run
    pinned_of = {
        str(run): next((e["sha"] for e in entries if e["event"] == "effect.intended"), "")
        for run, entries in _record(stage).items()
    }
    for build in stage.builds(stage.deploy_job):
        parameters = build["parameters"]
        assert parameters["SHA"] == pinned_of[parameters["CHATOPS_ID"]], build


def nothing_failed_loudly(stage: Stage) -> None:
    """I11 and I12: the platform saw 200, 401 and 503 only (0: no connection), no log a traceback."""
    assert {status for _packet, status in stage.answers} <= {0, 200, 401, 503}
    assert stage.tracebacks() == []


def told(stage: Stage) -> str:
    """Everything of the record, for a failing test's message."""
    return json.dumps(
        {run: [e["event"] + ":" + e["reason"] for e in es] for run, es in _record(stage).items()}
    )
