"""Real pages with known equations and blocks of code in them, in the markup that the web uses.

Every page is a page of ScrapingHub's benchmark with one passage put behind a paragraph of its
article, in one of the ways in which renderers and highlighters write it. What must come out is
known, so that nothing depends on how it is taken out.
"""

from collections.abc import Callable, Iterator
from html import escape
from itertools import cycle
from typing import Any, NamedTuple

EQUATIONS = (
    r"E = mc^2",
    r"\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}",
    r"a < b \le c",
    r"\sum_{k=1}^{n} k = \frac{n(n+1)}{2}",
    r"x_{1,2} = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}",
    r"\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}",
    r"f'(x) = \lim_{h \to 0} \frac{f(x+h) - f(x)}{h}",
    r"{\displaystyle \nabla \times \mathbf{E} = -\frac{\partial \mathbf{B}}{\partial t}}",
)
CODE = (
    "def mill(grain):\n    if not grain:\n        return None\n\n    return [g * 2 for g in grain]",
    '#include <stdio.h>\n\nint main(void) {\n\tfor (;;) {\n\t\tputs("a & b");\n\t}\n}',
    "mill:\n  stones:\n    - upper\n    - lower\n\n  speed: 3",
    "SELECT a.id,\n       b.name\nFROM a\n  JOIN b ON a.id = b.id\nWHERE a.x <> 'y';",
    "    indented from its first line\n  and less\n\n\nafter two blank lines",
)


class Template(NamedTuple):
    """A page and the text of its article."""

    html: bytes
    article: str


class Made(NamedTuple):
    """A page, and the passage that must come out of it, once."""

    html: bytes
    expected: str
    markup: str


def pages_with_equations(templates: list[Template]) -> Iterator[Made]:
    """Every equation in every markup, each in another page."""
    yield from _pages(templates, EQUATIONS, _EQUATION_MARKUP)


def pages_with_code(templates: list[Template]) -> Iterator[Made]:
    """Every block of code in every markup, each in another page."""
    yield from _pages(templates, CODE, _CODE_MARKUP)


def _pages(
    templates: list[Template], passages: tuple[str, ...], markups: dict[str, Callable[[str], str]]
) -> Iterator[Made]:
    following = cycle(templates)
    for name, markup in markups.items():
        for passage in passages:
            page = None
            while page is None:
                page = _insert(next(following), markup(passage))
            yield Made(page, passage, name)


