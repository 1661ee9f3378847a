"""The state of this process's random generators: torch's, CUDA's, Megatron's, Python's, numpy's.

Initial weights and data order do not use them (they are functions of the seed); dropout would, and
whatever a later part draws.
"""

import math
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from launch.manifest import digest_json
from pretrain import megatron

_TRACKED = "tracked."


def random_state() -> dict[str, torch.Tensor]:
    """All states as tensors: uint8 of torch, int64 and float64 of Python and numpy."""
    _, words, spare = random.getstate()
    numpy_state: Any = np.random.get_state()
    _, keys, position, has_spare, numpy_spare = numpy_state
    spares = [float("nan") if spare is None else spare, float(has_spare), numpy_spare]
    states = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(words, dtype=torch.int64),
        "numpy": torch.tensor([*keys.tolist(), position], dtype=torch.int64),
        # Both draw normal numbers in pairs and may hold the second one.
        "spares": torch.tensor(spares, dtype=torch.float64),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    tracked = megatron.tensor_parallel.get_cuda_rng_tracker().get_states()
    return states | {_TRACKED + key: value for key, value in tracked.items()}


def set_random_state(states: Mapping[str, torch.Tensor]) -> None:
    """Give the generators the states that `random_state` told."""
    torch.set_rng_state(states["torch"])
    spare, has_spare, numpy_spare = states["spares"].tolist()
    words = tuple(states["python"].tolist())
    random.setstate((3, words, None if math.isnan(spare) else spare))
    *keys, position = states["numpy"].tolist()
    numpy_state = ("MT19937", np.array(keys, np.uint32), position, int(has_spare), numpy_spare)
    np.random.set_state(numpy_state)
    if torch.cuda.is_available() and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
    tracked = {
        key.removeprefix(_TRACKED): value
        for key, value in states.items()
        if key.startswith(_TRACKED)
    }
    if tracked:
        megatron.tensor_parallel.get_cuda_rng_tracker().set_states(tracked)


def reseed(iteration: int) -> None:
    """Seed the generators from (the run's seed, iteration): the rule under another layout.

    A generator's state belongs to a rank of a layout, so another layout has none to go on with.
    It must not begin again with the numbers of iteration 0 either. Alike on all ranks, as at the
    start of a run; Megatron's own tracked generators keep the seeds that they were given.
    """
    digest = digest_json([torch.initial_seed(), iteration]).removeprefix("xxh3_128:")
    seed = int(digest[:8], 16)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
