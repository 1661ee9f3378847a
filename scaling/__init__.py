"""Scaling: a ladder of small runs, laws fitted to their losses, and the next run planned from them.

Reads the `result.json` files of a ladder; writes recipes, a runs table, a fit and a plan.
"""
