"""Equations in a page as TeX between dollars: `$…$` within a line, `$$…$$` on lines of their own.

A page holds an equation as TeX (MathJax's scripts, annotations and `alttext` of MathML, the
alternative text of Wikipedia's and WordPress's images), as MathML alone, or both, and a renderer
may have added what it drew. Every equation is taken once: its TeX as it was written, else its
MathML turned into TeX. TeX in the page's own text needs none of this and stays.
"""

from typing import Any

from resiliparse.parse.html import HTMLTree

from dataprep.pages.mathml import to_tex
from dataprep.pages.verbatim import Passage, without_marks

_ROOTS = (
    "math, mjx-container, .katex, .katex-display, .mwe-math-element, [data-mathml], "
    "img.mwe-math-fallback-image-inline, img.mwe-math-fallback-image-display, img.tex, img.latex, "
    'img[src*="latex"]'
)
_SCRIPTS = 'script[type^="math/"]'
_RENDERED = (
    ".MathJax, .MathJax_Display, .MathJax_Preview, .MathJax_SVG, .MathJax_SVG_Display, "
    ".MathJax_CHTML, .mjx-chtml, .MJXc-display"
)
SELECTOR = f"{_ROOTS}, {_SCRIPTS}, {_RENDERED}"
_DISPLAY = (
    '[display="block"], [display="true"], [mode="display"], .katex-display, '
    ".mwe-math-fallback-image-display, .mwe-math-mathml-display, .MathJax_Display"
)


def take_equation(node: Any, has_scripts: bool) -> tuple[Any, Passage | None] | None:
    """The element to replace for a node of `SELECTOR`, and its equation: None if it only goes.

    None if the node lies within another one, or holds nothing that could be read. `has_scripts`
    says that the page has MathJax's scripts: then what MathJax drew of them goes.
    """
    if node.tag == "script":
        kind = (node.getattr("type") or "").lower()
        content = node.text_content or ""
        if "mml" in kind:
            math = _math_in(content)
            tex = _tex(math) if math is not None else ""
        else:
            tex = content.strip().removeprefix("<![CDATA[").removesuffix("]]>")
            # MathJax 2 writes such a comment into scripts of XHTML pages.
            tex = tex.removeprefix("% <![CDATA[").removesuffix("%").strip()
        return node, _passage(tex, "mode=display" in kind)
    if has_scripts and node.matches(_RENDERED):
        return node, None
    parent = node.parent_element
    if parent is not None and parent.closest(SELECTOR) is not None:
        return None
    is_display = node.matches(_DISPLAY) or node.query_selector(_DISPLAY) is not None
    passage = _passage(_tex(node), is_display)
    return None if passage is None else (node, passage)


def _passage(tex: str, is_display: bool) -> Passage | None:
    tex = without_marks(tex).strip().strip("$").strip()
    if not tex:
        return None
    return Passage(f"$${tex}$$" if is_display else f"${tex}$", is_display)


def _tex(node: Any) -> str:
    """The TeX of an equation's element, or an empty string."""
    for annotation in node.query_selector_all("annotation").values():
        if "tex" in (annotation.getattr("encoding") or "").lower():
            return (annotation.text_content or "").strip()
    if node.tag == "img":
        return _tex_of_image(node)
    stated = node if node.hasattr("data-latex") else node.query_selector("[data-latex]")
    if stated is not None:
        return (stated.getattr("data-latex") or "").strip()
    math = node if node.tag == "math" else node.query_selector("math")
    if math is None:
        holder = node if node.hasattr("data-mathml") else node.query_selector("[data-mathml]")
        if holder is not None:
            math = _math_in(holder.getattr("data-mathml") or "")
    if math is not None:
        return (math.getattr("alttext") or "").strip() or to_tex(math)
    image = node.query_selector("img[alt]")
    return _tex_of_image(image) if image is not None else ""


def _math_in(markup: str) -> Any:
    """The first `math` element of some markup, or None."""
    document: Any = HTMLTree.parse(markup).document
    return document.query_selector("math")


def _tex_of_image(image: Any) -> str:
    alt: str = (image.getattr("alt") or "").strip()
    return alt
