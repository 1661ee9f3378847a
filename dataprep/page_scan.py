"""What a page's bytes tell before it is parsed: whether it is safe to parse, and what may be in it.

Two things in lexbor and resiliparse grow with a square (measured 2026-11-23): attributes of one tag
are compared with one another (200,000 of them: above 20 s), and the links below a `div` are counted
again for every `div` around it (100,000 within one another: above 20 s). No real page comes near.

The same scan, 0.5 ns a byte, says whether tags name code, equations or a licence, so that a page
without them (nearly every one) is not searched for what it does not have.
"""

from typing import NamedTuple

import numpy as np

from dataprep.arrow_buffers import Bytes
from dataprep.kernel_cache import kernel

ATTRIBUTES_MAX = 8_192
# Depth of elements times bytes of the page.
DEPTH_BYTES_MAX = 1 << 30


class Scan(NamedTuple):
    """What was found; all of it may be too much, none of it too little."""

    is_too_complex: bool
    """Whether parsing or extracting the page would take seconds."""
    may_hold_passages: bool
    """Whether code or equations may be in it."""
    may_state_license: bool
    """Whether a link may be a licence's."""


def scan(html: bytes) -> Scan:
    """Look over the bytes of a page in UTF-8."""
    attributes, depth, passages, license = scan_tags(np.frombuffer(html, np.uint8))
    too_complex = attributes > ATTRIBUTES_MAX or depth * len(html) > DEPTH_BYTES_MAX
    return Scan(too_complex, passages, license)


def _packed(text: str) -> int:
    """Up to four characters as a number, the last one in the lowest byte."""
    value = 0
    for character in text:
        value = value << 8 | ord(character)
    return value


_FOUR_BYTES = 0xFFFFFFFF
# Names of tags that do not nest: what follows them is not within them.
_P, _BR, _HR, _LI = (_packed(name) for name in ("p", "br", "hr", "li"))
_IMG, _META, _LINK, _NPUT = (_packed(name) for name in ("img", "meta", "link", "nput"))
_TD, _TR, _TH, _DD, _DT = (_packed(name) for name in ("td", "tr", "th", "dd", "dt"))
_TION = _packed("tion")  # of option
# Tags of code, and what stands in the attributes of code and equations: pre and code, xmp, listing,
# math, mjx-container, math/tex, mathjax, katex, latex, class="tex", blob-code.
_PRE, _CODE, _XMP, _STIN = (_packed(name) for name in ("pre", "code", "xmp", "stin"))
_MATH, _MJX, _ATEX, _TEX = (_packed(name) for name in ("math", "mjx-", "atex", 'tex"'))
# License or licence.
_BLOB, _ICEN = (_packed(name) for name in ("blob", "icen"))


@kernel
def scan_tags(html: Bytes) -> tuple[int, int, bool, bool]:
    """Most attributes in a tag, most tags open at once, and whether passages or a licence may be.

    Attributes are words outside quotes; open are tags begun less tags ended. Words are compared
    without regard to case, by their last four bytes.
    """
    end = len(html)
    most = depth = deepest = 0
    passages = license = False
    at = 0
    while at < end:
        if html[at] != 60:  # <
            at += 1
            continue
        at += 1
        if at >= end:
            break
        first = html[at]
        if first == 47:  # </
            depth = max(0, depth - 1)
            at += 1
            continue
        if not 97 <= first | 32 <= 122:
            continue
        window = 0
        while at < end and html[at] > 32 and html[at] != 62 and html[at] != 47:
            window = (window << 8 | html[at] | 32) & _FOUR_BYTES
            if window == _MJX:
                passages = True
            at += 1
        if window in (_PRE, _CODE, _XMP, _STIN, _MATH):
            passages = True
        is_flat = window in (_P, _BR, _HR, _LI, _IMG, _META, _LINK, _NPUT)
        if not is_flat and window not in (_TD, _TR, _TH, _DD, _DT, _TION):
            depth += 1
            deepest = max(deepest, depth)
        attributes = 0
        in_word = False
        while at < end:
            byte = html[at]
            if byte == 62:  # >
                break
            if byte in (34, 39) and html[at - 1] in (61, 32, 9, 10, 12, 13):
                at += 1
                while at < end and html[at] != byte:
                    window = (window << 8 | html[at] | 32) & _FOUR_BYTES
                    passages |= window in (_MATH, _ATEX, _BLOB)
                    license |= window == _ICEN
                    at += 1
                passages |= (window << 8 | 34) & _FOUR_BYTES == _TEX
                in_word = False
            elif byte <= 32 or byte == 47:
                in_word = False
            elif byte == 61:
                window = 0
            else:
                window = (window << 8 | byte | 32) & _FOUR_BYTES
                passages |= window in (_MATH, _ATEX, _BLOB)
                license |= window == _ICEN
                if not in_word:
                    attributes += 1
                    in_word = True
            at += 1
        most = max(most, attributes)
    return most, deepest, passages, license
