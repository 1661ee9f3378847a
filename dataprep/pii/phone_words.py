"""Words beside digits that say "this is a telephone number", or that it is another number."""

import re

MOBILE = re.compile(r"1[3-9][0-9]{9}")
HAN = re.compile("[\u4e00-\u9fff]")

# A word that names a telephone; it may stand a few words before the number.
_NAMED = re.compile(
    r"(?<![<\w])(?:tel|telephones?|phones?|mobiles?|mob|cell|cellphone|fax|telefax|whatsapp|hotline"
    r"|helpline|landline|voicemail|pager|switchboard|toll[- ]free|contact (?:no|number)"
    r"|telefon|telefoon|telefono|handy|mobil|téléphone|tél|portable|teléfono|móvil|celular|telefone"
    r"|telemóvel|cellulare|puhelin|telefonnummer|тел|телефон|факс|टेलीफोन|फ़ोन|โทร)(?![\w>])"
    r"|[电電]话|[电電]話|手[机機]|热线|熱線|[传傳]真|[号號][码碼]|联系方式|聯繫方式|携帯|전화|[☎☏✆📞📱]",
    re.IGNORECASE,
)
_NAMED_CHARACTERS = 24
# A label right before the number: "Desk: 555 0199", "M: 0171 ...".
_LABEL = re.compile(
    r"(?<![<\w.-])(?:office|home|work|desk|direct|main|contact|number|reception|private|day|evening"
    r"|emergency|t|m|f|p|h|o|w|c)(?: (?:no|number|line))?[ .]?[:：][ \t]{0,3}\Z",
    re.IGNORECASE,
)
# The same behind it, at the end of a line or clause: "555 0199 (office)".
_NAMED_AFTER = re.compile(
    r"[ \t,–-]{0,3}[(\[]?(?:office|fax|mobile|mob|cell|cellphone|home|work|desk|direct|phone|tel"
    r"|landline|voicemail|whatsapp|main|private)[)\]]?[.,;]?[ \t]{0,4}(?=\r|\n|\Z)"
    r"|[ \t]{0,2}[(\[](?:office|fax|mobile|mob|cell|cellphone|home|work|desk|direct|phone"
    r"|tel)[)\]]",
    re.IGNORECASE,
)
# Somebody calls or writes, and a small word leads to the number: "reach me at 555 0199".
_SPOKEN = re.compile(
    r"(?<![<\w])(?:call|calls|called|calling|callback|dial|dialled|dialed|ring|rang|phoned|text"
    r"|texts|texted|sms|message|messages|reach|reached|contact|contacted|answer|answers|answering"
    r"|pick up|speak|talk)(?![\w>])",
    re.IGNORECASE,
)
_LEADS_TO = re.compile(
    r"(?:(?<!\w)(?:at|on|to|is|was|via|from|under|or|and|us|me|him|her|them|it|registered|number|no"
    r"|call|calling|dial|ring|text|sms|contact)(?:\.|:|,)?|[:：])[ \t]{0,2}\Z",
    re.IGNORECASE,
)
# "my number is 555 0199": enough for digits in groups, not for a plain number.
_NUMBER_IS = re.compile(r"(?<![<\w])numbers?(?: (?:is|was|are))?[ :]{1,3}\Z", re.IGNORECASE)
_CLAUSES = re.compile("[\n;{}=]|[,.!?] ")
_SPOKEN_CHINESE = re.compile("联系|聯繫|致[电電]|[拨撥]打|来电|咨询|短信")
# Other things that are called numbers.
_OTHER = re.compile(
    r"(?<![<\w])(?:isbn|issn|doi|pmid|arxiv|rfc|bugs?|issues?|ticket|serial|oid|order|part|model"
    r"|patent|id|ids|no\.|invoice|tracking|version|revision|build|port|line|page|account|reference"
    r"|case|policy|passport|licen[cs]e|registration|zip|postal|postcode|vat|tax|ssn|social security"
    r"|iban|credit|card|sequence|process|error|commit|pid|magic|hex|decimal|random|prime|integer"
    r"|inode|block|address|range)(?![\w>])",
    re.IGNORECASE,
)
_OTHER_RIGHT_BEFORE = re.compile(
    r"(?:isbn|issn|doi|pmid|arxiv|rfc|bug|issue|ticket|serial|oid|order|part|model|patent|id|no\."
    r"|[#§$€£¥])[-:.]?[ 0-9-]{0,5}\Z",
    re.IGNORECASE,
)


def named_before(before: str) -> bool:
    """Whether a word for a telephone ends or stands near the end of `before`."""
    near = before[-_NAMED_CHARACTERS:]
    return bool(_NAMED.search(near) or _LABEL.search(near))


def named_after(after: str) -> bool:
    """Whether `after` begins with a word for a telephone that ends its line."""
    return bool(_NAMED_AFTER.match(after))


def likely_before(before: str) -> bool:
    """Whether `before` speaks of calling or writing to somebody and leads to what follows."""
    if _SPOKEN_CHINESE.search(before):
        return True
    before = _CLAUSES.split(before)[-1]
    return bool(
        _LEADS_TO.search(before) and _SPOKEN.search(before) and not _OTHER.search(before[-32:])
    )


def number_before(before: str) -> bool:
    """Whether `before` ends in "number is", and nothing says that it is another one."""
    return bool(_NUMBER_IS.search(before) and not _OTHER.search(before[-32:]))


def other_number_before(before: str) -> bool:
    """Whether the word right before the digits says that they are another number."""
    return bool(_OTHER_RIGHT_BEFORE.search(before[-16:]))
