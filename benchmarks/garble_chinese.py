"""Bad Chinese documents, made from good ones by named and seeded generators.

Each generator takes the text of a good document and a random generator seeded by its own name and
that text, so that a corpus is the same everywhere. Three families are what rules should find:
`shuffled` (order destroyed below the sentence), `garbled` (wrong encodings, wrong characters, text
of machines) and `boilerplate` (what stands around an article on a page). `shuffled_sentences` is in
a family of its own, `beyond_rules`: each of its sentences is good, and no count of characters can
tell; it is reported and not judged.

    python -m benchmarks.garble_chinese     one line for each generator: an example's beginning
"""

import gzip
import html
import json
import random
import re
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import xxhash

from benchmarks.boilerplate_chinese import (
    advertisements,
    breadcrumbs,
    footer,
    list_of_articles,
    login_and_download,
    navigation,
    phrases,
    table_of_numbers,
    tags,
)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
GOOD_SOURCES = ("zh_docs/zh_docs", "zh_classics/zh_modern_translations", "zh_classics/zh_classical")

_SENTENCE = re.compile(r"[^。！？\n]*[。！？\n]?")
_HAN = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Generator:
    """A way to make a bad document; `family` is shuffled, garbled, boilerplate or beyond_rules."""

    family: str
    make: Callable[[str, random.Random], str]

    @property
    def name(self) -> str:
        return self.make.__name__


@dataclass(frozen=True)
class Bad:
    """One bad document, how it was made, and from which text."""

    family: str
    generator: str
    text: str
    origin: str


def half_of(text: str) -> int:
    """0 or 1: the half in which a text lies, by its hash; thresholds come from half 0."""
    return xxhash.xxh3_64_intdigest(text.encode()) & 1


