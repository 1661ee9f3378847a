"""Lists: domains, addresses, words in URLs and in texts, and the files that hold them."""

import gzip
import re
from pathlib import Path

import ahocorasick
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep import side_files
from dataprep.config import Dataprep, KeywordList, Urls
from dataprep.signals import keywords, urls
from dataprep.step import apply_chain
from dataprep.text import word_lists
from launch.config import parse_model
from launch.errors import UserError


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def table(**columns: list) -> pa.Table:
    num_rows = len(next(iter(columns.values())))
    kinds = {"drop_reason": pa.string(), "drop_value": pa.float64(), "drop_threshold": pa.float64()}
    arrays = {
        name: pa.array(values, pa.large_string() if name == "text" else pa.string())
        for name, values in columns.items()
    }
    return pa.table({**arrays, **{name: pa.nulls(num_rows, kind) for name, kind in kinds.items()}})


def test_reasons_of_addresses(tmp_path: Path) -> None:
    config = Urls(
        blocked_domains=(write(tmp_path / "domains", "# bad", "Bad.example", "co.uk.test"),),
        allowed_domains=(write(tmp_path / "allowed", "good.bad.example"),),
        blocked_urls=(write(tmp_path / "urls", "http://www.site.example/a/page/"),),
        blocked_words=(write(tmp_path / "hard", "casino"),),
        soft_words=(write(tmp_path / "soft", "win", "free"),),
        blocked_substrings=(write(tmp_path / "inside", "xxx"),),
    )
    cases = {
        "https://bad.example/": "urls.blocked_domain",
        "https://deep.below.BAD.example:8080/x": "urls.blocked_domain",
        "http://user@bad.example": "urls.blocked_domain",
        "//www.bad.example./x": "urls.blocked_domain",
        "https://notbad.example/": None,
        "https://bad.example.org/": None,
        "https://good.bad.example/casino": None,
        "https://x.good.bad.example/xxx": None,
        "https://site.example/a/page": "urls.blocked_url",
        "site.example/a/page#part": "urls.blocked_url",
        "https://site.example/a/page2": None,
        "https://a.example/online-casino/": "urls.hard_word",
        "https://a.example/casinos": None,
        "https://a.example/free": None,
        "https://a.example/free/free": "urls.soft_words",
        "https://win.example/free": "urls.soft_words",
        "https://a.example/myXXXpage": "urls.blocked_substring",
        "": None,
        "no address at all": None,
    }
    values = [*cases, None]
    steps = urls.make_steps(config)
    found = apply_chain(steps, table(url=values))
    reasons = dict(zip(values, found["drop_reason"].to_pylist(), strict=True))
    assert reasons == {**cases, None: None}
    assert urls.make_steps(None) == []
    assert found["urls_soft_words"].to_pylist()[14] == 2


def test_shared_lists_of_domains(shared_data: Path) -> None:
    path = shared_data / "blocklists" / "ut1" / "gambling_domains.txt.gz"
    domains = gzip.decompress(path.read_bytes()).decode().split()
    step = urls.make_steps(Urls(blocked_domains=(str(path),)))
    addresses = [f"https://play.{domain}/x" for domain in domains[:500]]
    addresses += [f"https://{domain}.invalid/x" for domain in domains[:500]]
    found = apply_chain(step, table(url=addresses))["urls_blocked_domains"].to_pylist()
    assert found == [True] * 500 + [False] * 500


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(alphabet="abé中 ", min_size=1, max_size=5), min_size=1, max_size=8),
    st.lists(st.text(alphabet="abAé中 .", max_size=25), max_size=4),
)
def test_occurrences_equal_those_of_pyahocorasick(words: list[str], texts: list[str]) -> None:
    oracle = ahocorasick.Automaton()
    for word in words:
        for form in {word.lower(), word.lower().capitalize(), word.upper()}:
            oracle.add_word(re.sub("[A-Z]", lambda m: m[0].lower(), form), len(form))
    oracle.make_automaton()
    found, covered = word_lists.count(
        pa.array(texts, pa.large_string()), word_lists.automaton(words, alone=False)
    )
    for index, text in enumerate(texts):
        folded = re.sub("[A-Z]", lambda m: m[0].lower(), text)
        spans: dict[int, list[int]] = {}
        for end, length in oracle.iter(folded):
            spans.setdefault(end + 1, []).append(end + 1 - length)
        last = matches = size = 0
        for end in sorted(spans):
            starts = [start for start in spans[end] if start >= last]
            if starts:
                matches, size, last = matches + 1, size + len(text[min(starts) : end].encode()), end
        assert (found[index], covered[index]) == (matches, size)


