"""Which kinds of personal data are found, and what is left alone."""

import hashlib
import itertools
import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import stdnum.bitcoin
import stdnum.iban
import stdnum.luhn
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config_pii import KindName, Pii, PiiRule
from dataprep.pii.keccak import keccak_256
from dataprep.pii.kinds import KINDS, PLACEHOLDERS, RULE, find, selected
from dataprep.pii.national_table import NATIONAL_IDS
from dataprep.pii.redact import make_step, redact
from dataprep.pii.words import Words
from launch.errors import UserError

CONFIG = Pii()
TOKEN = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6"  # 36 characters, no provider's


def clean(text: str, **options: object) -> str:
    return redact(text, Pii(**options))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # e-mail
        ("пишите на иван@пример.рф сегодня", "пишите на <EMAIL> сегодня"),
        ("jürgen.groß@münchen.de", "<EMAIL>"),
        ("联系用户@例子.公司，谢谢", "<EMAIL>，谢谢"),
        ("邮箱jane@mail.com。", "邮箱<EMAIL>。"),
        ("user@xn--80ak6aa92e.com", "<EMAIL>"),
        # credentials
        ("https://user:password@host/a?b=c", "https://<CREDENTIALS>@host/a?b=c"),
        (
            "postgres://me:p%40ss@db.example.org:5432/x",
            "postgres://<CREDENTIALS>@db.example.org:5432/x",
        ),
        # hardware
        ("ether 08:00:27:1d:28:10 up", "ether <MAC_ADDRESS> up"),
        ("MAC 0012.3456.789a, 00-1A-2B-3C-4D-5E", "MAC <MAC_ADDRESS>, <MAC_ADDRESS>"),
        # networks
        ("route 93.184.216.0/24 dev", "route <IP_ADDRESS> dev"),
        ("via 64:ff9b::93.184.216.34", "via <IP_ADDRESS>"),
        # bank accounts
        ("IBAN GB29 NWBK 6016 1331 9268 19 was", "IBAN <IBAN> was"),
        ("DE89370400440532013000", "<IBAN>"),
        ("iban: nl91abna0417164300", "iban: <IBAN>"),
        # persons
        ("SSN: 123-45-6789.", "SSN: <US_SSN>."),
        ("social security number is 123456789", "social security number is <US_SSN>"),
        ("身份证号11010519491231002X，", "身份证号<CN_ID>，"),
        ("身份证号110105194912310021，", "身份证号<CN_ID_PATTERN>，"),
        ("身份证130503670401001。", "身份证<CN_ID_PATTERN>。"),
        ("手机13812345678", "手机<PHONE>"),
        ("+86 138-1234-5678", "<PHONE>"),
        ("PESEL: 44051401458", "PESEL: <NATIONAL_ID>"),
        ("mein Steuer-ID 12345678903", "mein Steuer-ID <NATIONAL_ID>"),
        ("CPF 390.533.447-05", "CPF <NATIONAL_ID>"),
        ("RSSMRA85T10A562S", "<NATIONAL_ID>"),
        ("hetu 131052-308T on", "hetu <NATIONAL_ID> on"),
        ("131052-308T is my hetu", "<NATIONAL_ID> is my hetu"),
        ("national identity number 8001015009087", "national identity number <NATIONAL_ID>"),
        ("Aadhaar 3998 7654 3211", "Aadhaar <NATIONAL_ID>"),
        ("driver's license F162823540116", "driver's license <NATIONAL_ID>"),
        ("my passport is A12803456", "my passport is <PASSPORT>"),
        ("护照E12345678", "护照<PASSPORT>"),
        (
            "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\n"
            "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
            "<PASSPORT>",
        ),
        # secrets
        (f"token ghp_{TOKEN} here", "token <SECRET> here"),
        ("id AKIAIOSFODNN7EXAMPLE", "id <SECRET>"),
        (f"AIza{TOKEN[:35]}", "<SECRET>"),
        (f"sk_live_{TOKEN[:24]}", "<SECRET>"),
        (f"sk-proj-{TOKEN}", "<SECRET>"),
        ("xoxb-123456789012-123456789012-" + TOKEN[:24], "<SECRET>"),
        (f"api_key = '{TOKEN}'", "api_key = '<SECRET>'"),
        ("password: Tr0ub4dor&3x", "password: <SECRET>"),
        ("密码：Xy7#kkQ2p", "密码：<SECRET>"),
        ("Authorization: Bearer " + TOKEN, "Authorization: Bearer <SECRET>"),
        (
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
            "<SECRET>",
        ),
        (
            "a\n-----BEGIN PRIVATE KEY-----\n" + TOKEN * 3 + "\n-----END PRIVATE KEY-----\nb",
            "a\n<SECRET>\nb",
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\n" + TOKEN * 3 + "\n\n!", "<SECRET>!"),
        # crypto money
        ("to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa.", "to <CRYPTO_WALLET>."),
        ("3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "<CRYPTO_WALLET>"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "<CRYPTO_WALLET>"),
        (
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "<CRYPTO_WALLET>",
        ),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "<CRYPTO_WALLET>"),
        ("wallet 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "wallet <CRYPTO_WALLET>"),
        # telephones: words before and behind, in groups that no plan has
        ("They're not answering at 60-56-85-91", "They're not answering at <PHONE>"),
        ("99 577450 office\n451 5986 fax", "<PHONE> office\n<PHONE> fax"),
        ("reach me on 467 3395.", "reach me on <PHONE>."),
        ("Desk: (99) 645-791", "Desk: <PHONE>"),
        ("tél. 03.93.92.16.85", "tél. <PHONE>"),
    ],
)
def test_found(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "GB29 NWBK 6016 1331 9268 18 has a wrong check digit",
        "123-45-6789 alone may be a part number",
        "SSN 000-12-3456, 666-12-3456, 912-12-3456, 123-00-4567, 123-45-0000",
        "order 44051401458, issue 12345678903, 130 692 544 bytes",
        "a sin of 130 692 544 and run 12345678-5",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb has a wrong checksum",
        "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        "commit 8f953371d3e85eddb89b05ed6b9e680791055315",
        "ff:ff:ff:ff:ff:ff 00:00:00:00:00:00 01:00:5e:00:00:fb 33:33:00:00:00:01",
        "on 20-12-11-10-09-08 and 1234.5678.9012",
        "sk-fading-circle sk-spinner-double-bounce-1",
        "password = getpass.getpass(), password=os.environ['PW'], password: required",
        "the secret is simple; token: string; api_key=YOUR_API_KEY",
        "my $secret_version = '1.001-beta'; the password is MD5-encrypted",
        "http://host:8080/a@b and https://$USER:$PASS@host, ftp://u:{password}@host",
        "x :: Int, std::string, a::b",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----\n" + TOKEN * 3 + "\n-----END CERTIFICATE-----",
        "passport.js 2.0 and a passport to success in 2024",
        "number of transactions retried: 7667 (76.670%)",
        "called at 1609459200, the number is 2147483647",
        "look at example.org and at dot matrix; meet me at noon dot dot dot; foo(at)bar",
        "100000189912310015 is a long number",
        "entry (1996-11-03), Annals 87: 205-206. 1804",
        "请看第110101页，共13812345678901条",
    ],
)
def test_left_alone(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "jane [at] site [dot] org",
        "jane(at)site(dot)org",
        "jane at site dot org",
        "jane AT site DOT org",
    ],
)
def test_spelled_addresses(text: str) -> None:
    assert clean(f"write to {text}, please") == "write to <EMAIL>, please"
    kinds = tuple(kind for kind in CONFIG.kinds if kind != "email_spelled")
    assert clean(text, kinds=kinds) == text


