# %% [markdown]
# # Fit a scaling law to a runs table, and plan the next run
#
# Reads `runs.csv` of a finished ladder if one is named on the command line, else simulates one
# from a known law, so that the answer can be checked. Runs headless in seconds:
#
#     python examples/fit_and_plan.py [runs.csv]

# %%
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from scaling.allocate import allocate
from scaling.config import Fit, Plan
from scaling.contract import read_table, table_of_frame
from scaling.fit import fit_table
from scaling.laws import PUBLISHED, ChinchillaLaw
from scaling.plot import save

# %% [markdown]
# ## The runs
#
# One row per run: parameters, tokens, validation loss in nats per token. A table of anyone's comes
# in by naming its columns. Rows that would bend the fit silently are refused by name.

# %%
truth = ChinchillaLaw(E=1.9, A=420.0, B=1200.0, alpha=0.34, beta=0.36)


def simulated() -> pd.DataFrame:
    sizes = np.repeat([2e7, 6e7, 2e8, 6e8], 4)
    tokens = np.tile([2e8, 8e8, 3e9, 1.2e10], 4)
    scatter = np.exp(np.random.default_rng(7).normal(0.0, 0.002, len(sizes)))
    return pd.DataFrame({
        "name": [f"run-{index:02d}" for index in range(len(sizes))],
        "params": sizes,
        "params_without_embeddings": sizes - 32_768 * np.sqrt(sizes / 12.0 / 12.0),
        "tokens": tokens,
        "loss": truth.loss(sizes, tokens) * scatter,
    })  # fmt: skip


if len(sys.argv) > 1 and Path(sys.argv[1]).suffix == ".csv":
    table = read_table(Path(sys.argv[1]))
else:
    table = table_of_frame(
        simulated(),
        {
            "parameters_total": "params",
            "parameters_nonembedding": "params_without_embeddings",
            "loss_valid": "loss",
        },
    )
print(table.to_frame().to_string())

# %% [markdown]
# ## The fit
#
# The run with the most FLOP is left out and predicted. Everything has an interval from refitting
# resampled runs, and what the runs do not determine is said.

# %%
result = fit_table(table, Fit(bootstrap_samples=100))
print(result.summary())
print(result.to_frame().to_string(float_format=lambda value: f"{value:.4g}"))

# %% [markdown]
# ## The plan
#
# A budget a hundred times that of the largest run, on GPUs, eight-way tensor parallel.

# %%
plan = Plan(
    budget_flops=100.0 * result.observed["flops"][1],
    tensor=8,
    hidden_multiple=128,
    head_size=128,
    heads_per_kv_head=1,
    width_per_layer=100.0,
    sequence_length=2048,
    batch_size=256,
)
planned = allocate(
    result, plan, padded_vocab_size=32_768, tokens_available=500_000_000_000, tied_embeddings=True
)
print(planned.summary())

# %% [markdown]
# ## Against what others published
#
# The same budget under constants that go by the name of Chinchilla, side by side.

# %%
rows = {name: law.optimum(plan.budget_flops) for name, law in PUBLISHED.items()}
rows["this fit"] = result.chinchilla.optimum(plan.budget_flops)
side_by_side = pd.DataFrame.from_dict(
    {name: (best.N, best.D, best.D / best.N, best.L) for name, best in rows.items()},
    orient="index", columns=["parameters", "tokens", "tokens per parameter", "loss"],
)  # fmt: skip
print(side_by_side.to_string(float_format=lambda value: f"{value:.4g}"))

# %% [markdown]
# ## The figure

# %%
picture = Path(tempfile.mkdtemp()) / "fit.png"
save(result, picture, planned.to_json())
print(f"figure: {picture}")
