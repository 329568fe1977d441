"""One client for each stored forge and Jenkins server, kept until its fields change."""

import pytest

from repos.clients import forge_client, jenkins_client
from repos.forges.gitee import Gitee
from repos.models import Forge, JenkinsServer


def forge(**changes: object) -> Forge:
    fields: dict[str, object] = {"kind": "gitee", "base_url": "http://127.0.0.1:9/api/v5"}
    return Forge(**{"pk": 7001, "token": "one", **fields, **changes})


def server(**changes: object) -> JenkinsServer:
    fields: dict[str, object] = {"base_url": "http://127.0.0.1:9/jenkins", "username": "bot"}
    return JenkinsServer(**{"pk": 7001, "token": "one", **fields, **changes})


def test_a_forge_keeps_its_client_and_so_its_connections() -> None:
    assert isinstance(forge_client(forge()), Gitee)
    assert forge_client(forge()) is forge_client(forge())
    assert forge_client(forge()) is not forge_client(forge(pk=7002))


@pytest.mark.parametrize("changes", [{"token": "two"}, {"base_url": "http://127.0.0.1:10/api/v5"}])
def test_a_forge_that_was_changed_gets_a_new_client(changes: dict[str, object]) -> None:
    before = forge_client(forge())

    assert forge_client(forge(**changes)) is not before


def test_a_jenkins_server_keeps_its_client_until_it_is_changed() -> None:
    before = jenkins_client(server())

    assert jenkins_client(server()) is before
    assert jenkins_client(server(token="two")) is not before
    assert jenkins_client(server(pk=7002)) is not jenkins_client(server(username="other"))
