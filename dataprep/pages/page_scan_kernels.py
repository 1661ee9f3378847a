# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""One pass over the bytes of a page, tag by tag (`page_scan` says what for). Compiled by numba."""

import numpy as np
from numba import types

from dataprep.arrow_buffers import Bytes
from dataprep.kernel_cache import kernel


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
_SVG = _packed("svg")
_RIPT, _TYLE, _CRIP = (_packed(name) for name in ("ript", "tyle", "crip"))
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
# What such a meta may ask: noai and noml, noimageai, noindex, none, nosnippet, noarchive, nocache,
# nofollow. Most of them only say `index, follow`.
_NOAI, _NOML, _NOIM, _NOIN, _NONE = (
    _packed(name) for name in ("noai", "noml", "noim", "noin", "none")
)
_NOSN, _NOAR, _NOCA, _NOFO = (_packed(name) for name in ("nosn", "noar", "noca", "nofo"))

# What a byte within a tag is. Four bytes are compared only where the last of them can be the last
# of a word that is looked for: in any tag, or in a meta or a script's tag only.
_LAST, _LAST_IN_META, _SPACE, _QUOTE, _END = 1, 2, 4, 8, 16


def _kinds() -> Bytes:
    kinds = np.zeros(256, np.uint8)
    for letters, kind in (("hxbno", _LAST), ("hjt-drilbeam", _LAST_IN_META)):
        for letter in letters + letters.upper():
            kinds[ord(letter)] |= kind
    kinds[:33] = _SPACE
    kinds[ord("/")] = _SPACE
    kinds[[ord("'"), ord('"')]] = _QUOTE
    kinds[ord(">")] = _END
    return kinds


_KINDS = _kinds()
# Of libc: it looks at 32 bytes at once.
_memchr = types.ExternalFunction("memchr", types.uintp(types.uintp, types.intc, types.uintp))


@kernel
def _next(html, byte, at):
    """Where `byte` stands next, from `at` on; the end if nowhere."""
    begin, end = np.uint64(html.ctypes.data), np.uint64(len(html))
    found = np.uint64(_memchr(begin + at, byte, end - at))
    return found - begin if found else end


@kernel
def _four(html, at):
    """The four bytes that end at `at`, of letters the small ones; 0 near the beginning."""
    if at < 4:
        return np.uint32(0)
    word = np.uint32(0)
    for place in range(4):
        byte = html[at - np.uint64(3 - place)]
        word = np.uint32(word << np.uint32(8) | np.uint32(byte | 32))
    return word


@kernel
def _is_mark(window):
    """Whether the last bytes of a meta's attribute are of a name under which marks stand."""
    return (
        window & _THREE_BYTES == _BOT
        or window in (_NDED, _IDER, _AGENT, _C_AI, _E_AI)
        or window in (_MGIL, _AWLE, _WEB)
    )


@kernel
def _asks(window):
    """Whether the last bytes of a meta's attribute begin a wish to be left out."""
    return window in (_NOAI, _NOML, _NOIM, _NOIN, _NONE) or window in (_NOSN, _NOAR, _NOCA, _NOFO)


@kernel
def _ends_another(html, at):
    """Whether `</` before `at` ends an element in which `<script>` is mere text: title, textarea,
    xmp, iframe, noembed, noframes; or one whose name begins as theirs."""
    first, second = html[at] | 32, html[at + np.uint64(1)] | 32
    return (
        (first == 116 and (second == 105 or second == 101))
        or (first == 120 and second == 109)
        or (first == 105 and second == 102)
        or (first == 110 and second == 111)
    )


@kernel
def _enter(html, first, end, ending, unread, number):
    """Enter the script or style that began at `first`, if `</script` or `</style` (`ending`: its
    bytes 4 to 7) stands at `end` and nothing between that may end what is around it; the number
    of `unread` then."""
    one, two = np.uint64(1), np.uint64(2)
    if first == 0 or number == len(unread) or end + np.uint64(6) >= len(html):
        return number
    if _four(html, end + np.uint64(6)) != ending:
        return number
    for at in range(first + two, end):
        if html[at] == 62 and html[at - one] == 45 and html[at - two] == 45:  # -->
            return number
        if html[at - one] == 47 and html[at - two] == 60 and _ends_another(html, at):
            return number
    unread[number, 0] = first
    unread[number, 1] = end
    return number + 1


