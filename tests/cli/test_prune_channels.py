"""`mlc prune --method channels`: what is left of an ONNX model computes what the model does when nobody reads what went."""

import json
import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import onnx_models
from test_quantize_onnx import initializers, node, operators, value, weight

pytestmark = pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine")


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 24, 3, padding=1), nn.Conv2d(24, 16, 3, padding=1)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        return self.head(F.relu(self.b(F.relu(self.a(x))) + x).mean([2, 3]))


class Flat(nn.Module):
    """A channel is a block of columns of the linear layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc1, self.fc2 = nn.Conv2d(1, 8, 3), nn.Linear(8 * 9, 20), nn.Linear(20, 5)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(torch.flatten(F.max_pool2d(F.relu(self.conv(x)), 2), 1))))


class Grouped(nn.Module):
    """Many small groups, two large ones, a depthwise convolution."""

    def __init__(self):
        super().__init__()
        self.a, self.g, self.d = nn.Conv2d(3, 32, 1), nn.Conv2d(32, 64, 3, groups=16), nn.Conv2d(64, 128, 3, groups=64)
        self.t, self.h, self.fc = nn.Conv2d(128, 32, 1), nn.Conv2d(32, 48, 1, groups=2), nn.Linear(48, 4)

    def forward(self, x):
        x = self.t(F.relu(self.d(F.relu(self.g(F.relu(self.a(x)))))))
        return self.fc(F.relu(self.h(F.relu(x))).mean([2, 3]))


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(12 + 6 * i, 6, 3, padding=1) for i in range(3))
        self.norm, self.fc = nn.BatchNorm2d(30), nn.Linear(30 * 16, 7)

    def forward(self, x):
        x = self.stem(x)
        for layer in self.layers:
            x = torch.cat([x, layer(F.relu(x))], 1)
        return self.fc(F.max_pool2d(self.norm(x), 2).flatten(1))


class Excited(nn.Module):
    """Gates of channels, norms of groups, pixels made of channels, transposed convolution, PReLU."""

    def __init__(self):
        super().__init__()
        self.a, self.p, self.q = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 8, 1), nn.Conv2d(8, 32, 1)
        self.norm, self.b, self.pixels, self.c = nn.GroupNorm(8, 32), nn.Conv2d(32, 32, 3), nn.PixelShuffle(2), nn.Conv2d(8, 8, 3)
        self.slope, self.t, self.fc = nn.PReLU(8), nn.ConvTranspose2d(8, 12, 2, stride=2), nn.Linear(12, 5)

    def forward(self, x):
        x = F.silu(self.a(x))
        x = self.norm(x * torch.sigmoid(self.q(F.silu(self.p(F.adaptive_avg_pool2d(x, 1))))))
        return self.fc(self.t(self.slope(self.c(self.pixels(F.relu(self.b(x)))))).mean([2, 3]))


class Gated(nn.Module):
    """Halves of one product that are multiplied, and two products that are."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(16, 48), nn.Linear(24, 16), nn.LayerNorm(16)
        self.gate, self.up, self.down = nn.Linear(16, 40), nn.Linear(16, 40), nn.Linear(40, 5)

    def forward(self, x):
        x = self.norm(x + self.b(F.glu(self.a(x))))
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Attention(nn.Module):
    def __init__(self, fused, dim=32, heads=8):
        super().__init__()
        self.fused, self.heads, self.qkv = fused, heads, nn.Linear(dim, 3 * dim)
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm, self.up, self.down = nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        b, t, c = x.shape
        h = self.norm(x)
        if self.fused:
            q, k, v = self.qkv(h).reshape(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            q, k, v = (f(h).view(b, t, self.heads, c // self.heads).transpose(1, 2) for f in (self.q, self.k, self.v))
        a = torch.softmax(q @ k.transpose(-1, -2) / 2, -1) @ v
        x = x + self.o(a.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm(x))))


class Halves(nn.Module):
    """What a split takes apart has sizes of its own afterwards."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.fc = nn.Conv2d(3, 24, 1), nn.Conv2d(8, 10, 3), nn.Conv2d(16, 10, 3), nn.Linear(10, 3)

    def forward(self, x):
        p, q = torch.split(self.a(x), [8, 16], 1)
        return self.fc((self.b(F.relu(p)) + self.c(q)).mean([2, 3]))


class Sliced(nn.Module):
    """Parts counted from the front and from the end."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.fc = nn.Conv2d(3, 24, 1), nn.Conv2d(8, 10, 3), nn.Conv2d(16, 10, 3), nn.Linear(10, 3)

    def forward(self, x):
        x = self.a(x)
        return self.fc((self.b(F.relu(x[:, :8])) + self.c(x[:, -16:])).mean([2, 3]))


IMAGE, ROWS = (2, 3, 8, 8), (2, 5, 16)
# Module, sizes of its input, axes that vary, groups that can lose channels.
MODELS = {
    "residual": (Residual, IMAGE, {0: "n"}, 2),
    "flat": (Flat, (2, 1, 8, 8), {0: "n"}, 2),
    "grouped": (Grouped, IMAGE, {0: "n"}, 3),
    "dense": (Dense, IMAGE, {}, 4),
    "excited": (Excited, IMAGE, {}, 5),
    "gated": (Gated, ROWS, {0: "n", 1: "t"}, 2),
    "attention": (lambda: Attention(False), (2, 5, 32), {}, 2),
    "attention, sizes vary": (lambda: Attention(False), (2, 5, 32), {0: "n", 1: "t"}, 2),
    "fused attention": (lambda: Attention(True), (2, 5, 32), {}, 2),
    "fused attention, sizes vary": (lambda: Attention(True), (2, 5, 32), {0: "n", 1: "t"}, 2),
    "slices": (Sliced, IMAGE, {0: "n"}, 2),
    "halves": (Halves, IMAGE, {0: "n"}, 2),
}


def export(name, path):
    torch.manual_seed(3)
    make, sizes, axes, _ = MODELS[name]
    module = make().eval()
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.running_mean.normal_(), each.running_var.uniform_(0.5, 1.5), nn.init.uniform_(each.weight, 0.5, 1.5)
    onnx_models.export(module, (torch.randn(sizes),), path, input_names=["x"], output_names=["y"], dynamic_axes={"x": axes, "y": axes} if axes else None)
    return module, path


def run(model, feed):
    data = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, feed)[0]


def prune(mlc, *args, source="in.onnx", code=0):
    done = mlc("prune", source, "-o", "out.onnx", "-f", "--method", "channels", *args)
    assert code is None or done.rc == code, done.stderr
    if code == 0:
        onnx.checker.check_model(mlc.cwd / "out.onnx", full_check=True)
    return done


