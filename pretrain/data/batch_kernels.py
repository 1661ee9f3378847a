# mypy: disable-error-code="no-untyped-def"
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""From spans of documents to the arrays of a micro-batch, in one call. Compiled by numba."""

import numba
import numpy as np

from pretrain.data.kernel import kernel, pointer


@kernel
def _shard(shard_tokens, position):
    low, high = 0, len(shard_tokens) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if shard_tokens[middle] <= position:
            low = middle
        else:
            high = middle
    return low


@kernel
def _token(addresses, shard_tokens, like, position):
    shard = _shard(shard_tokens, position)
    count = shard_tokens[shard + 1] - shard_tokens[shard]
    tokens = numba.carray(pointer(addresses[shard]), count, like.dtype)
    return tokens[position - shard_tokens[shard]]


@kernel
def _pad(row, at, mask_documents, to, border, borders):
    """A row from `at` on, as a document of its own in which nothing counts; the new `border`."""
    tokens, labels, mask, positions = to
    size = tokens.shape[1]
    tokens[row, at:] = 0
    labels[row, at:] = 0
    mask[row, at:] = 0.0
    begun = 0 if mask_documents else at
    for index in range(at, size):
        positions[row, index] = index - at + begun
    borders[border] = (row + 1) * size
    return border + 1


@kernel
def fill(memory, positions_of, segment, row, sample, mask_documents, to, border, borders):
    """Write sample `sample` of a segment as row `row` of a micro-batch.

    `memory` is (addresses, shard_tokens, like), `positions_of` int64 [documents + 1] where each
    document begins, `segment` (starts, documents, begins, lengths), `to` (tokens, labels, mask,
    positions), all [B, S], `borders` int32 with `border` filled. Returns the new `border`, or -1 if
    a span does not lie in its document or the sequence is too short for its spans.

    The label of a position is the next token of its document, wherever the document was cut. The
    last token of a document has none with `mask_documents`; without it, the first token of the next
    span if that begins a document (which may be of length 0: it only gives the label).
    """
    addresses, shard_tokens, like = memory
    starts, documents, begins, lengths = segment
    tokens, labels, mask, positions = to
    size = tokens.shape[1]
    at = np.int64(0)
    for span in range(starts[sample], starts[sample + 1]):
        length = np.int64(lengths[span])
        if length == 0:
            continue
        first = positions_of[documents[span]] + begins[span]
        end = positions_of[documents[span] + 1]
        if begins[span] < 0 or length < 0 or first + length > end or at + length > size:
            return -1
        shard = _shard(shard_tokens, first)
        source = numba.carray(
            pointer(addresses[shard]), shard_tokens[shard + 1] - shard_tokens[shard], like.dtype
        )
        place = first - shard_tokens[shard]
        some = source[place : place + length]
        row_tokens = tokens[row, at : at + length]
        row_labels = labels[row, at : at + length]
        row_positions = positions[row, at : at + length]
        begun = 0 if mask_documents else at
        for index in range(length):
            row_tokens[index] = some[index]
        for index in range(length - 1):
            row_labels[index] = some[index + 1]
        for index in range(length):
            row_positions[index] = begun + index
        mask[row, at : at + length] = 1.0
        last = at + length - 1
        if first + length < end:
            labels[row, last] = _token(addresses, shard_tokens, like, first + length)
        elif not mask_documents and span + 1 < starts[sample + 1] and begins[span + 1] == 0:
            label = positions_of[documents[span + 1]]
            labels[row, last] = _token(addresses, shard_tokens, like, label)
        else:
            labels[row, last] = 0
            mask[row, last] = 0.0
        at += length
        borders[border] = row * size + at
        border += 1
    if at < size:
        border = _pad(row, at, mask_documents, to, border, borders)
    return border


@kernel
def fill_rows(memory, positions_of, segment, row, samples, mask_documents, to, border, borders):
    """`fill` for several samples of one segment, in rows from `row` on."""
    for index in range(len(samples)):
        border = fill(
            memory, positions_of, segment, row + index, samples[index], mask_documents, to, border,
            borders,
        )  # fmt: skip
        if border < 0:
            break
    return border


@kernel
def fill_empty(row, mask_documents, to, border, borders):
    """Rows from `row` on, in which nothing counts; the new `border`."""
    for each in range(row, to[0].shape[0]):
        border = _pad(each, 0, mask_documents, to, border, borders)
    return border