@kernel
def _is_in_text(html, at):
    """Whether what is before `at` is no tag that goes on."""
    while at > 0:
        at -= np.uint64(1)
        if html[at] == 62 or html[at] == 60:
            return html[at] == 62
    return True


@kernel
def scan_tags(html, unread):
    """Most attributes in a tag, most tags open at once, whether there may be passages, a licence,
    one in embedded data, and marks, and how many pieces were entered in `unread`
    (int64 [pieces, 2]).

    Attributes are words outside quotes; open are tags begun less tags ended. Words are compared
    without regard to case, by their last four bytes.
    """
    # Unsigned places: an index is then never asked whether it counts from the end.
    end, one = np.uint64(len(html)), np.uint64(1)
    at = np.uint64(0)
    most = depth = deepest = 0
    passages = license = in_data = marks = in_script = False
    # Within svg and math a script may hold tags.
    num_pictures = number = 0
    has_math = in_style = False
    begun = np.uint64(0)  # where the script or style began that may be cut out; 0: none
    ending = np.uint32(_CRIP)
    while True:
        at = _next(html, 60, at) + one  # <
        if at >= end:
            break
        if html[at] == 47:  # </
            depth = max(0, depth - 1)
            at += one
            if at < end and html[at] | 32 == 115:  # s
                number = _enter(html, begun, at - np.uint64(2), ending, unread, number)
                in_script = False
                begun = np.uint64(0)
                if at + one < end and html[at + one] | 32 == 118:  # v
                    num_pictures = max(0, num_pictures - 1)
                if at + np.uint64(4) < end and _four(html, at + np.uint64(4)) == _TYLE:
                    in_style = False
            continue
        if html[at] == 33:  # <!
            begun = np.uint64(0)
        if not 97 <= html[at] | 32 <= 122:
            continue
        start = at - one
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
        is_script = begins_with_s and name == _RIPT
        is_style = begins_with_s and name == _TYLE
        if is_script or is_style:
            begun = np.uint64(0)
        num_pictures += name == _SVG
        has_math |= name == _MATH
        may_begin = (
            (is_script or is_style)
            and not (in_script or in_style or has_math or num_pictures)
            and _is_in_text(html, start)
        )
        if in_script:
            looked_for = np.uint8(0)
        elif is_meta or name == _RIPT:
            looked_for = np.uint8(_LAST | _LAST_IN_META)
        else:
            looked_for = np.uint8(_LAST)
        named = is_data = in_word = expects_value = may_mark = asks = False
        attributes = 0
        quote = np.uint8(0)
        while at < end:
            byte = html[at]
            kind = _KINDS[byte]
            if kind & looked_for:
                window = _four(html, at)
                named |= window in (_MATH, _ATEX, _BLOB)
                license |= window & _LAST_BITS_OFF == _ICDN
                if looked_for & _LAST_IN_META:
                    is_data |= window == _LDJ
                    license |= is_meta and window == _RIGH
                    marks |= is_meta and window == _TDM
                    may_mark |= _is_mark(window)
                    asks |= _asks(window)
            if quote:
                if byte == quote:
                    quote = np.uint8(0)
                    expects_value = False
                    if looked_for and _four(html, at) == _TEX:
                        named = True
            elif kind < _SPACE:
                attributes += not in_word and byte != 61  # =
                in_word |= byte != 61
                expects_value = byte == 61
            elif kind == _SPACE:
                in_word = False
                expects_value &= byte != 47
                if byte == 47 and html[at - one] == 60:  # </
                    number = _enter(html, begun, at - one, ending, unread, number)
                    in_script = False
                    begun = np.uint64(0)
            elif kind == _END:
                break
            elif expects_value:
                quote = byte
                in_word = False
            else:
                attributes += not in_word
                in_word = True
            at += one
        most = max(most, attributes)
        passages |= named
        marks |= is_meta and may_mark and asks
        if may_begin and not named and not is_data:
            begun = at + one
            ending = np.uint32(_TYLE) if is_style else np.uint32(_CRIP)
        if is_data:  # no tag can begin in a script, but its end
            while at < end and not (html[at] == 60 and at + one < end and html[at + one] == 47):
                in_data |= html[at] | 32 == 110 and _four(html, at) == _ICEN
                at += one
        elif is_script:
            in_script = True
        elif is_style:
            in_script = in_style = True
    return most, deepest, passages, license, in_data, marks, number
