"""From the bytes of a page to its text: the article without what surrounds it.

    cut         what scripts and styles hold, which nobody reads   (page_scan)
    decode      byte order mark, then the server's word, then the page's own, then detection
    parse       once, by resiliparse
    take out    code and equations, which no extractor may touch   (code_blocks, mathematics)
    extract     fast: resiliparse's main content and the run of its blocks that is the article
                (main_text); precise: what trafilatura agrees on   (extract_precise)
    put back    code and equations                                 (verbatim)

Nothing is remembered from one page to the next: a page gives the same text every time.
"""

import codecs
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5
from resiliparse.parse.html import HTMLTree

from dataprep.pages import code_blocks, mathematics
from dataprep.pages.main_text import article_text, find_article
from dataprep.pages.page_scan import scan, without_unread
from dataprep.pages.verbatim import Passage, mark, restore, without_marks
from dataprep.rights.page_marks import Statement, page_rights

Extractor = Literal["fast", "precise"]

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Share of characters that a declared encoding may fail to decode; above it, it is taken for wrong.
_UNDECODABLE_SHARE_MAX = 0.01
_SELECTOR = f"{code_blocks.SELECTOR}, {mathematics.SELECTOR}"
_CODE_TAGS = frozenset(("pre", "xmp", "listing", "table", "br"))


class Extracted(NamedTuple):
    """The text of a page, and what its markup says of it."""

    text: str
    title: str | None
    language: str | None
    """The `lang` attribute of the page, as it stands there."""
    url: str | None
    """The canonical address, if it is absolute."""
    license: str | None
    """The licence as the page states it: mostly an address."""
    evidence: str | None = None
    """How it states it (`rights.page_marks`)."""
    marks: tuple[str, ...] = ()
    """What it asks of those who would use it (`rights.opt_out`)."""


def extract(
    html: bytes,
    encoding_hint: str | None,
    extractor: Extractor,
    *,
    with_url: bool = True,
    given: Sequence[Statement] = (),
) -> Extracted | str:
    """The article of a page, or the reason why there is none.

    `encoding_hint` is the charset of the HTTP header; `with_url` False leaves out the search for
    the page's address, for a caller who knows it; `given` are licences that the response's headers
    state. Reasons: `no_text`, and `page_too_complex`
    for a page so built that parsing it would take seconds.
    """
    if b"\0" in html:
        # Tags in UTF-16 hold zeros; in every other encoding of the web they are ASCII.
        html, encoding_hint = decode(html, encoding_hint).encode(), "utf-8"
    seen = scan(html)
    if seen.is_too_complex:
        return "page_too_complex"
    html = without_unread(html, seen)
    content = decode(html, encoding_hint)
    tree: Any = HTMLTree.parse(content)
    root = tree.document.document_element if tree.document is not None else None
    if root is None:
        return "no_text"
    url = _canonical(tree) if with_url else None
    rights = page_rights(tree, html, seen, given)
    passages = _take_out(tree) if seen.may_hold_passages else []
    main = _main_content(tree)
    if extractor == "precise":
        # Imported here: it costs a second, which the fast extractor need not wait for.
        from dataprep.pages.extract_precise import precise_text

        text = precise_text(str(tree), find_article(main))
    else:
        text = article_text(main)
    text = restore(text, passages).strip("\n")
    if not text or text.isspace():
        return "no_text"
    title = " ".join(without_marks(tree.title or "").split())
    return Extracted(text, title or None, root.getattr("lang") or None, url, *rights)


def decode(html: bytes, encoding_hint: str | None) -> str:
    """The characters of a page; what its encoding does not allow becomes U+FFFD."""
    for order_mark, encoding in _BYTE_ORDER_MARKS:
        if html.startswith(order_mark):
            return html[len(order_mark) :].decode(encoding, "replace")
    hinted = map_encoding_to_html5(encoding_hint, fallback_utf8=False) if encoding_hint else None
    declared = hinted or detect_encoding(html, max_len=65_536, from_html_meta=True) or "utf-8"
    text = _decode_as(html, declared)
    if text is not None:
        return text
    detected = detect_encoding(html, max_len=65_536) or "utf-8"
    text = _decode_as(html, detected) if detected != declared else None
    return text if text is not None else bytes_to_str(html, detected, errors="replace")


def _decode_as(html: bytes, encoding: str) -> str | None:
    """`html` in an encoding, or None if too much of it is not in that encoding."""
    try:
        return html.decode(encoding)
    except LookupError:
        text = bytes_to_str(html, encoding, errors="replace", fallback_encodings=())
    except UnicodeDecodeError:
        text = html.decode(encoding, "replace")
    share = text.count("\ufffd") / max(1, len(text))
    return text if share <= _UNDECODABLE_SHARE_MAX else None


def _main_content(tree: Any) -> str:
    return extract_plain_text(
        tree,
        preserve_formatting="minimal_html",
        main_content=True,
        alt_texts=False,
        links=True,
        comments=False,
        post_meta=False,
    )


def _canonical(tree: Any) -> str | None:
    """The page's address as it states it."""
    url: str | None = None
    if tree.head is not None:
        for node in tree.head.query_selector_all('link[rel~="canonical"]').values():
            url = url or _absolute(node.getattr("href"))
    return url


def _take_out(tree: Any) -> list[Passage]:
    """Code and equations of a page, in whose places the tree then holds marks."""
    passages: list[Passage] = []
    # `values` is one search; going over the list searches again for every element of it.
    found = tree.document.query_selector_all(_SELECTOR).values()
    has_scripts = any(node.tag == "script" for node in found)
    for node in found:
        if node.tag in _CODE_TAGS or node.matches(".syntaxhighlighter"):
            taken = code_blocks.take_code(node)
        else:
            taken = mathematics.take_equation(node, has_scripts)
        if taken is not None:
            _replace(tree, *taken, passages)
    return passages


def _replace(tree: Any, node: Any, passage: Passage | None, passages: list[Passage]) -> None:
    if passage is None:
        node.remove()
        return
    standing = tree.create_text_node(mark(len(passages)))
    if passage.is_block and node.tag in ("pre", "table", "div"):
        paragraph = tree.create_element("p")
        paragraph.append_child(standing)
        standing = paragraph
    _keep_lists(tree, node)
    figure = node.closest("figure")
    if figure is None:
        node.replace_with(standing)
    else:
        # Some put code into figures, which resiliparse takes for pictures.
        figure.before(standing)
        node.remove()
    passages.append(passage)


def _keep_lists(tree: Any, node: Any) -> None:
    """Make the lists around a passage numbered ones.

    resiliparse leaves out every `ul` near the top of a page, which is a menu more often than not.
    """
    while (bulleted := node.closest("ul")) is not None:
        numbered = tree.create_element("ol")
        for child in bulleted.child_nodes.values():
            numbered.append_child(child)
        bulleted.replace_with(numbered)


def _absolute(address: str | None) -> str | None:
    """An address of the web as it stands in the page, or None for any other."""
    if not address:
        return None
    address = address.strip()
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return address if parts.scheme in ("http", "https") and parts.netloc else None
