"""Allocate: a budget becomes a model shape and a token count, with what the fit can say of them.

The law's optimum, limited by the tokens at hand, snapped to a legal shape; every number that the
fit supplies keeps its interval, and the distance to the fitted runs is part of the answer.
"""

from dataclasses import asdict, dataclass
from typing import Any

from launch.errors import UserError
from scaling.config import Plan
from scaling.fitted import FitResult
from scaling.flops import ModelShape
from scaling.interval import Interval
from scaling.laws import FLOP_PER_PARAMETER_TOKEN
from scaling.shape import legal_shape


@dataclass(frozen=True)
class Planned:
    """The next run. Parameters are total ones; FLOP are 6 x parameters x tokens."""

    budget_flops: float
    optimum_parameters: Interval
    optimum_tokens: Interval
    """The law's own split of the budget, before tokens and shape limit it."""
    shape: ModelShape
    iterations: int
    tokens: int
    tokens_available: int
    data_limited: bool
    """Whether the optimum wanted more tokens than `epochs_max` allows."""
    loss: Interval
    """Predicted at the planned shape and tokens, nats per token; interval of the law."""
    loss_of_run: Interval
    """The same with the scatter of a single run."""
    loss_kaplan: Interval | None
    """What the other law says of the same run, where it was fitted."""
    beyond_flops: float
    """Planned FLOP over the largest fitted run's; likewise for the next two."""
    beyond_parameters: float
    beyond_tokens: float

    @property
    def flops(self) -> float:
        """What the planned run spends; at most the budget."""
        return FLOP_PER_PARAMETER_TOKEN * self.shape.parameters_total * float(self.tokens)

    @property
    def epochs(self) -> float:
        """Times that the training tokens are read."""
        return self.tokens / self.tokens_available

    def to_json(self) -> dict[str, Any]:
        """JSON types; the manifest of the plan holds it."""
        shape = self.shape
        return {
            **asdict(self),
            "parameters_total": shape.parameters_total,
            "parameters_nonembedding": shape.parameters_nonembedding,
            "flops": self.flops,
            "epochs": round(self.epochs, 6),
        }

    def summary(self) -> str:
        """A few lines for people."""
        shape = self.shape
        lines = [
            f"planned: {shape.parameters_total:,.0f} parameters ({shape.layers} layers, "
            f"{shape.hidden_size} wide), {self.tokens:,} tokens, {self.iterations:,} iterations",
            f"  {self.flops:.3g} of {self.budget_flops:.3g} FLOP; {self.epochs:.2f} epochs of "
            f"{self.tokens_available:,} tokens",
            f"  the law's optimum: {self.optimum_parameters} parameters, "
            f"{self.optimum_tokens} tokens",
            f"  predicted loss {self.loss.value:.4f}, a single run {self.loss_of_run.low:.4f} to "
            f"{self.loss_of_run.high:.4f} nats per token",
        ]
        if self.loss_kaplan is not None:
            lines.append(f"  the Kaplan law says {self.loss_kaplan} for the same run")
        lines.append(
            f"  beyond the fitted runs by {self.beyond_flops:.1f}x in FLOP, "
            f"{self.beyond_parameters:.1f}x in parameters, {self.beyond_tokens:.1f}x in tokens"
        )
        if self.data_limited:
            lines.append(
                "  data-limited: the optimum wants more tokens than there are, so the model is "
                "larger than the law would choose"
            )
        return "\n".join(lines)


def allocate(
    fit: FitResult,
    plan: Plan,
    *,
    padded_vocab_size: int,
    tokens_available: int,
    tied_embeddings: bool = False,
) -> Planned:
    """Split `plan.budget_flops` by the Chinchilla law of `fit`.

    If the optimum wants more than `plan.epochs_max` x `tokens_available` tokens, those are taken
    and the rest of the budget goes into parameters: the law knows nothing of repeated tokens.
    Raises `UserError` if the table had no total parameters, or the budget is below one iteration.
    """
    fitted = fit.chinchilla
    budget = plan.budget_flops
    parameters = fitted.interval(lambda law: law.optimum(budget).N)
    tokens = fitted.interval(lambda law: law.optimum(budget).D)
    iteration_tokens = plan.batch_size * plan.sequence_length
    limit = plan.epochs_max * tokens_available
    data_limited = tokens.value > limit
    wanted = parameters.value
    if data_limited:
        wanted = budget / (FLOP_PER_PARAMETER_TOKEN * limit)
    shape = legal_shape(wanted, plan, padded_vocab_size, tied_embeddings)
    # The shape is coarse, the tokens are not: they take up what the rounding left of the budget.
    affordable = budget / (FLOP_PER_PARAMETER_TOKEN * shape.parameters_total)
    iterations = int(min(affordable, limit) // iteration_tokens)
    if iterations < 1:
        raise UserError(
            "scaling.plan.budget_flops", f"{budget:.3g} FLOP, {affordable:,.0f} tokens for the "
            f"smallest fitting model ({shape.parameters_total:,.0f} parameters)",
            f"at least one iteration of {iteration_tokens:,} tokens",
        )  # fmt: skip
    planned_tokens = iterations * iteration_tokens
    kaplan = fit.laws.get("kaplan")
    observed = fit.observed
    total = shape.parameters_total
    flops = FLOP_PER_PARAMETER_TOKEN * total * planned_tokens
    return Planned(
        budget_flops=budget,
        optimum_parameters=parameters,
        optimum_tokens=tokens,
        shape=shape,
        iterations=iterations,
        tokens=planned_tokens,
        tokens_available=tokens_available,
        data_limited=data_limited,
        loss=fitted.loss(total, planned_tokens),
        loss_of_run=fitted.loss_of_run(total, planned_tokens),
        loss_kaplan=(
            None if kaplan is None else kaplan.loss(shape.parameters_nonembedding, planned_tokens)
        ),
        beyond_flops=flops / observed["flops"][1],
        beyond_parameters=total / observed["parameters_total"][1],
        beyond_tokens=planned_tokens / observed["tokens"][1],
    )
