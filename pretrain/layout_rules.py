"""What divides what, and what cannot go together: every rule of the layout, without torch.

Each refusal names the rule, the numbers and a fix. A layout that passes here builds and trains; the
tests hold both against each other.
"""

from typing import Literal

from launch.errors import UserError
from pretrain.config import Parallel, Pretrain

Device = Literal["cpu", "cuda"]


def check_layout(
    pretrain: Pretrain, padded_vocab_size: int | None = None, device: Device | None = None
) -> None:
    """Raise `UserError` if no run of this model can have this layout on such processes.

    `padded_vocab_size` is None where no corpus is at hand yet, `device` where the processes are
    not. Every trainer checks again with both, and whether Transformer Engine is installed where it
    is needed: `check_transformer_engine`.
    """
    if device == "cpu":
        _check_cpu(pretrain)
    _check_tensor(pretrain, padded_vocab_size)
    _check_pipeline(pretrain)
    _check_experts(pretrain)
    _check_context(pretrain)
    _check_batch(pretrain)


def check_world_size(parallel: Parallel, processes: int) -> None:
    """Raise `UserError` unless as many processes were started as the layout has."""
    if processes != parallel.world_size:
        raise UserError(
            "pretrain.parallel",
            f"tensor {parallel.tensor} x pipeline {parallel.pipeline} x context "
            f"{parallel.context} x data {parallel.data} = {parallel.world_size} processes",
            f"{processes}, as many as were started",
            _fitting_data(parallel, processes),
        )


def _fitting_data(parallel: Parallel, processes: int) -> str:
    copy = parallel.world_size // parallel.data
    if processes % copy == 0:
        return f"parallel.data = {processes // copy} fits them"
    return f"start a multiple of tensor x pipeline x context = {copy} processes"


def check_transformer_engine(pretrain: Pretrain, installed: bool) -> None:
    """Raise `UserError` if the recipe asks for what only Transformer Engine does."""
    needs = {
        "pretrain.parallel.context": (pretrain.parallel.context, 1),
        "pretrain.training.precision": (pretrain.training.precision == "fp8", False),
    }
    for where, (value, without) in needs.items():
        if value != without and not installed:
            raise UserError(
                where,
                "fp8" if value is True else str(value),
                "Transformer Engine, which is not installed here",
                "pip install transformer-engine[pytorch], or do without",
            )


def _check_cpu(pretrain: Pretrain) -> None:
    if pretrain.training.precision == "fp8":
        raise UserError(
            "pretrain.training.precision",
            "fp8",
            "fp32, bf16 or fp16 on CPUs: fp8 matrix products are Transformer Engine's, on GPUs "
            "that have them (Ada, Hopper, later)",
            "precision = 'bf16'",
        )
    if pretrain.parallel.context > 1:
        raise UserError(
            "pretrain.parallel.context",
            str(pretrain.parallel.context),
            "1 on CPUs: only Transformer Engine's attention exchanges keys and values between "
            "processes that share a sequence, and it needs GPUs",
            "context = 1; parallel.tensor with sequence = true also divides the activations",
        )


def _check_tensor(pretrain: Pretrain, padded_vocab_size: int | None) -> None:
    shape, parallel = pretrain.model, pretrain.parallel
    where, tensor = "pretrain.parallel.tensor", parallel.tensor
    _divides(where, tensor, "pretrain.model.heads", shape.heads)
    _divides(where, tensor, "pretrain.model.kv_heads", shape.kv_heads)
    if not shape.experts.count:
        _divides(where, tensor, "pretrain.model.ffn_size", shape.ffn_size)
    if padded_vocab_size is not None:
        _divides(where, tensor, "the padded vocabulary", padded_vocab_size)
    if parallel.sequence:
        for name, length in _sequence_lengths(pretrain):
            _divides(f"{where} with sequence = true", tensor, name, length)


