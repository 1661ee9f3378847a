"""What a page and its response say of licence and use: found where it stands, in bounded time."""

import time

import pytest

from dataprep.pages.extract import Extracted, extract
from dataprep.rights.licences import read_licence
from dataprep.rights.linked_data import licences_in
from dataprep.rights.opt_out import KINDS, kind_of, marks

BODY = "<p>" + "The mill turns, and the water that turned it flows on. " * 8 + "</p>"
CC = "https://creativecommons.org/licenses/by-sa/4.0/"
OTHER = "https://creativecommons.org/licenses/by-nc-nd/4.0/"


def page(head: str = "", body: str = "") -> bytes:
    return (
        f"<!doctype html><html><head><title>Mill</title>{head}</head>"
        f"<body><article>{BODY}{body}</article></body></html>"
    ).encode()


def read(html: bytes) -> Extracted:
    found = extract(html, None, "fast")
    assert isinstance(found, Extracted)
    return found


def ld(text: str) -> str:
    return f'<script type="application/ld+json">{text}</script>'


STATED = {
    "link": (page(f'<link rel="license" href="{CC}">'), "page:rel-license"),
    "upper case": (page(f"<LINK REL=LICENSE HREF={CC}>"), "page:rel-license"),
    "anchor": (page("", f'<a href="{CC}" rel="license noopener">CC</a>'), "page:rel-license"),
    "without scheme": (page(f'<link rel="license" href="{CC[6:]}">'), "page:rel-license"),
    "its words": (page("", '<a rel="license" href="/l">CC BY-SA 4.0</a>'), "page:rel-license"),
    "RDFa": (page("", f'<a rel="cc:license" href="{CC}">CC</a>'), "page:rdfa"),
    "microdata": (page("", f'<link itemprop="license" href="{CC}">'), "page:microdata"),
    "dcterms": (page(f'<meta name="dcterms.license" content="{CC}">'), "page:meta-license"),
    "open graph": (page(f'<meta property="og:license" content="{CC}">'), "page:meta-license"),
    "json-ld": (page(ld(f'{{"@type":"Article","license":"{CC}"}}')), "page:json-ld"),
    "json-ld object": (
        page(ld(f'{{"@graph":[{{"@type":"WebPage","license":{{"@id":"{CC}"}}}}]}}')),
        "page:json-ld",
    ),
    "broken json-ld": (page(ld(f'{{"@type":"Article","license":"{CC}",}}')), "page:json-ld"),
    "dc.rights": (page('<meta name="DC.rights" content="CC BY-SA 4.0">'), "page:meta-rights"),
    "footer": (page("", f'<footer><a href="{CC}">some rights</a></footer>'), "page:link"),
    "sentence": (page("", f'<p>All content is under this <a href="{CC}">licence</a>.</p>'),
                 "page:link"),
    "words": (page("", "<p>This work is licensed under a <b>Creative Commons</b> "
                   "Attribution-ShareAlike 4.0 International License.</p>"), "page:text"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATED)
def test_a_licence_is_found_where_a_page_states_it(name: str) -> None:
    html, evidence = STATED[name]
    found = read(html)
    assert found.license is not None
    licence = read_licence(found.license)
    assert licence is not None
    assert (licence.expression, found.evidence) == ("CC-BY-SA-4.0", evidence)


@pytest.mark.parametrize(
    "html",
    [
        page("", f'<figure><img src="a"><a rel="license" href="{CC}">CC</a></figure>'),
        page("", f'<div itemscope itemtype="https://schema.org/ImageObject">'
                 f'<a itemprop="license" href="{CC}">CC</a></div>'),
        page(ld(f'{{"@type":"Article","image":{{"@type":"ImageObject","license":"{CC}"}}}}')),
        page("", f'<p>Photo: A. Miller, licence <a href="{CC}">CC</a></p>'),
        page("", f'<p>Mills have long been <a href="{CC}">ground</a> for dispute.</p>'),
        page("", "<p>TYPO3 is a Content Management Framework licensed under GNU/GPL.</p>"),
        page("", "<script>/* © 2014. All rights reserved. Licensed under MIT */</script>"),
        page("", '<p class="license">text</p><script>var a = {"license": "MIT"}</script>'),
        page('<link rel="license" href="/impressum.html">'),
    ],
)  # fmt: skip
def test_what_is_licensed_otherwise_says_nothing_of_the_page(html: bytes) -> None:
    found = read(html)
    assert (found.license, found.evidence) == (None, None)


def test_of_several_licences_the_pages_own_counts_then_the_strictest() -> None:
    both = f'<footer><a href="{OTHER}">other</a></footer><a rel="license" href="{CC}">CC</a>'
    found = read(page("", both))
    assert found.license == CC
    both = f'<a rel="license" href="{CC}">a</a><a rel="license" href="{OTHER}">b</a>'
    for html in (both, both.replace(CC, "X").replace(OTHER, CC).replace("X", OTHER)):
        found = read(page("", html))
        assert found.license == OTHER
        assert found.evidence == "page:rel-license; also CC-BY-SA-4.0 by page:rel-license"
    reserved = read(page("", "<footer>© 2020 A. Writer. All rights reserved.</footer>"))
    assert (reserved.license, reserved.evidence) == ("All rights reserved", "page:text")
    # An unknown licence is kept as it stands.
    own = read(page('<link rel="license" href="https://mill.example/terms">'))
    assert (own.license, own.evidence) == ("https://mill.example/terms", "page:rel-license")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("robots", "NOAI, noimageai", ["meta:robots=noai", "meta:robots=noimageai"]),
        ("ROBOTS", "noindex,follow", ["meta:robots=noindex"]),
        ("robots", "none", ["meta:robots=none"]),
        ("GPTBot", "noindex", ["meta:gptbot=noindex"]),
        ("CCBot", "nofollow", ["meta:ccbot=nofollow"]),
        ("Google-Extended", "noai", ["meta:google-extended=noai"]),
        ("googlebot", "nosnippet", ["meta:googlebot=nosnippet"]),
        ("tdm-reservation", "1", ["meta:tdm-reservation=1"]),
        ("tdm-policy", "https://m.example/p.json", ["meta:tdm-policy=https://m.example/p.json"]),
        ("robots", "index, follow, max-snippet:-1", []),
        ("tdm-reservation", "0", []),
        ("tdm-policy", "https://m.example/a@b.example", []),
        ("description", "noai", []),
    ],
)
def test_a_page_asks_to_be_left_out(name: str, content: str, expected: list[str]) -> None:
    assert list(read(page(f'<meta name="{name}" content="{content}">')).marks) == expected