def groups(mlc, *args, source="in.onnx"):
    done = mlc("prune", source, "--method", "channels", "--list-groups", "--json", *args)
    assert done.rc == 0, done.stderr
    return json.loads(done.stdout)["groups"]


def kept(before, after, axis):
    """Which indices of BEFORE are left in AFTER, by the values that are there once."""
    values, first, counts = np.unique(before.ravel(), return_index=True, return_counts=True)
    where = dict(zip(values[counts == 1].tolist(), first[counts == 1].tolist()))
    flat = [where[v] for v in after.ravel().tolist() if v in where]
    out = sorted(set(np.unravel_index(flat, before.shape)[axis].tolist()))
    assert len(out) == after.shape[axis]
    return out


# The axis of input 1 along which an operator reads.
READ = {"Conv": 1, "ConvTranspose": 0, "MatMul": 0, "Gemm": 1}


def unread(before, after):
    """BEFORE with zeros in all weights where AFTER reads nothing any more."""
    proto = onnx.load(before)
    old, new = initializers(before), initializers(after)
    zeroed = 0
    for each in proto.graph.node:
        if each.op_type not in READ or each.input[1] not in old or old[each.input[1]].shape == new[each.input[1]].shape:
            continue
        name, axis = each.input[1], READ[each.op_type]
        array = old[name].copy()
        gone = set(range(array.shape[axis])) - set(kept(array, new[name], axis))
        group = next((a.i for a in each.attribute if a.name == "group"), 1)
        if gone and (group == 1 or array.shape[axis] > 1):
            array[tuple([slice(None)] * axis + [sorted(gone)])] = 0
            zeroed += len(gone)
        for tensor in proto.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(array, name))
    assert zeroed > 0
    return proto


