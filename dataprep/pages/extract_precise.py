"""The precise extractor: what trafilatura and the fast extractor both take for the article.

The two err in different places: one has rules for the markup that publishers use, the other weighs
blocks. A block that both keep is rarely anything else than the article (docs/extraction.md has the
figures). Where they hardly agree, trafilatura is believed.
"""

import logging
import re

import trafilatura

from dataprep.pages.main_text import Block, joined

# Larger pages are left to the fast extractor. trafilatura's time grows with the square of the
# elements in a paragraph (2026-11-23: 0.6 s for 16,000 tags, 3.1 s for 32,000).
PAGE_CHARACTERS_MAX = 2_000_000
TAGS_MAX = 20_000
# Share of the shorter of the two texts that both must have, for their agreement to count.
AGREEMENT_MIN = 0.5

_NOT_OF_WORDS = re.compile(r"\W+")


def precise_text(html: str, article: list[Block]) -> str:
    """The article's text; `article` is the fast extractor's, code and equations marked in both."""
    own = joined(article)
    if len(html) > PAGE_CHARACTERS_MAX or html.count("<") > TAGS_MAX:
        return own
    text = _by_trafilatura(html)
    if text.isspace() or not text:
        return own
    # Compared by letters and digits alone: the two join lines and space differently.
    theirs = _NOT_OF_WORDS.sub("", text)
    shared = [
        block for block in article if block.is_kept or _NOT_OF_WORDS.sub("", block.text) in theirs
    ]
    both = joined(shared)
    shorter = min(len(theirs), len(_NOT_OF_WORDS.sub("", own)))
    if len(_NOT_OF_WORDS.sub("", both)) >= AGREEMENT_MIN * shorter:
        return both
    # trafilatura keeps no marks: a page with code or equations is better whole.
    return own if any(block.is_kept for block in article) else text


def _by_trafilatura(html: str) -> str:
    """What trafilatura (Barbaresi 2021) takes for the article, empty if it finds none.

    `deduplicate` stays off: with it a text seen before is left out, so that the same page gives
    other text the fourth time. `fast` leaves out its comparison with two other extractors, which
    costs a third of its time and gives a lower figure (2026-11-23: 0.960, without it 0.962).
    """
    text = trafilatura.extract(html, include_comments=False, fast=True, deduplicate=False)
    return text or ""


# It reports every page without an article; those are counted in quarantine.
logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
