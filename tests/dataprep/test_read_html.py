"""Files of HTML: one document each, with what the page says of itself."""

import gzip
from pathlib import Path

import pytest

from dataprep.config import Columns, Dataprep, Source
from dataprep.reading import read

SENTENCE = "The mill turns, and the water that turned it flows on, so that it turns again. "
PAGE = (
    '<html lang="en"><head><title>Mill</title>'
    '<link rel="canonical" href="https://mill.example/a"></head>'
    f"<body><p>{SENTENCE * 3}</p><a rel=license href='https://l.example/by'>licence</a></body></html>"
)


def documents(
    folder: Path, limits: Dataprep | None = None, **fields: object
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Documents and quarantine of all files of a folder."""
    source = Source(name="s", kind="html", paths=("*",), **fields)  # type: ignore[arg-type]
    good, bad = [], []
    for shard in read.shards([source], folder):
        for table, refused in read.read_shard(shard, source, limits or Dataprep()):
            good += table.to_pylist(maps_as_pydicts="strict")
            bad += refused.to_pylist()
    return good, bad


@pytest.mark.parametrize("extractor", ["fast", "precise"])
def test_a_page_with_what_it_says_of_itself(tmp_path: Path, extractor: str) -> None:
    (tmp_path / "a.html").write_text(PAGE)
    (tmp_path / "b.htm.gz").write_bytes(gzip.compress(PAGE.encode()))
    columns = Columns(meta=("title", "html_language"))
    found, refused = documents(tmp_path, columns=columns, extractor=extractor)
    assert refused == []
    assert [document["id"] for document in found] == ["s:a.html#0", "s:b.htm.gz#0"]
    for document in found:
        assert document["text"] == (SENTENCE * 3).strip()
        assert document["url"] == "https://mill.example/a"
        assert document["license"] == "https://l.example/by"
        assert document["meta"] == {"title": "Mill", "html_language": "en"}


def test_pages_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("")
    (tmp_path / "b.html").write_text("<script>let a</script>")
    (tmp_path / "c.html").write_text("<p>" + "long " * 1000)
    (tmp_path / "d.html").write_text("<p>" + " " * 9000 + "x")
    (tmp_path / "e.html.gz").write_bytes(gzip.compress(PAGE.encode())[:-20])
    limits = Dataprep(page_bytes_max=8192, document_bytes_max=2048)
    found, refused = documents(tmp_path, limits)
    assert found == []
    assert {str(row["path"]): row["reason"] for row in refused} == {
        "a.html": "no_text",
        "b.html": "no_text",
        "c.html": "text_too_long",
        "d.html": "page_too_long",
        "e.html.gz": "truncated",
    }
