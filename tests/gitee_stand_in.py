"""What the tests of the Gitee stand-in share beyond those of other forges."""

from dataclasses import dataclass
from typing import Any

import requests

from repos.forges import gitee as forge
from tests import forge_stand
from tests.forge_stand import BOT, Stand

SHOP = "/repos/acme/shop"


@dataclass
class Gitee(Stand[forge.Gitee]):
    """The stand-in, and how a pull request of its is merged."""

    def make_ready(self, number: int = 233) -> None:
        self.change("set_review", number, login=BOT)
        self.change("set_test", number, login=BOT)

    def merge(self, number: int = 233, **body: Any) -> requests.Response:
        return self.call("PUT", f"{SHOP}/pulls/{number}/merge", json=body)


running, gitee = forge_stand.fixtures(Gitee, forge.Gitee)
