"""The precise extractor: trafilatura, without what it would remember between pages."""

import trafilatura


def precise_text(html: str) -> str:
    """The article of a page by trafilatura (Barbaresi 2021), empty if it finds none.

    `deduplicate` stays off: with it a text seen before is left out, so that the same page gives
    other text the fourth time.
    """
    text = trafilatura.extract(html, include_comments=False, include_tables=True, deduplicate=False)
    return text or ""
