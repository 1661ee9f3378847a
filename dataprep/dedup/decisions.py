"""Tasks: from drops to one decision for each document that deduplication touches.

    same_urls, exact, verified ──▶ redirected(group) ──▶ clusters(group) ──▶ decisions(shard)
                                                     ──▶ licences(group) ──▶    (rights.clusters)

Every survivor that is named is kept: who was dropped for a document that was itself dropped later
is told that one's survivor. Documents meet where the survivor's shard is (`drops`), a group of
shards for each task, so that no process holds more than the duplicates of one group.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config import Dataprep
from dataprep.config_rights import Rights
from dataprep.dedup import drops, survivors
from dataprep.dedup.exchange import open_exchange, read_partition
from dataprep.rights import clusters
from dataprep.sealed import open_sealed, read_sealed, write_sealed
from dataprep.workspace import INDEX_ROW, ROW_BITS, ROW_MASK, Layout, Workspace

DECISION_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("cluster_id", pa.string()),
        pa.field("cluster_size", pa.int64()),
        pa.field("cluster_weight", pa.float32()),
        pa.field("survivor_id", pa.string()),
        pa.field("survivor_jaccard", pa.float32()),
        pa.field("rights_cluster_license", pa.string()),
        pa.field("rights_cluster_id", pa.string()),
        pa.field("drop_reason", pa.string()),
        pa.field("drop_value", pa.float64()),
        pa.field("drop_threshold", pa.float64()),
    ]
)
URL_REASON = "exact.url"
TEXT_REASON = "exact.duplicate"
_NAMES = {drops.URL: "url", drops.TEXT: "text", drops.NEAR: "near"}


def redirect(
    work: Workspace,
    layout: Layout,
    group: int,
    stage: str,
    earlier: Sequence[Path],
    later: Sequence[Path],
) -> None:
    """Task: drops of `earlier` for survivors of this group, those that `later` dropped replaced.

    A copy of a text that was dropped for being near another takes over reason and similarity: the
    texts are equal. One URL says nothing of texts: there only the survivor changes.
    """
    references = drops.read_for(earlier, group, layout)
    onward = drops.read_of(later, group, layout).sort_by("row").combine_chunks()
    target = references["survivor_row"].to_numpy()
    moved = drops.contains(onward["row"].to_numpy(), target)
    onward = onward.take(pa.array(np.searchsorted(onward["row"].to_numpy(), target[moved])))
    stayed, gone = references.filter(pa.array(~moved)), references.filter(pa.array(moved))
    keeps = pc.equal(gone["reason"], drops.URL)
    changed = [
        pc.if_else(keeps, gone[name].combine_chunks(), onward[name].combine_chunks())
        for name in ("reason", "similarity")
    ]
    columns = [gone["row"], onward["survivor_row"], onward["survivor_id"], *changed]
    made = pa.concat_tables([stayed, pa.table(columns, schema=drops.DROP_SCHEMA)])
    drops.write_drops(work.redirected(stage, group), made, layout)


def find_clusters(
    work: Workspace, layout: Layout, group: int, final: Sequence[Path], config: Dataprep
) -> None:
    """Task: every member of the clusters whose survivors are of this group, its survivor too.

    A cluster is a survivor with all that was dropped for it; its id is the survivor's.
    """
    found = drops.read_for(final, group, layout)
    reasons = found["reason"].to_numpy()
    _, first, of_row, counts = np.unique(
        found["survivor_row"].to_numpy(), return_index=True, return_inverse=True, return_counts=True
    )
    sizes = counts.astype(np.int64) + 1
    named = found.take(pa.array(first))
    nothing = {
        field.name: pa.nulls(len(named), field.type) for field in DECISION_SCHEMA if field.nullable
    }
    own = pa.table(
        {
            **nothing,
            "row": named["survivor_row"],
            "cluster_id": named["survivor_id"],
            "cluster_size": sizes,
            "cluster_weight": survivors.weight(config.survivors, sizes),
        },
        schema=DECISION_SCHEMA,
    )
    own = own.filter(pc.less(own["row"], INDEX_ROW))
    members = pa.concat_tables([_dropped(found, sizes[of_row], config), own])
    counted = {name: str(np.count_nonzero(reasons == code)) for code, name in _NAMES.items()}
    counted |= {"clusters": str(len(sizes)), "largest_cluster": str(sizes.max(initial=0))}
    schema = DECISION_SCHEMA.with_metadata(counted)
    with open_exchange(work.clusters(group), schema, layout.num_groups) as writer:
        members = members.replace_schema_metadata(counted)
        writer.add(members, drops.groups_of(members["row"].to_numpy(), layout))


def _dropped(found: pa.Table, sizes: np.ndarray, config: Dataprep) -> pa.Table:
    near = config.near_duplicates
    reasons = pa.array([URL_REASON, TEXT_REASON, f"near_duplicates.{near.measure}"])
    thresholds = pa.array([1.0, 1.0, near.jaccard])
    code = found["reason"]
    # That two documents have one URL says nothing of their texts, nor does containment of Jaccard.
    alike = pc.equal(code, drops.TEXT)
    if near.measure == "jaccard":
        alike = pc.or_(alike, pc.equal(code, drops.NEAR))
    similarity = pc.if_else(alike, found["similarity"], pa.scalar(None, pa.float64()))
    columns = {
        "row": found["row"],
        "cluster_id": found["survivor_id"],
        "cluster_size": sizes,
        "cluster_weight": pa.nulls(len(found), pa.float32()),
        "survivor_id": found["survivor_id"],
        "survivor_jaccard": similarity.cast(pa.float32(), safe=False),
        "rights_cluster_license": pa.nulls(len(found), pa.string()),
        "rights_cluster_id": pa.nulls(len(found), pa.string()),
        "drop_reason": reasons.take(code.combine_chunks()),
        "drop_value": found["similarity"],
        "drop_threshold": thresholds.take(code.combine_chunks()),
    }
    return pa.table(columns, schema=DECISION_SCHEMA)


def write_decisions(work: Workspace, layout: Layout, group: int, rights: Rights) -> None:
    """Task: the decisions of each shard of this group, in order, and what the rules over licences
    say of documents that no other drops."""
    paths = [work.clusters(other) for other in range(layout.num_groups)]
    table = read_partition(paths, group, layout.num_groups, DECISION_SCHEMA)
    table = table.replace_schema_metadata(None).sort_by("row").combine_chunks()
    rows = table["row"].to_numpy()
    members = clusters.read_member_licences(work, layout, group)
    for shard in layout.shards_of(group):
        start, stop = np.searchsorted(rows, [shard << ROW_BITS, (shard + 1) << ROW_BITS])
        part = table.slice(start, stop - start)
        own = pa.array(rows[start:stop] & ROW_MASK)
        part = part.set_column(0, DECISION_SCHEMA.field("row"), own)
        part = clusters.judged(work, shard, part, members, rights)
        write_sealed(work.decisions(shard), part)


def read_decisions(work: Workspace, shard: int) -> pa.Table:
    """The decisions of one shard (`DECISION_SCHEMA`), ascending; `row` counts the shard's documents
    from 0."""
    return read_sealed(work.decisions(shard))


def cluster_facts(work: Workspace, layout: Layout) -> dict[str, int]:
    """Documents dropped for URL, text and nearness; clusters, and the largest."""
    found = []
    for group in range(layout.num_groups):
        with open_sealed(work.clusters(group)) as piece:
            names = (*_NAMES.values(), "clusters", "largest_cluster")
            found.append({key: int(piece.metadata[key]) for key in names})
    facts = {key: sum(part[key] for part in found) for key in found[0]}
    facts["largest_cluster"] = max(part["largest_cluster"] for part in found)
    return facts
