"""Compares every operator with PyTorch and shows what fails.

  python tests/ops/run_ops.py                      the fixed subset
  python tests/ops/run_ops.py --all                every call that PyTorch's authors thought of
  python tests/ops/run_ops.py --match 'conv|pool'  some operators, with each failing call
  python tests/ops/run_ops.py --update             the fixed subset, then scores.json and the table of --list-ops
"""

import argparse
import collections
import json
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import re
import sys
import time

import onnxruntime
import torch

import differ
import op_samples
import scores
import tested

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 300  # for one operator and dtype
TOGETHER = 8


def judge(keys, options, answers):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # torch.export prints graphs where it fails
    for key in keys:
        case = op_samples.cases()[key]
        numbers = range(len(case.calls)) if options.all else case.subset
        started = time.time()
        alone = set(options.failing.get(key, ()))
        outcomes = differ.Judge(case, options.mode, options.build, options.exporter).judge(numbers, alone)
        answers.send((key, [vars(one) for one in outcomes], time.time() - started))


def run_all(keys, options, done):
    """A few cases in a process of their own, so that nothing that one of them breaks disturbs the others for long."""
    fork = multiprocessing.get_context("fork")
    waiting = collections.deque(keys[at:at + TOGETHER] for at in range(0, len(keys), TOGETHER))
    running = {}
    while waiting or running:
        while waiting and len(running) < options.jobs:
            some = waiting.popleft()
            ours, theirs = fork.Pipe(duplex=False)
            process = fork.Process(target=judge, args=(some, options, theirs))
            process.start()
            theirs.close()
            running[ours] = [some, process, time.time()]
        for ours in multiprocessing.connection.wait(list(running), timeout=1):
            some, process, _ = running[ours]
            try:
                key, outcomes, seconds = ours.recv()
                done(key, outcomes, seconds)
                some = [other for other in some if other != key]
                running[ours] = [some, process, time.time()]
            except EOFError:
                process.join()
                del running[ours]
                if some:
                    done(some[0], None, 0)
                    waiting.extend([one] for one in some[1:])
        for some, process, since in running.values():
            if time.time() - since > SECONDS:
                process.kill()


def previous(path):
    """The failing calls of an earlier run, which get programs of their own."""
    if not path.exists():
        return {}
    out = {}
    for name, one in json.loads(path.read_text()).items():
        op, dtype = name.rsplit("/", 1)
        out[op, dtype] = [o["index"] for o in one["outcomes"] or [] if o["verdict"] != "passed"]
    return out


def write_tested(build):
    """From the last runs in both modes."""
    results = []
    for mode in ("raw", "core"):
        path = build / "ops" / f"{mode}-subset.json"
        if path.exists():
            results += [one["outcomes"] for one in json.loads(path.read_text()).values()]
    tested.write_table(results, op_samples.cache_folder(build))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--match", default="", help="of names of operators, a regular expression")
    parser.add_argument("--dtype", action="append", choices=list(op_samples.DTYPES))
    parser.add_argument("--mode", default="raw", choices=["raw", "core", "script"])
    parser.add_argument("--exporter", default="mlc", choices=["mlc", "dynamo", "torchscript"],
                        help="what makes the models: mlc, or PyTorch's own, to compare with")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--results", type=pathlib.Path, help="where the outcomes go (default: in --build)")
    parser.add_argument("--update", action="store_true", help="write scores.json and lib/mlc/onnx/tested.inc")
    parser.add_argument("--failing-only", action="store_true", help="only what failed in the last run")
    parser.add_argument("--resume", action="store_true", help="only what has no results yet")
    parser.add_argument("--verbose", action="store_true", help="each failing call")
    options = parser.parse_args()
    who = "" if options.exporter == "mlc" else options.exporter + "-"
    name = f"{who}{options.mode}-{'all' if options.all else 'subset'}.json"
    results = options.results or options.build / "ops" / name
    options.failing = previous(results)
    keys = [key for key in op_samples.cases()
            if re.search(options.match, key[0]) and (not options.dtype or key[1] in options.dtype)]
    found = json.loads(results.read_text()) if results.exists() else {}
    if options.failing_only:
        keys = [key for key in keys if found.get("/".join(key), {}).get("outcomes") is None or options.failing.get(key)]
    if options.resume:
        keys = [key for key in keys if "/".join(key) not in found]
    started = saved = time.time()
    counted = collections.Counter()

    def save():
        results.parent.mkdir(parents=True, exist_ok=True)
        partial = results.with_suffix(".partial")
        partial.write_text(json.dumps(found))
        partial.rename(results)

    def done(key, outcomes, seconds):
        nonlocal saved
        found["/".join(key)] = {"outcomes": outcomes, "seconds": round(seconds, 2)}
        if time.time() - saved > 20:
            saved = time.time()
            save()
        if outcomes is None:
            print(f"{key[0]} {key[1]}: the process ended")
            counted["dead"] += 1
            return
        counted.update(one["verdict"] for one in outcomes)
        failing = [one for one in outcomes if one["verdict"] not in (differ.PASSED, differ.UNEXPORTED)]
        for one in failing if options.verbose else []:
            print(f"{key[0]} {key[1]} #{one['index']} ({one['text'][:200]}): {one['verdict']}: {one['reason']}")

    # What is imported and made once is there for all. ONNX Runtime's threads would not outlive a fork.
    op_samples.write_program(op_samples.cases()["add", "float32"].calls[:1], "raw", os.devnull)
    run_all(keys, options, done)
    save()
    if options.update:
        versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
        reached = {key: one["outcomes"] for key, one in found.items() if one["outcomes"]}
        scores.write_scores(results.stem, reached, versions)
        if options.exporter == "mlc" and not options.all:
            write_tested(options.build)
    for key, one in sorted(found.items()) if options.exporter == "mlc" else ():
        for outcome in scores.unexplained(*key.rsplit("/", 1), one["outcomes"] or []):
            print(f"{key} #{outcome['index']} ({outcome['text'][:200]}): {outcome['verdict']}: {outcome['reason']}")
    print(dict(counted), f"{time.time() - started:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