def _insert(template: Template, markup: str) -> bytes | None:
    """The page with `markup` behind the middle paragraph of its article, None if that has few."""
    from resiliparse.parse.html import HTMLTree

    tree: Any = HTMLTree.parse(template.html.decode("utf-8", "replace"))
    place = "passage-stands-here"
    article = " ".join(template.article.split())
    paragraphs = [
        node
        for node in tree.document.query_selector_all("p").values()
        if node.closest("aside, [aria-hidden]") is None
        and len(text := " ".join((node.text_content or "").split())) >= 100
        and text in article
    ]
    if len(paragraphs) < 3:
        return None
    paragraphs[len(paragraphs) // 2].after(tree.document.create_comment(place))
    return str(tree).replace(f"<!--{place}-->", markup).encode()


def _math(tex: str, attributes: str = "", annotation: bool = True) -> str:
    stated = f'<annotation encoding="application/x-tex">{escape(tex)}</annotation>'
    drawn = "<mrow><mi>x</mi><mo>=</mo><mn>1</mn></mrow>"
    inner = f"<semantics>{drawn}{stated}</semantics>" if annotation else drawn
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML"{attributes}>{inner}</math>'


def _katex(tex: str) -> str:
    drawn = '<span class="katex-html" aria-hidden="true"><span class="base">x=1</span></span>'
    return f'<span class="katex"><span class="katex-mathml">{_math(tex)}</span>{drawn}</span>'


def _wikipedia(tex: str) -> str:
    hidden = '<span class="mwe-math-mathml-inline mwe-math-mathml-a11y" style="display: none;">'
    image = f'<img src="x.svg" class="mwe-math-fallback-image-inline" alt="{escape(tex)}">'
    return f'<span class="mwe-math-element">{hidden}{_math(tex)}</span>{image}</span>'


def _mathjax(tex: str) -> str:
    return (
        '<span class="MathJax_Preview"></span><span class="MathJax" id="M-1-Frame"><nobr>x=1</nobr>'
        f'</span><script type="math/tex" id="M-1">{tex}</script>'
    )


def _sentence(equation: str) -> str:
    return f"<p>The miller writes {equation} on the door of the mill, as every miller does.</p>"


_EQUATION_MARKUP: dict[str, Callable[[str], str]] = {
    "katex": lambda tex: _sentence(_katex(tex)),
    "katex-display": lambda tex: f'<p><span class="katex-display">{_katex(tex)}</span></p>',
    "mathml-annotation": lambda tex: _sentence(_math(tex)),
    "mathml-alttext": lambda tex: _sentence(_math(tex, f' alttext="{escape(tex)}"', False)),
    "mathml-display": lambda tex: _math(tex, ' display="block"'),
    "mathjax-2": lambda tex: _sentence(_mathjax(tex)),
    "mathjax-2-display": lambda tex: (
        '<div class="MathJax_Display">x=1</div>'
        f'<script type="math/tex; mode=display">{tex}</script>'
    ),
    "mathjax-3": lambda tex: _sentence(
        '<mjx-container class="MathJax" jax="CHTML"><mjx-math aria-hidden="true"><mjx-mi>x</mjx-mi>'
        f"</mjx-math><mjx-assistive-mml>{_math(tex)}</mjx-assistive-mml></mjx-container>"
    ),
    "wikipedia": lambda tex: _sentence(_wikipedia(tex)),
    "wikipedia-image": lambda tex: _sentence(
        f'<img class="mwe-math-fallback-image-inline" src="x.svg" alt="{escape(tex)}">'
    ),
    "wordpress": lambda tex: _sentence(
        f'<img class="latex" src="https://s0.wp.com/latex.php?latex=x" alt="{escape(tex)}">'
    ),
    "dollars": lambda tex: _sentence(f"${escape(tex)}$"),
    "parentheses": lambda tex: _sentence(rf"\({escape(tex)}\)"),
    "dollars-display": lambda tex: f"<p>$${escape(tex)}$$</p>",
    "brackets-display": lambda tex: rf"<p>\[{escape(tex)}\]</p>",
    "brackets-div": lambda tex: rf"<div>\[{escape(tex)}\]</div>",
}


def _lines(code: str, before: str, after: str, joint: str = "") -> str:
    return joint.join(f"{before}{escape(line)}{after}" for line in code.split("\n"))


def _numbers(code: str) -> str:
    return "\n".join(str(number + 1) for number in range(code.count("\n") + 1))


def _tokens(code: str) -> str:
    """Every word in a span, as highlighters write it."""
    return "".join(
        f'<span class="n">{escape(part)}</span>' if part.isalnum() else escape(part)
        for part in _words(code)
    )


def _words(code: str) -> Iterator[str]:
    word = ""
    for character in code:
        if character.isalnum():
            word += character
            continue
        if word:
            yield word
        word = ""
        yield character
    if word:
        yield word


def _gutter_table(code: str) -> str:
    return (
        f'<table class="highlighttable"><tr><td class="linenos"><div class="linenodiv"><pre>'
        f'{_numbers(code)}</pre></div></td><td class="code"><div class="highlight"><pre>'
        f"{_tokens(code)}</pre></div></td></tr></table>"
    )


def _rows(code: str) -> str:
    rows = "".join(
        f'<tr><td class="hljs-ln-numbers" data-line-number="{number}">{number}</td>'
        f'<td class="hljs-ln-code">{escape(line) or chr(10)}</td></tr>'
        for number, line in enumerate(code.split("\n"), 1)
    )
    return (
        f'<pre><code class="hljs"><table class="hljs-ln"><tbody>{rows}</tbody></table></code></pre>'
    )


def _broken(code: str) -> str:
    lines = code.split("\n")
    kept = (
        "&nbsp;" * (len(line) - len(line.lstrip(" "))) + escape(line.lstrip(" ")) for line in lines
    )
    return f"<p><code>{'<br>'.join(kept)}</code></p>"


_CODE_MARKUP: dict[str, Callable[[str], str]] = {
    "pre": lambda code: f"<pre>{escape(code)}</pre>",
    "pre-code": lambda code: f'<pre><code class="language-x">{escape(code)}</code></pre>',
    "pygments": lambda code: (
        f'<div class="highlight"><pre><span></span>{_tokens(code)}\n</pre></div>'
    ),
    "sphinx-line-numbers": _gutter_table,
    "hexo": lambda code: (
        '<figure class="highlight"><table><tr><td class="gutter"><pre>'
        f'{_lines(_numbers(code), "<span>", "</span><br>")}</pre></td><td class="code"><pre>'
        f"{_lines(code, '<span>', '</span><br>')}</pre></td></tr></table></figure>"
    ),
    "prism": lambda code: (
        f'<pre class="line-numbers"><code>{_tokens(code)}<span class="line-numbers-rows">'
        f"<span></span></span></code><button>Copy</button></pre>"
    ),
    "shiki": lambda code: (
        f'<pre class="shiki"><code>{_lines(code, "<span>", "</span>", chr(10))}</code></pre>'
    ),
    "line-divs": lambda code: (
        f"<pre><code>{_lines(code, '<div>', '</div>').replace('<div></div>', '<div><br></div>')}"
        "</code></pre>"
    ),
    "line-rows": _rows,
    "breaks": _broken,
}
