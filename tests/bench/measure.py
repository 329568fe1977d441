"""What is measured: acceptance, the way to the forge, a burst, memory and start time."""

import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence

from bot.models import Account, Bot, Grant, Person, Role, Run
from chatops_site.sandbox.dingtalk.robot import APP_KEY, APP_SECRET, CORP, ROBOT_CODE
from repos.clients import forge_client
from repos.forges import FORGE_KINDS
from repos.models import Forge, Repository
from tests.bench.chats import acknowledgements
from tests.bench.load import Sample, fire, percentile, post
from tests.bench.portal import BenchPortal, webhook

PEOPLE = 200
ACCEPTED = 3000
LATENCY = 200
BURST = 1000
CALLS = 200
# Of one call; the sandbox itself answers within a few milliseconds.
FORGE_TAKES = 0.1


def measure(portal: BenchPortal) -> None:
    portal.manage("migrate", "-v", "0")
    seed(portal)
    print(f"database: {portal.database_url.split(':')[0]}, {os.cpu_count()} cores")
    bare = accept_rate(portal, "bare view", "tests.bench.bare_settings")
    ours = accept_rate(portal, "signed webhooks", "chatops_site.settings")
    row("ratio to the bare view", f"{ours / bare:.2f}", "≥ 0.6")
    web, worker = portal.start_web(), portal.start_worker()
    row("start: web, worker", f"{web.started_in:.2f} s, {worker.started_in:.2f} s")
    drain(portal)
    kept_connection()
    latency(portal)
    for kind in FORGE_KINDS:
        listing(portal, kind)
    acknowledgements(portal, row)
    drain(portal)
    burst(portal)
    both = web.memory() + worker.memory()
    row(
        "memory: web + worker (PSS)",
        f"{web.memory():.0f} + {worker.memory():.0f} = {both:.0f} MB",
        "< 200",
    )


def accept_rate(portal: BenchPortal, label: str, settings: str) -> float:
    """Accepted durably per second at 8 connections; commands that no worker carries out."""
    web = portal.start_web(settings)
    if settings.startswith("tests"):
        requests = [post("/bare/", b"", {})] * ACCEPTED
    else:
        requests = [
            webhook(n, text=f"/pr {n % BURST + 1}", person=n % PEOPLE, session=portal.session)
            for n in range(1_000_000, 1_000_000 + ACCEPTED)
        ]
    fire(portal.port, requests[:100], connections=8)
    samples, seconds = fire(portal.port, requests[100:], connections=8)
    web.stop()
    portal.processes.remove(web)
    rate = len(samples) / seconds
    row(label, f"{rate:.0f} /s, {times(samples)}, {statuses(samples)}", "p99 < 50 ms")
    return rate


def kept_connection() -> None:
    """What one call of the portal's HTTP client costs this side, connecting aside."""
    forge = forge_client(Forge.objects.get(name="gitee"))
    forge.whoami()
    began = time.process_time()
    for _call in range(CALLS):
        forge.whoami()
    row(
        "call on a kept connection", f"{ms((time.process_time() - began) / CALLS)} of CPU", "< 1 ms"
    )


def latency(portal: BenchPortal) -> None:
    """From the webhook's first byte to the forge's receipt of the call, one command at a time."""
    before = len(portal.sandbox.journal("gitee"))
    sent: list[float] = []
    for n in range(LATENCY):
        samples, _seconds = fire(
            portal.port,
            [webhook(n, text=f"/pr {n + 1}", person=n % PEOPLE, session=portal.session)],
            connections=1,
        )
        sent.append(samples[0].sent_at)
        time.sleep(0.03)
    drain(portal)
    calls = [
        entry for entry in portal.sandbox.journal("gitee")[before:] if "/pulls/" in entry["path"]
    ]
    first = {
        int(entry["path"].rsplit("/", 1)[1]): entry["at"]
        for entry in reversed(calls)
        if entry["path"].rsplit("/", 1)[1].isdigit()
    }
    waits = [first[n + 1] - sent[n] for n in range(LATENCY) if n + 1 in first]
    row(
        "webhook → forge",
        f"p50 {ms(percentile(waits, 0.5))}, p95 {ms(percentile(waits, 0.95))}, {len(waits)} of {LATENCY}",
        "p50 < 10 ms, p95 < 30 ms",
    )


