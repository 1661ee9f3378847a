"""Text that is made to take long takes a bounded time: so many times that of plain text."""

import time

import pytest

from dataprep.config_pii import KindName, Pii
from dataprep.pii.kinds import find

PLAIN = "The quick brown fox jumps over the lazy dog, and 12 others. "
HOSTILE = [
    *("1-", "a@", "(", "1234567890", "a.", "@a.b.c.d.", "1.1.", "12 34 ", "a:b:", "::", "%40"),
    *("http://a:", "://a:b@", "aa:bb:cc:", "eyJ", "eyJ.", "sk-", "ghp_", "password=password:"),
    *(
        "-----BEGIN PRIVATE KEY-----",
        "1\u200b",
        "\u202ea@b.c",
        "GB29 NWBK 6016 ",
        "phone 555 1234 ",
    ),
    *("0x52908400098527886E0F7030069857D2E4169Ee7 ", "110101199003070011 ", "passport 12345678 "),
    *(
        "4111 1111 1111 1111 ",
        "+1 415 555 2671 ",
        "tax id 12345 678 ",
        "中@",
        "a at b dot ",
        "[(<{",
    ),
]
CONFIG = Pii(kinds=KindName.__args__)
# Measured 2026-11-26: at most 40 times (identity numbers beside a word, one after the other).
TIMES_MAX = 100


def seconds(text: str) -> float:
    start = time.process_time()
    find(text, CONFIG)
    return time.process_time() - start


def filled(piece: str, num_characters: int) -> str:
    return (piece * (num_characters // len(piece) + 1))[:num_characters]


@pytest.mark.parametrize("piece", HOSTILE)
def test_time_is_that_of_plain_text_many_times_at_most(piece: str) -> None:
    plain = max(min(seconds(filled(PLAIN, 20_000)) for _ in range(3)), 0.003)
    assert seconds(filled(piece, 20_000)) <= TIMES_MAX * plain


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["1-", "a@a@a@", "(", "1234567890", "a.b.", "@a.b.", "1.1."])
def test_a_megabyte_takes_as_long_in_proportion(piece: str) -> None:
    plain = seconds(filled(PLAIN, 1_000_000))
    assert seconds(filled(piece, 1_000_000)) <= 20 * plain
