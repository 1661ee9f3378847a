"""What a page's bytes tell before it is parsed: whether it is safe to parse, and what may be in it.

Two things in lexbor and resiliparse grow with a square (measured 2026-11-23): attributes of one tag
are compared with one another (200,000 of them: above 20 s), and the links below a `div` are counted
again for every `div` around it (100,000 within one another: above 20 s). No real page comes near.

The same scan, 0.5 ns a byte, says whether tags name code, equations, a licence or a wish to be left
out, and whether embedded data (JSON-LD) may state a licence, so that a page without them (nearly
every one) is not searched for what it does not have.
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
    """Whether a link may be a licence's, or a meta may speak of rights."""
    may_state_in_data: bool
    """Whether JSON-LD may name a licence."""
    may_hold_marks: bool
    """Whether a meta may ask to be left out (`rights.opt_out`)."""


def scan(html: bytes) -> Scan:
    """Look over the bytes of a page, in an encoding whose tags are ASCII."""
    found = scan_tags(np.frombuffer(html, np.uint8))
    attributes, depth, passages, license, in_data, marks = found
    too_complex = attributes > ATTRIBUTES_MAX or depth * len(html) > DEPTH_BYTES_MAX
    return Scan(too_complex, passages, license, in_data, marks)


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
# License or licence; publicdomain in an address; rights and copyright in a meta; ld+json.
_BLOB, _ICEN, _ICDN = (_packed(name) for name in ("blob", "icen", "icdn"))
# icen and icdo are icdn but for the last bits of two bytes: one comparison for both.
_LAST_BITS_OFF = 0xFFFFFEFE
_RIGH, _LDJ, _RIPT = (_packed(name) for name in ("righ", "ld+j", "ript"))
# In a meta: robots and names that end in bot; tdm-reservation; google-extended, bytespider,
# meta-externalagent, anthropic-ai, cohere-ai, omgili, cohere-training-data-crawler.
_THREE_BYTES = 0xFFFFFF
_BOT, _TDM, _NDED, _IDER = (_packed(name) for name in ("bot", "tdm-", "nded", "ider"))
_AGENT, _C_AI, _E_AI, _MGIL = (_packed(name) for name in ("gent", "c-ai", "e-ai", "mgil"))
_AWLE, _WEB = (_packed(name) for name in ("awle", "-web"))


@kernel
def _is_mark(window: int) -> bool:
    """Whether the last bytes of a meta's attribute are of a name under which marks stand."""
    return (
        window & _THREE_BYTES == _BOT
        or window in (_TDM, _NDED, _IDER, _AGENT, _C_AI, _E_AI)
        or window in (_MGIL, _AWLE, _WEB)
    )


@kernel
def scan_tags(html: Bytes) -> tuple[int, int, bool, bool, bool, bool]:
    """Most attributes in a tag, most tags open at once, and whether there may be passages, a
    licence, one in embedded data, and marks.

    Attributes are words outside quotes; open are tags begun less tags ended. Words are compared
    without regard to case, by their last four bytes.
    """
    end = len(html)
    most = depth = deepest = 0
    passages = license = in_data = marks = False
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
        is_meta = window == _META
        is_special = is_meta or window == _RIPT
        is_data = False
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
                    license |= window & _LAST_BITS_OFF == _ICDN
                    if is_special:
                        is_data |= window == _LDJ
                        license |= is_meta & (window == _RIGH)
                        marks |= is_meta & _is_mark(window)
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
                license |= window & _LAST_BITS_OFF == _ICDN
                if is_special:
                    is_data |= window == _LDJ
                    license |= is_meta & (window == _RIGH)
                    marks |= is_meta & _is_mark(window)
                if not in_word:
                    attributes += 1
                    in_word = True
            at += 1
        most = max(most, attributes)
        if is_data:  # no tag can begin in a script, but its end
            while at < end and not (html[at] == 60 and at + 1 < end and html[at + 1] == 47):
                window = (window << 8 | html[at] | 32) & _FOUR_BYTES
                in_data |= window == _ICEN
                at += 1
    return most, deepest, passages, license, in_data, marks