@pytest.mark.parametrize("name", MODELS)
def test_what_is_left_computes_what_it_did(name, mlc):
    """Beside the model whose weights are set to zero here, where the result has none: sizes that do not fit, or other channels
    in one weight than in another, would show."""
    export(name, mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.5")
    feed = {"x": np.random.default_rng(1).standard_normal(MODELS[name][1], np.float32)}
    given = run(mlc.cwd / "out.onnx", feed)
    expected = run(unread(mlc.cwd / "in.onnx", mlc.cwd / "out.onnx"), feed)
    whole = run(mlc.cwd / "in.onnx", feed)
    assert given.shape == whole.shape
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(whole, expected, rtol=1e-3, atol=1e-4), "nothing was lost: the test cannot tell"
    lost = [one for one in groups(mlc) if one["can_go"] > 0]
    assert len(lost) == MODELS[name][3]
    size = lambda path: sum(array.size for array in initializers(path).values() if array.dtype == np.float32)
    assert size(mlc.cwd / "out.onnx") < 0.65 * size(mlc.cwd / "in.onnx")


def score(parts):
    """Mean over weights of the l1 norm of each slice in relation to their mean: PARTS are arrays whose rows are the channels."""
    norms = [np.abs(part.reshape(len(part), -1).astype(np.float64)).sum(1) for part in parts]
    return sum(one / one.mean() for one in norms) / len(norms)


def test_the_channels_are_those_of_the_smallest_norm(mlc):
    """The whole choice, and the cut, done again in PyTorch."""
    module, path = export("residual", mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.25")
    w = {k: v.numpy() for k, v in module.state_dict().items()}
    stream = score([w["stem.weight"], w["b.weight"], w["a.weight"].swapaxes(0, 1), w["head.weight"].T])
    inside = score([w["a.weight"], w["b.weight"].swapaxes(0, 1)])
    s, i = np.sort(np.argsort(stream)[4:]), np.sort(np.argsort(inside)[6:])
    cut = {"stem.weight": w["stem.weight"][s], "stem.bias": w["stem.bias"][s], "a.weight": w["a.weight"][i][:, s], "a.bias": w["a.bias"][i],
           "b.weight": w["b.weight"][s][:, i], "b.bias": w["b.bias"][s], "head.weight": w["head.weight"][:, s], "head.bias": w["head.bias"]}
    made = initializers(mlc.cwd / "out.onnx")
    for name, array in cut.items():
        assert np.array_equal(made[name], array), name
    smaller = Residual()
    smaller.stem, smaller.a, smaller.b, smaller.head = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 18, 3, padding=1), nn.Conv2d(18, 12, 3, padding=1), nn.Linear(12, 10)
    smaller.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in cut.items()})
    x = torch.randn(2, 3, 8, 8)
    np.testing.assert_allclose(run(mlc.cwd / "out.onnx", {"x": x.numpy()}), smaller(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_the_l2_norm_chooses_others(mlc):
    module, path = export("flat", mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.5", "--norm", "l2", "--include", "conv.weight")
    w = {k: v.numpy().astype(np.float64) for k, v in module.state_dict().items()}
    norms = [np.sqrt((part.reshape(8, -1) ** 2).sum(1)) for part in (w["conv.weight"], w["fc1.weight"].reshape(20, 8, 9).swapaxes(0, 1))]
    order = np.argsort(sum(one / one.mean() for one in norms))
    assert kept(initializers(path)["conv.weight"], initializers(mlc.cwd / "out.onnx")["conv.weight"], 0) == sorted(order[4:].tolist())


def test_whole_groups_and_the_attribute_that_counts_them(mlc):
    export("grouped", mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.5")
    counts = {n.input[1]: next(a.i for a in n.attribute if a.name == "group") for n in onnx.load(mlc.cwd / "out.onnx").graph.node if n.op_type == "Conv"}
    assert counts == {"a.weight": 1, "g.weight": 8, "d.weight": 32, "t.weight": 1, "h.weight": 2}


def test_heads_go_whole(mlc):
    export("attention", mlc.cwd / "in.onnx")
    heads = next(one for one in groups(mlc) if one["channels"] == 32 and one["can_go"] > 0)
    assert (heads["units"], heads["can_go"]) == (8, 8) and len(heads["weights"]) == 4
    prune(mlc, "--amount", "12")
    before, after = initializers(mlc.cwd / "in.onnx"), initializers(mlc.cwd / "out.onnx")
    name = heads["weights"][0]
    axis = 0 if before[name].shape[0] != after[name].shape[0] else 1
    left = kept(before[name], after[name], axis)
    assert len(left) == 20 and all(i // 4 * 4 + k in left for i in left for k in range(4))


def test_a_number_of_channels_was_taken_for_one_of_heads(mlc):
    export("attention", mlc.cwd / "in.onnx")
    def gone(answer):
        return {one["channels"]: one["gone"] * one["channels"] // one["units"] for one in answer["groups"] if one["can_go"]}
    assert gone(prune(mlc, "--amount", "4", "--json").json) == {32: 4, 128: 4}
    done = prune(mlc, "--amount", "6")
    assert re.search(r"^pruned +6 channels of each group", done.stdout, re.M) and re.search(r"^channels +10 of", done.stdout, re.M), done.stdout
    assert re.search(r"fewer than 6 channels go where channels go together only: 4 of \S+ \(4 at a time\)", done.stderr), done.stderr
    assert sum(gone(prune(mlc, "--amount", "30", "--scope", "global", "--json").json).values()) == 30
    assert "has 32 channels to take away from, not 33" in prune(mlc, "--amount", "33", code=2).stderr
    done = prune(mlc, "--amount", "3", "--exclude", "*up*", code=1)
    assert "0 of " in done.stderr and "no channel goes: --amount 3 is less than one of each group" in done.stderr


def test_round_to_keeps_multiples(mlc):
    export("residual", mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.4", "--round-to", "8")
    assert [initializers(mlc.cwd / "out.onnx")[n].shape[0] for n in ("stem.weight", "a.weight")] == [16, 16]
    done = prune(mlc, "--amount", "1", "--round-to", "7", code=1)
    assert "or --round-to leaves none to take" in done.stderr and "no multiple of 7" in done.stderr


def test_an_amount_of_nothing_was_blamed_on_the_model(mlc):
    export("residual", mlc.cwd / "in.onnx")
    for amount in ("0", "0.0", "0.001"):
        said = prune(mlc, "--amount", amount, code=1).stderr
        assert "no channel can go" not in said and "less than one of each group" in said and "a larger --amount;" in said


def test_a_global_number_took_fewer_where_one_group_was_used_up(mlc):
    """One channel of each group stays; what was asked for is found in the others."""
    export("residual", mlc.cwd / "in.onnx")
    free = sum(one["channels"] for one in groups(mlc) if one["can_go"])
    total = len([one for one in groups(mlc) if one["can_go"]])
    asked = free - total
    answer = prune(mlc, "--amount", str(asked), "--scope", "global", "--json").json
    assert sum(one["gone"] for one in answer["groups"]) == asked
    done = prune(mlc, "--amount", str(asked + 1), "--scope", "global")
    assert f"{asked} channels go, not {asked + 1}: of each group one stays" in done.stderr, done.stderr


def test_a_global_amount_takes_more_where_scores_are_low(mlc):
    _, path = export("residual", mlc.cwd / "in.onnx")
    proto = onnx.load(path)
    for tensor in proto.graph.initializer:
        if tensor.name == "a.weight":
            array = numpy_helper.to_array(tensor).copy()
            array[:20] *= 1e-3
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(proto, path)
    prune(mlc, "--amount", "50%", "--scope", "global")
    made = initializers(mlc.cwd / "out.onnx")
    assert made["a.weight"].shape[0] + made["stem.weight"].shape[0] == 20 and made["a.weight"].shape[0] <= 6


def test_a_group_never_ends_empty(mlc):
    export("dense", mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "1.0")
    assert all(0 not in array.shape for array in initializers(mlc.cwd / "out.onnx").values())
    prune(mlc, "--amount", "0.99", "--scope", "global")


def test_why_channels_stay(mlc):
    nodes = [node("Conv", ["x", "a"], "c"), node("LRN", ["c"], "l", size=3), node("Conv", ["l", "b"], "d"), node("Relu", ["d"], "y"),
             node("Conv", ["l", "e"], "f"), node("NonZero", ["f"], "z")]
    proto = onnx_models.model(nodes, [value("x", 1, 3, 8, 8)], [value("y", 1, 6, 4, 4), value("z", 4, "k", dtype=TensorProto.INT64)],
                              [weight("a", 8, 3, 3, 3), weight("b", 6, 8, 3, 3), weight("e", 5, 8, 3, 3)])
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    reasons = {one["name"]: one["reason"] for one in groups(mlc)}
    assert reasons == {"a": "LRN /l computes across it", "b": "it is in the output y", "e": "NonZero /z reads it"}
    done = prune(mlc, "--amount", "0.5", code=1)
    assert "no channel can go: a (LRN /l computes across it)" in done.stderr and not (mlc.cwd / "out.onnx").exists()


def test_dead_channels_are_counted_and_go_first(mlc):
    _, path = export("residual", mlc.cwd / "in.onnx")
    proto = onnx.load(path)
    for tensor in proto.graph.initializer:
        if tensor.name == "a.weight":
            array = numpy_helper.to_array(tensor).copy()
            array[[3, 11, 17]] = 0
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(proto, path)
    assert [one["dead"] for one in groups(mlc)] == [0, 3, 0]
    prune(mlc, "--amount", "3", "--exclude", "stem.weight")
    assert np.abs(initializers(mlc.cwd / "out.onnx")["a.weight"]).reshape(21, -1).sum(1).min() > 0


def test_a_convolution_that_runs_twice_is_cut_once(mlc):
    nodes = [node("Conv", ["x", "a"], "p", pads=[1] * 4), node("Conv", ["p", "w"], "q", pads=[1] * 4), node("Relu", ["q"], "r"),
             node("Conv", ["r", "w"], "s", pads=[1] * 4), node("GlobalAveragePool", ["s"], "g"), node("Flatten", ["g"], "f"), node("Gemm", ["f", "h"], "y")]
    onnx_models.save(onnx_models.model(nodes, [value("x", "n", 3, 8, 8)], [value("y", "n", 4)],
                                       [weight("a", 16, 3, 3, 3), weight("w", 16, 16, 3, 3), weight("h", 16, 4)]), mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.5")
    assert initializers(mlc.cwd / "out.onnx")["w"].shape == (8, 8, 3, 3)


def shape_model(second):
    """A shape that is put together, for two Reshapes: of channels that can go, and of SECOND."""
    nodes = [node("Conv", ["x", "a"], "c"), node("Relu", ["c"], "r"), node("Shape", ["x"], "s"), node("Gather", ["s", "zero"], "n", axis=0),
             node("Concat", ["n", "sixteen", "rest"], "shape", axis=0), node("Reshape", ["r", "shape"], "p"), node("Transpose", ["p"], "t", perm=[0, 2, 1]),
             node("MatMul", ["t", "b"], "m"), node("Reshape", [second, "shape"], "q"), node("ReduceSum", ["q", "axes"], "k", keepdims=0), node("Add", ["m", "k"], "y")]
    integers = lambda name, *numbers: numpy_helper.from_array(np.array(numbers, np.int64), name)
    return onnx_models.model(nodes, [value("x", "n", 3, 4, 4), value("z", "n", 16, 4, 4)], [value("y", "n", 16, 1)],
                             [weight("a", 16, 3, 1, 1), weight("b", 16, 1), integers("zero", 0), integers("sixteen", 16), integers("rest", -1), integers("axes", 1, 2)])


def test_a_shape_that_others_need_too_stayed(mlc):
    proto = shape_model("z")
    del proto.graph.node[-2:]
    proto.graph.node.extend([node("ReduceSum", ["q", "axes"], "k", keepdims=1), node("Add", ["m", "k"], "y")])
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.5")
    feed = {"x": np.random.default_rng(1).standard_normal((2, 3, 4, 4), np.float32), "z": np.ones((2, 16, 4, 4), np.float32)}
    np.testing.assert_allclose(run(mlc.cwd / "out.onnx", feed), run(unread(mlc.cwd / "in.onnx", mlc.cwd / "out.onnx"), feed), rtol=1e-4, atol=1e-5)


def test_a_shape_of_the_same_channels_is_changed_once(mlc):
    proto = shape_model("r")
    del proto.graph.node[-2:]
    del proto.graph.input[-1]
    proto.graph.node.extend([node("ReduceSum", ["q", "axes"], "k", keepdims=1), node("Add", ["m", "k"], "y")])
    proto.graph.initializer[-1].CopyFrom(numpy_helper.from_array(np.array([2], np.int64), "axes"))
    proto.graph.node[-2].CopyFrom(node("ReduceSum", ["q", "axes"], "k0"))
    proto.graph.node[-1].CopyFrom(node("MatMul", ["kt", "b"], "k"))
    proto.graph.node.insert(len(proto.graph.node) - 1, node("Transpose", ["k0"], "kt", perm=[0, 2, 1]))
    proto.graph.node.append(node("Add", ["m", "k"], "y"))
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.5")
    feed = {"x": np.random.default_rng(1).standard_normal((2, 3, 4, 4), np.float32)}
    np.testing.assert_allclose(run(mlc.cwd / "out.onnx", feed), run(unread(mlc.cwd / "in.onnx", mlc.cwd / "out.onnx"), feed), rtol=1e-4, atol=1e-5)


def test_weights_of_inner_graphs_stay(mlc):
    inner = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["t"])], "then", [], [value("t", 1, 96)])
    other = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["e"])], "else", [], [value("e", 1, 96)])
    flag = helper.make_node("If", ["flag"], ["z"], name="/if", then_branch=inner, else_branch=other)
    nodes = [flag, node("MatMul", ["x", "w"], "m"), node("Add", ["z", "m"], "a"), node("MatMul", ["a", "u"], "h"), node("MatMul", ["h", "v"], "y")]
    proto = onnx_models.model(nodes, [value("x", 1, 64), onnx_models.value("flag", (), TensorProto.BOOL)], [value("y", 1, 64)],
                              [weight("w", 64, 96), weight("u", 96, 32), weight("v", 32, 64)])
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.5", "--input", "x:f32[1,64]", "--input", "flag:bool[]")
    made = initializers(mlc.cwd / "out.onnx")
    assert made["w"].shape == (64, 96) and made["u"].shape == (96, 16) and made["v"].shape == (16, 64)


def test_weights_beside_the_model_and_in_constants(mlc):
    _, path = export("residual", mlc.cwd / "plain.onnx")
    proto = onnx.load(path)
    tensor = next(t for t in proto.graph.initializer if t.name == "a.bias")
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["a.bias"], value=tensor))
    proto.graph.initializer.remove(tensor)
    onnx_models.with_external(proto, mlc.cwd, "in.onnx")
    prune(mlc, "--amount", "0.5")
    assert operators(mlc.cwd / "out.onnx")["Constant"] == 0 and initializers(mlc.cwd / "out.onnx")["a.bias"].shape == (12,)
    prune(mlc, "--amount", "0.5", source="plain.onnx")


