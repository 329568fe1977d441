"""Where a test may kill the process."""

import signal
import subprocess
import sys

import pytest

SCRIPT = "from chatops_site.kit.failpoints import reach; reach('after_effect'); print('alive')"


@pytest.mark.parametrize(
    ("named", "status", "said"),
    [("after_effect", -signal.SIGKILL, ""), ("after", 0, "alive\n"), ("", 0, "alive\n")],
)
def test_a_process_dies_only_where_the_environment_says(
    named: str, status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATOPS_FAIL", named)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (status, said)
