"""Places of many words in a text in one pass, by an Aho-Corasick automaton."""

from collections.abc import Iterable, Iterator

import ahocorasick

from dataprep.pii.context import is_placeholder


class Words:
    """A set of words; found in any case, those of capitals in capitals only.

    A blank in a word may be missing, or be a dash or an underscore. With `whole`, no letter may
    stand beside a word; words of scripts without blanks between words are found anywhere. What
    stands in a placeholder (`<PHONE>`) is no word.
    """

    def __init__(self, words: Iterable[str], whole: bool = True) -> None:
        self._whole = whole
        capitals, others = ahocorasick.Automaton(), ahocorasick.Automaton()
        for word in words:
            for blank in (" ", "-", "_", ""):
                form = word.replace(" ", blank)
                if form.isupper():
                    capitals.add_word(form, (word, len(form)))
                else:
                    others.add_word(form.lower(), (word, len(form)))
        self._automata = [capitals, others]
        for automaton in self._automata:
            automaton.make_automaton()

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Start, end, and the word as it was given; the longest of those that end at one place."""
        # The one character whose small form has two.
        lower = text.replace("\u0130", "i").lower()
        assert len(lower) == len(text), "places must be those of the text"
        for automaton, form in zip(self._automata, (text, lower), strict=True):
            if len(automaton):
                yield from self._found(automaton.iter(form), text)

    def _found(
        self, hits: Iterable[tuple[int, tuple[str, int]]], text: str
    ) -> Iterator[tuple[int, int, str]]:
        last_end = -1
        for last, (word, num_characters) in hits:
            start, end = last + 1 - num_characters, last + 1
            if end == last_end:
                continue
            if self._whole and not (_borders(text, start, start - 1) and _borders(text, last, end)):
                continue
            if not is_placeholder(text, start, end):
                last_end = end
                yield start, end, word


def _borders(text: str, inner: int, outer: int) -> bool:
    """Whether a word may end at `inner` with `outer` as its neighbour."""
    if not 0 <= outer < len(text) or not text[outer].isalpha():
        return True
    return text[inner] >= "\u0e00" or text[outer] >= "\u0e00"
