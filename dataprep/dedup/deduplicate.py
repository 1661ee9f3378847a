"""Deduplication from the exchange to a decision for each document: the tasks and their order.

    urls         ──▶ same_urls(partition)   ──▶ gone-urls                      (equal_documents)
    texts, ids   ──▶ exact(partition)       ──▶ gone-texts                     (equal_documents)
    bands        ──▶ links(partition)       ──▶ forests ──▶ candidates         (links, candidates)
    staged       ──▶ shingles(shard)        ──▶ verified(batch)                (verification)
    drops        ──▶ redirected(group)      ──▶ clusters ──▶ decisions(shard)  (decisions)
                                            ──▶ licences                       (rights.clusters)

Each task reads and writes files of the workspace and returns nothing, so that a restart knows from
the files alone what is left. The driver holds counts and paths, nothing that grows with documents.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dataprep.config import Dataprep
from dataprep.dedup import candidates, decisions, equal_documents, links, verification
from dataprep.dedup.equal_documents import TEXTS, URLS
from dataprep.rights import clusters
from dataprep.tasks import RunTasks
from dataprep.workspace import Layout, Workspace

Facts = dict[str, dict[str, int]]


def deduplicate(work: Workspace, config: Dataprep, layout: Layout, run_tasks: RunTasks) -> Facts:
    """Exchange and verify; afterwards `work.decisions` says what becomes of every duplicate.

    `config.survivors.sources` names all sources (`survivors.source_order`). The answer counts band
    values and clusters, for the manifest.
    """
    near, urls = config.near_duplicates, config.exact.urls

    def do(
        function: Callable[..., None],
        tasks: Iterable[tuple[Path, tuple[Any, ...]]],
        label: str,
    ) -> None:
        """Run what has not left its file yet."""
        waiting = [arguments for path, arguments in tasks if not path.exists()]
        run_tasks(function, waiting, label)

    partitions, groups = range(layout.num_partitions), range(layout.num_groups)
    same_urls = [work.same_urls(part) for part in partitions] if urls else []
    exact = [work.exact(part) for part in partitions]
    do(
        equal_documents.find_same_urls,
        [(path, (work, layout, part)) for part, path in enumerate(same_urls)],
        "documents of one URL",
    )
    stages = [(work.gone(stage), (work, layout, stage, urls)) for stage in (URLS, TEXTS)]
    do(equal_documents.collect_gone, stages[:1], "rows with a URL of another")
    do(
        equal_documents.find_exact,
        [(path, (work, layout, part, config.exact.texts)) for part, path in enumerate(exact)],
        "exact duplicates",
    )
    do(equal_documents.collect_gone, stages[1:], "rows of exact duplicates")
    do(
        links.find_links,
        [(work.links(part), (work, layout, part, near.band_size_max)) for part in partitions],
        "near-duplicate links",
    )
    if not work.candidates.exists():
        forests = links.merged(work, layout, run_tasks)
        run_tasks(candidates.find_candidates, [(work, layout, forests)], "candidates")
    facts = candidates.candidate_facts(work)
    num_batches = facts.pop("num_batches")
    do(
        candidates.write_shingles,
        [
            (work.shingles(shard), (work, layout, shard, num_batches, config))
            for shard in (layout.shards if num_batches else ())
        ],
        "shingles of candidates",
    )
    verified = [work.verified(batch) for batch in range(num_batches)]
    do(
        verification.verify_batch,
        [(path, (work, layout, batch, num_batches, near)) for batch, path in enumerate(verified)],
        "verification",
    )
    # What was dropped earlier, for a survivor that a later stage dropped.
    if urls:
        do(
            decisions.redirect,
            [
                (work.redirected(URLS, group), (work, layout, group, URLS, same_urls, exact))
                for group in groups
            ],
            "survivors of URLs",
        )
        exact = [*exact, *(work.redirected(URLS, group) for group in groups)]
    redirected = [work.redirected(TEXTS, group) for group in groups]
    do(
        decisions.redirect,
        [
            (path, (work, layout, group, TEXTS, exact, verified))
            for group, path in enumerate(redirected)
        ],
        "survivors of exact duplicates",
    )
    do(
        decisions.find_clusters,
        [
            (work.clusters(group), (work, layout, group, [*redirected, *verified], config))
            for group in groups
        ],
        "clusters",
    )
    do(
        clusters.write_member_licences,
        [
            (work.licences(group), (work, layout, group, [*redirected, *verified]))
            for group in groups
        ],
        "licences of duplicates",
    )
    do(
        decisions.write_decisions,
        [
            (work.decisions(shard), (work, layout, group, config.rights))
            for group in groups
            for shard in [_unfinished(work, layout, group)]
        ],
        "decisions",
    )
    facts |= decisions.cluster_facts(work, layout)
    return {"band_values": links.band_facts(work, layout), "clusters": facts}


def _unfinished(work: Workspace, layout: Layout, group: int) -> int:
    """A shard of the group without decisions; the last one if all have theirs."""
    shards = layout.shards_of(group)
    return next((s for s in shards if not work.decisions(s).exists()), shards[-1])
