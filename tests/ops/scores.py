"""What was reached: scores.json, which may only rise, and known.yaml, which says why something fails."""

import dataclasses
import functools
import json
import pathlib
import re

import yaml

import differ

HERE = pathlib.Path(__file__).resolve().parent
SCORES, KNOWN = HERE / "scores.json", HERE / "known.yaml"


@dataclasses.dataclass
class Score:
    """Of one operator and dtype: how many calls passed, of those that PyTorch can write and mlc knows."""

    passed: int
    total: int
    failing: list  # the numbers of calls that failed
    left_out: list  # and of those that PyTorch cannot write, or with an operator that mlc does not know

    @classmethod
    def of(cls, outcomes):
        counted = [one for one in outcomes if one["verdict"] in differ.COUNTED]
        failing = [one["index"] for one in counted if one["verdict"] != differ.PASSED]
        left_out = [one["index"] for one in outcomes if one["verdict"] not in differ.COUNTED]
        return cls(len(counted) - len(failing), len(counted), failing, left_out)


@functools.cache
def scores(part):
    """{(operator, dtype): Score} of PART, "raw-subset"; and the versions that they were reached with."""
    if not SCORES.exists():
        return {}, {}
    read = json.loads(SCORES.read_text())
    found = {}
    for name, row in read.get(part, {}).items():
        operator, dtype = name.rsplit("/", 1)
        found[operator, dtype] = Score(*row)
    return found, read["versions"]


def write_scores(part, results, versions):
    """RESULTS: {"operator/dtype": outcomes}. One line for each, so that changes can be read."""
    read = json.loads(SCORES.read_text()) if SCORES.exists() else {}
    rows = {}
    for name, outcomes in sorted(results.items()):
        score = Score.of(outcomes)
        if score.total:
            rows[name] = [score.passed, score.total, score.failing, score.left_out]
    read[part], read["versions"] = rows, versions
    out = ["{", f'"versions": {json.dumps(versions)}']
    for name in sorted(key for key in read if key != "versions"):
        out[-1] += ","
        out.append(f'"{name}": {{')
        out.append(",\n".join(f"{json.dumps(key)}: {json.dumps(row)}" for key, row in read[name].items()))
        out.append("}")
    SCORES.write_text("\n".join(out) + "\n}\n")


@dataclasses.dataclass
class Known:
    operator: str
    why: str
    says: str = ".*"  # what the reason of the failure has in it
    call: str = ".*"  # what the text of the call has in it
    dtype: str = ".*"

    def matches(self, operator, dtype, outcome):
        return bool(re.fullmatch(self.operator, operator) and re.fullmatch(self.dtype, dtype) and
                    re.search(self.says, outcome["reason"]) and re.search(self.call, outcome["text"]))


@functools.cache
def known():
    return [Known(**row) for row in yaml.safe_load(KNOWN.read_text())]


def unexplained(operator, dtype, outcomes):
    """The failing calls that known.yaml has no reason for."""
    return [one for one in outcomes if one["verdict"] in differ.COUNTED and one["verdict"] != differ.PASSED and
            not any(row.matches(operator, dtype, one) for row in known())]
