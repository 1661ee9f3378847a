"""National and tax identification numbers: one row for each, data only.

`check` is the module of python-stdnum that decides (checksum, dates, regions), or none where the
number has no checksum. A number `stands_alone` if its shape and checksum together are so rare that
prose never has them by chance; every other one needs one of its `words`, or one of GENERIC_WORDS,
beside it. Once a word names it, the shape is enough for those with `shape_is_enough`: what a person
gives as a tax code is personal data with a typing error in it too. Shapes of plain digits without
a check have `own_words_only`: GENERIC_WORDS do not speak of them.

Words of capitals count in capitals only, because they are words of other meaning otherwise
(`sin`, `pan`, `run`); all other words in any case.

Shapes are bounded regular expressions without capturing groups; `~` stands for "a separator, the
same in the whole number, or none", which is one blank, dash or dot.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class NationalId:
    """One row: its name in a recipe, python-stdnum's module, the shape, the words that name it."""

    name: str
    check: str
    shape: str
    words: tuple[str, ...]
    stands_alone: bool = False
    shape_is_enough: bool = False
    own_words_only: bool = False
    prefix: str = ""
    """Digits that belong before the number for the sake of its checksum."""


def _row(name: str, check: str, shape: str, words: str, **flags: bool | str) -> NationalId:
    return NationalId(name, check, shape, tuple(words.split("|")), **flags)  # type: ignore[arg-type]


_D = "[0-9]"
_DAY = "(?:0[1-9]|[12][0-9]|3[01])"
_MONTH = "(?:0[1-9]|1[0-2])"
_THAI_PROVINCE = "(?:1[0-9]|2[0-7]|3[0-9]|4[0-9]|5[0-8]|6[0-7]|7[0-7]|8[0-6]|9[0-6])"

# Words that speak of some identity number without saying whose.
_GENERIC = (
    "national id|national identity|national identification|identity card|identity number"
    "|identity document|identity code|identification number|identification code|id number|id card"
    "|personal number|personal code|personal id|citizen id|citizen card|citizenship number|tax id"
    "|tax number|tax code|tax identification|taxpayer|social security|social insurance"
    "|national insurance|health number|carte d'identité|numéro fiscal|documento de identidad"
    "|número de identidad|personalausweis|ausweisnummer|身份证|身份證|证件号|證件號|身分證"
    "|マイナンバー|주민등록번호"
)
GENERIC_WORDS = tuple(_GENERIC.split("|"))

