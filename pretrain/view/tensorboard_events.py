"""Events for TensorBoard, written without TensorBoard: a file of framed protocol buffers.

The format is that of TFRecord (a length, its checksum, the data, its checksum; CRC-32C, masked) and
of `event.proto` and `summary.proto` in TensorFlow. Only the fields that scalars need are written,
some 50 lines instead of a dependency that every trainer would import. TensorBoard's own reader is
what the tests read it with.
"""

import struct
import time
from pathlib import Path

from pretrain.metrics import Event
from pretrain.view.scalars import scalars

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class TensorBoard:
    """Writes one event file; files of earlier readers of the same run are replaced.

    Points that a rewind undoes are taken back by a `START` of a session, which tells TensorBoard to
    forget every later step.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        old = sorted(directory.glob("events.out.tfevents.*"))
        # TensorBoard reads files in the order of their names, and new ones only behind the last.
        last = int(old[-1].name.split(".")[3]) if old else 0
        number = max(last + 1, int(time.time()))
        # Everything is written again, in one file, so nothing can stand twice.
        for path in old:
            path.unlink()
        self._stream = (directory / f"events.out.tfevents.{number:010d}.gristmill").open("wb")
        self._record(_string(3, b"brain.Event:2"))
        self.restart()

    def restart(self) -> None:
        """Have TensorBoard forget every point so far."""
        self._forget_from(0)

    def write(self, event: Event) -> None:
        """One record for an event that has numbers."""
        if event["event"] == "rewind":
            self._forget_from(event["to_iteration"] + 1)
        values = b"".join(
            _string(1, _string(1, tag.encode()) + _key(2, _FIXED32) + struct.pack("<f", value))
            for tag, value in scalars(event).items()
        )
        if values:
            step = _key(2, _VARINT) + _varint(event["iteration"])
            self._record(step + _string(5, values))

    def flush(self) -> None:
        """Hand the buffer to the file."""
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _forget_from(self, step: int) -> None:
        start = _key(1, _VARINT) + _varint(1)  # SessionLog.START
        self._record(_key(2, _VARINT) + _varint(step) + _string(7, start))

    def _record(self, fields: bytes) -> None:
        # The time is that of reading; the run's own times are among the scalars.
        data = _key(1, _FIXED64) + struct.pack("<d", time.time()) + fields
        length = struct.pack("<Q", len(data))
        self._stream.write(length + _masked_crc(length) + data + _masked_crc(data))


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _string(field: int, value: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # Castagnoli's polynomial, reversed
        table.append(byte)
    return tuple(table)


_CRC = _table()


def _masked_crc(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return struct.pack("<I", masked)
