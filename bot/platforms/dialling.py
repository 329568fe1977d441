"""The contract of a connection that the bot opens itself, where the platform cannot reach the portal."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Event
from typing import Final, Protocol

from bot.platforms.base import Parsed, Platform, Rejected, Said

# A connection over which nothing has come for so long, although it was asked to answer, is dead.
SILENCE: Final = 90.0

# Writes down what came before it returns: what it returns may be told in the acknowledgement. It
# raises when nothing could be written down; then nothing may be acknowledged either. What is not for
# this bot, or malformed, is given to it as the Rejected that the reader raised.
Take = Callable[[Parsed | Rejected], Said]


class Lost(Exception):
    """The connection could not be made, or has ended; a sentence without any secret.

    refused: the platform does not want these credentials, so that trying again soon is no use.
    """

    def __init__(self, sentence: str, *, refused: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.refused = refused


class Signs(Protocol):
    """Where a connection tells how it is; both cost nothing, so they may be called for every frame."""

    def connected(self) -> None:
        """From now on messages come."""

    def alive(self) -> None:
        """Something came from the other side."""


class Dialled(ABC):
    """One bot's outgoing connection. run() is called again, after a pause that grows, until stop is set."""

    def __init__(self, platform: Platform, take: Take, signs: Signs) -> None:
        self.platform = platform
        self.take = take
        self.signs = signs

    @abstractmethod
    def run(self, stop: Event) -> None:
        """Connects and takes what comes until stop is set (then it returns within a second or two, what
        is being taken finished) or the connection is Lost. Notices a silent one within SILENCE.

        Takes first and acknowledges after. Neither secrets nor tickets reach a log.
        """
