"""One pass over the bytes of a column: where something may stand that a kind looks for.

It tells shapes that are cheap to see byte by byte and that every finding of some kinds has.
Compiled by numba; some 290 MB/s of technical English on one busy core (2026-11-26).
"""

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes, Offsets
from dataprep.kernel_cache import kernel

# What a window may hold, as bits.
AT = 1  # @ or %40
DIGITS = 2  # six digits or more, with nothing but separators of numbers between them
DOTTED = 4  # four numbers joined by dots
COLONS = 8  # two colons with up to four hexadecimal digits between them
GROUPS = 16  # two dashes with two, or two dots with four, hexadecimal digits between them
TOKEN = 32  # fourteen letters and digits or more, of which one is a digit
MIXED = 64  # six letters, digits and dashes or more, of which three are digits
DISGUISED = 128  # a character of `disguised`
OTHER = 256  # not set here: what RE2 found

DIGITS_MIN = 6
TOKEN_BYTES_MIN = 14
MIXED_BYTES_MIN, MIXED_DIGITS_MIN = 6, 3
# How far the address of a site goes back from an @ that ends a password in it, and how far what is
# written from right to left goes on behind the character that turns it.
_ADDRESS_BYTES_MAX = 1600
_TURNED_BYTES_MAX = 2100
_TURNING = 0x202E
# Longest run of separators within a number: four of three bytes each.
_GAP_BYTES_MAX = 12

# Classes of bytes.
_LETTER, _BREAK, _DIGIT, _AT, _PERCENT, _COLON, _POINT, _LEAD, _FOLLOWING = range(9)


