"""DingTalk's Stream: the robot's messages and its cards' buttons over a connection the portal opens.

https://open-dingtalk.github.io/developerpedia/docs/learn/stream/protocol
"""

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic
from typing import Any, ClassVar, Final

from django.utils import timezone
from django.utils.translation import gettext as _

from bot.platforms.base import Ignored, Parsed, Platform, Rejected, SendFailed
from bot.platforms.dialling import SILENCE, Dialled, Lost, Signs, Take
from bot.platforms.dingtalk.adapter import DingTalk
from bot.platforms.dingtalk.frames import (
    BAD_REQUEST,
    CALLBACK,
    CARDS,
    DISCONNECT,
    EVENT,
    MESSAGES,
    NOT_FOUND,
    OK,
    PING,
    SUBSCRIPTIONS,
    SYSTEM,
    Broken,
    Frame,
    acknowledgement,
    read_frame,
)
from bot.platforms.dingtalk.line import Line, open_line
from bot.platforms.reading import Unusable, parse_object

logger = logging.getLogger(__name__)

_LOOK_EVERY: Final = 0.1
# So much is received ahead of what is being taken; then the other side has to wait.
_MOST_WAITING: Final = 200
# What has come but is not taken yet is given so long after the word to stop.
_LAST_SECONDS: Final = 1.0
# Another thread that is just connecting is not waited for any longer: it closes what it opens.
_PATIENCE: Final = 0.7
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
# By then a command is too old to be run.
_GIVE_UP_AFTER: Final = 900.0


@dataclass(frozen=True)
class _Letter:
    """A frame and the line it came over. Without a frame: nothing follows over that line."""

    line: Line
    frame: Frame | None = None
    heard_at: datetime = field(default_factory=timezone.now)


_Inbox = Queue[_Letter | Exception]


class _Post:
    """Between the two threads of one run."""

    def __init__(self) -> None:
        self.inbox: _Inbox = Queue(_MOST_WAITING)
        # Nothing more is to be heard; nothing more will be; all that was heard is taken.
        self.ended, self.quiet, self.over = Event(), Event(), Event()

    def put(self, item: _Letter | Exception) -> bool:
        """False when it is to end before there is room."""
        while True:
            with suppress(Full):
                self.inbox.put(item, timeout=_LOOK_EVERY)
                return True
            if self.ended.is_set():
                return False

    def send_off(self, line: Line) -> None:
        """Closes it when what came over it is taken and acknowledged."""
        if not self.put(_Letter(line)):
            line.close()


