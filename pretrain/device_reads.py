"""Counts what would make the host wait for the device, on a machine that has none.

On a GPU a program runs ahead of its device until it asks for a number. On a CPU nothing waits, but
the same questions are asked, so that they can be counted.
"""

import sys
from collections import Counter
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# Of a tensor to Python: these copy to the host before they answer.
_METHODS = {
    getattr(torch.Tensor, name): name
    for name in ("tolist", "numpy", "cpu", "__array__", "nonzero", "__repr__")
}
# What item(), bool(), int(), float() and `if tensor` come to, also when C++ asks; and operations
# whose result's shape depends on the numbers.
_OPERATIONS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique", "equal", "is_nonzero")

# What these ask lies in host memory on a GPU's machine too: attention reads the documents' borders
# on a CPU alone (`forward.forward_step`), the ranks agree over gloo.
_HOST_ONLY = ("pretrain.attention", "pretrain.safety.agreement")
_FRAMES = 8


class _Methods(TorchFunctionMode):
    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        if function in _METHODS and not _of_the_host():
            self._found[_METHODS[function]] += 1
        return function(*arguments, **(options or {}))


class _Operations(TorchDispatchMode):
    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        name = function.overloadpacket.__name__
        asks = name in _OPERATIONS or (name.startswith("index") and _by_mask(name, arguments))
        if asks and not _of_the_host():
            self._found[name] += 1
        return function(*arguments, **(options or {}))


def _of_the_host() -> bool:
    """Whether the nearest of our own modules that called is one of `_HOST_ONLY`."""
    frame = sys._getframe(2)
    for _ in range(_FRAMES):
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("pretrain.") and module != __name__:
            return module in _HOST_ONLY
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def _by_mask(name: str, arguments: Any) -> bool:
    """Whether an index is a mask whose True the host must count; to set them all to one number is
    done without."""
    indices = arguments[1] if len(arguments) > 1 and isinstance(arguments[1], list | tuple) else ()
    masks = any(isinstance(i, torch.Tensor) and i.dtype == torch.bool for i in indices)
    return masks and not (name.startswith("index_put") and arguments[2].numel() == 1)


class DeviceReads:
    """`with DeviceReads() as reads:` counts by name, in `reads.found`, in this thread."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        """How often by name"""
        self._modes = (_Methods(self.found), _Operations(self.found))

    def __enter__(self) -> "DeviceReads":
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *ending: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*ending)
