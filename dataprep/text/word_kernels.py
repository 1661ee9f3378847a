"""From text to words: where each begins and ends, and what it is made of. Compiled by numba.

The words are those that the published thresholds were set with: the English rules of spaCy 3.8, as
datatrove uses them (FineWeb: Penedo et al. 2024), written anew as one pass over the bytes. A run
without white space gives up the signs at its edges, one word each; what is left is cut at `...`, at
a hyphen or comma between letters, at a full stop between a small and a capital letter, at one of
`:<>=/` before a letter, and before n't, 's, 'll and the like. A Han or kana character is a word by
itself. An address (with `://` or `www.`) stays whole. What spaCy knows beyond that (smileys, most
of its 1,300 special cases) is left out; docs/dataprep.md has how often the words differ.
"""

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes
from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import Hashes, Places, Table, decode
from dataprep.text.word_characters import (
    ALONE,
    ALPHABETIC,
    BLANK,
    CURRENCY,
    DIGIT,
    EDGE,
    ICON,
    LOWER,
    PLAIN,
    QUOTE,
    UPPER,
)

_STOP = ord(".")
_APOSTROPHE = ord("'")
_CURLY_APOSTROPHE = ord("’")
_ELLIPSIS = ord("…")
_PLUS = ord("+")
_COMMA = ord(",")
_OPERATORS = (ord("+"), ord("-"), ord("*"), ord("^"))
_HYPHENS = (ord("-"), ord("–"), ord("—"), ord("~"))
_JOINTS = (ord(":"), ord("<"), ord(">"), ord("="), ord("/"))

# Abbreviations whose full stop stays; a single letter's does as well.
_ABBREVIATIONS = """
Adm. Ala. Apr. Ariz. Ark. Aug. Bros. Calif. Co. Colo. Conn. Corp. Dec. Del. Dr. Feb. Fla. Ga. Gen.
Gov. Ill. Inc. Ind. Jan. Jr. Jul. Jun. Kan. Kans. Ky. La. Ltd. Mar. Mass. Md. Mich. Minn. Miss. Mo.
Mont. Mr. Mrs. Ms. Mt. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. Ph.D. Prof. Rep. Rev. Sen. Sep. St.
Tenn. Va. Wash. Wis. Sept. a.m. co. e.g. i.e. p.m. v.s. vs. E.g. I.e.
"""
_UNITS = """
km m dm cm mm ha nm yd in ft kg g mg t lb oz kmh mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K am
pm
"""
_PACKED_BYTES_MAX = 8


def _packed(words: str) -> npt.NDArray[np.uint64]:
    values = [int.from_bytes(word.encode(), "big") for word in words.split()]
    return np.array(sorted(values), dtype=np.uint64)


ABBREVIATIONS = _packed(_ABBREVIATIONS)
UNITS = _packed(_UNITS)


@kernel
def _contains(words: Hashes, data: Bytes, start: int, end: int) -> bool:
    """Whether the few bytes `data[start:end]` are one of `words` (packed, ascending)."""
    if end - start > _PACKED_BYTES_MAX:
        return False
    value = np.uint64(0)
    for index in range(start, end):
        value = value << np.uint64(8) | np.uint64(data[index])
    place = np.searchsorted(words, value)
    return bool(place < words.shape[0] and words[place] == value)


@kernel
def _before(data: Bytes, start: int, position: int) -> tuple[int, int]:
    """The code point before `position` and where it begins; 0 and `start` if there is none."""
    if position <= start:
        return 0, start
    position -= 1
    while position > start and data[position] & 0xC0 == 0x80:
        position -= 1
    return decode(data, position)[0], position


@kernel
def _is_address(data: Bytes, start: int, end: int) -> bool:
    for index in range(start, end - 3):
        if data[index] == 58 and data[index + 1] == 47 and data[index + 2] == 47:
            return index > start
    if end - start < 8:
        return False
    return bool(
        data[start] | 32 == 119
        and data[start + 1] | 32 == 119
        and data[start + 2] | 32 == 119
        and data[start + 3] == _STOP
    )


