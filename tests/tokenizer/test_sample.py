"""The sample: decided by content and seed alone, every byte accounted for."""

import random

import pytest

from dataprep.contract import kept_files
from tokenizer.sample import RESERVED_CHARACTER, describe, draw, sentences


@pytest.fixture
def drawn_from(laboratory, tmp_path):
    def build(texts, name="documents", num_files=2, **settings):
        directory = tmp_path / name
        manifest = laboratory.write_documents(
            directory, {"train": laboratory.dealt(texts, num_files), "valid": [[]]}
        )
        settings = {"seed": 1, "purpose": "test", "bytes_max": 100_000, **settings}
        return draw(directory, kept_files(manifest, "train"), **settings)

    return build


def names(drawn):
    return [document.id for document in drawn.documents]


def test_the_sample_does_not_depend_on_files_or_order(corpus, drawn_from):
    first = drawn_from(corpus, "one", num_files=1)
    shuffled = random.Random(3).sample(corpus, len(corpus))
    second = drawn_from(shuffled, "seven", num_files=7)
    assert first == second
    assert describe(first, 1) == describe(second, 1)
    assert 0 < len(first.documents) < len(corpus)


def test_the_pruned_draw_is_the_draw_that_sorts_everything(corpus, drawn_from):
    """Sorting all documents by key and cutting is the definition; pruning must not show."""
    everything = drawn_from(corpus, "all", bytes_max=10**9)
    assert len(everything.documents) == len(corpus)
    expected, total = [], 0
    for document in everything.documents:
        if total >= 50_000:
            break
        expected.append(document.id)
        total += document.drawn_bytes
    assert names(drawn_from(corpus, "some", bytes_max=50_000)) == expected


def test_seed_and_purpose_give_other_samples(corpus, drawn_from):
    first = set(names(drawn_from(corpus, "a")))
    assert first != set(names(drawn_from(corpus, "b", seed=2)))
    assert first != set(names(drawn_from(corpus, "c", purpose="other")))


def test_a_source_of_weight_four_is_drawn_four_times_as_readily(laboratory, drawn_from):
    texts = [
        laboratory.text(f"{source}:{number}", f"{source} {number:06}", source=source)
        for source in ("plain", "heavy")
        for number in range(4000)
    ]
    drawn = drawn_from(texts, bytes_max=12_000, weights={"heavy": 4.0})
    heavy = sum(document.source == "heavy" for document in drawn.documents)
    # About 1,000 of 8,000 documents; the share of a race with rates 4 and 1 is about 0.79 here.
    assert 0.74 < heavy / len(drawn.documents) < 0.84


def test_a_long_document_is_cut_not_dropped(laboratory, drawn_from):
    lines = "".join(f"line {number} of a long document\n" for number in range(20_000))
    chinese = "磨坊把谷物碾成面粉" * 20_000
    texts = [laboratory.text("long:0", lines), laboratory.text("long:1", chinese)]
    drawn = drawn_from(texts, bytes_max=10**9, document_bytes_max=200_000)
    for document in drawn.documents:
        assert 100_000 < document.drawn_bytes <= 200_000
        assert all(passage in texts[int(document.id[-1])].text.encode() for passage in
                   document.passages)  # fmt: skip
    # A random choice of passages, not the beginning.
    beginnings = [text.text.encode()[:200] for text in texts]
    assert not all(
        document.passages[0].startswith(tuple(beginnings)) for document in drawn.documents
    )
    facts = describe(drawn, 1)
    assert facts["bytes_left_out"]["beyond_document_cap"] > 0
    assert facts["bytes_seen"] == sum(len(text.text.encode()) for text in texts)


def test_every_byte_is_used_or_left_out_for_a_reason(laboratory, drawn_from):
    texts = [
        laboratory.text("odd:0", "before ▅▅ after ▅"),
        laboratory.text("odd:1", "line ends at the end\r\n\n"),
        laboratory.text("odd:2", "\n\n"),
        laboratory.text("odd:3", "▁ and \t stay"),
    ]
    drawn = drawn_from(texts)
    fed = list(sentences(drawn.documents))
    assert sorted(fed) == sorted(
        [b"before ", b" after ", b"line ends at the end", "▁ and \t stay".encode()]
    )
    facts = describe(drawn, 1)
    assert facts["bytes_used"] == sum(map(len, fed))
    assert facts["sentences"] == 4
    assert facts["bytes_left_out"] == {
        "beyond_sample": 0,
        "beyond_document_cap": 0,
        "reserved_character": 3 * len(RESERVED_CHARACTER),
        "line_ends_of_passages": 5,
    }
    assert facts["bytes_seen"] == facts["bytes_used"] + 14
