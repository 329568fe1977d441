"""The log of a build as raw bytes: it grows with the clock, and what was shown never changes.

A raw Jenkins log carries hidden console notes, so byte offsets into it are larger than the text.
"""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from chatops_site.sandbox.jenkins import timeline
from chatops_site.sandbox.jenkins.model import Build

NOTE = re.compile(rb"\x1b\[8m.*?\x1b\[0m")
FILLER = ("[INFO] 下载 dependency-0042.jar from repo.example.com, still going …".encode()) + b"\n"


@dataclass(frozen=True)
class Piece:
    """Bytes that appear at `at`; the first `early` of them already at `early_at`."""

    at: float
    raw: bytes
    repeat: int = 1
    early: int = 0
    early_at: float = 0.0


def note(text: str) -> bytes:
    """A hidden console note, as Jenkins writes one in front of lines of its own."""
    hidden = base64.b64encode(f"hudson.console.{text}".encode()).decode()
    return f"\x1b[8mha:////4{hidden}\x1b[0m".encode()


def raw_size(build: Build, now: float) -> int:
    return sum(len(piece.raw) * piece.repeat for piece in _shown(build, now))


def raw_from(build: Build, start: int, now: float) -> bytes:
    """The raw log from byte `start` on; only what is wanted of a very long log is built."""
    wanted = []
    for piece in _shown(build, now):
        size = len(piece.raw) * piece.repeat
        if start < size:
            wanted.append(_rest(piece, max(0, start)))
        start -= size
    return b"".join(wanted)


def _rest(piece: Piece, start: int) -> bytes:
    blocks, inside = divmod(start, len(piece.raw))
    return piece.raw[inside:] + piece.raw * (piece.repeat - blocks - 1)


def plain(raw: bytes) -> bytes:
    """The log as people see it, without hidden notes."""
    return NOTE.sub(b"", raw)


def text(build: Build, now: float) -> str:
    return plain(raw_from(build, 0, now)).decode("utf-8", errors="replace")


def _shown(build: Build, now: float) -> list[Piece]:
    shown = []
    for piece in written(build):
        if piece.at <= now:
            shown.append(piece)
        elif piece.early and piece.early_at <= now:
            shown.append(replace(piece, raw=piece.raw[: piece.early], early=0))
    return shown


def written(build: Build) -> list[Piece]:
    """The whole log as far as it is decided, in order."""
    end = timeline.ends_at(build)
    pieces = [piece for piece in _cut_characters(_planned(build)) if piece.early_at <= end]
    pieces = [replace(piece, at=min(piece.at, end)) for piece in pieces if _begun(piece, end)]
    for at, told in build.notices:
        pieces = [_completed(piece, at) for piece in pieces]
        pieces.append(Piece(at, told.encode() + b"\n"))
    pieces.sort(key=lambda piece: piece.at)
    return [*pieces, Piece(end, f"Finished: {timeline.final_result(build)}\n".encode())]


def _begun(piece: Piece, end: float) -> bool:
    return piece.at <= end or piece.early > 0


def _completed(piece: Piece, at: float) -> Piece:
    """A line half of which was shown is finished before a notice follows it."""
    if piece.early and piece.early_at <= at < piece.at:
        return replace(piece, at=at)
    return piece


def _cut_characters(pieces: Iterable[Piece]) -> list[Piece]:
    """Let a line with multi-byte text appear in two parts, cut inside its first such character."""
    result = []
    previous = 0.0
    for piece in pieces:
        cut = next((place for place, byte in enumerate(piece.raw) if byte >= 0xC0), -1) + 1
        late = previous < piece.at and piece.repeat == 1
        early_at = (previous + piece.at) / 2 if previous else piece.at
        result.append(replace(piece, early=cut, early_at=early_at) if cut and late else piece)
        previous = piece.at
    return result


def _planned(build: Build) -> list[Piece]:
    pieces = _at(build.started, _opening(build))
    for index in range(timeline.last_step(build) + 1):
        pieces += _step(build, index)
    return pieces + _at(timeline.result_at(build), _closing(build))


def _at(moment: float, lines: Iterable[bytes]) -> list[Piece]:
    return [Piece(moment, line + b"\n") for line in lines]


def _opening(build: Build) -> list[bytes]:
    lines = [note("ModelHyperlinkNote") + cause.text.encode() for cause in build.causes]
    workspace = f"/var/jenkins_home/workspace/{build.job.full_name}"
    if build.plan.stages:
        lines += [note("PipelineNote") + b"[Pipeline] Start of Pipeline"]
        lines += [note("PipelineNote") + b"[Pipeline] node"]
        lines += [f"Running on Built-In Node in {workspace}".encode()]
    else:
        lines += [f"Building on the built-in node in workspace {workspace}".encode()]
    return lines + [f"{value.name}={value.printed}".encode() for value in build.values]


def _step(build: Build, index: int) -> list[Piece]:
    name = timeline.steps(build)[index]
    start, work = timeline.step_start(build, index), timeline.work_start(build, index)
    heading: list[bytes] = []
    if name:
        heading = [note("PipelineNote") + b"[Pipeline] stage"]
        heading += [note("PipelineNote") + f"[Pipeline] {{ ({name})".encode()]
    pieces = _at(start, heading)
    if build.plan.input and index == timeline.held_step(build):
        pieces += _at(start, [note("PipelineNote") + b"[Pipeline] input"])
        pieces += _at(start, [build.plan.input.message.encode()])
    return pieces + _spread(build, index, work)


def _spread(build: Build, index: int, start: float) -> list[Piece]:
    lines = _work(build, index)
    gap = (timeline.step_end(build, index) - start) / (len(lines) + 1) if start < 1e12 else 0.0
    pieces = [Piece(start + gap * (n + 1), line + b"\n") for n, line in enumerate(lines)]
    if index == 0 and build.plan.megabytes:
        copies = int(build.plan.megabytes * 1_000_000 / len(FILLER)) + 1
        pieces.append(Piece(start, FILLER, repeat=copies))
        pieces.sort(key=lambda piece: piece.at)
    return pieces


def _work(build: Build, index: int) -> list[bytes]:
    name = timeline.steps(build)[index]
    if index == timeline.last_step(build) and build.plan.log:
        return [line.encode() for line in build.plan.log]
    if name == "Checkout":
        return _checkout(build)
    label = name or build.job.name
    return [f"+ make {label.lower().replace(' ', '-')}".encode(), f"{label}：正在进行 …".encode()]


def _checkout(build: Build) -> list[bytes]:
    sha = build.value_of("SHA") or "FETCH_HEAD"
    return [
        b"+ git fetch --no-tags --force --progress origin",
        f"+ git checkout -f {sha}".encode(),
        f"HEAD is now at {sha[:7]}（已检出）".encode(),
    ]


def _closing(build: Build) -> list[bytes]:
    lines = []
    if timeline.planned_result(build) == "FAILURE" and build.halt is None:
        lines.append(b"ERROR: script returned exit code 1")
    if build.plan.stages:
        lines.append(note("PipelineNote") + b"[Pipeline] End of Pipeline")
    return lines
