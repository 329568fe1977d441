"""What the tests of GitLab share beyond those of other forges."""

from typing import Any

import pytest

from repos.forges.gitlab import GitLab
from tests import forge_stand
from tests.forge_stand import MARKER, SHOP

Stand = forge_stand.Stand[GitLab]
running, stand = forge_stand.fixtures(Stand, GitLab)


@pytest.fixture
def gitlab(stand: Stand) -> GitLab:
    return stand.client()


def head(gitlab: GitLab, number: int = 233) -> str:
    return gitlab.pull(SHOP, number).head_sha


def merge(gitlab: GitLab, sha: str, number: int = 233, method: str = "merge") -> Any:
    return gitlab.merge(SHOP, number, sha=sha, method=method, marker=MARKER)
