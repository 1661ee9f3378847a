"""Long texts in parts: cut after a line end where there is one, never inside a character.

Both users need bounded memory: the trainer, whose unit is a "sentence", and the encoder. The parts
joined are the text again, byte for byte.
"""


def split_passages(text: bytes, bytes_max: int) -> list[bytes]:
    """Cut UTF-8 `text` into parts of at most `bytes_max` bytes (at least 4, one character).

    A part ends after the last line feed that fits, else between two characters.
    """
    assert bytes_max >= 4, bytes_max
    if len(text) <= bytes_max:
        return [text] if text else []
    parts = []
    start = 0
    while len(text) - start > bytes_max:
        end = text.rfind(b"\n", start, start + bytes_max) + 1
        if end <= start:
            end = _character_start(text, start + bytes_max)
        parts.append(text[start:end])
        start = end
    parts.append(text[start:])
    return parts


def _character_start(text: bytes, position: int) -> int:
    # A UTF-8 character has at most three continuation bytes (10xxxxxx).
    for start in range(position, position - 4, -1):
        if text[start] & 0xC0 != 0x80:
            return start
    raise ValueError(f"bytes {position - 3} to {position} are not UTF-8")
