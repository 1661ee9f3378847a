"""What licences are called: addresses and names, and the SPDX identifiers that they stand for.

Identifiers are those of the SPDX License List (spdx.org/licenses); what it does not list gets
SPDX's own form for others, `LicenseRef-NAME`. Creative Commons, GNU, BSD and Apache, whose names
are put together from parts, are read by `licences`; here stands the rest.
"""

import re

ALL_RIGHTS_RESERVED = "LicenseRef-all-rights-reserved"
PUBLIC_DOMAIN = "LicenseRef-public-domain"

# Families in their order of restrictiveness, the freest first.
FAMILIES = (
    "unknown",
    "public-domain",
    "permissive",
    "attribution",
    "share-alike",
    "copyleft",
    "non-commercial",
    "no-derivatives",
    "proprietary",
)

# Families of categories of the index that `license-expression` carries (of ScanCode's licence
# database, CC-BY-4.0, github.com/aboutcode-org/scancode-licensedb).
FAMILY_OF_CATEGORY = {
    "Public Domain": "public-domain",
    "Permissive": "permissive",
    "Copyleft": "copyleft",
    "Copyleft Limited": "copyleft",
    "Free Restricted": "proprietary",
    "Source-available": "proprietary",
    "Proprietary Free": "proprietary",
    "Commercial": "proprietary",
}

# Where our families are finer, or another reading of the licence's text: patterns of lower-case
# identifiers. Creative Commons' are read from the identifier's letters (`licences`).
FAMILY_OF_IDENTIFIER = (
    (re.compile(r"odc-by-.*|dl-de-by-.*|ogl-.*|nlod-.*|etalab-.*|ogdl-.*"), "attribution"),
    (re.compile(r"odbl-.*|cdla-sharing-.*|licenseref-odbl"), "share-alike"),
    (re.compile(r"ncgl-.*|polyform-noncommercial-.*|prosperity-.*|c-uda-.*"), "non-commercial"),
    (re.compile(r"wtfpl|lzma-sdk-.*|fsful"), "permissive"),
    (re.compile(r"licenseref-(public-domain|noc-us)"), "public-domain"),
    (re.compile(r"licenseref-noc-nc"), "non-commercial"),
    (re.compile(r"licenseref-(bsd|apache|artistic|mit)"), "permissive"),
    (re.compile(r"licenseref-(gpl|lgpl|agpl|gfdl|mpl)"), "copyleft"),
    (re.compile(r"licenseref-odc-by|licenseref-ogl"), "attribution"),
    (re.compile(r"licenseref-(all-rights-reserved|inc(-.*)?)"), "proprietary"),
)

# Addresses, after `creativecommons.org`, whose paths are read by `licences`. They are searched for,
# because archives put their own address before another; `{}` is the first group, in upper case.
ADDRESSES = tuple(
    (re.compile(pattern, re.IGNORECASE), identifier)
    for pattern, identifier in (
        (r"\bspdx\.org/licenses/([\w.+-]{1,60}?)(?:\.html|\.json|\.txt)?(?:[/?#]|$)", "{}"),
        (
            r"\bopensource\.org/licen[sc]es?/([\w.+-]{1,60}?)(?:\.php|\.html|\.txt)?(?:[/?#]|$)",
            "{}",
        ),
        (r"\bchoosealicense\.com/licenses/([\w.+-]{1,60})", "{}"),
        (r"\bapache\.org/licenses/license-(\d\.\d)", "Apache-{}"),
        (
            r"\bgnu\.org/(?:licenses|copyleft)/(?:old-licenses/)?(agpl|lgpl|gpl|fdl)-?(\d\.\d)?",
            "GNU",
        ),
        (r"\bmozilla\.org/(?:en-us/)?mpl/(\d\.\d)", "MPL-{}"),
        (r"\beclipse\.org/legal/epl-(?:v)?(\d)-?\.?(\d)", "EPL-{}"),
        (r"\bunlicense\.org", "Unlicense"),
        (r"\bwtfpl\.net", "WTFPL"),
        (r"\bopendatacommons\.org/licenses/by\b", "ODC-By-1.0"),
        (r"\bopendatacommons\.org/licenses/odbl\b", "ODbL-1.0"),
        (r"\bopendatacommons\.org/licenses/pddl\b", "PDDL-1.0"),
        (r"\bnationalarchives\.gov\.uk/doc/open-government-licence/version/(\d)", "OGL-UK-{}.0"),
        (r"\bnationalarchives\.gov\.uk/doc/open-government-licence", "LicenseRef-OGL"),
        (r"\bgovdata\.de/dl-de/by-2-0", "DL-DE-BY-2.0"),
        (r"\bgovdata\.de/dl-de/zero-2-0", "DL-DE-ZERO-2.0"),
        (r"\betalab\.gouv\.fr/.{0,60}licence", "etalab-2.0"),
        (r"\bartlibre\.org", "LAL-1.3"),
        (r"\brightsstatements\.org/(?:vocab|page)/(inc|noc)(-[a-z-]{2,6})?", "RIGHTS"),
    )
)

