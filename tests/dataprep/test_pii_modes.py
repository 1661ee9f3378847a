"""Personal data: what stands in the place of a finding, and which documents are dropped for one."""

import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep import run
from dataprep.config_pii import Pii
from dataprep.pii import modes
from dataprep.pii.kinds import KINDS, PLACEHOLDERS, find
from dataprep.pii.redact import make_step, redact
from dataprep.pii.replace import MARK
from dataprep.pii.substitutes import is_substitute
from dataprep.report import pii as report_pii
from dataprep.report.explain import explain
from dataprep.step import apply_chain
from launch.errors import UserError
from launch.recipe import Recipe

KEY = b"a key of more than sixteen bytes"
# One text for each kind, and the kind that has the value in it.
EXAMPLES = {
    "credentials": "clone https://bob:hunter2x@db.site.de/x now",
    "email": "write to jane.doe@site.de today",
    "secret": "token ghp_16C7e42F292c6912E7710c838347Ae178B4a here",
    "crypto_wallet": "send to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa please",
    "mac": "wlan MAC address a4:5e:60:c2:91:7f joined",
    "ipv6": "host 2400:c401::5054:ff:fe1b:b031 answered",
    "ipv4": "host 93.184.216.34 answered",
    "iban": "IBAN DE89 3704 0044 0532 0130 00 is mine",
    "cn_id": "身份证 11010519491231002X 。",
    "us_ssn": "SSN 536-90-4399 of hers",
    "cn_mobile": "手机 13812345678 联系",
    "national_id": "PESEL 44051401359 of his",
    "card": "paid by card 4111 1111 1111 1111 today",
    "phone": "Call (415) 555-2671 now",
}
MODES = ("placeholder", "hash", "substitute")


def config(**options: Any) -> Pii:
    if "hash" in (options.get("mode"), *options.get("modes", {}).values()):
        options.setdefault("hash_key_variable", "GRISTMILL_TEST_KEY")
    return Pii(**options)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRISTMILL_TEST_KEY", KEY.decode())


def table_of(texts: list[str], **columns: Any) -> pa.Table:
    num = len(texts)
    return pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "url": columns.get("url", pa.nulls(num, pa.string())),
            "license": columns.get("license", pa.nulls(num, pa.string())),
            "meta": columns.get("meta", pa.array([[]] * num, pa.map_(pa.string(), pa.string()))),
            "drop_reason": pa.nulls(num, pa.string()),
            "drop_value": pa.nulls(num, pa.float64()),
            "drop_threshold": pa.nulls(num, pa.float64()),
        }
    )


def cleaned(texts: list[str], chosen: Pii) -> list[str]:
    return list(apply_chain([make_step(chosen)], table_of(texts))["text"].to_pylist())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_kind_in_every_mode_is_replaced_once(kind: str, mode: str) -> None:
    text = EXAMPLES[kind]
    (finding,) = find(text, Pii())
    assert finding.kind == kind
    value = text[finding.start : finding.end]
    chosen = config(mode=mode)
    once, counts = redact(text, chosen, key=KEY)
    assert counts[finding.counted_as] == sum(counts.values()) == 1
    assert value not in once
    before, after = text[: finding.start], text[finding.end :]
    assert once.startswith(before)
    assert once.endswith(after)
    stands = once[len(before) : len(once) - len(after)]
    if mode == "substitute":
        assert is_substitute(stands) or stands == PLACEHOLDERS[finding.counted_as]
    else:
        assert MARK.fullmatch(stands)
        assert (":" in stands) == (mode == "hash")
    assert redact(once, chosen, key=KEY) == (once, dict.fromkeys(PLACEHOLDERS, 0))
    assert cleaned([text, once], chosen) == [once, once]