def _check_pipeline(pretrain: Pretrain) -> None:
    shape, parallel = pretrain.model, pretrain.parallel
    where, pipeline = "pretrain.parallel.pipeline", parallel.pipeline
    if parallel.virtual_stages > 1:
        pieces = pipeline * parallel.virtual_stages
        if shape.layers % pieces:
            each = shape.layers // pipeline if shape.layers % pipeline == 0 else 0
            raise UserError(
                "pretrain.parallel.virtual_stages",
                f"{parallel.virtual_stages} x pipeline {pipeline} = {pieces} pieces",
                f"a divisor of pretrain.model.layers ({shape.layers})",
                f"virtual_stages one of {_divisors(each)}" if each else
                f"pipeline one of {_divisors(shape.layers)}",
            )  # fmt: skip
        return
    first, last = parallel.first_stage_layers, parallel.last_stage_layers
    if not first and not last:
        _divides(where, pipeline, "pretrain.model.layers", shape.layers)
        return
    stages = pipeline - (first > 0) - (last > 0)
    left = shape.layers - first - last
    fits = stages >= 0 and ((stages == 0 and left == 0) or (stages > 0 and left >= stages
                            and left % stages == 0))  # fmt: skip
    if not fits:
        raise UserError(
            "pretrain.parallel.first_stage_layers and last_stage_layers",
            f"{first} and {last} of {shape.layers} layers, which leaves {left} for {stages} other "
            f"stages of {pipeline}",
            "as many for each other stage, at least 1",
            _uneven_hint(shape.layers, pipeline, first, last),
        )


def _uneven_hint(layers: int, pipeline: int, first: int, last: int) -> str:
    others = pipeline - 2
    if others < 0:
        return "uneven stages need pipeline of 2 or more"
    for each in sorted(range(1, layers), key=lambda n: abs(n - layers // pipeline)):
        begin = first or each
        end = layers - begin - others * each
        if end >= 1 and (not last or begin + end == layers - others * each):
            return f"first_stage_layers = {begin} and last_stage_layers = {end}"
    return f"fewer stages than {pipeline}"


def _check_experts(pretrain: Pretrain) -> None:
    experts, parallel = pretrain.model.experts, pretrain.parallel
    if not experts.count:
        if parallel.expert > 1:
            raise UserError(
                "pretrain.parallel.expert", str(parallel.expert), "1 for a model without experts",
                "expert = 1, or pretrain.model.experts.count above 0",
            )  # fmt: skip
        return
    _divides("pretrain.parallel.expert", parallel.expert, "pretrain.model.experts.count",
             experts.count)  # fmt: skip
    if parallel.tensor > 1 and not parallel.sequence:
        raise UserError(
            "pretrain.parallel.sequence",
            "false",
            f"true with experts and tensor ({parallel.tensor}) above 1: else every tensor rank "
            "would send all tokens to the experts",
            "sequence = true",
        )


def _check_context(pretrain: Pretrain) -> None:
    context = pretrain.parallel.context
    if context == 1:
        return
    for name, length in _sequence_lengths(pretrain):
        _divides("pretrain.parallel.context, twice", 2 * context, name, length)
    if pretrain.data.mask_documents:
        raise UserError(
            "pretrain.data.mask_documents",
            f"true with parallel.context = {context}",
            "false: a document would have to be padded to a multiple of 2 x context to be shared",
            "mask_documents = false, or context = 1",
        )


def _check_batch(pretrain: Pretrain) -> None:
    parallel, training = pretrain.parallel, pretrain.training
    together, reason = training.micro_batch_size * parallel.data, ""
    if parallel.virtual_stages > 1:
        # The interleaved schedule passes micro-batches on in rounds of all stages.
        together *= parallel.pipeline
        reason = f" x {parallel.pipeline}"
    sizes = {"batch_size": training.batch_size}
    if training.batch_size_start:
        sizes["batch_size_start"] = training.batch_size_start
    for name, size in sizes.items():
        if size % together:
            parts = "micro_batch_size x parallel.data" + (" x parallel.pipeline" if reason else "")
            raise UserError(
                f"pretrain.training.{name}",
                f"{size}",
                f"a multiple of {parts} = {training.micro_batch_size} x {parallel.data}{reason} "
                f"= {together}",
                f"the nearest are {size // together * together or together} and "
                f"{(size // together + 1) * together}",
            )


def _sequence_lengths(pretrain: Pretrain) -> list[tuple[str, int]]:
    lengths = [("pretrain.model.sequence_length", pretrain.model.sequence_length)]
    for stage in pretrain.data.stages:
        if stage.sequence_length:
            lengths.append(("a stage's sequence_length", stage.sequence_length))
    return lengths


def _divides(where: str, divisor: int, what: str, value: int) -> None:
    if value % divisor:
        raise UserError(
            where, str(divisor), f"a divisor of {what} ({value})", f"one of {_divisors(value)}"
        )


def _divisors(value: int) -> str:
    return ", ".join([str(n) for n in range(1, value + 1) if value % n == 0][:12])
