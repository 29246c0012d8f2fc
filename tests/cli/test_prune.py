"""mlc prune beside torch.nn.utils.prune: the same bits."""

import collections
import math
import zipfile

import pytest
import torch
from torch.nn.utils import prune

from checkpoints import assert_same, bytes_of, record, training_checkpoint, write


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(50, 40), torch.nn.ReLU(), torch.nn.Conv2d(8, 12, 3), torch.nn.BatchNorm2d(12), torch.nn.Linear(40, 30))


WEIGHTS = ["0.weight", "2.weight", "4.weight"]


def tied_values(shape, levels=7, seed=0):
    """Weights most of which have the same magnitude as many others, of both signs."""
    return (torch.randint(-levels, levels + 1, shape, generator=seeded(seed)) / 8).float()


def pruned_by_torch(model, method, amount, **options):
    for index in (0, 2, 4):
        method(model[index], "weight", amount=amount, **options)
        prune.remove(model[index], "weight")
    return model.state_dict()


@pytest.fixture
def model(tmp_path):
    return write(tmp_path / "model.pt", network().state_dict())


def weights_of(path):
    return torch.load(path, weights_only=True)


def assert_equal(a, b):
    """The same tensors under the same names; prune.remove() puts a parameter behind the others."""
    assert sorted(a) == sorted(b)
    for name, tensor in a.items():
        assert_same(tensor, b[name])


def report(mlc, *args):
    return mlc.ok("prune", *args, "--json").json


# --- as PyTorch does it


