"""Codes of the languages that the classifier tells apart, so that a recipe can be checked early.

ISO 639-1 where there is a code of two letters; `zxx` is text that is no language. Cantonese and Wu
are called `zh` here, as they are written in it. A test compares the list with py3langid's model.
"""

_CODES = """
ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext
fa fi fo fr fuv fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja
jv ka kab kik kk km kn ko ku ky la lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no
nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr st sv sw ta te tg th tk
tl tr tt ug uk ur uz uzs vec vi vo wa xh yo zh zu zxx
"""
LANGUAGES = frozenset(_CODES.split())

UNDETERMINED = "und"  # ISO 639-2: a text without letters

# ISO 639-3 codes, a language's own or that of its commonest variety, and the codes used here.
_PAIRS = """
aar aa abk ab afr af aka ak als sq amh am ara ar arb ar arg an asm as ava av aze az azj az bak ba
bam bm bel be ben bn bis bi bod bo bos bs bre br bul bg cat ca ces cs cha ch che ce chv cv cmn zh
cor kw cos co cre cr cym cy dan da deu de div dv dzo dz ekk et ell el eng en epo eo est et eus eu
ewe ee fao fo fas fa fij fj fin fi fra fr fry fy ful ff gla gd gle ga glg gl glv gv grn gn gug gug
guj gu hat ht hau ha heb he her hz hin hi hmo ho hrv hr hun hu hye hy ibo ig ido io iii ii ile ie
ina ia ind id ipk ik isl is ita it jav jv jpn ja kal kl kan kn kas ks kat ka kau kr kaz kk khk mn
khm km kik kik kin rw kir ky kmr ku kom kv kor ko kua kj kur ku lao lo lat la lav lv lim li lin ln
lit lt ltz lb lub lu lug lg lvs lv mah mh mal ml mar mr mkd mk mlg mg mlt mt mon mn mri mi msa ms
mya my nau na nav nv nbl nr nde nd ndo ng nep ne npi ne nld nl nno nn nob no nor no nya ny oci oc
oji oj ori or ory or orm om oss os pan pa pes fa plt mg pli pi pol pl por pt pus ps quz qu que qu
ron ro roh rm run rn rus ru sag sg san sa sin si slk sk slv sl sme se smo sm sna sn snd sd som so
sot st spa es sqi sq srd sc srp sr ssw ss sun su swa sw swe sv swh sw tah ty tam ta tat tt tel te
tgk tg tgl tl tha th tir ti ton to tsn tn tso ts tuk tk tur tr twi tw uig ug ukr uk urd ur uzb uz
uzn uz ven ve vie vi vol vo wln wa wol wo wuu zh xho xh ydd yi yid yi yor yo yue zh zha za zho zh
zsm ms zul zu
"""
_LISTED = _PAIRS.split()
TWO_LETTERS = dict(zip(_LISTED[::2], _LISTED[1::2], strict=True))
