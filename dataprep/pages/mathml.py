"""Presentation MathML (W3C MathML 3, chapter 3) turned into TeX.

Letters and operators stay the Unicode characters that they are; structure becomes TeX's: fractions,
roots, scripts, limits, fences and tables. What is none of these gives the text inside it.
"""

from typing import Any

# Elements within elements that are followed; deeper ones give their text.
_DEPTH_MAX = 64
_SKIPPED = frozenset(("annotation", "annotation-xml", "mphantom", "none", "mprescripts", "mspace"))
# Functions whose names TeX sets upright, as MathML writes them in one `mi`.
_FUNCTIONS = frozenset(
    [
        "arccos",
        "arcsin",
        "arctan",
        "arg",
        "cos",
        "cosh",
        "cot",
        "coth",
        "csc",
        "deg",
        "det",
        "dim",
        "exp",
        "gcd",
        "hom",
        "inf",
        "ker",
        "lg",
        "lim",
        "liminf",
        "limsup",
        "ln",
        "log",
        "max",
        "min",
        "Pr",
        "sec",
        "sin",
        "sinh",
        "sup",
        "tan",
        "tanh",
    ]
)
_OVER = {"¯": "bar", "‾": "overline", "^": "hat", "ˆ": "hat", "~": "tilde", "˜": "tilde"}
_OVER |= {"→": "vec", "⃗": "vec", "˙": "dot", "¨": "ddot", "⏞": "overbrace", "_": "overline"}
_INVISIBLE = str.maketrans("", "", "\u2061\u2062\u2063\u2064\u200b")


def to_tex(math: Any) -> str:
    """The TeX of a `math` element of a parsed page."""
    return " ".join(_row(math, 0).split())


def _row(node: Any, depth: int) -> str:
    return " ".join(part for part in (_element(child, depth) for child in _children(node)) if part)


def _children(node: Any) -> list[Any]:
    found = []
    child = node.first_child
    while child is not None:
        if child.tag != "#comment" and (child.tag != "#text" or (child.value or "").strip()):
            found.append(child)
        child = child.next_sibling
    return found


def _element(node: Any, depth: int) -> str:
    tag = node.tag or ""
    if tag == "#text":
        return (node.value or "").strip()
    if tag in _SKIPPED:
        return ""
    if tag in ("mi", "mn", "mo", "ms", "mtext") or depth >= _DEPTH_MAX:
        return _token(node, tag)
    parts = [_element(child, depth + 1) for child in _children(node)]
    if tag == "mfrac" and len(parts) == 2:
        return rf"\frac{{{parts[0]}}}{{{parts[1]}}}"
    if tag == "msqrt":
        return rf"\sqrt{{{' '.join(parts)}}}"
    if tag == "mroot" and len(parts) == 2:
        return rf"\sqrt[{parts[1]}]{{{parts[0]}}}"
    if tag in ("msub", "munder") and len(parts) == 2:
        return f"{_base(parts[0])}_{{{parts[1]}}}"
    if tag == "msup" and len(parts) == 2:
        return f"{_base(parts[0])}^{{{parts[1]}}}"
    if tag == "mover" and len(parts) == 2:
        accent = _OVER.get(parts[1])
        return rf"\{accent}{{{parts[0]}}}" if accent else f"{_base(parts[0])}^{{{parts[1]}}}"
    if tag in ("msubsup", "munderover") and len(parts) == 3:
        return f"{_base(parts[0])}_{{{parts[1]}}}^{{{parts[2]}}}"
    if tag == "mfenced":
        return _fenced(node, parts)
    if tag == "mtable":
        return r"\begin{matrix} " + r" \\ ".join(parts) + r" \end{matrix}"
    if tag in ("mtr", "mlabeledtr"):
        return " & ".join(parts)
    return " ".join(part for part in parts if part)


def _token(node: Any, tag: str) -> str:
    text = (node.text_content or "").translate(_INVISIBLE)
    if tag == "mtext":
        text = " ".join(text.split())
        return rf"\text{{{text}}}" if text else ""
    text = text.strip()
    if tag == "mi" and text in _FUNCTIONS:
        return f"\\{text}"
    return f"\\{text}" if text in ("{", "}", "%", "#", "&", "_") else text


def _base(tex: str) -> str:
    """What a script is attached to: in braces if it is more than one thing."""
    is_one = len(tex) <= 1 or (tex[0] == "\\" and tex[1:].isalpha())
    return tex if is_one else f"{{{tex}}}"


def _fenced(node: Any, parts: list[str]) -> str:
    opening, closing = node.getattr("open"), node.getattr("close")
    separators = node.getattr("separators")
    separator = "," if separators is None else separators.strip()[:1]
    begin = "(" if opening is None else opening.strip()
    end = ")" if closing is None else closing.strip()
    inner = f" {separator} ".join(parts) if separator else " ".join(parts)
    return f"{begin} {inner} {end}"
