"""E-mail addresses, plain and spelled out.

Sources: RFC 5322 and 6531 (local parts and domains, as far as people use them), the root zone's
list of internationalised top-level domains (2026-11-26).
"""

import re
from collections.abc import Iterator

from dataprep.config_pii import Pii

ANCHOR = "@|%40"
SPELLED_ANCHOR = r"(?i:[\[({<] ?at ?[\])}>]| at [0-9a-z-]{1,63}(?: dot | ?[\[({<] ?(?:dot|\.)))"

# File names and unit names that have the shape of an e-mail address: `logo@2x.png`,
# `getty@tty1.service`. None of these endings is a top-level domain of the root zone (2026-11-21).
_NO_DOMAINS = frozenset(
    """
    bin bmp bz2 cfg class conf config css csv dat dll exe gif gz htm html ico ini jar jpeg jpg
    json js log lock lua mount mjs pdf php png ps1 pyc pyi rar rst scope service slice socket sql
    svg swap swp tar target tex tgz tif tiff timer tmp toml ts ttf txt vue wav webp whl woff woff2
    xhtml xml xz yaml yml
    """.split()  # noqa: SIM905 (a list of words is read more easily than a list of strings)
)
# The user name by which code hosts are reached over ssh, not a person.
_SERVICE_USERS = frozenset({"git", "hg", "svn"})
# A script without blanks needs a list: where such a domain ends cannot be seen otherwise.
_NATIVE_ENDINGS = (
    "中国|中國|公司|网络|網絡|网址|香港|台湾|台灣|新加坡|澳門|在线|中文网|集团|商城|コム|みんな|한국|닷컴|닷넷"
    "|рф|рус|укр|бг|бел|срб|мкд|мон|қаз|сайт|онлайн|москва|дети|ком|орг|ελ|ευ|գե|გე|հայ|ไทย|भारत|ভারত"
    "|بھارت|ভাৰত|இந்தியா|السعودية|امارات|مصر|ایران|شبكة|موقع|קום|ישראל"
)
_SIGN = re.compile("[@%](?:(?<=@)|40)")
_LABEL = "[^\\W_](?:[\\w-]{0,61}[^\\W_])?"
_DOMAIN = re.compile(
    # Latin letters with Chinese ones beside them: the ASCII domain ends where they begin.
    r"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
    r"(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24}))(?![\u00c0-\u052f])"
    rf"|(?:{_LABEL}\.){{1,4}}(?:{_NATIVE_ENDINGS}|[A-Za-z]{{2,24}})"
)
# From the sign to the left. Other alphabets count as a part of a name; Chinese characters do only
# if one stands right before the sign, because they may be the sentence's.
_LOCAL_BACKWARDS = re.compile(
    r"(?:[A-Za-z0-9_.%+'\u00c0-\u052f-]{1,128}|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]{1,16})"
)
_SPELLED = re.compile(
    r"(?<![\w.+-])(?P<local>[A-Za-z0-9](?:[A-Za-z0-9_.+-]{0,62}[A-Za-z0-9])?)"
    r"(?: ?[\[({<] ?[Aa][Tt] ?[\])}>] ?(?P<bracketed>)| (?:at|AT) )"
    r"(?P<domain>[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:(?: ?[\[({<] ?(?:[Dd][Oo][Tt]|\.) ?[\])}>] ?| (?:dot|DOT) |(?P<plain>\.))"
    r"[A-Za-z0-9-]{2,62}){1,4})(?![\w-])"
)
_COMMON_ENDING = re.compile("com|org|net|edu|gov|mil|int|info|biz|io|dev|[a-z]{2}", re.IGNORECASE)


def email_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """Addresses with `@` or `%40`, internationalised ones too."""
    done = 0
    for sign in _SIGN.finditer(text):
        match = _DOMAIN.match(text, sign.end())
        if not match:
            continue
        # Backwards, because a search forwards would try every place of the window.
        window = text[max(done, sign.start() - 128) : sign.start()]
        local = _LOCAL_BACKWARDS.match(window[::-1])
        if not local:
            continue
        name = local[0][::-1].lstrip(".%+'-")
        if name and is_email(name, match[0]):
            done = match.end()
            yield sign.start() - len(name), done


def spelled_spans(text: str, config: Pii) -> Iterator[tuple[int, int]]:
    """`name [at] host [dot] org`, `name at host dot org`; not `look at example.org`."""
    for match in _SPELLED.finditer(text):
        if match["bracketed"] is None and match["plain"] is not None:
            continue
        if _COMMON_ENDING.fullmatch(re.split("[^A-Za-z0-9]+", match["domain"])[-1]):
            yield match.span()


def is_email(local: str, domain: str) -> bool:
    """Whether `local@domain`, which has the shape of an address, can belong to a person."""
    if local.lower() in _SERVICE_USERS:
        return False
    return domain.rpartition(".")[2].lower() not in _NO_DOMAINS