PIECES = st.sampled_from(
    [
        *EXAMPLES.values(),
        *("jane@site.de", "93.184.216.34", "4111111111111111", "+1 415 555 2671", "2400:c401::1"),
        *("@", "%40", ".", ":", "::", "-", " ", "\n", "(", "+", "/", "card", "IBAN", "phone"),
        *("<EMAIL>", "<PHONE:3f9a0c12b4d5>", "<CARD:123456789012>", "<", ">", "password: "),
        *(
            "192.0.2.7",
            "+1 212 555 0123",
            "0000",
            "9999 99",
            "\u200b",
            "\u202e",
            "\uff41",
            "\uff12",
        ),
        *"0123456789af",
    ]
)
HOSTILE = st.one_of(st.lists(PIECES, max_size=20).map("".join), st.text(max_size=60))
MIXED = {"email": "hash", "ipv4": "substitute", "card": "drop", "phone": "substitute"}


@pytest.mark.parametrize(
    "options", [*({"mode": mode} for mode in MODES), {"modes": MIXED}], ids=str
)
@settings(deadline=None, max_examples=25)
@given(texts=st.lists(HOSTILE, min_size=1, max_size=5))
def test_a_second_run_changes_nothing(options: dict[str, Any], texts: list[str]) -> None:
    os.environ["GRISTMILL_TEST_KEY"] = KEY.decode()
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    step = make_step(config(**options))
    once = step.apply(table_of(texts))
    names = table_of([]).schema.names
    twice = step.apply(once.select(names))
    assert twice["text"].to_pylist() == once["text"].to_pylist()
    assert all(not any(twice[f"pii_{name}"].to_pylist()) for name in PLACEHOLDERS)


def test_one_value_has_one_hash_however_it_is_written() -> None:
    same = [
        ("Mail Jane@Site.DE", "mail Jane@site.de,"),
        ("Call (415) 555-2671 now", "+1 415.555.2671"),
        ("card 4111 1111 1111 1111", "card 4111-1111-1111-1111"),
        ("手机 13812345678 联系", "phone: +86 138 1234 5678"),
        ("host 2400:C401:0::1 up", "host 2400:c401::1 up"),
    ]
    for left, right in same:
        marks = [MARK.findall(text) for text in cleaned([left, right], config(mode="hash"))]
        assert marks[0] == marks[1] != [], (left, right, marks)
    one, other = cleaned(["mail jane@site.de", "mail joe@site.de"], config(mode="hash"))
    assert one != other
    again, _ = redact(
        "mail jane@site.de", config(mode="hash"), key=b"another key, also long enough"
    )
    assert again != one


def test_hash_is_that_of_the_standard() -> None:
    # From another program: printf 'email\0jane@site.de' | openssl dgst -sha256 -hmac "$KEY"
    text, _ = redact("jane@site.de", config(mode="hash"), key=KEY)
    assert text == "<EMAIL:ed84dd63798f>"


def test_substitutes_depend_on_value_and_seed_alone() -> None:
    texts = [f"mail user{number}@site.de" for number in range(30)]
    chosen = config(mode="substitute")
    forwards, backwards = cleaned(texts, chosen), cleaned(texts[::-1], chosen)
    assert forwards == backwards[::-1]
    assert len({*forwards}) == len(texts)
    assert cleaned(texts, config(mode="substitute", substitute_seed=1)) != forwards


def test_documents_are_dropped_by_counts_that_are_stored() -> None:
    texts = ["card 4111111111111111", "a@b.de c@d.de e@f.de", "a@b.de fine", "nothing"]
    chosen = Pii(modes={"card": "drop"}, findings_max=2)
    step = make_step(chosen)
    result = apply_chain([step], table_of(texts))
    assert result["drop_reason"].to_pylist() == ["pii.card", "pii.empty", None, None]
    assert result["text"].to_pylist()[0] == "card <CARD>", "dropped documents are cleaned too"
    result = apply_chain([step], table_of([f"{text} and more" for text in texts]))
    assert result["drop_reason"].to_pylist() == ["pii.card", "pii.findings", None, None]
    assert result["drop_value"].to_pylist() == [1.0, 3.0, None, None]
    assert result["drop_threshold"].to_pylist() == [0.0, 2.0, None, None]
    # What retune does: the decisions undone, and made again from the columns, without any text.
    names = ["drop_reason", "drop_value", "drop_threshold"]
    stored = result.drop_columns([*names, "text", "url", "license", "meta"])
    for name in names:
        stored = stored.append_column(name, pa.nulls(4, result.schema.field(name).type))
    assert step.decide is not None
    assert step.decide(stored).select(names).equals(result.select(names))
    # Only the decision differs from mode placeholder, which is why retune may change it.
    assert step.settings == make_step(Pii(modes={"card": "placeholder"})).settings
    assert step.settings != make_step(Pii(modes={"card": "off"})).settings