def good_texts(names: Iterable[str] = GOOD_SOURCES) -> list[str]:
    """Texts of the shared sets of good Chinese documents, in order."""
    texts = []
    for name in names:
        with gzip.open(SHARED_DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
            texts += [json.loads(line)["text"] for line in stream]
    return texts


def bad_documents(texts: Iterable[str], each: int = 50) -> list[Bad]:
    """About `each` documents of every generator for each half, from texts chosen by their hash."""
    chosen = sorted(texts, key=lambda text: xxhash.xxh3_64_intdigest(text.encode(), seed=1))
    halves = [[text for text in chosen if half_of(text) == half] for half in (0, 1)]
    documents = []
    for index, generator in enumerate(GENERATORS):
        for half in halves:
            start = index * each % max(1, len(half))
            for text in (half[start:] + half[:start])[:each]:
                made = generator.make(text, random.Random(f"{generator.name} {text}"))
                if made.strip():
                    documents.append(Bad(generator.family, generator.name, made, text))
    return documents


# Shuffled: what is there is right, its order is not.


def shuffled_characters(text: str, draw: random.Random) -> str:
    """All characters of the text in another order."""
    characters = list(text)
    draw.shuffle(characters)
    return "".join(characters)


def shuffled_han(text: str, draw: random.Random) -> str:
    """Han characters change places among themselves; everything else stays."""
    characters = _HAN.findall(text)
    draw.shuffle(characters)
    following = iter(characters)
    return _HAN.sub(lambda _: next(following), text)


def shuffled_lines(text: str, draw: random.Random) -> str:
    """The characters of each line in another order; lines stay."""
    lines = [draw.sample(line, len(line)) for line in text.split("\n")]
    return "\n".join("".join(line) for line in lines)


def shuffled_windows(text: str, draw: random.Random) -> str:
    """The characters of each run of 20 in another order."""
    parts = [text[start : start + 20] for start in range(0, len(text), 20)]
    return "".join("".join(draw.sample(part, len(part))) for part in parts)


def shuffled_segments(text: str, draw: random.Random) -> str:
    """Segments of one to three characters in another order over the whole text."""
    segments = _segments(text, draw)
    draw.shuffle(segments)
    return "".join(segments)


def shuffled_segments_in_windows(text: str, draw: random.Random) -> str:
    """Segments of one to three characters in another order within windows of 30."""
    segments = _segments(text, draw)
    windows = [segments[start : start + 30] for start in range(0, len(segments), 30)]
    return "".join("".join(draw.sample(window, len(window))) for window in windows)


def reversed_characters(text: str, draw: random.Random) -> str:
    """Every line from its end to its beginning."""
    return "\n".join(line[::-1] for line in text.split("\n"))


def shuffled_sentences(text: str, draw: random.Random) -> str:
    """Sentences in another order: each of them is good."""
    sentences = _SENTENCE.findall(text)
    draw.shuffle(sentences)
    return "".join(sentences)


# Garbled: encodings mistaken for one another, characters that are wrong, text made by machines.


def utf8_as_gbk(text: str, draw: random.Random) -> str:
    return text.encode().decode("gb18030", errors="replace")


def utf8_as_gbk_ignored(text: str, draw: random.Random) -> str:
    return text.encode().decode("gbk", errors="ignore")


def gbk_as_utf8(text: str, draw: random.Random) -> str:
    return text.encode("gbk", errors="ignore").decode(errors="replace")


def utf8_as_latin1(text: str, draw: random.Random) -> str:
    return text.encode().decode("latin-1")


def utf8_as_windows1252(text: str, draw: random.Random) -> str:
    return text.encode().decode("cp1252", errors="replace")


def gbk_as_latin1(text: str, draw: random.Random) -> str:
    return text.encode("gbk", errors="ignore").decode("latin-1")


def gbk_as_big5(text: str, draw: random.Random) -> str:
    return text.encode("gbk", errors="ignore").decode("big5", errors="replace")


def gbk_as_shift_jis(text: str, draw: random.Random) -> str:
    return text.encode("gbk", errors="ignore").decode("shift_jis", errors="replace")


def gbk_as_euc_kr(text: str, draw: random.Random) -> str:
    return text.encode("gbk", errors="ignore").decode("euc_kr", errors="replace")


def replacement_as_gbk(text: str, draw: random.Random) -> str:
    """What could not be decoded once, saved as UTF-8 and read as GBK: 锟斤拷."""
    once = text.encode("gbk", errors="ignore").decode(errors="replace")
    return once.encode().decode("gbk", errors="ignore")


def lost_bytes(text: str, draw: random.Random) -> str:
    """One byte in 40 is lost from GBK, so that pairs of bytes fall apart up to the next ASCII."""
    kept = bytes(byte for byte in text.encode("gbk", errors="ignore") if draw.random() > 0.025)
    return kept.decode("gbk", errors="replace")


def half_encoded(text: str, draw: random.Random) -> str:
    """Every other line is mojibake, as where two files of two encodings were joined."""
    lines = [line for line in text.split("\n") if line.strip()]
    return "\n".join(
        line.encode().decode("gbk", errors="replace") if index % 2 else line
        for index, line in enumerate(lines)
    )


def entities(text: str, draw: random.Random) -> str:
    """Characters as HTML's numbers."""
    return html.escape(text).encode("ascii", errors="xmlcharrefreplace").decode()


def percent_encoded(text: str, draw: random.Random) -> str:
    return urllib.parse.quote_plus(text)


def escaped(text: str, draw: random.Random) -> str:
    """Characters as JSON's escapes."""
    return json.dumps(text)


def random_han(text: str, draw: random.Random) -> str:
    """Every Han character becomes any Han character."""
    return _HAN.sub(lambda _: chr(draw.randrange(0x4E00, 0x9FA6)), text)


def random_common_han(text: str, draw: random.Random) -> str:
    """Every Han character becomes one of the 3,755 of GB 2312's first level."""
    common = bytes(range(0xB0, 0xD8))
    return _HAN.sub(
        lambda _: bytes((draw.choice(common), draw.randrange(0xA1, 0xFA))).decode("gb2312"), text
    )


def optical_errors(text: str, draw: random.Random) -> str:
    """A quarter of the Han characters become a neighbour with the same radical, as in bad OCR."""

    def mistake(match: re.Match[str]) -> str:
        if draw.random() > 0.25:
            return match[0]
        return chr(min(0x9FA5, max(0x4E00, ord(match[0]) + draw.choice((-3, -2, -1, 1, 2, 3)))))

    return _HAN.sub(mistake, text)


def optical_noise(text: str, draw: random.Random) -> str:
    """One character in four becomes a sign that OCR makes of spots and rules."""
    signs = "|_~^`'.,:;!ilI1[]{}<>\\/*#"
    return "".join(draw.choice(signs) if draw.random() < 0.25 else one for one in text)


def repeated_sentences(text: str, draw: random.Random) -> str:
    """Three sentences of the text, over and over."""
    sentences = [part.strip() for part in _SENTENCE.findall(text) if len(part) > 8] or [text[:40]]
    few = draw.sample(sentences, min(3, len(sentences)))
    return "".join(draw.choice(few) for _ in range(30))


def stuffed_keywords(text: str, draw: random.Random) -> str:
    """Ten keywords in every order, as pages for search engines have them."""
    words = phrases(text, draw, 10)
    joint = draw.choice((",", "，", " ", "|", "、", "_"))
    return "\n".join(joint.join(draw.choices(words, k=12)) for _ in range(25))


def filled_template(text: str, draw: random.Random) -> str:
    """One sentence with another word in it each time."""
    template = draw.choice(_TEMPLATES)
    return "\n".join(template.format(word=word) for word in phrases(text, draw, 30))


def _segments(text: str, draw: random.Random) -> list[str]:
    segments = []
    start = 0
    while start < len(text):
        length = draw.choice((1, 2, 2, 2, 3))
        segments.append(text[start : start + length])
        start += length
    return segments


_TEMPLATES = (
    "{word}哪家好？找{word}就上本站，{word}厂家直销，{word}价格优惠，欢迎来电咨询{word}。",
    "最新{word}下载，{word}免费版，{word}破解版，{word}官方下载地址。",
    "您正在浏览的是{word}相关信息，如需了解更多{word}请联系客服。",
    "小说{word}最新章节由网友上传，{word}全文阅读，{word}无弹窗。",
)
GENERATORS = (
    *(
        Generator("shuffled", make)
        for make in (
            shuffled_characters, shuffled_han, shuffled_lines, shuffled_windows,
            shuffled_segments, shuffled_segments_in_windows, reversed_characters,
        )
    ),
    *(
        Generator("garbled", make)
        for make in (
            utf8_as_gbk, utf8_as_gbk_ignored, gbk_as_utf8, utf8_as_latin1, utf8_as_windows1252,
            gbk_as_latin1, gbk_as_big5, gbk_as_shift_jis, gbk_as_euc_kr, replacement_as_gbk,
            lost_bytes, half_encoded, entities, percent_encoded, escaped, random_han,
            random_common_han, optical_errors, optical_noise, repeated_sentences,
            stuffed_keywords, filled_template,
        )
    ),
    *(
        Generator("boilerplate", make)
        for make in (
            navigation, breadcrumbs, footer, login_and_download, table_of_numbers,
            advertisements, list_of_articles, tags,
        )
    ),
    Generator("beyond_rules", shuffled_sentences),
)  # fmt: skip


def main() -> None:
    for bad in bad_documents(good_texts(), each=1):
        if half_of(bad.origin) == 0:
            print(f"{bad.family}.{bad.generator}: {bad.text[:100]!r}")


if __name__ == "__main__":
    main()
