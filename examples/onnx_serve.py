"""Serve an exported model with ONNX Runtime alone: python onnx_serve.py MODEL.onnx < EVENTS.

Each line of EVENTS is SESSION, a space and ITEM; each line printed is SESSION and its best next
items.
"""

import json
import sys

import numpy as np
import onnxruntime

model = onnxruntime.InferenceSession(sys.argv[1])
item_ids = json.loads(model.get_modelmeta().custom_metadata_map["item_ids"])
index = {str(item): i for i, item in enumerate(item_ids)}
inputs = model.get_inputs()  # the items, then a state for each layer
start = [np.zeros((1, state.shape[1]), np.float32) for state in inputs[1:]]
sessions: dict[str, list[np.ndarray]] = {}
for line in sys.stdin:
    session, _, item = line.rstrip("\n").partition(" ")
    if item not in index:
        print(session, f"the model does not know {item}", sep="\t", flush=True)
        continue
    values = [np.array([index[item]]), *sessions.get(session, start)]
    feed = {known.name: value for known, value in zip(inputs, values, strict=True)}
    best, scores, *sessions[session] = model.run(None, feed)
    print(session, *(item_ids[i] for i in best[0]), sep="\t", flush=True)
