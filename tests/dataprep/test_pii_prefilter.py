"""Where personal data may stand: looking at windows finds what looking at whole texts finds."""

import base64
import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.documents import texts
from dataprep.config_pii import Pii, PiiRule
from dataprep.pii.kinds import KINDS, PLACEHOLDERS, find, selected
from dataprep.pii.prefilter import SHAPES, candidates
from dataprep.pii.redact import make_step, redact

TOKEN = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
BODY = base64.b64encode(random.Random(1).randbytes(3000)).decode()
HEADER = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "x": BODY[:600]}).encode()).decode()
# What is long, or far from what is seen of it.
LONG = [
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "\n".join(BODY[place : place + 64] for place in range(0, len(BODY), 64))
    + "\n-----END RSA PRIVATE KEY-----",
    f"{HEADER.rstrip('=')}.eyJ{BODY.replace('+', '-').replace('/', '_')[:3800]}.abc_DEF",
    f"Authorization: Bearer {BODY[:990]}",
    f"https://user:{'pä' * 120}@db.site.de/x",
    f"{'x' * 120}@{'label.' * 7}site.de",
    "\u202e" + "ed.etis@eod.enaj" + " \u4e2d" * 100,
]
SHORT = [
    *("https://bob:hunter2x@db.site.de/x", "jane.doe@site.de", "jane%40site.de", TOKEN),
    *("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "MAC a4:5e:60:c2:91:7f", "MAC a4-5e-60-c2-91-7f"),
    *("MAC a45e.60c2.917f", "2400:c401::5054:ff:fe1b:b031", "93.184.216.34", "8.8.8.8"),
    *("DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "11010519491231002X"),
    *("SSN 536-90-4399", "手机 13812345678", "PESEL 44051401359", "PAN ABCPE1234F"),
    *("passport number C01X00T47", "4111 1111 1111 1111", "+1 415 555 2671", "tel. 0490 75 40 81"),
    *(
        "jane\u200b@site.de",
        "１３８１２３４５６７８ 手机",
        "password: x7Kp-99!aQz",
        "driver license AB-123",
    ),
]
FILLERS = [
    "Plain words fill the space between, and nothing else. ",
    "Version 2.3.4 of 2020-01-01 has 12:34:56 and 0x1f for std::vector. ",
    "这里只有中文，没有别的东西。",
    "é à ü ß – “quoted” … ",
    "\u0e01\u0e02\u0e03 \U0001f600 ",
]


def same(values: list[str], config: Pii) -> None:
    table = pa.table(
        {
            "text": pa.array(values, pa.large_string()),
            "url": pa.nulls(len(values), pa.string()),
            "license": pa.nulls(len(values), pa.string()),
            "meta": pa.array([[]] * len(values), pa.map_(pa.string(), pa.string())),
        }
    )
    found = make_step(config).apply(table)
    expected = [redact(value, config) for value in values]
    for row, (text, counts) in enumerate(expected):
        assert found["text"][row].as_py() == text
        assert {name: found[f"pii_{name}"][row].as_py() for name in PLACEHOLDERS} == counts


@pytest.mark.parametrize("name", ["en_docs", "zh_docs", "en_c4", "warc", "pii"])
def test_same_as_whole_texts_on_real_documents(name: str, shared_data: Path) -> None:
    if name == "pii":
        values = texts("pii_en_presidio")[:300]
    elif name == "warc":
        values = texts("multilang_docs")[:60]
    else:
        values = texts(name)[:40]
    same([value[:20_000] for value in values], Pii())


@pytest.mark.parametrize("filler", FILLERS, ids=range(len(FILLERS)))
def test_same_as_whole_texts_wherever_a_finding_stands(filler: str) -> None:
    draw = random.Random(filler)
    values = []
    for value in [*SHORT, *LONG]:
        left, right = (filler * draw.randint(20, 120) for _ in range(2))
        cut = draw.randrange(len(filler))
        values.append(f"{left[cut:]} {value} {right}")
    # Many in one text, near and far.
    parts = [draw.choice([*SHORT, filler * 30, filler * 90]) for _ in range(60)]
    values += [" ".join(parts), "".join(parts)]
    same(values, Pii())
    same(values, Pii(kinds=("secret",)))
    found = [sum(redact(value, Pii())[1].values()) for value in values[: len(SHORT + LONG)]]
    assert np.count_nonzero(found) >= len(found) - 5, "most of them are found at all"


PARTS = st.sampled_from(
    [
        *SHORT,
        *FILLERS,
        *(filler * 60 for filler in FILLERS),
        *("@", "%40", "12", "345", "-", ".", ":", "\u200b", "２", "a", " ", "\n", "\u4e2d", "://"),
    ]
)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(PARTS, max_size=12).map("".join), min_size=1, max_size=3))
def test_same_as_whole_texts_on_fuzz(values: list[str]) -> None:
    same(values, Pii(addresses="all", phone_regions=("US", "CN", "DE", "BE")))


def test_own_rules_see_the_whole_text() -> None:
    rule = PiiRule(name="badge", pattern="[A-Z]{2}#[a-z]{4}", words=("badge",), window=1000)
    config = Pii(rules=(rule,))
    filler = FILLERS[0] * 16
    values = [f"badge {filler} AB#cdef {FILLERS[0] * 200}", f"{FILLERS[0] * 200} AB#cdef"]
    same(values, config)
    assert redact(values[0], config)[1]["rule"] == 1


@settings(deadline=None, max_examples=100)
@given(st.lists(st.one_of(st.text(max_size=40), PARTS), max_size=5))
def test_windows_are_texts_in_order_without_overlap(values: list[str]) -> None:
    array = pa.array([value.encode("utf-8", "ignore") for value in values], pa.large_binary())
    array = array.view(pa.large_string())
    found = candidates(array, selected(Pii()))
    found.texts.validate(full=True)
    for (row, start, stop), text in zip(
        found.places.tolist(), found.texts.to_pylist(), strict=True
    ):
        assert array[row].as_py().encode()[start:stop] == text.encode()
    keys = found.places[:, 0] * (1 << 40) + found.places[:, 1]
    assert (np.diff(keys) > 0).all()
    assert found.kinds.any(axis=1).all()


def test_long_texts_are_looked_at_in_windows_only() -> None:
    text = FILLERS[0] * 20_000 + "jane@site.de" + FILLERS[0] * 20_000
    found = candidates(pa.array([text], pa.large_string()), selected(Pii()))
    assert len(found.texts) == 1
    assert len(found.texts[0].as_py()) < 2000
    assert found.kinds.sum() == 1
    # Nothing is left of a text without any shape.
    assert (
        len(candidates(pa.array([FILLERS[0] * 9], pa.large_string()), selected(Pii())).texts) == 0
    )


def test_shapes_are_those_of_kinds() -> None:
    assert {*SHAPES} <= {kind.name for kind in KINDS}


@pytest.mark.parametrize("value", SHORT)
def test_every_finding_has_the_shape_of_its_kind(value: str) -> None:
    """Each finding is found in its own window, under its own kind."""
    kinds = selected(Pii())
    array = pa.array([f"{FILLERS[0] * 40}{value} {FILLERS[0] * 40}"], pa.large_string())
    found = candidates(array, kinds)
    for finding in find(array[0].as_py(), Pii()):
        column = [kind.name for kind in kinds].index(finding.kind)
        assert (
            any(
                start <= finding.start and finding.end <= stop
                for (_, start, stop), may in zip(found.places.tolist(), found.kinds, strict=True)
                if may[column]
            )
            or not array[0].as_py().isascii()
        )
