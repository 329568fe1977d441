"""How soon each chat platform has its 200 while 200 commands run against a forge that is slow."""

import http.client
import statistics
import time
from collections.abc import Callable

from bot.models import Bot
from chatops_site.sandbox.chats import CHATS
from tests.bench.load import fire
from tests.bench.portal import BenchPortal, webhook
from tests.messenger import demo_bot
from tests.portal import Handed

RUNNING = 200
MESSAGES = 20
# What each platform waits for its answer, in seconds; for the check of an address 1.
LIMITS = {"dingtalk": 2.0, "feishu": 3.0, "wecom": 5.0, "wecom_aibot": 5.0, "slack": 3.0}
Row = Callable[[str, str, str], None]


def acknowledgements(portal: BenchPortal, row: Row) -> None:
    """Each message is of a person the portal does not know: it is verified, refused and recorded."""
    portal.sandbox.fault("gitee", "delay", times=-1, seconds=0.5)
    requests = [
        webhook(4_000_000 + n, text=f"/pr {n + 1}", person=n % 200, session=portal.session)
        for n in range(RUNNING)
    ]
    fire(portal.port, requests, connections=8)
    for platform in CHATS:
        Bot.objects.filter(platform=platform).first() or demo_bot(platform, portal.sandbox.chat)
        took = [_exchange(portal, handed) for handed in _messages(portal, platform)]
        row(
            f"200 for {platform}",
            f"p50 {statistics.median(took) * 1000:.1f} ms, longest {max(took) * 1000:.1f} ms",
            f"< {LIMITS[platform]:.0f} s",
        )
    portal.post.handed.clear()
    portal.sandbox.change_chat("handshake", platform="wecom")
    took = [_exchange(portal, portal.post.handed[-1])]
    row("address checked by WeCom", f"{took[0] * 1000:.1f} ms", "< 1 s")
    portal.sandbox.clear_faults()


def _messages(portal: BenchPortal, platform: str) -> list[Handed]:
    """As the stand-in signs them."""
    place = "private" if CHATS[platform].private_only else "cid-release"
    portal.post.handed.clear()
    for _message in range(MESSAGES):
        portal.sandbox.say("stranger", place, "/help", platform=platform)
    return [one for one in portal.post.handed if bot_path(platform) in one.path]


def bot_path(platform: str) -> str:
    name = Bot.objects.get(platform=platform).name
    return f"/webhooks/chat/{name}/"


def _exchange(portal: BenchPortal, handed: Handed) -> float:
    """Seconds from the first byte to the last of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=30)
    connection.connect()
    kept = {k: v for k, v in handed.headers.items() if k.lower() not in ("host", "connection")}
    began = time.perf_counter()
    connection.request(handed.method, handed.path, handed.body or None, kept)
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - began
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{handed.path} was answered {answer.status}")
    return took
