"""mlc save --from: what is taken, what is not, and what changes without being named."""

import pytest
import safetensors.torch
import torch

from checkpoints import assert_same, ordered, write


def tied(form):
    shared = torch.zeros(2)
    return {"a": shared, "b": shared if form == "one object" else shared.detach(), "c": torch.zeros(1)}


@pytest.fixture(params=["one object", "one storage"])
def target(request, tmp_path):
    return write(tmp_path / "tied.pt", tied(request.param))


def saved(mlc, valid, target, other):
    write(target.parent / "pre.pt", other)
    result = mlc.ok("save", target, "--from", "pre.pt", "-o", "out.pt", "--json")
    valid(result.json, "save")
    return result.stderr, result.json["from"], torch.load(target.parent / "out.pt")


def assert_tied(state):
    assert state["a"].data_ptr() == state["b"].data_ptr()


def test_a_tensor_changed_through_a_tie_was_reported_as_kept(mlc, valid, target):
    text, report, state = saved(mlc, valid, target, {"a": torch.ones(2)})
    assert (report["taken"], report["missing"], report["tied"], report["lost"]) == (1, ["c"], ["b is a"], [])
    assert "changed too, being tied to what was taken from pre.pt: b is a" in text
    assert_same({"a": torch.ones(2), "b": torch.ones(2), "c": torch.zeros(1)}, state, views=False)
    assert_tied(state)


def test_a_value_that_lost_to_its_tie_was_reported_as_taken(mlc, valid, target):
    values = {"a": torch.ones(2), "b": torch.full((2,), 2.0)}
    text, report, state = saved(mlc, valid, target, values)
    assert (report["taken"], report["tied"], report["lost"]) == (1, [], ["a is b"])
    assert "not taken from pre.pt, being tied to a tensor of another value there: a is b" in text
    assert_tied(state)
    module = torch.nn.ParameterDict({"a": torch.zeros(2)})
    module["b"] = module["a"]
    module.load_state_dict(values)
    assert torch.equal(state["a"], module["a"])  # torch.nn.Module: the last one counts too


def test_equal_values_of_tied_tensors_are_both_taken(mlc, valid, target):
    _, report, state = saved(mlc, valid, target, {"a": torch.ones(2), "b": torch.ones(2), "c": torch.ones(1)})
    assert (report["taken"], report["tied"], report["lost"], report["missing"]) == (3, [], [], [])
    assert_tied(state)


def test_a_type_that_cannot_be_converted_is_one_of_the_mismatches(mlc, valid, tmp_path):
    target = write(tmp_path / "a.pt", {"w": torch.zeros(2), "c": torch.zeros(2), "i": torch.zeros(2, dtype=torch.int64),
                                       "s": torch.zeros(2, 2), "f": torch.zeros(2)})
    text, report, state = saved(mlc, valid, target, {
        "w": torch.ones(2), "c": torch.ones(2, dtype=torch.complex64), "i": torch.ones(2),
        "s": torch.eye(2).to_sparse(), "f": torch.tensor([3, 4])})
    assert report["mismatched"] == ["c complex64 instead of float32", "i float32 instead of int64",
                                    "s sparse_coo instead of dense"]
    assert "kept as they were, of another shape or type in pre.pt: c complex64" in text and report["taken"] == 2
    assert_same({"w": torch.ones(2), "c": torch.zeros(2), "i": torch.zeros(2, dtype=torch.int64),
                 "s": torch.zeros(2, 2), "f": torch.tensor([3.0, 4.0])}, state)


def test_nothing_of_a_fitting_type_names_the_types(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.zeros(2)})
    write(tmp_path / "b.pt", {"w": torch.zeros(2, dtype=torch.complex64)})
    result = mlc("save", "a.pt", "--from", "b.pt", "-o", "c.pt")
    assert result.rc != 0 and "w complex64 instead of float32" in result.stderr
    assert not (tmp_path / "c.pt").exists()


def loaded(path):
    return safetensors.torch.load_file(path) if str(path).endswith(".safetensors") else torch.load(path, weights_only=False)


@pytest.fixture
def pair(tmp_path):
    torch.save({"w": torch.zeros(3), "o": torch.zeros(2)}, tmp_path / "a.pt")
    torch.save({"w": torch.full((3,), 5.0), "o": torch.full((2,), 5.0)}, tmp_path / "b.pt")
    return tmp_path


@pytest.mark.parametrize("out", ["x.safetensors", "x.pt"])
@pytest.mark.parametrize("options", [(), ("--dtype", "bf16")])
def test_values_of_a_pickle_were_taken_in_the_report_only(out, options, mlc, pair):
    """Wherever tensors are asked for by number (other formats, casts) the old ones were written."""
    mlc.ok("save", "a.pt", "--from", "b.pt", "-o", out, *options)
    found = loaded(pair / out)
    assert found["w"].tolist() == [5, 5, 5] and found["o"].tolist() == [5, 5]
    assert found["w"].dtype == (torch.bfloat16 if options else torch.float32)


