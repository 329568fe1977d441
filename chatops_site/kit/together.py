"""Threads that commit at the same moment share one transaction: a commit costs the disk the same for many."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from django.db import IntegrityError, transaction

T = TypeVar("T")
MOST: Final = 32


@dataclass
class _Part(Generic[T]):
    item: T
    done: bool = False
    problem: BaseException | None = None


class Together(Generic[T]):
    """write() takes the items that came together and runs inside the transaction that it shares.

    Whoever's turn it is writes for all who wait behind, and they find their part done. When a
    constraint refuses one of them, each is written alone, so that it costs the others but time.
    """

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        self._turn = threading.Lock()
        self._waiting: list[_Part[T]] = []

    def commit(self, item: T) -> None:
        """Returns when the item is on disk, and raises what kept it from there."""
        part = _Part(item)
        self._waiting.append(part)
        with self._turn:
            while not part.done:
                self._commit(self._next())
        if part.problem is not None:
            raise part.problem

    def _next(self) -> list[_Part[T]]:
        """Only the thread whose turn it is takes away; the others only append."""
        parts = self._waiting[:MOST]
        del self._waiting[:MOST]
        return parts

    def _commit(self, parts: Sequence[_Part[T]]) -> None:
        try:
            with transaction.atomic():
                self._write([part.item for part in parts])
        except IntegrityError as problem:
            if len(parts) > 1:
                for part in parts:
                    self._commit([part])
                return
            parts[0].problem = problem
        except BaseException as problem:
            for part in parts:
                part.problem = problem
        for part in parts:
            part.done = True
