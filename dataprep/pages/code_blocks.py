"""Code in a page: its characters as they are, indentation and blank lines too.

Highlighters wrap every token in a span, put lines into rows of a table, and number them in a column
of their own. Here all of that becomes the text that was highlighted: line numbers and buttons go,
what stands for a line end (`br`, a row, a `div` for each line) becomes one.
"""

from typing import Any

from dataprep.pages.verbatim import Passage, without_marks

# Roots of code: the outermost of them is one block.
SELECTOR = (
    "pre, xmp, listing, table.highlight, table.highlighttable, table.rouge-table, "
    "table.js-file-line-container, .syntaxhighlighter, code > br:first-of-type"
)
_ROOTS = (
    "pre, xmp, listing, table.highlight, table.highlighttable, table.rouge-table, "
    "table.js-file-line-container, .syntaxhighlighter"
)
# Classes of what highlighters add: numbers of lines, buttons, captions of their own.
_ADDED_CLASSES = frozenset(
    [
        "gutter",
        "linenos",
        "lineno",
        "linenodiv",
        "linenumber",
        "line-number",
        "line-numbers-rows",
        "lnt",
        "lntd-number",
        "ln",
        "gl",
        "blob-num",
        "hljs-ln-numbers",
        "rouge-gutter",
        "toolbar",
        "copy",
        "copybtn",
        "clipboard-copy",
    ]
)
_ADDED = ", ".join(f".{name}" for name in sorted(_ADDED_CLASSES))
_SKIPPED_TAGS = frozenset(("button", "script", "style", "select", "template"))
_LINE_TAGS = frozenset(("div", "p", "li", "tr"))
_CODE_INSIDE = "code, samp, kbd"
_CODE_AROUND = (
    '[class*="highlight"], [class*="code"], [class*="source"], [class*="syntax"], '
    '[class*="prettyprint"], [class*="lang-"], [class*="language-"], [class*="brush:"]'
)


def take_code(node: Any) -> tuple[Any, Passage | None] | None:
    """The element to replace for a node of `SELECTOR`, and its passage: None if it only goes.

    None if the node lies within another block of code, which has it already.
    """
    if node.tag == "br":
        node = node.parent
        if node.parent_element is not None and node.parent_element.closest(f"{_ROOTS}, code"):
            return None
    elif node.parent_element is not None and node.parent_element.closest(_ROOTS):
        return None
    if node.closest(_ADDED) is not None:
        return node, None
    text = code_text(node)
    if not text:
        return node, None
    if _is_code(node):
        fence = "```"
        while fence in text:
            fence += "`"
        text = f"{fence}\n{text}\n{fence}"
    return node, Passage(text, is_block=True)


def code_text(root: Any) -> str:
    """The characters of a code element without lines of white space at its ends."""
    pieces: list[str] = []
    ends_line = True
    # Nodes to visit; a number stands for the end of a line element that began at that piece.
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, int):
            if not ends_line or len(pieces) == node:
                pieces.append("\n")
                ends_line = True
            continue
        tag = node.tag
        if tag == "#text":
            value = node.value
            if value:
                pieces.append(value)
                ends_line = value.endswith("\n")
            continue
        if tag == "br":
            pieces.append("\n")
            ends_line = True
            continue
        if tag is None or tag.startswith("#") or tag in _SKIPPED_TAGS:
            continue
        if node is not root and _is_added(node):
            continue
        if tag in _LINE_TAGS and node is not root:
            if not ends_line:
                pieces.append("\n")
                ends_line = True
            waiting.append(len(pieces))
        child = node.last_child
        while child is not None:
            waiting.append(child)
            child = child.previous_sibling
    text = without_marks("".join(pieces)).replace("\xa0", " ")
    lines = text.split("\n")
    first, last = 0, len(lines)
    while first < last and not lines[first].strip():
        first += 1
    while first < last and not lines[last - 1].strip():
        last -= 1
    return "\n".join(lines[first:last])


def _is_added(node: Any) -> bool:
    names = node.getattr("class")
    return bool(names) and not _ADDED_CLASSES.isdisjoint(names.split())


def _is_code(node: Any) -> bool:
    """Whether the page says that it is code; preformatted text may also be a poem or a mail."""
    if node.tag != "pre" or node.query_selector(_CODE_INSIDE) is not None:
        return True
    if node.matches(_CODE_AROUND):
        return True
    around = node.parent_element
    return around is not None and around.tag != "body" and bool(around.matches(_CODE_AROUND))
