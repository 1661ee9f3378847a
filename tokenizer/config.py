"""What a recipe says about `tokenizer`: a frozen model, no heavy import."""

from typing import Literal, Self

from pydantic import Field, model_validator

from launch.config import Model
from launch.errors import UserError


class Encode(Model):
    """Table `[tokenizer.encode]`: how the corpus is turned into tokens."""

    batch_bytes: int = Field(
        4 << 20, ge=1 << 10, description="Text encoded at once in one task, in bytes (UTF-8)."
    )


class Tokenizer(Model):
    """Table `[tokenizer]`: the model, the sample that it is trained on, and encoding."""

    model_type: Literal["bpe", "unigram"] = Field(
        "bpe", description="Algorithm: bpe (merges) or unigram (pruned language model)."
    )
    vocab_size: int = Field(
        8192,
        ge=512,
        le=1_000_000,
        description="Number of ids, the 256 byte pieces and all control symbols among them.",
    )
    sample_bytes: int = Field(
        32 << 20, ge=1 << 10, description="Text that the model is trained on, in bytes (UTF-8)."
    )
    document_sample_bytes_max: int = Field(
        1 << 20,
        ge=1 << 10,
        description="At most so much of one document enters the sample, in bytes.",
    )
    character_coverage: float = Field(
        0.9995,
        ge=0.9,
        le=1.0,
        description="Share of the sample's characters with a piece of their own; rest: bytes.",
    )
    split_digits: bool = Field(True, description="Every digit is a token of its own.")
    whitespace_runs: bool = Field(
        True, description="Runs of spaces may be one token; helps code, tables and indentation."
    )
    piece_characters_max: int = Field(
        16, ge=1, le=512, description="Length of the longest learned piece, in characters."
    )
    bos_symbol: str = Field("<s>", min_length=1, description="Control symbol: text begins.")
    eos_symbol: str = Field("</s>", min_length=1, description="Control symbol: text ends.")
    pad_symbol: str = Field("<pad>", min_length=1, description="Control symbol: padding.")
    eod_symbol: str = Field(
        "<eod>", min_length=1, description="Control symbol that ends every encoded document."
    )
    control_symbols: tuple[str, ...] = Field(
        (), description="Further control symbols (roles of a chat, reserved slots); never in text."
    )
    evaluation_bytes: int = Field(
        8 << 20,
        ge=1 << 10,
        description="Text of the validation split (and of train, if that is too little) measured.",
    )
    encode: Encode = Field(Encode(), description="How the corpus is turned into tokens.")

    @property
    def symbols(self) -> tuple[str, ...]:
        """All control symbols in the order of their ids, which begin at 1 (0 is `<unk>`)."""
        special = (self.bos_symbol, self.eos_symbol, self.pad_symbol, self.eod_symbol)
        return (*special, *self.control_symbols)

    @model_validator(mode="after")
    def _check_symbols(self) -> Self:
        where = "tokenizer.control_symbols"
        for symbol in self.symbols:
            if self.symbols.count(symbol) > 1:
                raise UserError(where, f"'{symbol}' twice", "a different name for each symbol")
            if symbol == "<unk>" or not symbol.strip():
                raise UserError(where, f"'{symbol}'", "a name that is not taken and not blank")
        taken = 1 + len(self.symbols) + 256
        if self.vocab_size <= taken:
            expected = f"more than the {taken} ids of control symbols and bytes"
            raise UserError("tokenizer.vocab_size", str(self.vocab_size), expected)
        return self
