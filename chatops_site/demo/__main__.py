"""Sets the demo up, says where everything is, and stays until Ctrl-C."""

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from chatops_site.demo.company import Company
from chatops_site.demo.premises import (
    FOLDER,
    CannotStart,
    Ports,
    environment,
    find_ports,
    keys,
    lock,
    reset,
    write_configurations,
)

_BLOCK: Final = """
  ChatOps demo · 演示已就绪

  Chat page · 聊天页面    {chat}/
  Admin · 管理后台        {portal}/admin/
  Login · 登录            admin / {password}

  Try, as 张三 in 发布群 · 以张三的身份在发布群试试:
      /help      /prs      /pr 233      /test 233      /合并 233      /deploy myservice to staging

  Ctrl-C stops everything · 按 Ctrl-C 全部停止
"""


def _options(line: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--port", type=int, help="the portal's; the sandbox is 100 above it (8800)")
    parser.add_argument("--keep", action="store_true", help="keep the last demo's database")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="%(default)s")
    return parser.parse_args(line)


def main(line: Sequence[str]) -> int:
    options = _options(line)
    folder = options.folder.resolve()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        with lock(folder), tempfile.TemporaryDirectory(prefix="chatops-demo-") as wake:
            ports = find_ports(options.port)
            if not options.keep:
                reset(folder)
            # A socket's path is short (108 bytes), and the checkout's may be long.
            company = Company(folder, environment(folder, ports, Path(wake)))
            return _stay(company, folder, ports)
    except CannotStart as reason:
        sys.stderr.write(f"{reason}\n")
        return 1


def _leave(number: int, frame: object) -> NoReturn:
    """Until there are processes to end: out, through every `with`."""
    sys.exit(0)


def _stay(company: Company, folder: Path, ports: Ports) -> int:
    company.stop_at_signals()
    try:
        sandbox = ["--port", str(ports.chat), "--portal", ports.portal_url, "--bot", "ops"]
        move = ["manage.py", "apply_config", str(folder / "at-{forge}.yaml")]
        sandbox += ["--move", shlex.join([sys.executable, *move])]
        connect = ["manage.py", "connect", "{bot}"]
        sandbox += ["--connect", shlex.join([sys.executable, *connect])]
        company.start("sandbox", "-m", "chatops_site.sandbox", *sandbox)
        _prepare(company, folder, ports)
        _start(company, ports)
        if not company.stopping:
            _say_where(folder, ports)
        dead = company.watch()
        if dead:
            raise CannotStart(company.epitaph(dead))
        return 0
    except CannotStart:
        # Whoever ends it while it is starting ends its first steps too: that is no failure.
        if company.stopping:
            return 0
        raise
    finally:
        company.stop()


def _prepare(company: Company, folder: Path, ports: Ports) -> None:
    """A database with the demo's configuration and an admin."""
    written = write_configurations(folder, ports)
    steps = [
        ("migrate", "-v0"),
        ("apply_config", str(written)),
        ("createsuperuser", "--noinput"),
    ]
    known = (folder / "portal.sqlite3").exists()
    for step in steps[:2] if known else steps:
        if not company.stopping:
            company.run("manage.py", *step)


def _start(company: Company, ports: Ports) -> None:
    if company.stopping:
        return
    bind = ["--bind", f"127.0.0.1:{ports.portal}"]
    options = ["-c", "python:chatops_site.gunicorn", *bind, "chatops_site.wsgi"]
    company.start("portal", "-m", "gunicorn", *options)
    company.start("worker", "manage.py", "worker")
    company.wait_until_ready(f"127.0.0.1:{ports.portal}", "/readyz")
    company.wait_until_ready(f"127.0.0.1:{ports.chat}", "/")


def _say_where(folder: Path, ports: Ports) -> None:
    password = keys(folder)["DJANGO_SUPERUSER_PASSWORD"]
    block = _BLOCK.format(chat=ports.chat_url, portal=ports.portal_url, password=password)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.stdout.write(block)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