def byte_classes(disguised: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Shape [2, 256], uint8: the class of each byte, and whether it may stand within a number.

    `disguised` says it of every code point; a byte that begins one of those is a lead.
    """
    classes = np.full((2, 256), _BREAK, dtype=np.uint8)
    classes[1] = 0
    for letters in (b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        classes[0, list(letters)] = _LETTER
    classes[0, list(b"0123456789")] = _DIGIT
    for byte, name in ((b"@", _AT), (b"%", _PERCENT), (b":", _COLON), (b"-.", _POINT)):
        classes[0, list(byte)] = name
    classes[0, 0x80:0xC0] = _FOLLOWING
    for code in np.flatnonzero(disguised):
        # Surrogates are no characters of UTF-8.
        if not 0xD800 <= code < 0xE000:
            classes[0, chr(int(code)).encode()[0]] = _LEAD
    # Blank, dashes, no-break blank; what follows U+00A0 and U+2010 to 2015 follows others as well.
    classes[1, list(b" ()+-./")] = 1
    classes[1, 0x80:0xC0] = 1
    classes[1, [0xC2, 0xE2]] = 1
    return classes


@kernel
def find_windows(
    data: Bytes,
    offsets: Offsets,
    margin: int,
    classes: npt.NDArray[np.uint8],
    disguised: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    """Windows around everything that is seen: `margin` bytes to both sides, joined where they meet.

    Shape [windows, 3], int64: row, and first and last byte of `data`, the last excluded, between
    characters of UTF-8; and shape [windows], uint16: the bits of what is seen in it. In order.
    """
    num_rows = offsets.shape[0] - 1
    total = offsets[num_rows] - offsets[0]
    most = num_rows + total // (2 * margin + 1) + 1
    places = np.empty((most, 3), dtype=np.int64)
    seen = np.empty(most, dtype=np.uint16)
    count = 0
    for row in range(num_rows):
        first, last = offsets[row], offsets[row + 1]
        # The window that may still grow; before the first there is none.
        start, stop, bits = first, np.int64(-1), 0
        digits, dots, number_start, last_digit = 0, 0, first, np.int64(-100)
        last_colon, last_dash, last_dot = np.int64(-100), np.int64(-100), np.int64(-100)
        token_start, mixed_start, mixed_digits = first, first, 0
        position = first
        while position <= last:
            # Behind the last byte stands a break, which ends a token.
            kind = classes[0, data[position]] if position < last else _BREAK
            if kind == _LETTER:
                position += 1
                continue
            event_start, event_stop, event = position, position + 1, 0
            if kind == _DIGIT:
                gap = position - last_digit - 1
                joined = gap == 0
                if 0 < gap <= _GAP_BYTES_MAX:
                    joined = True
                    for between in range(last_digit + 1, position):
                        joined &= classes[1, data[between]] == 1
                if not joined:
                    digits, number_start = 0, position
                if gap > 0:
                    dots = dots + 1 if gap == 1 and data[position - 1] == 46 else 0
                digits += 1
                mixed_digits += 1
                last_digit = position
                if digits >= DIGITS_MIN:
                    event_start, event = number_start, DIGITS
                if dots >= 3:
                    event_start, event = min(event_start, number_start), event | DOTTED
            else:
                if position - token_start >= TOKEN_BYTES_MIN and last_digit >= token_start:
                    event_start, event = token_start, TOKEN
                token_start = position + 1
                if kind != _POINT or data[position] != 45:
                    long = position - mixed_start >= MIXED_BYTES_MIN
                    if long and mixed_digits >= MIXED_DIGITS_MIN:
                        event_start, event = min(event_start, mixed_start), event | MIXED
                    mixed_start, mixed_digits = position + 1, 0
                if kind == _AT:
                    event_start, event = _address_start(data, first, position), event | AT
                elif kind == _PERCENT:
                    if (
                        position + 2 < last
                        and data[position + 1] == 52
                        and data[position + 2] == 48
                    ):
                        event |= AT
                elif kind == _COLON:
                    if position - last_colon <= 5 and _hexadecimal(data, last_colon + 1, position):
                        event_start, event = min(event_start, last_colon), event | COLONS
                    last_colon = position
                elif kind == _POINT:
                    dash = data[position] == 45
                    before = last_dash if dash else last_dot
                    if position - before == (3 if dash else 5) and _hexadecimal(
                        data, before + 1, position
                    ):
                        event_start, event = min(event_start, before), event | GROUPS
                    if dash:
                        last_dash = position
                    else:
                        last_dot = position
                elif kind == _LEAD:
                    code = _code_point(data, position, last)
                    if disguised[code]:
                        event |= DISGUISED
                        if code == _TURNING:
                            event_stop = position + _TURNED_BYTES_MAX
            if event:
                if bits and event_start - margin > stop:
                    places[count] = row, start, stop
                    seen[count] = bits
                    count += 1
                    bits, stop = 0, np.int64(-1)
                if not bits:
                    start = max(first, event_start - margin)
                    while start > first and classes[0, data[start]] == _FOLLOWING:
                        start -= 1
                bits |= event
                stop = max(stop, min(last, event_stop + margin))
                while stop < last and classes[0, data[stop]] == _FOLLOWING:
                    stop += 1
            position += 1
        if bits:
            places[count] = row, start, stop
            seen[count] = bits
            count += 1
    return places[:count], seen[:count]


@kernel
def _address_start(data: Bytes, first: np.int64, position: np.int64) -> np.int64:
    """Where the address `scheme://user:password@` begins whose @ is at `position`; else there."""
    least = max(first, position - _ADDRESS_BYTES_MAX)
    before = position - 1
    while before >= least and data[before] > 32 and data[before] != 47:
        before -= 1
    return before if before >= least and data[before] == 47 else position


@kernel
def _hexadecimal(data: Bytes, start: np.int64, stop: np.int64) -> bool:
    for position in range(start, stop):
        byte = data[position]
        if not (48 <= byte <= 57 or 65 <= byte <= 70 or 97 <= byte <= 102):
            return False
    return True


@kernel
def _code_point(data: Bytes, position: np.int64, last: np.int64) -> np.int64:
    """The character that begins at `position`; its bytes are valid UTF-8."""
    byte = np.int64(data[position])
    length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
    if length == 1 or position + length > last:
        return byte
    code = byte & (0xFF >> (length + 1))
    for following in range(position + 1, position + length):
        code = (code << 6) | (np.int64(data[following]) & 0x3F)
    return code


@kernel
def gather(
    data: Bytes, places: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes of windows one after the other, and offsets of shape [windows + 1] into them."""
    offsets = np.zeros(places.shape[0] + 1, dtype=np.int64)
    for window in range(places.shape[0]):
        offsets[window + 1] = offsets[window] + places[window, 2] - places[window, 1]
    content = np.empty(offsets[-1], dtype=np.uint8)
    for window in range(places.shape[0]):
        content[offsets[window] : offsets[window + 1]] = data[places[window, 1] : places[window, 2]]
    return content, offsets


@kernel
def join_windows(
    places: npt.NDArray[np.int64], seen: npt.NDArray[np.uint16]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    """Windows in the order of their beginnings, those that touch made one."""
    joined, bits = places.copy(), seen.copy()
    count = 0
    for window in range(places.shape[0]):
        if (
            count
            and joined[count - 1, 0] == places[window, 0]
            and places[window, 1] <= joined[count - 1, 2]
        ):
            joined[count - 1, 2] = max(joined[count - 1, 2], places[window, 2])
            bits[count - 1] |= seen[window]
        else:
            joined[count], bits[count] = places[window], seen[window]
            count += 1
    return joined[:count], bits[:count]


@kernel
def move_to_characters(data: Bytes, offsets: Offsets, places: npt.NDArray[np.int64]) -> None:
    """Move the edges of windows outwards, in place, to where characters of UTF-8 begin and end."""
    for window in range(places.shape[0]):
        row = places[window, 0]
        start, stop = places[window, 1], places[window, 2]
        while start > offsets[row] and 0x80 <= data[start] < 0xC0:
            start -= 1
        while stop < offsets[row + 1] and 0x80 <= data[stop] < 0xC0:
            stop += 1
        places[window, 1], places[window, 2] = start, stop
