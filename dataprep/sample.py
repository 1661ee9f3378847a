"""A sample run: `dataprep.limit` records, spread over the shards by their bytes.

The same files and the same limit give the same records, whatever the workers.
"""

import itertools
from collections.abc import Sequence

from dataprep.reading.read import Shard


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
