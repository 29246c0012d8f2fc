"""`mlc prune --method channels` of TorchScript: PyTorch reads what is left, which computes what the model does when nobody reads what went."""

import hashlib
import io
import json
import zipfile

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from test_prune_channels import Dense, Excited, Flat, Grouped, Residual

pytestmark = [pytest.mark.usefixtures("engine", "onnx_checker", "onnxruntime_engine"), pytest.mark.filterwarnings("ignore::UserWarning"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")]


class Basic(nn.Module):
    def __init__(self, inside, out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inside, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.down = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        y += self.down(x)
        return F.relu(y, inplace=True)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layers = nn.Sequential(Basic(16, 16, 1), Basic(16, 32, 2), Basic(32, 32, 1))
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = self.layers(F.relu(self.bn(self.stem(x))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Mobile(nn.Module):
    """Inverted residuals: depthwise convolutions of several sizes, all of one class."""

    def __init__(self):
        super().__init__()
        def block(inside, hidden, out):
            return nn.Sequential(nn.Conv2d(inside, hidden, 1), nn.BatchNorm2d(hidden), nn.ReLU6(), nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
                                 nn.BatchNorm2d(hidden), nn.ReLU6(), nn.Conv2d(hidden, out, 1), nn.BatchNorm2d(out))
        self.stem, self.a, self.b, self.c, self.fc = nn.Conv2d(3, 8, 3, padding=1), block(8, 24, 8), block(8, 24, 12), block(12, 36, 12), nn.Linear(12, 5)

    def forward(self, x):
        x = self.stem(x)
        x = self.b(x + self.a(x))
        return self.fc((x + self.c(x)).mean([2, 3]))


class Attention(nn.Module):
    """Heads as GPTs have them: three projections in one, sizes from the input."""

    def __init__(self):
        super().__init__()
        self.heads: int = 6
        self.norm, self.qkv, self.out = nn.LayerNorm(48), nn.Linear(48, 144), nn.Linear(48, 48)
        self.up, self.down, self.norm2, self.fc = nn.Linear(48, 96), nn.Linear(96, 48), nn.LayerNorm(48), nn.Linear(48, 4)

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = self.qkv(self.norm(x)).split(48, dim=2)
        q, k, v = (q.view(b, t, self.heads, 8).transpose(1, 2), k.view(b, t, self.heads, 8).transpose(1, 2), v.view(b, t, self.heads, 8).transpose(1, 2))
        y = torch.softmax(q @ k.transpose(-2, -1) / 2.8, -1) @ v
        x = x + self.out(y.transpose(1, 2).contiguous().view(b, t, c))
        return self.fc(x + self.down(F.gelu(self.up(self.norm2(x)))))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.TransformerEncoderLayer(32, 4, 64, batch_first=True) for _ in range(2)])
        self.fc = nn.Linear(32, 3)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.fc(x)


class Shuffle(nn.Module):
    """Sizes of x in view, chunk, channels shuffled between groups."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.fc = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 32, 3, padding=1), nn.Conv2d(32, 24, 1), nn.Linear(12, 3)

    def forward(self, x):
        x = F.relu(self.b(F.relu(self.a(x))))
        n, c, h, w = x.size()
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        a, b = self.c(x).chunk(2, 1)
        return self.fc((a * torch.sigmoid(b)).mean([2, 3]))


IMAGE = (3, 16, 16)
MODELS = {
    "resnet": (ResNet, IMAGE), "mobile": (Mobile, IMAGE), "flat": (Flat, (1, 8, 8)), "dense": (Dense, (3, 8, 8)), "residual": (Residual, IMAGE),
    "grouped": (Grouped, IMAGE), "excited": (Excited, IMAGE), "attention": (Attention, (5, 48)), "encoder": (Encoder, (5, 32)), "shuffle": (Shuffle, (3, 8, 8)),
}


def network(name, seed=0):
    torch.manual_seed(seed)
    kind, sizes = MODELS[name]
    model = kind().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return model, torch.randn(2, *sizes)


def spec(x, name="x"):
    return f"{name}:f32[batch=2..16,{','.join(map(str, x.shape[1:]))}]"


def write(mlc, model, x, how, name="net.pt", **extra):
    if how == "traced":
        torch.jit.trace(model, x, check_trace=False).save(mlc.cwd / name, **extra)
    else:
        torch.jit.script(model).save(mlc.cwd / name, **extra)
    if how.startswith("mlc"):
        (mlc.cwd / name).rename(mlc.cwd / "first.pt")
        mlc.ok("trace", "first.pt", "-o", name, "--method", how.split()[1], "--input", spec(x))
        (mlc.cwd / "first.pt").unlink()


def prune(mlc, *args, code=0, source="net.pt", out="small.pt"):
    done = mlc("prune", source, "-o", out, "--method", "channels", *args)
    assert done.rc == code, done.stderr
    return done


def shapes(path):
    return {key: tuple(tensor.shape) for key, tensor in torch.jit.load(path).state_dict().items()}


def onnx_route(mlc, x, *args):
    """The ONNX model of the same program, pruned with the same options; what it gives."""
    mlc.ok("export-onnx", "net.pt", "-o", "net.onnx", "--input", spec(x), "--no-verify")
    mlc.ok("prune", "net.onnx", "-o", "small.onnx", "--method", "channels", "--no-verify", *args)
    session = onnxruntime.InferenceSession(mlc.cwd / "small.onnx", providers=["CPUExecutionProvider"])
    return lambda t: session.run(None, {session.get_inputs()[0].name: t.numpy()})[0]


def check(mlc, x, model):
    """Stock PyTorch reads the result and runs it at any batch; mlc runs it too."""
    small, whole = torch.jit.load(mlc.cwd / "small.pt"), shapes(mlc.cwd / "net.pt")
    found = shapes(mlc.cwd / "small.pt")
    assert list(found) == list(whole) and sum(map(np.prod, found.values())) < sum(map(np.prod, whole.values()))
    assert not small.training and all(np.all(np.array(found[key]) <= np.array(whole[key])) for key in whole)
    for batch in (1, 2, 5):
        t = torch.randn(batch, *x.shape[1:])
        assert small(t).shape == model(t).shape
        assert torch.isfinite(small(t)).all()
    return small


@pytest.mark.parametrize("how", ["traced", "scripted", "mlc script", "mlc trace"])
@pytest.mark.parametrize("name", MODELS)
def test_channels_leave_programs(name, how, mlc):
    model, x = network(name)
    write(mlc, model, x, how)
    said = json.loads(prune(mlc, "--amount", "0.5", "--input", spec(x), "--json").stdout)
    assert said["gone"] > 0 and said["verified"] and (said["unread_sqnr_db"] is None or said["unread_sqnr_db"] > 80)
    small = check(mlc, x, model)
    if name not in ("resnet", "mobile", "dense") and how == "traced":  # without batch norms, which export-onnx folds
        other = onnx_route(mlc, x, "--amount", "0.5")
        t = torch.randn(3, *x.shape[1:])
        np.testing.assert_allclose(small(t).detach().numpy(), other(t), rtol=1e-3, atol=1e-4)


def test_depthwise_convolutions_of_one_class_get_groups_of_their_own(mlc):
    model, x = network("mobile")
    write(mlc, model, x, "scripted")
    prune(mlc, "--amount", "0.5", "--input", spec(x))
    assert [shapes(mlc.cwd / "small.pt")[f"{name}.3.weight"] for name in "abc"] == [(12, 1, 3, 3), (12, 1, 3, 3), (18, 1, 3, 3)]
    # What one of them may not lose the others do.
    prune(mlc, "--amount", "0.5", "--input", spec(x), "--exclude", "b.0.weight", "--force")
    assert [shapes(mlc.cwd / "small.pt")[f"{name}.3.weight"][0] for name in "abc"] == [12, 24, 18]
    check(mlc, x, model)


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_what_stays_is_what_pytorch_gives_without_the_rest(how, mlc):
    """The weights that stay are those of the model; with zeros for those that read what went, it gives the same."""
    model, x = network("flat")
    write(mlc, model, x, how)
    prune(mlc, "--amount", "0.5", "--input", spec(x))
    small = torch.jit.load(mlc.cwd / "small.pt")
    kept = [i for i in range(8) if any(torch.equal(model.conv.weight[i], one) for one in small.conv.weight)]
    rows = [i for i in range(20) if any(torch.equal(model.fc1.bias[i], one) for one in small.fc1.bias)]
    assert len(kept) == 4 and len(rows) == 10
    columns = [c * 9 + i for c in kept for i in range(9)]
    torch.testing.assert_close(small.fc1.weight.data, model.fc1.weight.data[rows][:, columns])
    with torch.no_grad():
        model.fc1.weight[:, [i for i in range(72) if i not in columns]] = 0
        model.fc2.weight[:, [i for i in range(20) if i not in rows]] = 0
        t = torch.randn(4, *x.shape[1:])
        torch.testing.assert_close(small(t), model(t), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_heads_go_with_what_states_them(how, mlc):
    model, x = network("attention")
    write(mlc, model, x, how)
    said = json.loads(mlc.ok("prune", "net.pt", "--method", "channels", "--list-groups", "--json", "--input", spec(x)).stdout)
    group = next(group for group in said["groups"] if any("qkv.weight" in weight for weight in group["weights"]))
    assert (group["units"], group["can_go"]) == (6, 6), group
    prune(mlc, "--amount", "0.5", "--input", spec(x))
    found = shapes(mlc.cwd / "small.pt")
    assert found["qkv.weight"] == (72, 48) and found["out.weight"] == (48, 24) and found["up.weight"] == (48, 48)
    check(mlc, x, model)


def test_a_fixed_batch_stays_any(mlc):
    """Sizes that the program computes from those of its inputs do not become numbers."""
    model, x = network("attention")
    write(mlc, model, x, "traced")
    prune(mlc, "--amount", "0.5")  # the file tells the sizes it was traced with
    assert shapes(mlc.cwd / "small.pt")["qkv.weight"] == (72, 48)
    check(mlc, x, model)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(30, 16), nn.Linear(16, 30, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(torch.relu(self.embed(ids)))


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_tied_weights_stay_tied(how, mlc):
    torch.manual_seed(0)
    write(mlc, Tied(), torch.randint(0, 30, (2, 5)), how)
    prune(mlc, "--amount", "0.5", "--input", "ids:i64[batch=1..4,5]=0..29")
    small = torch.jit.load(mlc.cwd / "small.pt")
    assert small.embed.weight.shape == (30, 8) and small.embed.weight.data_ptr() == small.head.weight.data_ptr()
    assert small(torch.randint(0, 30, (3, 7))).shape == (3, 7, 30)


class Norms(nn.Module):
    """Scripted, all norms share the function that is given their groups."""

    def __init__(self):
        super().__init__()
        self.a, self.an, self.b, self.bn = nn.Conv2d(3, 16, 1), nn.GroupNorm(4, 16), nn.Conv2d(16, 24, 1), nn.GroupNorm(8, 24)
        self.inst, self.fc = nn.InstanceNorm2d(24), nn.Linear(24, 3)

    def forward(self, x):
        x = F.relu(self.an(self.a(x)))
        return self.fc(F.relu(self.inst(self.bn(self.b(x)))).amax([2, 3]))


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_groups_of_norms_follow(how, mlc):
    torch.manual_seed(1)
    model, x = Norms().eval(), torch.randn(2, 3, 8, 8)
    write(mlc, model, x, how)
    prune(mlc, "--amount", "0.5", "--input", spec(x))
    found = shapes(mlc.cwd / "small.pt")
    assert found["an.weight"] == (8,) and found["bn.weight"] == (12,)
    check(mlc, x, model)
    other = onnx_route(mlc, x, "--amount", "0.5")
    np.testing.assert_allclose(torch.jit.load(mlc.cwd / "small.pt")(x).detach().numpy(), other(x), rtol=1e-3, atol=1e-4)


class Stated(nn.Module):
    """What the code says in a way that nobody can change stays."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 24), nn.Linear(24, 16), nn.Linear(16, 3)
        self.register_buffer("scale", torch.rand(24))

    def forward(self, x):
        y = torch.relu(self.a(x)) * self.scale
        y = y * torch.linspace(0.5, 1.0, 24)
        return self.c(torch.relu(self.b(y)))


def test_constants_of_the_code_stay_with_the_reason(mlc):
    model = Stated().eval()
    write(mlc, model, torch.randn(2, 8), "traced")
    said = json.loads(mlc.ok("prune", "net.pt", "--method", "channels", "--list-groups", "--json").stdout)
    reasons = {weight: group["reason"] for group in said["groups"] for weight in group["weights"]}
    assert reasons["a.weight"] and not reasons["b.weight"], reasons
    prune(mlc, "--amount", "0.5")
    found = shapes(mlc.cwd / "small.pt")
    assert found["a.weight"] == (24, 8) and found["b.weight"] == (8, 24) and found["scale"] == (24,)


def test_rounding_scope_and_globs_count(mlc):
    model, x = network("grouped")
    write(mlc, model, x, "traced")
    prune(mlc, "--amount", "0.3", "--round-to", "8", "--input", spec(x), "--exclude", "h.weight")
    found = shapes(mlc.cwd / "small.pt")
    assert found["h.weight"][0] == 48 and found["t.weight"][0] == 32 and found["a.weight"][0] % 8 == 0 and found["a.weight"][0] < 32
    prune(mlc, "--amount", "0.3", "--scope", "global", "--norm", "l2", "--force")
    check(mlc, x, model)
    done = prune(mlc, "--amount", "0.3", "--include", "nothing*", "--force", code=2)
    assert "nothing*" in done.stderr


def test_samples_make_up_for_channels(mlc):
    model, x = network("flat")
    write(mlc, model, x, "traced")
    np.save(mlc.cwd / "x.npy", np.random.default_rng(1).standard_normal((256, 1, 8, 8)).astype(np.float32))
    t = torch.from_numpy(np.random.default_rng(2).standard_normal((16, 1, 8, 8)).astype(np.float32))
    errors = []
    for more in ([], ["--calib", "x.npy"]):
        said = json.loads(prune(mlc, "--amount", "0.4", "--force", "--json", *more).stdout)
        errors.append((torch.jit.load(mlc.cwd / "small.pt")(t) - model(t)).norm().item())
    assert said["compensated"] > 0 and errors[1] < 0.8 * errors[0], errors


def test_gates_hold(mlc):
    model, x = network("flat")
    write(mlc, model, x, "traced")
    done = prune(mlc, "--amount", "0.9", "--min-cosine", "0.9999", code=1)
    assert "below 0.9999" in done.stderr and not (mlc.cwd / "small.pt").exists()
    prune(mlc, "--amount", "0.1", "--min-sqnr", "-20")


def test_a_dry_run_writes_nothing(mlc):
    model, x = network("flat")
    write(mlc, model, x, "scripted")
    said = json.loads(mlc.ok("prune", "net.pt", "-n", "--method", "channels", "--amount", "0.5", "--json", "--input", spec(x)).stdout)
    assert said["dry_run"] and said["gone"] > 0 and said["file_bytes"] > 0
    assert sorted(path.name for path in mlc.cwd.iterdir()) == ["net.pt"]


def test_files_beside_the_model_stay_and_bytes_are_the_same(mlc):
    model, x = network("flat")
    write(mlc, model, x, "traced", _extra_files={"labels.txt": "cat\ndog\n"})
    prune(mlc, "--amount", "0.5")
    prune(mlc, "--amount", "0.5", out="other.pt")
    first, second = (zipfile.ZipFile(mlc.cwd / name) for name in ("small.pt", "other.pt"))
    content = lambda file: {name.split("/", 1)[1]: hashlib.sha256(file.read(name)).hexdigest() for name in file.namelist()}
    assert content(first) == content(second)
    extra = {"labels.txt": "", "mlc/inputs.txt": ""}
    torch.jit.load(mlc.cwd / "small.pt", _extra_files=extra)
    assert extra["labels.txt"] == b"cat\ndog\n" and b"x:f32" in extra["mlc/inputs.txt"]
    mlc.ok("run", "small.pt", "-o", "y.npz")  # with the inputs it tells
    prune(mlc, "--amount", "0.5", source="small.pt", out="smaller.pt")
    assert shapes(mlc.cwd / "smaller.pt")["conv.weight"][0] == 2


def test_half_precision_and_gradients_stay(mlc):
    model, x = network("flat")
    model.half()
    model.fc2.requires_grad_(False)
    torch.jit.script(model).save(mlc.cwd / "net.pt")
    prune(mlc, "--amount", "0.5", "--input", spec(x).replace("f32", "f16"))
    small = torch.jit.load(mlc.cwd / "small.pt")
    assert {p.dtype for p in small.parameters()} == {torch.float16}
    assert small.conv.weight.requires_grad and not small.fc2.weight.requires_grad


def test_a_model_in_training_mode_is_read_in_evaluation_mode(mlc):
    model, x = network("resnet")
    torch.jit.script(model.train()).save(mlc.cwd / "net.pt")
    done = prune(mlc, "--amount", "0.5", "--input", spec(x))
    assert "training mode" in done.stderr
    check(mlc, x, model.eval())


def test_the_unchanged_rest_of_the_program(mlc):
    """Branches and loops of scripts stay; only numbers change."""
    class Loops(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.blocks, self.b = nn.Linear(6, 32), nn.ModuleList(nn.Linear(32, 32) for _ in range(3)), nn.Linear(32, 2)

        def forward(self, x, more: bool = False):
            x = torch.relu(self.a(x))
            for block in self.blocks:
                x = x + torch.relu(block(x.view(-1, 2, 16).reshape(x.size(0), 32)))
            if more:
                x = x * 2
            return self.b(x)
    torch.manual_seed(0)
    model, x = Loops(), torch.randn(2, 6)
    torch.jit.script(model).save(mlc.cwd / "net.pt")
    prune(mlc, "--amount", "0.5", "--input", spec(x))
    small = torch.jit.load(mlc.cwd / "small.pt")
    assert small.a.weight.shape == (16, 6)
    assert small(torch.randn(7, 6), True).shape == (7, 2)
    assert "if more" in small.code


def quantised(model, x, path):
    return torch.jit.script(torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8)).save(path)


def frozen(model, _, path):
    torch.jit.freeze(torch.jit.script(model)).save(path)


def plain(model, _, path):
    torch.jit.script(model).save(path)


REFUSED = [
    (plain, "--amount 0.5", 2, "--input"),
    (plain, "--amount 0.5 --input x:f32[2,4,5,5]", 2, "x"),
    (plain, "--amount 0.5 --input y:f32[2,1,8,8]", 2, "y"),
    (plain, "--amount 0.5 --input x:f32[2,1,8,8] --arch a.yaml", 2, "this is TorchScript"),
    (plain, "--amount 0.5 --input x:f32[2,1,8,8] --emit-arch a.yaml", 2, "this is TorchScript"),
    (frozen, "--amount 0.5 --input x:f32[2,1,8,8]", 1, "torch.jit.freeze"),
    (quantised, "--amount 0.5 --input x:f32[2,1,8,8]", 1, "quantised"),
    (plain, "--amount 0.0001 --input x:f32[2,1,8,8]", 1, "no channel goes"),
]


@pytest.mark.parametrize("kind, args, code, says", REFUSED, ids=[f"{kind.__name__} {args}" for kind, args, _, _ in REFUSED])
def test_what_makes_no_sense_is_refused(kind, args, code, says, mlc):
    model, x = network("flat")
    kind(model, x, mlc.cwd / "net.pt")
    (mlc.cwd / "a.yaml").write_text("mlc: architecture/1\n")
    before = sorted(path.name for path in mlc.cwd.iterdir())
    done = mlc("prune", "net.pt", "-o", "small.pt", "--method", "channels", *args.split())
    assert done.rc == code and says in done.stderr, (done.rc, done.stderr)
    assert sorted(path.name for path in mlc.cwd.iterdir()) == before


def test_outputs_are_called_pt_and_never_in_place(mlc):
    model, x = network("flat")
    write(mlc, model, x, "traced")
    assert "name it .pt" in prune(mlc, "--amount", "0.5", out="small.onnx", code=2).stderr
    assert mlc("prune", "net.pt", "--in-place", "--method", "channels", "--amount", "0.5").rc == 2


class Widths(nn.Module):
    """The width of a head is a part of that of what goes in, which loses channels of its own."""

    def __init__(self):
        super().__init__()
        self.e, self.qkv, self.o, self.up, self.fc = nn.Linear(8, 24), nn.Linear(24, 72), nn.Linear(24, 24), nn.Linear(24, 96), nn.Linear(96, 5)

    def forward(self, x):
        x = self.e(x)
        b, t, c = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, 6, c // 6).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c)
        return self.fc(F.relu(self.up(x + self.o(y))))


@pytest.mark.parametrize("form", [torch.jit.script, lambda model: torch.jit.trace(model, torch.randn(2, 5, 8))], ids=["script", "trace"])
def test_widths_that_are_computed_of_channels_failed_as_a_whole(mlc, form):
    torch.manual_seed(0)
    form(Widths().eval()).save(mlc.cwd / "in.pt")
    answer = mlc.ok("prune", "in.pt", "-o", "out.pt", "--method", "channels", "--amount", "0.5", "--input", "x:f32[b=2,t=5,8]", "--json").json
    assert [(group["channels"], group["gone"]) for group in answer["groups"]] == [(24, 12), (72, 3), (96, 48), (5, 0)]
    state = torch.jit.load(mlc.cwd / "out.pt")
    assert state.qkv.weight.shape == (36, 12) and state(torch.randn(4, 9, 8)).shape == (4, 9, 5)


class Groups(nn.Module):
    """Four heads of keys, eight of queries: every size but those of heads is free."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = nn.Linear(64, 64), nn.Linear(64, 32), nn.Linear(64, 32), nn.Linear(64, 64)

    def forward(self, x):
        b, t, _ = x.size()
        q = self.q(x).view(b, t, 8, 8).transpose(1, 2)
        k, v = self.k(x).view(b, t, 4, 8).transpose(1, 2), self.v(x).view(b, t, 4, 8).transpose(1, 2)
        k = k.unsqueeze(2).expand(b, 4, 2, t, 8).reshape(b, 8, t, 8)
        v = v.unsqueeze(2).expand(b, 4, 2, t, 8).reshape(b, 8, t, 8)
        return x + self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, -1))


@pytest.mark.parametrize("how", ["script", "trace"])
def test_heads_of_views_whose_first_sizes_are_free_were_not_counted(mlc, how):
    torch.manual_seed(0)
    x = torch.randn(2, 5, 64)
    model = Groups().eval()
    (torch.jit.script(model) if how == "script" else torch.jit.trace(model, x)).save(mlc.cwd / "net.pt")
    said = mlc.ok("prune", "net.pt", "-o", "small.pt", "--method", "channels", "--amount", "0.5", "--input", "x:f32[b=2,t=5,64]", "--json").json
    assert said["verified"] and said["gone"] == 32
    assert shapes(mlc.cwd / "small.pt")["k.weight"] == (16, 64) and shapes(mlc.cwd / "small.pt")["q.weight"] == (32, 64)
    assert torch.jit.load(mlc.cwd / "small.pt")(torch.randn(3, 9, 64)).shape == (3, 9, 64)