def test_weak_identifiers_anywhere_on_request() -> None:
    text = "44051401458 and 078 05 1123 and A12803456"
    expected = "<NATIONAL_ID> and <US_SSN> and <PASSPORT>"
    assert clean(text) == text
    assert clean(text, identifiers="anywhere", national_ids=("pl_pesel",)) == expected
    config = {"national_ids": ("pl_pesel",), "kinds": ("national_id",)}
    assert clean(text, identifiers="anywhere", **config) == (
        text.replace("44051401458", "<NATIONAL_ID>")
    )


def test_unknown_national_id_is_refused() -> None:
    with pytest.raises(ValueError, match="pl_pesel"):
        Pii(national_ids=("pl_pessel",))


ADDRESSES = ["jane.doe@mail.example.org", "93.184.216.34", "4111 1111 1111 1111", "13812345678"]
FULL_WIDTH = str.maketrans({chr(c): chr(c + 0xFEE0) for c in range(0x30, 0x7B) if chr(c).isalnum()})


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    "hidden", ["\u200b", "\u200e", "\u202e", "\u2060", "\ufeff", "\u00ad", "\U000e0041"]
)
def test_invisible_characters_hide_nothing(address: str, hidden: str) -> None:
    for place in range(1, len(address), 5):
        text = f"手机 card host {address[:place]}{hidden}{address[place:]} 。"
        findings = find(text, CONFIG)
        assert [text[f.start : f.end].replace(hidden, "") for f in findings] == [address]
        assert any(
            pc.match_substring_regex(pa.array([text]), kind.anchor)[0].as_py() for kind in KINDS[1:]
        )