@pytest.mark.parametrize("amount", ["0.3", "0.5", "0.999", "1.0", "0.0", "1", "7", "0", "25%"])
def test_l1_unstructured(mlc, tmp_path, model, amount):
    mlc.ok("prune", model, "-o", "out.pt", "--amount", amount)
    if amount.endswith("%"):
        value = float(amount[:-1]) / 100
    else:
        value = float(amount) if "." in amount else int(amount)
    wanted = pruned_by_torch(network(), prune.l1_unstructured, value)
    assert_equal(wanted, weights_of(tmp_path / "out.pt"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_l1_unstructured_of_other_types(mlc, tmp_path, dtype):
    write(tmp_path / "model.pt", network().to(dtype).state_dict())
    mlc.ok("prune", "model.pt", "-o", "out.pt", "--amount", "0.4")
    wanted = pruned_by_torch(network().to(dtype), prune.l1_unstructured, 0.4)
    assert_equal(wanted, weights_of(tmp_path / "out.pt"))


@pytest.mark.parametrize("amount", [0.1, 0.3, 0.5, 0.97, 3, 100])
@pytest.mark.parametrize("shape", [(40, 50), (300, 40), (8, 3, 5, 5)])
def test_equal_weights_at_the_cut_go_as_torch_takes_them(mlc, tmp_path, shape, amount):
    weight = tied_values(shape)
    write(tmp_path / "model.pt", {"w": weight})
    answer = report(mlc, "model.pt", "-o", "out.pt", "--amount", amount)
    module = torch.nn.Module()
    module.w = torch.nn.Parameter(weight.clone())
    prune.l1_unstructured(module, "w", amount=amount)
    prune.remove(module, "w")
    assert_same(module.w.detach(), weights_of(tmp_path / "out.pt")["w"])
    assert answer["ties_like_torch"]


@pytest.mark.parametrize("amount", [0.2, 0.77, 50])
@pytest.mark.parametrize("make", [lambda s, i: torch.randn(s, generator=seeded(i)), lambda s, i: tied_values(s, seed=i)])
def test_global_unstructured(mlc, tmp_path, amount, make):
    model = network()
    with torch.no_grad():
        for seed, index in enumerate((0, 2, 4)):
            model[index].weight.copy_(make(model[index].weight.shape, seed) * (1 + index))
    write(tmp_path / "model.pt", model.state_dict())
    mlc.ok("prune", "model.pt", "-o", "out.pt", "--amount", amount, "--scope", "global")
    parts = [(model[index], "weight") for index in (0, 2, 4)]
    prune.global_unstructured(parts, pruning_method=prune.L1Unstructured, amount=amount)
    for part in parts:
        prune.remove(*part)
    assert_equal(model.state_dict(), weights_of(tmp_path / "out.pt"))


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("amount", [0.3, 0.5, 4])
def test_ln_structured_of_dimension_0(mlc, tmp_path, model, norm, amount):
    mlc.ok("prune", model, "-o", "out.pt", "--pattern", "rows", "--norm", f"l{norm}", "--amount", amount)
    wanted = pruned_by_torch(network(), prune.ln_structured, amount, n=norm, dim=0)
    assert_equal(wanted, weights_of(tmp_path / "out.pt"))


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("amount", [0.3, 0.61])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_norms_of_rows_are_rounded_to_half_precision(mlc, tmp_path, dtype, amount, norm):
    """Many rows are alike then, and PyTorch cuts between them."""
    weight = torch.randn(512, 256, generator=seeded(5)).to(dtype)
    write(tmp_path / "model.pt", {"w": weight})
    mlc.ok("prune", "model.pt", "-o", "out.pt", "--pattern", "rows", "--norm", f"l{norm}", "--amount", amount)
    module = torch.nn.Module()
    module.w = torch.nn.Parameter(weight.clone())
    prune.ln_structured(module, "w", amount=amount, n=norm, dim=0)
    prune.remove(module, "w")
    assert_same(module.w.detach(), weights_of(tmp_path / "out.pt")["w"])


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("amount", [0.3, 0.5, 20])
@pytest.mark.parametrize("make", [lambda: torch.ones(64, 50), lambda: torch.randn(8, 50, generator=seeded()).repeat(8, 1)])
def test_equal_rows_at_the_cut_went_as_if_the_smallest_were_looked_for(mlc, tmp_path, make, norm, amount):
    """torch.nn.utils.prune takes the largest rows, those that stay."""
    module = torch.nn.Module()
    module.w = torch.nn.Parameter(make())
    write(tmp_path / "model.pt", {"w": make()})
    mlc.ok("prune", "model.pt", "-o", "out.pt", "--pattern", "rows", "--norm", f"l{norm}", "--amount", amount)
    prune.ln_structured(module, "w", amount=amount, n=norm, dim=0)
    prune.remove(module, "w")
    assert_same(module.w.detach(), weights_of(tmp_path / "out.pt")["w"])


def test_many_weights_at_once(mlc, tmp_path):
    weight = torch.randn(1200, 1100, generator=seeded())
    write(tmp_path / "model.pt", {"w": weight})
    for amount in (0.3, 0.8):
        mlc.ok("prune", "model.pt", "-o", "out.pt", "--amount", amount, "--force")
        k = round(amount * weight.numel())
        mask = torch.ones(weight.numel())
        mask[torch.topk(weight.abs().view(-1), k, largest=False).indices] = 0
        assert_same(weight * mask.view_as(weight), weights_of(tmp_path / "out.pt")["w"])


# --- masks


def masked_network():
    model = network()
    for index, amount in ((0, 0.3), (2, 0.5)):
        prune.l1_unstructured(model[index], "weight", amount=amount)
    return model


def test_masks_are_folded(mlc, tmp_path):
    model = masked_network()
    write(tmp_path / "model.pt", model.state_dict())
    answer = report(mlc, "model.pt", "-o", "out.pt", "--apply-masks")
    shown = mlc.ok("prune", "model.pt", "-o", "out.pt", "--apply-masks", "--force").stdout
    assert "pruned   nothing but what the masks say" in shown  # it said: smallest magnitude
    assert {row["name"]: row["zeros_before"] for row in answer["pruned"]} == {"0.weight": 600, "2.weight": 432}
    assert answer["zeros_before"] == answer["zeros_after"] and answer["squares_kept"] == 1
    for index in (0, 2):
        prune.remove(model[index], "weight")
    found = weights_of(tmp_path / "out.pt")
    assert sorted(found) == sorted(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert_same(tensor, found[name])


@pytest.mark.parametrize("amount", [0.2, 0.5, 11])
def test_pruning_again_means_what_the_mask_leaves(mlc, tmp_path, amount):
    model = masked_network()
    write(tmp_path / "model.pt", model.state_dict())
    mlc.ok("prune", "model.pt", "-o", "out.pt", "--amount", amount, "--include", "[02].weight")
    mlc.ok("prune", "model.pt", "-o", "masks.pt", "--amount", amount, "--include", "[02].weight", "--keep-masks")
    for index in (0, 2):
        prune.l1_unstructured(model[index], "weight", amount=amount)
    masks = weights_of(tmp_path / "masks.pt")
    assert sorted(masks) == sorted(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert_same(tensor, masks[name])
    for index in (0, 2):
        prune.remove(model[index], "weight")
    found = weights_of(tmp_path / "out.pt")
    for name, tensor in model.state_dict().items():
        assert_same(tensor, found[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_masks_that_are_written_load_into_pruned_modules(mlc, tmp_path, dtype):
    write(tmp_path / "model.pt", network().to(dtype).state_dict())
    mlc.ok("prune", "model.pt", "-o", "out.pt", "--amount", "0.3", "--keep-masks")
    model = network().to(dtype)
    for index in (0, 2, 4):
        prune.identity(model[index], "weight")
    model.load_state_dict(weights_of(tmp_path / "out.pt"))
    for index in (0, 2, 4):
        prune.remove(model[index], "weight")
    assert_equal(pruned_by_torch(network().to(dtype), prune.l1_unstructured, 0.3), model.state_dict())


@pytest.mark.parametrize("amount", [0.3, 0.5, 7])
@pytest.mark.parametrize("make", [lambda: torch.zeros(10, 10), lambda: tied_values((12, 9), levels=1), lambda: -torch.zeros(4, 4)])
def test_a_mask_took_all_weights_that_were_zero_before(mlc, tmp_path, make, amount):
    write(tmp_path / "model.pt", {"w": make()})
    mlc.ok("prune", "model.pt", "-o", "out.pt", "--amount", amount, "--keep-masks")
    module = torch.nn.Module()
    module.w = torch.nn.Parameter(make())
    prune.l1_unstructured(module, "w", amount=amount)
    assert_same(module.w_mask, weights_of(tmp_path / "out.pt")["w_mask"])


def test_masks_that_are_none(mlc, tmp_path, model):
    result = mlc("prune", model, "-o", "out.pt", "--apply-masks")
    assert result.rc == 1 and "there are no masks" in result.stderr
    write(tmp_path / "odd.pt", {"w_orig": torch.randn(4, 4), "w_mask": torch.ones(4, 5)})
    assert mlc("prune", "odd.pt", "-o", "out.pt", "--apply-masks").rc == 1
    write(tmp_path / "odd.pt", {"w_orig": torch.randn(4, 4), "w_mask": torch.full((4, 4), 0.5)})
    result = mlc("prune", "odd.pt", "-o", "out.pt", "--apply-masks")
    assert result.rc == 3 and "values other than 0 and 1" in result.stderr
    write(tmp_path / "odd.pt", {"w_orig": torch.randn(4, 4), "w": torch.randn(4, 4), "w_mask": torch.ones(4, 4).bool()})
    result = mlc("prune", "odd.pt", "-o", "out.pt", "--apply-masks")
    assert result.rc == 1 and "already" in result.stderr
    assert not (tmp_path / "out.pt").exists()


# --- patterns


@pytest.mark.parametrize("n, m", [(2, 4), (1, 4), (4, 8)])
def test_n_of_m(mlc, tmp_path, n, m):
    state = {"linear": torch.randn(24, 40), "conv": torch.randn(6, 16, 3, 3), "odd": torch.randn(24, 41)}
    write(tmp_path / "model.pt", state)
    answer = report(mlc, "model.pt", "-o", "out.pt", "--pattern", f"{n}:{m}")
    found = weights_of(tmp_path / "out.pt")
    assert {"name": "odd", "reason": "shape"} in answer["kept"] and answer["sparsity"] == 1 - n / m
    assert_same(state["odd"], found["odd"])
    for name in ("linear", "conv"):
        groups = state[name].movedim(1, -1).reshape(-1, m)
        keep = torch.zeros_like(groups).scatter_(1, groups.abs().topk(n, dim=1).indices, 1)
        shape = state[name].movedim(1, -1).shape
        wanted = (groups * keep).reshape(shape).movedim(-1, 1).contiguous()
        assert_same(wanted, found[name])


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_blocks(mlc, tmp_path, norm, scope):
    state = {"a": torch.randn(24, 40), "b": torch.randn(8, 40) * 0.3, "odd": torch.randn(23, 40)}
    write(tmp_path / "model.pt", state)
    answer = report(mlc, "model.pt", "-o", "out.pt", "--pattern", "block:4x2", "--amount", "0.35", "--norm", norm, "--scope", scope)
    assert {"name": "odd", "reason": "shape"} in answer["kept"]
    found = weights_of(tmp_path / "out.pt")

    def blocks(tensor):
        return tensor.reshape(tensor.shape[0] // 4, 4, -1, 2).transpose(1, 2).flatten(0, 1).flatten(1)

    gone = {name: ~blocks(found[name]).any(1) for name in ("a", "b")}
    scores = {name: blocks(state[name]).double().norm(p=int(norm[1]), dim=1) for name in ("a", "b")}
    for name in ("a", "b"):
        kept = blocks(found[name])[~gone[name]]
        assert_same(blocks(state[name])[~gone[name]], kept)
    if scope == "global":
        gone, scores = {"all": torch.cat(list(gone.values()))}, {"all": torch.cat(list(scores.values()))}
    for name in gone:
        assert gone[name].sum() == round(0.35 * len(gone[name]))
        assert scores[name][gone[name]].max() < scores[name][~gone[name]].min()


def test_random_prunes_the_number_that_torch_does_and_repeats(mlc, tmp_path, model):
    first = report(mlc, model, "-o", "a.pt", "--method", "random", "--amount", "0.3")
    for row in first["pruned"]:
        count = torch.Size(row["shape"]).numel()
        assert row["zeros_after"] == round(0.3 * count)
        assert 0.5 < row["squares_kept"] < 0.85
    report(mlc, model, "-o", "b.pt", "--method", "random", "--amount", "0.3", "--seed", "0")
    report(mlc, model, "-o", "c.pt", "--method", "random", "--amount", "0.3", "--seed", "1")
    a, b, c = (weights_of(tmp_path / f"{name}.pt") for name in "abc")
    assert_equal(a, b)
    assert any(bytes_of(a[k]) != bytes_of(c[k]) for k in WEIGHTS)
    gone = a["0.weight"] == 0
    assert 200 < gone[:20].sum() < 400  # of 600: everywhere in the tensor


# --- which tensors, how much


def test_selecting_and_amounts_of_their_own(mlc, tmp_path, model):
    def zeros(*args):
        return {row["name"]: row["zeros_after"] for row in report(mlc, model, "-n", *args)["pruned"]}

    assert zeros("--amount", "0.5", "--exclude", "2.*") == {"0.weight": 1000, "4.weight": 600}
    assert zeros("--amount", "0.5", "--include", "4.*") == {"4.weight": 600}
    assert zeros("--amount", "0.5", "--tensor", "^0.w=10", "--tensor", "^2.w=0.0") == {
        "0.weight": 10, "2.weight": 0, "4.weight": 600}
    assert zeros("--tensor", "^0.w=10%") == {"0.weight": 200}
    assert zeros("--tensor", r"^3\.weight=3") == {"3.weight": 3}  # one dimension, but asked for by name
    kept = {row["name"]: row["reason"] for row in report(mlc, model, "-n", "--amount", "0.1")["kept"]}
    assert kept["0.bias"] == "one_dimension" and kept["3.num_batches_tracked"] == "not_floating"
    result = mlc("prune", model, "-n", "--amount", "0.1", "--exclude", "nope*")
    assert result.rc == 2 and 'matched nothing: --exclude "nope*"' in result.stderr
    # In a global choice a tensor with its own amount is chosen from alone.
    answer = report(mlc, model, "-n", "--amount", "0.5", "--scope", "global", "--tensor", "^0.w=0.1")
    rows = {row["name"]: row["zeros_after"] for row in answer["pruned"]}
    assert rows["0.weight"] == 200 and rows["2.weight"] + rows["4.weight"] == (12 * 8 * 9 + 1200) // 2


@pytest.mark.parametrize("args, message", [
    (["--amount", "1.5"], "not an amount"), (["--amount", "-3"], "not an amount"), (["--amount", "120%"], "not an amount"),
    (["--amount", "some"], "not an amount"), ([], "nothing says how much"), (["--amount", "5000"], "more than the"),
    (["--pattern", "4:2"], "no such pattern"), (["--pattern", "2:4", "--amount", "0.5"], "is an amount already"),
    (["--pattern", "block:0x1", "--amount", "0.5"], "no such pattern"), (["--tensor", "a"], "not REGEX=AMOUNT"),
    (["--amount", "0.5", "--norm", "l2"], "all norms agree"), (["--amount", "0.5", "--seed", "1"], "--method random"),
    (["--apply-masks", "--amount", "0.1"], "folds and does not prune"),
    (["--amount", "0.5", "-o", "x.safetensors", "--compress", "deflate"], "nothing deflated"),
])
def test_wrong_command_lines(mlc, tmp_path, model, args, message):
    output = [] if "-o" in args else ["-o", "out.pt"]
    result = mlc("prune", model, *output, *args)
    assert result.rc == 2 and message in result.stderr
    assert not (tmp_path / "out.pt").exists() and not (tmp_path / "x.safetensors").exists()


# --- the file


@pytest.mark.parametrize("share, most", [("0.8", 0.30), ("0.9", 0.20)])
def test_pruned_files_are_small_and_load_everywhere(mlc, tmp_path, share, most):
    state = {f"{i}.weight": torch.randn(400, 500, generator=seeded(i)) * 0.02 for i in range(4)}
    path = write(tmp_path / "model.pt", state)
    answer = report(mlc, path, "-o", "out.pt", "--amount", share)
    out = tmp_path / "out.pt"
    assert answer["deflated"] == 4 and answer["file_bytes"] == out.stat().st_size < most * path.stat().st_size
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
    for name, tensor in state.items():
        k = round(float(share) * tensor.numel())
        mask = torch.ones(tensor.numel())
        mask[torch.topk(tensor.abs().view(-1), k, largest=False).indices] = 0
        wanted = tensor * mask.view_as(tensor)
        assert_same(wanted, torch.load(out, weights_only=True)[name])
        assert_same(wanted, torch.load(out, weights_only=False)[name])
    mlc.ok("save", "out.pt", "-o", "plain.safetensors")
    assert mlc("diff", "out.pt", "plain.safetensors").rc == 0
    mlc.ok("prune", path, "-o", "positive.pt", "--amount", share, "--positive-zeros")
    positive = weights_of(tmp_path / "positive.pt")
    assert all(torch.equal(positive[name], weights_of(out)[name]) for name in state)
    assert not any(torch.signbit(t[t == 0]).any() for t in positive.values())
    assert (tmp_path / "positive.pt").stat().st_size < out.stat().st_size


def test_compress(mlc, tmp_path):
    path = write(tmp_path / "model.pt", {"a": torch.randn(300, 300), "b": torch.randn(300, 300), "c": torch.randn(300)})

    def deflated(*args):
        return report(mlc, path, "-o", "out.pt", "--force", *args)["deflated"]

    assert deflated("--amount", "0.3") == 0
    assert deflated("--amount", "0.6") == 2
    assert deflated("--amount", "0.3", "--tensor", "^b=0.7") == 1
    assert deflated("--amount", "0.3", "--compress", "deflate") == 2
    assert deflated("--amount", "0.9", "--compress", "none") == 0
    assert torch.load(tmp_path / "out.pt", mmap=True, weights_only=True)["a"].shape == (300, 300)
    assert report(mlc, path, "-o", "out.safetensors", "--amount", "0.9")["deflated"] == 0
    # The order of records does not depend on threads.
    for threads in (1, 4):
        (tmp_path / str(threads)).mkdir()
        mlc.ok("prune", path, "-o", f"{threads}/out.pt", "--amount", "0.6", "--threads", threads)
    assert (tmp_path / "1/out.pt").read_bytes() == (tmp_path / "4/out.pt").read_bytes()


def test_report_and_dry_run(mlc, tmp_path, model):
    plan = report(mlc, model, "-n", "--amount", "0.3")
    done = report(mlc, model, "-o", "out.pt", "--amount", "0.3")
    for key in ("weights", "zeros_before", "zeros_after", "squares_kept", "pruned", "kept"):
        assert plan[key] == done[key]
    found = weights_of(tmp_path / "out.pt")
    original = network().state_dict()
    for row in done["pruned"]:
        before, after = original[row["name"]].double(), found[row["name"]].double()
        assert row["zeros_after"] == (after == 0).sum() and row["zeros_before"] == (before == 0).sum()
        assert row["squares_kept"] == pytest.approx((after.square().sum() / before.square().sum()).item(), rel=1e-9)
    text = mlc.ok("prune", model, "-o", "out.pt", "--amount", "0.3", "--force").stdout
    assert "zeros do not run faster" in text and "30 %, smallest magnitude, of each tensor" in text


def test_gaussian_weights_keep_what_theory_says(mlc, tmp_path):
    write(tmp_path / "model.pt", {"w": torch.randn(1000, 1000, generator=seeded())})
    for amount, kept in ((0.5, 0.929), (0.8, 0.650), (0.9, 0.439)):
        answer = report(mlc, "model.pt", "-n", "--amount", amount)
        assert answer["squares_kept"] == pytest.approx(kept, abs=0.004)
    answer = report(mlc, "model.pt", "-n", "--pattern", "2:4")
    assert -10 * math.log10(1 - answer["squares_kept"]) == pytest.approx(8.8, abs=0.1)


def test_checkpoints_around_the_weights(mlc, tmp_path):
    state = network().state_dict()
    write(tmp_path / "train.pt", {**training_checkpoint(), "model": state})
    mlc.ok("prune", "train.pt", "--key", "model", "-o", "out.pt", "--amount", "0.5")
    found = torch.load(tmp_path / "out.pt", weights_only=False)
    assert set(found) == set(training_checkpoint()) | {"model"}
    assert (found["model"]["0.weight"] == 0).sum() == 1000
    mlc.ok("prune", "train.pt", "--key", "model", "-o", "w.pt", "--amount", "0.5", "--weights-only")
    assert list(weights_of(tmp_path / "w.pt")) == list(state)
    mlc.ok("save", "w.pt", "-o", "named.pt", "--set", "name=digits")
    mlc.ok("prune", "named.pt", "-o", "p.pt", "--amount", "0.9")
    assert b"verb: prune" in record(tmp_path / "p.pt", "mlc/metadata.yaml")


def test_tied_views_and_odd_weights(mlc, tmp_path):
    base = torch.randn(60, 70)
    weight = torch.randn(30, 30)
    odd = torch.randn(30, 30)
    odd[0, 0], odd[0, 1], odd[3] = math.nan, -math.inf, 0
    state = collections.OrderedDict(
        turned=base.t(), part=base[10:, 5:40], tied=weight, twin=weight, odd=odd, empty=torch.empty(0, 3))
    write(tmp_path / "model.pt", state)
    result = mlc.ok("prune", "model.pt", "-o", "out.pt", "--amount", "0.5")
    assert "some weights are infinite or NaN, which count as the largest: odd" in result.stderr
    found = weights_of(tmp_path / "out.pt")
    assert found["tied"].data_ptr() == found["twin"].data_ptr()
    for name in ("turned", "part", "tied"):
        weights = state[name].contiguous()
        mask = torch.ones(weights.numel())
        mask[torch.topk(weights.abs().view(-1), round(0.5 * weights.numel()), largest=False).indices] = 0
        assert_same(weights * mask.view_as(weights), found[name].contiguous(), views=False)
    assert math.isnan(found["odd"][0, 0]) and found["odd"][0, 1] == -math.inf and (found["odd"] == 0).sum() == 450


def test_blocks_with_nan_kept_more_than_two_of_four(mlc, tmp_path):
    weights = torch.randn(8, 8)
    nan = float("nan")
    weights[0, 0], weights[1, :3], weights[2, 1:3], weights[3, 4], weights[4, :4] = nan, nan, nan, float("inf"), nan
    torch.save({"w": weights}, tmp_path / "m.pt")
    mlc.ok("prune", "m.pt", "-o", "p.pt", "--pattern", "2:4")
    kept = torch.load(tmp_path / "p.pt")["w"].reshape(-1, 4) != 0
    assert (kept.sum(1) == 2).all()
    # NaN and infinities are the largest.
    odd = ~weights.reshape(-1, 4).isfinite()
    assert (kept & odd).sum(1).equal(odd.sum(1).clamp(max=2))


def test_quantised_and_damaged_input_is_refused(mlc, tmp_path):
    path = write(tmp_path / "model.pt", {"w": torch.randn(80, 80)})
    mlc.ok("quantize", path, "-o", "q.pt")
    result = mlc("prune", "q.pt", "-o", "out.pt", "--amount", "0.5")
    assert result.rc == 1 and "prune first, then quantise" in result.stderr
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = mlc("prune", path, "-o", "out.pt", "--amount", "0.5")
    assert result.rc == 3 and not (tmp_path / "out.pt").exists()


def test_prune_then_quantise(mlc, tmp_path):
    weight = torch.randn(200, 200)
    write(tmp_path / "model.pt", {"w": weight})
    mlc.ok("prune", "model.pt", "-o", "p.pt", "--amount", "0.8")
    for scheme in ("int8", "int4"):
        mlc.ok("quantize", "p.pt", "-o", "q.pt", "--scheme", scheme, "--force")
        mlc.ok("dequantize", "q.pt", "-o", "b.pt", "--force")
        zeros = weights_of(tmp_path / "p.pt")["w"] == 0
        assert not weights_of(tmp_path / "b.pt")["w"][zeros].any()


def test_batches(mlc, tmp_path, model):
    write(tmp_path / "b.pt", network().state_dict())
    result = mlc("prune", model, "b.pt", "--out-dir", "out", "--amount", "0.5", "-j", "2", "--json")
    assert result.rc == 0 and len(result.json["results"]) == 2
    mlc.ok("prune", "b.pt", "--in-place", "--amount", "0.5")
    assert (weights_of(tmp_path / "b.pt")["0.weight"] == 0).sum() == 1000


def test_gates_write_nothing_where_a_tensor_lost_too_much(mlc, tmp_path, model):
    """By the definitions: the cosine of the worst tensor with itself, and its SQNR."""
    state = torch.load(model, weights_only=True)
    mlc.ok("prune", model, "-o", "p.pt", "--amount", "0.5")
    left = weights_of(tmp_path / "p.pt")
    cosine = min(torch.cosine_similarity(state[n].flatten().double(), left[n].flatten().double(), 0).item() for n in WEIGHTS)
    db = min(10 * math.log10(state[n].double().square().sum() / (state[n] - left[n]).double().square().sum()) for n in WEIGHTS)
    for option, least, step in (("--min-cosine", cosine, 1e-4), ("--min-sqnr", db, 0.01)):
        mlc.ok("prune", model, "-o", "q.pt", "--amount", "0.5", option, str(least - step), "-f")
        (tmp_path / "q.pt").unlink()
        for more in ((), ("-n",)):
            result = mlc("prune", model, "-o", "q.pt", "--amount", "0.5", option, str(least + step), *more)
            assert result.rc == 1 and f"below {option} {least + step}; " in result.stderr and "tensor" in result.stderr
            assert not (tmp_path / "q.pt").exists()
    assert mlc("prune", model, "-n", "--amount", "0.5", "--min-cosine", "much").rc == 2


def test_a_file_with_nothing_to_prune_was_pruned_without_a_word(mlc, tmp_path):
    torch.save({"norm": torch.randn(8), "ids": torch.arange(4).reshape(2, 2)}, tmp_path / "m.pt")
    for args in (["--amount", "0.5"], ["--pattern", "2:4"]):
        assert "no tensor is pruned: 1 no floating-point numbers and 1 of one dimension" in mlc.ok("prune", "m.pt", "-o", "p.pt", "-f", *args).stderr


def test_an_optimizer_that_fits_was_said_not_to(mlc, tmp_path):
    torch.manual_seed(0)
    net = torch.nn.Linear(8, 8)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 8)).sum().backward()
    optimizer.step()
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "train.pt")
    said = mlc.ok("prune", "train.pt", "-o", "p.pt", "--amount", "0.5").stderr
    assert "the optimizer state at optimizer is kept and fits, but a step with it makes zeros other numbers again" in said
    assert "no longer fits" in mlc.ok("prune", "train.pt", "-o", "p.pt", "-f", "--amount", "0.5", "--keep-masks").stderr
    assert "optimizer" not in mlc.ok("prune", "train.pt", "-o", "p.pt", "-f", "--amount", "0.5", "--weights-only").stderr.replace("train.pt", "")
