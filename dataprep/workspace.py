"""The working directory of one build: where each finished piece lies.

Every piece is one file that gets its name by rename when it is complete. A piece that exists is
never made again, so that an interrupted build goes on where it was; a retried task finds its work
done or does it again with the same result. The directory is named by the digest of configuration
and inputs and is removed when the manifest is written.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# A row reference is `shard << ROW_BITS | row`, int64: 2^31 shards of 2^32 rows.
ROW_BITS = 32
ROW_MASK = (1 << ROW_BITS) - 1
# Shards from here on are those of indexes: their documents come before all of the run's own, are
# not compared with each other, and are not written.
INDEX_SHARD = 1 << 30
INDEX_ROW = INDEX_SHARD << ROW_BITS


@dataclass(frozen=True)
class Layout:
    """How the work of deduplication is cut; no result depends on it."""

    num_shards: int
    num_partitions: int
    num_index_shards: int = 0
    num_groups_max: int = 256
    group_shards_min: int = 8

    @property
    def shards(self) -> tuple[int, ...]:
        """The run's shards, then those of indexes."""
        indexes = range(INDEX_SHARD, INDEX_SHARD + self.num_index_shards)
        return (*range(self.num_shards), *indexes)

    @property
    def num_groups(self) -> int:
        """Groups of neighbouring shards: what one task decides about."""
        return min(-(-self.num_shards // self.group_shards_min), self.num_groups_max)

    def shards_of(self, group: int) -> range:
        """The run's shards of a group."""
        first, stop = (
            -(-number * self.num_shards // self.num_groups) for number in (group, group + 1)
        )
        return range(first, stop)


@dataclass(frozen=True)
class Workspace:
    """Paths of the pieces below `directory`."""

    directory: Path

    def staged(self, shard: int) -> Path:
        """All documents of a shard after the chain, marked but not yet deduplicated."""
        return self.directory / "staged" / f"shard-{shard:05d}.parquet"

    def quarantine(self, shard: int) -> Path:
        """Records of a shard that could not be read."""
        return self.directory / "quarantine" / f"shard-{shard:05d}.parquet"

    def counts(self, shard: int) -> Path:
        """What the pass counted in a shard; the last file of the pass, hence its mark."""
        return self.directory / "counts" / f"shard-{shard:05d}.json"

    def of_pass(self, shard: int, *, urls: bool) -> tuple[Path, ...]:
        """All pieces that the pass leaves of a shard."""
        pieces = (self.staged, self.quarantine, self.identifiers, self.texts, self.bands)
        paths = tuple(piece(shard) for piece in pieces)
        return (*paths, *([self.urls(shard)] if urls else []), self.counts(shard))

    def identifiers(self, shard: int) -> Path:
        """Exchange: the id of every document."""
        return self.directory / "identifiers" / f"shard-{shard:05d}.parquet"

    def texts(self, shard: int) -> Path:
        """Exchange: the text hash of every document alive."""
        return self.directory / "texts" / f"shard-{shard:05d}.parquet"

    def bands(self, shard: int) -> Path:
        """Exchange: the band values of every document alive that has a shingle."""
        return self.directory / "bands" / f"shard-{shard:05d}.parquet"

    def urls(self, shard: int) -> Path:
        """Exchange: the hash of the URL of every document alive that has one."""
        return self.directory / "urls" / f"shard-{shard:05d}.parquet"

    def same_urls(self, partition: int) -> Path:
        """Drops: documents of one URL, found in a partition of the URLs' hashes."""
        return self.directory / "same_urls" / f"partition-{partition:05d}.parquet"

    def exact(self, partition: int) -> Path:
        """Drops: documents of one text, found in a partition of the text hashes."""
        return self.directory / "exact" / f"partition-{partition:05d}.parquet"

    def gone(self, stage: str) -> Path:
        """Row references, ascending, of what has been dropped when this stage has ended."""
        return self.directory / f"gone-{stage}.int64"

    def links(self, partition: int) -> Path:
        """Spanning forest of the links in a partition of the band values."""
        return self.directory / "links" / f"partition-{partition:05d}.parquet"

    def forest(self, level: int, number: int) -> Path:
        """Spanning forest of several forests of the level below."""
        return self.directory / f"forests-{level}" / f"forest-{number:05d}.parquet"

    @property
    def candidates(self) -> Path:
        """Every linked document with its component and the batch that verifies it; a row group for
        each shard, the run's, then those of indexes."""
        return self.directory / "candidates.parquet"

    def shingles(self, shard: int) -> Path:
        """Exchange: the shingle sets of a shard's candidates, by batch."""
        return self.directory / "shingles" / f"shard-{shard:05d}.parquet"

    def verified(self, batch: int) -> Path:
        """Drops: candidates of a batch that have a verified survivor."""
        return self.directory / "verified" / f"batch-{batch:05d}.parquet"

    def redirected(self, stage: str, group: int) -> Path:
        """Drops: those whose survivor, in this group of shards, was dropped for another one."""
        return self.directory / f"redirected-{stage}" / f"group-{group:05d}.parquet"

    def clusters(self, group: int) -> Path:
        """Exchange by group: members of the clusters whose survivors are of this group."""
        return self.directory / "clusters" / f"group-{group:05d}.parquet"

    def licences(self, group: int) -> Path:
        """Exchange by group: licences of documents of this group that were dropped for others."""
        return self.directory / "licences" / f"group-{group:05d}.parquet"

    def decisions(self, shard: int) -> Path:
        """What deduplication says of each document of the shard that it touches."""
        return self.directory / "decisions" / f"shard-{shard:05d}.parquet"

    def pieces(self, step: str, shard: int) -> Path:
        """Exchange: what a step that cuts compares, of one shard."""
        return self.directory / step / "pieces" / f"shard-{shard:05d}.parquet"

    def repeats(self, step: str, partition: int) -> Path:
        """Exchange by shard: pieces of a partition that stand at an earlier place too."""
        return self.directory / step / "repeats" / f"partition-{partition:05d}.parquet"

    def shared(self, step: str, partition: int) -> Path:
        """Exchange by shard: fingerprints of a partition that are there more than once."""
        return self.directory / step / "shared" / f"partition-{partition:05d}.parquet"

    def runs(self, step: str, shard: int) -> Path:
        """Exchange: the bytes of a shard's texts around fingerprints that are shared."""
        return self.directory / step / "runs" / f"shard-{shard:05d}.parquet"

    def cuts(self, step: str, shard: int) -> Path:
        """What a step cuts out of the documents of a shard."""
        return self.directory / step / "cuts" / f"shard-{shard:05d}.parquet"

    def written(self, shard: int) -> Path:
        """The files of a shard that were committed below the stage's directory, and counts."""
        return self.directory / "written" / f"shard-{shard:05d}.json"


@contextmanager
def committed(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes that name if the block ends without error.

    Whoever is killed leaves only the temporary file, whose name no later attempt meets and which
    goes with the working directory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
