"""Personal data: what is found, what is left alone, and the step on a table."""

import gzip
import ipaddress
import itertools
import json
from collections import Counter
from pathlib import Path

import phonenumbers
import pyarrow as pa
import pytest
import stdnum.luhn
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config_pii import Pii
from dataprep.pii.kinds import PLACEHOLDERS, find
from dataprep.pii.redact import make_step, redact
from dataprep.step import apply_chain
from launch.errors import UserError

CONFIG = Pii()


def clean(text: str, **options: object) -> str:
    return redact(text, Pii(**options))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to jane.doe+x@mail.example.org.", "write to <EMAIL>."),
        ("邮箱jane@163.com或电话13812345678联系", "邮箱<EMAIL>或电话<PHONE>联系"),
        ("<a href='mailto:jane%40site.de'>", "<a href='mailto:<EMAIL>'>"),
        ("fediverse @user@mastodon.social", "fediverse @<EMAIL>"),
        ("from 93.184.216.34 port 22", "from <IP_ADDRESS> port 22"),
        ("IP地址8.8.8.8。", "IP地址<IP_ADDRESS>。"),
        ("http://93.184.216.34:80/x", "http://<IP_ADDRESS>:80/x"),
        ("at 2400:c401::5054:ff:fe1b:b031.", "at <IP_ADDRESS>."),
        ("[2603:400a:ffff:bb8::801f:3e]:53", "[<IP_ADDRESS>]:53"),
        ("mapped ::ffff:93.184.216.34 too", "mapped <IP_ADDRESS> too"),
        ("Call (415) 555-2671 now", "Call <PHONE> now"),
        ("+44 20 8366 1177", "<PHONE>"),
        ("phone: 4155552671", "phone: <PHONE>"),
        ("fax 0490 75 40 81 in Belgium", "fax <PHONE> in Belgium"),
        ("paid with 4111 1111 1111 1111", "paid with <CARD>"),
        ("amex 371449635398431", "amex <CARD>"),
        ("card: 5019717010103742", "card: <CARD>"),
        ("a@b.com\nUser-Agent: Thunderbird 1.5.0.9", "<EMAIL>\nUser-Agent: Thunderbird 1.5.0.9"),
        ("两个:jane@a.com,joe@b.com", "两个:<EMAIL>,<EMAIL>"),
    ],
)
def test_found(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3.4 and 1.2.3.4.5",  # datatrove rewrites the second
        "SQLite 3.6.23.1 (2010-03-26)",
        "pip install thing==12.34.56.78",
        "foo-9.10.200.4.tar.gz",
        "27.2.8.2. Synchronous Replication",
        "OID 1.3.6.1.4.1",
        "netmask 255.255.255.0 gateway 192.168.1.1 on 127.0.0.1 or 0.0.0.0",
        "2001:db8::1 is for documentation, ::1 is home",
        "std::vector abc::def Fcntl::ADD 12:34:56 aa:bb:cc:dd:ee:ff:00:11",
        "git@github.com:owner/name.git",
        "logo@2x.png getty@tty1.service x@y.T a@b",
        "2147483647 4294967295 (4294967295) 18446744073709551615",
        "timestamps 1609459200 and 1700000000000",
        "Tue May 16 17:18:22 2006 -0700",
        "2020-01-01 12:00:00, 1999-2003, 12/31/1999",
        "ISBN 0-306-40615-2 or 978-3-16-148410-0",
        "4111111111111112 fails Luhn",
        "rng = default_rng(348932549825235)",
        "0.4111111111111111 is a fraction",
        "0x41111111 deadbeef4111111111111111",
        "538 538 1075 free",
        "pi is 3.14159265358979 and e 2.718281828",
        "text '1 0 28 7 1 1 36 4'",
    ],
)
def test_left_alone(text: str) -> None:
    assert clean(text) == text


def test_all_addresses_on_request() -> None:
    text = "192.168.1.1, 10.0.0.1, fe80::1%eth0 and 2001:db8::1"
    assert clean(text, addresses="all") == ", ".join(["<IP_ADDRESS>"] * 3) + " and <IP_ADDRESS>"


