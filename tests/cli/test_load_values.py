"""`values` and `totals` of mlc load --json: what scripts ask of a checkpoint."""
import math

import torch

from checkpoints import write


def test_how_many_values_are_not_finite_was_only_in_the_text(mlc, valid, tmp_path):
    bad = torch.tensor([math.nan, math.inf, -math.inf, 0.0])
    write(tmp_path / "a.pt", {"a": bad, "b": bad[:1].clone(), "c": torch.ones(2), "s": bad.to_sparse()})
    for options in ([], ["--summary"]):
        report = mlc.ok("load", "a.pt", "--stats", "--json", *options).json
        valid(report, "load")
        totals = report["totals"]
        assert [totals[name] for name in ("nans", "infs", "non_finite_tensors", "not_examined")] == [2, 2, 2, 1]
    assert "nans" not in mlc.ok("load", "a.pt", "--json").json["totals"]
