"""English and Chinese documentation, where the folder of real data is at hand."""

import gzip
import json

import pytest

from tokenizer import train


def read(path, source, language, bytes_max, laboratory):
    texts = []
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            record = json.loads(line)
            texts.append(
                laboratory.text(f"{source}:{record['id']}", record["text"], source, language)
            )
            bytes_max -= len(record["text"].encode())
            if bytes_max < 0:
                break
    return texts


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_both_languages_are_compressed_and_come_back(shared_data, laboratory, tmp_path, model_type):
    # Unigram takes about 20 times as long for the same text.
    size = 3_000_000 if model_type == "bpe" else 500_000
    english = read(shared_data / "en_docs/docs.jsonl.gz", "en_docs", "en", size, laboratory)
    chinese = read(shared_data / "zh_docs/zh_docs.jsonl.gz", "zh_docs", "zh", size, laboratory)
    texts = [*english, *chinese]
    parts = {"train": [texts[2::10] + texts[5::10] + texts[8::10]], "valid": [texts[::10]]}
    laboratory.write_documents(tmp_path / "documents", parts)
    recipe = laboratory.recipe(
        tmp_path, model_type=model_type, vocab_size=4096, evaluation_bytes=1_000_000
    )
    manifest = train.run(recipe)
    path = tmp_path / "tokenizer" / manifest.facts["evaluation_file"]
    evaluation = json.loads(path.read_text(encoding="utf-8"))
    assert evaluation["round_trip_failures"] == 0
    for language, bytes_per_token in (("en", 2.7), ("zh", 3.2)):
        measured = evaluation["languages"][language]
        assert measured["bytes_per_token"] > bytes_per_token, measured
        assert measured["byte_fallback_share"] < 0.1, measured
