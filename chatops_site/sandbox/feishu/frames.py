"""The binary frames of Feishu's long connection, read and written by hand.

https://protobuf.dev/programming-guides/encoding/
https://github.com/larksuite/oapi-sdk-python (lark_oapi/ws/pb)
"""

from dataclasses import dataclass, field

CONTROL, DATA = 0, 1
_VARINT, _BYTES = 0, 2
_HEADERS, _PAYLOAD = 5, 8
_NUMBERS = {1: "seq_id", 2: "log_id", 3: "service", 4: "method"}
_KEPT = frozenset({6, 7, 9})


class BadFrame(ValueError):
    """Not a frame."""


@dataclass
class Frame:
    """service tells the connection's app, method control or data."""

    method: int
    headers: dict[str, str]
    payload: bytes = b""
    service: int = 0
    seq_id: int = 0
    log_id: int = 0
    numbers: dict[str, int] = field(default_factory=dict, repr=False)


def write(frame: Frame) -> bytes:
    numbers = (frame.seq_id, frame.log_id, frame.service, frame.method)
    parts = [_number(place, value) for place, value in enumerate(numbers, 1)]
    for key, value in frame.headers.items():
        parts.append(_bytes(_HEADERS, _bytes(1, key.encode()) + _bytes(2, value.encode())))
    return b"".join([*parts, _bytes(_PAYLOAD, frame.payload)])


def read(raw: bytes) -> Frame:
    """BadFrame for anything that is none; fields nobody needs are left out."""
    frame = Frame(0, {})
    for place, value in _fields(raw):
        if place in _NUMBERS and isinstance(value, int):
            frame.numbers[_NUMBERS[place]] = value
        elif place == _HEADERS and isinstance(value, bytes):
            pair = {at: _text(one) for at, one in _fields(value)}
            frame.headers[pair.get(1, "")] = pair.get(2, "")
        elif place == _PAYLOAD and isinstance(value, bytes):
            frame.payload = value
        elif place not in _KEPT:
            raise BadFrame(f"No frame has a field {place} of that kind.")
    for name, number in frame.numbers.items():
        setattr(frame, name, number)
    return frame


def _fields(raw: bytes) -> list[tuple[int, int | bytes]]:
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        number, at = _varint(raw, at)
        if tag & 7 == _VARINT:
            found.append((tag >> 3, number))
        elif tag & 7 == _BYTES and at + number <= len(raw):
            found.append((tag >> 3, raw[at : at + number]))
            at += number
        else:
            raise BadFrame("The frame is cut off, or of another kind.")
    return found


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(raw) and shift < 64:
        byte = raw[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise BadFrame("A number in the frame has no end.")


def _number(place: int, value: int) -> bytes:
    return _written(place << 3 | _VARINT) + _written(value)


def _bytes(place: int, content: bytes) -> bytes:
    return _written(place << 3 | _BYTES) + _written(len(content)) + content


def _written(value: int) -> bytes:
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def _text(value: int | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
