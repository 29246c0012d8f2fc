"""What the calls say of each operator in mlc's table: lib/mlc/onnx/tested.inc, which `mlc export-onnx --list-ops` shows.

A call may need several operators, and a program has several calls: which operators a call is made of, is read off the
program, from its outputs backwards.
"""

import collections
import concurrent.futures
import json
import pathlib
import subprocess
import zipfile

import differ

TABLE = pathlib.Path(__file__).resolve().parents[2] / "lib/mlc/onnx/tested.inc"
OPSETS = range(13, 21)


def names_in(argument):
    """Every value that is named somewhere within."""
    if isinstance(argument, list):
        return [name for one in argument for name in names_in(one)]
    if not isinstance(argument, dict):
        return []
    if isinstance(argument.get("name"), str) and "graph" not in argument:
        return [argument["name"]]
    return [name for one in argument.values() for name in names_in(one)]


def operators_in(argument):
    """Those of the subgraphs within."""
    if isinstance(argument, list):
        return {name for one in argument for name in operators_in(one)}
    if not isinstance(argument, dict):
        return set()
    inner = {operator_of(node["target"]) for node in argument.get("nodes", ())}
    return inner | {name for one in argument.values() for name in operators_in(one)}


def operator_of(target):
    """"torch.ops.aten.add_.Tensor" is aten::add_; "" for what is no operator."""
    parts = target.split(".")
    return f"{parts[2]}::{parts[3]}" if target.startswith("torch.ops.") and len(parts) >= 4 else ""


def operators_of_outputs(path):
    """For each output of the program the operators that it needs."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("models/model.json"))
        module = json.loads(archive.read(name))["graph_module"]
    needs = collections.defaultdict(frozenset)
    for node in module["graph"]["nodes"]:
        operator = operator_of(node["target"])
        arguments = [one["arg"] for one in node["inputs"]]
        given = names_in(arguments)
        own = frozenset({operator, *operators_in(arguments)} - {""}).union(*(needs[name] for name in given))
        written = given[:1] if operator.endswith("_") and not operator.endswith("__") else []
        for name in names_in(node["outputs"]) + written:
            needs[name] = own
    outputs = [one["user_output"]["arg"] for one in module["signature"]["output_specs"] if "user_output" in one]
    return [frozenset().union(*(needs[name] for name in names_in(one))) for one in outputs]


def listed(*arguments):
    done = subprocess.run([differ.BINARY, "export-onnx", *arguments, "--list-ops", "--json"],
                          capture_output=True, check=False, timeout=120)
    return json.loads(done.stdout)["operators"] if done.returncode in (0, 1) else []


def opsets_of(path):
    """{operator: the least opset at which all its calls in the program can be written}"""
    out = {}
    for opset in OPSETS:
        operators = listed(path, "--opset", str(opset))
        for one in operators:
            if one["supported"]:
                out.setdefault(one["name"], opset)
        if all(one["supported"] for one in operators):
            break
    return out


class Counts:
    def __init__(self, known):
        self.known = known
        self.passed, self.calls = collections.Counter(), collections.Counter()

    def name(self, operator):
        """As mlc's table has it, which knows no writes: aten::add_ is aten::add."""
        return next((name for name in (operator, operator.removesuffix("_")) if name in self.known), None)

    def add(self, operators, passed):
        for name in {self.name(operator) for operator in operators} - {None}:
            self.calls[name] += 1
            self.passed[name] += passed


def outputs_of_call(outcome, outcomes):
    """Which outputs of a program are of one of its calls."""
    before = [one for one in outcomes if one["program"] == outcome["program"] and one["place"] < outcome["place"]]
    start = sum(one["outputs"] for one in before)
    return range(start, start + outcome["outputs"])


def count_calls(counts, outcomes, folder):
    made = {}
    for outcome in outcomes:
        program = outcome["program"]
        if outcome["verdict"] not in differ.COUNTED or not program or not (folder / program).exists():
            continue
        if program not in made:
            made[program] = operators_of_outputs(folder / program)
        needs = made[program]
        operators = frozenset().union(*(needs[at] for at in outputs_of_call(outcome, outcomes)))
        counts.add(operators, outcome["verdict"] == differ.PASSED)
    return made


def write_table(results, folder):
    """RESULTS: the outcomes of each operator and dtype, of all modes that ran."""
    counts = Counts({one["name"] for one in listed()})
    programs = set()
    for outcomes in results:
        programs |= count_calls(counts, outcomes or [], folder).keys()
    least, most = {}, {}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for found in pool.map(opsets_of, [folder / one for one in sorted(programs)]):
            for name, opset in found.items():
                least[name] = min(opset, least.get(name, opset))
                most[name] = max(opset, most.get(name, opset))
    rows = [f'{{"{name}", {counts.passed[name]}, {calls}, {least.get(name, 0)}, {most.get(name, 0)}}},\n'
            for name, calls in sorted(counts.calls.items())]
    TABLE.write_text("".join(rows))
