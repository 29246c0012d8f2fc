"""What load_state_dict() takes or refuses beside names and shapes, the same in every verb."""

import numpy as np
import pytest
import torch

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::UserWarning")]

NORM = """mlc: architecture/1
inputs: ['x:f32[batch=2,4]']
modules:
  l: {type: Linear, in_features: 4, out_features: 3}
  bn: {type: BatchNorm1d, num_features: 3}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      return self.bn(self.l(x))
"""

TIED = """mlc: architecture/1
inputs: ['ids:i64[batch=2,3]=0..4']
modules:
  wte: {type: Embedding, num_embeddings: 5, embedding_dim: 4}
  lm_head: {type: Linear, in_features: 4, out_features: 5, bias: false}
tie: {lm_head.weight: wte.weight}
forward: |
  def forward(self, ids: Tensor) -> Tensor:
      return self.lm_head(self.wte(ids))
"""


class Norm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.l = torch.nn.Linear(4, 3)
        self.bn = torch.nn.BatchNorm1d(3)

    def forward(self, x):
        return self.bn(self.l(x))


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = torch.nn.Embedding(5, 4)
        self.lm_head = torch.nn.Linear(4, 5, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, ids):
        return self.lm_head(self.wte(ids))


def old_norm(name):
    torch.manual_seed(3)
    model = Norm().eval()
    state = model.state_dict()
    if name == "old":
        state = {key: value for key, value in state.items() if "num_batches" not in key}
    elif name == "one element":
        state["bn.num_batches_tracked"] = torch.tensor([4])
    else:
        del state["bn.num_batches_tracked"]  # _metadata says version 2
    return model, state


@pytest.mark.parametrize("name", ["old", "one element", "versioned"])
def test_old_batch_norms_passed_expect_but_did_not_run(mlc, tmp_path, name):
    model, state = old_norm(name)
    torch.save(state, tmp_path / "m.pt")
    (tmp_path / "a.yaml").write_text(NORM)
    try:
        Norm().load_state_dict(state)
        accepted = True
    except RuntimeError:
        accepted = False
    assert accepted == (name != "versioned")
    x = torch.randn(2, 4)
    np.save(tmp_path / "x.npy", x.numpy())
    verbs = [("load", "m.pt", "--expect", "a.yaml"),
             ("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "out.npz"),
             ("trace", "m.pt", "--arch", "a.yaml", "-o", "t.pt"),
             ("save", "m.pt", "--arch", "a.yaml", "-o", "s.pt")]
    for arguments in verbs:
        assert (mlc(*arguments).rc == 0) == accepted, arguments
    if not accepted:
        return
    ours = torch.as_tensor(next(iter(np.load(tmp_path / "out.npz").values())))
    torch.testing.assert_close(ours, model(x).detach())
    traced = torch.jit.load(tmp_path / "t.pt")
    torch.testing.assert_close(traced(x), model(x))
    assert traced.state_dict()["bn.num_batches_tracked"].item() == (4 if name == "one element" else 0)
    mlc.ok("run", "s.pt", "--input", "x=@x.npy")


@pytest.mark.parametrize("missing", ["lm_head.weight", "wte.weight"])
def test_one_name_of_a_tied_tensor_was_not_enough(mlc, valid, tmp_path, missing):
    torch.manual_seed(4)
    model = Tied().eval()
    state = model.state_dict()
    del state[missing]
    there = next(iter(state))
    torch.save(state, tmp_path / "m.pt")
    torch.save(model.state_dict(), tmp_path / "full.pt")
    (tmp_path / "a.yaml").write_text(TIED)
    told = mlc.ok("load", "m.pt", "--expect", "a.yaml", "--json").json
    valid(told, "load")
    assert told["expect"]["tied"] == [{"name": missing, "under": there}] and told["expect"]["missing"] == []
    assert f"tied         {missing} is {there}: one name" in mlc.ok("load", "m.pt", "--expect", "a.yaml").stdout
    ids = torch.tensor([[0, 1, 4], [3, 2, 2]])
    np.save(tmp_path / "ids.npy", ids.numpy())
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "ids=@ids.npy", "-o", "out.npz")
    torch.testing.assert_close(torch.as_tensor(next(iter(np.load(tmp_path / "out.npz").values()))), model(ids).detach())
    mlc.ok("trace", "m.pt", "--arch", "a.yaml", "-o", "t.pt")
    torch.testing.assert_close(torch.jit.load(tmp_path / "t.pt")(ids), model(ids))
    mlc.ok("save", "m.pt", "--arch", "a.yaml", "-o", "s.pt")
    mlc.ok("save", "full.pt", "--arch", "a.yaml", "-o", "f.pt")
    mlc.ok("verify", "s.pt", "f.pt")
    mlc.ok("export-onnx", "s.pt", "-o", "m.onnx")


