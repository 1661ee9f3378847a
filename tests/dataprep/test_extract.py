"""Extraction: the article comes out, code and equations exactly, and nothing takes it down."""

import re
import time
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataprep.pages.code_blocks import code_text
from dataprep.pages.extract import Extracted, decode, extract
from dataprep.pages.page_scan import scan, without_unread
from dataprep.pages.verbatim import Passage, has_mark, mark, restore

SENTENCE = "The mill turns, and the water that turned it flows on, so that the mill turns again. "
MENU = "".join(f'<li><a href="/{name}">{name}</a></li>' for name in ("Home", "News", "Sport"))
EXTRACTORS: tuple[Literal["fast", "precise"], ...] = ("fast", "precise")


def page(middle: str, head: str = "") -> bytes:
    """A page with a menu, an article of six paragraphs with `middle` in it, and a footer."""
    paragraph = f"<p>{SENTENCE * 3}</p>"
    return (
        f"<!DOCTYPE html><html lang='en-GB'><head><title>A &amp; mill</title>{head}</head><body>"
        f"<nav><ul>{MENU}</ul></nav><main><article><h1>Of mills</h1>{paragraph * 3}{middle}"
        f"{paragraph * 3}</article></main><footer>All rights kept</footer></body></html>"
    ).encode()


def text(html: bytes, extractor: Literal["fast", "precise"] = "fast") -> str:
    """The text that is extracted of a page."""
    found = extract(html, None, extractor)
    assert isinstance(found, Extracted), found
    return found.text


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_the_article_comes_out_without_what_surrounds_it(
    extractor: Literal["fast", "precise"],
) -> None:
    found = text(page(""), extractor)
    assert found.count(SENTENCE.strip()) == 18
    assert "Sport" not in found and "rights" not in found


def test_what_the_markup_says_of_the_page() -> None:
    head = (
        '<link rel="canonical" href="https://mill.example/of-mills">'
        '<link rel="license" href="https://creativecommons.org/licenses/by/4.0/">'
    )
    found = extract(page("", head), None, "fast")
    assert isinstance(found, Extracted)
    assert found[1:] == (
        "A & mill",
        "en-GB",
        "https://mill.example/of-mills",
        "https://creativecommons.org/licenses/by/4.0/",
        "page:rel-license",
        (),
    )
    relative = extract(page("", '<link rel="canonical" href="/of-mills">'), None, "fast")
    assert isinstance(relative, Extracted) and relative.url is None


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_the_same_page_ten_times_gives_the_same_text(
    extractor: Literal["fast", "precise"],
) -> None:
    html = page("<pre>a\n  b</pre>")
    assert len({text(html, extractor) for _ in range(10)}) == 1


CODE = "def mill(grain):\n    if not grain < 3:\n        return None\n\n\n    return '&'"
ESCAPED = CODE.replace("&", "&amp;").replace("<", "&lt;")
NUMBERS = "\n".join("123456")


@pytest.mark.parametrize(
    "markup",
    [
        f"<pre>{ESCAPED}</pre>",
        f"<pre>\n{ESCAPED}\n</pre>",
        f'<pre><code class="language-python">{ESCAPED}</code></pre>',
        f'<div class="highlight"><pre><span class="k">def</span>{ESCAPED[3:]}</pre></div>',
        f'<table class="highlighttable"><tr><td class="linenos"><pre>{NUMBERS}</pre></td>'
        f'<td class="code"><pre>{ESCAPED}</pre></td></tr></table>',
        f'<figure class="highlight"><table><tr><td class="gutter"><pre>{NUMBERS}</pre></td>'
        f'<td class="code"><pre>{ESCAPED}</pre></td></tr></table></figure>',
        f'<pre>{ESCAPED}<span class="line-numbers-rows"><span></span></span></pre>',
        "<pre>" + ESCAPED.replace("\n", "<br>") + "</pre>",
        "<pre>" + "".join(f"<div>{line}</div>" for line in ESCAPED.split("\n")) + "</pre>",
        "<p><code>" + ESCAPED.replace("  ", "&nbsp;&nbsp;").replace("\n", "<br>") + "</code></p>",
        f"<ul><li>In an item: <pre>{ESCAPED}</pre></li></ul>",
    ],
)
@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_code_comes_out_once_and_exactly(
    markup: str, extractor: Literal["fast", "precise"]
) -> None:
    found = text(page(markup), extractor)
    assert found.count(CODE) == 1
    before, after = found.split(CODE)
    assert before.endswith("\n") and after.startswith("\n")
    assert not any(line.strip() in tuple(NUMBERS) for line in found.split("\n") if line.strip())