def listing(portal: BenchPortal, kind: str) -> None:
    """/prs of 1,200 open pull requests at a forge that takes 100 ms a call, from webhook to answer."""
    Repository.objects.update(checks="all")
    portal.sandbox.fault(kind, "delay", times=-1, seconds=FORGE_TAKES)
    before = len(portal.sandbox.journal(kind))
    text = f"/prs shop-{kind}"
    start = time.monotonic()
    fire(
        portal.port,
        [webhook(3_000_000, text=text, person=1, session=portal.session)],
        connections=1,
    )
    drain(portal)
    took, calls = time.monotonic() - start, len(portal.sandbox.journal(kind)) - before
    portal.sandbox.clear_faults()
    Repository.objects.update(checks="none")
    alone = calls * FORGE_TAKES
    row(
        f"/prs of {BURST + LATENCY} at {kind}",
        f"{took:.1f} s, {calls} calls of 100 ms; one after the other {alone:.1f} s",
    )


def burst(portal: BenchPortal) -> None:
    """1,000 comments at once; effects are counted at the forge."""
    before = len(portal.sandbox.journal("gitee"))
    requests = [
        webhook(
            2_000_000 + n,
            text=f"/comment {n + 1} burst-{n}",
            person=n % PEOPLE,
            session=portal.session,
        )
        for n in range(BURST)
    ]
    start = time.time()
    samples, seconds = fire(portal.port, requests, connections=32)
    row(
        "burst of 1,000 acknowledged",
        f"in {seconds:.2f} s, {times(samples)}, {statuses(samples)}",
        "p99 < 1 s",
    )
    drain(portal)
    posts = [
        entry
        for entry in portal.sandbox.journal("gitee")[before:]
        if entry["method"] == "POST" and entry["path"].endswith("/comments")
    ]
    effects = Counter(entry["path"] for entry in posts)
    last = max(entry["at"] for entry in posts) - start
    lost, doubled = BURST - len(effects), sum(count > 1 for count in effects.values())
    row("burst: last effect", f"after {last:.2f} s, lost {lost}, doubled {doubled}", "< 5 s, 0, 0")


def drain(portal: BenchPortal, *, seconds: float = 180) -> None:
    """Until no run is unfinished."""
    end = time.monotonic() + seconds
    while Run.objects.filter(state__in=("queued", "running")).exists():
        if time.monotonic() > end:
            sys.exit("runs are left unfinished")
        time.sleep(0.1)


def seed(portal: BenchPortal) -> None:
    portal.sandbox.change_gitee("open_pull", repository="acme/shop", count=BURST + LATENCY)
    for kind in FORGE_KINDS:
        url, token = portal.sandbox.urls[kind], f"demo-{kind}-token"
        forge = Forge.objects.create(name=kind, kind=kind, base_url=url, token=token)
        shop = {"name": f"shop-{kind}", "path": "acme/shop", "checks": "none"}
        Repository.objects.create(forge=forge, default=kind == "gitee", **shop)
    settings = {
        "app_key": APP_KEY,
        "robot_code": ROBOT_CODE,
        "corp_id": CORP,
        "api_base": portal.sandbox.chat,
    }
    Bot.objects.create(
        name="ops",
        platform="dingtalk",
        settings=settings,
        secrets={"app_secret": APP_SECRET},
        language="en",
    )
    role = Role.objects.create(name="all", commands=["pr", "prs", "comment", "approve"])
    for n in range(PEOPLE):
        person = Person.objects.create(
            name=f"P{n}", username=f"p{n}", forge_logins={"gitee": f"p{n}"}
        )
        Account.objects.create(
            person=person, platform="dingtalk", tenant=CORP, external_id=f"bench{n}"
        )
        Grant.objects.create(person=person, role=role)


def times(samples: Sequence[Sample]) -> str:
    took = [sample.took for sample in samples]
    return f"p50 {ms(statistics.median(took))}, p99 {ms(percentile(took, 0.99))}"


def statuses(samples: Sequence[Sample]) -> str:
    return ", ".join(
        f"{count} × {status}" for status, count in Counter(s.status for s in samples).items()
    )


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def row(label: str, figures: str, goal: str = "") -> None:
    print(f"{label:32} {figures:64} {goal}", flush=True)