def test_a_tied_tensor_without_any_of_its_names_is_missing(mlc, tmp_path):
    torch.save({"other": torch.ones(1)}, tmp_path / "m.pt")
    (tmp_path / "a.yaml").write_text(TIED)
    result = mlc("load", "m.pt", "--expect", "a.yaml", "--json")
    assert result.rc == 1 and result.json["expect"]["missing"] == ["wte.weight", "lm_head.weight"]
    assert result.json["expect"]["tied"] == []


def forms():
    dense = torch.eye(3, 4)
    return {"dense": dense, "sparse_coo": dense.to_sparse(), "sparse_csr": dense.to_sparse_csr(),
            "qint8": torch.quantize_per_tensor(dense, 0.1, 0, torch.qint8), "meta": dense.to("meta")}


@pytest.mark.parametrize("wanted", sorted(forms()))
@pytest.mark.parametrize("found", sorted(forms()))
def test_forms_that_copy_refuses_were_as_expected(mlc, valid, tmp_path, found, wanted):
    try:
        forms()[wanted].clone().copy_(forms()[found])
        accepted = True
    except RuntimeError:
        accepted = False
    torch.save({"w": forms()[found]}, tmp_path / "found.pt")
    torch.save({"w": forms()[wanted]}, tmp_path / "wanted.pt")
    result = mlc("load", "found.pt", "--expect", "wanted.pt", "--json")
    assert result.rc == (0 if accepted else 1)
    valid(result.json, "load")
    assert result.json["expect"]["other_forms"] == (
        [] if accepted else [{"name": "w", "found": found, "expected": wanted}])


@pytest.mark.parametrize("form", ["sparse_coo", "qint8"])
def test_weights_of_another_form_fitted_an_architecture(mlc, tmp_path, form):
    state = dict(old_norm("one element")[1])
    weight = state["l.weight"]
    quantized = torch.quantize_per_tensor(weight, 0.01, 0, torch.qint8)
    state["l.weight"] = weight.to_sparse() if form == "sparse_coo" else quantized
    with pytest.raises(RuntimeError):
        Norm().load_state_dict(state)
    torch.save(state, tmp_path / "m.pt")
    (tmp_path / "a.yaml").write_text(NORM)
    said = f'While copying the parameter named "l.weight": the checkpoint has a {form} tensor, the model a dense one.'
    shown = mlc("load", "m.pt", "--expect", "a.yaml")
    assert shown.rc == 1 and said in shown.stdout
    assert f"hint: in Python `tensor.{'to_dense' if form == 'sparse_coo' else 'dequantize'}()`" in shown.stdout
    run = mlc("run", "m.pt", "--arch", "a.yaml")
    assert run.rc == 2 and said[:-1] in run.stderr


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("around", ["", "enc."])
def test_keys_of_the_old_weight_norm_were_missing(mlc, tmp_path, around):
    norm = torch.nn.utils.parametrizations.weight_norm

    def model(normed):
        inner = torch.nn.Sequential(normed(torch.nn.Linear(3, 2)), torch.nn.Linear(2, 2), normed(torch.nn.Conv1d(2, 2, 1)))
        return torch.nn.ModuleDict({"enc": inner}) if around else inner

    old, new = model(torch.nn.utils.weight_norm), model(norm)
    new.load_state_dict(old.state_dict())
    torch.save(old.state_dict(), tmp_path / "old.pt")
    torch.save(new.state_dict(), tmp_path / "new.pt")
    assert f"{around}0.weight_g" in old.state_dict()
    mlc.ok("load", "old.pt", "--expect", "new.pt")
    assert mlc("load", "new.pt", "--expect", "old.pt").rc == 1
    part = old.state_dict()
    del part[f"{around}2.weight_g"]
    torch.save(part, tmp_path / "part.pt")
    refused = mlc("load", "part.pt", "--expect", "new.pt")
    assert refused.rc == 1 and f"{around}2.parametrizations.weight.original0" in refused.stdout + refused.stderr
    assert "0.parametrizations" not in (refused.stdout + refused.stderr).replace(f"{around}2.", "")


