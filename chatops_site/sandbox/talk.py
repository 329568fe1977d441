"""Who is in the sandbox's chat, what was said there, and the way of a webhook to the portal."""

import hashlib
import http.client
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_ANSWER_SECONDS = 10.0

# How far a message has come, in this order.
STAGES = ("sending", "unreachable", "rejected", "acknowledged", "running", "done")

Message = dict[str, Any]


@dataclass(frozen=True)
class Person:
    id: str
    name: str
    staff_id: str
    note: str

    @property
    def sender_id(self) -> str:
        """The encrypted id that DingTalk sends along, which identifies nobody."""
        return "$:LWCP_v1:$" + hashlib.sha256(self.id.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Conversation:
    id: str
    name: str
    person: str = ""

    @property
    def private(self) -> bool:
        return bool(self.person)


PEOPLE = (
    Person("zhangsan", "张三", "user101", "maintainer, releaser"),
    Person("lisi", "李四", "user102", "developer"),
    Person("wangfang", "王芳", "user103", "release manager"),
    Person("zhaoliu", "赵六", "user104", "viewer"),
    Person("stranger", "陌生人", "user999", "unknown to the portal"),
)
CONVERSATIONS = (
    Conversation("cid-release", "发布群"),
    Conversation("cid-dev", "研发群"),
    *(Conversation(f"cid-private-{one.id}", one.name, one.id) for one in PEOPLE),
)


@dataclass(frozen=True)
class Packet:
    """A webhook as it goes out: kept, so that it can be sent again, whole or in part. query: "a=b&c=d"."""

    headers: dict[str, str]
    body: bytes
    query: str = ""
    method: str = "POST"


class Talk:
    """What was said. Messages are counted for ever; a reset begins the versions anew."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: list[Message] = []
        self._n = 0
        self.version = 0

    @property
    def last(self) -> int:
        """The number of the newest message there ever was; 0 before the first one."""
        return self._n

    def add(self, **content: Any) -> Message:
        with self._changed:
            self._n += 1
            message = {"n": self._n, "at": time.time(), **content}
            self._messages.append(message)
            self._touch(message)
            return message

    def update(self, message: Message, **content: Any) -> None:
        with self._changed:
            message.update(content)
            self._touch(message)

    def move_delivery(self, message: Message, stage: str, **facts: Any) -> None:
        """A delivery only goes forward: a reply may overtake the answer to the webhook."""
        with self._changed:
            before = message["delivery"]
            further = max(before["stage"], stage, key=STAGES.index)
            message["delivery"] = {**before, **facts, "stage": further}
            self._touch(message)

    def answered(self, conversation: str, reply_to: int | None) -> Message | None:
        """The message that a reply belongs to: the one it names, else the last one unanswered."""
        with self._changed:
            for message in reversed(self._messages):
                fits = message["n"] == reply_to if reply_to else _waits(message, conversation)
                if fits:
                    return message
        return None

    def clear(self) -> None:
        with self._changed:
            self._messages.clear()
            self.version = 0
            self._changed.notify_all()

    def touch(self) -> None:
        """Something else on the page is new."""
        with self._changed:
            self.version += 1
            self._changed.notify_all()

    def since(self, n: int) -> list[Message]:
        with self._changed:
            return [dict(message) for message in self._messages if message["n"] > n]

    def changed_since(self, version: int) -> list[Message]:
        with self._changed:
            return [dict(message) for message in self._messages if message["version"] > version]

    def wait(self, version: int, seconds: float) -> bool:
        """True as soon as there is another version than this one, False when time is up."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self.version != version, seconds))

    def _touch(self, message: Message) -> None:
        self.version += 1
        message["version"] = self.version
        self._changed.notify_all()


def _waits(message: Message, conversation: str) -> bool:
    stage = message.get("delivery", {}).get("stage", "done")
    return bool(message["conversation"] == conversation and stage != "done")


@dataclass(frozen=True)
class Answered:
    """How the portal took a delivery; status 0: not at all."""

    status: int
    milliseconds: float
    error: str = ""
    body: bytes = field(default=b"", repr=False)

    def told(self) -> dict[str, Any]:
        return {"status": self.status, "milliseconds": self.milliseconds, "error": self.error}


class Portal:
    """Where webhooks go: keep-alive connections, as the platforms' gateways have them."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._place, self.path = parts.netloc, parts.path
        self._idle: deque[http.client.HTTPConnection] = deque()

    def post(self, packet: Packet) -> Answered:
        """What became of it."""
        began = time.perf_counter()
        try:
            status, body = self._post(packet)
            error = ""
        except (OSError, http.client.HTTPException) as failure:
            status, body, error = 0, b"", f"{type(failure).__name__}: {failure}"
        milliseconds = round((time.perf_counter() - began) * 1000, 2)
        return Answered(status, milliseconds, error, body)

    def _post(self, packet: Packet) -> tuple[int, bytes]:
        try:
            idle = self._idle.pop()
        except IndexError:
            return self._exchange(self._connection(), packet)
        try:
            return self._exchange(idle, packet)
        except (ConnectionError, http.client.BadStatusLine):
            # The portal had closed the connection while it was idle.
            return self._exchange(self._connection(), packet)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._place, timeout=_ANSWER_SECONDS)

    def _exchange(
        self, connection: http.client.HTTPConnection, packet: Packet
    ) -> tuple[int, bytes]:
        path = f"{self.path}?{packet.query}" if packet.query else self.path
        try:
            connection.request(packet.method, path, packet.body or None, packet.headers)
            answer = connection.getresponse()
            body = answer.read()
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:
            self._idle.append(connection)
        return answer.status, body


@dataclass
class Delivery:
    """One message or press on its way to the portal. push brings it there once; hear gets each answer's body."""

    _push: Callable[[], Answered]
    _talk: Talk
    message: Message
    _hear: Callable[[bytes], None] = lambda body: None

    def send(self, times: int = 1) -> dict[str, Any]:
        """Delivers the same that many times at once; the first answer is the one told."""
        told: list[Answered] = []
        threads = [
            threading.Thread(target=lambda: told.append(self._push()), daemon=True)
            for _ in range(times - 1)
        ]
        for thread in threads:
            thread.start()
        first = self._push()
        for thread in threads:
            thread.join()
        stage = {200: "acknowledged", 0: "unreachable"}.get(first.status, "rejected")
        self._talk.move_delivery(self.message, stage, times=times, **first.told())
        for answered in (first, *told):
            if answered.status == 200 and answered.body:
                self._hear(answered.body)
        return {
            **first.told(),
            "message_id": self.message["message_id"],
            "n": self.message["n"],
            "statuses": [first.status, *(one.status for one in told)],
        }

    def send_later(self) -> None:
        threading.Thread(target=self.send, daemon=True).start()


def find_person(key: str) -> Person:
    """By key, staff id or name. ValueError for somebody unknown."""
    for one in PEOPLE:
        if key in (one.id, one.staff_id, one.name):
            return one
    known = ", ".join(one.id for one in PEOPLE)
    raise ValueError(f"There is nobody {key!r} here; there are: {known}.")


def find_conversation(key: str, person: str) -> Conversation:
    """By id or name; "private" is the person's own with the bot. ValueError for an unknown one."""
    wanted = f"cid-private-{find_person(person).id}" if key == "private" else key
    for place in CONVERSATIONS:
        if wanted == place.id or (wanted == place.name and not place.private):
            return _entered(place, find_person(person))
    known = ", ".join(place.id for place in CONVERSATIONS)
    raise ValueError(f"There is no conversation {key!r}; there are: private, {known}.")


def _entered(place: Conversation, person: Person) -> Conversation:
    if place.private and place.person != person.id:
        raise ValueError(f"{place.id} is between the robot and {place.person} alone.")
    return place
