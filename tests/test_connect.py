"""manage.py connect: takes what comes, holds on, says how it is, and leaves nothing half done."""

import contextlib
import json
import signal
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from audit.models import Entry, Event
from bot.connect.standing import Standing
from bot.connect.supervise import Pauses
from bot.connect.taking import Taking
from bot.platforms import PLATFORMS
from bot.platforms.base import Ignored, Poll, Press, Rejected, Sender
from bot.platforms.clients import kind_of
from bot.platforms.models import Bot, ConnectionState
from chatops_site.kit.secrets import fernet
from tests.dialled_stand import KEY, Mast
from tests.stage import Process, Stage, Theatre, opened, wait_for

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@dataclass
class Shack:
    """A stage with a bot of radios, a mast, and the processes that connect them."""

    stage: Stage
    mast: Mast
    processes: list[Process] = field(default_factory=list)

    def start(self) -> Process:
        line = [sys.executable, "-m", "tests.dialled_stand", "radio"]
        log = self.stage.folder / f"connect{len(self.processes)}.log"
        process = Process(line, env=self.stage.env, log=log)
        self.processes.append(process)
        return process

    def change(self, assignment: str) -> None:
        self.stage.database.write(f"UPDATE bot_bot SET {assignment} WHERE name = 'radio'")  # noqa: S608

    def rows(self) -> list[tuple[Any, ...]]:
        return self.stage.database.rows("SELECT state, taken, problem FROM bot_connection")

    def waits_for(self, state: str, *, problem: str = "") -> None:
        wait_for(
            lambda: [row for row in self.rows() if row[0] == state and problem in row[2]],
            what=f"{state} {problem}",
        )

    def taken(self, message_id: str) -> int:
        return len(
            self.stage.database.rows(
                f"SELECT id FROM bot_delivery WHERE message_id = '{message_id}'"  # noqa: S608
            )
        )

    def ready(self) -> dict[str, bool]:
        try:
            address = f"{self.stage.origin}/readyz"
            with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - ours
                return dict(json.load(answer))
        except urllib.error.HTTPError as answer:
            with answer:
                return dict(json.load(answer))

    @contextlib.contextmanager
    def nobody_writes(self) -> Iterator[None]:
        """Whoever wants to write a delivery waits meanwhile."""
        url = self.stage.database.url
        if url.startswith("postgres"):
            with psycopg.connect(url.replace("postgres://", "postgresql://", 1)) as held:
                held.execute("LOCK TABLE bot_delivery")
                yield
            return
        with contextlib.closing(sqlite3.connect(self.stage.database.file, timeout=10)) as held:
            held.execute("BEGIN IMMEDIATE")
            yield
            held.rollback()


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    yield from opened()


@pytest.fixture
def shack(theatre: Theatre) -> Iterator[Shack]:
    with theatre.stage() as stage, Mast() as mast:
        columns = "name, platform, settings, secrets, secret_sources, language, enabled"
        values = (
            f"'radio', 'radio', '{{\"port\": {mast.port}}}', '{sealed(KEY)}', '{{}}', 'en', true"
        )
        stage.database.write(f"INSERT INTO bot_bot ({columns}) VALUES ({values})")  # noqa: S608
        shack = Shack(stage, mast)
        yield shack
        for process in shack.processes:
            process.kill()


def sealed(key: str) -> str:
    return fernet().encrypt(json.dumps({"key": key}).encode()).decode()


# Real processes.


def test_what_came_is_on_disk_before_it_is_acknowledged(shack: Shack) -> None:
    shack.start()
    call = shack.mast.next_call()
    call.say(id="m1", text="/prs")

    assert call.hear() == "m1"
    assert shack.taken("m1") == 1
    wait_for(lambda: shack.rows() == [("connected", 1, "")], what="the count")


