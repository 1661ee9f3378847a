"""Before spending: memory, time, cost and fit of a run on a kind of GPU."""
