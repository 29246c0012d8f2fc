"""mlc prune --method channels of checkpoints with their architecture: both get smaller, and fit."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from torch.nn import functional as F

from test_example_architectures import FOLDER, original

pytestmark = [pytest.mark.usefixtures("engine", "onnx_checker", "onnxruntime_engine"), pytest.mark.filterwarnings("ignore::UserWarning"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning")]

HEADS = """# A transformer block; the comment stays.
mlc: architecture/1
inputs: ["x:f32[batch=1..8,length=1..16,48]"]
outputs: [y]
modules:
  block: {type: Block, width: 48, heads: 4}   # four heads
  fc: {type: Linear, in_features: 48, out_features: 3}
classes:
  Block:
    parameters: {width: int, heads: int, inner: {type: int, default: 48}}
    modules:
      query: {type: Linear, in_features: $width, out_features: $inner}
      key: {type: Linear, in_features: $width, out_features: $inner}
      value: {type: Linear, in_features: $width, out_features: $inner}
      out: {type: Linear, in_features: $inner, out_features: $width}
    forward: |
      def split(self, x: Tensor) -> Tensor:
          return x.view(x.size(0), x.size(1), HEADS, -1).transpose(1, 2)

      def forward(self, x: Tensor) -> Tensor:
          y = F.scaled_dot_product_attention(self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x)))
          return x + self.out(y.transpose(1, 2).flatten(2))
forward: |
  def forward(self, x: Tensor) -> Tensor:
      return self.fc(self.block(x))
"""

GROUPS = """mlc: architecture/1
inputs: ["x:f32[batch=1..8,4,h=9,w=9]"]
modules:
  stem: {type: Conv2d, in_channels: 4, out_channels: 24, kernel_size: 3, padding: 1}
  bn: {type: BatchNorm2d, num_features: 24}
  deep: {type: Conv2d, in_channels: 24, out_channels: 24, kernel_size: 3, groups: 24}
  mixed: {type: Conv2d, in_channels: 24, out_channels: 32, kernel_size: 1, groups: 4, bias: false}
  norm: {type: GroupNorm, num_groups: 8, num_channels: 32}
  up: {type: ConvTranspose2d, in_channels: 32, out_channels: 12, kernel_size: 2, stride: 2}
  act: {type: PReLU}
  head: {type: Conv2d, in_channels: 12, out_channels: 2, kernel_size: 1}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      x = self.deep(F.relu(self.bn(self.stem(x))))
      return self.head(self.act(self.up(self.norm(self.mixed(x)))))
"""

TIED = """mlc: architecture/1
inputs: ["ids:i64[batch=1..4,length=1..8]"]
modules:
  embed: {type: Embedding, num_embeddings: 30, embedding_dim: 16}
  head: {type: Linear, in_features: 16, out_features: 30, bias: false}
tie: {head.weight: embed.weight}
forward: |
  def forward(self, ids: Tensor) -> Tensor:
      return self.head(torch.relu(self.embed(ids)))
"""

OWN = """mlc: architecture/1
inputs: ["x:f32[batch=1..8,10]"]
parameters:
  hidden: {type: int, default: 20}
  scale: {shape: [$hidden]}
modules:
  a: {type: Linear, in_features: 10, out_features: $hidden}
  b: {type: Linear, in_features: $hidden, out_features: 4}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      return self.b(F.gelu(self.a(x)) * self.scale)
