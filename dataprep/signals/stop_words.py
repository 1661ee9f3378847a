"""The commonest words of languages: a text that holds none of them is hardly running text.

English is the list of Gopher (Rae et al. 2021, section A1.1), Chinese that of FineWeb-2 for
Mandarin without its middle dot (Penedo et al. 2025, `cmn_Hani`). The others are eight to twelve of
the commonest articles, prepositions, conjunctions and forms of "to be". A language that has no list
here and none in the recipe is not judged by its stop words: English ones would drop all of it.
"""

import functools

import numpy as np
import numpy.typing as npt

from dataprep.config import Dataprep
from dataprep.signals.signal_kernels import STOP_SLOTS
from dataprep.text.word_characters import word_characters
from dataprep.text.word_kinds import describe_words

WORDS_MAX = 64

_LISTS = """
ar في من على أن إلى عن ما هو هذا التي
bg на и в за се да от с е не
ca de la i el a que en els per amb
cs a v se na je že o s z do
da og i at det er en til af på for
de der die und in den von zu das mit ist
el και το του η να της με για που από
en the be to of and that have with
es de la que el en y a los se del
fa و در به از که این را با است برای
fi ja on ei se että oli hän mutta kun myös
fr de la le et les des en un du une
he של את על לא הוא זה עם היא גם כי
hi के में की है और से का को पर ने
hr i u je se na da za od su s
hu a az és hogy nem is egy van meg ez
id yang dan di itu dengan untuk tidak ini dari dalam
it di e che la il in un a per è
ja の に は を た が で と し も
ko 이 그 및 수 것 는 을 를 에 의
nl de van het een en in is dat op te
no og i det er en til av på for at
pl w i z na się do nie że to jest
pt de a o que e do da em um para
ro de și în a la cu pe nu care din
ru и в не на я что с по это как
sk a v na sa je že o s z do
sl in je v na se da za so z pri
sr и у је да се на за су од са
sv och i att det som en på är av för
th ที่ และ ใน ของ เป็น มี ได้ การ จะ ไม่
tr ve bir bu da de için ile olarak çok daha
uk і в на не що з до та у за
vi và của là có trong được cho không các một
zh 的 年 在 月 是 和 日 了 於 為 有 被 人 中 为 他 與 後 也 而 由
"""
STOP_WORDS = {line.split()[0]: tuple(line.split()[1:]) for line in _LISTS.split("\n") if line}

OwnLists = tuple[tuple[str, tuple[str, ...]], ...]


def own_lists(config: Dataprep) -> OwnLists:
    """The lists that a recipe gives, by language."""
    return tuple(
        (language, table.stop_words)
        for language, table in sorted(config.language_rules.items())
        if table.stop_words
    )


@functools.cache
def stop_word_tables(
    own: OwnLists = (),
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8], tuple[str, ...]]:
    """Tables of hashes and places (both [1 + languages, STOP_SLOTS]), and the languages' rows.

    Row 0 is that of a language without a list; its name is the empty string. `own` are lists that
    stand in the place of those here. Words are compared as they are written, small or capital.
    """
    lists = {**STOP_WORDS, **dict(own)}
    names = ("", *sorted(lists))
    hashes = np.zeros((len(names), STOP_SLOTS), np.uint64)
    places = np.zeros((len(names), STOP_SLOTS), np.uint8)
    for row, name in enumerate(names[1:], start=1):
        words = lists[name]
        assert len(words) <= WORDS_MAX, f"more than {WORDS_MAX} stop words for '{name}'"
        for place, value in enumerate(_hashes(words)):
            slot = int(value) & (STOP_SLOTS - 1)
            while hashes[row, slot]:
                slot = (slot + 1) & (STOP_SLOTS - 1)
            hashes[row, slot] = value
            places[row, slot] = place
    hashes.flags.writeable = False
    places.flags.writeable = False
    return hashes, places, names


def languages_with_stop_words(own: OwnLists = ()) -> tuple[str, ...]:
    """The languages that are judged by their stop words."""
    return tuple(sorted({**STOP_WORDS, **dict(own)}))


def _hashes(words: tuple[str, ...]) -> npt.NDArray[np.uint64]:
    """The hash that the kernels give each word."""
    encoded = [word.encode() for word in words]
    ends = np.cumsum([len(word) for word in encoded], dtype=np.int32)
    starts = np.concatenate([np.zeros(1, np.int32), ends[:-1]]).astype(np.int32)
    data = np.frombuffer(b"".join(encoded), np.uint8)
    hashes = np.empty(len(words), np.uint64)
    lengths = np.empty(len(words), np.int32)
    kinds = np.empty(len(words), np.uint8)
    describe_words(data, len(words), word_characters(), starts, ends, hashes, lengths, kinds)
    return hashes