def test_a_tensor_without_values_fitted_an_architecture(mlc, tmp_path):
    state = {key: value.to("meta") for key, value in old_norm("one element")[1].items()}
    with pytest.raises(RuntimeError):
        Norm().load_state_dict(state)
    torch.save(state, tmp_path / "m.pt")
    (tmp_path / "a.yaml").write_text(NORM)
    said = 'While copying the parameter named "l.weight": the checkpoint has a meta tensor, the model a dense one.'
    shown = mlc("load", "m.pt", "--expect", "a.yaml")
    assert shown.rc == 1 and said in shown.stdout and "hint: a meta tensor has a shape and no values" in shown.stdout
    assert mlc("load", "m.pt", "--expect", "m.pt").rc == 0
    run = mlc("run", "m.pt", "--arch", "a.yaml")
    assert run.rc == 2 and said[:-1] in run.stderr


def test_keys_of_other_values_that_the_architecture_lacks_were_passed_over(mlc, tmp_path):
    state = {**old_norm("one element")[1], "z": 3, "l.note": "text"}
    torch.save(state, tmp_path / "m.pt")
    (tmp_path / "a.yaml").write_text(NORM)
    with pytest.raises(RuntimeError):
        Norm().load_state_dict(state)
    assert mlc("load", "m.pt", "--expect", "a.yaml").rc == 1
    run = mlc.ok("run", "m.pt", "--arch", "a.yaml")
    assert 'left out 2 keys that the architecture lacks: "z" and "l.note"' in run.stderr.replace("'", '"')
    assert "strict=False" in run.stderr
    torch.save({**state, "extra": torch.ones(1)}, tmp_path / "m.pt")
    assert mlc("run", "m.pt", "--arch", "a.yaml").rc == 2


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_weights_fitted_and_did_not_run(mlc, tmp_path, dtype):
    model, state = Norm().eval(), old_norm("one element")[1]
    weight = torch.complex(state["l.weight"], torch.zeros(3, 4)).to(dtype)
    weight[0, 0] += 2j
    state = {**state, "l.weight": weight}
    torch.save(state, tmp_path / "m.pt")
    (tmp_path / "a.yaml").write_text(NORM)
    mlc.ok("load", "m.pt", "--expect", "a.yaml")
    model.load_state_dict(state)
    x = torch.randn(2, 4)
    np.save(tmp_path / "x.npy", x.numpy())
    run = mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz")
    assert "loses what 1 value" in run.stderr and "has as imaginary part" in run.stderr
    torch.testing.assert_close(torch.as_tensor(np.load(tmp_path / "o.npz")["output"]), model(x).detach())


RESCALED = """mlc: architecture/1
inputs: ['ids:i64[1,1]=1']
modules:
  embed: {type: Embedding, num_embeddings: 5, embedding_dim: 4, max_norm: 1.0}
  head: {type: Linear, in_features: 4, out_features: 5, bias: false}
tie: {head.weight: embed.weight}
forward: |
  def forward(self, ids: Tensor) -> Tensor:
      return self.head(self.embed(ids))
"""
READ = """mlc: architecture/1
inputs: ['ids:i64[1,1]=1']
modules:
  embed: {type: Embedding, num_embeddings: 5, embedding_dim: 4, max_norm: 1.0}
forward: |
  def forward(self, ids: Tensor) -> Tensor:
      return F.linear(self.embed(ids), self.embed.weight)
"""


@pytest.mark.parametrize("text", [RESCALED, READ], ids=["tied", "read"])
def test_a_head_did_not_see_the_rescaled_rows_of_its_embedding(mlc, tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    torch.save({"embed.weight": torch.ones(5, 4)}, tmp_path / "m.pt")
    before = (tmp_path / "m.pt").read_bytes()
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "-o", "o.npz")
    wanted = torch.tensor([[[2.0, 1.0, 2.0, 2.0, 2.0]]])
    torch.testing.assert_close(torch.as_tensor(np.load(tmp_path / "o.npz")["output"]), wanted)
    assert (tmp_path / "m.pt").read_bytes() == before
    mlc.ok("trace", "m.pt", "--arch", "a.yaml", "-o", "s.pt")
    traced = torch.jit.load(tmp_path / "s.pt")
    assert torch.equal(traced.state_dict()["embed.weight"], torch.ones(5, 4))  # as it was before the checks
    torch.testing.assert_close(traced(torch.tensor([[1]])), wanted)
    refused = mlc("export-onnx", "m.pt", "--arch", "a.yaml", "-o", "o.onnx")
    assert refused.rc == 4 and "writes into embed.weight" in refused.stderr