"""


def make(mlc, text, name="net.pt", seed=0, **extra):
    """An architecture and random weights for it, whose shapes the state_dict of mlc tells."""
    (mlc.cwd / "net.yaml").write_text(text)
    import script_modules
    torch.manual_seed(seed)
    state = {}
    for key, dtype, shape in script_modules.dump(mlc.cwd / "net.yaml")["state_dict"]:
        state[key] = torch.rand(shape) * 0.5 + 0.75 if "var" in key else torch.randn(shape) * 0.3 if "float" in dtype else torch.zeros(shape, dtype=torch.int64)
    if "head.weight" in state and "embed.weight" in state:
        state["head.weight"] = state["embed.weight"]
    if name.endswith(".pt"):
        torch.save({**state, **extra} if not extra else {"model": state, **extra}, mlc.cwd / name)
    else:
        safetensors.torch.save_file(state, mlc.cwd / name)
    return state


def prune(mlc, *args, code=0, source="net.pt", out="small.pt"):
    done = mlc("prune", source, "-o", out, "--arch", "net.yaml", "--emit-arch", "small.yaml", "--method", "channels", *args)
    assert done.rc == code, done.stderr
    return done


def shapes(path):
    found = safetensors.torch.load_file(path) if str(path).endswith("safetensors") else torch.load(path)
    return {key: tuple(tensor.shape) for key, tensor in found.items()}


def outputs(mlc, weights, arch, *inputs):
    mlc.ok("run", weights, "--arch", arch, *inputs, "-o", "out.npz")
    found = dict(np.load(mlc.cwd / "out.npz"))
    (mlc.cwd / "out.npz").unlink()
    return next(iter(found.values()))


@pytest.mark.parametrize("name, amount", [("digits_cnn", 0.5), ("unet", 0.3), ("resnet18", 0.5), ("mobilenet_v2", 0.25), ("transformer_encoder", 0.5), ("llama_small", 0.5)])
def test_examples_and_their_weights_stay_together(name, amount, mlc):
    torch.save(original(name).state_dict(), mlc.cwd / "net.pt")
    text = (FOLDER / f"{name}.yaml").read_text()
    (mlc.cwd / "net.yaml").write_text(text)
    said = json.loads(prune(mlc, "--amount", str(amount), "--json").stdout)
    assert said["architecture"] == "small.yaml" and said["gone"] > 0 and said["verified"]
    made, inputs = (mlc.cwd / "small.yaml").read_text(), ["--input", "image:f32[2,3,64,64]"] if name == "unet" else []
    assert [line.split("#")[1:] for line in made.splitlines()] == [line.split("#")[1:] for line in text.splitlines()]
    mlc.ok("load", "small.pt", "--expect", "small.yaml", "--summary")
    mlc.ok("export-onnx", "small.pt", "--arch", "small.yaml", "-o", "small.onnx", "--no-verify")
    mlc.ok("verify", "small.onnx", "small.pt", "--arch", "small.yaml", *inputs)
    assert sum(t.numel() for t in torch.load(mlc.cwd / "small.pt").values()) < sum(t.numel() for t in torch.load(mlc.cwd / "net.pt").values())


def test_the_onnx_model_of_the_same_request_is_the_same(mlc):
    """Without batch norms, which export-onnx folds, the scores are the same."""
    make(mlc, HEADS.replace("HEADS", "self.heads"))
    prune(mlc, "--amount", "0.5")
    mlc.ok("export-onnx", "net.pt", "--arch", "net.yaml", "-o", "net.onnx")
    mlc.ok("prune", "net.onnx", "-o", "small.onnx", "--method", "channels", "--amount", "0.5")
    mlc.ok("verify", "small.onnx", "small.pt", "--arch", "small.yaml")


def test_heads_that_the_class_names_become_fewer(mlc):
    before = make(mlc, HEADS.replace("HEADS", "self.heads"))
    prune(mlc, "--amount", "0.5")
    made = yaml.safe_load((mlc.cwd / "small.yaml").read_text())
    assert made["modules"]["block"] == {"type": "Block", "width": 48, "heads": 2}
    assert made["classes"]["Block"]["parameters"]["inner"]["default"] == 24
    after = torch.load(mlc.cwd / "small.pt")
    x = torch.randn(2, 5, 48)
    np.save(mlc.cwd / "x.npy", x.numpy())
    found = outputs(mlc, "small.pt", "small.yaml", "--input", "x=@x.npy")
    # PyTorch with all heads, two of which nobody reads.
    kept = [h for h in range(4) if any(torch.equal(before["block.query.weight"][12 * h: 12 * h + 12], after["block.query.weight"][12 * i: 12 * i + 12]) for i in range(2))]
    assert len(kept) == 2
    q, k, v = (F.linear(x, before[f"block.{n}.weight"], before[f"block.{n}.bias"]).view(2, 5, 4, 12).transpose(1, 2) for n in ("query", "key", "value"))
    y = F.scaled_dot_product_attention(q, k, v)
    y[:, [h for h in range(4) if h not in kept]] = 0
    y = x + F.linear(y.transpose(1, 2).flatten(2), before["block.out.weight"], before["block.out.bias"])
    wanted = F.linear(y, before["fc.weight"], before["fc.bias"])
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_heads_that_the_text_says_stay(mlc):
    make(mlc, HEADS.replace("HEADS", "4"))
    said = json.loads(mlc.ok("prune", "net.pt", "--arch", "net.yaml", "--method", "channels", "--list-groups", "--json").stdout)
    assert "the forward of block says 4" in {group["reason"] for group in said["groups"]}
    done = prune(mlc, "--amount", "0.5", code=1)
    assert "no channel can go" in done.stderr and "the forward of block says 4" in done.stderr
    assert sorted(path.name for path in mlc.cwd.iterdir()) == ["net.pt", "net.yaml"]


def test_groups_follow_in_weights_and_text(mlc):
    make(mlc, GROUPS)
    prune(mlc, "--amount", "0.5")
    made = yaml.safe_load((mlc.cwd / "small.yaml").read_text())["modules"]
    assert (made["stem"]["out_channels"], made["bn"]["num_features"]) == (12, 12)
    assert (made["deep"]["in_channels"], made["deep"]["out_channels"], made["deep"]["groups"]) == (12, 12, 12)
    assert made["mixed"]["in_channels"] == 12 and 12 % made["mixed"]["groups"] == 0
    assert made["up"]["out_channels"] == made["head"]["in_channels"] == 6
    found = shapes(mlc.cwd / "small.pt")
    assert found["deep.weight"] == (12, 1, 3, 3)
    mlc.ok("load", "small.pt", "--expect", "small.yaml")


def test_weights_that_onnx_has_in_another_form_stay(mlc):
    make(mlc, GROUPS.replace("PReLU", "PReLU, num_parameters: 12"))
    prune(mlc, "--amount", "0.5")
    assert shapes(mlc.cwd / "small.pt")["act.weight"] == (12,) and shapes(mlc.cwd / "small.pt")["stem.weight"][0] == 12


def test_tied_weights_stay_tied(mlc):
    make(mlc, TIED)
    prune(mlc, "--amount", "0.5")
    found = torch.load(mlc.cwd / "small.pt")
    assert found["embed.weight"].shape == (30, 8) and found["embed.weight"].data_ptr() == found["head.weight"].data_ptr()
    assert yaml.safe_load((mlc.cwd / "small.yaml").read_text())["modules"]["head"]["in_features"] == 8


# No `tie`: the model reads one tensor under two names, and only the checkpoint knows.
SHARED = """mlc: architecture/1
inputs: ["ids:i64[batch=1..4,length=1..8]=0..29"]
modules:
  embed: {type: Embedding, num_embeddings: 30, embedding_dim: 16}
  up: {type: Linear, in_features: 16, out_features: 40}
  down: {type: Linear, in_features: 40, out_features: 16}
  head: {type: Linear, in_features: 16, out_features: 30, bias: false}
