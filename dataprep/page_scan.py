"""What a page's bytes tell before it is parsed: whether it is safe to parse, and what may be in it.

Two things in lexbor and resiliparse grow with a square (measured 2026-11-23): attributes of one tag
are compared with one another (200,000 of them: above 20 s), and the links below a `div` are counted
again for every `div` around it (100,000 within one another: above 20 s). No real page comes near.

The same scan, 1 ns a byte, says whether tags name code, equations, a licence or a wish to be left
out, and whether embedded data (JSON-LD) may state a licence, so that a page without them (nearly
every one) is not searched for what it does not have. Comparisons in scripts look like tags: they
count as tags, since a comment may hold what only seems to begin a script, but name nothing (of 43
pages of 181 that seemed to hold code or equations 33 had only `Math.random()`, 2026-11-27).
"""

from typing import NamedTuple

import numpy as np

from dataprep.arrow_buffers import Bytes
from dataprep.kernel_cache import kernel

ATTRIBUTES_MAX = 8_192
# Depth of elements times bytes of the page.
DEPTH_BYTES_MAX = 1 << 30


class Scan(NamedTuple):
    """What was found; all of it may be too much. Too little only if tags stand in a script."""

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


# Names of tags that do not nest: what follows them is not within them.
_P, _BR, _HR, _LI = (_packed(name) for name in ("p", "br", "hr", "li"))
_IMG, _META, _LINK, _NPUT = (_packed(name) for name in ("img", "meta", "link", "nput"))
_TD, _TR, _TH, _DD, _DT = (_packed(name) for name in ("td", "tr", "th", "dd", "dt"))
_TION = _packed("tion")  # of option
_RIPT, _TYLE = (_packed(name) for name in ("ript", "tyle"))
# Tags of code, and what stands in the attributes of code and equations: pre and code, xmp, listing,
# math, mjx-container, math/tex, mathjax, katex, latex, class="tex", blob-code.
_PRE, _CODE, _XMP, _STIN = (_packed(name) for name in ("pre", "code", "xmp", "stin"))
_MATH, _MJX, _ATEX, _BLOB, _TEX = (
    _packed(name) for name in ("math", "mjx-", "atex", "blob", 'tex"')
)
# License or licence, publicdomain in an address: icen and icdo are icdn but for the last bits of
# two bytes, so one comparison does for both. Rights and copyright in a meta; ld+json.
_ICEN, _ICDN, _RIGH, _LDJ = (_packed(name) for name in ("icen", "icdn", "righ", "ld+j"))
_LAST_BITS_OFF = 0xFFFFFEFE
# In a meta: robots and names that end in bot; tdm-reservation; google-extended, bytespider,
# meta-externalagent, anthropic-ai, cohere-ai, omgili, cohere-training-data-crawler.
_THREE_BYTES = 0xFFFFFF
_BOT, _TDM, _NDED, _IDER = (_packed(name) for name in ("bot", "tdm-", "nded", "ider"))
_AGENT, _C_AI, _E_AI, _MGIL = (_packed(name) for name in ("gent", "c-ai", "e-ai", "mgil"))
_AWLE, _WEB = (_packed(name) for name in ("awle", "-web"))

# What a byte within a tag is. Four bytes are compared only where the last of them can be the last
# of a word that is looked for: in any tag, or in a meta or a script's tag only.
_LAST, _LAST_IN_META, _SPACE, _QUOTE, _END = 1, 2, 4, 8, 16


def _kinds() -> Bytes:
    kinds = np.zeros(256, np.uint8)
    for letters, kind in (("hxbno", _LAST), ("hjt-drilb", _LAST_IN_META)):
        for letter in letters + letters.upper():
            kinds[ord(letter)] |= kind
    kinds[:33] = _SPACE
    kinds[ord("/")] = _SPACE
    kinds[[ord("'"), ord('"')]] = _QUOTE
    kinds[ord(">")] = _END
    return kinds


_KINDS = _kinds()


@kernel
def _four(html: Bytes, at: int) -> int:
    """The four bytes that end at `at`, of letters the small ones; 0 near the beginning."""
    if at < 4:
        return np.uint32(0)
    word = np.uint32(0)
    for place in range(4):
        byte = html[at - np.uint64(3 - place)]
        word = np.uint32(word << np.uint32(8) | np.uint32(byte | 32))
    return word


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
    # Unsigned places: an index is then never asked whether it counts from the end.
    end, one = np.uint64(len(html)), np.uint64(1)
    at = np.uint64(0)
    most = depth = deepest = 0
    passages = license = in_data = marks = in_script = False
    while at < end:
        if html[at] != 60:  # <
            at += one
            continue
        at += one
        if at >= end:
            break
        if html[at] == 47:  # </
            depth = max(0, depth - 1)
            at += one
            if at < end and html[at] | 32 == 115:  # s
                in_script = False
            continue
        if not 97 <= html[at] | 32 <= 122:
            continue
        begins_with_s = html[at] | 32 == 115  # script, not noscript
        name = np.uint32(0)
        while at < end and html[at] > 32 and html[at] != 62 and html[at] != 47:
            name = np.uint32(name << np.uint32(8) | np.uint32(html[at] | 32))
            if name == _MJX and not in_script:
                passages = True
            at += one
        passages |= not in_script and name in (_PRE, _CODE, _XMP, _STIN, _MATH)
        is_flat = name in (_P, _BR, _HR, _LI, _IMG, _META, _LINK, _NPUT)
        if not is_flat and name not in (_TD, _TR, _TH, _DD, _DT, _TION):
            depth += 1
            deepest = max(deepest, depth)
        is_meta = name == _META
        if in_script:
            looked_for = np.uint8(0)
        elif is_meta or name == _RIPT:
            looked_for = np.uint8(_LAST | _LAST_IN_META)
        else:
            looked_for = np.uint8(_LAST)
        is_data = in_word = False
        attributes = 0
        quote = np.uint8(0)
        while at < end:
            byte = html[at]
            kind = _KINDS[byte]
            if kind & looked_for:
                window = _four(html, at)
                passages |= window in (_MATH, _ATEX, _BLOB)
                license |= window & _LAST_BITS_OFF == _ICDN
                if looked_for & _LAST_IN_META:
                    is_data |= window == _LDJ
                    license |= is_meta and window == _RIGH
                    marks |= is_meta and _is_mark(window)
            if quote:
                if byte == quote:
                    quote = np.uint8(0)
                    passages |= looked_for > 0 and _four(html, at) == _TEX
            elif kind < _SPACE:
                attributes += not in_word and byte != 61  # =
                in_word |= byte != 61
            elif kind == _SPACE:
                in_word = False
                if byte == 47 and html[at - one] == 60:
                    in_script = False
            elif kind == _END:
                break
            elif html[at - one] == 61 or html[at - one] <= 32:
                quote = byte
                in_word = False
            else:
                attributes += not in_word
                in_word = True
            at += one
        most = max(most, attributes)
        if is_data:  # no tag can begin in a script, but its end
            while at < end and not (html[at] == 60 and at + one < end and html[at + one] == 47):
                in_data |= html[at] | 32 == 110 and _four(html, at) == _ICEN
                at += one
        elif begins_with_s and name in (_RIPT, _TYLE):
            in_script = True
    return most, deepest, passages, license, in_data, marks
