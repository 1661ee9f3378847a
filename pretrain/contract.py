"""The directory `runs/NAME/`: what it promises to whoever reads it.

recipe.toml           the whole recipe, as it was run
result.json           what came out; there from the start, with status `running`
metrics.jsonl         flat events, one a line, in order (see METRICS)
checkpoints/          iteration-00000200/ (Megatron's files, manifest.json last), `latest`
logs/                 durations; nothing that a result depends on
manifest.json         last: names recipe, result and the last checkpoint's manifest
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from launch.config import Model, parse_model
from launch.errors import UserError
from launch.manifest import read_manifest

KIND = "run"
VERSION = 1

FLOPS_CONVENTION = "megatron"

Status = Literal["running", "done", "preempted", "numerical_stop", "failed"]
STATUS_OF_EXIT_CODE: dict[int, Status] = {0: "done", 3: "preempted", 4: "numerical_stop"}

# Events of metrics.jsonl and their keys beside `event` and `iteration` (updates done so far).
# Losses are nats per token, memory is of the process that writes, null: not known.
METRICS: dict[str, tuple[str, ...]] = {
    "start": ("name", "parameters_total", "world_size", "threads", "device", "precision"),
    "resume": ("tensor", "pipeline", "data", "context", "expert"),
    "branch": ("run", "from_iteration", "weights_only"),
    "stage": ("stage", "sequence_length", "first_sample"),
    "train": (
        "tokens", "loss", "gradient_norm", "learning_rate", "batch_size", "tokens_per_second",
        "mfu", "memory_bytes", "seconds",
    ),
    "train_source": ("source", "loss", "tokens"),
    "valid": ("loss", "bits_per_byte", "tokens", "seconds"),
    "valid_source": ("source", "loss", "bits_per_byte", "tokens"),
    # An update that was not finite or spiked: `kind` is "loss_not_finite", "gradient_not_finite",
    # "loss_spike" or "gradient_spike", `action` "log", "skip", "rewind" or "stop".
    "intervention": ("kind", "value", "threshold", "action", "first_sample", "last_sample"),
    "rewind": ("to_iteration",),
    "straggler": ("rank", "host", "seconds", "median_seconds"),
    "checkpoint": ("seconds", "permanent", "asynchronous"),
    "end": ("status",),
}  # fmt: skip


class Layout(Model):
    """How many processes shared what."""

    tensor: int
    pipeline: int
    data: int
    context: int = 1
    expert: int = 1


class RunResult(Model):
    """The content of `result.json`; what is not known yet is null. Losses are nats per token."""

    kind: Literal["run"] = "run"
    version: Literal[1] = 1
    name: str
    status: Status
    exit_code: int | None = None
    parameters_total: int
    parameters_nonembedding: int = Field(description="without embedding and output matrix")
    parameters_active: int | None = Field(
        None, description="that one token passes through: of experts, the chosen ones"
    )
    padded_vocab_size: int
    layers: int
    hidden_size: int
    heads: int
    kv_heads: int
    ffn_size: int
    sequence_length: int
    batch_size: int = Field(description="sequences for each update")
    iterations: int
    tokens: int = Field(description="tokens trained on, when the run is done")
    epochs: float = Field(description="times that the training split is read")
    flops: float = Field(description="for all iterations, by `flops_convention`")
    flops_convention: str
    lr_peak: float
    schedule: str
    seed: int
    tokenizer_digest: str
    tokens_digest: str
    config_digest: str
    layout: Layout
    loss_first: float | None = None
    loss_last: float | None = Field(None, description="mean of the last 10 logged losses")
    loss_valid: float | None = None
    bits_per_byte_valid: float | None = None
    valid_tokens: int | None = None
    tokens_per_second: float | None = Field(None, description="of training iterations alone")
    seconds: float | None = Field(
        None, description="spent in iterations, validations and checkpoints, over all sessions"
    )


def open_run(directory: Path) -> RunResult:
    """The result of a finished run. Raises `UserError` if there is none."""
    read_manifest(directory, KIND, VERSION)
    return read_result(directory)


def read_result(directory: Path) -> RunResult:
    """The result of a run, finished or not. Raises `UserError` if there is none."""
    path = directory / "result.json"
    try:
        return parse_model(RunResult, json.loads(path.read_text(encoding="utf-8")), str(path))
    except FileNotFoundError:
        hint = "`gristmill pretrain run RECIPE` starts it"
        raise UserError(str(path), "no such file", "the directory of a run", hint) from None
    except ValueError as error:
        raise UserError(str(path), f"unreadable content ({error})", "a run's result") from None


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """The events of a run in order; a last line cut off by a kill is left out."""
    path = directory / "metrics.jsonl"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]
