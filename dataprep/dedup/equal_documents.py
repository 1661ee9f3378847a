"""Tasks: documents of one URL, then documents of one text, partition by partition."""

import pyarrow as pa

from dataprep.dedup import drops, exact
from dataprep.dedup.exchange import read_partition
from dataprep.sealed import map_array, write_array
from dataprep.workspace import Layout, Workspace

URLS, TEXTS = "urls", "texts"
"""Stages of `Workspace.gone`: after the URLs, after the texts."""


def find_same_urls(work: Workspace, layout: Layout, partition: int) -> None:
    """Task: the documents of one partition that have the URL of another one."""
    paths = [work.urls(shard) for shard in layout.shards]
    keys = read_partition(paths, partition, layout.num_partitions, exact.KEY_SCHEMA)
    found = drops.as_drops(exact.duplicates(keys), drops.URL)
    drops.write_drops(work.same_urls(partition), found, layout)


def find_exact(work: Workspace, layout: Layout, partition: int, texts: bool = True) -> None:
    """Task: the documents of one partition that have the text of another one, if `texts` are
    compared. Raises `UserError` for an id that is there twice."""
    paths = [work.identifiers(shard) for shard in range(layout.num_shards)]
    exact.check_identifiers(
        read_partition(paths, partition, layout.num_partitions, exact.IDENTIFIER_SCHEMA)
    )
    found = exact.DUPLICATE_SCHEMA.empty_table()
    if texts:
        paths = [work.texts(shard) for shard in layout.shards]
        names = exact.KEY_SCHEMA.names
        keys = read_partition(paths, partition, layout.num_partitions, exact.TEXT_SCHEMA, names)
        gone = drops.contains(map_array(work.gone(URLS)), keys["row"].to_numpy())
        found = exact.duplicates(keys.filter(pa.array(~gone)))
    drops.write_drops(work.exact(partition), drops.as_drops(found, drops.TEXT), layout)


def collect_gone(work: Workspace, layout: Layout, stage: str, urls: bool) -> None:
    """Task: the rows that this stage and those before it have dropped, in one mapped file."""
    partitions = range(layout.num_partitions)
    paths = [work.same_urls(partition) for partition in partitions] if urls else []
    if stage == TEXTS:
        paths += [work.exact(partition) for partition in partitions]
    write_array(work.gone(stage), drops.all_rows(paths, layout))
