# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""Blocks of a page's main content, and which of them are the article. Compiled by numba.

Every block gets a score, its bytes of text outside links less a fixed price, so that prose counts
for and menus, captions and notices against; the article is the run of blocks with the largest sum
(Pasternack and Roth 2009, "Extracting article text from the web with maximum subsequence
segmentation", who score tokens by a classifier; here the score is plain arithmetic, so that it
holds for every language).

The weights were chosen on one half of the pages of ScrapingHub's benchmark; docs/extraction.md has
the figures of both halves, which change little with any of them.
"""

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes
from dataprep.kernel_cache import kernel
from dataprep.text.characters import SPACE
from dataprep.text.text_kernels import decode

# Bytes of text that a block must have to count for the article; a heading always counts against.
BLOCK_PRICE = 30
# For table rows, whose cells are short.
ROW_PRICE = 10
# Worth of a byte outside paragraphs and list items, and in a table row.
BARE_WEIGHT = 0.5
ROW_WEIGHT = 0.5
# What a byte within a link costs.
LINK_WEIGHT = 0.5
# No block costs more: one that is all links must not end an article.
LOSS_MAX = 60
# Within the article, blocks with a larger share of link text are left out,
LINK_SHARE_MAX = 0.8
# and, where paragraphs hold most of the text, bare lines of fewer bytes: captions, buttons, dates.
PARAGRAPH_SHARE = 0.8
BARE_BYTES_MIN = 240
# A run with a smaller share of the page's text is no article: a recipe's steps, a list of goods.
# Then nothing is left out.
ARTICLE_SHARE_MIN = 0.4

HEADING, PARAGRAPH, ITEM, ROW, BARE = range(5)
# Columns of a block: its kind, its text's first byte and end, its bytes outside links and within.
KIND, FIRST, END, PLAIN, LINKED = range(5)
COLUMNS = 5
Table = npt.NDArray[np.int32]

_BREAK = 0x1E  # a line break within a block, until its text is trimmed
_BLANK, _LINE_FEED, _TAB, _DASH = 0x20, 0x0A, 0x09, 0x2D
_LESS, _GREATER, _AND, _QUOTE = 0x3C, 0x3E, 0x26, 0x22


def _bytes(text: bytes) -> Bytes:
    return np.frombuffer(text, np.uint8)


_LINE_BREAK, _P, _LI, _H = (_bytes(tag) for tag in (b"<br>\n", b"<p>", b"<li>", b"<h"))
_LINK, _LINK_END = _bytes(b"<a "), _bytes(b"</a")
_LT, _GT, _AMP, _QUOT = (_bytes(entity) for entity in (b"&lt;", b"&gt;", b"&amp;", b"&quot;"))


@kernel
def _stands(word, markup, at, end):
    """Whether `word` stands at `at`, before `end`."""
    index = 0
    while index < len(word) and at + index < end and markup[at + index] == word[index]:
        index += 1
    return index == len(word)


@kernel
def _line_end(markup, start):
    """Where the line that begins at `start` ends: at a line feed that follows no `<br>`."""
    for at in range(start, len(markup)):
        if markup[at] == _LINE_FEED and not _stands(
            _LINE_BREAK, markup, max(start, at - 4), at + 1
        ):
            return at
    return len(markup)


@kernel
def _trimmed(markup, start, end, classes):
    """Bounds of `markup[start:end]` without the white space around it."""
    while start < end:
        if _stands(_LINE_BREAK, markup, start, end):
            start += 5
            continue
        code, after = decode(markup, start)
        if not classes[code] & SPACE:
            break
        start = after
    while start < end:
        if end - start >= 5 and _stands(_LINE_BREAK, markup, end - 5, end):
            end -= 5
            continue
        before = end - 1
        while before > start and markup[before] & 0xC0 == 0x80:
            before -= 1
        code, _ = decode(markup, before)
        if not classes[code] & SPACE:
            break
        end = before
    return start, end


@kernel
def _kind(markup, start, end):
    """What the line is by the tag that it begins with."""
    if _stands(_P, markup, start, end):
        return PARAGRAPH
    if _stands(_LI, markup, start, end):
        return ITEM
    if _stands(_H, markup, start, end) and end - start > 2 and 0x30 <= markup[start + 2] <= 0x39:
        return HEADING
    for at in range(start + 1, end):
        if markup[at] == _TAB and markup[at - 1] == _TAB:
            return ROW
    return BARE


@kernel
def _entity(markup, at, end):
    """The character that stands at `at`, an ampersand, and how many bytes it takes: of entities
    resiliparse writes four."""
    if _stands(_AMP, markup, at, end):
        return _AND, 5
    if _stands(_LT, markup, at, end):
        return _LESS, 4
    if _stands(_GT, markup, at, end):
        return _GREATER, 4
    if _stands(_QUOT, markup, at, end):
        return _QUOTE, 6
    return _AND, 1


@kernel
def _write_text(markup, at, end, texts, size):
    """Write the text of a line to `texts` from `size`; its end there, and its bytes in links."""
    linked = 0
    in_link = False
    while at < end:
        byte = markup[at]
        if byte == _LESS and _stands(_LINE_BREAK, markup, at, end):
            byte, at = np.uint8(_BREAK), at + len(_LINE_BREAK)
        elif byte == _LESS:
            if _stands(_LINK, markup, at, end):
                in_link = True
            elif _stands(_LINK_END, markup, at, end):
                in_link &= at + 3 < end and markup[at + 3] not in (_GREATER, _LESS)
            at += 1
            while at < end and markup[at] != _LESS and markup[at] != _GREATER:
                at += 1
            at += at < end and markup[at] == _GREATER
            continue
        elif byte == _AND:
            character, length = _entity(markup, at, end)
            byte, at = np.uint8(character), at + length
        else:
            at += 1
        texts[size] = byte
        size += 1
        linked += in_link
    return size, linked


@kernel
def cut_blocks(markup, classes, texts, blocks):
    """Cut resiliparse's minimal markup into the blocks that hold text; their number.

    `texts` (uint8, as long as `markup`) gets the texts one after the other, and `blocks` (int32
    [lines, 5]) where they lie there, and what they are.
    """
    number = size = start = 0
    while start < len(markup):
        end = _line_end(markup, start)
        first, last = _trimmed(markup, start, end, classes)
        start = end + 1
        begun = size
        size, linked = _write_text(markup, first, last, texts, size)
        while size > begun and (texts[size - 1] == _BLANK or texts[size - 1] == _BREAK):
            size -= 1
        while begun < size and (texts[begun] == _BLANK or texts[begun] == _BREAK):
            begun += 1
        if begun == size:
            continue
        for at in range(begun, size):
            if texts[at] == _BREAK:
                texts[at] = _LINE_FEED
        linked = min(linked, size - begun)
        blocks[number, KIND] = _kind(markup, first, last)
        blocks[number, FIRST] = begun
        blocks[number, END] = size
        blocks[number, PLAIN] = size - begun - linked
        blocks[number, LINKED] = linked
        number += 1
    return number


@kernel
def _score(kind, plain, linked):
    """What a block adds to the sum of a run that holds it."""
    if kind == HEADING:
        return np.float64(-BLOCK_PRICE)
    if kind == ROW:
        worth = plain * ROW_WEIGHT - ROW_PRICE
    elif kind == BARE:
        worth = plain * BARE_WEIGHT - BLOCK_PRICE
    else:
        worth = np.float64(plain - BLOCK_PRICE)
    return max(worth - linked * LINK_WEIGHT, np.float64(-LOSS_MAX))


@kernel
def largest_run(blocks):
    """Bounds of the run with the largest sum, the first of equals; empty if none is above 0."""
    best = total = 0.0
    first = last = begun = 0
    for index in range(len(blocks)):
        if total <= 0:
            total = 0.0
            begun = index
        total += _score(blocks[index, KIND], blocks[index, PLAIN], blocks[index, LINKED])
        if total > best:
            best, first, last = total, begun, index + 1
    return first, last


@kernel
def choose(blocks, chosen):
    """Set `chosen` (bool [blocks]) where a block is part of the article."""
    first, last = largest_run(blocks)
    everywhere = total = bare = 0
    for index in range(len(blocks)):
        everywhere += blocks[index, PLAIN]
        if first <= index < last:
            total += blocks[index, PLAIN]
            bare += blocks[index, PLAIN] * (blocks[index, KIND] == BARE)
    if total <= ARTICLE_SHARE_MIN * everywhere:
        chosen[:] = True
        return
    in_paragraphs = total - bare >= PARAGRAPH_SHARE * total
    chosen[:] = False
    for index in range(first, last):
        num_bytes = blocks[index, PLAIN] + blocks[index, LINKED]
        is_caption = blocks[index, KIND] == BARE and num_bytes < BARE_BYTES_MIN
        in_links = blocks[index, LINKED] / num_bytes > LINK_SHARE_MAX
        chosen[index] = not in_links and not (in_paragraphs and is_caption)


@kernel
def join(texts, blocks, chosen, out):
    """Write the chosen blocks' text into `out` (uint8) as `main_text.joined` joins them; its size,
    at most that of `texts` and four bytes a block."""
    size = 0
    before = -1
    for index in range(len(blocks)):
        if not chosen[index]:
            continue
        kind = blocks[index, KIND]
        if before >= 0:
            is_close = kind == before and kind in (ITEM, ROW, BARE)
            for _ in range(1 if is_close else 2):
                out[size] = _LINE_FEED
                size += 1
        if kind == ITEM:
            out[size], out[size + 1] = _DASH, _BLANK
            size += 2
        at, end = blocks[index, FIRST], blocks[index, END]
        while at < end:
            out[size] = texts[at]
            size += 1
            is_pair = texts[at] == _TAB and at + 1 < end and texts[at + 1] == _TAB
            at += 2 if kind == ROW and is_pair else 1
        before = kind
    return size
