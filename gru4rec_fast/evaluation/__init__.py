"""Recall and MRR of whatever ranks items."""