@kernel
def _stop_is_split(data: Bytes, start: int, stop: int, table: Table) -> bool:
    """Whether the full stop at byte `stop`, the last of `data[start:stop + 1]`, is a word."""
    code, place = _before(data, start, stop)
    if place == stop:
        return False
    if _contains(ABBREVIATIONS, data, start, stop + 1):
        return False
    flags = int(table[code])
    if place == start and flags & LOWER != 0:
        return False  # a single letter
    if flags & (LOWER | DIGIT | EDGE) != 0 or code == _PLUS or code == 45 or code == 0xB2:
        return True
    if flags & UPPER == 0:
        return False
    earlier, _ = _before(data, start, place)
    return place > start and int(table[earlier]) & UPPER != 0


@kernel
def _suffix(data: Bytes, start: int, end: int, table: Table) -> int:
    """Where the sign at the end of `data[start:end]` begins that is a word of its own, or `end`."""
    code, place = _before(data, start, end)
    if place == start:
        return end
    flags = int(table[code])
    before, before_place = _before(data, start, place)
    before_flags = int(table[before])
    if code == _STOP:
        first = place
        while first > start and data[first - 1] == _STOP:
            first -= 1
        if first < place:
            return first
        return place if _stop_is_split(data, start, place, table) else end
    if flags & (EDGE | ICON) != 0:
        if flags & CURRENCY != 0 and before_flags & DIGIT == 0:
            return end
        return place
    if code | 32 == 115 and before in (_APOSTROPHE, _CURLY_APOSTROPHE):
        return before_place if before_place > start else end
    if code == _PLUS and before_flags & DIGIT != 0:
        return place
    if flags & ALPHABETIC != 0 and code < 128:
        first = end
        while first > start and end - first < 5 and data[first - 1] | 32 >= 97 and (
            data[first - 1] | 32 <= 122
        ):  # fmt: skip
            first -= 1
        if first > start and 48 <= data[first - 1] <= 57 and _contains(UNITS, data, first, end):
            return first
    return end


@kernel
def _clitic(data: Bytes, start: int, end: int) -> int:
    """Where n't, 'll, 're, 've, 'd or 'm begins at the end of a word, or `end`."""
    if end - start < 3:
        return end
    last = data[end - 1] | 32
    for width in (1, 3):  # bytes of the apostrophe
        for letters in (1, 2):
            mark = end - letters - width
            if mark <= start:
                continue
            if width == 1 and data[mark] != _APOSTROPHE:
                continue
            if width == 3 and (data[mark] != 0xE2 or data[mark + 1] != 0x80
                               or data[mark + 2] != 0x99):  # fmt: skip
                continue
            if letters == 1:
                if last == 116 and data[mark - 1] | 32 == 110:
                    return mark - 1 if mark - 1 > start else end
                if last == 100 or last == 109:
                    return mark
            else:
                first = data[end - 2] | 32
                if (last == 108 and first == 108) or (last == 101 and first in (114, 118)):
                    return mark
    return end


@kernel
def _split_core(
    data: Bytes, start: int, end: int, table: Table, starts: Places, ends: Places, count: int
) -> int:
    """Write the words of a run without signs at its edges; returns the new count."""
    if start >= end:
        return count
    if _is_address(data, start, end):
        starts[count] = start
        ends[count] = end
        return count + 1
    tail = _clitic(data, start, end)
    begin = start
    position = start
    before = 0
    while position < tail:
        code, following = decode(data, position)
        flags = int(table[code])
        stop = following
        cut = False
        if code == _ELLIPSIS or flags & (ALONE | ICON) != 0:
            cut = True
        elif position > start and flags & PLAIN == 0 and following < tail:
            after = int(table[decode(data, following)[0]])
            earlier = int(table[before])
            if code == _STOP and data[following] == _STOP:
                while stop < tail and data[stop] == _STOP:
                    stop += 1
                cut = True
            elif code == _STOP:
                cut = earlier & (LOWER | QUOTE) != 0 and after & (UPPER | QUOTE) != 0
            elif code == _COMMA:
                cut = earlier & ALPHABETIC != 0 and after & ALPHABETIC != 0
            elif code in _HYPHENS:
                if code == 45:
                    while stop < tail and data[stop] == 45 and stop - position < 3:
                        stop += 1
                    if stop < tail:
                        after = int(table[decode(data, stop)[0]])
                cut = earlier & (ALPHABETIC | DIGIT) != 0 and after & ALPHABETIC != 0
                if code == 45 and earlier & DIGIT != 0 and after & DIGIT != 0:
                    cut = stop == following
            elif code in _OPERATORS:
                cut = earlier & DIGIT != 0 and (after & DIGIT != 0 or data[following] == 45)
            elif code in _JOINTS:
                cut = earlier & (ALPHABETIC | DIGIT) != 0 and after & ALPHABETIC != 0
        if cut:
            if position > begin:
                starts[count] = begin
                ends[count] = position
                count += 1
            starts[count] = position
            ends[count] = stop
            count += 1
            begin = stop
        before = code
        position = stop if cut else following
    if tail > begin:
        starts[count] = begin
        ends[count] = tail
        count += 1
    if end > tail:
        starts[count] = tail
        ends[count] = end
        count += 1
    return count


