"""Language by a fastText model of the user's: lid.176, GlotLID, or one of their own.

Labels become the codes that the rest of dataprep knows: `__label__en` is en, GlotLID's
`__label__cmn_Hani` is zh. A label that has no code of two letters keeps its own three.
"""

import difflib
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.language.languages import TWO_LETTERS, UNDETERMINED
from launch.errors import UserError

if TYPE_CHECKING:
    import fasttext

# As much of a text as a model needs, characters.
_SAMPLE_CHARACTERS = 4000
_PREFIX = "__label__"


def code_of(label: str) -> str:
    """The language's code: `__label__eng_Latn` and `__label__en` are both `en`."""
    code = label.removeprefix(_PREFIX).split("_")[0].split("-")[0].lower()
    return TWO_LETTERS.get(code, code)


def identify(path: str, text: pa.Array) -> tuple[pa.Array, npt.NDArray[np.float32]]:
    """Language (string) and score (float32 [rows], 0 to 1) of each text (large_string).

    A text without a letter is `und`, score 0. Raises UserError if the model cannot be read.
    """
    model = load(path)
    sample = pc.utf8_slice_codeunits(text, 0, _SAMPLE_CHARACTERS)
    # A line feed ends a text for fastText.
    lines = pc.replace_substring(sample, "\n", " ").to_pylist()
    if not lines:
        return pa.array([], pa.string()), np.zeros(0, dtype=np.float32)
    labels, scores = model.predict(lines, k=1)
    names = pa.array([code_of(found[0]) if len(found) else UNDETERMINED for found in labels])
    # Sums of many float32 end a little above 1.
    values = [min(1.0, float(found[0])) if len(found) else 0.0 for found in scores]
    written = pc.match_substring_regex(sample, r"\p{L}")
    names = pc.if_else(written, names, pa.scalar(UNDETERMINED))
    certain = np.where(written.to_numpy(zero_copy_only=False), values, 0.0)
    return names.cast(pa.string()), certain.astype(np.float32)


def check(path: str, languages: tuple[str, ...]) -> None:
    """Raises UserError if there is no model, or if it knows none of a wanted language."""
    known = {code_of(label) for label in load(path).labels}
    for language in languages:
        if language not in known:
            near = difflib.get_close_matches(language, sorted(known), n=3, cutoff=0.5)
            hint = f"near it: {', '.join(near)}" if near else f"it has {len(known)} labels"
            expected = "codes that the model of dataprep.language_model knows"
            raise UserError("dataprep.languages", f"'{language}'", expected, hint)


@functools.cache
def load(path: str) -> "fasttext.FastText._FastText":
    """The model, read once in each process."""
    import fasttext

    if not Path(path).is_file():
        raise UserError("dataprep.language_model", f"'{path}'", "a fastText model (.bin or .ftz)")
    try:
        return fasttext.load_model(path)
    except ValueError as error:
        where, got = "dataprep.language_model", f"'{path}', which fastText cannot read"
        raise UserError(where, got, "a fastText model (.bin or .ftz)") from error