# Hosts of licences for texts: a plain link to one, on a page, may state the page's own licence.
# Links to licences of programs are mostly about the programs that made the page (2026-11-26: 20 of
# 22 "licensed under" without a link, in 562 real pages, speak of the content system or a script).
CONTENT_HOSTS = (
    "creativecommons.org/licenses/",
    "creativecommons.org/publicdomain/",
    "rightsstatements.org/",
    "opendatacommons.org/licenses/",
    "nationalarchives.gov.uk/doc/open-government-licence",
    "gnu.org/copyleft/fdl",
    "gnu.org/licenses/fdl",
)

# Names within a text, any case; capital letters in (?-i:...) are meant so. `{}` is the version.
NAMES = tuple(
    (re.compile(pattern, re.IGNORECASE), identifier)
    for pattern, identifier in (
        (r"\bcc[\s_-]?(?:0|zero)\b|\bcreative commons zero\b", "CC0-1.0"),
        (r"\bpublic[\s-]domain mark\b", "CC-PDM-1.0"),
        (r"(?<!not in the )(?<!not )\bpublic[\s-]?domain\b|\bgemeinfrei\b|公有领域", PUBLIC_DOMAIN),
        (r"(?-i:\bMIT\b)(?:/X11)?|\bexpat licen[sc]e\b|\bmit licen[sc]e\b", "MIT"),
        (r"\bisc licen[sc]e\b|(?-i:\bISCL?\b)", "ISC"),
        (r"\bzlib(?: licen[sc]e|/libpng)?\b", "Zlib"),
        (r"\bboost software licen[sc]e\b", "BSL-1.0"),
        (r"\bunlicense\b", "Unlicense"),
        (r"\bwtfpl\b", "WTFPL"),
        (r"\bartistic[\s-]licen[sc]e[\s,-]*(?:version|v\.?)?[\s-]*(\d\.\d)", "Artistic-{}"),
        (r"\b(?:mozilla public licen[sc]e|mpl)[\s,-]*(?:version|v\.?)?[\s-]*(\d\.\d)", "MPL-{}"),
        (r"\b(?:mozilla public licen[sc]e|(?-i:MPL))\b(?![\s,v-]*\d)", "LicenseRef-MPL"),
        (r"\b(?:eclipse public licen[sc]e|epl)[\s,-]*(?:version|v\.?)?[\s-]*(\d\.\d)", "EPL-{}"),
        (r"\b(?:european union public licen[sc]e|eupl)[\s,-]*v?[\s-]*(\d\.\d)", "EUPL-{}"),
        (r"\b(?:python software foundation|psf)(?: licen[sc]e)?\b(?!-2)|\bpsfl\b", "PSF-2.0"),
        (r"\b(?:open database licen[sc]e|odbl)\b", "ODbL-1.0"),
        (r"\b(?:open data commons attribution|odc[\s-]by)\b", "ODC-By-1.0"),
        (r"\b(?:open government licen[sc]e|ogl)[\s,-]*(?:uk)?[\s-]*v?[\s-]*(\d)\b", "OGL-UK-{}.0"),
        (r"\bopen font licen[sc]e\b|\bsil ofl\b", "OFL-1.1"),
        (r"\bpostgresql(?: licen[sc]e)?\b", "PostgreSQL"),
    )
)  # fmt: skip

# Only where nothing else is named: a notice of a free licence often says so too.
RESERVED = re.compile(
    r"all rights? (?:are )?reserved|alle rechte vorbehalten|tous droits r[ée]serv[ée]s"
    r"|todos los derechos reservados|tutti i diritti riservati|todos os direitos reservados"
    r"|保留所有权利|版权所有|版權所有|\bproprietary\b|\bin copyright\b",
    re.IGNORECASE,
)
