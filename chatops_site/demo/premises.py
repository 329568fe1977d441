"""Where the demo lives: its folder, its own keys, its ports, and the environment of its processes."""

import fcntl
import json
import os
import secrets
import socket
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "var" / "demo"
CONFIGURATION: Final = Path(__file__).parent / "portal.yaml"
FIRST_PORT: Final = 8800
TRIED: Final = 10
# The chat, Jenkins and the four forges.
SANDBOX_PORTS: Final = 6
# As they stand in portal.yaml, which is usable as it is.
_WRITTEN: Final = tuple(f"127.0.0.1:{port}" for port in range(8900, 8900 + SANDBOX_PORTS))
# Published values of the sandbox, which alone believes them.
SANDBOX_SECRETS: Final = {
    "DEMO_GITEE_TOKEN": "demo-gitee-token",
    "DEMO_GITHUB_TOKEN": "demo-github-token",
    "DEMO_GITLAB_TOKEN": "demo-gitlab-token",
    "DEMO_GITEA_TOKEN": "demo-gitea-token",
    "DEMO_HOOK_SECRET": "demo-hook-secret",
    "DEMO_JENKINS_TOKEN": "demo-jenkins-token",
    "DEMO_DINGTALK_SECRET": "demo-app-secret",
    "DEMO_FEISHU_SECRET": "demo-app-secret",
    "DEMO_FEISHU_ENCRYPT_KEY": "demo-encrypt-key",
    "DEMO_FEISHU_TOKEN": "demo-verification-token",
    "DEMO_WECOM_SECRET": "demo-wecom-secret",
    "DEMO_WECOM_TOKEN": "demoWecomToken",
    "DEMO_WECOM_AES_KEY": "demoWecomAesKeyForTheSandboxOfChatOps000001",
    "DEMO_WECOM_AIBOT_TOKEN": "demoAibotToken",
    "DEMO_WECOM_AIBOT_AES_KEY": "demoAibotAesKeyForTheSandboxOfChatOps000002",
    "DEMO_SLACK_SIGNING_SECRET": "demo-signing-secret",
    "DEMO_SLACK_BOT_TOKEN": "xoxb-demo-bot-token",
    "DEMO_SLACK_APP_TOKEN": "xapp-demo-app-token",
}
_INHERITED: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "PYTHONPATH",
    "COVERAGE_PROCESS_START",
)


class CannotStart(Exception):
    """The demo cannot start; the sentence says why and what to try."""


@dataclass(frozen=True)
class Ports:
    """The portal's port; the sandbox has its own in a row, a hundred above."""

    portal: int

    @property
    def chat(self) -> int:
        return self.portal + 100

    @property
    def all(self) -> tuple[int, ...]:
        return (self.portal, *range(self.chat, self.chat + SANDBOX_PORTS))

    @property
    def portal_url(self) -> str:
        return f"http://127.0.0.1:{self.portal}"

    @property
    def chat_url(self) -> str:
        return f"http://127.0.0.1:{self.chat}"


def find_ports(wanted: int | None) -> Ports:
    """The wanted ones or nothing; without a wish the first that are free."""
    first = FIRST_PORT if wanted is None else wanted
    for portal in range(first, first + (TRIED * 10 if wanted is None else 1), 10):
        ports = Ports(portal)
        if all(map(_is_free, ports.all)):
            return ports
    raise CannotStart(
        f"Port {first} or one of {first + 100} to {first + 99 + SANDBOX_PORTS} is in use. "
        "Free it, or choose another: make demo PORT=8850"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def lock(folder: Path) -> IO[str]:
    """Held while the file stays open: a second demo would take the first one's database away."""
    folder.mkdir(parents=True, exist_ok=True)
    held = (folder / "lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise CannotStart("A demo is running here already; end it with Ctrl-C first.") from None
    return held


def keys(folder: Path) -> dict[str, str]:
    """The demo's own SECRET_KEY, ENCRYPTION_KEYS and admin password: made once, readable by the owner."""
    file = folder / "keys.json"
    if not file.is_file():
        made = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ENCRYPTION_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "DJANGO_SUPERUSER_PASSWORD": secrets.token_urlsafe(9),
        }
        file.touch(mode=0o600)
        file.write_text(json.dumps(made, indent=1), "utf-8")
    kept: dict[str, str] = json.loads(file.read_text("utf-8"))
    return kept


def environment(folder: Path, ports: Ports, wake: Path) -> dict[str, str]:
    """What the demo's processes see: nothing of a real portal's settings."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {
        **inherited,
        **SANDBOX_SECRETS,
        **keys(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'portal.sqlite3'}",
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "HTTPS": "false",
        "DEBUG": "false",
        "OUTGOING_ALLOW": "127.0.0.1",
        "PORTAL_URL": ports.portal_url,
        "WAKE_DIR": str(wake),
        "DJANGO_SETTINGS_MODULE": "chatops_site.settings",
        "DJANGO_SUPERUSER_USERNAME": "admin",
        "DJANGO_SUPERUSER_EMAIL": "admin@example.com",
        "PYTHONUNBUFFERED": "1",
    }


def reset(folder: Path) -> None:
    """The sandbox begins anew each time, and a portal that remembers other pull requests would not fit."""
    for file in folder.glob("portal.sqlite3*"):
        file.unlink()


def write_configurations(folder: Path, ports: Ports) -> Path:
    """portal.yaml for these ports, whose place is given back, and at-FORGE.yaml to move to each forge."""
    text = configuration(ports)
    written = folder / "portal.yaml"
    written.write_text(text, "utf-8")
    document = yaml.safe_load(text)
    for forge in document["forges"]:
        rows = [
            {"name": row["name"], "forge": forge["name"], "path": row["path"]}
            for row in document["repositories"]
        ]
        moved = yaml.safe_dump({"repositories": rows})
        (folder / f"at-{forge['name']}.yaml").write_text(moved, "utf-8")
    return written


def configuration(ports: Ports) -> str:
    """portal.yaml for these ports."""
    text = CONFIGURATION.read_text("utf-8")
    for written, port in zip(_WRITTEN, ports.all[1:], strict=True):
        text = text.replace(written, f"127.0.0.1:{port}")
    return text
