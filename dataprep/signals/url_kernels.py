"""Hashes of hosts and of all domains above them. Compiled by numba."""

import numpy as np
import numpy.typing as npt

from dataprep.arrow_buffers import Bytes, Offsets
from dataprep.kernel_cache import kernel
from dataprep.text.text_kernels import HASH_PRIME, HASH_START, Hashes, finish_hash

_DOT = ord(".")


@kernel
def whole_hashes(data: Bytes, offsets: Offsets) -> Hashes:
    """Shape [rows], uint64: the hash of each text, read from its end to its beginning."""
    hashes = np.empty(offsets.shape[0] - 1, dtype=np.uint64)
    for row in range(hashes.shape[0]):
        value = HASH_START
        for position in range(offsets[row + 1] - 1, offsets[row] - 1, -1):
            value = (value ^ np.uint64(data[position])) * HASH_PRIME
        hashes[row] = finish_hash(value)
    return hashes


@kernel
def under_domains(data: Bytes, offsets: Offsets, domains: Hashes) -> npt.NDArray[np.bool_]:
    """Shape [rows], bool: whether a host, or a domain that it lies below, is among `domains`.

    `domains` are `whole_hashes` in order. From its end, a host passes every domain above it.
    """
    under = np.zeros(offsets.shape[0] - 1, dtype=np.bool_)
    for row in range(under.shape[0]):
        first, last = offsets[row], offsets[row + 1]
        value = HASH_START
        for position in range(last - 1, first - 1, -1):
            value = (value ^ np.uint64(data[position])) * HASH_PRIME
            if position == first or data[position - 1] == _DOT:
                wanted = finish_hash(value)
                place = np.searchsorted(domains, wanted)
                if place < domains.shape[0] and domains[place] == wanted:
                    under[row] = True
                    break
    return under
