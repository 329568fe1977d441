"""The sandbox as one process: ports, control, client; ended by a signal it exits with 0."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from chatops_site.sandbox.client import Sandbox, SandboxError
from tests.ports import free_block

TOKEN = {"Authorization": "Bearer demo-gitee-token"}
BOT = ("bot", "demo-jenkins-token")


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox.start("--portal", "http://127.0.0.1:9", speed=20) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


def get(url: str, **more: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=5, **more)


def post(url: str, **more: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, timeout=5, **more)


def pull(sandbox: Sandbox, number: int = 233) -> Any:
    return get(f"{sandbox.gitee}/repos/acme/shop/pulls/{number}", headers=TOKEN).json()


def test_it_says_where_its_systems_are(sandbox: Sandbox) -> None:
    assert get(f"{sandbox.gitee}/user", headers=TOKEN).json()["login"] == "chatops-bot"
    assert get(f"{sandbox.jenkins}/api/json", auth=BOT).headers["X-Jenkins"]
    assert sandbox.control == f"{sandbox.chat}/__control"
    assert sandbox.pid > 0


def test_ports_follow_each_other_when_one_is_named() -> None:
    port = free_block() + 100

    with Sandbox.start(port=port, state="bare") as sandbox:
        assert sandbox.chat == f"http://127.0.0.1:{port}"
        assert sandbox.gitee == f"http://127.0.0.1:{port + 1}/api/v5"
        assert sandbox.jenkins == f"http://127.0.0.1:{port + 2}/jenkins"
        assert sandbox.state()["pull_requests"] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_with_status_0(number: signal.Signals) -> None:
    line = [sys.executable, "-m", "chatops_site.sandbox", "--port", "0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        urls = json.loads(running.stdout.readline())
        with socket.create_connection(("127.0.0.1", int(urls["chat"].rpartition(":")[2]))):
            running.send_signal(number)
            assert running.wait(3) == 0


def test_a_file_of_operations_is_done_at_the_start(tmp_path: Path) -> None:
    config = tmp_path / "sandbox.json"
    draft = {"op": "set_draft", "repository": "acme/shop", "number": 233}
    config.write_text(json.dumps({"gitee": [draft]}))

    with Sandbox.start("--config", str(config)) as sandbox:
        assert pull(sandbox)["draft"] is True


def test_a_sandbox_that_cannot_start_says_so(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="status 1"):
        Sandbox.start("--config", str(tmp_path / "missing.json"))


def test_the_state_has_all_three_systems(sandbox: Sandbox) -> None:
    state = sandbox.state()

    assert set(state["repositories"]) == {"acme/shop", "acme/web"}
    assert [row["number"] for row in state["pull_requests"]] == [233, 234, 235, 236, 12, 13]
    assert "team/shop-test" in state["jenkins"]["jobs"]
    assert {"chat", "deployments", "faults", "speed"} <= set(state)


def test_a_push_moves_the_head_of_a_pull_request(sandbox: Sandbox) -> None:
    sha = sandbox.push("acme/shop", 233)

    assert pull(sandbox)["head"]["sha"] == sha
    assert sandbox.push("acme/shop", 233, "c" * 40) == pull(sandbox)["head"]["sha"] == "c" * 40


def test_a_reset_undoes_everything(sandbox: Sandbox) -> None:
    sandbox.change_gitee("merge_elsewhere", repository="acme/shop", number=233)
    sandbox.fault("gitee", "status", times=-1)

    sandbox.reset()

    assert pull(sandbox)["state"] == "open"
    assert [row["path"] for row in sandbox.journal()] == ["/api/v5/repos/acme/shop/pulls/233"]


def test_a_reset_may_leave_only_the_repositories(sandbox: Sandbox) -> None:
    sandbox.reset("bare")
    numbers = sandbox.change_gitee("open_pull", repository="acme/shop", count=30)["numbers"]

    assert len(sandbox.state()["pull_requests"]) == len(numbers) == 30


@pytest.mark.parametrize("system", ["gitee", "jenkins", "chat"])
def test_a_fault_hits_any_of_the_three(sandbox: Sandbox, system: str) -> None:
    url = {"gitee": sandbox.gitee, "jenkins": sandbox.jenkins, "chat": sandbox.chat}[system]
    sandbox.fault(system, "status", status=418)

    assert get(url + "/x").status_code == 418
    assert get(url + "/x").status_code != 418
    assert [row["fault"] for row in sandbox.journal(system)] == ["status", ""]


def test_faults_are_shown_and_cleared(sandbox: Sandbox) -> None:
    sandbox.fault("*", "delay", seconds=30, times=-1)
    assert [row["mode"] for row in sandbox.state()["faults"]] == ["delay"]

    sandbox.clear_faults()

    assert pull(sandbox)["number"] == 233


def test_a_lost_answer_leaves_the_effect(sandbox: Sandbox) -> None:
    sandbox.fault("gitee", "reset_after", method="POST")
    url = f"{sandbox.gitee}/repos/acme/shop/pulls/233/review"

    with pytest.raises(requests.ConnectionError):
        post(url, headers=TOKEN)

    assert pull(sandbox)["assignees"][0]["accept"] is True


def test_the_journal_is_read_from_a_number_on(sandbox: Sandbox) -> None:
    pull(sandbox, 233)
    n = sandbox.journal("gitee")[-1]["n"]
    pull(sandbox, 234)

    assert [row["path"][-3:] for row in sandbox.journal("gitee", since=n)] == ["234"]


def test_jenkins_time_is_set(sandbox: Sandbox) -> None:
    sandbox.set_speed(50)
    assert sandbox.state()["speed"] == 50
    sandbox.set_speed(20)


def test_jenkins_and_chat_are_changed_by_their_own_operations(sandbox: Sandbox) -> None:
    sandbox.change_jenkins("quiet_down")

    assert sandbox.state()["jenkins"]["quieting"] is True
    assert sandbox.messages() == []


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("gitee", {"op": "explode"}, 400, "there are: "),
        ("gitee", {}, 400, "'op' is missing"),
        ("gitee", {"op": "push"}, 400, "'repository' is missing"),
        ("push", {"repository": "a/b", "number": 1}, 404, "no repository a/b"),
        ("push", {"repository": "acme/shop", "number": 1}, 404, "no pull request 1"),
        ("push", {"repository": "acme/shop", "number": "x"}, 400, "invalid literal"),
        ("push", [], 400, "JSON object"),
        ("fault", {"system": "sourcehut", "mode": "status"}, 400, "no system 'sourcehut'"),
        ("fault", {"system": "gitee", "mode": "explode"}, 400, "no fault 'explode'"),
        ("fault", {"system": "gitee"}, 400, "'mode' is missing"),
        ("reset", {"state": "moon"}, 400, "no state 'moon'"),
        ("speed", {"factor": 0}, 400, "above 0"),
        ("jenkins", {"op": "explode"}, 400, "explode"),
        ("nothing", {}, 404, "GET /__control/state"),
    ],
)
def test_the_control_refuses_in_a_sentence(
    sandbox: Sandbox, path: str, body: Any, status: int, words: str
) -> None:
    answer = post(f"{sandbox.control}/{path}", json=body)

    assert answer.status_code == status
    assert words in answer.json()["message"]


def test_the_client_raises_with_that_sentence(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="no repository a/b"):
        sandbox.push("a/b", 1)


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example:8900"}]
)
def test_a_page_of_another_site_cannot_drive_the_control(
    sandbox: Sandbox, headers: dict[str, str]
) -> None:
    answer = post(f"{sandbox.control}/reset", json={"state": "bare"}, headers=headers)

    assert answer.status_code == 403
    assert len(sandbox.state()["pull_requests"]) == 6


def test_a_page_of_the_sandbox_itself_may_use_the_control(sandbox: Sandbox) -> None:
    answer = post(f"{sandbox.control}/reset", json={}, headers={"Origin": sandbox.chat})

    assert answer.status_code == 200
