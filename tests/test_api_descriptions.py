"""Every request of a forge's client is one that the forge's own description of its API allows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from chatops_site.sandbox import demo
from chatops_site.sandbox.clock import Clock
from chatops_site.sandbox.forges import FORGES
from chatops_site.sandbox.server import Faults, Journal, serve
from chatops_site.sandbox.world import World
from repos.forges import FORGE_KINDS
from repos.forges.base import ForgeClient
from repos.forges.resources import PullState
from tests.forge_stand import SHOP, Heard
from tests.openapi import faults

CASES = Path(__file__).parent / "cases"
# What the descriptions' paths leave out of the API's address.
PREFIXES = {"github": "/api/v3"}
# What the descriptions at hand do not have: most are a part of the forge's own (see cases/README.md).
UNDESCRIBED: dict[str, set[str]] = {
    "gitee": {
        f"{call}: not described"
        for call in (
            "GET /api/v5/user/repos",
            "GET /api/v5/repos/acme/shop",
            "GET /api/v5/repos/acme/shop/commits/fix%2Fpayment-callback",
            "GET /api/v5/repos/acme/shop/compare/v1.4.1...N",
            "GET /api/v5/repos/acme/shop/pulls/comments/N",
            "PATCH /api/v5/repos/acme/shop/pulls/comments/N",
        )
    },
    "gitea": set(),
    "github": {"POST /api/graphql: not described"},
    "gitlab": {
        "GET /api/v4/projects/{id}/merge_requests/{merge_request_iid}/notes"
        ": has no parameter activity_filter",
        *(
            f"{call}: not described"
            for call in (
                "GET /api/v4/projects",
                "GET /api/v4/projects/acme%2Fshop/repository/commits/fix%2Fpayment-callback",
                "GET /api/v4/projects/acme%2Fshop/repository/compare",
                "PUT /api/v4/projects/acme%2Fshop/merge_requests/233",
                "GET /api/v4/projects/acme%2Fshop/merge_requests/233/versions",
                "GET /api/v4/projects/acme%2Fshop/merge_requests/233/notes/N",
                "PUT /api/v4/projects/acme%2Fshop/merge_requests/233/notes/N",
            )
        ),
    },
}
_OWN = re.compile(r"[0-9a-f]{40}|\d{6,}")


@pytest.fixture(name="heard", params=list(FORGES))
def heard_fixture(request: pytest.FixtureRequest) -> Iterator[tuple[Heard, ForgeClient]]:
    stand, world = FORGES[request.param], World()
    demo.fill(world)
    heard = Heard(stand.build(world, Clock()))
    (server,) = serve({heard: 0}, Journal(), Faults())
    url = f"http://127.0.0.1:{server.server_port}{stand.api}"
    client = import_string(FORGE_KINDS[request.param])
    yield heard, client(base_url=url, token=f"demo-{request.param}-token")
    server.shutdown()
    server.server_close()


def look_around(client: ForgeClient) -> None:
    client.whoami()
    client.repository(SHOP)
    client.repositories()
    client.repositories(search="shop", page=2)
    for state in PullState:
        client.pulls(SHOP, state=state)
    pull = client.pull(SHOP, 233)
    client.complete(SHOP, pull, checks=True, reviews=True)
    client.required_checks(SHOP, "master")
    client.commit(SHOP, "fix/payment-callback")
    client.compare(SHOP, "v1.4.1", pull.head_sha)


def work(client: ForgeClient) -> None:
    sha = client.pull(SHOP, 233).head_sha
    client.approve(SHOP, 233, sha=sha)
    assert client.approved(SHOP, 233, sha=sha)
    client.pass_tests(SHOP, 233, sha=sha, name="shop-test", url="https://ci.example/1")
    assert client.tests_passed(SHOP, 233, sha=sha, name="shop-test")
    mine = client.comment(SHOP, 233, "合并中")
    client.edit_comment(SHOP, 233, mine.id, "已合并")
    assert client.read_comment(SHOP, 233, mine.id).body == "已合并"
    assert [one.id for one in client.comments(SHOP, 233)] == [mine.id]
    client.close(SHOP, 233)
    client.reopen(SHOP, 233)
    client.merge(SHOP, 233, sha=sha, method="squash", marker="ChatOps run 1842")


def test_every_request_is_described(heard: tuple[Heard, ForgeClient]) -> None:
    system, client = heard
    spec = json.loads((CASES / f"{client.kind}_openapi.json").read_text("utf-8"))

    look_around(client)
    work(client)

    found = faults(spec, system.requests, PREFIXES.get(client.kind, ""))
    assert {_OWN.sub("N", fault) for fault in found} == UNDESCRIBED[client.kind]
    assert len(system.requests) > 25
