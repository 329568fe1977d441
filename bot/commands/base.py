"""A command is data first (its spec) and then one method, step, that a worker calls until it is done."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, ClassVar

from django.utils.functional import Promise

from bot.runs.buttons import Offer
from bot.runs.gates import Gate
from bot.runs.models import Run, RunState
from repos.forges.base import ForgeClient
from repos.jenkins import Jenkins
from repos.models import JenkinsServer

Text = str | Promise
Json = dict[str, Any]


class Kind(StrEnum):
    """What an argument stands for; the language has one pattern for each."""

    NUMBER = "number"
    REPOSITORY = "repository"
    SERVICE = "service"
    ENVIRONMENT = "environment"
    REF = "ref"
    RUN = "run"
    PAGE = "page"
    CHOICE = "choice"
    JOB = "job"
    PARAMETERS = "parameters"
    TEXT = "text"
    COMMAND = "command"


@dataclass(frozen=True)
class Argument:
    """One argument in its place; keyword is the word that must stand before it ("to").

    A repository after a TEXT has no place of its own: it is given with the number, as in shop#233.
    """

    name: str
    kind: Kind
    required: bool = False
    choices: tuple[str, ...] = ()
    keyword: str = ""
    # What stands for it in the usage, where the kind's own word would tell less.
    word: str = ""


@dataclass(frozen=True)
class Spec:
    """All that parser, help, permission check, admin and docs know of a command.

    verb may be two words ("jenkins test"). aliases are other first words, Chinese ones too.
    changes: it has an effect outside, so it is refused when it is older than 15 minutes.
    open_to_all: even a person without any grant, and a stranger, may use it.
    """

    verb: str
    summary: Text
    examples: tuple[str, ...]
    arguments: tuple[Argument, ...] = ()
    aliases: tuple[str, ...] = ()
    changes: bool = False
    open_to_all: bool = False

    @property
    def names_a_job(self) -> bool:
        return any(argument.kind is Kind.JOB for argument in self.arguments)

    @property
    def usage(self) -> str:
        """As people type it: /deploy SERVICE [ref] [to ENV]."""
        kinds = [argument.kind for argument in self.arguments]
        placed = (
            self.arguments[: kinds.index(Kind.TEXT) + 1] if Kind.TEXT in kinds else self.arguments
        )
        return " ".join(["/" + self.verb, *map(_usage_of, placed)])


USAGE_WORDS: Mapping[Kind, str] = {
    Kind.NUMBER: "233",
    Kind.REPOSITORY: "repo",
    Kind.SERVICE: "SERVICE",
    Kind.ENVIRONMENT: "ENV",
    Kind.REF: "ref",
    Kind.RUN: "RUN",
    Kind.PAGE: "2",
    Kind.JOB: "JOB",
    Kind.PARAMETERS: "k=v …",
    Kind.TEXT: "text",
    Kind.COMMAND: "command",
}


def _usage_of(argument: Argument) -> str:
    word = argument.word or "|".join(argument.choices) or USAGE_WORDS[argument.kind]
    if argument.keyword:
        word = f"{argument.keyword} {word}"
    return word if argument.required else f"[{word}]"


@dataclass(frozen=True)
class Call:
    """One parsed line. arguments: by name, numbers as int, PARAMETERS as a dict, the rest as text.

    canonical is the same call as the language prints it; parsing it again gives the same call.
    """

    verb: str
    arguments: Mapping[str, Any]
    canonical: str


class Again(Enum):
    """What to do when an effect was intended, its outcome is unknown, and no trace of it is found."""

    SAFE = "send it again: a second one changes nothing more, or the other side refuses it"
    NEVER = "search twice, a while apart, then say unknown and ask a person"


@dataclass(frozen=True)
class Done:
    """The run is over. text is the whole reply, in markdown."""

    text: str
    state: RunState = RunState.SUCCEEDED
    # A stable code for filters: "merged", "gates", "build_failed".
    reason: str = ""
    external: Json = field(default_factory=dict)
    observed_sha: str = ""
    # What an operator needs to know more than the person: the call, the status, the answer's first words.
    detail: str = ""
    offers: tuple[Offer, ...] = ()


@dataclass(frozen=True)
class Later:
    """Nothing to do before that many seconds have passed; progress is told to the conversation once."""

    seconds: float
    progress: str = ""


Step = Done | Later


class Refusal(Exception):
    """The command may not have its effect now; nothing was sent. text is the whole reply."""

    def __init__(self, text: str, *, reason: str, gates: tuple[Gate, ...] = ()) -> None:
        super().__init__(reason)
        self.text = text
        self.reason = reason
        self.gates = gates


@dataclass(frozen=True)
class Intent:
    """What is about to be done, written down before it is sent; facts must be JSON."""

    facts: Json
    sha: str = ""
    gates: tuple[Gate, ...] = ()


class Attempt(ABC):
    """One turn of a worker on one run: what a command may see and do. The engine implements it.

    A command's step is called from its beginning on every turn, also after a crash, so whatever it
    changes outside goes through effect(), and what it must remember through remember().
    """

    run: Run
    now: datetime

    @abstractmethod
    def effect(
        self,
        name: str,
        *,
        prepare: Callable[[], Intent],
        send: Callable[[Json], Json],
        find: Callable[[Json], Json | None],
        again: Again,
    ) -> Json:
        """Has the effect at most once and returns its result (external ids), now or from an earlier turn.

        prepare decides and pins; it may raise Refusal or RemoteError, then nothing was written.
        send(intent facts) does it; find(intent facts) looks for its traces after a doubtful end.
        """

    @abstractmethod
    def settled(self, name: str) -> Json | None:
        """The result of that effect if it has one, else None."""

    @abstractmethod
    def remember(self, **facts: Any) -> None:
        """Keeps JSON facts in run.progress; they are stored with whatever is written next."""

    @abstractmethod
    def forge(self) -> ForgeClient:
        """The client of the run's repository's forge."""

    @abstractmethod
    def jenkins(self, server: JenkinsServer) -> Jenkins: ...


@dataclass(frozen=True)
class Target:
    """What a call is about, resolved to stored things, before it is authorised."""

    repository_id: int | None = None
    repository: str = ""
    service_id: int | None = None
    service: str = ""
    environment_id: int | None = None
    environment: str = ""
    number: int | None = None
    # As people write it: shop#233, "myservice → production", "run 1850".
    label: str = ""
    # The outside system its steps talk to first: "forge:gitee", "jenkins:main".
    lane: str = ""


class Command(ABC):
    """A command: its spec, its order, and its step. Instances hold nothing and are shared by threads."""

    spec: ClassVar[Spec]

    def key(self, call: Call, target: Target) -> str:
        """Runs with the same key are carried out one after another; "" means in any order."""
        return ""

    def stands_for(self, call: Call) -> Run | None:
        """The earlier run whose call is carried out in this one's place; None: this call itself."""
        return None

    def objection(self, earlier: Run) -> str:
        """Why that earlier run cannot be carried out again, as a whole reply; "" when it can."""
        return ""

    @abstractmethod
    def step(self, attempt: Attempt) -> Step:
        """One turn, under 20 s, never waiting: what takes time is asked again by Later."""
