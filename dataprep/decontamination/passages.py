# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""From runs that a text has in common with an item's part to the passage that is its evidence."""

import numpy as np

from dataprep.kernel_cache import kernel


@kernel
def best_passages(runs, part_offsets, weights, gap):
    """The passage of each text and part in which most of the part stands.

    `runs` are those of `find_runs`, sorted by row, part and first unit in the text. Runs of a part
    that are no more than `gap` units apart are one passage, if each overlaps with those before it
    or has something of the part that they have not; its score is the share of the part's weight
    that its runs cover.
    Returns row, part, byte of beginning and end (int64, shape [n, 4]) and scores (float32 [n]).
    """
    found = np.empty((len(runs), 4), np.int64)
    scores = np.zeros(len(runs), np.float32)
    size = 0
    i = 0
    while i < len(runs):
        row = runs[i, 0]
        part = runs[i, 1]
        own = weights[part_offsets[part] : part_offsets[part + 1]]
        whole = own.sum()
        best = -1.0
        while i < len(runs) and runs[i, 0] == row and runs[i, 1] == part:
            covered = np.zeros(len(own), np.bool_)
            begin = runs[i, 5]
            end = runs[i, 6]
            until = runs[i, 2] + runs[i, 4]
            while (
                i < len(runs)
                and runs[i, 0] == row
                and runs[i, 1] == part
                and runs[i, 2] <= until + gap
                and (runs[i, 2] < until or not covered[runs[i, 3] : runs[i, 3] + runs[i, 4]].all())
            ):
                covered[runs[i, 3] : runs[i, 3] + runs[i, 4]] = True
                until = max(until, runs[i, 2] + runs[i, 4])
                end = max(end, runs[i, 6])
                i += 1
            share = 0.0
            for unit in range(len(own)):
                if covered[unit]:
                    share += own[unit]
            share = 1.0 if covered.all() else share / whole
            if share > best:
                best = share
                found[size, 0] = row
                found[size, 1] = part
                found[size, 2] = begin
                found[size, 3] = end
                scores[size] = share
        size += 1
    return found[:size], scores[:size]
