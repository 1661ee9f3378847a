"""The article in a page's markup: the run of blocks whose text outweighs what surrounds it.

Input is what resiliparse makes of a page's main content: headings, paragraphs, list items and bare
lines, with their links. Every block gets a score, its bytes of text outside links less a fixed
price, so that prose counts for and menus, captions and notices against; the article is the run of
blocks with the largest sum (Pasternack and Roth 2009, "Extracting article text from the web with
maximum subsequence segmentation", who score tokens by a classifier; here the score is plain
arithmetic, so that it holds for every language). Code and equations stay wherever they stand.

The weights were chosen on one half of the pages of ScrapingHub's benchmark; docs/extraction.md has
the figures of both halves, which change little with any of them.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Literal, NamedTuple

from dataprep.pages.verbatim import has_mark

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

_BREAK = "\x1e"  # a line break within a block, until its text is made

_TAG = re.compile("<[^<>]*>?")

Kind = Literal["heading", "paragraph", "item", "row", "bare"]


class Block(NamedTuple):
    """A piece of the page: its text, and how many bytes of it lie outside and within links."""

    kind: Kind
    text: str
    plain_bytes: int
    link_bytes: int

    @property
    def is_kept(self) -> bool:
        """Whether it holds code or an equation, which no score may remove."""
        return has_mark(self.text) or has_equation(self.text)

    @property
    def link_share(self) -> float:
        """Share of its bytes that lie within links, 0 to 1."""
        return self.link_bytes / (self.plain_bytes + self.link_bytes)


def find_article(markup: str) -> list[Block]:
    """The blocks that are the article's, in order.

    `markup` is `extract_plain_text(…, preserve_formatting="minimal_html", links=True)`.
    """
    blocks = list(read_blocks(markup))
    first, last = _largest_run([_score(block) for block in blocks])
    may_be_kept = has_mark(markup) or "$" in markup or "\\" in markup
    run = blocks[first:last]
    total = sum(block.plain_bytes for block in run)
    if total <= ARTICLE_SHARE_MIN * sum(block.plain_bytes for block in blocks):
        return blocks
    bare = sum(block.plain_bytes for block in run if block.kind == "bare")
    in_paragraphs = total - bare >= PARAGRAPH_SHARE * total
    return [
        block
        for index, block in enumerate(blocks)
        if (may_be_kept and block.is_kept)
        or (first <= index < last and _belongs(block, in_paragraphs))
    ]


def joined(blocks: list[Block]) -> str:
    """The text of blocks: apart by a blank line, items, rows and bare lines by a line feed."""
    parts: list[str] = []
    before: Kind | None = None
    for block in blocks:
        if before is not None:
            close = block.kind == before and before in ("item", "row", "bare")
            parts.append("\n" if close else "\n\n")
        text = block.text
        if block.kind == "row":
            text = text.replace("\t\t", "\t")
        parts.append(f"- {text}" if block.kind == "item" else text)
        before = block.kind
    return "".join(parts)


def read_blocks(markup: str) -> Iterator[Block]:
    """The blocks of resiliparse's minimal markup that hold any text, in order."""
    for line in markup.replace("<br>\n", _BREAK).split("\n"):
        line = line.strip()
        if not line:
            continue
        text, linked = _without_tags(line)
        text = text.strip(" " + _BREAK)
        if not text:
            continue
        num_bytes = len(text) if text.isascii() else len(text.encode())
        linked = min(linked, num_bytes)
        text = text.replace(_BREAK, "\n")
        yield Block(_kind(line), text, num_bytes - linked, linked)


def has_equation(text: str) -> bool:
    r"""Whether TeX stands in `text`: between `$$`, `\[`, `\(` or `\begin`, or between dollars."""
    if "\\[" in text or "\\(" in text or "\\begin{" in text:
        return True
    if "$" not in text:
        return False
    between = text.split("$")[1:-1]
    return any("\\" in part or "^" in part or "=" in part for part in between)


def _kind(line: str) -> Kind:
    if line.startswith("<p>"):
        return "paragraph"
    if line.startswith("<li>"):
        return "item"
    if line.startswith("<h") and line[2:3].isdigit():
        return "heading"
    return "row" if "\t\t" in line else "bare"


def _without_tags(line: str) -> tuple[str, int]:
    """The text of a line of markup, and how many of its bytes lie within links."""
    if "<a " not in line:
        text = _TAG.sub("", line)
        return (unescape(text) if "&" in text else text), 0
    pieces = line.split("<")
    texts = [pieces[0]]
    linked: list[str] = []
    in_link = False
    for piece in pieces[1:]:
        tag, _, text = piece.partition(">")
        if tag.startswith("a "):
            in_link = True
        elif tag == "/a":
            in_link = False
        if in_link:
            linked.append(text)
        texts.append(text)
    text = "".join(texts)
    num_bytes = len(unescape("".join(linked)).encode()) if linked else 0
    return (unescape(text) if "&" in text else text), num_bytes


def _score(block: Block) -> float:
    """What a block adds to the sum of a run that holds it."""
    if block.kind == "heading":
        return -BLOCK_PRICE
    if block.kind == "row":
        worth = block.plain_bytes * ROW_WEIGHT - ROW_PRICE
    elif block.kind == "bare":
        worth = block.plain_bytes * BARE_WEIGHT - BLOCK_PRICE
    else:
        worth = float(block.plain_bytes - BLOCK_PRICE)
    return max(worth - block.link_bytes * LINK_WEIGHT, -LOSS_MAX)


def _largest_run(scores: list[float]) -> tuple[int, int]:
    """Bounds of the run with the largest sum, the first of equals; empty if none is above 0."""
    best, first, last = 0.0, 0, 0
    total, begin = 0.0, 0
    for index, score in enumerate(scores):
        if total <= 0:
            total, begin = 0.0, index
        total += score
        if total > best:
            best, first, last = total, begin, index + 1
    return first, last


def _belongs(block: Block, in_paragraphs: bool) -> bool:
    """Whether a block within the article's run is part of it."""
    if block.link_share > LINK_SHARE_MAX:
        return False
    num_bytes = block.plain_bytes + block.link_bytes
    return not (in_paragraphs and block.kind == "bare" and num_bytes < BARE_BYTES_MIN)
