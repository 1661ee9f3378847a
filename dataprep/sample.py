"""A sample run: `dataprep.limit` records, spread over the shards by their bytes.

The same files and the same limit give the same records, whatever the workers.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa

from dataprep.config import Dataprep, Source
from dataprep.read import Shard, read_shard


def quotas(shards: Sequence[Shard], limit: int | None) -> list[int | None]:
    """The records to take of each shard, in proportion to its bytes; None means all.

    They add up to `limit`, so that a shard which has fewer leaves the sample smaller.
    """
    if limit is None:
        return [None] * len(shards)
    # A byte more for each, so that empty files divide nothing by nothing.
    ends = list(itertools.accumulate(shard.num_bytes + 1 for shard in shards))
    bounds = [0, *(limit * end // ends[-1] for end in ends)]
    return [stop - start for start, stop in itertools.pairwise(bounds)]


def read_first(
    shard: Shard,
    source: Source,
    config: Dataprep,
    records_max: int | None,
    passed_over: Counter[str] | None = None,
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """The first `records_max` records of a shard as `read_shard` gives them; None means all."""
    left = records_max
    if left == 0:
        return
    for table, refused in read_shard(shard, source, config, passed_over=passed_over):
        if left is not None:
            table, refused = table.slice(0, left), refused.slice(0, max(0, left - table.num_rows))
            left -= table.num_rows + refused.num_rows
        yield table, refused
        if left == 0:
            return
