"""Which mode each kind has, what the modes ask of a recipe, and the key of the hashes.

The key never leaves the process: not into the manifest, a log or a message. What the manifest has
is a digest under the key of a fixed label, which tells a changed key and nothing else of it.
"""

import difflib
import hashlib
import hmac
import os
from pathlib import Path

from dataprep.config_pii import Mode, Pii
from dataprep.pii.kinds import KINDS, selected
from launch.errors import UserError
from launch.manifest import Input

KEY_BYTES_MIN = 16
_KEY_BYTES_MAX = 65_536
_KEY_LABEL = b"gristmill: which key the hashes of personal data were made with"
_COUNTED_AS = {kind.name: kind.counted_as for kind in KINDS}
_MAKE_KEY = "a key: head -c 32 /dev/urandom | base64 > pii.key"


def mode_of(config: Pii, kind: str) -> Mode:
    """The mode of a kind: by its name, else by what it is counted as, else the one for all.

    So `email` speaks of spelled addresses too, `phone` of Chinese mobile numbers, `ip_address` of
    both versions.
    """
    named = config.modes.get(kind, config.modes.get(_COUNTED_AS[kind]))
    return config.mode if named is None else named


def wanted(config: Pii) -> tuple[str, ...]:
    """Names of the kinds that are looked for, in order of precedence."""
    names = (kind.name for kind in selected(config))
    return tuple(name for name in names if mode_of(config, name) != "off")


def dropping(config: Pii) -> tuple[str, ...]:
    """What the kinds with mode drop are counted as, each once, in order of precedence."""
    names = wanted(config)
    found = [
        kind.counted_as
        for kind in KINDS
        if kind.name in names and mode_of(config, kind.name) == "drop"
    ]
    return tuple(dict.fromkeys(found))


def edits(config: Pii) -> tuple[object, ...]:
    """What of the modes decides the texts: `drop` edits as `placeholder` does, and only decides
    otherwise, which `retune` can do."""
    return tuple(
        (name, "placeholder" if mode == "drop" else mode)
        for name in wanted(config)
        for mode in [mode_of(config, name)]
    )


def check(config: Pii) -> None:
    """Raises UserError for a mode of a kind that there is not, and for kinds that are counted
    together but not dropped together: what is dropped is decided from the stored counts."""
    known = list(dict.fromkeys([*_COUNTED_AS, *_COUNTED_AS.values()]))
    for name in config.modes:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(close)}?" if close else ""
            where = f"dataprep.pii.modes.{name}"
            raise UserError(where, "an unknown kind", f"one of {', '.join(known)}", hint)
    names = wanted(config)
    for counted in dropping(config):
        for kind in KINDS:
            mode = mode_of(config, kind.name)
            if kind.counted_as == counted and kind.name in names and mode != "drop":
                raise UserError(
                    f"dataprep.pii.modes.{kind.name}",
                    f"'{mode}', where others that are counted as {counted} have 'drop'",
                    "'drop' for all of them, or for none",
                    f"'off' leaves {kind.name} out",
                )


def load_key(config: Pii) -> bytes | None:
    """The key of the hashes without blanks around it; None where no kind has that mode.

    Raises UserError, which does not show it, if it is missing or shorter than `KEY_BYTES_MIN`.
    """
    if all(mode_of(config, name) != "hash" for name in wanted(config)):
        return None
    if config.hash_key_file is not None:
        where, got = "dataprep.pii.hash_key_file", f"'{config.hash_key_file}'"
        try:
            with Path(config.hash_key_file).open("rb") as file:
                key = file.read(_KEY_BYTES_MAX).strip()
        except OSError as error:
            expected = "a file that holds a key"
            raise UserError(where, f"{got}: {error.strerror}", expected, _MAKE_KEY) from None
    else:
        assert config.hash_key_variable is not None, "config_pii checks that a key is named"
        where, got = "dataprep.pii.hash_key_variable", f"'{config.hash_key_variable}'"
        value = os.environ.get(config.hash_key_variable)
        if value is None:
            expected = "an environment variable that is set, on every machine that works"
            raise UserError(where, f"{got}, which is not set", expected, _MAKE_KEY)
        key = value.encode("utf-8", "surrogateescape").strip()
    if len(key) < KEY_BYTES_MIN:
        expected = f"at least {KEY_BYTES_MIN}, because a short key can be guessed"
        raise UserError(where, f"{got}, which holds {len(key)} bytes", expected, _MAKE_KEY)
    return key


def key_inputs(config: Pii, prefix: str) -> list[Input]:
    """The key among the manifest's inputs, by a digest that says nothing of it; or nothing."""
    key = load_key(config)
    if key is None:
        return []
    digest = hmac.new(key, _KEY_LABEL, hashlib.sha256).hexdigest()[:32]
    return [Input(f"{prefix}dataprep.pii key", f"hmac_sha256:{digest}")]
