"""Where the pass over a shard leaves what it made, and `retune` what it made again.

In: tables after the whole chain, in order. Out: the pieces of the working directory from which
deduplication and the writer go on: the staged rows, the unreadable records, and, as hashes, what
the exchange sends to other shards. The counts come last and mark the shard as done.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep import exact, signature
from dataprep.config_duplicates import NearDuplicates
from dataprep.deduplicate import BAND_SCHEMA
from dataprep.exchange import ExchangeWriter, open_exchange
from dataprep.records import QUARANTINE_SCHEMA, READ_SCHEMA
from dataprep.step import Step, alive
from dataprep.workspace import ROW_BITS, Workspace, committed


@dataclass
class Stage:
    """The open pieces of one shard, and the counts of what went into them."""

    first_row: int
    num_partitions: int
    staged: pq.ParquetWriter
    quarantine: pq.ParquetWriter
    identifiers: ExchangeWriter
    texts: ExchangeWriter
    bands: ExchangeWriter
    documents: int = 0
    quarantined: int = 0
    bytes_read: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    """Records of archives that are no documents, by kind."""

    def refuse(self, refused: pa.Table) -> None:
        """Add records that could not be read (`contract.quarantine_schema`)."""
        if refused.num_rows:
            self.quarantine.write_table(refused)
            self.quarantined += refused.num_rows

    def add(self, table: pa.Table) -> None:
        """Add documents after the last step, as one row group; their order is that of the shard."""
        rows = self.first_row + self.documents + np.arange(table.num_rows)
        self.documents += table.num_rows
        self.bytes_read += pc.sum(table["read_bytes"]).as_py()
        self.staged.write_table(table, row_group_size=table.num_rows)
        id_hashes = exact.identifier_hashes(table["id"])
        known = {"id_hash": id_hashes, "id": table["id"]}
        partitions = id_hashes % np.uint64(self.num_partitions)
        self.identifiers.add(pa.table(known, schema=exact.IDENTIFIER_SCHEMA), partitions)
        living = alive(table)
        self._exchange(table.filter(pa.array(living)), rows[living])

    def _exchange(self, living: pa.Table, rows: np.ndarray) -> None:
        """Hashes of documents alive, whose row references are `rows`."""
        columns = {
            "text_hash": living[signature.TEXT_HASH],
            "content_hash": living["content_hash"],
            "id": living["id"],
            "row": rows,
            "num_shingles": pc.fill_null(living[signature.NUM_SHINGLES], 0),
        }
        high = exact.hash_halves(living[signature.TEXT_HASH])[:, 0]
        self.texts.add(
            pa.table(columns, schema=exact.TEXT_SCHEMA), high % np.uint64(self.num_partitions)
        )
        comparable, band_values = signature.band_values(living)
        values = band_values.reshape(-1)
        repeated = np.repeat(comparable, band_values.shape[1])
        columns = {
            "band_value": values,
            "content_hash": living["content_hash"].take(pa.array(repeated)),
            "row": rows[repeated],
        }
        self.bands.add(
            pa.table(columns, schema=BAND_SCHEMA), values % np.uint64(self.num_partitions)
        )


@contextmanager
def open_stage(
    work: Workspace, index: int, steps: Sequence[Step], near: NearDuplicates
) -> Iterator[Stage]:
    """The pieces of shard `index`; they have their names when the block has ended without error."""
    added = [column for step in steps for column in step.adds]
    partitions = near.partitions
    with (
        committed(work.staged(index)) as staged_path,
        committed(work.quarantine(index)) as quarantine_path,
        pq.ParquetWriter(
            staged_path,
            pa.schema([*READ_SCHEMA, *added]),
            # Read once more, soon and whole: speed counts, and texts make no dictionary.
            compression="lz4",
            use_dictionary=False,
            write_statistics=False,
        ) as staged,
        pq.ParquetWriter(quarantine_path, QUARANTINE_SCHEMA) as quarantine,
        open_exchange(work.identifiers(index), exact.IDENTIFIER_SCHEMA, partitions) as identifiers,
        open_exchange(work.texts(index), exact.TEXT_SCHEMA, partitions) as texts,
        open_exchange(work.bands(index), BAND_SCHEMA, partitions) as bands,
    ):
        stage = Stage(index << ROW_BITS, partitions, staged, quarantine, identifiers, texts, bands)
        yield stage
    counted = {
        "records_read": stage.documents + stage.quarantined,
        "documents_in": stage.documents,
        "quarantined": stage.quarantined,
        "bytes_in": stage.bytes_read,
        "passed_over": stage.passed_over.total(),
    }
    with committed(work.counts(index)) as path:
        path.write_text(json.dumps(counted))


def read_counts(work: Workspace, shards: Iterable[int]) -> dict[str, int]:
    """Records read, documents in, quarantined and bytes in, summed over shards that are done."""
    counted = [json.loads(work.counts(index).read_text()) for index in shards]
    return {key: sum(part[key] for part in counted) for key in counted[0]}