def test_words_stand_alone_where_spaces_part_words() -> None:
    found = word_lists.automaton(("ass", "très bien", "слово", "坏词", "แย่"))
    texts = {
        "Ass, ass; class ass9 badass": 2,
        "TRÈS BIEN. très bien. très bienvenu": 2,
        "Слово слова СЛОВО": 2,
        "这是坏词汇": 1,
        "มันแย่มาก": 1,
        "": 0,
    }
    counts, covered = word_lists.count(pa.array(list(texts), pa.large_string()), found)
    assert counts.tolist() == list(texts.values())
    assert covered.tolist()[0] == 6


def test_keywords_by_language(tmp_path: Path, shared_data: Path) -> None:
    path = write(tmp_path / "words", "spam")
    lists = (
        KeywordList(name="english", paths=(path,), languages=("en",), matches_max=1),
        KeywordList(name="share", paths=(path,), share_max=0.5),
        KeywordList(name="counted", paths=(str(shared_data / "blocklists/ldnoobw/en"),)),
    )
    documents = table(
        text=["spam and spam", "spam", "spam et spam", "spam spam", "nothing"],
        language=["en", "en", "fr", "fr", "en"],
    )
    found = apply_chain(keywords.make_steps(lists), documents)
    assert found["keywords_english"].to_pylist() == [2, 1, 0, 0, 0]
    assert found["keywords_share"].to_pylist() == [2, 1, 2, 2, 0]
    assert found["keywords_share_share"].to_pylist() == pytest.approx([8 / 13, 1, 8 / 12, 8 / 9, 0])
    assert found["drop_reason"].to_pylist() == [
        "keywords.english", "keywords.share", "keywords.share", "keywords.share", None,
    ]  # fmt: skip
    assert found["drop_threshold"].to_pylist() == [1, 0.5, 0.5, 0.5, None]


def test_files_that_cannot_be_lists_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(b"word\n" * 100)[:-20])
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none", broken, binary):
        with pytest.raises(UserError, match=re.escape(path.name)):
            word_lists.read_list((str(path),), "dataprep.urls.soft_words")
    with pytest.raises(UserError, match="two lists"):
        entry = {"name": "a", "paths": ["x"]}
        parse_model(Dataprep, {"keywords": [entry, entry]}, "dataprep")


def test_side_files_are_found_and_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "m.ftz"):
        write(tmp_path / name, "x")
    config = parse_model(
        Dataprep,
        {
            "language_model": "m.ftz",
            "urls": {"blocked_domains": ["a"], "soft_words": ["b"]},
            "keywords": [{"name": "k", "paths": ["b"]}],
        },
        "dataprep",
    )
    assert side_files.side_files(config) == [Path("m.ftz"), Path("a"), Path("b")]
    absolute = side_files.with_absolute_paths(config)
    assert absolute.language_model == str(tmp_path / "m.ftz")
    assert absolute.urls is not None and absolute.urls.soft_words == (str(tmp_path / "b"),)
    assert absolute.keywords[0].paths == (str(tmp_path / "b"),)
    assert side_files.side_files(Dataprep()) == []
    (tmp_path / "a").unlink()
    with pytest.raises(UserError, match="blocked_domains"):
        side_files.side_files(config)


def test_no_list_no_step() -> None:
    assert keywords.make_steps(()) == []
    assert np.array_equal(
        word_lists.count(pa.array([""], pa.large_string()), word_lists.automaton(()))[0], [0]
    )
