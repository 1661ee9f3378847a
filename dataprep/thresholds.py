"""The thresholds of the rules: one field for each rule, named as its reason is named.

`word_count_low = 50` in table `gopher` is the rule of `drop_reason` `gopher.word_count_low`: a
document fails it when its word count is below 50. A name that ends in `_low` is a minimum, one that
ends in `_high` is a maximum; a value equal to the bound passes. `dataprep/rules.py` says which
signal each rule reads, and why a rule is in one table and not in the other.

Sources: Gopher is Rae et al. 2021 (arXiv:2112.11446), section A1.1 and table A1. The Chinese values
are those of FineWeb-2 for Mandarin in Han script (Penedo et al. 2025, arXiv:2506.20920, its
configuration `cmn_Hani` and its pipeline); where it has none, Gopher's stand. This module is
configuration: it imports pydantic only.
"""

from pydantic import Field

from launch.config import Model


class GopherThresholds(Model):
    """Table `[dataprep.thresholds.gopher]`: languages that put spaces between words."""

    word_count_low: int = Field(50, ge=0)
    """Fewest words, words."""
    word_count_high: int = Field(100_000, ge=1)
    """Most words, words."""
    mean_word_length_low: float = Field(3.0, ge=0.0)
    """Shortest mean length of a word, characters."""
    mean_word_length_high: float = Field(10.0, ge=0.0)
    """Longest mean length of a word, characters."""
    symbol_ratio_high: float = Field(0.1, ge=0.0)
    """Most number signs for each word."""
    ellipsis_ratio_high: float = Field(0.1, ge=0.0)
    """Most ellipses for each word."""
    bullet_lines_high: float = Field(0.9, ge=0.0, le=1.0)
    """Largest share of lines that begin with a bullet, 0 to 1."""
    ellipsis_lines_high: float = Field(0.3, ge=0.0, le=1.0)
    """Largest share of lines that end in an ellipsis, 0 to 1."""
    alphabetic_words_low: float = Field(0.8, ge=0.0, le=1.0)
    """Smallest share of words with a letter in them, 0 to 1."""
    stop_words_low: int = Field(2, ge=0)
    """Fewest different stop words of the language, words."""
    duplicate_paragraphs_high: float = Field(0.3, ge=0.0, le=1.0)
    """Largest share of paragraphs that repeat an earlier one, 0 to 1."""
    duplicate_paragraph_characters_high: float = Field(0.2, ge=0.0, le=1.0)
    """Largest share of characters in repeated paragraphs, 0 to 1."""
    duplicate_lines_high: float = Field(0.3, ge=0.0, le=1.0)
    """Largest share of lines that repeat an earlier one, 0 to 1."""
    duplicate_line_characters_high: float = Field(0.2, ge=0.0, le=1.0)
    """Largest share of characters in repeated lines, 0 to 1."""
    top_2gram_characters_high: float = Field(0.2, ge=0.0, le=1.0)
    """Largest share of characters in the commonest 2 words in a row, 0 to 1."""
    top_3gram_characters_high: float = Field(0.18, ge=0.0, le=1.0)
    """Largest share of characters in the commonest 3 words in a row, 0 to 1."""
    top_4gram_characters_high: float = Field(0.16, ge=0.0, le=1.0)
    """Largest share of characters in the commonest 4 words in a row, 0 to 1."""
    duplicate_5gram_characters_high: float = Field(0.15, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 5 words, 0 to 1."""
    duplicate_6gram_characters_high: float = Field(0.14, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 6 words, 0 to 1."""
    duplicate_7gram_characters_high: float = Field(0.13, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 7 words, 0 to 1."""
    duplicate_8gram_characters_high: float = Field(0.12, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 8 words, 0 to 1."""
    duplicate_9gram_characters_high: float = Field(0.11, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 9 words, 0 to 1."""
    duplicate_10gram_characters_high: float = Field(0.1, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 10 words, 0 to 1."""


class ChineseThresholds(Model):
    """Table `[dataprep.thresholds.chinese]`: Chinese and Japanese; a character is a word."""

    word_count_low: int = Field(50, ge=0)
    """Fewest words, words."""
    word_count_high: int = Field(100_000, ge=1)
    """Most words, words."""
    mean_word_length_low: float = Field(1.0, ge=0.0)
    """Shortest mean length of a word, characters."""
    mean_word_length_high: float = Field(5.0, ge=0.0)
    """Longest mean length of a word, characters."""
    symbol_ratio_high: float = Field(0.1, ge=0.0)
    """Most number signs for each word."""
    ellipsis_ratio_high: float = Field(0.1, ge=0.0)
    """Most ellipses for each word."""
    bullet_lines_high: float = Field(0.9, ge=0.0, le=1.0)
    """Largest share of lines that begin with a bullet, 0 to 1."""
    ellipsis_lines_high: float = Field(0.3, ge=0.0, le=1.0)
    """Largest share of lines that end in an ellipsis, 0 to 1."""
    alphabetic_words_low: float = Field(0.735, ge=0.0, le=1.0)
    """Smallest share of words with a letter in them, 0 to 1."""
    stop_words_low: int = Field(2, ge=0)
    """Fewest different stop words of the language, words."""
    duplicate_lines_high: float = Field(0.287, ge=0.0, le=1.0)
    """Largest share of lines that repeat an earlier one, 0 to 1."""
    duplicate_line_characters_high: float = Field(0.2, ge=0.0, le=1.0)
    """Largest share of characters in repeated lines, 0 to 1."""
    top_2gram_characters_high: float = Field(0.256, ge=0.0, le=1.0)
    """Largest share of characters in the commonest 2 words in a row, 0 to 1."""
    top_3gram_characters_high: float = Field(0.201, ge=0.0, le=1.0)
    """Largest share of characters in the commonest 3 words in a row, 0 to 1."""
    top_4gram_characters_high: float = Field(0.171, ge=0.0, le=1.0)
    """Largest share of characters in the commonest 4 words in a row, 0 to 1."""
    duplicate_5gram_characters_high: float = Field(0.198, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 5 words, 0 to 1."""
    duplicate_6gram_characters_high: float = Field(0.182, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 6 words, 0 to 1."""
    duplicate_7gram_characters_high: float = Field(0.167, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 7 words, 0 to 1."""
    duplicate_8gram_characters_high: float = Field(0.154, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 8 words, 0 to 1."""
    duplicate_9gram_characters_high: float = Field(0.14, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 9 words, 0 to 1."""
    duplicate_10gram_characters_high: float = Field(0.127, ge=0.0, le=1.0)
    """Largest share of characters in repeated runs of 10 words, 0 to 1."""


class Thresholds(Model):
    """Table `[dataprep.thresholds]`: the rules of each kind of language."""

    gopher: GopherThresholds = GopherThresholds()
    """For languages that put spaces between words."""
    chinese: ChineseThresholds = ChineseThresholds()
    """For languages that put none: words are characters there."""
