"""Keys and secrets: what a provider's prefix, a key's frame or a name beside it gives away.

Prefixes and lengths are those that providers document for secret scanning. A value after a name
such as `api_key=` counts if it looks drawn by chance and not written by a person.

Sources: RFC 7468 (PEM), RFC 7519 (JWT), the providers' descriptions of their token formats.
"""

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Iterator

from dataprep.config_pii import Pii
from dataprep.pii.context import words_source
from dataprep.pii.words import Words

_RIGHT = r"(?![0-9A-Za-z_])"
# Tokens whose prefix is enough.
_PREFIXED = (
    "(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA|AGPA|ANPA|ANVA)[A-Z2-7]{16}",  # Amazon Web Services
    "gh[pousr]_[0-9A-Za-z]{36,251}",  # GitHub
    "github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59}",
    "gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[0-9A-Za-z_-]{20,64}",  # GitLab
    "xox[abeoprs]-(?:[0-9]{1,20}-){1,3}[0-9A-Za-z-]{10,120}",  # Slack
    "xapp-[0-9]-[0-9A-Z]{8,16}-[0-9]{8,16}-[0-9a-f]{32,80}",
    "AIza[0-9A-Za-z_-]{35}",  # Google
    "GOCSPX-[0-9A-Za-z_-]{28}",
    r"ya29\.[0-9A-Za-z_-]{40,400}",
    "(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,250}",  # Stripe
    "whsec_[0-9A-Za-z+/]{32,64}",
    "npm_[0-9A-Za-z]{36}",
    "pypi-AgE[0-9A-Za-z_-]{60,300}",
    "hf_[0-9A-Za-z]{34,40}",  # Hugging Face
    r"SG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}",  # SendGrid
    "do[opr]_v1_[0-9a-f]{64}",  # DigitalOcean
    "shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",  # Shopify
    "dapi[0-9a-f]{32}",  # Databricks
    "AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}",
    "LTAI[0-9A-Za-z]{16,26}",  # Alibaba Cloud
    "AKID[0-9A-Za-z]{32}",  # Tencent Cloud
)
_TOKEN = re.compile(f"(?:{'|'.join(_PREFIXED)}){_RIGHT}")
# Prefixes that words have as well (`sk-spinner-double-bounce`): the rest must look drawn by chance.
_WEAK_TOKEN = re.compile(f"sk-[0-9A-Za-z_-]{{20,250}}{_RIGHT}")
_IN_WORD = re.compile("[0-9A-Za-z_-]")
_TELEGRAM = re.compile(f"[0-9](?<![0-9A-Za-z_][0-9])[0-9]{{7,9}}:AA[0-9A-Za-z_-]{{33}}{_RIGHT}")
_JWT = re.compile(r"(eyJ[0-9A-Za-z_-]{8,1000})\.eyJ[0-9A-Za-z_-]{8,4000}\.[0-9A-Za-z_-]{0,1000}")
_BEARER = re.compile("(?:Bearer|Authorization: Basic) {1,2}(?P<value>[0-9A-Za-z._~+/=-]{16,1000})")
_PEM_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
# An armoured key of 16,384 bits has 13,000 characters.
_PEM_CHARACTERS = 16_384
_PEM_BODY = re.compile(r"(?:\\[rn]|[0-9A-Za-z+/=\s:,\"'-]){1,16384}")
_PEM_BODY_LEAST = 64

# How tokens begin; what follows is looked at only there.
_BEGINNINGS = (
    *("AKIA", "ASIA", "ABIA", "ACCA", "AROA", "AIDA", "AGPA", "ANPA", "ANVA"),
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-"),
    *("xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"),
    *("AIza", "GOCSPX-", "ya29.", "sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"),
    *("npm_", "pypi-AgE", "hf_", "SG.", "dop_v1_", "doo_v1_", "dor_v1_"),
    *("shpat_", "shpca_", "shppa_", "shpss_", "dapi", "AGE-SECRET-KEY-1", "LTAI", "AKID"),
    *("sk-", "eyJ", "Bearer ", "Authorization: Basic "),
)
_NAMES = (
    *("password", "passwd", "pwd", "passphrase", "secret", "token", "api key", "access key"),
    *("account key", "auth key", "private key", "secret key", "client secret", "encryption key"),
    *("credential", "credentials", "密码", "密碼", "口令", "密钥", "令牌"),
)
_TELEGRAM_ANCHOR = "[0-9]{8}:AA"
_WORDS = Words((*_BEGINNINGS, *_NAMES), whole=False)
_BEGINNINGS_SET = frozenset(_BEGINNINGS)
ANCHOR = "|".join(
    [
        *(re.escape(beginning) for beginning in _BEGINNINGS),
        *(_TELEGRAM_ANCHOR, "PRIVATE KEY"),
        rf"(?i:{words_source(_NAMES)})[0-9A-Za-z_-]{{0,24}}[\"'`\])]{{0,2}}[ \t]{{0,4}}"
        r"(?::=|=>|[:=：]|is|为|是)[ \t]{0,4}[\"'`]?[^\s\"'`<>(){}\[\],;，。；]{8}",
    ]
)
# What stands between the name and the value: `_PROD"] = "`.
_ASSIGNED = re.compile(
    r"(?P<more>[0-9A-Za-z_-]{0,24})[\"'`\])]{0,2}[ \t]{0,4}(?::=|=>|[:=：]|\bis\b|为|是)[ \t]{0,4}"
    r"[\"'`]?(?P<value>[^\s\"'`<>(){}\[\],;，。；]{8,200})"
)
# `secret_version = ...` is not the secret.
_ABOUT = re.compile(
    "(?:version|names?|counts?|length|files?|path|dir|url|uri|ids?|type|hint|policy|age|expiry|size)\\Z",
    re.IGNORECASE,
)
_WORD = re.compile("[A-Za-z]{0,20}[0-9]{0,4}")
_CODE = re.compile(r"[$%]|\.\.|::|//|->|^[./~\\]|^[A-Za-z_]+(?:\.[A-Za-z_]+)+$|^[A-Za-z_-]+$")


