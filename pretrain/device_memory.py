"""Memory of this process, for a line of metrics."""

import os

import psutil
import torch


def memory_bytes(device: torch.device) -> int:
    """Most memory that tensors took on the GPU since the last call; on a CPU, what the process
    holds now (resident set size). Neither waits for the device."""
    if device.type == "cuda":
        most = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return int(most)
    return int(psutil.Process(os.getpid()).memory_info().rss)