def test_kinds_are_separate() -> None:
    text = "jane@site.de 93.184.216.34 2400:c401::1"
    assert clean(text, kinds=("ipv6",)) == "jane@site.de 93.184.216.34 <IP_ADDRESS>"
    assert clean(text, kinds=()) == text


PIECES = st.sampled_from(
    [
        *("jane@site.de", "93.184.216.34", "4111111111111111", "4111 1111 1111 1111", "8.8.8.8"),
        *("+1 415 555 2671", "(415) 555-2671", "4155552671", "13812345678", "2400:c401::1"),
        *("@", "%40", ".", ":", "::", "-", " ", "\n", "(", ")", "+", "/", "phone", "card", "电话"),
        *PLACEHOLDERS.values(),
        *"0123456789af",
    ]
)
HOSTILE = st.one_of(st.lists(PIECES, max_size=25).map("".join), st.text(max_size=60))


@settings(deadline=None, max_examples=300)
@given(HOSTILE)
def test_twice_is_once(text: str) -> None:
    once, _ = redact(text, CONFIG)
    assert redact(once, CONFIG) == (once, dict.fromkeys(PLACEHOLDERS, 0))


@settings(deadline=None, max_examples=200)
@given(HOSTILE)
def test_findings_do_not_overlap_and_counts_are_placeholders(text: str) -> None:
    findings = find(text, CONFIG)
    assert all(a.end <= b.start for a, b in itertools.pairwise(findings))
    cleaned, counts = redact(text, CONFIG)
    for counted, placeholder in PLACEHOLDERS.items():
        # A finding never swallows a placeholder: none of its characters may stand in one.
        assert cleaned.count(placeholder) == text.count(placeholder) + counts[counted]


@given(st.text("0123456789", min_size=14, max_size=14), st.sampled_from(["", " ", "-"]))
def test_every_visa_number_goes(digits: str, separator: str) -> None:
    number = "4" + digits
    number += stdnum.luhn.calc_check_digit(number)
    shown = separator.join(number[i : i + 4] for i in range(0, 16, 4))
    assert clean(f"paid with {shown} today") == (
        "paid with <CARD> today" if len(set(number)) > 1 else f"paid with {shown} today"
    )


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6, network="2000::/3")))
def test_public_addresses_go_and_special_ones_stay(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    public = address.is_global and not address.is_multicast and not address.is_reserved
    cleaned = clean(f"The host {address} answered.")
    assert cleaned == f"The host {'<IP_ADDRESS>' if public else address} answered."


@pytest.mark.parametrize("region", ["US", "CN", "DE", "FR", "BR", "IN", "JP"])
def test_numbers_that_phonenumbers_gives_as_examples(region: str) -> None:
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        number = phonenumbers.example_number_for_type(region, kind)
        for form in (
            phonenumbers.PhoneNumberFormat.INTERNATIONAL,
            phonenumbers.PhoneNumberFormat.E164,
        ):
            shown = phonenumbers.format_number(number, form)
            assert clean(f"Reach us: {shown}.") == "Reach us: <PHONE>."


def table_of(
    texts: list[str],
    urls: list[str | None] | None = None,
    metas: list[list[tuple[str, str]]] | None = None,
    reasons: list[str | None] | None = None,
) -> pa.Table:
    num = len(texts)
    return pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "url": pa.array(urls or [None] * num, pa.string()),
            "license": pa.array(["MIT"] * num, pa.string()),
            "meta": pa.array(metas or [[]] * num, pa.map_(pa.string(), pa.string())),
            "drop_reason": pa.array(reasons or [None] * num, pa.string()),
            "drop_value": pa.nulls(num, pa.float64()),
            "drop_threshold": pa.nulls(num, pa.float64()),
        }
    )