def test_a_fence_is_longer_than_any_in_the_code() -> None:
    found = text(page("<pre><code>```\nx\n```</code></pre>"))
    assert "\n````\n```\nx\n```\n````\n" in found
    poem = text(page("<pre>A poem\n  has no fence</pre>"))
    assert "A poem\n  has no fence" in poem and "```" not in poem


TEX = r"\frac{a}{b} \le c^2"
ANNOTATED = (
    "<math><semantics><mrow><mi>a</mi></mrow>"
    f'<annotation encoding="application/x-tex">{TEX}</annotation></semantics></math>'
)


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        (ANNOTATED, f"${TEX}$"),
        (ANNOTATED.replace("<math>", '<math display="block">'), f"$${TEX}$$"),
        (f'<math alttext="{TEX}"><mi>a</mi></math>', f"${TEX}$"),
        (
            f'<span class="katex"><span class="katex-mathml">{ANNOTATED}</span>'
            '<span class="katex-html" aria-hidden="true">a/b</span></span>',
            f"${TEX}$",
        ),
        (
            f'<span class="mwe-math-element"><span style="display: none;">{ANNOTATED}</span>'
            f'<img class="mwe-math-fallback-image-inline" alt="{TEX}"></span>',
            f"${TEX}$",
        ),
        (f'<img class="mwe-math-fallback-image-inline" alt="{TEX}">', f"${TEX}$"),
        (
            f'<span class="MathJax">a/b</span><script type="math/tex">{TEX}</script>',
            f"${TEX}$",
        ),
        (f'<script type="math/tex; mode=display">{TEX}</script>', f"$${TEX}$$"),
        (f"<mjx-container><mjx-math>a</mjx-math>{ANNOTATED}</mjx-container>", f"${TEX}$"),
        (f"${TEX}$", f"${TEX}$"),
        (rf"\({TEX}\)", rf"\({TEX}\)"),
        (
            "<math><mfrac><mi>a</mi><msqrt><mi>b</mi><mo>+</mo><mn>1</mn></msqrt></mfrac>"
            "<mo>=</mo><msubsup><mo>∑</mo><mrow><mi>k</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi>"
            "</msubsup><mi>sin</mi><mo>&#x2061;</mo><msup><mi>x</mi><mn>2</mn></msup></math>",
            r"$\frac{a}{\sqrt{b + 1}} = ∑_{k = 1}^{n} \sin x^{2}$",
        ),
    ],
)
@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_an_equation_comes_out_once_as_tex(
    markup: str, expected: str, extractor: Literal["fast", "precise"]
) -> None:
    for middle in (f"<p>We write {markup} here.</p>", f"<p>{markup}</p>"):
        found = text(page(middle), extractor)
        assert found.count(expected) == 1
        assert found.count(TEX) <= 1
        assert "a/b" not in found


def test_a_page_of_marks_of_its_own_gets_nothing_for_them() -> None:
    forged = f"<p>{mark(0)} {mark(7)} {mark(0)} " + SENTENCE * 3 + "</p>"
    found = text(page(f"<pre>real code</pre>{forged}"))
    assert not has_mark(found)
    assert found.count("real code") == 1


@given(st.lists(st.text("ab \n", min_size=1), max_size=6), st.text("xy \n", max_size=20))
def test_every_passage_comes_back_once(passages: list[str], between: str) -> None:
    made = [Passage(f"<{index}{content}>", False) for index, content in enumerate(passages)]
    marked = between.join(mark(index) for index in range(len(made)))
    assert restore(marked, made) == between.join(passage.text for passage in made)
    assert restore(marked + marked, made).count("<") == len(made)