forward: |
  def forward(self, ids: Tensor) -> Tensor:
      x = self.embed(ids)
      return self.head(BETWEEN)
"""
RESIDUAL = "x + self.down(torch.relu(self.up(x)))"


def share(mlc, source, between):
    """A checkpoint of SHARED whose head is its table, as a .pt of one object or two, or with a name in __metadata__."""
    state = make(mlc, SHARED.replace("BETWEEN", between), "raw.pt")
    table = state["embed.weight"]
    state["head.weight"] = table if source == "one.pt" else table.view_as(table)
    torch.save(state, mlc.cwd / (source if source.endswith(".pt") else "raw.pt"))
    if not source.endswith(".pt"):
        mlc.ok("save", "raw.pt", "-o", source)
    return state


@pytest.mark.parametrize("source", ["one.pt", "two.pt", "net.safetensors"])
@pytest.mark.parametrize("between", [RESIDUAL, "self.down(torch.relu(self.up(x)))"])
@pytest.mark.parametrize("exclude", [[], ["--exclude", "embed*"]])
def test_names_of_one_tensor_share_what_is_left_of_it(source, between, exclude, mlc):
    before = share(mlc, source, between)
    out = "small" + source[source.index("."):]
    told = prune(mlc, "--amount", "0.5", *exclude, source=source, out=out).stderr
    assert "were one tensor" not in told and ("1 tied name recorded (head.weight is embed.weight)" in told) == out.endswith("s")
    mlc.ok("save", out, "-o", "back.pt")
    found = torch.load(mlc.cwd / "back.pt" if out.endswith("s") else mlc.cwd / out)
    assert found["up.weight"].shape[0] == 20 and found["embed.weight"].data_ptr() == found["head.weight"].data_ptr()
    assert len({tensor.untyped_storage().data_ptr() for tensor in found.values()}) == len(found) - 1
    assert found["embed.weight"].shape == (30, 16 if exclude else 8)
    assert not exclude or torch.equal(found["embed.weight"], before["embed.weight"])
    assert (mlc.cwd / out).stat().st_size < (mlc.cwd / source).stat().st_size
    mlc.ok("load", out, "--expect", "small.yaml")


@pytest.mark.parametrize("exclude", [[], ["--exclude", "embed*"]])
def test_names_that_lose_different_channels_part_with_a_warning(exclude, mlc):
    """In half precision each name is converted by itself, so that the model has two tensors."""
    state = {key: tensor.half() for key, tensor in share(mlc, "two.pt", RESIDUAL if not exclude else "self.down(torch.relu(self.up(x)))").items()}
    torch.save({**state, "head.weight": state["embed.weight"].view(30, 16)}, mlc.cwd / "net.pt")
    told = prune(mlc, "--amount", "0.5", *exclude).stderr
    found = torch.load(mlc.cwd / "small.pt")
    assert ("embed.weight and head.weight were one tensor" in told and "`tie`" in told) == bool(exclude)
    assert (found["embed.weight"].data_ptr() == found["head.weight"].data_ptr()) == (not exclude)
    assert found["head.weight"].shape == (30, 8) and found["embed.weight"].shape == (30, 16 if exclude else 8)
    mlc.ok("load", "small.pt", "--expect", "small.yaml")


@pytest.mark.parametrize("out", ["small.pt", "small.safetensors"])
def test_tensors_of_classes_and_formats(out, mlc):
    make(mlc, OWN, "net.safetensors")
    prune(mlc, "--amount", "5", source="net.safetensors", out=out)
    assert yaml.safe_load((mlc.cwd / "small.yaml").read_text())["parameters"]["hidden"]["default"] == 15
    assert shapes(mlc.cwd / out) == {"a.weight": (15, 10), "a.bias": (15,), "b.weight": (4, 15), "b.bias": (4,), "scale": (15,)}
    before, after = (safetensors.torch.load_file(mlc.cwd / "net.safetensors"), safetensors.torch.load_file(mlc.cwd / out) if out.endswith("s") else torch.load(mlc.cwd / out))
    kept = [i for i in range(20) if (before["a.weight"][i] == after["a.weight"]).all(1).any()]
    assert len(kept) == 15 and all(torch.equal(before[key][kept], after[key]) for key in ("a.weight", "a.bias", "scale"))


def test_half_precision_stays_it(mlc):
    state = make(mlc, OWN)
    torch.save({key: tensor.half() for key, tensor in state.items()}, mlc.cwd / "net.pt")
    prune(mlc, "--amount", "0.5")
    after = torch.load(mlc.cwd / "small.pt")
    assert {tensor.dtype for tensor in after.values()} == {torch.float16}
    assert all((row == state["a.weight"].half()).all(1).any() for row in after["a.weight"])


def test_what_lies_beside_and_the_metadata_stay(mlc):
    make(mlc, OWN, epoch=7)
    mlc.ok("save", "net.pt", "-o", "known.pt", "--key", "model", "--arch", "net.yaml")
    done = mlc("prune", "known.pt", "-o", "small.pt", "--key", "model", "--method", "channels", "--amount", "0.5")
    assert done.rc == 0, done.stderr
    assert torch.load(mlc.cwd / "small.pt")["epoch"] == 7
    mlc.ok("run", "small.pt", "--key", "model", "-o", "y.npz")
    metadata = mlc.ok("metadata", "small.pt").stdout
    assert "default: 10" in metadata and "method: channels" in metadata


def test_samples_make_up_for_channels(mlc):
    make(mlc, OWN)
    np.save(mlc.cwd / "x.npy", np.random.default_rng(1).standard_normal((256, 10)).astype(np.float32))
    np.save(mlc.cwd / "t.npy", np.random.default_rng(2).standard_normal((8, 10)).astype(np.float32))
    whole = outputs(mlc, "net.pt", "net.yaml", "--input", "x=@t.npy")
    errors = []
    for more in ([], ["--calib", "x.npy"]):
        prune(mlc, "--amount", "0.4", "--force", *more)
        errors.append(np.linalg.norm(outputs(mlc, "small.pt", "small.yaml", "--input", "x=@t.npy") - whole))
    assert errors[1] < 0.7 * errors[0], errors


def test_a_copy_of_a_module_cannot_have_another_size(mlc):
    text = """mlc: architecture/1