@pytest.mark.parametrize(
    "text",
    [
        "jane＠site.de",
        "jane﹫site﹒de",
        "jane.doe@mail.example.org".translate(FULL_WIDTH),
        "ｊａｎｅ＠ｓｉｔｅ．ｄｅ",
        "𝐣𝐚𝐧𝐞@𝐬𝐢𝐭𝐞.𝐝𝐞",
        "\u202eed.etis@enaj",
        "\u202eed.etis\u200b@enaj",
    ],
)
def test_disguised_addresses(text: str) -> None:
    cleaned = clean(f"see {text} now" if "\u202e" not in text else text)
    assert cleaned.removeprefix("\u202e") in ("see <EMAIL> now", "<EMAIL>")


def test_digits_of_other_scripts() -> None:
    assert clean("tel ٠٥٠ ١٢٣ ٤٥٦٧") == "tel <PHONE>"
    assert clean("手机１３８１２３４５６７８") == "手机<PHONE>"


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=30), st.text(max_size=30))
def test_places_are_those_of_the_text_as_it_is(before: str, after: str) -> None:
    text = f"{before} ja\u200bne@si\u202ete.de {after}"
    for finding in find(text, Pii(kinds=("email",))):
        assert 0 <= finding.start < finding.end <= len(text)
    assert "te.de" not in clean(text, kinds=("email",))


RULES = (
    PiiRule(name="badge", pattern="[A-Z]{2}-[0-9]{5}", words=("badge", "工号"), window=20),
    PiiRule(name="case", pattern="CASE[0-9]{1,8}"),
)


def test_rules_of_the_recipe() -> None:
    text = "Badge: AB-12345, part AB-12345 of the long list of many parts; CASE77 工号CD-00001"
    expected = "Badge: <RULE>, part <RULE> of the long list of many parts; <RULE> 工号<RULE>"
    assert clean(text, rules=RULES) == expected
    far = "badge of somebody who has been here for years AB-12345"
    assert clean(far, rules=RULES) == far
    step = make_step(Pii(rules=RULES, kinds=()))
    assert "pii_rule" in [field.name for field in step.adds]


def test_a_rule_that_matches_placeholders_ends() -> None:
    rules = (PiiRule(name="capitals", pattern="[A-Z_]{1,9}"),)
    assert clean("ABC jane@site.de", rules=rules) == "<RULE> <EMAIL>"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a+)+b", "greatest length"),
        ("a*", "greatest length"),
        ("a{2,}", "greatest length"),
        ("[*+]a.{3,}", "greatest length"),
        ("(?<=a)b", "an RE2 pattern"),
        ("(a", "an RE2 pattern"),
        ("a{1,2000}", "an RE2 pattern"),
        ("a?", "the empty text"),
        (r"\Qa+\E", "literal quoting"),
    ],
)
def test_rules_without_bound_or_sense_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_step(Pii(rules=(PiiRule(name="x", pattern=pattern),)))


@pytest.mark.parametrize("pattern", [r"[+*]{1,2}", r"\+[0-9]{1,3}", "[]+]{2}", "[[:alpha:]+]{2,3}"])
def test_signs_that_repeat_nothing_are_taken(pattern: str) -> None:
    make_step(Pii(rules=(PiiRule(name="x", pattern=pattern),)))


def test_names_and_columns() -> None:
    assert {kind.name for kind in KINDS} - {RULE} == set(KindName.__args__)
    assert set(CONFIG.kinds) == set(KindName.__args__)
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert all(re.fullmatch("<[A-Z_]+>", placeholder) for placeholder in PLACEHOLDERS.values())


def test_every_row_of_the_table_has_a_pattern_that_can_match() -> None:
    for row in NATIONAL_IDS:
        assert re.compile(row.shape.replace("~", "[-. ]?")).groups == 0, row.name
        assert "*" not in row.shape and "+)" not in row.shape.replace("[-+", ""), row.name
        assert row.words, row.name


