"""Statements of licences become SPDX expressions; patterns and their order."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep.config import Dataprep
from dataprep.rights.licences import (
    family_of,
    licence_of,
    listed_identifiers,
    read_licence,
    strictest,
    traits,
)
from dataprep.rights.patterns import allows, denies
from launch.config import parse_model
from launch.errors import UserError

NAMED = {
    "https://creativecommons.org/licenses/by-nc-sa/4.0/deed.de": "CC-BY-NC-SA-4.0",
    "http://creativecommons.org/licenses/by/3.0/de/": "CC-BY-3.0-DE",
    "https://creativecommons.org/licenses/by/3.0/fr/": "CC-BY-3.0",  # SPDX lists no French one
    "//creativecommons.org/licenses/by-sa/": "LicenseRef-CC-BY-SA",
    "https://web.archive.org/web/2016/http://creativecommons.org/licenses/by-nd/2.0/":
        "CC-BY-ND-2.0",
    "https://creativecommons.org/publicdomain/zero/1.0/": "CC0-1.0",
    "https://www.apache.org/licenses/LICENSE-2.0.txt": "Apache-2.0",
    "https://opensource.org/licenses/MIT": "MIT",
    "https://opensource.org/license/bsd-3-clause": "BSD-3-Clause",
    "https://www.gnu.org/licenses/gpl-3.0.html": "GPL-3.0-only",
    "https://www.gnu.org/copyleft/fdl.html": "LicenseRef-GFDL",
    "https://spdx.org/licenses/MPL-2.0.html": "MPL-2.0",
    "http://rightsstatements.org/vocab/InC/1.0/": "LicenseRef-InC",
    "https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/": "OGL-UK-3.0",
    "mit": "MIT",
    "apache-2.0": "Apache-2.0",
    "GPL-2": "GPL-2.0-only",
    "GPL-2+": "GPL-2.0-or-later",
    "CC-BY-SA-4.0": "CC-BY-SA-4.0",
    "cc by nc 4.0": "CC-BY-NC-4.0",
    "MIT OR Apache-2.0": "MIT OR Apache-2.0",
    "mit and (bsd-3-clause or zlib)": "MIT AND (BSD-3-Clause OR Zlib)",
    "GPL-2.0-or-later WITH Classpath-exception-2.0":
        "GPL-2.0-or-later WITH Classpath-exception-2.0",
    "GPL-2+ or CC-BY-SA-3.0": "GPL-2.0-or-later OR CC-BY-SA-3.0",
    "CC BY-SA 3.0 and GFDL": "CC-BY-SA-3.0 AND LicenseRef-GFDL",
    "Licensed under the Apache License, Version 2.0": "Apache-2.0",
    "This work is licensed under a Creative Commons Attribution-ShareAlike 4.0 International "
    "License": "CC-BY-SA-4.0",
    "Creative Commons Namensnennung - Nicht kommerziell 3.0 Deutschland": "CC-BY-NC-3.0",
    "知识共享署名-相同方式共享 4.0": "CC-BY-SA-4.0",
    "GNU Lesser General Public License v2.1 or later": "LGPL-2.1-or-later",
    "License :: OSI Approved :: BSD License": "LicenseRef-BSD",
    "public domain (US); header removed": "LicenseRef-public-domain",
    "© 2020 A. Writer. All rights reserved.": "LicenseRef-all-rights-reserved",
    "© 2020. All rights reserved. Licensed under CC BY 4.0": "CC-BY-4.0",
    "版权所有": "LicenseRef-all-rights-reserved",
}  # fmt: skip
NOT_NAMED = (
    "", "unknown", "other", "various", "None", "see the file", "creative commons",
    "mit freundlichen Grüßen", "https://example.com/licence", "a fair and intelligent ruby",
    "it is not in the public domain", "accbyte", "http://", "((((", "MIT OR",
)  # fmt: skip


@pytest.mark.parametrize("statement", NAMED)
def test_a_licence_is_read_from_whatever_names_it(statement: str) -> None:
    found = read_licence(statement)
    assert found is not None
    assert found.expression == NAMED[statement]


def test_what_names_no_licence_is_none() -> None:
    assert {text: read_licence(text) for text in NOT_NAMED if text != "MIT OR"} == {
        text: None for text in NOT_NAMED if text != "MIT OR"
    }


def test_every_identifier_of_the_list_is_itself_in_any_case() -> None:
    names = listed_identifiers()
    assert len(names) > 600
    for name in names:
        for spelling in (name, name.upper(), f"https://spdx.org/licenses/{name}.html"):
            found = read_licence(spelling)
            assert found is not None, spelling
            assert found.expression.lower() == name or name.endswith("+") or _is_older(name)


def _is_older(name: str) -> bool:
    """GPL-2.0 is an older spelling of GPL-2.0-only."""
    found = read_licence(name)
    assert found is not None
    return found.expression.lower() not in (name,) and found.expression.lower() in (
        listed_identifiers()
    )


def test_families_ascend_as_they_restrict() -> None:
    ascending = (
        "CC0-1.0", "MIT", "CC-BY-4.0", "CC-BY-SA-4.0", "GPL-3.0-only", "CC-BY-NC-4.0",
        "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-4.0", "LicenseRef-all-rights-reserved",
    )  # fmt: skip
    ranks = [licence_of(name).rank for name in ascending]
    assert ranks == sorted({*ranks})
    assert family_of("CC-BY-NC-ND-4.0") == "no-derivatives"
    assert traits("CC-BY-NC-ND-4.0") == {"attribution", "non-commercial", "no-derivatives"}
    assert family_of("ODbL-1.0") == "share-alike"
    assert family_of("BUSL-1.1") == "proprietary"
    # Of alternatives the freest, of what holds together the strictest.
    assert licence_of("MIT OR GPL-2.0-only").rank == licence_of("MIT").rank
    assert licence_of("MIT AND GPL-2.0-only").family == "copyleft"


@given(st.permutations([(licence_of(name), place) for name in ("MIT", "CC-BY-NC-4.0",
                        "CC-BY-NC-3.0", "CC0-1.0") for place in ("a", "b")]))  # fmt: skip
def test_the_strictest_does_not_depend_on_order(found: list) -> None:
    best = strictest(found)
    assert best is not None
    assert (best[0].expression, best[1]) == ("CC-BY-NC-3.0", "a")


def test_hostile_statements_take_no_time() -> None:
    random.seed(1)
    pieces = ["cc by ", "creative commons ", "attribution", "gnu ", "general ", "(", "or ", "bsd-"]
    statements = ["a" * 10**6, "(" * 10**5, "MIT OR " * 10**5, "by-nc-" * 10**5, " \t" * 10**5]
    statements += ["".join(random.choices(pieces, k=400)) for _ in range(20)]
    start = time.process_time()
    for statement in statements:
        read_licence(statement)
    assert (time.process_time() - start) / len(statements) < 0.1


def test_in_doubt_patterns_are_read_the_stricter_way() -> None:
    assert allows(["cc-by-*"], "CC-BY-4.0")
    assert not allows(["cc-by-*"], "CC-BY-NC-4.0")
    assert denies(["cc-by-*"], "CC-BY-NC-4.0")
    assert denies(["non-commercial"], "CC-BY-NC-ND-4.0")
    assert not allows(["non-commercial"], "CC-BY-NC-ND-4.0")
    assert not allows(["share-alike"], "CC-BY-NC-SA-4.0")
    assert allows(["permissive"], "MIT OR GPL-2.0-only")
    assert not allows(["permissive"], "MIT AND GPL-2.0-only")
    assert denies(["copyleft"], "MIT AND GPL-2.0-only")
    assert not denies(["copyleft"], "MIT OR GPL-2.0-only")
    assert allows(["GPL-2.0-or-later"], "GPL-2.0-or-later WITH Classpath-exception-2.0")
    assert denies(["all-rights-reserved"], "LicenseRef-all-rights-reserved")


@pytest.mark.parametrize(
    ("table", "hint"),
    [
        ({"allow": ["permisive"]}, "did you mean permissive"),
        ({"deny": ["aapche-2.0"]}, "did you mean apache-2.0"),
        ({"allow": ["cc-*"]}, "stands for a version"),
        ({"deny": ["unknown"]}, "dataprep.rights.unknown says it"),
        ({"sources": {"s": {"allow": ["mitt"]}}}, "mit"),
        ({"unknwon": "drop"}, "did you mean 'unknown'"),
    ],
)
def test_a_rule_that_can_match_nothing_is_refused(table: dict, hint: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_model(Dataprep, {"rights": table}, "dataprep")
    assert hint in str(refused.value) + (refused.value.hint or "")