def test_a_header_names_whom_it_means() -> None:
    for value, expected in {
        "noai, noindex": ["robots=noai", "robots=noindex"],
        "gptbot: noindex, nofollow, otherbot: noarchive":
            ["gptbot=noindex", "gptbot=nofollow", "otherbot=noarchive"],
        "unavailable_after: Saturday, 25-Jun-2026 15:00:00 PST, noai": ["robots=noai"],
        "max-snippet: 5": [],
    }.items():  # fmt: skip
        assert marks("header", "X-Robots-Tag", value) == [f"header:{mark}" for mark in expected]
    assert marks("header", "Content-Usage", "train-ai=n, search=y") == [
        "header:content-usage=train-ai=n"
    ]
    kinds = {kind_of(mark) for mark in (
        "meta:robots=noai", "meta:robots=noimageai", "header:gptbot=nofollow",
        "header:tdm-reservation=1", "header:content-usage=train-ai=n", "meta:robots=none",
        "meta:googlebot=nosnippet", "meta:bingbot=nocache")}  # fmt: skip
    assert kinds == {*KINDS}
    assert kind_of("meta:tdm-policy=https://m.example/") is None


HOSTILE = {
    "links": page("", f'<a rel="license" href="{CC}">x</a>' * 10_000),
    "plain links": page("", f'<p>licence <a href="{CC}">x</a></p>' * 10_000),
    "metas": page('<meta name="robots" content="noai">' * 10_000),
    "a long address": page(f'<link rel="license" href="{CC}{"a" * 1_000_000}">'),
    "a long content": page(f'<meta name="dcterms.rights" content="{"(CC BY " * 150_000}">'),
    "a long mark": page(f'<meta name="robots" content="{"noai," * 200_000}">'),
    "deep json": page(ld('{"license":' * 100_000)),
    "wide json": page(ld('{"a":[' + '{"license":"x"},' * 15_000 + "{}]}")),
    "much json": page(ld('{"license":"' + "a" * 250_000 + '"}') * 8),
    "broken json": page(ld('"license" : ' * 20_000)),
    "words": page("", "<p>All rights reserved licensed under " * 20_000),
    "tags in words": page("", "<p>this work is licensed under " + "<b " * 100_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_takes_no_more_than_a_plain_one_of_its_length(name: str) -> None:
    html = HOSTILE[name]
    plain = html.replace(b"icens", b"iceps").replace(b"robots", b"rowots").replace(b"rights", b"r")
    plain = plain.replace(b"ld+json", b"ld-jsom").replace(b"reserved", b"resexved")
    assert seconds_of(html) < 2 * seconds_of(plain) + 0.25


def seconds_of(html: bytes) -> float:
    # The best of three: a collection of the whole session's garbage is none of the page's time.
    taken = []
    for _ in range(3):
        start = time.thread_time()
        extract(html, None, "fast")
        taken.append(time.thread_time() - start)
    return min(taken)


def test_data_is_read_as_far_as_a_page_may_ask() -> None:
    assert list(licences_in('{"license": ["a", {"name": "b"}, 5, null]}')) == ["a", "b"]
    assert len(list(licences_in("[" + '{"license":"x"},' * 99 + "{}]"))) == 8
    assert list(licences_in("[" * 100_000)) == []
    assert list(licences_in("\x00\xff{")) == []
