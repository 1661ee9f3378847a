"""Figures of personal data: what is found of it, how much of what is found is it, and that twice is
once. Every figure has its counts and a 95 % interval (Wilson 1927).

A labelled value counts as found if all of it lies in one finding. A finding counts as right if it
touches a label of its kind. Data: `../shared/data/pii_*`; `pii_generated` makes the rest.
"""

import functools
import gzip
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from benchmarks import pii_generated
from benchmarks.documents import REPOSITORY
from dataprep.config_pii import Pii
from dataprep.pii.kinds import PLACEHOLDERS, find
from dataprep.pii.redact import redact

DATA = REPOSITORY.parent / "shared" / "data"
PRESIDIO = "pii_en_presidio/presidio_synth.jsonl.gz"
CHINESE = "pii_zh_multipriv/multipriv_zh.jsonl.gz"
CASES = "pii_recognizer_cases/presidio_recognizer_cases.jsonl.gz"
SETS = (
    *(PRESIDIO, CHINESE, CASES, "pii_en_multipriv/multipriv_en.jsonl.gz"),
    "pii_en_nano/pii_nano.jsonl.gz",
)
PROSE = ("en_docs", "en_manpages", "zh_docs")
# That set labels private addresses as well.
ALL_ADDRESSES = Pii(addresses="all")
TYPES = {
    "email": "EMAIL_ADDRESS",
    "ip_address": "IP_ADDRESS",
    "card": "CREDIT_CARD",
    "iban": "IBAN_CODE",
    "us_ssn": "US_SSN",
    "phone": "PHONE_NUMBER",
}
LEAST = {
    "email": 0.98,
    "ip_address": 0.98,
    "card": 0.98,
    "iban": 0.98,
    "us_ssn": 0.95,
    "phone": 0.9,
}
PRECISION_LEAST = 0.95

# What a case's type is called here. Not supported: dates, web addresses and post codes (no
# identifiers of a person by themselves), bank account numbers (no check, no shape).
CASE_KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "CREDIT_CARD": {"kinds": ("card",)},
    "CRYPTO": {"kinds": ("crypto_wallet",)},
    "EMAIL_ADDRESS": {"kinds": ("email",)},
    "IBAN_CODE": {"kinds": ("iban",)},
    "IP_ADDRESS": {"kinds": ("ipv6", "ipv4")},
    "MAC_ADDRESS": {"kinds": ("mac",)},
    "PHONE_NUMBER": {"kinds": ("phone",)},
    "US_PASSPORT": {"kinds": ("passport",)},
    "US_SSN": {"kinds": ("us_ssn",)},
} | {
    case: {"kinds": ("national_id",), "national_ids": (row,)}
    for case, row in {
        "ABA_ROUTING": "us_routing",
        "AU_ABN": "au_abn",
        "AU_TFN": "au_tfn",
        "CA_SIN": "ca_sin",
        "DE_ID_CARD": "de_id_card",
        "DE_TAX_ID": "de_tax_id",
        "ES_NIF": "es_nif",
        "FI_PERSONAL_IDENTITY_CODE": "fi_hetu",
        "IN_AADHAAR": "in_aadhaar",
        "IN_PAN": "in_pan",
        "IT_FISCAL_CODE": "it_fiscal_code",
        "KR_RRN": "kr_rrn",
        "PL_PESEL": "pl_pesel",
        "SG_NRIC_FIN": "sg_nric",
        "TH_TNIN": "th_pin",
        "UK_NHS": "gb_nhs",
        "UK_NINO": "gb_nino",
        "US_ITIN": "us_itin",
        "US_NPI": "us_npi",
    }.items()
}
# The cases are bare numbers: no word names them. Their telephone numbers are of these regions.
CASE_SETTINGS: dict[str, Any] = {
    "identifiers": "anywhere",
    "addresses": "all",
    "phone_regions": ("US", "GB", "DE", "FR", "IL", "IN", "CA", "BR"),
}