@kernel
def _split_run(
    data: Bytes, start: int, end: int, table: Table, starts: Places, ends: Places, count: int
) -> int:
    """Write the words of a run without white space; returns the new count."""
    # Signs at its beginning.
    while start < end:
        code, following = decode(data, start)
        flags = int(table[code])
        if code == _STOP and start + 1 < end and data[start + 1] == _STOP:
            while following < end and data[following] == _STOP:
                following += 1
        elif code == _PLUS:
            if following < end and 48 <= data[following] <= 57:
                break
        elif flags & (EDGE | ICON) == 0:
            break
        starts[count] = start
        ends[count] = following
        count += 1
        start = following
    # Signs at its end are found from the back, kept at the back, and written after the core.
    core_end = end
    kept = starts.shape[0]
    while core_end > start:
        place = _suffix(data, start, core_end, table)
        if place == core_end:
            break
        kept -= 1
        starts[kept] = place
        core_end = place
    count = _split_core(data, start, core_end, table, starts, ends, count)
    while kept < starts.shape[0]:
        starts[count] = starts[kept]
        kept += 1
        ends[count] = starts[kept] if kept < starts.shape[0] else end
        count += 1
    return count


@kernel
def split_words(
    data: Bytes, start: int, end: int, table: Table, starts: Places, ends: Places
) -> int:
    """Write where the words of `data[start:end]` begin and end; returns their number.

    `data` is valid UTF-8 (uint8), `table` that of `word_characters`. Places (int32) are bytes from
    `start` on. Returns -1 if `starts` and `ends` are too short; twice `end - start` is enough.
    """
    capacity = starts.shape[0]
    view = data[start:end]
    length = end - start
    count = 0
    position = 0
    while position < length:
        byte = view[position]
        if byte == 32 or byte == 10 or (9 <= byte <= 13):
            position += 1
            continue
        run = position
        sign = -1  # the first character that is neither letter nor digit
        digits = 0
        while position < length:
            byte = view[position]
            if byte < 128:
                flags = int(table[byte])
                following = position + 1
            else:
                code, following = decode(view, position)
                flags = int(table[code])
            if flags & BLANK != 0:
                break
            if flags & ALONE != 0:
                # A run ends before such a character, or is that character.
                if position == run:
                    position = following
                break
            digits |= flags & DIGIT
            if sign < 0 and flags & PLAIN == 0:
                sign = position
            position = following
        if count + (1 if sign < 0 else 2 * (position - run)) > capacity:
            return -1
        if sign < 0:
            starts[count] = run
            ends[count] = position
            count += 1 if position > run else 0
        elif sign > run and sign == position - 1 and digits == 0 and (
            view[sign] == _COMMA
            or (view[sign] == _STOP and _stop_is_split(view, run, sign, table))
        ):  # fmt: skip
            # What most runs with a sign are: a word and its comma or full stop.
            starts[count] = run
            ends[count] = sign
            starts[count + 1] = sign
            ends[count + 1] = position
            count += 2
        else:
            count = _split_run(view, run, position, table, starts, ends, count)
        if position < length and position == run:
            # White space that is no ASCII.
            position = decode(view, position)[1]
    return count
