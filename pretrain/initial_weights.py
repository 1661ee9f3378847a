"""Initial weights that do not depend on the layout.

Each matrix is drawn whole from a generator seeded by (seed, its global name) and then cut to this
process's part. So any tensor, pipeline or data size starts from the same model, to the bit, and a
process needs to know nothing of the others.
"""

import re

import torch

from launch.manifest import digest_json
from pretrain.config import Model
from pretrain.megatron import GPTModel, tensor_parallel
from pretrain.parallel import World

_LAYER = re.compile(r"decoder\.layers\.(\d+)\.")
# An expert is a module of its own, or (Transformer Engine's grouped ones) a numbered matrix.
_EXPERT = re.compile(r"(experts\.local_experts\.)(\d+)(?=\.)|(experts\.linear_fc.\.weight)(\d+)$")
# The dimension that tensor parallelism divides, by the matrix's place; routers are copied, experts
# are whole.
_DIVIDED_DIMENSION = {
    "word_embeddings": 0,
    "output_layer": 0,
    "linear_qkv": 0,
    "linear_fc1": 0,
    "linear_proj": 1,
    "linear_fc2": 1,
}
_WRITES_TO_RESIDUAL = ("linear_proj", "linear_fc2")


def initialise(model: GPTModel, shape: Model, seed: int, world: World) -> None:
    """Fill the parameters of one piece of the model, and mark those that tensor ranks divide.

    Norms become 1, their biases 0. Matrices are normal with `shape.init_std`, those that write to
    the residual stream with `init_std / sqrt(2 * layers)` (Radford et al. 2019, section 2.3). The
    output layer of a tied model is the embedding again, also on another pipeline stage.
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            parameter.data.fill_(0.0 if name.endswith("bias") else 1.0)
            continue
        place = name.split(".")[-2]
        size = list(parameter.shape)
        dimension = _DIVIDED_DIMENSION.get(place)
        if dimension is not None:
            # The optimizer counts a divided matrix on every tensor rank, a copied one only once.
            _mark_as_divided(parameter, dimension)
        if ".experts." in name:
            # Experts' gradients are summed over other ranks than all else: by this mark they get
            # an optimizer of their own, in every layout, so that all write the same checkpoint.
            parameter.allreduce = False  # type: ignore[attr-defined]
            dimension = None
        if dimension is not None:
            size[dimension] *= world.tensor_size
        std = shape.init_std
        if place in _WRITES_TO_RESIDUAL:
            std /= (2 * shape.layers) ** 0.5
        whole = torch.empty(size, dtype=torch.float32, device="cpu")
        whole.normal_(0.0, std, generator=_generator(seed, _global_name(model, name, shape, world)))
        if dimension is not None:
            gated = place == "linear_fc1" and shape.activation == "swiglu"
            whole = _part(whole, dimension, world, gated)
        parameter.data.copy_(whole)


def _mark_as_divided(parameter: torch.nn.Parameter, dimension: int) -> None:
    if not getattr(parameter, "tensor_model_parallel", False):  # Transformer Engine marks its own
        tensor_parallel.set_tensor_model_parallel_attributes(parameter, True, dimension, 1)


def _part(whole: torch.Tensor, dimension: int, world: World, gated: bool) -> torch.Tensor:
    if gated:
        # Gate and up projection lie above each other, and each is divided.
        halves = whole.chunk(2, dim=0)
        return torch.cat([half.chunk(world.tensor_size)[world.tensor_rank] for half in halves])
    return whole.chunk(world.tensor_size, dim=dimension)[world.tensor_rank]


def _global_name(model: GPTModel, name: str, shape: Model, world: World) -> str:
    """The matrix's name in the whole model: layers counted over all stages, experts over all
    expert ranks."""
    if name == "output_layer.weight" and shape.tied_embeddings:
        return "embedding.word_embeddings.weight"
    match = _LAYER.match(name)
    if match is None:
        return name
    number = model.decoder.layers[int(match[1])].layer_number - 1  # over all stages, from 0
    first = world.expert_rank * shape.experts.count // world.expert_size
    rest = _EXPERT.sub(lambda m: _expert_name(m, first), name[match.end() :])
    return f"decoder.layers.{number}.{rest}"


def _expert_name(match: re.Match[str], first: int) -> str:
    if match[1]:
        return f"{match[1]}{first + int(match[2])}"
    place = match[3].removeprefix("experts.")
    return f"experts.local_experts.{first + int(match[4])}.{place}"


def _generator(seed: int, name: str) -> torch.Generator:
    digest = digest_json([seed, name]).removeprefix("xxh3_128:")
    return torch.Generator("cpu").manual_seed(int(digest[:15], 16))
