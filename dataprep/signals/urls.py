"""URLs: lists of domains, of addresses and of words in them, as RefinedWeb and FineWeb use them.

(Penedo et al. 2023, arXiv:2306.01116, section G.1: blocked domains, and addresses scored by words:
one hard word, or more than so many soft ones.) A domain on a list stands for every domain below it.
Hosts and addresses are compared by 64-bit hashes of their bytes in lower case; words by the
automaton of `word_lists`. Rows without a URL pass.
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.arrow_buffers import text_buffers
from dataprep.config import Urls
from dataprep.signals import url_kernels
from dataprep.step import BooleanArray, Step, mark
from dataprep.text import word_lists

# Scheme, user and `www.` before an address; a `#` and what follows, and a last `/`, behind it.
_BEFORE = r"^(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://)?(?:[^/@?#]*@)?(?:[Ww]{3}\.)?"
_BEHIND = r"/?(?:#.*)?$"
_HOST_END = r"[:/?#].*$"

_COUNTS = ("blocked_words", "soft_words", "blocked_substrings")
_FLAGS = ("blocked_domains", "blocked_urls")
FIELDS = (
    *(pa.field(f"urls_{name}", pa.bool_(), nullable=False) for name in _FLAGS),
    *(pa.field(f"urls_{name}", pa.int64(), nullable=False) for name in _COUNTS),
)

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Lists:
    """The files of a table as they are looked up: sorted hashes and automata."""

    allowed_domains: Hashes
    blocked_domains: Hashes
    blocked_urls: Hashes
    words: dict[str, word_lists.Automaton]


def make_steps(config: Urls | None) -> list[Step]:
    """The step `urls`, or none if the recipe has no table.

    Adds what each list finds in the row's URL: `urls_blocked_domains` and `urls_blocked_urls`
    (bool), `urls_blocked_words`, `urls_soft_words` and `urls_blocked_substrings` (int64). Marks
    `urls.blocked_domain`, `urls.blocked_url`, `urls.hard_word`, `urls.soft_words` and
    `urls.blocked_substring`. Raises UserError if a file cannot be read.
    """
    if config is None:
        return []
    load(config)
    return [
        Step(
            name="urls",
            needs=("url", "drop_reason", "drop_value", "drop_threshold"),
            adds=FIELDS,
            apply=functools.partial(_apply, config=config),
            decide=functools.partial(_decide, config=config),
        )
    ]


@functools.lru_cache(maxsize=8)
def load(config: Urls) -> Lists:
    """The lists of a table, read once in each process."""

    def hashes(name: str) -> Hashes:
        entries = word_lists.read_list(getattr(config, name), f"dataprep.urls.{name}")
        plain = address(pa.array(entries, pa.large_string()))
        return np.unique(url_kernels.whole_hashes(*text_buffers(plain)))

    words = {
        name: word_lists.load(
            getattr(config, name), f"dataprep.urls.{name}", name != "blocked_substrings"
        )
        for name in _COUNTS
    }
    return Lists(
        hashes("allowed_domains"), hashes("blocked_domains"), hashes("blocked_urls"), words
    )


def address(url: pa.Array) -> pa.Array:
    """`example.com/a` of `HTTPS://user@www.example.com/a/#b`; large_string, null stays null."""
    plain = pc.replace_substring_regex(url.cast(pa.large_string()), _BEFORE, "", max_replacements=1)
    return pc.ascii_lower(pc.replace_substring_regex(plain, _BEHIND, "", max_replacements=1))


def host(addresses: pa.Array) -> pa.Array:
    """The host of what `address` returned, without a port or a last dot."""
    return pc.ascii_rtrim(pc.replace_substring_regex(addresses, _HOST_END, ""), ".")


def _apply(table: pa.Table, config: Urls) -> pa.Table:
    lists = load(config)
    addresses = pc.fill_null(address(table["url"].combine_chunks()), "")
    hosts = text_buffers(host(addresses))
    judged = ~url_kernels.under_domains(*hosts, lists.allowed_domains)
    found: dict[str, npt.NDArray[np.generic]] = {
        "blocked_domains": url_kernels.under_domains(*hosts, lists.blocked_domains) & judged,
        "blocked_urls": np.isin(
            url_kernels.whole_hashes(*text_buffers(addresses)), lists.blocked_urls
        )
        & judged,
    }
    for name in _COUNTS:
        matches, _ = word_lists.count(addresses, lists.words[name])
        found[name] = np.where(judged, matches, 0)
    for field in FIELDS:
        values = found[field.name.removeprefix("urls_")]
        table = table.append_column(field, pa.array(values, field.type))
    return table


def _decide(table: pa.Table, config: Urls) -> pa.Table:
    for name, reason, most in (
        ("blocked_domains", "urls.blocked_domain", 0),
        ("blocked_urls", "urls.blocked_url", 0),
        ("blocked_words", "urls.hard_word", 0),
        ("soft_words", "urls.soft_words", config.soft_words_max),
        ("blocked_substrings", "urls.blocked_substring", 0),
    ):
        values = np.asarray(table[f"urls_{name}"].to_numpy(), np.int64)
        failing: BooleanArray = values > most
        table = mark(table, failing, reason, values, most)
    return table
