"""What a recipe says about training: table `[pretrain]` and its tables, a file for each idea.

Nothing here imports torch. What can be judged from one table alone is judged beside it; what needs
the tokens or the layout together with the model is judged in `check.py`.
"""

from launch import config
from pretrain.config_checkpoint import Branch, Checkpoint
from pretrain.config_data import Data, DataStage
from pretrain.config_metrics import Metrics
from pretrain.config_model import Experts, Model
from pretrain.config_parallel import Parallel
from pretrain.config_safety import Stability, Watch
from pretrain.config_training import Training

__all__ = [
    "Branch",
    "Checkpoint",
    "Data",
    "DataStage",
    "Experts",
    "Metrics",
    "Model",
    "Parallel",
    "Pretrain",
    "Stability",
    "Training",
    "Watch",
]


class Pretrain(config.Model):
    """Table `[pretrain]`."""

    model: Model = Model()
    data: Data = Data()
    parallel: Parallel = Parallel()
    training: Training = Training()
    stability: Stability = Stability()
    checkpoint: Checkpoint = Checkpoint()
    branch: Branch = Branch()
    watch: Watch = Watch()
    metrics: Metrics = Metrics()