def test_what_cannot_be_written_down_is_not_acknowledged_and_comes_again(shack: Shack) -> None:
    shack.stage.database.write("ALTER TABLE bot_delivery RENAME TO bot_delivery_away")
    shack.start()
    first = shack.mast.next_call()
    first.say(id="m1", text="/prs")
    assert first.hear() == ""

    shack.stage.database.write("ALTER TABLE bot_delivery_away RENAME TO bot_delivery")
    second = shack.mast.next_call()
    second.say(id="m1", text="/prs")

    assert second.hear() == "m1"
    assert shack.taken("m1") == 1


def test_a_lost_connection_is_opened_again_and_both_are_said(shack: Shack) -> None:
    process = shack.start()
    shack.mast.next_call().hang_up()
    shack.mast.next_call()

    wait_for(lambda: process.output().count("radio: connected") == 2, what="the second line")
    assert "radio: lost: The mast hung up." in process.output()
    assert KEY not in process.output()


def test_told_to_stop_it_finishes_what_is_being_taken(shack: Shack) -> None:
    process = shack.start()
    call = shack.mast.next_call()
    shack.waits_for("connected")

    with shack.nobody_writes():
        call.say(id="m1", text="/prs")
        assert call.hear(seconds=0.3) == ""
        process.terminate()
        process.signal(signal.SIGINT)

    assert process.ends(seconds=10) == 0
    assert shack.taken("m1") == 1
    assert [row[0] for row in shack.rows()] == ["stopped"]


def test_an_idle_one_stops_at_once(shack: Shack) -> None:
    process = shack.start()
    shack.mast.next_call()
    process.terminate()

    assert process.ends(seconds=10) == 0
    assert "radio: stopped" in process.output()


def test_a_refused_credential_is_said_without_telling_it(shack: Shack) -> None:
    shack.mast.key = "another"
    process = shack.start()
    shack.waits_for("waiting", problem="The platform refuses these credentials. The key is not")
    process.terminate()

    # It waited for its next try, and stopped at once all the same.
    assert process.ends(seconds=10) == 0
    assert "refuses these credentials" in process.output()
    assert KEY not in process.output() + str(shack.rows())


def test_a_changed_secret_is_used_without_a_restart(shack: Shack) -> None:
    shack.start()
    call = shack.mast.next_call()
    shack.mast.key = "the-new-key-of-the-tests"
    shack.change(f"secrets = '{sealed(shack.mast.key)}'")

    assert call.hear() == ""
    assert shack.mast.next_call().key == "the-new-key-of-the-tests"


def test_a_disabled_bot_hangs_up_until_it_is_enabled(shack: Shack) -> None:
    shack.start()
    call = shack.mast.next_call()
    shack.change("enabled = false")
    assert call.hear() == ""
    shack.waits_for("waiting", problem="The bot is disabled.")

    shack.change("enabled = true, name = 'radio2'")
    again = shack.mast.next_call()
    again.say(id="m1", text="/prs")

    assert again.hear() == "m1"


def test_a_deleted_bot_ends_the_process_with_a_sentence(shack: Shack) -> None:
    process = shack.start()
    shack.mast.next_call()
    shack.waits_for("connected")
    shack.stage.database.write(
        "DELETE FROM bot_connection", "DELETE FROM bot_bot WHERE name = 'radio'"
    )

    assert process.ends() == 1
    assert "The bot radio was deleted." in process.output()


def test_several_processes_may_keep_one_bot(shack: Shack) -> None:
    shack.start(), shack.start()
    shack.mast.next_call(), shack.mast.next_call()

    wait_for(lambda: [row[0] for row in shack.rows()] == ["connected"] * 2, what="two rows")


def test_readyz_tells_of_a_killed_one(shack: Shack) -> None:
    shack.stage.start_web()
    assert shack.ready()["connections"]
    process = shack.start()
    shack.waits_for("connected")
    assert shack.ready()["connections"]

    process.kill()
    # As if the thirty seconds had passed that it may be silent.
    shack.stage.database.write("UPDATE bot_connection SET at = '2026-01-01 00:00:00'")

    assert not shack.ready()["connections"]


