"""Length-prefixed frames: a stream cut anywhere becomes whole frames again, and one frame becomes its parts. Bytes only."""

from dataclasses import dataclass

from payments.gateways.unified_pay.profile import Framing

PROOF_CHARACTERS = 64
_LINE_BREAKS = b"\r\n"


class FrameError(Exception):
    """The bytes are no frame; nothing after them can be trusted either, because nobody knows where the next one begins."""


@dataclass(frozen=True)
class Frame:
    """The parts of one frame. `proof` is as it was sent."""

    number: str
    body: bytes
    proof: str


class FrameReader:
    """Takes the bytes of a stream as they come and gives whole frames. Line breaks between frames are skipped."""

    def __init__(self, layout: Framing) -> None:
        self._layout, self._waiting = layout, b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now. Raises FrameError."""
        self._waiting += data
        found: list[bytes] = []
        while True:
            self._waiting = self._waiting.lstrip(_LINE_BREAKS)
            if len(self._waiting) < self._layout.length_digits:
                return found
            length = announced(self._layout, self._waiting)
            if len(self._waiting) < length:
                return found
            found.append(self._waiting[:length])
            self._waiting = self._waiting[length:]

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._waiting)


def split(layout: Framing, data: bytes) -> list[bytes]:
    """Every frame of bytes that came at once. Raises FrameError when they end within a frame."""
    reader = FrameReader(layout)
    found = reader.feed(data)
    if reader.unfinished or not found:
        raise FrameError("the last frame is not whole")
    return found


def announced(layout: Framing, data: bytes) -> int:
    """The length a frame says it has: decimal, left-aligned, padded with blanks, itself included. Raises FrameError."""
    field = data[: layout.length_digits]
    digits = field.rstrip(b" ")
    if not digits.isdigit() or digits.startswith(b"0"):
        raise FrameError("the length is no left-aligned number")
    length = int(digits)
    if not _overhead(layout) < length <= layout.most_bytes:
        raise FrameError("the length is out of bounds")
    return length


def pack(layout: Framing, frame: Frame) -> bytes:
    """One frame as it goes on the wire."""
    rest = layout.magic.encode() + frame.number.encode() + frame.body + frame.proof.encode()
    return str(layout.length_digits + len(rest)).ljust(layout.length_digits).encode() + rest


def unpack(layout: Framing, data: bytes) -> Frame:
    """The parts of exactly one frame. Only ASCII: then characters, which one side counts, and bytes are the same. Raises FrameError."""
    if announced(layout, data) != len(data):
        raise FrameError("the length differs from the frame")
    if not data.isascii():
        raise FrameError("not ASCII")
    magic, at = layout.magic.encode(), layout.length_digits
    end = at + len(magic) + layout.number_digits
    number = data[at + len(magic) : end]
    if data[at : at + len(magic)] != magic or not number.isdigit():
        raise FrameError("another protocol or version")
    return Frame(number.decode(), data[end:-PROOF_CHARACTERS], data[-PROOF_CHARACTERS:].decode())


def _overhead(layout: Framing) -> int:
    return layout.length_digits + len(layout.magic) + layout.number_digits + PROOF_CHARACTERS
