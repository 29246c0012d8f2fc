#!/usr/bin/env python3
"""Runs ONNX models in turn in ONNX Runtime: onnx_latency.py CALLS SHAPE LABEL=FILE...

One thread; inputs of SHAPE ("1,128") are int64, random ids, then ones, or random floats where the model wants floats. Prints as JSON for each label the seconds of
processor time of each call, the nodes of the file and those after ONNX Runtime's own optimiser, and the cosine of its
first output to that of the first model.
"""

import json
import sys
import tempfile
import time

import numpy
import onnx
import onnxruntime


def count(path):
    return len(onnx.load(path, load_external_data=False).graph.node)


def session(path, optimised=None):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = optimised
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def cosine(a, b):
    a, b = a.astype(numpy.float64).ravel(), b.astype(numpy.float64).ravel()
    return float(a @ b / numpy.sqrt((a @ a) * (b @ b)))


def main():
    calls, shape = int(sys.argv[1]), [int(size) for size in sys.argv[2].split(",")]
    files = dict(argument.split("=", 1) for argument in sys.argv[3:])
    random = numpy.random.default_rng(0)
    ids, floats = random.integers(0, 1000, shape), random.standard_normal(shape, numpy.float32)
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        for label, path in files.items():
            session(path, f"{folder}/optimised.onnx")
            out[label] = {"seconds": [], "nodes": count(path), "optimised": count(f"{folder}/optimised.onnx")}
    sessions = {label: session(path) for label, path in files.items()}
    first = None
    for call in range(calls + 2):
        for label, one in sessions.items():
            given = [ids, numpy.ones_like(ids)] if "int64" in one.get_inputs()[0].type else [floats]
            feed = dict(zip([value.name for value in one.get_inputs()], given))
            start = time.process_time()
            result = one.run(None, feed)[0]
            seconds = time.process_time() - start
            if call >= 2:
                out[label]["seconds"].append(seconds)
            first = result if first is None else first
            out[label]["cosine"] = cosine(first, result) if first.shape == result.shape else None
    print(json.dumps(out))


if __name__ == "__main__":
    main()
