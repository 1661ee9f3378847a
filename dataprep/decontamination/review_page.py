"""The review as one HTML page, and as a table for the terminal.

The page shows texts from anywhere: whatever is not a number of ours is escaped, and a content
security policy forbids the browser to load or run anything.
"""

import json

from dataprep.decontamination.findings import SHOWN, Found, Passage, Review, texts_of
from dataprep.report.markup import count, decimal, escape, row, table
from dataprep.report.page import style

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
.pair { display: grid; grid-template-columns: 1fr 1.5fr; gap: 1rem; margin: 0.7rem 0 1rem; }
.pair > div { min-width: 0; }
.pair small { color: var(--soft); }
summary .id { overflow-wrap: anywhere; }
mark { background: var(--dropped); color: var(--page); padding: 0; }
@media (max-width: 48rem) { .pair { grid-template-columns: 1fr; } }
"""
_ITEMS_MAX = 500
_SILENT_MAX = 100
_TEXT_MAX = 2000


def render(review: Review) -> str:
    """The page."""
    own = review.config.decontamination
    ordered = review.ordered()
    texts = texts_of(review.index)
    items = "".join(
        _item(name, found, texts.get(name, ()), name in own.allow, own.score_min)
        for name, found in ordered[:_ITEMS_MAX]
    )
    more = len(ordered) - _ITEMS_MAX
    rest = f"<p>{count(more)} more items in review.jsonl.</p>" if more > 0 else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Decontamination review</title><style>{style()}{_STYLE}</style></head><body>"
        "<h1>Decontamination review</h1>"
        f"<p>Items of evaluation sets that were found in documents. From a score of "
        f"{decimal(own.score_min)} on a document counts as contaminated; the mode was "
        f"<code>{escape(own.mode)}</code>.</p>"
        f'<h2 id="sets">Sets</h2>{_sets(review)}'
        f'<h2 id="sources">Sources</h2>{_sources(review)}'
        '<h2 id="items">Items</h2>'
        "<p>Those that most documents hold first: text that is common, not leaked, is found there. "
        "Put the line below a harmless item into the recipe's list "
        "<code>dataprep.decontamination.allow = [ ]</code>, and run <code>gristmill dataprep "
        'retune</code> with <code>mode = "drop"</code>.</p>'
        f'{items or "<p>None.</p>"}{rest}<h2 id="short">Too short</h2>{_silent(review)}'
        "<footer>Written by gristmill dataprep review. Every hit stands in review.jsonl.</footer>"
        "</body></html>\n"
    )


def summary(review: Review) -> str:
    """The table by set: items, those too short, those found, documents that count, and dropped."""
    heads = ("set", "items", "too short", "items found", "documents", "dropped")
    rows = [heads, *((name, *map(str, numbers)) for name, *numbers in _numbers(review))]
    widths = [max(len(line[column]) for line in rows) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in rows
    )


def _numbers(review: Review) -> list[tuple[str, int, int, int, int, int]]:
    items, silent = review.index.items, review.index.silent
    documents: dict[str, int] = {}
    for (name, _), number in review.sources.items():
        documents[name] = documents.get(name, 0) + number
    return [
        (
            own.name,
            sum(item.set == own.name for item in items),
            sum(items[place].set == own.name for place in silent),
            sum(name.startswith(f"{own.name}:") for name in review.items),
            documents.get(own.name, 0),
            review.dropped[own.name],
        )
        for own in review.config.decontamination.sets
    ]


def _sets(review: Review) -> str:
    rows = [
        row(f"<code>{escape(name)}</code>", *(f"#{count(number)}" for number in numbers))
        for name, *numbers in _numbers(review)
    ]
    heads = ("set", "#items", "#too short", "#items found", "#documents that count", "#dropped")
    return table(heads, rows)


def _sources(review: Review) -> str:
    rows = [
        row(f"<code>{escape(source)}</code>", f"<code>{escape(name)}</code>", f"#{count(number)}")
        for (name, source), number in sorted(
            review.sources.items(), key=lambda entry: (-entry[1], entry[0])
        )
    ]
    return table(("source", "set", "#documents that count"), rows) if rows else "<p>None.</p>"


def _item(
    name: str, found: Found, texts: tuple[tuple[str, str], ...], allowed: bool, score_min: float
) -> str:
    counts = found.best >= score_min and not allowed
    shown = sorted(found.passages, key=lambda passage: (-passage.score, passage.document))[:SHOWN]
    own = "".join(
        f"<small>{escape(field)}</small><pre>{escape(text[:_TEXT_MAX])}</pre>"
        for field, text in texts
    )
    line = escape(f"{json.dumps(name, ensure_ascii=False)},")
    about = (
        f"{count(found.documents)} document{'s' if found.documents > 1 else ''}, best score "
        f"{found.best:.2f}{', allowed' if allowed else '' if counts else ', below the threshold'}"
    )
    return (
        f'<details{" open" if counts else ""}><summary><code class="id">{escape(name)}</code>'
        f"<small>{about}</small></summary>"
        f'<div class="pair"><div>{own}<p><code>{line}</code></p></div>'
        f"<div>{''.join(_passage(passage) for passage in shown)}</div></div></details>"
    )


def _passage(passage: Passage) -> str:
    fate = passage.drop_reason or "kept"
    return (
        f"<small><code>{escape(passage.document)}</code>, {escape(passage.field)}, score "
        f"{passage.score:.2f}, {escape(fate)}</small><pre>{_marked(passage)}</pre>"
    )


def _marked(passage: Passage) -> str:
    pieces, at = [], 0
    for begin, end in passage.marks:
        if end <= at:
            continue
        begin = max(begin, at)
        pieces.append(escape(passage.text[at:begin]))
        pieces.append(f"<mark>{escape(passage.text[begin:end])}</mark>")
        at = end
    return "".join([*pieces, escape(passage.text[at:])])


def _silent(review: Review) -> str:
    silent = [review.index.items[place].name for place in review.index.silent]
    if not silent:
        return "<p>Every item says enough to be searched for.</p>"
    shown = ", ".join(f"<code>{escape(name)}</code>" for name in silent[:_SILENT_MAX])
    more = f" and {count(len(silent) - _SILENT_MAX)} more" if len(silent) > _SILENT_MAX else ""
    return (
        f"<p>{count(len(silent))} items are too short to be told from common text, and were not "
        f"searched for:</p><p>{shown}{more}</p>"
    )
