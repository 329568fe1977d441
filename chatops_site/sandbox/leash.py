"""Run as a script with a command: becomes that command, which ends when whoever started it is gone.

https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_ENDS = (signal.SIGTERM, signal.SIGINT)


def become(parent: int, command: list[str]) -> NoReturn:
    """Does not come back. parent: the process that it is to end with."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("Whoever started this is gone already.")
    # The sandbox waits for these signals and has them blocked, which its children inherit.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
    os.execvp(command[0], command)  # noqa: S606 (as the sandbox was told on its command line)


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