def test_a_kind_that_is_off_stays() -> None:
    assert cleaned(["jane@site.de 93.184.216.34"], Pii(modes={"email": "off"})) == [
        "jane@site.de <IP_ADDRESS>"
    ]
    assert cleaned(["jane@site.de 93.184.216.34 ok"], Pii(modes={"ip_address": "off"})) == [
        "<EMAIL> 93.184.216.34 ok"
    ]
    chosen = Pii(mode="off", modes={"email": "placeholder"})
    assert cleaned(["jane@site.de 93.184.216.34"], chosen) == ["<EMAIL> 93.184.216.34"]


def test_what_is_refused() -> None:
    with pytest.raises(UserError, match=r"modes\.emial: got an unknown kind") as refused:
        make_step(Pii(modes={"emial": "hash"}, hash_key_variable="X"))
    assert "email" in refused.value.hint
    with pytest.raises(UserError, match=r"modes\.ipv4: got 'placeholder', where others"):
        make_step(Pii(modes={"ipv6": "drop"}))
    with pytest.raises(UserError, match="no key, with a mode 'hash'"):
        Pii(modes={"email": "hash"})
    with pytest.raises(UserError, match="two places of the key"):
        Pii(mode="hash", hash_key_file="a", hash_key_variable="B")


def test_keys_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pii.key"
    by_file = Pii(mode="hash", hash_key_file=str(path))
    for content in (None, b"", b"\n\n", b"secret-but-short\n"[:12]):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match="hash_key_file") as refused:
            modes.load_key(by_file)
        assert "secret" not in refused.value.message + refused.value.hint
    path.write_bytes(KEY + b"\n")
    assert modes.load_key(by_file) == KEY
    monkeypatch.delenv("GRISTMILL_TEST_KEY")
    with pytest.raises(UserError, match="which is not set"):
        make_step(config(mode="hash")).apply(table_of(["jane@site.de"]))
    # Without a kind that is hashed nobody needs it.
    assert modes.load_key(Pii(hash_key_file="nowhere")) is None


def test_the_manifest_tells_a_changed_key_and_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "pii.key"
    by_file = Pii(mode="hash", hash_key_file=str(path))
    path.write_bytes(KEY)
    (one,) = modes.key_inputs(by_file, "beside:")
    path.write_bytes(KEY[::-1])
    (other,) = modes.key_inputs(by_file, "beside:")
    assert one.path == other.path == "beside:dataprep.pii key"
    assert one.digest != other.digest
    assert KEY.decode() not in one.digest
    assert modes.key_inputs(Pii(), "beside:") == []


def test_nulls_slices_and_chunks() -> None:
    meta = pa.array(
        [[("a", "jane@site.de"), ("b", None)], [("a", None)], [("c", "8.8.8.8")]],
        pa.map_(pa.string(), pa.string()),
    )
    url = pa.array(["http://x.de/?m=jane@site.de", None, "http://x.de/"])
    licences = pa.array([None, "MIT, ask ann@site.de", ""])
    columns = {"url": url, "meta": meta, "license": licences}
    table = table_of(["a@b.de x", "", "y 2400:c401::1"], **columns)
    step = make_step(Pii())
    whole = step.apply(table)
    assert whole["meta"].to_pylist()[0] == [("a", "<EMAIL>"), ("b", None)]
    assert whole["url"].to_pylist() == ["http://x.de/?m=<EMAIL>", None, "http://x.de/"]
    assert whole["license"].to_pylist() == [None, "MIT, ask <EMAIL>", ""]
    assert whole["pii_email"].to_pylist() == [3, 1, 0]
    assert step.apply(table.slice(1)).to_pylist() == whole.to_pylist()[1:]
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 0), table.slice(1)])
    assert step.apply(chunked).to_pylist() == whole.to_pylist()