inputs: ["x:f32[batch=1..8,10]"]
modules:
  blocks: {repeat: 2, type: Block, hidden: 20}
  out: {type: Linear, in_features: 10, out_features: 2}
classes:
  Block:
    parameters: {hidden: int}
    modules:
      a: {type: Linear, in_features: 10, out_features: $hidden}
      b: {type: Linear, in_features: $hidden, out_features: 10}
    forward: |
      def forward(self, x: Tensor) -> Tensor:
          return x + self.b(F.relu(self.a(x)))
forward: |
  def forward(self, x: Tensor) -> Tensor:
      for block in self.blocks:
          x = block(x)
      return self.out(x)
"""
    state = make(mlc, text)
    state["blocks.0.a.weight"][:12] *= 0.01
    state["blocks.0.b.weight"][:, :12] *= 0.01
    torch.save(state, mlc.cwd / "net.pt")
    done = prune(mlc, "--amount", "0.3", "--scope", "global", "--exclude", "out*", code=1)
    assert 'net.yaml:4:44: "20" would have to be' in done.stderr and "blocks.1" in done.stderr
    assert sorted(path.name for path in mlc.cwd.iterdir()) == ["net.pt", "net.yaml"]
    prune(mlc, "--amount", "0.3", "--exclude", "out*")
    assert yaml.safe_load((mlc.cwd / "small.yaml").read_text())["modules"]["blocks"]["hidden"] == 14


def test_a_dry_run_writes_nothing(mlc):
    make(mlc, OWN)
    mlc.ok("prune", "net.pt", "-n", "--arch", "net.yaml", "--method", "channels", "--amount", "0.5")
    assert sorted(path.name for path in mlc.cwd.iterdir()) == ["net.pt", "net.yaml"]


REFUSED = [
    ("net.pt --amount 0.5", 4, "--arch"),
    ("net.pt --amount 0.5 --arch none.yaml", 3, "none.yaml"),
    ("net.pt --amount 0.5 --arch other.yaml", 2, "does not fit the architecture"),
    ("net.pt --amount 0.5 --arch net.yaml --emit-arch net.yaml", 2, "net.yaml"),
    ("script.pt --amount 0.5 --arch net.yaml", 2, "this is TorchScript"),
    ("none.pt --amount 0.5 --arch net.yaml", 3, "none.pt"),
    ("net.onnx --amount 0.5 --arch net.yaml", 2, "of checkpoints"),
]


@pytest.mark.parametrize("args, code, says", REFUSED, ids=[row[0] for row in REFUSED])
def test_what_makes_no_sense_is_refused(args, code, says, mlc):
    make(mlc, OWN)
    (mlc.cwd / "other.yaml").write_text(OWN.replace("default: 20", "default: 21"))
    mlc.ok("trace", "net.pt", "--arch", "net.yaml", "-o", "script.pt")
    mlc.ok("export-onnx", "net.pt", "--arch", "net.yaml", "-o", "net.onnx")
    before = sorted(path.name for path in mlc.cwd.iterdir())
    done = mlc("prune", *args.split(), "-o", "small.onnx" if "onnx" in args else "small.pt", "--method", "channels")
    assert done.rc == code and says in done.stderr, (done.rc, done.stderr)
    assert sorted(path.name for path in mlc.cwd.iterdir()) == before


NORMED = """mlc: architecture/1
inputs: ["x:f32[batch=1..8,3,h=8,w=8]"]
modules:
  a: {type: Conv2d, in_channels: 3, out_channels: 16, kernel_size: 3, padding: 1, bias: false}
  an: {type: BatchNorm2d, num_features: 16}
  d: {type: Conv2d, in_channels: 16, out_channels: 16, kernel_size: 3, padding: 1, groups: 16, bias: false}
  dn: {type: BatchNorm2d, num_features: 16}
  b: {type: Conv2d, in_channels: 16, out_channels: 12, kernel_size: 3, padding: 1, bias: false}
  bn: {type: BatchNorm2d, num_features: 12}
  fc: {type: Linear, in_features: 12, out_features: 3}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      x = F.relu(self.an(self.a(x)))
      x = F.relu(self.dn(self.d(x)))
      x = F.relu(self.bn(self.b(x)))
      return self.fc(x.mean([2, 3]))
