"""`training.deterministic`: only kernels that give the same bits at each run.

On CPUs ours do so anyway. On GPUs atomics, cuBLAS's workspaces, Transformer Engine's attention and
NCCL's choice of an algorithm do not, unless they are told.
"""

import os

import torch

from launch.errors import UserError

# What each library's variable may say; the first is what is set where nothing is said. Read by
# cuBLAS (docs: results reproducibility), Transformer Engine and NCCL when they begin, so before.
_VARIABLES = {
    "CUBLAS_WORKSPACE_CONFIG": (":4096:8", ":16:8"),
    "NVTE_ALLOW_NONDETERMINISTIC_ALGO": ("0",),
    "NCCL_ALGO": ("Ring", "Tree", "CollnetDirect", "CollnetChain"),
}


def set_deterministic(wanted: bool) -> None:
    """Allow or refuse kernels whose result may differ from run to run, before any is used.

    An operation that has no other kernel then raises where it is first used; see `as_user_error`.
    Raises `UserError` if the environment asks for the contrary.
    """
    torch.use_deterministic_algorithms(wanted)
    # It would also fill every empty tensor with NaN, which finds bugs and costs a pass over memory.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.deterministic = wanted
    torch.backends.cudnn.benchmark = False
    if not wanted:
        return
    for name, allowed in _VARIABLES.items():
        found = os.environ.setdefault(name, allowed[0])
        if found not in allowed:
            raise UserError(
                f"environment: {name}", repr(found), f"{' or '.join(allowed)}, or nothing",
                "with training.deterministic = true; unset it",
            )  # fmt: skip


def as_user_error(error: Exception) -> UserError | None:
    """What to tell the user if an operation was refused for having no deterministic kernel."""
    text = str(error)
    if not isinstance(error, RuntimeError) or "deterministic implementation" not in text:
        return None
    return UserError(
        "pretrain.training.deterministic",
        f"an operation that is not: {text.splitlines()[0][:120]}",
        "operations with a deterministic kernel",
        "training.deterministic = false, or a model without that operation",
    )
