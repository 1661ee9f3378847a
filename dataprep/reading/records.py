"""Records on their way into tables: the columns that every reader makes, in bounded batches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
import xxhash

from dataprep.contract import quarantine_schema

# Text in one batch, bytes. Results do not depend on where batches end; memory does.
BATCH_BYTES = 16 << 20
BATCH_ROWS = 65_536

READ_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("license", pa.string()),
        pa.field("rights_evidence", pa.string()),
        pa.field("rights_opt_out", pa.list_(pa.string()), nullable=False),
        pa.field("meta", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("read_bytes", pa.int64(), nullable=False),
        pa.field("drop_reason", pa.string()),
        pa.field("drop_value", pa.float64()),
        pa.field("drop_threshold", pa.float64()),
    ]
)
QUARANTINE_SCHEMA = quarantine_schema()


@dataclass(frozen=True)
class File:
    """A file of a source, or a part of one: its name in ids and quarantine, its place, its size.

    A part is bytes `first` to `stop` of a JSONL file (the lines that begin there; `first_row` is
    the row of the line that holds the byte before), such a run of a Parquet file's row groups, or,
    for samples, bytes of an archive (the records that begin there).
    `package` and `license` are known for the files of installed packages only, `identity` for
    objects of a store: it changes with the content.
    """

    name: str
    path: str
    num_bytes: int
    package: str | None = None
    license: str | None = None
    first: int = 0
    stop: int | None = None
    first_row: int = 0
    identity: str | None = None


class Record(NamedTuple):
    """One document as a reader found it."""

    id: str
    text: str
    url: str | None
    license: str | None
    meta: tuple[tuple[str, str], ...]
    evidence: str | None = None
    """Where the licence is stated: `record:FIELD`, `page:KIND`, `header:link`, `package`, `recipe`;
    None without one."""
    marks: tuple[str, ...] = ()
    """What the source asks of those who would use it (`rights.opt_out`)."""


class Refusal(NamedTuple):
    """A record that could not be read: its place and the reason, never its content."""

    path: str
    offset: int | None
    row: int | None
    length: int | None
    digest: str | None
    reason: str


class PassedOver(NamedTuple):
    """A record of an archive that is no document by its kind: counted, not refused."""

    kind: str


def digest_of(content: Any) -> str:
    """Digest of a refused record's bytes, to find it again: `xxh3_128:` and 32 digits."""
    return f"xxh3_128:{xxhash.xxh3_128_hexdigest(content)}"


def quarantine_table(source: str, refusals: Iterable[Refusal]) -> pa.Table:
    """Refusals as rows of quarantine."""
    rows = [{"source": source, **refusal._asdict()} for refusal in refusals]
    return pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)


@dataclass
class Batch:
    """Documents and refusals of one source, gathered until they are worth a table."""

    source: str
    columns: dict[str, list[Any]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    num_bytes: int = 0

    def __post_init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        names = (
            "id", "content_hash", "text", "url", "license", "rights_evidence", "rights_opt_out",
            "meta", "read_bytes",
        )  # fmt: skip
        self.columns = {name: [] for name in names}
        self.refusals = []
        self.num_bytes = 0

    def add(self, record: Record) -> None:
        """Add a document. Its text must be valid Unicode (no lone surrogate)."""
        encoded = record.text.encode()
        columns = self.columns
        columns["id"].append(record.id)
        columns["content_hash"].append(xxhash.xxh3_128_digest(encoded))
        columns["text"].append(encoded)
        columns["url"].append(record.url)
        columns["license"].append(record.license)
        columns["rights_evidence"].append(record.evidence)
        columns["rights_opt_out"].append(record.marks)
        columns["meta"].append(record.meta)
        columns["read_bytes"].append(len(encoded))
        self.num_bytes += len(encoded) + len(record.id) + len(record.url or "")
        for _, value in record.meta:
            self.num_bytes += len(value)

    def refuse(self, refusal: Refusal) -> None:
        """Add a record that could not be read."""
        self.refusals.append(refusal)

    @property
    def full(self) -> bool:
        """Whether it holds enough for a table."""
        num_rows = max(len(self.columns["id"]), len(self.refusals))
        return self.num_bytes >= BATCH_BYTES or num_rows >= BATCH_ROWS

    def take(self) -> Iterator[tuple[pa.Table, pa.Table]]:
        """What it holds, as (documents, quarantine), unless that is nothing; it is empty then."""
        if self.columns["id"] or self.refusals:
            yield self._documents(), quarantine_table(self.source, self.refusals)
            self._clear()

    def _documents(self) -> pa.Table:
        num_rows = len(self.columns["id"])
        arrays = []
        for column in READ_SCHEMA:
            if column.name == "source":
                arrays.append(pa.repeat(pa.scalar(self.source, pa.string()), num_rows))
            elif column.name.startswith("drop_"):
                arrays.append(pa.nulls(num_rows, column.type))
            elif column.name == "text":
                # Encoded already: so it is done once.
                encoded = pa.array(self.columns["text"], pa.large_binary())
                arrays.append(encoded.view(pa.large_string()))
            else:
                arrays.append(pa.array(self.columns[column.name], column.type))
        return pa.Table.from_arrays(arrays, schema=READ_SCHEMA)