"""


def norm_outputs(state, x):
    """What each batch norm of NORMED gives in PyTorch."""
    out = {}
    for conv, norm in (("a", "an"), ("d", "dn"), ("b", "bn")):
        groups = state["d.weight"].shape[0] if conv == "d" else 1
        x = F.conv2d(x, state[f"{conv}.weight"], padding=1, groups=groups)
        x = F.batch_norm(x, *(state[f"{norm}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")))
        out[norm] = x.transpose(0, 1).flatten(1).double()
        x = F.relu(x)
    return out


def test_batch_norms_are_estimated_again(mlc):
    before = make(mlc, NORMED)
    x = torch.randn(64, 3, 8, 8) + 0.3
    np.save(mlc.cwd / "x.npy", x.numpy())
    said = json.loads(prune(mlc, "--amount", "0.4", "--calib", "x.npy", "--json").stdout)
    assert said["norms"] == 1  # to the second each channel comes by itself, as it was
    after = torch.load(mlc.cwd / "small.pt")
    wanted, found = norm_outputs(before, x), norm_outputs(after, x)
    for norm in ("bn",):
        scales = before[f"{norm}.weight"]
        kept = [next(i for i in range(len(scales)) if scales[i] == one) for one in after[f"{norm}.weight"]]
        assert len(kept) < len(scales)
        for k, c in enumerate(kept):
            large, small = wanted[norm][c], found[norm][k]
            assert abs((large.mean() - small.mean()).item()) < 1e-3
            if torch.corrcoef(torch.stack([large, small]))[0, 1] > 0.1:
                slope = ((large - large.mean()) * (small - small.mean())).mean() / small.var(unbiased=False)
                assert abs(slope.item() - 1) < 1e-2
