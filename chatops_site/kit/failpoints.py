"""Places where a test may kill this very process, to prove what a crash leaves behind."""

import os
import signal


def reach(name: str) -> None:
    """Ends the process at once when the environment's CHATOPS_FAIL names this place."""
    if os.environ.get("CHATOPS_FAIL") == name:
        os.kill(os.getpid(), signal.SIGKILL)
