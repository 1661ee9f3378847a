"""What a page's bytes tell before it is parsed: whether it is safe to parse, and what may be in it.

Two things in lexbor and resiliparse grow with a square (measured 2026-11-23): attributes of one tag
are compared with one another (200,000 of them: above 20 s), and the links below a `div` are counted
again for every `div` around it (100,000 within one another: above 20 s). No real page comes near.

The same scan, 1 ns a byte, says whether tags name code, equations, a licence or a wish to be left
out, and whether embedded data (JSON-LD) may state a licence, so that a page without them (nearly
every one) is not searched for what it does not have. Comparisons in scripts look like tags: they
count as tags, since a comment may hold what only seems to begin a script, but name nothing (of 43
pages of 181 that seemed to hold code or equations 33 had only `Math.random()`, 2026-11-27).

Scripts and styles are half of a page's bytes, and no extractor reads them: what they hold is cut
out before it is decoded and parsed (0.35 ms of 2.4 a page, 2026-11-27). Kept are data and TeX, and
those that a parser may end elsewhere: with a comment's beginning or end in them, or another's.
"""

from typing import NamedTuple

import numpy as np

from dataprep.pages.page_scan_kernels import scan_tags

ATTRIBUTES_MAX = 8_192
# Depth of elements times bytes of the page.
DEPTH_BYTES_MAX = 1 << 30
UNREAD_MAX = 512


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
    """Whether a meta may ask to be left out (`rights.opt_out`): by its name and its words."""
    unread: list[list[int]]
    """The first byte and the end of what each script and style holds, but for data and TeX."""


def scan(html: bytes) -> Scan:
    """Look over the bytes of a page, in an encoding whose tags are ASCII."""
    unread = np.empty((UNREAD_MAX, 2), np.int64)
    found = scan_tags(np.frombuffer(html, np.uint8), unread)
    attributes, depth, passages, license, in_data, marks, number = found
    too_complex = attributes > ATTRIBUTES_MAX or depth * len(html) > DEPTH_BYTES_MAX
    return Scan(too_complex, passages, license, in_data, marks, unread[:number].tolist())


def without_unread(html: bytes, seen: Scan) -> bytes:
    """The page without what `scan` saw that nobody reads."""
    pieces: list[bytes] = []
    end = 0
    for first, last in seen.unread:
        pieces.append(html[end:first])
        end = last
    return b"".join((*pieces, html[end:]))
