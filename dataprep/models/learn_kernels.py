# mypy: allow-untyped-defs
# (Kernels carry no annotations: numba infers their types, their docstrings state them.)
"""What learning takes: passes over texts, and texts with words left out. Compiled by numba."""

import numpy as np

from dataprep.kernel_cache import kernel
from dataprep.models.score_kernels import characters_of, hashed_features
from dataprep.text.text_kernels import finish_hash

_SPACE = 32


@kernel
def count_features(data, offsets, classes, joined, labels, least, most, counts):
    """Add to `counts` (float64 [2, slots, categories]) how often each feature stands in negative
    and in positive texts; see `learn_characters`."""
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    codes = np.empty(longest + 2, np.int32)
    features = np.empty((longest + 2) * (most + 1), np.int32)
    for row in range(len(offsets) - 1):
        start = offsets[row]
        end = offsets[row + 1]
        size = characters_of(data, start, end, classes, joined, codes)
        number = hashed_features(
            data, start, end, codes, size, least, most, counts.shape[1], features
        )
        for category in range(labels.shape[1]):
            label = labels[row, category]
            if label >= 0:
                for index in range(number):
                    counts[label, features[index], category] += 1.0


@kernel
def learn_characters(
    data, offsets, classes, joined, order, labels, least, most, first_rate, last_rate, importance,
    weights, squares, bias, bias_squares,
):  # fmt: skip
    """One pass of AdaGrad (Duchi et al. 2011) over the texts in `order`, in place.

    `labels` (int8 [rows, categories]) are 1, 0, or -1 where nothing is known, which is not learnt
    from. A feature's value is its `importance` (float32 [slots, categories]); `squares` (the same)
    and `bias_squares` sum the gradients' squares. The rate goes from the first to the last.
    """
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    codes = np.empty(longest + 2, np.int32)
    features = np.empty((longest + 2) * (most + 1), np.int32)
    for place in range(len(order)):
        row = order[place]
        rate = first_rate + (last_rate - first_rate) * place / len(order)
        start = offsets[row]
        end = offsets[row + 1]
        size = characters_of(data, start, end, classes, joined, codes)
        number = hashed_features(
            data, start, end, codes, size, least, most, weights.shape[0], features
        )
        scale = 1.0 / np.sqrt(max(number, 1))
        for category in range(labels.shape[1]):
            if labels[row, category] < 0:
                continue
            total = 0.0
            for index in range(number):
                slot = features[index]
                total += weights[slot, category] * importance[slot, category]
            odds = total * scale + bias[category]
            error = 1.0 / (1.0 + np.exp(-odds)) - labels[row, category]
            for index in range(number):
                slot = features[index]
                gradient = error * scale * importance[slot, category]
                squares[slot, category] += gradient * gradient
                weights[slot, category] -= rate * gradient / np.sqrt(squares[slot, category])
            bias_squares[category] += error * error
            bias[category] -= rate * error / np.sqrt(bias_squares[category])


@kernel
def thin_out(data, offsets, draws, share):
    """Prepared texts without a random `share` of their words: bytes, and int64 offsets from 0.

    `draws` (uint64 [rows]) decide: the same draw leaves the same words.
    """
    num_rows = len(offsets) - 1
    out = np.empty(offsets[num_rows] - offsets[0] + 8, np.uint8)
    out_offsets = np.zeros(num_rows + 1, np.int64)
    bound = np.uint64(share * 2.0**53)
    size = 0
    for row in range(num_rows):
        first = size
        position = offsets[row]
        end = offsets[row + 1]
        draw = draws[row]
        while position < end:
            begin = position
            while position < end and data[position] != _SPACE:
                position += 1
            draw = finish_hash(draw + np.uint64(0x9E3779B97F4A7C15))
            if draw >> np.uint64(11) >= bound:
                if size > first:
                    out[size] = _SPACE
                    size += 1
                out[size : size + position - begin] = data[begin:position]
                size += position - begin
            position += 1
        out_offsets[row + 1] = size
    return out[:size].copy(), out_offsets
