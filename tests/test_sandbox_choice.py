"""Choosing the forge on the chat page, and commenting on the pages of pull requests."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from chatops_site.sandbox.client import Sandbox

WRITES = "import sys; open(sys.argv[1], 'a').write(sys.argv[2]); sys.exit(sys.argv[2] == 'gitlab')"
PULL = {"gitee": "pulls", "github": "pull", "gitlab": "-/merge_requests", "gitea": "pulls"}


@pytest.fixture(scope="module", name="told")
def told_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command that moves the portal was told; it fails for gitlab."""
    return tmp_path_factory.mktemp("choice") / "told"


@pytest.fixture(scope="module", name="box")
def box_fixture(told: Path) -> Iterator[Sandbox]:
    move = shlex.join([sys.executable, "-c", WRITES, str(told), "{forge}"])
    with Sandbox.start("--move", move) as box:
        yield box


def state(box: Sandbox) -> Any:
    return requests.get(f"{box.chat}/chat/state", timeout=5).json()


def choose(box: Sandbox, forge: str, **headers: str) -> requests.Response:
    url = f"{box.chat}/chat/forge"
    return requests.post(url, json={"forge": forge}, headers=headers, timeout=20)


def test_the_page_offers_every_forge(box: Sandbox) -> None:
    assert [one["label"] for one in state(box)["forges"]] == ["Gitee", "GitHub", "GitLab", "Gitea"]


def test_without_a_command_to_move_none_is_offered() -> None:
    with Sandbox.start() as box:
        assert state(box)["forges"] == []
        assert choose(box, "github").status_code == 400


def test_the_portal_is_moved_before_the_story_begins_anew(box: Sandbox, told: Path) -> None:
    choose(box, "gitea")
    old = box.state()["pull_requests"][0]["head_sha"]
    box.change_gitee("merge_elsewhere", repository="acme/shop", number=233)

    answer = choose(box, "github")

    pull = box.state()["pull_requests"][0]
    assert (answer.status_code, answer.json()) == (200, {"forge": "github"})
    assert told.read_text().endswith("github")
    assert (pull["state"], pull["head_sha"] == old) == ("open", False)
    shown = state(box)["forge"]
    assert shown["name"] == "github"
    assert shown["repositories"][0]["pulls"][0]["url"].endswith("/acme/shop/pull/233")


@pytest.mark.parametrize("forge", ["gitlab", "sourcehut", ""])
def test_where_the_portal_does_not_move_everything_stays(box: Sandbox, forge: str) -> None:
    choose(box, "github")
    box.change_gitee("merge_elsewhere", repository="acme/shop", number=234)

    answer = choose(box, forge)

    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Not chosen")
    assert state(box)["forge"]["name"] == "github"
    assert box.state()["pull_requests"][1]["state"] == "merged"


def test_a_page_of_another_site_chooses_nothing(box: Sandbox) -> None:
    assert choose(box, "gitea", Origin="http://evil.example").status_code == 403


# Comments on the pages


def write(box: Sandbox, forge: str, *, number: int = 233, **more: Any) -> requests.Response:
    origin = box.urls[forge].split("/api/")[0]
    url = f"{origin}/acme/shop/{PULL[forge]}/{number}"
    form = {"login": "lisi", "body": "/ops pr"} | more.pop("form", {})
    return requests.post(url, data=form, timeout=5, allow_redirects=False, **more)


@pytest.mark.parametrize("forge", PULL)
def test_a_comment_is_written_on_the_page_of_a_pull_request(box: Sandbox, forge: str) -> None:
    answer = write(box, forge)

    comments = box.state()["pull_requests"][0]["comments"]
    assert (answer.status_code, comments[-1]["login"]) == (303, "lisi")
    assert answer.headers["Location"].endswith(f"/233#note_{comments[-1]['id']}")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"headers": {"Origin": "http://evil.example"}}, 400),
        ({"form": {"login": "nobody"}}, 400),
        ({"form": {"body": " "}}, 400),
        ({"number": 999}, 404),
    ],
)
def test_what_is_no_comment_from_here_is_not_written(
    box: Sandbox, more: dict[str, Any], status: int
) -> None:
    before = box.state()["pull_requests"][0]["comments"]

    assert write(box, "github", **more).status_code == status
    assert box.state()["pull_requests"][0]["comments"] == before
