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
