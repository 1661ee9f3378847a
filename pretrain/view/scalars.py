"""Events as numbers by tag, for readers that know nothing else (TensorBoard, W&B)."""

from pretrain.metrics import Event


def scalars(event: Event) -> dict[str, float]:
    """The numbers of an event by tag: `train/loss`, `train_source/loss/NAME`."""
    kind = event["event"]
    suffix = f"/{event['source']}" if "source" in event else ""
    if kind == "intervention":
        value = event["value"]
        return {} if value is None else {f"intervention/{event['kind']}": float(value)}
    if kind not in ("train", "train_source", "valid", "valid_source", "checkpoint"):
        return {}
    return {
        f"{kind}/{key}{suffix}": float(value)
        for key, value in event.items()
        if key != "iteration" and isinstance(value, int | float) and not isinstance(value, bool)
    }