@pytest.mark.parametrize(
    "text",
    [
        "@" * 100_000,
        "a@" * 50_000,
        "1" * 100_000,
        "1-" * 50_000,
        "1.1." * 25_000,
        "a:" * 50_000,
        "<EMAIL>" * 15_000,
        "<EMAIL:" * 15_000,
        "password: <SECRET>" * 5_000,
        "\u202e" * 30_000,
        "\u200b1" * 30_000,
        "://" * 30_000,
    ],
    ids=lambda text: ascii(text[:8]),
)
def test_hostile_input_takes_bounded_time(text: str) -> None:
    start = time.process_time()
    cleaned([text], config(mode="substitute"))
    assert time.process_time() - start < 10


def test_report_shows_places_and_no_values() -> None:
    texts = [f"before {EXAMPLES['email']} after", EXAMPLES["phone"], "nothing"]
    for mode in MODES:
        table = apply_chain([make_step(config(mode=mode))], table_of(texts))
        table = table.append_column("id", pa.array(["a", "b", "c"]))
        table = table.append_column("content_hash", pa.array([b"1" * 16, b"0" * 16, b"2" * 16]))
        found = report_pii.samples(table)
        assert {kind: len(places) for kind, places in found.items()} == {"email": 1, "phone": 1}
        (place,) = found["email"]
        assert (place["id"], place["column"]) == ("a", "text")
        assert place["before"] + place["shown"] + place["after"] == table["text"][0].as_py()
        assert report_pii.merge([found, {}, found])["email"] == [place, place]
        numbers = {"documents": 1, "findings": 1}
        page = report_pii.pii(
            {
                "pii": {
                    "email": numbers,
                    "phone": numbers,
                    "iban": {"documents": 0, "findings": 0},
                },
                "pii_samples": found,
                "pii_modes": {"mode": mode, "modes": {}, "findings_max": None},
                "facts": {"documents_in": 3},
            }
        )
        assert "jane.doe@site.de" not in page
        assert "<mark>" in page
        assert "Not found: iban" in page


def test_every_kind_has_an_example_or_needs_a_recipe() -> None:
    assert {kind.name for kind in KINDS} - {*EXAMPLES} == {
        "rule",
        "email_spelled",
        "cn_id_pattern",
        "passport",
    }


def recipe(folder: Path, **pii: Any) -> Recipe:
    source = {"name": "s", "kind": "jsonl", "paths": [f"{folder}/*.jsonl"]}
    dataprep = {"pii": pii, "presets": [], "languages": [], "signals": False}
    tables = {"run": {"root": str(folder / "out")}, "sources": [source], "dataprep": dataprep}
    return Recipe.from_dict(tables)


def test_a_run_refuses_before_it_reads(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "mail jane@site.de"}\n')
    for pii, message in (
        ({"modes": {"emial": "drop"}}, "unknown kind"),
        ({"mode": "hash", "hash_key_file": str(tmp_path / "none")}, "a file that holds a key"),
    ):
        for refusing in (run.check, lambda chosen: run.find_inputs(chosen, write=False)):
            with pytest.raises(UserError, match=message):
                refusing(recipe(tmp_path, **pii))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_run_with_hashes_names_its_key_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_session: object
) -> None:
    lines = [f'{{"text": "mail jane@site.de, {number} of them"}}' for number in range(3)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pii.key").write_bytes(KEY)
    chosen = recipe(tmp_path, modes={"email": "hash"}, hash_key_file="pii.key")
    manifest = run.run(chosen)
    assert manifest is not None
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    table = pa.concat_tables([pq.read_table(path) for path in written if "kept" in str(path)])
    marks = {mark for text in table["text"].to_pylist() for mark in MARK.findall(text)}
    assert len(marks) == 1
    for path in written:
        content = path.read_bytes()
        assert KEY not in content, path
        assert b"jane@site" not in content, path
    (tmp_path / "pii.key").write_bytes(KEY[::-1])
    with pytest.raises(UserError, match=r"dataprep\.pii key"):
        run.run(chosen)
    told = explain(chosen.documents, table["id"][0].as_py())
    assert "1 email replaced" in told
