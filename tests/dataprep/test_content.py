"""What kind of text a document is: by name, by lines, and on files of this machine."""

import gzip
import json
import sysconfig
from pathlib import Path

import pyarrow as pa
import pytest

from dataprep.reading.records import READ_SCHEMA
from dataprep.signals import content, content_kernels
from dataprep.step import apply_chain

PYTHON = '''"""What it does."""
import json
from pathlib import Path

LIMIT = 10


def load(path: Path) -> dict:
    """Read the file and say what is in it, at some length, in words of English."""
    with path.open() as stream:
        found = json.load(stream)
    return {key: value for key, value in found.items() if len(value) < LIMIT}
'''
PROSE = """The mill stands by the river. It was built by two brothers who had come from the north.

They ground wheat in it for thirty years; then the river changed its bed.
"""
LATEX = r"""\begin{theorem} Let $x_i \leq \frac{1}{2}$ for all $i$. Then $\sum_i x_i^2 = 0$ holds.
\end{theorem}
We write \[ \int_0^1 f(x)\,dx = \lim_{n \to \infty} \alpha_n. \]
"""
MATHML = "The root <math><mi>x</mi><mo>=</mo><mn>2</mn></math> is what was to be shown here."
PERL = "He paid $5 and $6_000, then C:\\Users\\begin and more of what costs $a = $b + $c today."


def kinds(*texts: str) -> list[str]:
    return content.measure(pa.array(texts, pa.large_string()))[0].to_pylist()


def test_kinds_by_lines() -> None:
    assert kinds(PYTHON, PROSE, LATEX, MATHML, "") == [
        "code", "prose", "mathematics", "mathematics", "prose",
    ]  # fmt: skip
    assert kinds(PERL) != ["mathematics"]


def rows(*documents: tuple[str, str, str | None, str | None]) -> pa.Table:
    """A table of (text, id, url, path) as readers make it."""
    columns: dict[str, list] = {name: [None] * len(documents) for name in READ_SCHEMA.names}
    columns["text"] = [text for text, _, _, _ in documents]
    columns["id"] = [name for _, name, _, _ in documents]
    columns["url"] = [url for _, _, url, _ in documents]
    columns["meta"] = [[("path", path)] if path else [] for _, _, _, path in documents]
    columns["content_hash"] = [b"\0" * 16] * len(documents)
    columns["source"] = ["s"] * len(documents)
    columns["read_bytes"] = [len(text.encode()) for text, _, _, _ in documents]
    return pa.table(columns, schema=READ_SCHEMA)


def test_a_name_decides_before_the_lines() -> None:
    table = apply_chain(
        [content.make_step()],
        rows(
            (PROSE, "s:src/a.py#3", None, None),
            (PROSE, "s:1", None, "lib/Thing.HS"),
            (PYTHON, "s:guide.md#0", None, None),
            (LATEX, "s:guide.md#1", None, None),
            (PROSE, "s:2", "https://example.com/page.php?x=1", None),
            (PROSE, "s:3", "https://example.org", None),
            (PROSE, "s:4", "https://example.org/x/main.rs?raw=1", None),
            (PROSE, "s:5.tex", None, None),
        ),
    )
    assert table["content_kind"].to_pylist() == [
        "code", "code", "prose", "mathematics", "prose", "prose", "code", "mathematics",
    ]  # fmt: skip
    assert table["content_language"].to_pylist() == [
        "python", "haskell", None, None, None, None, "rust", None,
    ]  # fmt: skip


def test_numbers_by_hand() -> None:
    text = "// DO NOT EDIT\n\nab = 0x1F;\n" + "é" * 7
    _, numbers = content.measure(pa.array([text], pa.large_string()))
    found = {name: float(values[0]) for name, values in numbers.items()}
    assert found["line_length_longest"] == 14
    assert found["line_length_mean"] == pytest.approx(len(text) / 4)
    assert found["generated"] == 1
    letters = sum(character.isalpha() for character in text)
    digits = sum(character.isdigit() for character in text)
    assert found["alphabetic_characters"] == pytest.approx(letters / len(text))
    assert found["alphanumeric_characters"] == pytest.approx((letters + digits) / len(text))
    assert found["white_characters"] == pytest.approx(sum(map(str.isspace, text)) / len(text))


def test_a_long_document_is_judged_by_its_beginning() -> None:
    long = PROSE * (content_kernels.SAMPLE_BYTES // len(PROSE) + 2)
    assert kinds(long + PYTHON * 10_000) == ["prose"]


@pytest.mark.parametrize("name", ["en_manpages/manpages", "zh_docs/zh_docs", "en_docs/docs"])
def test_documents_about_programs_are_prose(shared_data: Path, name: str) -> None:
    with gzip.open(shared_data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
        texts = [json.loads(line)["text"] for line in stream][::5]
    assert kinds(*texts).count("prose") / len(texts) >= 0.97


def test_sources_of_the_standard_library_are_code() -> None:
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    texts = [text for text in texts if len(text) > 1000]
    assert len(texts) > 100
    assert kinds(*texts).count("code") / len(texts) >= 0.9
