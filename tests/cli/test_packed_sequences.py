"""Packed sequences in the forward of an architecture: torch.nn.utils.rnn and recurrent layers, against PyTorch, bit for bit."""

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from torch.nn.utils import rnn

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::UserWarning")]

FUNCTIONS = ["pack_padded_sequence", "pad_packed_sequence", "pad_sequence", "unpad_sequence", "pack_sequence", "unpack_sequence", "PackedSequence"]
NAMES = {"torch": torch, "nn": nn, "F": nn.functional, **{name: getattr(rnn, name) for name in FUNCTIONS}}
KINDS = {
    "LSTM": ("LSTM", {}),
    "LSTM with a projection": ("LSTM", {"proj_size": 4, "num_layers": 2}),
    "LSTM without bias": ("LSTM", {"bias": False}),
    "deep LSTM": ("LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    "GRU": ("GRU", {"batch_first": True}),
    "deep GRU": ("GRU", {"num_layers": 2, "bidirectional": True}),
    "RNN": ("RNN", {"bidirectional": True}),
    "RNN with relu": ("RNN", {"nonlinearity": "relu", "batch_first": True}),
}


GIVEN = ("--input", "x=@x.npy", "--input", "lengths=@lengths.npy")


def save(folder, x, lengths):
    np.save(folder / "x.npy", x.numpy())
    np.save(folder / "lengths.npy", lengths.numpy())


def indented(body):
    return "def forward(self, x, lengths):\n" + "".join(f"    {line}\n" for line in body.split("\n"))


def both(mlc, tmp_path, modules, body, x, lengths):
    """What mlc and what Python compute with BODY: two lists of tensors."""
    torch.manual_seed(3)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            for name, (kind, arguments) in modules.items():
                setattr(self, name, getattr(nn, kind)(**arguments))

    net = Net().eval()
    scope = dict(NAMES)
    exec(indented(body), scope)  # noqa: S102
    with torch.no_grad():
        wanted = scope["forward"](net, x, lengths)
    document = {"mlc": "architecture/1", "modules": {name: {"type": kind, **arguments} for name, (kind, arguments) in modules.items()},
                "forward": indented(body)}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    torch.save(net.state_dict(), tmp_path / "m.pt")
    save(tmp_path, x, lengths)
    mlc.ok("run", "m.pt", "--arch", "a.yaml", *GIVEN, "-o", "o.npz", "--force")
    archive = np.load(tmp_path / "o.npz")
    return [torch.as_tensor(archive[name]) for name in archive.files], flat(wanted)


def flat(value):
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for one in value for tensor in flat(one)]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


def padded(batch_first, seed=5):
    x = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(seed))
    return x if batch_first else x.transpose(0, 1).contiguous()


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_packed_sequences_could_not_be_written(mlc, tmp_path, name, is_sorted):
    kind, arguments = KINDS[name]
    first = arguments.get("batch_first", False)
    lengths = torch.tensor([7, 5, 5, 2] if is_sorted else [2, 7, 5, 5])
    body = (f"p = pack_padded_sequence(self.rnn_in(x), lengths, batch_first={first}, enforce_sorted={is_sorted})\n"
            "out, state = self.rnn(p)\n"
            f"y, sizes = pad_packed_sequence(out, batch_first={first}, padding_value=-1.0, total_length=9)\n"
            + ("h, c = state\nreturn y, sizes, h, c" if kind == "LSTM" else "return y, sizes, state"))
    modules = {"rnn_in": ("Linear", {"in_features": 5, "out_features": 5}), "rnn": (kind, {"input_size": 5, "hidden_size": 6, **arguments})}
    assert_same(*both(mlc, tmp_path, modules, body, padded(first), lengths))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_states_given_with_a_packed_sequence_keep_their_order(mlc, tmp_path, kind):
    start = "torch.arange(24.0).reshape(1, 4, 6) / 24"
    state = f"({start}, {start} - 1)" if kind == "LSTM" else start
    body = (f"p = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)\nstate = {state}\nout, last = self.rnn(p, state)\n"
            "again, end = self.rnn(out if False else p, hx=last)\n"
            + ("h, c = end\nreturn again.data, again.batch_sizes, h, c" if kind == "LSTM" else "return again.data, again.batch_sizes, end"))
    modules = {"rnn": (kind, {"input_size": 5, "hidden_size": 6, "batch_first": True})}
    assert_same(*both(mlc, tmp_path, modules, body, padded(True), torch.tensor([2, 7, 1, 5])))


