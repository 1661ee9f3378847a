"""The article among the blocks of a page: the same as by a reference in plain Python."""

import re
from collections.abc import Iterator
from html import unescape

from hypothesis import example, given
from hypothesis import strategies as st

from dataprep.pages import main_text_kernels as weights
from dataprep.pages.main_text import (
    Block,
    Kind,
    article_text,
    find_article,
    has_equation,
    joined,
    read_blocks,
)  # fmt: skip

BREAK = "\x1e"
LINES = st.sampled_from(
    [
        "<p>word</p>", "<p>" + "word " * 30 + "</p>", "<p>" + "水车转动" * 20 + "</p>", "bare",
        "<h2>head</h2>", "bare " * 60, "a\t\tb", "\ta &amp; b\t\tc\u3000", "", "<hr>", "\xa0",
        '<p><a href="x">link</a></p>', "  <li>item</li>", "<li>" + "an item " * 9 + "</li>",
        "<ul>", "</ul>", "<p>x<br>\ny</p>", "<br>", "<br>\n<br>", "<pre>a  b", "</pre>", "$x^2$",
        '<h1>a <a href="y?a=1&amp;b">l<b>in</b>k</a> &lt;b&gt; &quot;c&quot;</h1>', "\ufdd00\ufdd1",
        '<p><a href="x">' + "a link " * 20 + "</a> so</p>", "&amp;lt; &ampl; &", "<a ", "</a",
        "<p>é\u2028</p>", "\x1e \x1c", "<p> <br>\n </p>", "</article>",
    ]
)  # fmt: skip


def blocks_of(markup: str) -> Iterator[Block]:
    """What `read_blocks` promises, line by line."""
    for line in markup.replace("<br>\n", BREAK).split("\n"):
        line = line.strip()
        texts, linked, in_link = [], 0, False
        for index, piece in enumerate(line.split("<")):
            tag, _, text = piece.partition(">") if index else ("", "", piece)
            in_link = (in_link or tag.startswith("a ")) and tag != "/a"
            text = re.sub("&(?:lt|gt|amp|quot);", lambda entity: unescape(entity[0]), text)
            linked += len(text.encode()) if in_link else 0
            texts.append(text)
        text = "".join(texts).strip(" " + BREAK)
        if text:
            size = len(text.encode())
            linked = min(linked, size)
            yield Block(kind_of(line), text.replace(BREAK, "\n"), size - linked, linked)


def kind_of(line: str) -> Kind:
    if line.startswith("<p>"):
        return "paragraph"
    if line.startswith("<li>"):
        return "item"
    if re.match("<h[0-9]", line):
        return "heading"
    return "row" if "\t\t" in line else "bare"


def worth(block: Block) -> float:
    """The score of a block."""
    if block.kind == "heading":
        return -weights.BLOCK_PRICE
    weight = {"row": weights.ROW_WEIGHT, "bare": weights.BARE_WEIGHT}.get(block.kind, 1)
    price = weights.ROW_PRICE if block.kind == "row" else weights.BLOCK_PRICE
    score = weight * block.plain_bytes - price - weights.LINK_WEIGHT * block.link_bytes
    return max(score, -weights.LOSS_MAX)


def article_of(blocks: list[Block]) -> list[Block]:
    """The run with the largest sum of all runs, by trying each; then what it leaves out."""
    bounds = [(i, j) for i in range(len(blocks)) for j in range(i + 1, len(blocks) + 1)]
    scores = [worth(block) for block in blocks]
    best = max((sum(scores[i:j]) for i, j in bounds), default=0)
    first, last = 0, 0
    if best > 0:
        first, last = min((b for b in bounds if sum(scores[b[0] : b[1]]) == best),
                          key=lambda b: (b[1], -b[0]))  # fmt: skip
    run = blocks[first:last]
    total = sum(block.plain_bytes for block in run)
    if total <= weights.ARTICLE_SHARE_MIN * sum(block.plain_bytes for block in blocks):
        return blocks
    bare = sum(block.plain_bytes for block in run if block.kind == "bare")
    no_captions = total - bare >= weights.PARAGRAPH_SHARE * total

    def belongs(block: Block) -> bool:
        size = block.plain_bytes + block.link_bytes
        is_caption = no_captions and block.kind == "bare" and size < weights.BARE_BYTES_MIN
        return block.link_bytes / size <= weights.LINK_SHARE_MAX and not is_caption

    return [block for index, block in enumerate(blocks)
            if block.is_kept or (first <= index < last and belongs(block))]  # fmt: skip


@given(st.lists(LINES, max_size=24))
@example(["<br>", "a"])
def test_blocks_are_those_of_the_reference(lines: list[str]) -> None:
    markup = "\n".join(lines)
    assert read_blocks(markup) == list(blocks_of(markup))


@given(st.text("<>abr/ph1li&;ltgmpquo \t\n\x1e\xa0水", max_size=60))
def test_blocks_of_any_text_are_those_of_the_reference(markup: str) -> None:
    assert read_blocks(markup) == list(blocks_of(markup))


@given(st.lists(LINES, max_size=24))
def test_the_article_is_the_largest_run(lines: list[str]) -> None:
    blocks = read_blocks("\n".join(lines))
    article = find_article("\n".join(lines))
    assert article == article_of(blocks)
    assert not blocks or joined(article)
    assert article_text("\n".join(lines)) == joined(article)


def test_a_page_of_short_lines_alone_is_kept_whole() -> None:
    markup = "\n".join(f"line {number}" for number in range(50))
    assert joined(find_article(markup)) == markup


def test_blocks_are_joined_by_what_they_are() -> None:
    blocks = read_blocks("<h1>a</h1>\n<li>b</li>\n<li>c</li>\n<p>d<br>\ne</p>\nf\t\tg\nh\t\ti")
    assert joined(blocks) == "a\n\n- b\n- c\n\nd\ne\n\nf\tg\nh\ti"


@given(st.text("<>abr/ph1li&;ltgmpquo \t\n\x1e\xa0水-$", max_size=60))
def test_the_text_of_any_article_is_its_blocks_joined(markup: str) -> None:
    assert article_text(markup) == joined(find_article(markup))


def test_where_an_equation_is_seen() -> None:
    assert has_equation(r"so \(x\) is") and has_equation("$x^2$ is") and has_equation("$$a=b$$")
    assert not has_equation("from $5 to $10") and not has_equation(r"C:\temp")
