"""A look at a checkpoint's `.metadata`, which is a pickle, before Megatron unpickles it.

A digest of xxh3 finds accidents, not forgery: whoever can write the files can write the manifest.
So the pickle is read here first by an unpickler that knows the few classes which say where a tensor
lies, and no other name: one that would call anything else is refused, not executed.
"""

import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from launch.errors import UserError
from pretrain.saving.checkpoint_files import hint

_METADATA = "torch.distributed.checkpoint.metadata"
_KNOWN = {
    (_METADATA, "Metadata"),
    (_METADATA, "MetadataIndex"),
    (_METADATA, "BytesStorageMetadata"),
    (_METADATA, "TensorStorageMetadata"),
    (_METADATA, "TensorProperties"),
    (_METADATA, "ChunkStorageMetadata"),
    (_METADATA, "StorageMeta"),
    (_METADATA, "_MEM_FORMAT_ENCODING"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("torch.serialization", "_get_layout"),
    ("torch", "Size"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if (module, name) in _KNOWN or is_dtype:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def check_metadata(checkpoint: Path, names: Collection[str]) -> None:
    """Raise `UserError` unless `.metadata` is made of known classes and points to `names` alone."""
    path = checkpoint / ".metadata"
    with path.open("rb") as stream:
        try:
            metadata = _Unpickler(stream).load()
            files = {str(info.relative_path) for info in metadata.storage_data.values()}
        except Exception as error:  # a pickle cut short can end in almost any of them
            raise UserError(
                str(path), f"something else ({error})", "where tensors lie, and nothing more",
                hint(checkpoint),
            ) from None  # fmt: skip
    strange = sorted(files - set(names))
    if strange:
        raise UserError(
            str(path), f"tensors in {strange[0][:80]!r}", "files of this checkpoint",
            hint(checkpoint),
        )  # fmt: skip
