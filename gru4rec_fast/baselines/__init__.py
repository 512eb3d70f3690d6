"""Baselines behind the same evaluation as the model."""
