"""The article in a page's markup: the run of blocks whose text outweighs what surrounds it.

Input is what resiliparse makes of a page's main content: headings, paragraphs, list items and bare
lines, with their links. Which of them are the article is weighed by `main_text_kernels`; code and
equations stay wherever they stand.
"""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes
from dataprep.pages import main_text_kernels as kernels
from dataprep.pages.verbatim import has_mark
from dataprep.text.characters import character_classes

Kind = Literal["heading", "paragraph", "item", "row", "bare"]
_KINDS: tuple[Kind, ...] = ("heading", "paragraph", "item", "row", "bare")


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


def find_article(markup: str) -> list[Block]:
    """The blocks that are the article's, in order.

    `markup` is `extract_plain_text(…, preserve_formatting="minimal_html", links=True)`.
    """
    texts, table = _cut(markup)
    chosen = _chosen(table).tolist()
    return [block for block, is_chosen in zip(_blocks(texts, table), chosen, strict=True)
            if is_chosen or block.is_kept]  # fmt: skip


def article_text(markup: str) -> str:
    """`joined(find_article(markup))`, without its blocks one by one where they need not be asked
    for code and equations."""
    if has_mark(markup) or "$" in markup or "\\" in markup:
        return joined(find_article(markup))
    texts, table = _cut(markup)
    out = np.empty(len(texts) + 4 * len(table), np.uint8)
    size = kernels.join(texts, table, _chosen(table), out)
    return out[:size].tobytes().decode()


def read_blocks(markup: str) -> list[Block]:
    """The blocks of resiliparse's minimal markup that hold any text, in order."""
    return _blocks(*_cut(markup))


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


def has_equation(text: str) -> bool:
    r"""Whether TeX stands in `text`: between `$$`, `\[`, `\(` or `\begin`, or between dollars."""
    if "\\[" in text or "\\(" in text or "\\begin{" in text:
        return True
    if "$" not in text:
        return False
    between = text.split("$")[1:-1]
    return any("\\" in part or "^" in part or "=" in part for part in between)


def _chosen(table: kernels.Table) -> npt.NDArray[np.bool_]:
    """Which blocks are the article's, whatever they hold."""
    chosen = np.empty(len(table), np.bool_)
    kernels.choose(table, chosen)
    return chosen


def _cut(markup: str) -> tuple[Bytes, kernels.Table]:
    """The texts of all blocks, one after the other, and the blocks."""
    content = markup.encode()
    texts = np.empty(len(content), np.uint8)
    table = np.empty((content.count(b"\n") + 1, kernels.COLUMNS), np.int32)
    number = kernels.cut_blocks(np.frombuffer(content, np.uint8), character_classes(), texts, table)
    return texts, table[:number]


def _blocks(texts: Bytes, table: kernels.Table) -> list[Block]:
    content = texts.tobytes()
    return [
        Block(_KINDS[kind], content[first:end].decode(), plain, linked)
        for kind, first, end, plain, linked in table.tolist()
    ]