def secret_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Private keys, tokens of known form, values that a name calls secret."""
    yield from _pem_spans(text)
    for match in _TELEGRAM.finditer(text):
        yield match.span()
    done = 0
    for start, end, word in sorted(_WORDS.find(text)):
        if start < done:
            continue
        is_token = word in _BEGINNINGS_SET
        found = _token_span(text, start) if is_token else _value_span(text, end)
        if found:
            done = found[1]
            yield found


def _token_span(text: str, start: int) -> tuple[int, int] | None:
    """The token that begins at `start`, if no longer word does."""
    if _IN_WORD.match(text[start - 1 : start] if start else ""):
        return None
    if match := _TOKEN.match(text, start):
        return match.span()
    if (match := _WEAK_TOKEN.match(text, start)) and looks_drawn(match[0][3:], num_least=20):
        return match.span()
    if (match := _JWT.match(text, start)) and _is_jwt_header(match[1]):
        return match.span()
    if (match := _BEARER.match(text, start)) and looks_drawn(match["value"], num_least=16):
        return match.span("value")
    return None


def _value_span(text: str, end: int) -> tuple[int, int] | None:
    """The value after a name of a secret that ends at `end`."""
    match = _ASSIGNED.match(text, end)
    if not match or _ABOUT.search(match["more"]):
        return None
    value = match["value"].rstrip(".:!?")
    if _CODE.search(value) or not looks_drawn(value, num_least=8):
        return None
    return match.start("value"), match.start("value") + len(value)


def _pem_spans(text: str) -> Iterator[tuple[int, int]]:
    """The key between the lines that frame it; without a last line, as far as it looks like one."""
    done = 0
    for begin in _PEM_BEGIN.finditer(text):
        if begin.start() < done:
            continue
        end = _PEM_END.search(text, begin.end(), begin.end() + _PEM_CHARACTERS)
        if end:
            body_end, done = end.start(), end.end()
        else:
            body = _PEM_BODY.match(text, begin.end())
            body_end = done = body.end() if body else begin.end()
        characters = re.findall("[0-9A-Za-z+/=]", text[begin.end() : body_end])
        if len(characters) >= _PEM_BODY_LEAST:
            yield begin.start(), done


def _is_jwt_header(part: str) -> bool:
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return False
    return isinstance(header, dict) and ("alg" in header or "typ" in header)


def looks_drawn(value: str, num_least: int) -> bool:
    """Whether `value` looks drawn by chance: mixed kinds of characters, little repetition.

    Digits and letters must both be there. A short value (below 20 characters) needs three of the
    four kinds small letters, capitals, digits, signs; a long one needs 3 bits a character or more
    and a digit in at most ten characters.
    """
    if len(value) < num_least:
        return False
    digits = sum(character.isdecimal() for character in value)
    kinds = (
        any(character.islower() for character in value),
        any(character.isupper() for character in value),
        digits > 0,
        any(not character.isalnum() for character in value),
    )
    if not digits or not (kinds[0] or kinds[1]):
        return False
    if len(value) < 20:
        if all(_WORD.fullmatch(part) for part in re.split("[-_.]", value)):
            return False
        return sum(kinds) >= 3 and _bits_per_character(value) >= 2.5
    return digits * 10 >= len(value) and _bits_per_character(value) >= 3.0


def _bits_per_character(value: str) -> float:
    return -sum(
        count / len(value) * math.log2(count / len(value)) for count in Counter(value).values()
    )
