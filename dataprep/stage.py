"""Where the pass over a shard leaves what it made, and `retune` what it made again.

In: tables after the whole chain, in order. Out: the pieces of the working directory from which
deduplication and the writer go on: the staged rows, the unreadable records, and, as hashes, what
the exchange sends to other shards. The counts come last and mark the shard as done.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataprep.config import Dataprep
from dataprep.dedup import exact, signature, survivors
from dataprep.dedup.exchange import ExchangeWriter, open_exchange, partition_of
from dataprep.dedup.links import BAND_SCHEMA
from dataprep.reading.records import QUARANTINE_SCHEMA, READ_SCHEMA
from dataprep.sealed import read_json, sealed_writer, write_json
from dataprep.signals import urls
from dataprep.step import Step, alive
from dataprep.workspace import ROW_BITS, Workspace

# Of the order by which a hot band is cut, the bits that are the id's and not the content's.
_ID_BITS = np.uint64(0xFFFF)


@dataclass
class Stage:
    """The open pieces of one shard, and the counts of what went into them."""

    first_row: int
    config: Dataprep
    staged: pq.ParquetWriter
    quarantine: pq.ParquetWriter
    identifiers: ExchangeWriter
    texts: ExchangeWriter
    bands: ExchangeWriter
    urls: ExchangeWriter | None
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
        self.identifiers.add(
            pa.table(known, schema=exact.IDENTIFIER_SCHEMA), self._partitions(id_hashes)
        )
        living = alive(table)
        self._exchange(table.filter(pa.array(living)), rows[living], id_hashes[living])

    def _partitions(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        return partition_of(hashes, self.config.near_duplicates.partitions)

    def _exchange(
        self, living: pa.Table, rows: np.ndarray, id_hashes: npt.NDArray[np.uint64]
    ) -> None:
        """Hashes of documents alive, whose row references are `rows`."""
        order = self.config.survivors
        precedence = survivors.precedence(living, order, order.sources)
        columns = {
            "key_hash": living[signature.TEXT_HASH],
            "precedence": precedence,
            "id": living["id"],
            "row": rows,
            "num_shingles": pc.fill_null(living[signature.NUM_SHINGLES], 0),
        }
        high = exact.hash_halves(living[signature.TEXT_HASH])[:, 0]
        self.texts.add(pa.table(columns, schema=exact.TEXT_SCHEMA), self._partitions(high))
        if self.urls is not None:
            self._exchange_urls(self.urls, living["url"], pa.table(columns))
        comparable, band_values = signature.band_values(living)
        values = band_values.reshape(-1)
        repeated = np.repeat(comparable, band_values.shape[1])
        # An order that no resharding changes: the content's, then, for equal contents, the ids'.
        content = exact.hash_halves(living["content_hash"])[:, 0]
        order_of_rows = (content & ~_ID_BITS) | (id_hashes & _ID_BITS)
        columns = {"band_value": values, "order": order_of_rows[repeated], "row": rows[repeated]}
        self.bands.add(pa.table(columns, schema=BAND_SCHEMA), self._partitions(values))

    def _exchange_urls(self, writer: ExchangeWriter, url: pa.ChunkedArray, known: pa.Table) -> None:
        """Hashes of the addresses of documents that have one."""
        addresses = urls.address(url.combine_chunks())
        there = pc.greater(pc.fill_null(pc.binary_length(addresses), 0), 0)
        hashes = exact.text_hashes(addresses.filter(there))
        keys = known.filter(there).select(exact.KEY_SCHEMA.names)
        keys = keys.set_column(0, exact.KEY_SCHEMA.field(0), hashes).cast(exact.KEY_SCHEMA)
        writer.add(keys, self._partitions(exact.hash_halves(hashes)[:, 0]))


@contextmanager
def open_stage(
    work: Workspace, index: int, steps: Sequence[Step], config: Dataprep
) -> Iterator[Stage]:
    """The pieces of shard `index`; they have their names when the block has ended without error.

    `config.survivors.sources` names all sources, those to keep first.
    """
    added = [column for step in steps for column in step.adds]
    partitions = config.near_duplicates.partitions
    with ExitStack() as stack:
        exchanges = [
            stack.enter_context(open_exchange(path(index), schema, partitions))
            for path, schema in (
                (work.identifiers, exact.IDENTIFIER_SCHEMA),
                (work.texts, exact.TEXT_SCHEMA),
                (work.bands, BAND_SCHEMA),
                *([(work.urls, exact.KEY_SCHEMA)] if config.exact.urls else []),
            )
        ]
        by_url = exchanges[3] if config.exact.urls else None
        schema = pa.schema([*READ_SCHEMA, *added])
        staged = stack.enter_context(sealed_writer(work.staged(index), schema))
        quarantine = stack.enter_context(sealed_writer(work.quarantine(index), QUARANTINE_SCHEMA))
        first_row = index << ROW_BITS
        identifiers, texts, bands = exchanges[:3]
        stage = Stage(first_row, config, staged, quarantine, identifiers, texts, bands, by_url)
        yield stage
    counted = {
        "records_read": stage.documents + stage.quarantined,
        "documents_in": stage.documents,
        "quarantined": stage.quarantined,
        "bytes_in": stage.bytes_read,
        "passed_over": stage.passed_over.total(),
    }
    write_json(work.counts(index), counted)


def is_staged(work: Workspace, index: int, config: Dataprep) -> bool:
    """Whether all pieces of the pass over shard `index` are there."""
    return all(path.exists() for path in work.of_pass(index, urls=config.exact.urls))


def read_counts(work: Workspace, shards: Iterable[int]) -> dict[str, int]:
    """Records read, documents in, quarantined and bytes in, summed over shards that are done."""
    counted = [read_json(work.counts(index)) for index in shards]
    return {key: sum(part[key] for part in counted) for key in counted[0]}
