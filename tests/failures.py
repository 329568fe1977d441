"""A call that has to fail, and how."""

from collections.abc import Callable
from typing import Any

import pytest

from repos.errors import RemoteError


def failure(kind: type[RemoteError], call: Callable[[], object]) -> Any:
    """The error, which is of exactly that kind."""
    with pytest.raises(RemoteError) as caught:
        call()
    assert type(caught.value) is kind, repr(caught.value)
    return caught.value
