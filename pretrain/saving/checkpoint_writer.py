"""One rank's part of a checkpoint: planned together, copied, then written by this rank alone.

Writing needs no other rank and no device, so it may happen in a thread while training goes on. It
is the same code then, from the same plan, so that the files are the same to the bit.
"""

import inspect
import io
import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xxhash
from torch.distributed.checkpoint import filesystem
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta

from launch.manifest import FileEntry
from pretrain import megatron
from pretrain.saving.checkpoint_files import write_small


@dataclass
class Part:
    """What this rank is to write, and afterwards what it has written."""

    directory: Path
    metadata: Any
    """Where everything will lie, on rank 0; the places are filled in by `metadata_file`"""
    buckets: list[Any]
    transforms: list[Any]
    small: dict[str, bytes]
    """Further small files by name"""
    results: list[Any] = field(default_factory=list)
    entries: list[FileEntry] = field(default_factory=list)
    error: BaseException | None = None

    def write(self) -> None:
        """Write the files; what goes wrong is kept in `error` for all ranks to learn."""
        try:
            for path, name, (objects, tensors) in self.buckets:
                self._write(Path(path), name, [*objects, *tensors])
            for name, content in self.small.items():
                self.entries.append(write_small(self.directory, name, content))
        except BaseException as error:
            self.error = error
        self.buckets = []

    def _write(self, path: Path, name: str, items: list[Any]) -> None:
        with path.open("wb") as file:
            stream = _Stream(file)
            try:
                for item, data in items:
                    self.results.append(
                        filesystem._write_item(
                            *self.transforms, stream, data, item, name, **_FORMAT
                        )
                    )
                file.flush()
                os.fsync(file.fileno())
            except Exception as error:
                # torch reports a full disk as a position that it did not expect.
                raise (stream.error or error) from None
        self.entries.append(FileEntry(name, None, stream.tell(), stream.digest()))


def plan(state: dict[str, Any], directory: Path, planner: megatron.SavePlanner, rank: int) -> Part:
    """Plan the checkpoint `state` together with all ranks; nothing is written."""
    metadata, buckets, common, transforms = megatron.plan_checkpoint(state, directory, planner)
    small = {}
    if rank == 0:
        buffer = io.BytesIO()
        torch.save(common, buffer)
        small["common.pt"] = buffer.getvalue()
        small["metadata.json"] = _BACKEND
    return Part(directory, metadata, buckets, transforms, small)


def to_host(part: Part, copy: bool) -> None:
    """Bring the tensors of `part` into host memory; with `copy` into memory of their own, so that
    training may change the originals."""
    on_device = False
    buckets = []
    for path, name, (objects, tensors) in part.buckets:
        moved = []
        for item, tensor in tensors:
            if tensor.is_cuda or copy:
                # The same strides: a file holds a tensor's storage as it lies.
                host = torch.empty_strided(
                    tensor.size(), tensor.stride(), dtype=tensor.dtype, pin_memory=tensor.is_cuda
                )
                host.copy_(tensor, non_blocking=True)
                on_device = on_device or tensor.is_cuda
                tensor = host
            moved.append((item, tensor))
        buckets.append((path, name, (objects, moved)))
    if on_device:
        torch.cuda.synchronize()
    part.buckets = buckets


def metadata_file(metadata: Any, results: list[list[Any]]) -> bytes:
    """The content of `.metadata`: what lies where, from the results of all ranks.

    As torch's own writer makes it, without the random number and the path that it adds, so that the
    same state gives the same file.
    """
    places = {result.index: result.storage_data for part in results for result in part}
    return pickle.dumps(
        Metadata(
            state_dict_metadata=metadata.state_dict_metadata,
            storage_data=places,
            storage_meta=StorageMeta(),
            version=getattr(filesystem, "CURRENT_DCP_VERSION", None),
        )
    )


# Torch has since learned another format of tensors; Megatron reads this one.
_FORMAT: dict[str, Any] = (
    {"serialization_format": filesystem.SerializationFormat.TORCH_SAVE}
    if "serialization_format" in inspect.signature(filesystem._write_item).parameters
    else {}
)
# What Megatron looks for first: the format of tensors, and that of `common.pt`.
_BACKEND = (
    b'{"sharded_backend": "torch_dist", "sharded_backend_version": 1, '
    b'"common_backend": "torch", "common_backend_version": 1}'
)


class _Stream(io.RawIOBase):
    """A file that is hashed as it is written, and remembers why it could not be."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file
        self._hash = xxhash.xxh3_128()
        self._size = 0
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        self._hash.update(data)
        self._size += memoryview(data).nbytes
        return memoryview(data).nbytes

    def tell(self) -> int:
        return self._size

    def digest(self) -> str:
        return f"xxh3_128:{self._hash.hexdigest()}"