def test_an_unknown_bot_is_refused_in_one_sentence_with_status_1(shack: Shack) -> None:
    line = [sys.executable, "manage.py", "connect", "nobody"]
    process = Process(line, env=shack.stage.env, log=shack.stage.folder / "refused.log")
    shack.processes.append(process)

    assert process.ends() == 1
    assert process.output().strip() == "CommandError: There is no bot nobody."


# What it refuses to begin.


@pytest.mark.django_db
def test_a_platform_without_an_outgoing_connection_is_refused() -> None:
    Bot.objects.create(name="notes", platform="comments")

    with pytest.raises(CommandError, match="to which the portal opens no connection"):
        call_command("connect", "notes")


@pytest.mark.django_db
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_lark.py").write_text("import lark_oapi\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "lark_oapi", None)
    monkeypatch.setitem(PLATFORMS, "radio", "tests.dialled_stand.Radio")
    monkeypatch.setattr(kind_of("radio"), "dialled", "needs_lark.Connection")
    Bot.objects.create(name="radio", platform="radio")

    with pytest.raises(CommandError, match=r"pip install lark-oapi==1\.7\.5"):
        call_command("connect", "radio")


# Taking.


@pytest.fixture
def taking(db: None) -> Taking:
    bot = Bot.objects.create(name="ops", platform="dingtalk", language="en")
    return Taking(bot, lambda: None)


def test_whoever_presses_is_told_at_once(taking: Taking) -> None:
    said = taking(
        Press(
            platform="dingtalk",
            press_id="p1",
            token="unknown",
            sender=Sender("corp", "user101", "张三"),
            conversation="cid",
            conversation_name="",
            private=False,
            pressed_at=NOON,
        )
    )

    assert (said.text, said.final) == ("⛔ This button is not known any more.", True)


def test_what_is_nothing_to_run_is_on_record(taking: Taking) -> None:
    assert taking(Ignored("picture", "m1")).text == ""
    assert Entry.objects.get().event == Event.MESSAGE_IGNORED


def test_what_is_rejected_is_on_record_and_ends_nothing(taking: Taking) -> None:
    taking(Rejected("wrong_app"))

    entry = Entry.objects.get()
    assert (entry.event, entry.reason, entry.bot) == (Event.WEBHOOK_REJECTED, "wrong_app", "ops")


def test_what_never_comes_over_a_connection_is_a_fault(taking: Taking) -> None:
    with pytest.raises(TypeError, match="Poll"):
        taking(Poll("m1"))


# Pauses and standing.


def test_pauses_grow_up_to_a_minute_and_for_a_refused_credential_up_to_five() -> None:
    pauses = Pauses()

    assert 0.75 <= pauses.after(1, refused=False) <= 1.0
    assert 3.0 <= pauses.after(3, refused=False) <= 4.0
    assert 45.0 <= pauses.after(20, refused=False) <= 60.0
    assert 225.0 <= pauses.after(2000, refused=True) <= 300.0
    assert len({pauses.after(9, refused=False) for _ in range(20)}) > 1


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def test_failures_count_until_a_connection_has_held_for_a_minute() -> None:
    clock = Clock()
    standing = Standing(clock)
    standing.connected()
    assert [standing.lost("gone"), standing.lost("gone")] == [1, 2]

    standing.connected()
    clock.now += timedelta(seconds=61)

    assert standing.lost("gone") == 1


def test_trying_and_waiting_in_turns_counts_as_one_time_without_a_connection() -> None:
    clock = Clock()
    standing = Standing(clock)
    standing.connected()
    clock.now += timedelta(minutes=1)
    standing.lost("gone")
    lost_at = clock.now
    clock.now += timedelta(minutes=3)
    standing.connecting()

    assert standing.told().state is ConnectionState.CONNECTING
    assert standing.told().since == lost_at
