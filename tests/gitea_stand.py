"""What the tests of Gitea share beyond those of other forges."""

import json
from pathlib import Path

from repos.forges.gitea import Gitea
from tests import forge_stand
from tests.forge_stand import BOT, SHOP
from tests.openapi import faults

DESCRIPTION = Path(__file__).parent / "cases" / "gitea_openapi.json"
Stand = forge_stand.Stand[Gitea]
running, stand = forge_stand.fixtures(Stand, Gitea)


def pass_tests(stand: Stand, *, login: str = BOT, sha: str = "") -> None:
    wanted = sha or stand.pull().head_sha
    url = "https://ci.example/1"
    stand.client(login).pass_tests(SHOP, 233, sha=wanted, name="chatops", url=url)


def undescribed(stand: Stand) -> list[str]:
    """What the client has asked, in all tests so far, that Gitea's description does not allow."""
    assert stand.heard.requests
    return faults(json.loads(DESCRIPTION.read_text("utf-8")), stand.heard.requests)
