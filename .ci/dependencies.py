"""Asks whether a vulnerability is known in what requirements.txt pins; one line where nobody can be asked."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

REQUIREMENTS: Final = Path(__file__).resolve().parent.parent / "requirements.txt"
NOT_ASKED: Final = "dependencies: the vulnerability service cannot be asked from here"


def main() -> int:
    line = [sys.executable, "-m", "pip_audit", "-r", str(REQUIREMENTS), "--no-deps"]
    line += ["--disable-pip", "--progress-spinner", "off", "--timeout", "20", "-f", "json"]
    asked = subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603 (our own)
    try:
        told: list[dict[str, Any]] = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = asked.stderr.strip().splitlines() or [""]
        print(f"{NOT_ASKED}: {said[-1]}")
        return 0
    return judge(told)


def judge(told: list[dict[str, Any]]) -> int:
    """A mirror may hide the service: packages it says nothing about are counted, not passed over."""
    judged = [each for each in told if "skip_reason" not in each]
    if not judged:
        print(f"{NOT_ASKED}: this machine's package index knows none of the packages")
        return 0
    known = [(each, vuln) for each in judged for vuln in each["vulns"]]
    for each, vuln in known:
        print(f"{each['name']} {each['version']}: {vuln['id']}, fixed in {vuln['fix_versions']}")
    print(
        f"dependencies: {len(judged)} of {len(told)} asked for, {len(known)} known vulnerabilities"
    )
    return min(1, len(known))


if __name__ == "__main__":
    sys.exit(main())
