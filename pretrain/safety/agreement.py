"""Facts that all ranks must agree on, asked between hosts: no device is waited for."""

import torch

from pretrain.parallel import World


def any_rank(flag: bool, world: World) -> bool:
    """Whether `flag` holds on any rank; every rank calls it."""
    if world.size == 1:
        return flag
    tensor = torch.tensor([flag], dtype=torch.uint8)
    torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MAX, group=world.control)
    return bool(tensor.item())


def rows_of_all(own: list[float], world: World) -> list[list[float]]:
    """The numbers of each rank, in order of ranks, float64; every rank calls it with as many."""
    if world.size == 1:
        return [own]
    table = torch.zeros(world.size, len(own), dtype=torch.float64)
    table[world.rank] = torch.tensor(own, dtype=torch.float64)
    torch.distributed.all_reduce(table, group=world.control)
    rows: list[list[float]] = table.tolist()
    return rows
