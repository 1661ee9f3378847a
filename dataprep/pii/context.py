"""The characters around a candidate, in which words may speak for it or against it."""

CONTEXT_CHARACTERS = 40


def around(text: str, start: int, end: int, num: int = CONTEXT_CHARACTERS) -> tuple[str, str]:
    """Up to `num` characters before `start` and after `end`."""
    return text[max(0, start - num) : start], text[end : end + num]