def test_the_same_model_gives_the_same_bytes(mlc):
    export("dense", mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.5", "--threads", "1")
    first = (mlc.cwd / "out.onnx").read_bytes()
    prune(mlc, "--amount", "0.5", "--threads", "3")
    assert (mlc.cwd / "out.onnx").read_bytes() == first


def test_what_is_pruned_can_be_pruned_again_and_quantised(mlc):
    export("residual", mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.5")
    (mlc.cwd / "out.onnx").rename(mlc.cwd / "half.onnx")
    prune(mlc, "--amount", "0.5", source="half.onnx")
    assert initializers(mlc.cwd / "out.onnx")["a.weight"].shape[:2] == (6, 4)
    done = mlc("quantize", "half.onnx", "-o", "int8.onnx", "--onnx", "weight-only", "--min-elements", "0")
    assert done.rc == 0, done.stderr
    done = mlc("prune", "int8.onnx", "-o", "no.onnx", "--method", "channels", "--amount", "0.5")
    assert done.rc == 1 and "the model is quantised" in done.stderr


def test_json_answers_fit_the_schema(mlc, valid, root):
    export("attention", mlc.cwd / "in.onnx")
    for args in ("-o a.onnx --amount 0.5", "-n --amount 2", "--list-groups", "-o b.onnx --no-verify --amount 0.3 --scope global --norm l2"):
        done = mlc("prune", "in.onnx", "--method", "channels", "--json", *args.split())
        assert done.rc == 0, done.stderr
        valid(json.loads(done.stdout), "prune-onnx")
    valid(json.loads((root / "schemas/examples/prune-onnx.json").read_text()), "prune-onnx")
    assert sorted(p.name for p in mlc.cwd.glob("*.onnx")) == ["a.onnx", "b.onnx", "in.onnx"]


def test_text_says_what_changed(mlc):
    export("residual", mlc.cwd / "in.onnx")
    said = prune(mlc, "--amount", "0.5").stdout
    for part in ("20 of 50 went", "; 1 cannot lose any", "latency", "ONNX Runtime", "unread:", "stays: it is in the output y"):
        assert part in said, said


def redundant(path, relu=True):
    """Half of twelve channels are sums of the others, and a bias: they can be told without loss."""
    random = np.random.default_rng(2)
    a = random.standard_normal((12, 3, 1, 1)).astype(np.float32)
    bias = random.standard_normal(12).astype(np.float32)
    mix = random.standard_normal((6, 6)).astype(np.float32)
    a[6:] = (mix @ a[:6, :, 0, 0])[..., None, None] * 5
    bias[6:] = 5 * mix @ bias[:6] + 3
    nodes = [node("Conv", ["x", "a", "ab"], "c"), node("Conv", ["c", "b"], "d", strides=[2, 2]), node("GlobalAveragePool", ["d"], "p"), node("Flatten", ["p"], "f"),
             node("Gemm", ["f", "w", "wb"], "y", transB=1)]
    tensors = [numpy_helper.from_array(a, "a"), numpy_helper.from_array(bias, "ab"), weight("b", 7, 12, 3, 3), weight("w", 5, 7), weight("wb", 5)]
    onnx_models.save(onnx_models.model(nodes, [value("x", "n", 3, 9, 9)], [value("y", "n", 5)], tensors), path)


def test_samples_tell_which_channels_can_go_and_what_to_do_without_them(mlc):
    redundant(mlc.cwd / "in.onnx")
    data = np.random.default_rng(5).standard_normal((40, 3, 9, 9)).astype(np.float32)
    np.save(mlc.cwd / "x.npy", data)
    feed = {"x": np.random.default_rng(6).standard_normal((4, 3, 9, 9), np.float32)}
    whole = run(mlc.cwd / "in.onnx", feed)
    error = lambda: np.linalg.norm(run(mlc.cwd / "out.onnx", feed) - whole) / np.linalg.norm(whole)
    prune(mlc, "--amount", "0.5", "--exclude", "w", "--calib", "x.npy")
    assert initializers(mlc.cwd / "out.onnx")["a"].shape[0] == 6 and "b_offset" in initializers(mlc.cwd / "out.onnx")
    assert error() < 0.01
    prune(mlc, "--amount", "0.5", "--exclude", "w")
    assert error() > 0.05
    said = json.loads(prune(mlc, "--amount", "0.5", "--exclude", "w", "--calib", "x.npy", "--json").stdout)
    assert (said["samples_read"], said["compensated"], said["samples"]) == (40, 2, 40) and said["rebuilt"] > 0.999
    assert said["outputs"][0]["sqnr_db"] > 35


@pytest.mark.parametrize("name", ["residual", "flat", "dense", "attention"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_samples_bring_back_much_of_what_was_lost(name, scope, mlc):
    module, path = export(name, mlc.cwd / "in.onnx")
    sizes = (64, *MODELS[name][1][1:])
    random = np.random.default_rng(5)
    np.savez(mlc.cwd / "x.npz", x=random.standard_normal(sizes).astype(np.float32))
    feed = {"x": random.standard_normal(MODELS[name][1]).astype(np.float32)}
    whole = run(path, feed)
    errors = []
    for more in ([], ["--calib", "x.npz"]):
        prune(mlc, "--amount", "0.4", "--scope", scope, *more)
        errors.append(np.linalg.norm(run(mlc.cwd / "out.onnx", feed) - whole))
    assert errors[1] < 0.8 * errors[0], errors


def test_samples_of_other_names_are_told_before_the_work(mlc):
    export("residual", mlc.cwd / "in.onnx")
    np.savez(mlc.cwd / "x.npz", z=np.zeros((4, 3, 8, 8), np.float32), w=np.zeros(3))
    assert "x" in prune(mlc, "--amount", "0.5", "--calib", "x.npz", code=2).stderr
    np.savez(mlc.cwd / "x.npz", x=np.full((4, 3, 8, 8), np.inf, np.float32))
    assert "NaN or infinite value" in prune(mlc, "--amount", "0.5", "--calib", "x.npz", code=1).stderr


def test_the_same_samples_give_the_same_bytes(mlc):
    export("dense", mlc.cwd / "in.onnx")
    np.save(mlc.cwd / "x.npy", np.random.default_rng(5).standard_normal((16, 3, 8, 8)).astype(np.float32))
    found = set()
    for threads in "13":
        prune(mlc, "--amount", "0.5", "--calib", "x.npy", "--threads", threads)
        found.add((mlc.cwd / "out.onnx").read_bytes())
    assert len(found) == 1


REFUSED = [
    ("in.onnx --amount 0.5", 2, "--method channels"),
    ("in.onnx --method channels", 2, "how many channels"),
    ("in.onnx --method channels --amount 0.5 --in-place", 2, "in place"),
    ("in.onnx --method channels --amount 0.5 --pattern 2:4", 2, "there is no --pattern"),
    ("in.onnx --method channels --amount 17", 2, "to take away from, not 17"),
    ("in.onnx --method channels --amount 100 --scope global", 2, "that can go, not 100"),
    ("in.onnx --method channels --amount 0.5 --input nope:f32[2,3,8,8]", 2, "nope"),
    ("in.onnx --method channels --amount 0.5 --no-verify --require-speedup", 2, "contradicts"),
    ("in.onnx --method magnitude --round-to 8 --amount 0.5", 2, "need --method channels"),
    ("in.onnx --method channels --amount 0.5 --exclude *", 1, "no channel can go"),
    ("w.pt --method channels --amount 0.5", 4, "--arch FILE.yaml"),
    ("nope.onnx --method channels --amount 0.5", 3, "nope.onnx"),
]


@pytest.mark.parametrize("args, code, says", REFUSED, ids=[row[0] for row in REFUSED])
def test_what_makes_no_sense_is_refused(args, code, says, mlc):
    export("residual", mlc.cwd / "in.onnx")
    torch.save({"w": torch.ones(3, 3)}, mlc.cwd / "w.pt")
    output = [] if "--in-place" in args else ["-o", "out.onnx"]
    done = mlc("prune", *args.split(), *output)
    assert done.rc == code and says in done.stderr, done.stderr
    assert sorted(p.name for p in mlc.cwd.iterdir()) == ["in.onnx", "w.pt"]


@pytest.mark.parametrize("attribute", ["strides", "pads"])
def test_attributes_that_are_zero_or_huge(attribute, mlc):
    """ONNX's own shape inference divides by a stride of zero, which ended the process."""
    _, path = export("residual", mlc.cwd / "in.onnx")
    proto = onnx.load(path)
    for each in proto.graph.node[0].attribute:
        if each.name == attribute:
            each.ints[:] = [0, 2] if attribute == "strides" else [1 << 62] * 4
    onnx.save(proto, path)
    done = prune(mlc, "--amount", "0.5", code=None)
    assert done.rc in (1, 2, 3, 4) and not (mlc.cwd / "out.onnx").exists(), done
    if attribute == "strides":
        assert "/stem/Conv has a zero in its strides" in done.stderr
        done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "weight-only", "--min-elements", "0")
        assert done.rc == 3 and "strides" in done.stderr


def test_a_value_whose_stated_size_lies(mlc):
    """The axes of a sum were counted by the rank that the file states for it."""
    _, path = export("excited", mlc.cwd / "in.onnx")
    proto = onnx.load(path)
    victim = next(n for n in proto.graph.node if n.op_type == "Mul")
    proto.graph.value_info.append(value(victim.output[0], 2, 5))
    onnx.save(proto, path)
    done = prune(mlc, "--amount", "0.5", code=None)
    assert done.rc in (0, 1, 2, 3), done


def test_weights_that_are_not_finite_are_named(mlc):
    _, path = export("residual", mlc.cwd / "in.onnx")
    proto = onnx.load(path)
    tensor = next(t for t in proto.graph.initializer if t.name == "b.weight")
    array = numpy_helper.to_array(tensor).copy()
    array[0, 0, 0, 0] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(array, "b.weight"))
    onnx.save(proto, path)
    assert 'weights are not finite: "b.weight"' in prune(mlc, "--amount", "0.5", code=1).stderr


def test_patterns_that_match_nothing_were_warned_of_only(mlc):
    export("residual", mlc.cwd / "in.onnx")
    result = mlc("prune", "in.onnx", "-o", "out.onnx", "--method", "channels", "--amount", "0.5", "--exclude", "layer9*")
    assert result.rc == 2 and 'matched nothing: --exclude "layer9*"' in result.stderr and not (mlc.cwd / "out.onnx").exists()


def test_gates_write_nothing_where_an_output_lost_too_much(mlc, tmp_path):
    torch.manual_seed(0)
    model = "net.onnx"
    torch.onnx.export(Residual().eval(), (torch.randn(2, 3, 8, 8),), tmp_path / model, dynamo=False)
    args = ("prune", model, "-o", "small.onnx", "--method", "channels", "--amount", "0.5")
    said = mlc.ok(*args, "--json").json["outputs"][0]
    (tmp_path / "small.onnx").unlink()
    for option, reached, step in (("--min-cosine", said["min_cosine"], 1e-3), ("--min-sqnr", said["sqnr_db"], 0.1)):
        result = mlc(*args, option, str(reached + step))
        assert result.rc == 1 and "nothing was written" in result.stderr and not (tmp_path / "small.onnx").exists()
        mlc.ok(*args, option, str(reached - step))
        (tmp_path / "small.onnx").unlink()
    assert mlc(*args, "--min-cosine", "0.9", "--no-verify").rc == 2


class Heads(nn.Module):
    """Shapes are computed, as PyTorch code has it: the channels of a head are a quotient."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.emb, self.norm = kind, nn.Embedding(100, 64), nn.LayerNorm(64)
        self.q, self.k, self.v, self.qkv = (nn.Linear(64, out) for out in (64, 64, 64, 192))
        self.proj, self.head = nn.Linear(64, 64), nn.Linear(64, 4)

    def forward(self, ids):
        x = self.emb(ids)
        y, (b, t, c) = self.norm(x), x.shape
        q, k, v = (self.q(y), self.k(y), self.v(y)) if self.kind == "apart" else self.qkv(y).split(c, -1)
        q, k, v = (each.view(b, t, 4, c // 4).transpose(1, 2) for each in (q, k, v))
        y = ((q @ k.transpose(-1, -2)) * (c // 4) ** -0.5).softmax(-1) @ v
        return self.head(x + self.proj(y.transpose(1, 2).reshape(b, t, c)))


@pytest.mark.parametrize("kind, channels", [("apart", 64), ("split", 192)])
def test_heads_stayed_where_the_batch_varies(kind, channels, mlc):
    torch.manual_seed(0)
    ids = torch.randint(0, 100, (2, 16))
    torch.onnx.export(Heads(kind).eval(), (ids,), mlc.cwd / "in.onnx", input_names=["ids"], output_names=["o"],
                      dynamic_axes={"ids": {0: "b"}}, dynamo=False, opset_version=17)
    args = ("prune", "in.onnx", "-o", "out.onnx", "--method", "channels", "--amount", "0.5", "--min-sqnr", "0")
    groups = mlc.ok(*args, "--json").json["groups"]
    assert {group["gone"] * group["channels"] // group["units"] for group in groups} == {0, channels // 2}, groups
    session = onnxruntime.InferenceSession(str(mlc.cwd / "out.onnx"), providers=["CPUExecutionProvider"])
    for batch in (1, 5):
        assert session.run(None, {"ids": ids[:1].repeat(batch, 1).numpy()})[0].shape == (batch, 16, 4)


class Multihead(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weights, self.e, self.a, self.f = weights, nn.Linear(8, 32), nn.MultiheadAttention(32, 4, batch_first=True), nn.Linear(32, 3)

    def forward(self, x):
        x = self.e(x)
        return self.f(x + self.a(x, x, x, need_weights=self.weights)[0])


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("varies", [True, False])
def test_exports_of_multihead_attention_kept_all_channels(weights, varies, mlc):
    torch.manual_seed(0)
    axes = {"x": {0: "batch", 1: "length"}} if varies else None
    torch.onnx.export(Multihead(weights).eval(), (torch.randn(2, 5, 8),), mlc.cwd / "in.onnx", dynamo=False, opset_version=17, input_names=["x"], dynamic_axes=axes)
    if varies:  # heads lie in an axis with a batch of any size
        assert [(group["can_go"], group["channels"]) for group in groups(mlc)] == [(32, 32), (0, 96), (0, 3)]
        assert groups(mlc)[1]["reason"] == "Reshape /a/Reshape_3 gives it another shape"
        mlc.ok("prune", "in.onnx", "-o", "out.onnx", "--method", "channels", "--amount", "0.5", "--input", "x:f32[2,5,8]")
        return
    assert [(group["can_go"], group["channels"]) for group in groups(mlc)] == [(32, 32), (4, 96), (0, 3)]
    prune(mlc, "--amount", "0.5")
    feed = {"x": np.random.default_rng(1).standard_normal((2, 5, 8), np.float32)}
    found, wanted = run(mlc.cwd / "out.onnx", feed), run(unread(mlc.cwd / "in.onnx", mlc.cwd / "out.onnx"), feed)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert initializers(mlc.cwd / "out.onnx")["a.in_proj_bias"].shape == (48,)


@pytest.mark.parametrize("how", ["pt2", "trace"])
def test_heads_of_exported_multihead_attention_stayed(mlc, how):
    torch.manual_seed(0)
    model, x = Multihead(False).eval(), torch.randn(2, 5, 8)
    if how == "trace":
        torch.jit.trace(model, x, check_trace=False).save(mlc.cwd / "m.pt2")
    else:
        b, s = torch.export.Dim("b", min=1, max=64), torch.export.Dim("s", min=2, max=512)
        torch.export.save(torch.export.export(model, (x,), dynamic_shapes=({0: b, 1: s},)), mlc.cwd / "m.pt2")
    mlc.ok("export-onnx", "m.pt2", "-o", "in.onnx", *(("--input", "x:f32[b=2,s=5,8]") if how == "trace" else ()))
    assert [(group["can_go"], group["channels"]) for group in groups(mlc)] == [(32, 32), (4, 96), (0, 3)]
    mlc.ok("prune", "in.onnx", "-o", "out.onnx", "--method", "channels", "--amount", "0.5", "--input", "x:f32[3,7,8]")
    assert run(mlc.cwd / "out.onnx", {"x": np.ones((4, 9, 8), np.float32)})[0].shape == (9, 3)


class Chunked(nn.Module):
    """Views whose sizes the exporter asks for, all of them, because the batch varies."""

    def __init__(self):
        super().__init__()
        self.e, self.qkv, self.o = nn.Embedding(50, 24), nn.Linear(24, 72), nn.Linear(24, 24)

    def forward(self, ids):
        x = self.e(ids)
        b, t, d = x.shape
        q, k, v = (one.view(b, t, 6, d // 6).transpose(1, 2) for one in self.qkv(x).chunk(3, -1))
        return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, d))


def test_heads_behind_sizes_of_shapes_stayed(mlc):
    torch.manual_seed(0)
    ids = torch.randint(0, 50, (2, 7))
    torch.onnx.export(Chunked().eval(), (ids,), mlc.cwd / "in.onnx", dynamo=False, input_names=["ids"], dynamic_axes={"ids": {0: "b"}}, opset_version=17)
    assert (6, 72) in [(group["can_go"], group["channels"]) for group in groups(mlc)]  # six heads
    mlc.ok("prune", "in.onnx", "-o", "out.onnx", "--method", "channels", "--amount", "0.5", "--input", "ids:i64[2,7]=0..49")
    session = onnxruntime.InferenceSession(str(mlc.cwd / "out.onnx"), providers=["CPUExecutionProvider"])
    assert session.run(None, {"ids": np.ones((3, 7), np.int64)})[0].shape == (3, 7, 24)


class Shared(nn.Module):
    """Keys and values of two heads, each read by three heads of queries: as Llama has it."""

    def __init__(self):
        super().__init__()
        self.e, self.o = nn.Embedding(50, 24), nn.Linear(24, 24)
        self.q, self.k, self.v = nn.Linear(24, 24), nn.Linear(24, 8), nn.Linear(24, 8)

    def forward(self, ids):
        x = self.e(ids)
        b, t, _ = x.shape
        q = self.q(x).view(b, t, -1, 4).transpose(1, 2)
        k, v = (one.view(b, t, -1, 4).transpose(1, 2) for one in (self.k(x), self.v(x)))
        k, v = (one[:, :, None].expand(b, 2, 3, t, 4).reshape(b, 6, t, 4) for one in (k, v))
        return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, -1))


@pytest.mark.parametrize("how", ["mlc", "mlc_pt2", "legacy"])
def test_heads_that_share_keys_stayed(mlc, how):
    torch.manual_seed(0)
    model, ids = Shared().eval(), torch.randint(0, 50, (2, 7))
    dims = {0: torch.export.Dim("b", max=64), 1: torch.export.Dim("t", max=64)}
    if how == "mlc":
        torch.jit.trace(model, ids, check_trace=False).save(mlc.cwd / "m.pt")
        mlc.ok("export-onnx", "m.pt", "-o", "in.onnx", "--input", "ids:i64[b=2,t=7]=0..49")
    elif how == "mlc_pt2":
        torch.export.save(torch.export.export(model, (ids,), dynamic_shapes=(dims,)), mlc.cwd / "m.pt2")
        mlc.ok("export-onnx", "m.pt2", "-o", "in.onnx")
    else:
        torch.onnx.export(model, (ids,), mlc.cwd / "in.onnx", dynamo=False, input_names=["ids"], dynamic_axes={"ids": {0: "b", 1: "t"}}, opset_version=17)
    assert (2, 24) in [(group["can_go"], group["channels"]) for group in groups(mlc)]
    mlc.ok("prune", "in.onnx", "-o", "out.onnx", "--method", "channels", "--amount", "0.5", "--input", "ids:i64[2,7]=0..49")
    assert {name: one.shape for name, one in initializers(mlc.cwd / "out.onnx").items() if name.endswith("bias")} == {"q.bias": (12,), "k.bias": (4,), "v.bias": (4,), "o.bias": (24,)}
    session = onnxruntime.InferenceSession(str(mlc.cwd / "out.onnx"), providers=["CPUExecutionProvider"])
    assert session.run(None, {"ids": np.ones((3, 9), np.int64)})[0].shape == (3, 9, 24)


DYNAMO = """
<ir_version: 10, opset_import: ["" : 18]>
m (float[b, t, 24] x) => (float[b, t, 5] y)
<int64[2] tail = {6, 4}, int64[1] minus = {-1}, int64[1] minus2 = {-2}, int64[1] last = {9223372036854775807},
 int64[1] first = {-9223372036854775808}, float half = {0.5}>
{
  ql = MatMul(x, q)
  kl = MatMul(x, k)
  vl = MatMul(x, v)
  xs = Shape <start: int = 0> (x)
  bt = Slice(xs, first, minus)
  split = Concat <axis: int = 0> (bt, tail)
  q4 = Reshape <allowzero: int = 1> (ql, split)
  k4 = Reshape <allowzero: int = 1> (kl, split)
  v4 = Reshape <allowzero: int = 1> (vl, split)
  qt = Transpose <perm: ints = [0, 2, 1, 3]> (q4)
  kt = Transpose <perm: ints = [0, 2, 1, 3]> (k4)
  vt = Transpose <perm: ints = [0, 2, 1, 3]> (v4)
  sizes = Shape <start: int = 0> (kt)
  columns = Slice(sizes, minus, last)
  rows = Slice(sizes, minus2, minus)
  front = Slice(sizes, first, minus2)
  flat = Concat <axis: int = 0> (minus, rows, columns)
  k3 = Reshape (kt, flat)
  k3t = Transpose <perm: ints = [0, 2, 1]> (k3)
  turned = Concat <axis: int = 0> (front, columns, rows)
  k4t = Reshape (k3t, turned)
  qs = Mul(qt, half)
  score = MatMul(qs, k4t)
  share = Softmax <axis: int = -1> (score)
  mixed = MatMul(share, vt)
  back = Transpose <perm: ints = [0, 2, 1, 3]> (mixed)
  joined = Concat <axis: int = 0> (bt, minus)
  one = Reshape <allowzero: int = 1> (back, joined)
  y = MatMul(one, o)
}
"""


def test_heads_that_the_dynamo_exporter_writes_stayed(mlc):
    # Its Reshapes say allowzero, and exchange axes of keys by two more of them.
    model = onnx.parser.parse_model(DYNAMO)
    for name, sizes in (("q", (24, 24)), ("k", (24, 24)), ("v", (24, 24)), ("o", (24, 5))):
        weight = np.random.default_rng(len(name + str(sizes))).standard_normal(sizes).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    onnx.save(model, mlc.cwd / "in.onnx")
    assert [(group["can_go"], group["channels"]) for group in groups(mlc)] == [(6, 24), (0, 5)]
    mlc.ok("prune", "in.onnx", "-o", "out.onnx", "--method", "channels", "--amount", "0.5", "--input", "x:f32[2,7,24]")
    assert {name: one.shape for name, one in initializers(mlc.cwd / "out.onnx").items() if name in "qkvo"} == {
        "q": (24, 12), "k": (24, 12), "v": (24, 12), "o": (12, 5)}
    assert run(mlc.cwd / "out.onnx", {"x": np.ones((3, 9, 24), np.float32)})[0].shape == (9, 5)


class Counted(nn.Module):
    """Heads whose width nobody says, there and back."""

    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(50, 24)
        self.q, self.k, self.v, self.o = (nn.Linear(24, 24) for _ in range(4))

    def forward(self, ids):
        x = self.e(ids)
        b, t, _ = x.shape
        q, k, v = (one(x).view(b, t, 6, -1).transpose(1, 2) for one in (self.q, self.k, self.v))
        return self.o(((q @ k.transpose(-1, -2)).softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


def test_heads_of_a_width_that_nobody_says_stayed(mlc):
    torch.manual_seed(0)
    ids = torch.randint(0, 50, (2, 7))
    torch.onnx.export(Counted().eval(), (ids,), mlc.cwd / "in.onnx", dynamo=False, input_names=["ids"], dynamic_axes={"ids": {0: "b", 1: "t"}}, opset_version=17)
    assert (6, 24) in [(group["can_go"], group["channels"]) for group in groups(mlc)]
    mlc.ok("prune", "in.onnx", "-o", "out.onnx", "--method", "channels", "--amount", "0.5", "--input", "ids:i64[2,7]=0..49")


def test_a_dry_run_without_an_output_was_not_verified(mlc):
    export("residual", mlc.cwd / "in.onnx")
    before = sorted(mlc.cwd.iterdir())
    done = mlc.ok("prune", "in.onnx", "-n", "--method", "channels", "--amount", "0.3")
    assert "beside the whole model with these channels unread" in done.stdout and "missing" not in done.stdout
    assert mlc("prune", "in.onnx", "-n", "--method", "channels", "--amount", "0.3", "--min-sqnr", "200").rc == 1
    assert sorted(mlc.cwd.iterdir()) == before


@pytest.mark.parametrize("kind", ["apart", "split"])
@pytest.mark.parametrize("opset", [9, 11, 12, 13])
def test_heads_of_old_opsets_stayed_where_nodes_have_axes_as_attributes(opset, kind, mlc):
    """Behind a Reshape to computed sizes nothing was known: ONNX follows them from opset 14 on only."""
    torch.manual_seed(0)
    ids = torch.randint(0, 100, (2, 16))

    def can_go(version):
        torch.onnx.export(Heads(kind).eval(), (ids,), mlc.cwd / "in.onnx", input_names=["ids"], output_names=["o"],
                          dynamic_axes={"ids": {0: "b"}}, dynamo=False, opset_version=version)
        return sorted((group["can_go"], group["channels"]) for group in groups(mlc))

    wanted = can_go(16)
    assert wanted[-1][0] == 4 and can_go(opset) == wanted
    prune(mlc, "--amount", "0.5")
    feed = {"ids": ids[:1].repeat(3, 1).numpy()}
    found, whole = run(mlc.cwd / "out.onnx", feed), run(unread(mlc.cwd / "in.onnx", mlc.cwd / "out.onnx"), feed)
    np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-5)


def test_pads_of_an_old_model_ended_the_inference_of_sizes(mlc):
    """Opset 9 has them as attributes, which opset 14 does not read."""
    nodes = [node("Pad", ["x"], "p", pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="reflect"), node("Conv", ["p", "a"], "c"), node("Relu", ["c"], "r"),
             node("Conv", ["r", "b"], "y")]
    proto = onnx_models.model(nodes, [value("x", 1, 3, 8, 8)], [value("y", 1, 8, 6, 6)],
                              [weight("a", 16, 3, 3, 3), weight("b", 8, 16, 3, 3)], opset=9, ir=4)
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    prune(mlc, "--amount", "0.5")
    assert initializers(mlc.cwd / "out.onnx")["a"].shape[0] == 8


# --- what torch.onnx writes


class Padded(nn.Module):
    """F.pad, whose pads torch.onnx computes of constants, and a mask that is expanded to sizes it computes so too."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 16, 3)
        self.b = nn.Conv2d(16, 16, 3, groups=16)
        self.c = nn.Conv2d(16, 8, 1)
        self.q = nn.Linear(8, 8)
        self.k = nn.Linear(8, 8)
        self.v = nn.Linear(8, 8)
        self.out = nn.Linear(8, 5)

    def heads(self, x):
        return x.view(x.shape[0], x.shape[1], 4, 2).transpose(1, 2)

    def forward(self, x):
        x = F.relu(self.a(F.pad(x, (0, 1, 0, 1))))
        x = self.c(F.relu(self.b(F.pad(x, (0, 1, 0, 1))))).flatten(2).transpose(1, 2)
        mask = torch.ones(1, 1, 1, x.shape[1], dtype=torch.bool).expand(x.shape[0], 1, x.shape[1], x.shape[1])
        x = F.scaled_dot_product_attention(self.heads(self.q(x)), self.heads(self.k(x)), self.heads(self.v(x)), attn_mask=mask)
        return self.out(x.transpose(1, 2).flatten(2))


def export_padded(path, **options):
    torch.manual_seed(0)
    model = Padded().eval()
    torch.onnx.export(model, (torch.randn(2, 3, 6, 6),), str(path), dynamo=False, do_constant_folding=False, **options)
    return model


def test_pads_and_masks_of_constants_froze_channels_and_heads(mlc):
    export_padded(mlc.cwd / "in.onnx")
    assert {"Pad", "ConstantOfShape"} <= set(operators(mlc.cwd / "in.onnx"))
    found = groups(mlc)
    assert sum(1 for row in found if row["can_go"] == 16) >= 1 and sum(1 for row in found if row["can_go"] == 8) >= 1, found
    prune(mlc, "--amount", "0.5")
    before, after = (sum(w.size for w in initializers(mlc.cwd / name).values()) for name in ("in.onnx", "out.onnx"))
    assert after < 0.8 * before


def test_options_for_weights_were_refused_without_a_name(mlc):
    result = mlc("prune", "in.onnx", "-o", "out.onnx", "--method", "channels", "--amount", "0.5", "--compress", "deflate", "--pattern", "rows")
    assert result.rc == 2 and "there is no --pattern and --compress" in result.stderr
    assert " ".join(mlc.ok("prune", "--help").stdout.split()).count("not for channels") == 7


def test_the_whole_model_was_measured_beside_what_ran_then(mlc):
    """Both take turns and the best round of each counts, so that two equal models look alike."""
    export_padded(mlc.cwd / "in.onnx")
    ratios = []
    for _ in range(3):
        answer = json.loads(prune(mlc, "--amount", "2", "--threads", "1", "--json").stdout)
        ratios.append(answer["seconds_before"] / answer["seconds_after"])
    assert sorted(ratios)[1] < 3, ratios