@given(st.text())
def test_text_without_marks_is_not_changed(content: str) -> None:
    stray = content.translate({0xFDD0: None, 0xFDD1: None})
    assert restore(content, []) == stray


@pytest.mark.parametrize(
    ("content", "hint", "expected"),
    [
        ("straße".encode("latin-1"), "iso-8859-1", "straße"),
        ("straße".encode(), "no-such-charset", "straße"),
        ("水车转动".encode("gb18030"), "gbk", "水车转动"),
        (b"\xef\xbb\xbf" + "straße".encode(), "iso-8859-1", "straße"),
        (b"\xff\xfe" + "mill".encode("utf-16-le"), None, "mill"),
        ('<meta charset="shift_jis">水車'.encode("shift_jis"), None, "水車"),
        (b'<meta charset="utf-8">' + ("straße " * 9).encode("latin-1"), None, "straße"),
    ],
)
def test_encodings(content: bytes, hint: str | None, expected: str) -> None:
    assert expected in decode(content, hint)


HOSTILE = {
    "nested div": b"<div>" * 100_000 + b"x",
    "nested closed": b"<div>x" * 100_000 + b"</div>" * 100_000,
    "nested table": b"<table><tr><td>" * 20_000,
    "nested inline": b"<b><i><font>" * 20_000 + b"x",
    "misnested": b"<a><b>" * 20_000 + b"</a>" * 20_000,
    "attributes": b"<p " + b" ".join(b"a%d=1" % n for n in range(200_000)) + b">x",
    "an attribute": b'<p class="' + b"x " * 2_000_000 + b'">x',
    "angles": b"<" * 2_000_000,
    "entities": b"&amp;" * 500_000,
    "comment": b"<!--" + b"x" * 2_000_000,
    "nested pre": b"<pre>" * 30_000 + b"x",
    "nested math": b"<math><mrow>" * 30_000 + b"x",
    "dollars": b"<p>" + b"$ a = " * 200_000,
    "many pre": b"<pre>x</pre>" * 5_000,
    "zeros": b"\0" * 1_000_000,
    "bytes": bytes(range(256)) * 2_000,
    "wide nested": b"\xff\xfe" + ("<div>" * 100_000).encode("utf-16-le"),
    "nothing": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_takes_no_more_than_seconds(name: str) -> None:
    start = time.thread_time()
    found = extract(HOSTILE[name], None, "fast")
    assert isinstance(found, Extracted) or found in ("no_text", "page_too_complex")
    assert time.thread_time() - start < 5


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_takes_no_more_than_seconds_precisely(name: str) -> None:
    start = time.thread_time()
    assert extract(HOSTILE[name], None, "precise")
    assert time.thread_time() - start < 15


@given(st.binary(max_size=400), st.sampled_from([None, "utf-8", "gbk", "utf-16", "x"]))
def test_no_bytes_break_it(content: bytes, hint: str | None) -> None:
    found = extract(b"<pre><math><p>" + content, hint, "fast")
    if isinstance(found, Extracted):
        found.text.encode()


def test_the_scan_sees_what_tags_name() -> None:
    assert not any(scan(b"<html><p class='x'>math, code, license, pre</p>"))
    for content in (b"<PRE>x", b"<math>", b'<img class="latex">', b"<script type='math/tex'>"):
        assert scan(content).may_hold_passages
    assert scan(b'<a rel="license" href="x">').may_state_license


@pytest.mark.parametrize(
    ("meta", "may_hold"),
    [
        ("name=robots content='index, follow, max-snippet:-1'", False),
        ("name=description content='none of the mills'", False),
        ("content='NOINDEX' name='ROBOTS'", True),
        ("name=robots content=noai", True),
        ("name=robots content=noimageai", True),
        ("name=robots content=noml", True),
        ("name=robots content=none", True),
        ("name=robots content='follow,nosnippet'", True),
        ("name=robots content=noarchive", True),
        ("name=robots content=nocache", True),
        ("name=GPTBot content=nofollow", True),
        ("name=tdm-reservation content=1", True),
        ("name=tdm-policy content='https://example.com/'", True),
    ],
)
def test_the_scan_sees_metas_that_may_ask_to_be_left_out(meta: str, may_hold: bool) -> None:
    assert scan(f"<meta {meta}>".encode()).may_hold_marks == may_hold


def test_the_scan_tells_scripts_from_what_follows_them() -> None:
    compared = b"<script>for(i=0;i<code.length;)x=Math.random()</script>"
    assert not scan(compared).may_hold_passages
    for before in (compared, b"<noscript>", b"<style>a<b</style>", b"<SCRIPT>if(a<b</SCRIPT>"):
        assert scan(before + b"<pre>x</pre>").may_hold_passages
        assert scan(before + b'<a rel="license" href="x">').may_state_license


def test_code_of_line_elements_keeps_blank_lines() -> None:
    from resiliparse.parse.html import HTMLTree

    markup = "<pre><div>a</div><div></div><div><br></div><div>  b</div></pre>"
    tree = HTMLTree.parse(markup)
    assert tree.document is not None
    assert code_text(tree.document.query_selector("pre")) == "a\n\n\n  b"


@pytest.mark.slow
def test_figures_on_real_pages(shared_data: Path) -> None:
    from benchmarks import dataprep_extraction

    assert (shared_data / "web_html_scrapinghub").is_dir()
    for name, compute in dataprep_extraction.FIGURES.items():
        value, _, holds = compute()
        assert holds in (True, None), (name, value)


def without_unread_and_comments(html: bytes) -> str:
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(html.decode())
    assert tree.document is not None
    for node in tree.document.query_selector_all("script, style").values():
        node.remove()
    return re.sub("<!--.*?-->", "", str(tree), flags=re.DOTALL)


@given(
    st.lists(
        st.sampled_from(
            [
                "<p>words</p>", "<script>", "<SCRIPT src='x' async>", "</script>", "</script >",
                "if (a<b) c = '</p>';", "x<b && '</span>'", "<!--", "-->", "n-->0", "<div a='>'>",
                "</div>", "<style>", "</style>", "a<b", '"', "'", "<svg>", "</svg>", "<a title=",
                "<title><script></title>", "<textarea><script></textarea>",
                "<math>", "</math>", "<iframe><script></iframe>", "<xmp><script></xmp>",
                "<noscript>", "</noscript>", "text", "<pre>", "</pre>", "</s", "</script", "<",
                "<style media='x'>", "</STYLE >", "</styl", "p > b { a: '</p>' }", "</title>",
                "<title><style></title>", "<textarea><style></textarea>", "<xmp><style></xmp>",
            ]
        ),
        max_size=14,
    )
)  # fmt: skip
@example(["<!--", "<script>", "-->", "text", "<script>", "a<b", "</script>"])
@example(["<title><script></title>", "text", "</script>"])
@example(["<svg>", "<script>", "<p>words</p>", "</script>"])
@example(["</s", "<script>", "<p>words</p>", "</script>"])
def test_only_what_scripts_and_styles_hold_is_cut(pieces: list[str]) -> None:
    html = "".join(pieces).encode()
    cut = without_unread(html, scan(html))
    assert without_unread_and_comments(cut) == without_unread_and_comments(html)


def test_scripts_and_styles_are_cut_unless_they_are_read() -> None:
    compared = b"<script>" + b"if(a<b)c();" * 9 + b"</script>"
    assert without_unread(compared, scan(compared)) == b"<script></script>"
    style = b"<style media='x'>p > b { margin: 0 }</style>"
    assert without_unread(style, scan(style)) == b"<style media='x'></style>"
    for read in (
        b"<script type='math/tex'>a<b</script>",
        b'<script type="application/ld+json">{"license": "x"}</script>',
        b"<script><!--\na<b //--></script>",
    ):
        assert without_unread(read, scan(read)) == read
