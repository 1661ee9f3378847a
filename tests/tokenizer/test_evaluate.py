"""The numbers of an evaluation, counted again in the plainest way."""

import json

import pytest

from tokenizer.contract import Tokenizer, open_tokenizer
from tokenizer.evaluate import bytes_per_token, evaluate


@pytest.fixture(scope="module")
def tokenizer(mill):
    return open_tokenizer(mill.recipe.tokenizer_directory)


def test_the_numbers_are_those_of_a_plain_count(mill, tokenizer, laboratory, tmp_path):
    texts = [
        *laboratory.chinese_texts(40),
        laboratory.text("rare:0", "龘靐齉爩鱻麤", language="zh", source="rare"),
        laboratory.text("plain:0", "plain words " * 120_000),
    ]
    documents = laboratory.write_documents(
        tmp_path / "documents", {"train": [mill.texts["train"]], "valid": [texts]}
    )
    found = evaluate(tokenizer, tmp_path / "documents", documents, seed=1, bytes_max=10**9)
    assert set(found["splits"]) == {"valid"}
    encoded = {text.id: tokenizer.encode(text.text).tolist() for text in texts}
    for group, key in (("languages", "language"), ("sources", "source")):
        for name in {getattr(text, key) for text in texts}:
            chosen = [text for text in texts if getattr(text, key) == name]
            tokens = [index for text in chosen for index in encoded[text.id]]
            text_bytes = sum(len(text.text.encode()) for text in chosen)
            expected = {
                "documents": len(chosen),
                "text_bytes": text_bytes,
                "tokens": len(tokens),
                "bytes_per_token": round(text_bytes / len(tokens), 6),
                "characters_per_token": round(
                    sum(len(text.text) for text in chosen) / len(tokens), 6
                ),
                "tokens_per_document": round(len(tokens) / len(chosen), 6),
                "byte_fallback_share": round(
                    sum(tokenizer.piece(i).startswith("<0x") for i in tokens) / len(tokens), 6
                ),
            }
            assert found[group][name] == expected
    assert found["sources"]["rare"]["byte_fallback_share"] == 1.0
    used = {index for ids in encoded.values() for index in ids}
    learned = {i for i in range(tokenizer.vocab_size) if tokenizer.kind(i) == "learned"}
    assert found["unused_pieces"] == len(learned - used)
    assert bytes_per_token(found)["zh"] == found["languages"]["zh"]["bytes_per_token"]


def test_little_validation_text_is_filled_up_from_train(mill):
    path = mill.recipe.tokenizer_directory / "evaluation.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    valid_bytes = sum(len(text.text.encode()) for text in mill.texts["valid"])
    assert found["splits"]["valid"]["text_bytes"] == valid_bytes < 200_000
    assert found["splits"]["train"]["text_bytes"] >= 200_000 - valid_bytes
    assert found["all"]["documents"] < len(mill.texts["train"])
    assert found["round_trip_failures"] == 0


def test_a_document_that_does_not_come_back_is_named(mill, tokenizer, monkeypatch):
    monkeypatch.setattr(Tokenizer, "decode_batch", lambda self, ids: [b"x" for _ in ids])
    with pytest.raises(RuntimeError, match=r"document topics:\S+ does not survive"):
        evaluate(tokenizer, mill.recipe.documents, mill.documents, seed=1, bytes_max=10**9)
