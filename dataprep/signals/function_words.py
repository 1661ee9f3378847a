"""Words that say little by themselves: those of `stop_words`, and all of English's closed classes.

The lists of `stop_words` hold the few commonest words of each language, which tell running text
from other text. How much a short question says takes more: "What do you think of it?" is made of
nothing but these.
"""

from dataprep.signals.stop_words import STOP_WORDS

# Articles, pronouns, prepositions, conjunctions, auxiliaries, adverbs of place and degree, and what
# an apostrophe leaves of some of them.
_ENGLISH = """
a about after again all also am an and any are as at be because been before being both but by can
could d did do does doing don down each either even every few for from had has have having he her
here hers him his how i if in into is it its itself just let ll m made make many may me might more
most much must my neither no nor not now of off on once one only or other our out over own re s same
she should so some such t than that the their them then there these they this those through to too
up us ve very was we were what when where whether which while who whom whose why will with would yes
yet you your
"""


def function_words() -> tuple[str, ...]:
    """All of them, of every language, each once, in order."""
    listed = {word for words in STOP_WORDS.values() for word in words}
    return tuple(sorted(listed | {*_ENGLISH.split()}))
