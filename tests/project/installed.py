"""Use an installed gru4rec_fast in small: train, evaluate, recommend, save and load.

    python tests/project/installed.py

in an empty folder, by the Python that has the package; writes log and model there. Exits with an
error where something does not work.
"""

import sys
from pathlib import Path

import pandas as pd
import polars as pl

import gru4rec_fast
from gru4rec_fast import GRU4Rec, batch_eval

assert Path(sys.prefix) in Path(gru4rec_fast.__file__).parents, gru4rec_fast.__file__
n = 400
log = pd.DataFrame(
    {
        "SessionId": [i // 4 for i in range(n)],
        "ItemId": [f"item {i * i % 17}" for i in range(n)],
        "Time": pd.to_datetime([f"2024-01-{1 + i // 20:02d} 10:{i % 60:02d}:00" for i in range(n)]),
    }
)
log.to_csv("log.tsv", sep="\t", index=False)
log.to_parquet("log.parquet")
models = []
for data in (log, pl.from_pandas(log), pl.from_pandas(log).to_arrow(), "log.tsv", "log.parquet"):
    gru = GRU4Rec(layers=(8,), batch_size=8, n_sample=16, n_epochs=1, device="cpu")
    models.append(gru.fit(data, progress=False))
    assert gru.engine_ == "cpu"
best = models[0].recommend(["item 1", "item 4"], k=3)
assert len(best) == 3, best
for gru in models[1:]:
    assert gru.recommend(["item 1", "item 4"], k=3).equals(best)
recall, mrr = batch_eval(models[0], log, cutoff=[5])
assert 0 < mrr[5] <= recall[5] <= 1
models[0].savemodel("model.safetensors")
assert GRU4Rec.loadmodel("model.safetensors").recommend(["item 1", "item 4"], k=3).equals(best)