NATIONAL_IDS = (
    _row("ar_cuit", "ar.cuit", f"{_D}{{2}}~{_D}{{8}}~{_D}", "cuit|cuil"),
    _row(
        "ar_dni",
        "ar.dni",
        rf"{_D}{{1,2}}~{_D}{{3}}~{_D}{{3}}",
        "DNI",
        own_words_only=True,
    ),
    _row("at_insurance", "at.vnr", f"{_D}{{4}}~{_D}{{6}}", "svnr|sozialversicherungsnummer"),
    _row("au_abn", "au.abn", f"{_D}{{2}}~{_D}{{3}}~{_D}{{3}}~{_D}{{3}}", "abn|business number"),
    _row("au_tfn", "au.tfn", f"{_D}{{3}}~{_D}{{3}}~{_D}{{2,3}}", "tfn|tax file number|tax file"),
    _row(
        "be_national",
        "be.nn",
        rf"{_D}{{2}}\.?{_D}{{2}}\.?{_D}{{2}}[-. ]?{_D}{{3}}[-. ]?{_D}{{2}}",
        "rijksregisternummer|registre national|insz|niss",
    ),
    _row("bg_egn", "bg.egn", f"{_D}{{10}}", "egn|егн"),
    _row(
        "br_cpf",
        "br.cpf",
        rf"{_D}{{3}}\.{_D}{{3}}\.{_D}{{3}}-{_D}{{2}}",
        "cpf",
        stands_alone=True,
    ),
    _row("br_cpf_digits", "br.cpf", f"{_D}{{11}}|{_D}{{9}}-{_D}{{2}}", "cpf"),
    _row("ca_sin", "ca.sin", f"[1-79]{_D}{{2}}~{_D}{{3}}~{_D}{{3}}", "SIN|social insurance|NAS"),
    _row(
        "ch_insurance",
        "ch.ssn",
        rf"756\.{_D}{{4}}\.{_D}{{4}}\.{_D}{{2}}|756{_D}{{10}}",
        "AHV|AVS|ahv-nummer",
        stands_alone=True,
    ),
    _row("cl_rut", "cl.rut", rf"{_D}{{1,2}}\.?{_D}{{3}}\.?{_D}{{3}}-?[0-9Kk]", "RUT|rol único"),
    _row("co_nit", "co.nit", rf"{_D}{{3}}\.?{_D}{{3}}\.?{_D}{{3}}-?{_D}", "NIT|cédula|cedula"),
    _row("cz_rc", "cz.rc", f"{_D}{{6}}/{_D}{{3,4}}|{_D}{{9,10}}", "rodné číslo|rodne cislo|rč"),
    _row(
        "de_tax_id",
        "de",
        f"[1-9]{_D} ?{_D}{{3}} ?{_D}{{3}} ?{_D}{{3}}",
        "steuer-id|steuer-identifikationsnummer|steueridentifikationsnummer|idnr|steuer-idnr"
        "|steuernummer|german tax",
    ),
    _row("dk_cpr", "dk.cpr", f"{_DAY}{_MONTH}{_D}{{2}}[- ]?{_D}{{4}}", "CPR|cpr-nummer|cpr-nr"),
    _row("ec_ci", "ec.ci", f"{_D}{{10}}|{_D}{{9}}-{_D}", "cédula|cedula"),
    _row("ee_ik", "ee.ik", f"[1-8]{_D}{{2}}{_MONTH}{_DAY}{_D}{{4}}", "isikukood"),
    _row(
        "es_nif",
        "es",
        "[0-9XYZxyz][0-9]{6,7}[- ]?[A-Za-z]",
        "NIF|DNI|NIE|documento nacional",
    ),
    _row(
        "fi_hetu",
        "fi",
        f"{_DAY}{_MONTH}{_D}{{2}}[-+A-FU-Ya-fu-y]{_D}{{3}}[0-9A-FHJ-NPR-Ya-fhj-npr-y]",
        "hetu|henkilötunnus|personbeteckning",
        stands_alone=True,
    ),
    _row(
        "fr_nir",
        "fr.nir",
        f"[1-478] ?{_D}{{2}} ?{_D}{{2}} ?[0-9][0-9AB] ?{_D}{{3}} ?{_D}{{3}} ?{_D}{{2}}",
        "sécurité sociale|NIR|insee",
    ),
    _row(
        "fr_tax",
        "fr.nif",
        f"[0-3]{_D} ?{_D}{{2}} ?{_D}{{3}} ?{_D}{{3}} ?{_D}{{3}}",
        "numéro fiscal|référence fiscale",
    ),
    _row("gb_nhs", "gb.nhs", f"{_D}{{3}}~{_D}{{3}}~{_D}{{4}}", "NHS|national health service"),
    _row(
        "gb_nino",
        "",
        "(?!(?:[Bb][Gg]|[Gg][Bb]|[Kk][Nn]|[Nn][Kk]|[Nn][Tt]|[Tt][Nn]|[Zz][Zz]))"
        "[A-CEGHJ-PR-TW-Za-ceghj-pr-tw-z][A-CEGHJ-NPR-TW-Za-ceghj-npr-tw-z]"
        f" ?{_D}{{2}} ?{_D}{{2}} ?{_D}{{2}} ?[A-Da-d]",
        "nino|ni number|national insurance",
    ),
    _row("gb_utr", "gb.utr", f"{_D}{{5}} ?{_D}{{5}}", "UTR|unique taxpayer reference"),
    _row("gr_amka", "gr.amka", f"{_DAY}{_MONTH}{_D}{{7}}", "amka|αμκα"),
    _row("hr_oib", "hr.oib", f"{_D}{{11}}", "oib"),
    _row("id_nik", "id.nik", f"{_D}{{16}}", "NIK|ktp|nomor induk"),
    _row("ie_pps", "ie.pps", f"{_D}{{7}}[A-W][A-IW]?", "PPS|ppsn"),
    _row("il_id", "il.idnr", f"{_D}{{9}}|{_D}{{8}}-{_D}", "teudat zehut|תעודת זהות|ת.ז"),
    _row(
        "in_aadhaar",
        "in_.aadhaar",
        f"[2-9]{_D}{{3}}~{_D}{{4}}~{_D}{{4}}",
        "aadhaar|aadhar|uidai|आधार",
    ),
    _row(
        "in_pan",
        "in_.pan",
        f"[A-Za-z]{{5}}{_D}{{4}}[A-Za-z]",
        "PAN|permanent account number",
        shape_is_enough=True,
    ),
    _row("in_voter", "in_.epic", f"[A-Z]{{3}}{_D}{{7}}", "voter id|EPIC"),
    _row("is_kennitala", "is_.kennitala", f"{_D}{{6}}-?{_D}{{4}}", "kennitala"),
    _row(
        "it_fiscal_code",
        "it.codicefiscale",
        "[A-Za-z]{6}[0-9LMNP-Vlmnp-v]{2}[A-EHLMPR-Ta-ehlmpr-t][0-9LMNP-Vlmnp-v]{2}"
        "[A-Za-z][0-9LMNP-Vlmnp-v]{3}[A-Za-z]",
        "codice fiscale|fiscal code|cod. fisc.",
        stands_alone=True,
        shape_is_enough=True,
    ),
    _row("jp_my_number", "jp.in_", f"{_D}{{4}}~{_D}{{4}}~{_D}{{4}}", "my number|個人番号"),
    _row(
        "kr_rrn",
        "",
        f"{_D}{{2}}{_MONTH}{_DAY}-?[1-4](?:[0-8]{_D}|9[0-5]){_D}{{4}}",
        "rrn|resident registration|주민번호",
    ),
    _row("lt_asmens", "lt.asmens", f"[1-6]{_D}{{2}}{_MONTH}{_DAY}{_D}{{4}}", "asmens kodas"),
    _row("lv_code", "lv.pvn", f"{_D}{{6}}-?{_D}{{5}}", "personas kods"),
    _row(
        "mx_curp",
        "mx.curp",
        f"[A-Z][AEIOUX][A-Z]{{2}}{_D}{{2}}{_MONTH}{_DAY}[HMX][A-Z]{{5}}[0-9A-Z]{_D}",
        "curp",
        stands_alone=True,
        shape_is_enough=True,
    ),
    _row(
        "mx_rfc",
        "mx.rfc",
        f"[A-ZÑ&]{{3,4}}[- ]?{_D}{{2}}{_MONTH}{_DAY}[- ]?[0-9A-Z]{{2}}[0-9A]",
        "registro federal|clave RFC|RFC mexicano|su RFC|mi RFC",
    ),
    _row("my_nric", "my.nric", f"{_D}{{2}}{_MONTH}{_DAY}-?{_D}{{2}}-?{_D}{{4}}", "nric|mykad"),
    _row(
        "nl_bsn",
        "nl.bsn",
        rf"{_D}{{9}}|{_D}{{4}}[. ]{_D}{{2}}[. ]{_D}{{3}}",
        "bsn|burgerservicenummer|sofinummer",
    ),
    _row(
        "no_fodselsnummer",
        "no.fodselsnummer",
        f"{_D}{{6}} ?{_D}{{5}}",
        "fødselsnummer|fodselsnummer|personnummer",
    ),
    _row("nz_ird", "nz.ird", f"{_D}{{2,3}}~{_D}{{3}}~{_D}{{3}}", "IRD|ird number"),
    _row("pe_cui", "pe.cui", f"{_D}{{8}}-?[0-9A-K]", "DNI|CUI"),
    _row("pk_cnic", "pk.cnic", f"{_D}{{5}}-{_D}{{7}}-{_D}|{_D}{{13}}", "cnic|nicop"),
    _row("pl_pesel", "pl.pesel", f"{_D}{{11}}", "pesel"),
    _row("pl_nip", "pl.nip", f"{_D}{{3}}-?{_D}{{3}}-?{_D}{{2}}-?{_D}{{2}}", "NIP"),
    _row("pt_nif", "pt.nif", f"[1-3]{_D}{{2}}~{_D}{{3}}~{_D}{{3}}", "NIF|contribuinte"),
    _row(
        "pt_cc",
        "pt.cc",
        f"{_D}{{8}} ?{_D} ?[A-Z0-9]{{2}}{_D}",
        "cartão de cidadão|cartao de cidadao",
    ),
    _row("ro_cnp", "ro.cnp", f"[1-9]{_D}{{2}}{_MONTH}{_DAY}{_D}{{6}}", "CNP|cod numeric personal"),
    _row("ru_inn", "ru.inn", f"{_D}{{12}}", "инн|INN"),
    _row(
        "se_personnummer",
        "se.personnummer",
        f"(?:19|20)?{_D}{{2}}{_MONTH}{_DAY}[-+]?{_D}{{4}}",
        "personnummer|samordningsnummer",
    ),
    _row("sg_nric", "", f"[STFGMstfgm]{_D}{{7}}[A-Za-z]", "nric|FIN|fin number"),
    _row("si_emso", "si.emso", f"{_DAY}{_MONTH}{_D}{{9}}", "emšo|emso|jmbg"),
    _row(
        "th_pin",
        "th.pin",
        f"[1-8]{_THAI_PROVINCE}{_D}{{10}}|[1-8]-{_THAI_PROVINCE}{_D}{{2}}-{_D}{{5}}-{_D}{{2}}-{_D}",
        "thai id|tnin|thai national|เลขประจำตัวประชาชน|เลขบัตรประชาชน|บัตรประชาชน",
    ),
    _row("tr_tckimlik", "tr.tckimlik", f"[1-9]{_D}{{10}}", "kimlik|tckn|tc kimlik"),
    _row("tw_id", "", "[A-Z][12]" + f"{_D}{{8}}", "身分證字號|身分證號|統一證號"),
    _row("ua_rntrc", "ua.rntrc", f"{_D}{{10}}", "рнокпп|іпн"),
    _row(
        "us_itin",
        "",
        # The middle group as the Internal Revenue Service gives it out since 2022.
        f"9{_D}{{2}}[- ]?(?:5[0-9]|6[0-5]|7[0-9]|8[0-8]|9[0-24-9])[- ]?{_D}{{4}}",
        "itin|individual taxpayer",
    ),
    _row(
        "us_npi",
        "luhn",
        f"[12]{_D}{{3}}~{_D}{{3}}~{_D}{{3}}",
        "npi|national provider|provider identifier|provider id",
        prefix="80840",
    ),
    _row(
        "us_routing",
        "us.rtn",
        "(?:0[0-9]|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80)" + f"{_D}{{2}}~{_D}{{4}}~{_D}",
        "ABA|routing number|routing no|routing transit|RTN",
    ),
    _row(
        "za_id",
        "za.idnr",
        f"{_D}{{2}}{_MONTH}{_DAY} ?{_D}{{4}} ?[01]{_D} ?{_D}",
        "south african id|rsa id|SA ID number",
    ),
    _row(
        "de_id_card",
        "mrz",
        "[CFGHJKLMNPRTVWXYZ][0-9CFGHJKLMNPRTVWXYZ]{8}[0-9]",
        "personalausweis|ausweisnummer|ausweis",
    ),
    _row(
        "driver_license",
        "",
        f"(?=[A-Za-z0-9-]{{6,17}}(?![A-Za-z0-9-]))[A-Za-z]{{0,3}}-?{_D}{{2,9}}"
        f"(?:-?{_D}{{1,8}}){{1,3}}[A-Za-z]?",
        "driver's license|drivers license|driver license|driver's licence|driving licence"
        "|driving license|führerscheinnummer|驾驶证",
        own_words_only=True,
    ),
)
NATIONAL_ID_NAMES = tuple(row.name for row in NATIONAL_IDS)