@pytest.mark.parametrize("path", ["torch.nn.utils.rnn.", "nn.utils.rnn.", ""])
def test_names_of_torch_nn_utils_rnn(mlc, tmp_path, path):
    body = (f"parts = {path}unpad_sequence(x, lengths, batch_first=True)\n"
            f"p = {path}pack_sequence(parts, enforce_sorted=False)\n"
            f"q = {path}PackedSequence(torch.relu(p.data), p.batch_sizes, p.sorted_indices, p.unsorted_indices)\n"
            f"back = {path}unpack_sequence(q)\n"
            f"return {path}pad_sequence(back, batch_first=True, padding_value=2.0), back[1], {path}pad_sequence(x), p.data")
    assert_same(*both(mlc, tmp_path, {"fc": ("Linear", {"in_features": 1, "out_features": 1})}, body, padded(True), torch.tensor([2, 7, 1, 5])))


def test_lengths_as_a_list_and_methods_with_packed_sequences(mlc, tmp_path):
    body = ("p = pack_padded_sequence(x, [7, 5, 5, 2], batch_first=True)\n"
            "y, sizes = pad_packed_sequence(self.rnn(p)[0], batch_first=True)\n"
            "return y, sizes, self.rnn(x)[0]")
    modules = {"rnn": ("GRU", {"input_size": 5, "hidden_size": 6, "batch_first": True})}
    ours, theirs = both(mlc, tmp_path, modules, body, padded(True), torch.tensor([1]))
    assert_same(ours[:2], theirs[:2])
    torch.testing.assert_close(ours[2], theirs[2])


def test_packed_sequences_between_classes(mlc, tmp_path):
    """A class may take and return them, where its method says the type; lists of layers work as with tensors."""
    text = """
mlc: architecture/1
modules:
  layers: {repeat: 2, type: Layer}
classes:
  Layer:
    modules: {rnn: {type: LSTM, input_size: 5, hidden_size: 5}}
    forward: |
      def forward(self, p: PackedSequence) -> Tuple[PackedSequence, Tensor]:
          out, (h, c) = self.rnn(p)
          return out, h
forward: |
  def forward(self, x, lengths):
      p = pack_padded_sequence(x, lengths, enforce_sorted=False)
      ends: List[Tensor] = []
      for layer in self.layers:
          p, h = layer(p)
          ends.append(h)
      y, sizes = pad_packed_sequence(p)
      return y, torch.stack(ends)
"""
    (tmp_path / "a.yaml").write_text(text)
    layers = [nn.LSTM(5, 5) for _ in range(2)]
    torch.save({f"layers.{i}.rnn.{name}": value for i, layer in enumerate(layers) for name, value in layer.state_dict().items()}, tmp_path / "m.pt")
    x, lengths = padded(False), torch.tensor([2, 7, 1, 5])
    save(tmp_path, x, lengths)
    mlc.ok("run", "m.pt", "--arch", "a.yaml", *GIVEN, "-o", "o.npz")
    with torch.no_grad():
        p, ends = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False), []
        for layer in layers:
            p, (h, _) = layer(p)
            ends.append(h)
    archive = np.load(tmp_path / "o.npz")
    assert_same([torch.as_tensor(archive[name]) for name in archive.files], [rnn.pad_packed_sequence(p)[0], torch.stack(ends)])


@pytest.mark.parametrize("body, said", [
    ("return torch.nn.utils.rnn.pack_padded_sequense(x, lengths)", "did you mean torch.nn.utils.rnn.pack_padded_sequence?"),
    ("p = pack_padded_sequence(x, lengths)\nreturn pad_packed_sequence(p, total_length=3)[0]", "total_length 3 is less than the longest sequence, 7"),
    ("p = pack_padded_sequence(x, lengths)\nreturn self.fc(p)", "the arguments do not fit"),
    ("p = pack_padded_sequence(x.unsqueeze(3), lengths)\nreturn self.rnn(p)[1]", "GRU takes sequences of 2 dimensions, found 3"),
    ("return nn.ReLU()(x)", "modules are declared in the YAML"),
])
def test_packed_sequences_that_cannot_be(mlc, tmp_path, body, said):
    document = {"mlc": "architecture/1", "forward": indented(body),
                "modules": {"rnn": {"type": "GRU", "input_size": 5, "hidden_size": 2}, "fc": {"type": "Linear", "in_features": 5, "out_features": 1}}}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    torch.save(nn.ModuleDict({"rnn": nn.GRU(5, 2), "fc": nn.Linear(5, 1)}).state_dict(), tmp_path / "m.pt")
    save(tmp_path, padded(False), torch.tensor([7, 5, 5, 2]))
    result = mlc("run", "m.pt", "--arch", "a.yaml", *GIVEN)
    assert result.rc != 0 and said in result.stderr, result.stderr