PIECES = st.sampled_from(
    [
        *("jane@site.de", "93.184.216.34", "4111 1111 1111 1111", "8.8.8.8", "https://u:p4ss@"),
        *("+1 415 555 2671", "13812345678", "2400:c401::1", "08:00:27:1d:28:10", "44051401458"),
        *("GB29NWBK60161331926819", "123-45-6789", "11010519491231002X", "110105194912310021"),
        *("RSSMRA85T10A562S", "A12803456", f"ghp_{TOKEN}", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
        *("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "password: Xy7#kkQ2p", "CASE7", "SSN"),
        *("jane at site dot org", "joe(at)x [dot] de", " at ", " dot "),
        *("PESEL", "tax id", "passport", "phone", "call me at", "身份证", "wallet", "office\n"),
        *("@", "%40", ".", ":", "-", " ", "\n", "(", "\u200b", "\u202e", "＠", "٣", "é", "中"),
        *PLACEHOLDERS.values(),
        *"0123456789afAZ",
    ]
)
HOSTILE = st.one_of(st.lists(PIECES, max_size=20).map("".join), st.text(max_size=60))
EVERYTHING = Pii(kinds=KindName.__args__, addresses="all", identifiers="anywhere", rules=RULES)


@settings(deadline=None, max_examples=100)
@given(HOSTILE, st.sampled_from([Pii(rules=RULES), EVERYTHING]))
def test_twice_is_once_and_nothing_overlaps(text: str, config: Pii) -> None:
    findings = find(text, config)
    assert all(a.end <= b.start for a, b in itertools.pairwise(findings))
    once, _ = redact(text, config)
    assert redact(once, config) == (once, dict.fromkeys(PLACEHOLDERS, 0))


@settings(deadline=None, max_examples=100)
@given(HOSTILE, st.sampled_from([Pii(rules=RULES), EVERYTHING]))
def test_every_finding_has_its_anchor(text: str, config: Pii) -> None:
    values = pa.array([text], pa.large_string())
    anchors = {kind.name: kind.anchor for kind in selected(config)}
    for finding in find(text, config):
        assert pc.match_substring_regex(values, anchors[finding.kind])[0].as_py(), finding


@given(st.binary(max_size=300))
def test_keccak_is_sha3_but_for_the_padding(message: bytes) -> None:
    assert keccak_256(message, padding=0x06) == hashlib.sha3_256(message).digest()


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["DE{}", "GB{}", "FR{}", "NL{}"]), st.randoms(use_true_random=False))
def test_every_valid_iban_goes_and_a_changed_one_stays(form: str, random: object) -> None:
    shapes = {
        "DE": "n" * 18,
        "GB": "aaaa" + "n" * 14,
        "FR": "n" * 10 + "c" * 11 + "nn",
        "NL": "aaaa" + "n" * 10,
    }
    letters = {"n": "0123456789", "a": "ABCDEFGH", "c": "0123456789AZ"}
    country = form[:2]
    account = "".join(random.choice(letters[kind]) for kind in shapes[country])  # type: ignore[attr-defined]
    number = country + stdnum.iban.calc_check_digits(f"{country}00{account}") + account
    assert clean(f"pay to {number}.") == "pay to <IBAN>."
    assert clean(f"pay to {stdnum.iban.format(number)}.") == "pay to <IBAN>."
    other = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert "<IBAN>" not in clean(f"pay to {other}.")


@given(
    st.text(max_size=80),
    st.lists(st.sampled_from(["tax id", "SIN", "身份证", "é", "pesel"]), max_size=6),
)
def test_words_are_found_like_a_plain_search_does(text: str, words: list[str]) -> None:
    whole = "tax id SIN Pesel 身份证 sin PESELS a_pesel"
    found = {
        (start, end, word)
        for start, end, word in Words(("tax id", "SIN", "pesel", "身份证")).find(whole)
    }
    assert {whole[start:end] for start, end, _ in found} == {
        "tax id",
        "SIN",
        "Pesel",
        "身份证",
        "pesel",
    }
    mixed = text.join(words)
    for start, end, word in Words(("tax id", "SIN", "pesel", "身份证")).find(mixed):
        assert mixed[start:end].lower().replace("İ", "i") == word.lower() or " " in word