class DingTalkConnection(Dialled):
    """Frames are taken in order by the thread that runs this, while another one hears and answers pings."""

    silence: ClassVar[float] = SILENCE
    # A connection that is sent away sooner is no reason to hurry to the next one.
    shortest_life: ClassVar[float] = 5.0

    def __init__(self, platform: Platform, take: Take, signs: Signs) -> None:
        super().__init__(platform, take, signs)
        if not isinstance(platform, DingTalk):
            raise TypeError("DingTalk's connection is for bots of DingTalk.")
        self._robot = platform

    def run(self, stop: Event) -> None:
        post = _Post()
        listener = Thread(target=self._listen, args=(post,), name="stream", daemon=True)
        listener.start()
        try:
            self._take_all(post.inbox, stop)
            post.ended.set()
            post.quiet.wait(_PATIENCE)
            self._take_rest(post.inbox, stop)
        finally:
            post.ended.set()
            post.over.set()
            listener.join(_PATIENCE)

    # Hearing -------------------------------------------------------------------------------------

    def _listen(self, post: _Post) -> None:
        try:
            self._hear_lines(post)
        except Exception as failure:
            post.put(failure)
        finally:
            post.quiet.set()

    def _hear_lines(self, post: _Post) -> None:
        """One line after the other: the next one is open before the last one is closed."""
        line = self._open()
        while True:
            try:
                follower = self._follower_of(line) if self._hear(line, post) else None
            except Exception:
                post.send_off(line)
                raise
            if follower is None:
                break
            post.send_off(line)
            line = follower
        post.quiet.set()
        post.over.wait()
        line.close()

    def _follower_of(self, line: Line) -> Line:
        if line.age() < self.shortest_life:
            raise Lost(_("DingTalk ended the connection as soon as it was open."))
        return self._open()

    def _open(self) -> Line:
        try:
            endpoint, ticket = self._robot.open_connection(SUBSCRIPTIONS)
        except SendFailed as problem:
            raise Lost(problem.sentence, refused=not problem.retryable) from None
        line = open_line(endpoint, ticket, api_base=self._robot.setting("api_base"))
        self.signs.connected()
        return line

    def _hear(self, line: Line, post: _Post) -> bool:
        """Until it is told to go (True), is to end (False), or is Lost."""
        while not post.ended.is_set():
            raw = line.receive(_LOOK_EVERY)
            if line.has_lived():
                self.signs.alive()
            if raw is None:
                line.check(self.silence)
                continue
            try:
                frame = read_frame(raw)
            except Broken:
                logger.warning("bot %s: a broken frame came by Stream", self._robot.bot.name)
                continue
            if frame.kind == SYSTEM and frame.topic == DISCONNECT:
                return True
            if frame.kind == SYSTEM:
                _answer_system(line, frame)
            else:
                post.put(_Letter(line, frame))
        return False

    # Taking --------------------------------------------------------------------------------------

    def _take_all(self, inbox: _Inbox, stop: Event) -> None:
        until = None
        while until is None or monotonic() < until:
            if stop.is_set() and until is None:
                until = monotonic() + _LAST_SECONDS
            try:
                letter = inbox.get(timeout=_LOOK_EVERY)
            except Empty:
                if stop.is_set():
                    return
                continue
            if isinstance(letter, Exception):
                raise letter
            self._take_letter(letter, stop)

    def _take_rest(self, inbox: _Inbox, stop: Event) -> None:
        """What came while the line was being closed: DingTalk does not bring it a second time."""
        until = monotonic() + _LAST_SECONDS
        with suppress(Empty):
            while True:
                letter = inbox.get_nowait()
                if isinstance(letter, _Letter) and (not letter.frame or monotonic() < until):
                    self._take_letter(letter, stop)

    def _take_letter(self, letter: _Letter, stop: Event) -> None:
        frame = letter.frame
        if frame is None:
            letter.line.close()
            return
        read = _READERS.get((frame.kind, frame.topic))
        if read is None:
            letter.line.send(_acknowledgement_of_unknown(frame))
            return
        code = OK
        parsed: Parsed | Rejected
        try:
            parsed = read(self._robot, frame, letter.heard_at)
        except Rejected as rejected:
            parsed, code = rejected, BAD_REQUEST
        except Unusable as unusable:
            parsed = Ignored(str(unusable), frame.message_id)
        if self._keep(parsed, frame, stop):
            letter.line.send(acknowledgement(frame, code, _DATA[frame.topic]))

    def _keep(self, parsed: Parsed | Rejected, frame: Frame, stop: Event) -> bool:
        """Has it written down, trying again while that fails: nobody else has the message any more."""
        until, pause = monotonic() + _GIVE_UP_AFTER, _FIRST_PAUSE
        while True:
            last = stop.is_set() or monotonic() > until
            try:
                self.take(parsed)
            except Exception as failure:
                told = self._robot.bot.name, frame.message_id, type(failure).__name__
                if last:
                    logger.exception("bot %s: message %s is lost: %s", *told)
                    return False
                logger.warning("bot %s: message %s is not written down yet: %s", *told)
            else:
                return True
            stop.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _answer_system(line: Line, frame: Frame) -> None:
    """A ping wants its own data back; whatever else the system may say is only acknowledged."""
    line.send(acknowledgement(frame, OK, frame.data if frame.topic == PING else "{}"))


def _acknowledgement_of_unknown(frame: Frame) -> str:
    """Of what nobody subscribed to: an event that is not acknowledged would come again and again."""
    if frame.kind == EVENT:
        return acknowledgement(frame, OK, json.dumps({"status": "SUCCESS"}))
    return acknowledgement(frame, NOT_FOUND, "{}")


def _read_message(robot: DingTalk, frame: Frame, heard_at: datetime) -> Parsed:
    return robot.read(_payload(frame), now=heard_at)


def _read_press(robot: DingTalk, frame: Frame, heard_at: datetime) -> Parsed:
    """The frame's id is all that tells one press of a button from the next."""
    return robot.read_press(_payload(frame), press_id=frame.message_id, now=heard_at)


def _payload(frame: Frame) -> dict[str, Any]:
    return parse_object(frame.data.encode("utf-8", "surrogatepass"))


_READERS: Final = {(CALLBACK, MESSAGES): _read_message, (CALLBACK, CARDS): _read_press}
_DATA: Final = {
    MESSAGES: json.dumps({"response": "OK"}),
    CARDS: json.dumps({"response": {}}),
}