def test_step_covers_text_url_meta_and_dropped_rows() -> None:
    table = table_of(
        ["mail jane@site.de or joe@site.de", "nothing", "Tel: +1 415 555 2671"],
        ["http://93.184.216.34/a", None, "http://x.org/?q=ann@site.de"],
        [[("from", "bob@site.de"), ("n", "1.2.3.4.5")], [], [("a", ""), ("b", "ip 8.8.8.8")]],
        [None, None, "gopher.word_count_low"],
    )
    step = make_step(CONFIG)
    result = apply_chain([step], table)
    assert result.schema.names == table.schema.names + [field.name for field in step.adds]
    assert result["text"].to_pylist() == ["mail <EMAIL> or <EMAIL>", "nothing", "Tel: <PHONE>"]
    assert result["url"].to_pylist() == ["http://<IP_ADDRESS>/a", None, "http://x.org/?q=<EMAIL>"]
    assert result["meta"].to_pylist() == [
        [("from", "<EMAIL>"), ("n", "1.2.3.4.5")],
        [],
        [("a", ""), ("b", "ip <IP_ADDRESS>")],
    ]
    assert result["pii_email"].to_pylist() == [3, 0, 1]
    assert result["pii_ip_address"].to_pylist() == [1, 0, 1]
    assert result["pii_phone"].to_pylist() == [0, 0, 1]
    before = [len(text.encode()) for text in table["text"].to_pylist()]
    after = [len(text.encode()) for text in result["text"].to_pylist()]
    removed = [old - new for old, new in zip(before, after, strict=True)]
    assert result["pii_removed_bytes"].to_pylist() == removed
    assert result["drop_reason"].to_pylist() == [None, None, "gopher.word_count_low"]
    # The step on a slice, whose map column has offsets that do not begin at zero.
    assert step.apply(table.slice(1)).to_pylist() == result.slice(1).to_pylist()
    assert step.apply(table.slice(3)).num_rows == 0


@settings(deadline=None, max_examples=60)
@given(st.lists(HOSTILE, min_size=1, max_size=8))
def test_step_misses_nothing_that_redact_finds(texts: list[str]) -> None:
    # The step looks only at rows and kinds that its cheap patterns let through.
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    result = apply_chain([make_step(CONFIG)], table_of(texts, urls=[*texts]))
    expected = [redact(text, CONFIG)[0] for text in texts]
    assert result["text"].to_pylist() == expected
    assert result["url"].to_pylist() == expected


def test_document_of_nothing_but_personal_data_is_dropped() -> None:
    result = apply_chain(
        [make_step(CONFIG)], table_of(["jane@site.de, +1 415 555 2671\n", "jane@site.de ok"])
    )
    assert result["drop_reason"].to_pylist() == ["pii.empty", None]
    assert result["drop_value"].to_pylist() == [2.0, None]


def test_mode_off_leaves_texts_and_adds_zeros() -> None:
    table = table_of(["mail jane@site.de"])
    result = apply_chain([make_step(Pii(mode="off"))], table)
    assert result.select(table.schema.names).equals(table)
    num_counts = len(PLACEHOLDERS) + 1  # and the removed bytes
    added = [result[field.name].to_pylist() for field in make_step(CONFIG).adds]
    assert added == [[0]] * num_counts + [[False]]


def test_unknown_region_is_refused() -> None:
    with pytest.raises(UserError, match="phone_regions: got 'XX'"):
        make_step(Pii(phone_regions=("XX",)))


REAL_KINDS = {
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ip_address",
    "CREDIT_CARD": "card",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "US_SSN": "us_ssn",
    "US_DRIVER_LICENSE": "national_id",
}


def test_recall_and_precision_on_labelled_sentences(shared_data: Path) -> None:
    gold: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    with gzip.open(shared_data / "pii_en_presidio" / "presidio_synth.jsonl.gz", "rt") as lines:
        for record in map(json.loads, lines):
            spans = [
                (span["start"], span["end"], REAL_KINDS[span["type"]])
                for span in record["spans"]
                if span["type"] in REAL_KINDS
            ]
            findings = find(record["text"], CONFIG)
            for start, end, kind in spans:
                gold[kind] += 1
                hits[kind] += any(f.start < end and start < f.end for f in findings)
            for finding in findings:
                matched = any(
                    finding.start < end and start < finding.end and finding.counted_as == kind
                    for start, end, kind in spans
                )
                wrong[finding.counted_as] += not matched
    assert hits["email"] == gold["email"] > 50
    assert hits["card"] == gold["card"] > 200
    assert hits["ip_address"] >= gold["ip_address"] - 1  # one is a private address
    # Most of that set's telephone numbers are in no number plan: the words beside them tell.
    assert hits["phone"] >= 0.9 * gold["phone"]
    assert sum(wrong.values()) == 0