def test_a_safetensors_file_lost_what_it_took_from_a_pickle(mlc, pair):
    mlc.ok("save", "a.pt", "-o", "a.safetensors")
    mlc.ok("save", "a.safetensors", "--from", "b.pt", "--in-place")
    assert loaded(pair / "a.safetensors")["w"].tolist() == [5, 5, 5]
    mlc.ok("save", "a.pt", "-o", "s", "--from", "b.pt", "--max-shard-size", "10B")
    mlc.ok("save", "s", "-o", "whole.pt")
    assert loaded(pair / "whole.pt")["o"].tolist() == [5, 5]


def test_a_tensor_with_attributes_that_was_taken_into_could_not_be_loaded(mlc, tmp_path):
    tensor = torch.ones(3)
    tensor.tag = "x"
    torch.save({"t": tensor, "p": torch.nn.Parameter(torch.ones(2))}, tmp_path / "t.pt")
    torch.save({"t": torch.full((3,), 9.0), "p": torch.full((2,), 9.0)}, tmp_path / "f.pt")
    mlc.ok("save", "t.pt", "--from", "f.pt", "-o", "o.pt")
    found = loaded(tmp_path / "o.pt")
    assert found["t"].tolist() == [9, 9, 9] and found["t"].tag == "x"
    assert isinstance(found["p"], torch.nn.Parameter) and found["p"].tolist() == [9, 9] and found["p"].requires_grad


def test_tensors_of_another_state_dict_that_change_too_are_named(mlc, tmp_path):
    shared = torch.nn.Parameter(torch.zeros(3))
    torch.save({"model": {"w": shared, "b": torch.zeros(2)}, "best": {"w": shared}}, tmp_path / "c.pt")
    torch.save({"w": torch.full((3,), 9.0)}, tmp_path / "f.pt")
    done = mlc("save", "c.pt", "--from", "f.pt", "--key", "best", "-o", "o.pt")
    assert "changed too, being tensors of best: model.w" in done.stderr
    assert loaded(tmp_path / "o.pt")["model"]["w"].tolist() == [9, 9, 9]


def test_the_device_of_the_other_file_was_taken_too(mlc, pair):
    mlc.ok("save", "b.pt", "-o", "cuda.pt", "--map-location", "cuda:0")
    mlc.ok("save", "a.pt", "--from", "cuda.pt", "-o", "o.pt")
    assert torch.load(pair / "o.pt")["w"].tolist() == [5, 5, 5]


def test_tensors_of_both_were_said_to_be_kept_as_they_were(mlc, tmp_path):
    weight = torch.randn(4, 4)
    torch.save({"state_dict": {"w": weight}, "sub": {"x": weight, "half": weight[1:]}, "epoch": 3}, tmp_path / "a.pt")
    torch.save({"w": torch.ones(4, 4)}, tmp_path / "f.pt")
    for args, says in (("--dtype fp16", "--dtype holds for these too, whose tensors are those of state_dict: sub.x\n"),
                       ("--from f.pt", "changed too, being tensors of state_dict: sub.x\n")):
        done = mlc.ok("save", "a.pt", "--key", "state_dict", *args.split(), "-o", "o.pt", "-f")
        assert says in done.stderr and "kept as they were, beside state_dict: epoch and sub.half;" in done.stderr
        made = torch.load(tmp_path / "o.pt", weights_only=True)
        assert torch.equal(made["sub"]["x"], made["state_dict"]["w"]) and torch.equal(made["sub"]["half"], weight[1:])


def test_casts_are_counted_by_type(mlc, valid, tmp_path):
    """Weights of float32 were rounded to a base of bfloat16 without a word."""
    half = torch.ones(2, dtype=torch.bfloat16)
    write(tmp_path / "a.pt", ordered(a=half, b=half + 1, c=torch.ones(1), d=torch.ones(1)))
    write(tmp_path / "b.pt", ordered(a=torch.ones(2), b=torch.ones(2), c=torch.ones(1, dtype=torch.int64), d=torch.zeros(1)))
    done = mlc.ok("save", "a.pt", "--from", "b.pt", "-o", "c.pt")
    assert ", 4 taken from b.pt, 1 of them cast from int64 to float32 and 2 from float32 to bfloat16\n" in done.stderr
    report = mlc.ok("save", "a.pt", "--from", "b.pt", "-o", "d.pt", "--json").json
    valid(report, "save")
    assert report["from"]["casts"] == [{"from": "int64", "to": "float32", "tensors": 1}, {"from": "float32", "to": "bfloat16", "tensors": 2}]
    assert mlc.ok("save", "a.pt", "--from", "a.pt", "-o", "e.pt").stderr.endswith(", 4 taken from a.pt\n")
    assert mlc.ok("save", "a.pt", "--from", "a.pt", "-o", "f.pt", "--json").json["from"]["casts"] == []


def test_values_were_rounded_to_the_type_that_goes_first(mlc, tmp_path):
    torch.save({"h": torch.zeros(2).half()}, tmp_path / "base.pt")
    values = torch.tensor([1e6, 1 + 2**-12])
    torch.save({"h": values}, tmp_path / "source.pt")
    done = mlc.ok("save", "base.pt", "--from", "source.pt", "--dtype", "fp32", "-o", "o.pt")
    assert "infinite" not in done.stderr
    assert torch.equal(torch.load(tmp_path / "o.pt")["h"], values)
