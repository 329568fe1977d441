"""What tests of the chat page share: a portal that takes everything, and commands in place of `connect`."""

from typing import Any, Final

import requests

from chatops_site.sandbox.client import Sandbox
from chatops_site.sandbox.server import Faults, Journal, Request, Response, serve
from chatops_site.sandbox.slack.web import APP_TOKEN, BOT_TOKEN

# Connects to the Slack stand-in as a bot would, after it has told its number and its name.
CONNECTS: Final = f"""
import json, os, sys, urllib.request
from pathlib import Path
from websockets.sync.client import connect

folder, bot, chat = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[1], "chat").read_text()
(folder / "told").write_text(f"{{os.getpid()}} {{bot}}")
headers = {{"Authorization": "Bearer {APP_TOKEN}"}}
asked = urllib.request.Request(chat + "/api/apps.connections.open", b"", headers)
with connect(json.load(urllib.request.urlopen(asked))["url"]) as connection:
    for frame in connection:
        print(frame, flush=True)
"""
GIVES_UP: Final = "print('connecting'); print('It needs lark-oapi: pip install lark-oapi'); exit(1)"


class StubPortal:
    """Takes whatever comes, and knows where to."""

    name = "portal"

    def __init__(self) -> None:
        self.heard: list[Request] = []
        (self._server,) = serve({self: 0}, Journal(), Faults())
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: Request) -> Response:
        self.heard.append(request)
        return Response(200)

    def paths(self) -> list[str]:
        return [request.raw_path for request in self.heard]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def post_with_button(box: Sandbox, text: str = "shop#234") -> int:
    """The number of a message of the bot in Slack's 发布群, with a button that carries "token-1"."""
    _call(box, "chat.postMessage", text)
    return int(box.messages(platform="slack")[-1]["n"])


def update_with_button(box: Sandbox, n: int, text: str) -> None:
    """The same message with another text."""
    message = next(one for one in box.messages(platform="slack") if one["n"] == n)
    _call(box, "chat.update", text, ts=f"{int(message['at'])}.{n:06d}")


def _call(box: Sandbox, method: str, text: str, **more: str) -> None:
    label = {"type": "plain_text", "text": "Approve"}
    button = {"type": "button", "action_id": "b1", "value": "token-1", "text": label}
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}},
        {"type": "actions", "elements": [button]},
    ]
    message = {"channel": "C0RELEASE", "text": text, "blocks": blocks, **more}
    headers = {"Authorization": f"Bearer {BOT_TOKEN}"}
    told = requests.post(f"{box.chat}/api/{method}", json=message, headers=headers, timeout=5)
    assert told.json()["ok"], told.text
