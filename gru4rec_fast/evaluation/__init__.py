"""How well whatever ranks items predicts a log: figures with intervals, breakdowns, comparisons."""
