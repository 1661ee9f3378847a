"""The most restrictive licence of a cluster, and what the rules say of it.

    drops ──▶ member_licences(group) ──▶ judged(shard): decisions with the licences of clusters

Copies are one work: whoever finds it under several licences must keep to the most restrictive one.
So every document alive takes part in deduplication whatever its licence is, and only the survivor
is judged, by the most restrictive licence that it or any document dropped for it states (equal
URLs, equal texts, verified near-duplicates). A copy that states none says nothing. If the survivor
is dropped, the whole cluster is.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.config_rights import Rights
from dataprep.dedup import drops
from dataprep.dedup.exchange import open_exchange, read_partition
from dataprep.rights import verdicts
from dataprep.rights.decide import LICENSE
from dataprep.rights.licences import licence_of, strictest
from dataprep.sealed import read_sealed
from dataprep.workspace import INDEX_ROW, ROW_BITS, ROW_MASK, Layout, Workspace

MEMBER_SCHEMA = pa.schema(
    [
        pa.field("survivor_row", pa.int64(), nullable=False),
        pa.field("license", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
    ]
)
CLUSTER_LICENSE, CLUSTER_ID = "rights_cluster_license", "rights_cluster_id"


def write_member_licences(
    work: Workspace, layout: Layout, group: int, final: Sequence[Path]
) -> None:
    """Task: the licences of this group's dropped documents, filed by the group of the survivor.

    `final` are the drops after which no survivor is dropped for another.
    """
    gone = drops.read_of(final, group, layout)
    gone = gone.filter(pc.less(gone["survivor_row"], INDEX_ROW)).sort_by("row").combine_chunks()
    rows, survivors = gone["row"].to_numpy(), gone["survivor_row"].to_numpy()
    with open_exchange(work.licences(group), MEMBER_SCHEMA, layout.num_groups) as writer:
        for shard in layout.shards_of(group):
            start, stop = np.searchsorted(rows, [shard << ROW_BITS, (shard + 1) << ROW_BITS])
            if start == stop:
                continue
            own = _columns(work, shard, [LICENSE, "id"])
            own = own.take(pa.array(rows[start:stop] & ROW_MASK))
            known = np.asarray(own[LICENSE].is_valid().to_numpy(), np.bool_)
            found = pa.table(
                {
                    "survivor_row": survivors[start:stop][known],
                    "license": own[LICENSE].filter(pa.array(known)),
                    "id": own["id"].filter(pa.array(known)),
                },
                schema=MEMBER_SCHEMA,
            )
            writer.add(found, drops.groups_of(found["survivor_row"].to_numpy(), layout))


def read_member_licences(work: Workspace, layout: Layout, group: int) -> pa.Table:
    """The licences of what was dropped for survivors of this group (`MEMBER_SCHEMA`), by row."""
    paths = [work.licences(other) for other in range(layout.num_groups)]
    found = read_partition(paths, group, layout.num_groups, MEMBER_SCHEMA)
    return found.sort_by("survivor_row").combine_chunks()


def judged(
    work: Workspace, shard: int, decisions: pa.Table, members: pa.Table, config: Rights
) -> pa.Table:
    """The decisions of a shard (their schema; `row` counts from 0, ascending) with the licences of
    clusters filled in, and with those documents, in clusters or alone, that the rules drop."""
    rows = members["survivor_row"].to_numpy()
    start, stop = np.searchsorted(rows, [shard << ROW_BITS, (shard + 1) << ROW_BITS])
    if start == stop and not verdicts.judges(config):
        return decisions
    known = _columns(work, shard, [LICENSE, "id", "source", "drop_reason"])
    decisions = _with_licences(decisions, members.slice(start, stop - start), known)
    return _with_verdicts(decisions, known, config) if verdicts.judges(config) else decisions


def _with_licences(decisions: pa.Table, members: pa.Table, known: pa.Table) -> pa.Table:
    """The most restrictive licence of each cluster, and the id of the document that states it, on
    the cluster's survivor; the survivor's own id where none is stricter."""
    survivors, first = np.unique(members["survivor_row"].to_numpy() & ROW_MASK, return_index=True)
    bounds = [*first.tolist(), len(members)]
    licences, ids = members["license"].to_pylist(), members["id"].to_pylist()
    own = known.take(pa.array(survivors)).select([LICENSE, "id"]).to_pylist()
    found: list[tuple[str, str]] = []
    for place, mine in enumerate(own):
        inside = range(bounds[place], bounds[place + 1])
        stated = {(licences[i], ids[i]) for i in inside}
        if mine[LICENSE] is not None:
            # Of equal licences the survivor's own counts: the empty place sorts first.
            stated.add((mine[LICENSE], ""))
        best = strictest((licence_of(name), identity) for name, identity in stated)
        assert best is not None, "a survivor without a licence has a member with one"
        found.append((best[0].expression, best[1] or mine["id"]))
    at = np.searchsorted(decisions["row"].to_numpy(), survivors)
    places = np.full(len(decisions), -1, np.int64)
    places[at] = np.arange(len(survivors))
    taken = pa.array(places, mask=places < 0)
    for name, values in (
        (CLUSTER_LICENSE, [n for n, _ in found]),
        (CLUSTER_ID, [i for _, i in found]),
    ):
        position = decisions.schema.get_field_index(name)
        column = pa.array(values, pa.string()).take(taken)
        decisions = decisions.set_column(position, decisions.schema.field(position), column)
    return decisions


def _with_verdicts(decisions: pa.Table, known: pa.Table, config: Rights) -> pa.Table:
    num_rows = len(known)
    place = np.full(num_rows, -1, np.int64)
    place[decisions["row"].to_numpy()] = np.arange(len(decisions))
    at = pa.array(place, mask=place < 0)
    cluster = decisions[CLUSTER_LICENSE].combine_chunks().take(at)
    expressions = pc.coalesce(cluster, known[LICENSE].combine_chunks())
    reasons = verdicts.verdicts(config, known["source"].combine_chunks(), expressions)
    alive = pc.is_null(known["drop_reason"].combine_chunks())
    alive = pc.and_(alive, pc.is_null(decisions["drop_reason"].combine_chunks().take(at)))
    failing = np.asarray(pc.and_(alive, reasons.is_valid()).to_numpy(False), np.bool_)
    if not failing.any():
        return decisions
    reasons = pc.if_else(pa.array(failing), reasons, pa.scalar(None, pa.string()))
    position = decisions.schema.get_field_index("drop_reason")
    own = pa.array(decisions["row"].to_numpy())
    merged = pc.coalesce(decisions["drop_reason"].combine_chunks(), reasons.take(own))
    decisions = decisions.set_column(position, decisions.schema.field(position), merged)
    lone = np.flatnonzero(failing & (place < 0))
    added = {field.name: pa.nulls(len(lone), field.type) for field in decisions.schema}
    added |= {"row": pa.array(lone), "drop_reason": reasons.take(pa.array(lone))}
    more = pa.table(added, schema=decisions.schema)
    return pa.concat_tables([decisions, more]).sort_by("row").combine_chunks()


def _columns(work: Workspace, shard: int, names: list[str]) -> pa.Table:
    return read_sealed(work.staged(shard), names).combine_chunks()
