"""Cutting long texts: nothing lost, no character broken, line ends preferred."""

from hypothesis import given
from hypothesis import strategies as st

from tokenizer.passages import split_passages

# Few kinds of characters, so that line ends and long characters meet the limit often.
texts = st.text(alphabet="a\n\r é字𝄞", max_size=200).map(str.encode)


@given(texts, st.integers(4, 40))
def test_parts_join_to_the_text_and_fit_and_are_text(text, bytes_max):
    parts = split_passages(text, bytes_max)
    assert b"".join(parts) == text
    assert all(0 < len(part) <= bytes_max for part in parts)
    for part in parts:
        part.decode()


@given(texts, st.integers(4, 40))
def test_a_part_ends_at_a_line_end_if_one_fits(text, bytes_max):
    for part in split_passages(text, bytes_max)[:-1]:
        assert part.endswith(b"\n") or b"\n" not in part


def test_the_last_line_end_that_fits_is_taken():
    assert split_passages(b"ab\ncd\nefgh", 8) == [b"ab\ncd\n", b"efgh"]
    assert split_passages("字字字".encode(), 7) == ["字字".encode(), "字".encode()]
    assert split_passages(b"", 4) == []
