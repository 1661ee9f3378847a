"""The round trip, on every kind of text that is known to break tokenizers, for both algorithms."""

import io

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from launch.errors import UserError
from tokenizer.config import Tokenizer
from tokenizer.lossless import check_profile, load_processor, train_model

HARD = [
    " leading", "trailing ", "  two  spaces  ", "   ", " " * 200, "\ttab\t", "line\nfeed\n", "\n",
    "\r\ncrlf\r\n", "\rcr\r", "vertical\vform\ffeed", "nul\0nul", "\0", "c0 \x01\x02\x1b[31m",
    "del \x7f", "c1 \x80\x85\x9f", "nbsp\u00a0", "\u3000ideographic\u3000space", "zwsp\u200b",
    "ls\u2028ps\u2029", "\ufeffbom", "👩‍👩‍👧‍👦 family", "🇨🇳🇩🇪 flags", "☺️ vs16", "1️⃣ keycap",
    "e\u0301 nfd", "\u00e9 nfc", "\u212b angstrom", "ＦＵＬＬ width １２３", "ｶﾞ half", "ﬁ ligature",
    "x² x₂ ½", "𝔐𝕒𝓉𝙝", "각 jamo 각", "สวัสดี", "ﷺ ﻼ", "▁", "a▁b ▁▁ c", "▁▁▁▁", " ▁ ", "▅", "a▅b", "⁇",
    " ⁇ ", "\ufffd", "\ue000 private \uf8ff", "\U0010fffd", "\U0010fffd0\U0010fffd1",
    "▁\U0010fffd1", "\U0010fffd" * 3 + "1", "\U0010ffff\ufffe nonchars", "𠀀𪚥 rare", "龘靐齉",
    "<s>", "</s>", "<unk>", "<pad>", "<eod>", "<0x41>", "<0x0A>",
    "def f(x):\n    return x  # code\n\n\n", "a" * 300,
    "1234567890", "3.14e-10", "اَلْعَرَبِيَّةُ", "हिन्दी", "עִבְרִית", "z̸̡̛͍a̷l̴g̵o̶", "http://例え.jp/?q=%20", "𝄞",
    "“quotes” ‘single’ —", "", "混合 mixed 文字 text", "\t\t\tdeep", "x\n\n\n\n\ny",
]  # fmt: skip


def train(corpus, model_type, **settings):
    text = [text.text.encode() for text in corpus]
    config = Tokenizer(model_type=model_type, vocab_size=1500, **settings)
    return train_model(iter(text), config, sum(map(len, text)))


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def model(request, corpus):
    # Unigram takes 20 times as long; a quarter of the corpus shows the same.
    return train(corpus if request.param == "bpe" else corpus[::4], request.param)


@pytest.fixture(scope="module")
def processor(model):
    return load_processor(model)


def test_the_hard_strings_come_back(processor):
    failing = [text for text in HARD if processor.decode(processor.encode(text)) != text]
    assert failing == []
    ids = [index for text in HARD for index in processor.encode(text)]
    assert not any(processor.is_unknown(index) or processor.is_control(index) for index in ids)


def test_all_of_unicode_comes_back(processor):
    """Every scalar value, in blocks of 1,024, alone and between letters and spaces."""
    for start in range(0, 0x110000, 1024):
        characters = [chr(c) for c in range(start, start + 1024) if not 0xD800 <= c < 0xE000]
        for joint in ("", " a"):
            text = joint.join(characters)
            assert processor.decode(processor.encode(text)) == text, hex(start)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), st.text(alphabet=" ▁\U0010fffd01a\n▅", max_size=20), st.text())
def test_any_texts_come_back_alone_and_joined(processor, first, second, third):
    texts = [first, second, third]
    encoded = processor.encode(texts)
    assert processor.decode(encoded) == texts
    assert processor.decode([index for ids in encoded for index in ids]) == "".join(texts)


def test_a_corpus_in_bytes_gives_the_same_ids_as_text(processor, corpus):
    for text in corpus[:5]:
        assert processor.encode(text.text) == processor.encode(text.text.encode())


def test_the_profile_is_found_in_the_model_and_its_absence_refused(model, corpus):
    check_profile(model, "here")
    buffer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.text for text in corpus[:60]),
        model_writer=buffer,
        vocab_size=500,
        minloglevel=2,
    )
    with pytest.raises(UserError) as error:
        check_profile(buffer.getvalue(), "here")
    for fault in ("normalisation", "dummy prefix", "whitespace removed", "no byte pieces"):
        assert fault in error.value.message


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_training_twice_gives_the_same_bytes(corpus, model_type):
    some = corpus[::6]
    assert train(some, model_type) == train(some, model_type)


def test_a_long_text_without_line_ends_is_not_skipped(corpus, laboratory):
    """SentencePiece's own limit is 4,192 bytes: longer ones vanish with a line in its log."""
    english = [text for text in corpus if text.language == "en"][:60]
    long = laboratory.text("zh:0", "分词器把句子切成词语并记录" * 1000)
    processor = load_processor(train([*english, long], "bpe"))
    assert len(processor.encode(long.text)) < len(long.text) / 2


def test_digits_stand_alone_and_runs_of_spaces_do_not(processor):
    assert [processor.id_to_piece(i) for i in processor.encode("2026")] == list("2026")
    runs = [
        processor.id_to_piece(index)
        for index in range(processor.get_piece_size())
        if set(processor.id_to_piece(index)) == {"▁"}
    ]
    assert max(map(len, runs)) >= 3
