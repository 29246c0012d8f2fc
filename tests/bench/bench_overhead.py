#!/usr/bin/env python3
"""What `mlc bench` adds to a call: its latencies beside those of bench_loop, a hand-written C++ loop.

    cmake --preset release -DMLC_BENCH=ON && cmake --build build/release --target mlc bench_loop
    .deps/venv/bin/python tests/bench/bench_overhead.py [--rounds N]

Both take turns on a small MLP, where a call costs microseconds, and on ResNet-18. A process gives its
smallest latency and its median; shown are the medians of the smallest over the rounds, and the median of
the calmest round, by which the verdict goes: on a machine with other work whole rounds are disturbed.
Exits with 1 when mlc adds more than 20 us to a call of the MLP or 3 % to one of ResNet-18.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build" / "release" / "bin"
sys.path.insert(0, str(ROOT / "tests" / "cli"))
import original_models  # noqa: E402  pylint: disable=wrong-import-position


def mlp():
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))


def resnet():
    return original_models.ORIGINALS["resnet18"][0]()


# name, model, sizes of its input, calls that count, may the second number be this much above the first
CASES = [
    ("mlp 64-64-10", mlp, (1, 64), 20000, lambda loop, ours: ours - loop <= 20),
    ("resnet18", resnet, (1, 3, 224, 224), 50, lambda loop, ours: ours <= 1.03 * loop),
]


def loop_us(path, sizes, runs, threads):
    argv = [BIN / "bench_loop", path, threads, 10, runs, *sizes]
    done = subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True,
                          env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
    return tuple(map(float, done.stdout.split()))


def mlc_us(path, name, sizes, runs, threads):
    spec = f"{name}:f32[{','.join(map(str, sizes))}]"
    argv = [BIN / "mlc", "bench", path, "--input", spec, "--threads", threads, "--channels-last", "off", "--warmup", 10, "--runs", runs, "--json"]
    done = subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True)
    latency = json.loads(done.stdout)["artefacts"][0]["latency_ms"]
    return latency["min"] * 1e3, latency["p50"] * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="processes of each kind (7)")
    rounds = parser.parse_args().rounds
    missed = False
    print(f"{'model':14} {'threads':>7} {'loop us, min':>13} {'median':>10} {'mlc us, min':>13} {'median':>10}  verdict")
    with tempfile.TemporaryDirectory() as folder:
        for name, make, sizes, runs, allowed in CASES:
            path = f"{folder}/{name.split()[0]}.pt"
            traced = torch.jit.trace(make().eval(), torch.zeros(sizes))
            traced.save(path)
            argument = traced.forward.schema.arguments[1].name
            for threads in (1, 2):
                loop, ours = [], []
                for _ in range(rounds):
                    loop.append(loop_us(path, sizes, runs, threads))
                    ours.append(mlc_us(path, argument, sizes, runs, threads))
                low = [statistics.median(row[0] for row in rows) for rows in (loop, ours)]
                middle = [min(row[1] for row in rows) for rows in (loop, ours)]
                fine = allowed(middle[0], middle[1])
                missed = missed or not fine
                print(f"{name:14} {threads:7} {low[0]:13.2f} {middle[0]:10.2f} {low[1]:13.2f} {middle[1]:10.2f}  "
                      f"{'ok' if fine else 'MISSED'}", flush=True)
    sys.exit(missed)


if __name__ == "__main__":
    main()