def read(path: str) -> list[dict[str, Any]]:
    """The records of one file of the shared data."""
    with gzip.open(DATA / path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def wilson(hits: int, num: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), rounded to four digits."""
    if not num:
        return 0.0, 1.0
    z = 1.959964
    middle = (hits + z * z / 2) / (num + z * z)
    half = z * math.sqrt(hits * (num - hits) / num + z * z / 4) / (num + z * z)
    return round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)


def share(hits: int, num: int) -> dict[str, Any]:
    """A share with its counts and its interval."""
    return {
        "hits": hits,
        "of": num,
        "share": round(hits / max(num, 1), 4),
        "95%": wilson(hits, num),
    }


def counted(
    texts: Iterable[tuple[str, list[tuple[int, int]]]], config: Pii, kinds: tuple[str, ...]
) -> dict[str, Any]:
    """Recall and precision over texts with the places of all labels of the `kinds`."""
    labels = found = right = findings_all = 0
    for text, spans in texts:
        findings = [finding for finding in find(text, config) if finding.counted_as in kinds]
        for start, end in spans:
            labels += 1
            found += any(f.start <= start and end <= f.end for f in findings)
        for finding in findings:
            findings_all += 1
            right += any(finding.start < end and start < finding.end for start, end in spans)
    return {"recall": share(found, labels), "precision": share(right, findings_all)}


def labelled(path: str, label: str) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Texts of a set with the places of one type of label."""
    for record in read(path):
        yield (
            record["text"],
            [(span["start"], span["end"]) for span in record["spans"] if span["type"] == label],
        )


def held(answer: dict[str, Any], least: float) -> bool:
    """Whether recall and precision reach what they should."""
    precision = answer["precision"]["share"]
    return bool(answer["recall"]["share"] >= least and precision >= PRECISION_LEAST)


def presidio(kind: str) -> tuple[Any, float, bool]:
    """Recall at precision 0.95 on sentences of pii_en_presidio; `addresses = "all"`."""
    answer = counted(labelled(PRESIDIO, TYPES[kind]), ALL_ADDRESSES, (kind,))
    return answer, LEAST[kind], held(answer, LEAST[kind])


def generated(kind: str) -> tuple[Any, float, bool]:
    """The same on generated sentences, with the default settings; recall by form as well."""
    sentences = list(pii_generated.sentences(kind))
    answer = counted(((s.text, [(s.start, s.end)]) for s in sentences), Pii(), (kind,))
    by_form: defaultdict[str, list[bool]] = defaultdict(list)
    for sentence in sentences:
        by_form[sentence.form].append(
            any(
                f.start <= sentence.start and sentence.end <= f.end and f.counted_as == kind
                for f in find(sentence.text, Pii())
            )
        )
    answer["by_form"] = {form: f"{sum(hits)}/{len(hits)}" for form, hits in sorted(by_form.items())}
    return answer, LEAST[kind], held(answer, LEAST[kind])


def chinese(label: str, kinds: tuple[str, ...]) -> tuple[Any, float, bool]:
    """The same on pii_zh_multipriv; its identity numbers mostly have no right check digit."""
    answer = counted(labelled(CHINESE, label), Pii(), kinds)
    if label == "ID_NUMBER":
        answer["with_checksum"] = counted(labelled(CHINESE, label), Pii(), ("cn_id",))["recall"]
    return answer, 0.98, held(answer, 0.98)


def cases() -> tuple[Any, float, bool]:
    """Cases decided right: as many findings as labels, each touching its label; by type."""
    right: Counter[str] = Counter()
    exact: Counter[str] = Counter()
    num: Counter[str] = Counter()
    unsupported: Counter[str] = Counter()
    for record in read(CASES):
        case = record["checked_type"]
        if case not in CASE_KINDS:
            unsupported[case] += 1
            continue
        config = Pii(**CASE_KINDS[case], **CASE_SETTINGS)
        found = [(finding.start, finding.end) for finding in find(record["text"], config)]
        expected = [(span["start"], span["end"]) for span in record["spans"]]
        num[case] += 1
        exact[case] += found == expected
        right[case] += len(found) == len(expected) and all(
            a[0] < b[1] and b[0] < a[1] for a, b in zip(found, expected, strict=True)
        )
    answer = share(right.total(), num.total())
    answer["same_characters"] = share(exact.total(), num.total())
    answer["by_type"] = {case: f"{right[case]}/{num[case]}" for case in sorted(num)}
    answer["not_supported"] = dict(unsupported)
    return answer, 0.97, answer["share"] >= 0.97


def twice(num_fuzzed: int = 2_000) -> tuple[Any, int, bool]:
    """Texts of all sets, and fuzzed ones, that a second pass changes."""
    texts = {path.split("/")[0]: [record["text"] for record in read(path)] for path in SETS}
    texts["fuzz"] = list(_fuzzed(num_fuzzed, [text for some in texts.values() for text in some]))
    changed: Counter[str] = Counter()
    for config in (Pii(), Pii(addresses="all", identifiers="anywhere")):
        for name, some in texts.items():
            for text in some:
                once = redact(text, config)[0]
                changed[name] += redact(once, config)[0] != once
    num = sum(map(len, texts.values()))
    return {"changed": dict(changed), "texts": num}, 0, not changed.total()


def _fuzzed(num: int, texts: list[str]) -> Iterator[str]:
    """Pieces of the texts and of placeholders, put together by chance."""
    source = random.Random("pii fuzz")
    extra = [
        *PLACEHOLDERS.values(),
        "@",
        ".",
        ":",
        "-",
        " ",
        "\n",
        "\u200b",
        "\u202e",
        "＠",
        "0",
        "1",
    ]
    for _ in range(num):
        pieces = []
        for _ in range(source.randint(2, 12)):
            text = source.choice(texts)
            start = source.randrange(len(text))
            piece = text[start : start + source.randint(1, 30)]
            pieces.append(source.choice((piece, source.choice(extra))))
        yield "".join(pieces)


def prose(name: str) -> tuple[Any, None, None]:
    """Findings by kind in technical prose, where hardly any are expected: one document in four."""
    found: Counter[str] = Counter()
    num_bytes = 0
    for path in sorted((DATA / name).glob("*.jsonl.gz")):
        for record in read(f"{name}/{path.name}")[::4]:
            num_bytes += len(record["text"].encode())
            found.update(finding.kind for finding in find(record["text"], Pii()))
    return {"megabytes": round(num_bytes / 1e6, 1), "findings": dict(found)}, None, None


def figures() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, bool | None]]]]:
    """Names and computations of all figures."""
    for kind in TYPES:
        yield f"pii_presidio_{kind}", functools.partial(presidio, kind)
        yield f"pii_generated_{kind}", functools.partial(generated, kind)
    yield "pii_chinese_email", functools.partial(chinese, "EMAIL_ADDRESS", ("email",))
    yield "pii_chinese_mobile", functools.partial(chinese, "PHONE_NUMBER", ("phone",))
    ids = ("cn_id", "cn_id_pattern")
    yield "pii_chinese_id", functools.partial(chinese, "ID_NUMBER", ids)
    yield "pii_recognizer_cases", cases
    yield "pii_twice", twice
    for name in PROSE:
        yield f"pii_prose_{name}", functools.partial(prose, name)
