"""Inputs and arguments that modules of torch.nn take in another way than usual, or refuse: an architecture does as PyTorch."""

import pytest
import torch
import yaml

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::UserWarning")]


def write_case(folder, kind, arguments, inputs, call):
    """An architecture with the one module m; its PyTorch counterpart with random values."""
    torch.manual_seed(3)
    own = {name: getattr(torch.nn, value["type"])(**{key: one for key, one in value.items() if key != "type"})
           if isinstance(value, dict) else value for name, value in arguments.items()}
    module = getattr(torch.nn, kind)(**own).eval()
    for one in [*module.parameters(), *module.buffers()]:
        if one.is_floating_point():
            one.data.uniform_(0.2, 1)
    names = [f"x{i}" for i in range(len(inputs))]
    document = {"mlc": "architecture/1", "modules": {"m": {"type": kind, **arguments}},
                "forward": f"def forward(self, {', '.join(names)}):\n    return self.m({', '.join(names)}{call})\n"}
    (folder / "a.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    torch.save({f"m.{name}": value for name, value in module.state_dict().items()}, folder / "m.pt")
    torch.save(dict(zip(names, inputs)), folder / "inputs.pt")
    return module, [text for name in names for text in ("--input", f"{name}=@inputs.pt")]


def torch_answer(module, inputs, call):
    """With gradients: PyTorch's second way for evaluation takes other things and answers otherwise."""
    with torch.enable_grad():
        out = eval(f"module(*inputs{call})", {"module": module, "inputs": inputs, "torch": torch})
    return [one.detach() for one in (out if isinstance(out, tuple) else (out,)) if one is not None]


def compare(mlc, folder, kind, arguments, shapes, call=""):
    inputs = [torch.randn(shape) for shape in shapes]
    module, options = write_case(folder, kind, arguments, inputs, call)
    mlc.ok("run", "m.pt", "--arch", "a.yaml", *options, "-o", "o.pt")
    for ours, wanted in zip(torch.load(folder / "o.pt").values(), torch_answer(module, inputs, call), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-5)


def refused(mlc, folder, kind, arguments, shapes, call=""):
    """What PyTorch raises and mlc says; both refuse."""
    inputs = [torch.randn(shape) for shape in shapes]
    module, options = write_case(folder, kind, arguments, inputs, call)
    with pytest.raises(Exception) as raised:
        torch_answer(module, inputs, call)
    result = mlc("run", "m.pt", "--arch", "a.yaml", *options)
    assert result.rc == 2, result.stdout
    return str(raised.value), result.stderr


@pytest.mark.parametrize("arguments", [{}, {"affine": True}, {"affine": True, "track_running_stats": True}])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_instance_norm_without_a_batch_is_that_of_pytorch(mlc, tmp_path, dims, arguments):
    """The channels were taken for samples, silently where the sizes allowed it."""
    compare(mlc, tmp_path, f"InstanceNorm{dims}d", {"num_features": 5, **arguments}, [(5,) * (dims + 1)])


@pytest.mark.parametrize(("kind", "shape"), [
    ("BatchNorm1d", (2, 4, 3, 3)), ("BatchNorm2d", (2, 4, 3)), ("BatchNorm2d", (2, 4)), ("BatchNorm3d", (2, 4, 3)),
    ("InstanceNorm1d", (4,)), ("InstanceNorm2d", (2, 4, 3, 3, 3)),
])
def test_norm_of_another_number_of_dimensions_was_computed(mlc, tmp_path, kind, shape):
    theirs, ours = refused(mlc, tmp_path, kind, {"num_features": 4}, [shape])
    assert theirs in ours


@pytest.mark.parametrize(("kind", "arguments", "shape"), [
    ("BatchNorm1d", {"track_running_stats": False}, (1, 4)), ("BatchNorm2d", {"track_running_stats": False}, (1, 4, 1, 1)),
    ("InstanceNorm2d", {}, (1, 4, 1, 1)), ("InstanceNorm2d", {}, (3, 4, 1, 1)),
])
def test_statistics_of_one_element_were_taken(mlc, tmp_path, kind, arguments, shape):
    theirs, ours = refused(mlc, tmp_path, kind, {"num_features": 4, **arguments}, [shape])
    assert theirs.split("torch.Size")[0] in ours and str(list(shape)) in ours


def test_export_of_a_norm_with_own_statistics_keeps_its_batch_free(mlc, tmp_path):
    """The look at the number of elements must not hold on to the size it sees."""
    _, options = write_case(tmp_path, "BatchNorm2d", {"num_features": 4, "track_running_stats": False}, [torch.randn(2, 4, 3, 3)], "")
    del options
    answer = mlc.ok("export-onnx", "m.pt", "--arch", "a.yaml", "--input", "x0:f32[batch=2..64,4,3,3]", "-o", "o.onnx", "--json").json
    assert "batch" in str(answer["inputs"])


@pytest.mark.parametrize(("kind", "arguments", "shapes", "said"), [
    ("RNN", {"input_size": 5, "hidden_size": 4}, [(3, 5)], "RNN takes an input of 3 dimensions, found 2"),
    ("LSTM", {"input_size": 5, "hidden_size": 4, "bidirectional": True}, [(3, 5)], "LSTM takes an input of 3 dimensions, found 2"),
    ("GRU", {"input_size": 5, "hidden_size": 4}, [(3, 5), (1, 4)], "GRU takes an input of 3 dimensions, found 2"),
    ("RNNCell", {"input_size": 5, "hidden_size": 4}, [(5,)], "RNNCell takes an input of 2 dimensions, found 1"),
    ("LSTMCell", {"input_size": 5, "hidden_size": 4}, [(5,)], "LSTMCell takes an input of 2 dimensions, found 1"),
    ("GRUCell", {"input_size": 5, "hidden_size": 4}, [(5,)], "GRUCell takes an input of 2 dimensions, found 1"),
    ("MultiheadAttention", {"embed_dim": 4, "num_heads": 2}, [(4, 4)] * 3, "takes a query of 3 dimensions, found 2"),
    ("TransformerEncoderLayer", {"d_model": 4, "nhead": 2}, [(4, 4)], "takes a query of 3 dimensions, found 2"),
    ("TransformerDecoderLayer", {"d_model": 4, "nhead": 2}, [(4, 4)] * 2, "takes a query of 3 dimensions, found 2"),
])
def test_sequence_without_a_batch_gave_other_numbers(mlc, tmp_path, kind, arguments, shapes, said):
    """PyTorch takes these; where sizes allowed it the answer had another shape, else an operator failed."""
    _, options = write_case(tmp_path, kind, arguments, [torch.randn(shape) for shape in shapes], "")
    result = mlc("run", "m.pt", "--arch", "a.yaml", *options)
    assert result.rc == 2 and said in result.stderr


ATTENTION = {"embed_dim": 8, "num_heads": 2, "batch_first": True}
LAYER = {"d_model": 8, "nhead": 2, "dim_feedforward": 12}
STACKS = {"TransformerEncoder": {"encoder_layer": {"type": "TransformerEncoderLayer", **LAYER}, "num_layers": 2},
          "TransformerDecoder": {"decoder_layer": {"type": "TransformerDecoderLayer", **LAYER}, "num_layers": 2}}


@pytest.mark.parametrize(("kind", "arguments", "inputs", "call"), [
    ("MultiheadAttention", ATTENTION, 3, ", is_causal=True, need_weights=False"),
    ("MultiheadAttention", ATTENTION, 3, ", is_causal=True"),
    ("TransformerEncoderLayer", LAYER, 1, ", is_causal=True"),
    ("TransformerEncoder", STACKS["TransformerEncoder"], 1, ", is_causal=True"),
    ("TransformerDecoder", STACKS["TransformerDecoder"], 2, ", tgt_is_causal=True"),
    ("TransformerDecoderLayer", LAYER, 2, ", memory_is_causal=True"),
])
def test_causal_attention_without_a_mask_looked_at_all(mlc, tmp_path, kind, arguments, inputs, call):
    theirs, ours = refused(mlc, tmp_path, kind, arguments, [(5, 2, 8)] * inputs, call)
    for text in (theirs, ours):
        assert "Need attn_mask if specifying the is_causal hint" in text


@pytest.mark.parametrize(("kind", "arguments", "inputs", "call"), [
    ("MultiheadAttention", ATTENTION, 3, ", attn_mask=torch.zeros(5, 5), is_causal=True, need_weights=False"),
    ("MultiheadAttention", ATTENTION, 3, ", attn_mask=torch.zeros(5, 5), is_causal=True"),
    ("MultiheadAttention", {**ATTENTION, "add_bias_kv": True}, 3, ", attn_mask=torch.zeros(5, 5), is_causal=True, need_weights=False"),
    ("MultiheadAttention", ATTENTION, 3, ", key_padding_mask=torch.zeros(5, 5), attn_mask=torch.zeros(5, 5), is_causal=True, need_weights=False"),
    ("TransformerEncoderLayer", LAYER, 1, ", src_mask=torch.zeros(5, 5), is_causal=True"),
    ("TransformerEncoderLayer", LAYER, 1, ", src_mask=torch.zeros(5, 5)"),
    ("TransformerEncoder", STACKS["TransformerEncoder"], 1, ", mask=torch.zeros(5, 5), is_causal=True"),
    ("TransformerEncoder", STACKS["TransformerEncoder"], 1, ", mask=torch.triu(torch.full([5, 5], float('-inf')), 1)"),
    ("TransformerDecoderLayer", LAYER, 2, ", memory_mask=torch.zeros(5, 5), memory_is_causal=True"),
    ("TransformerDecoder", STACKS["TransformerDecoder"], 2, ", tgt_mask=torch.zeros(5, 5), tgt_is_causal=True"),
    ("Transformer", {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "num_encoder_layers": 1, "num_decoder_layers": 1}, 2,
     ", src_mask=torch.zeros(5, 5), src_is_causal=True, tgt_mask=torch.zeros(5, 5), tgt_is_causal=True"),
])
def test_causal_attention_takes_the_place_of_its_mask(mlc, tmp_path, kind, arguments, inputs, call):
    compare(mlc, tmp_path, kind, arguments, [(5, 5, 8) if inputs == 3 else (5, 2, 8)] * inputs, call)


@pytest.mark.parametrize(("kind", "arguments", "said"), [
    ("Hardtanh", {"min_val": 1, "max_val": 0}, "max_val (0.0) must be greater than min_val (1.0)"),
    ("Hardtanh", {"min_val": 1, "max_val": 1}, "max_val (1.0) must be greater than min_val (1.0)"),
    ("TransformerEncoder", {**STACKS["TransformerEncoder"], "num_layers": 0}, "index 0 is out of range"),
    ("Transformer", {**LAYER, "num_encoder_layers": 0}, "index 0 is out of range"),
])
def test_module_that_pytorch_cannot_make_or_call_is_refused(mlc, tmp_path, kind, arguments, said):
    document = {"mlc": "architecture/1", "modules": {"m": {"type": kind, **arguments}}, "forward": "def forward(self, x):\n    return self.m(x)\n"}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    torch.save({}, tmp_path / "m.pt")
    result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[5,2,8]")
    assert result.rc == 2 and said in result.stderr


def unknown(mlc, kind):
    """What run says about a module of type KIND without arguments."""
    text = f"mlc: architecture/1\nmodules: {{m: {{type: {kind}}}}}\nforward: |\n  def forward(self, x):\n    return self.m(x)\n"
    (mlc.cwd / "a.yaml").write_text(text)
    torch.save({}, mlc.cwd / "m.pt")
    return mlc("load", "m.pt", "--expect", "a.yaml").stderr


def test_modules_that_are_missing_were_said_to_be_no_modules(mlc, tmp_path):
    """Every module of torch.nn is known or named as what mlc lacks, a loss with the function that there is."""
    mlc.cwd = tmp_path
    kinds = [name for name, one in vars(torch.nn).items() if isinstance(one, type) and issubclass(one, torch.nn.Module)]
    said = {name: unknown(mlc, name) for name in kinds if name != "Module"}
    missing = {name: text for name, text in said.items() if "unknown module type" in text}
    assert {"MSELoss", "CrossMapLRN2d", "LazyLinear", "ParameterList"} <= set(missing)
    for name, text in missing.items():
        if name.endswith(("Loss", "Loss2d")) and "torch.nn has it" not in text:
            function = text.split("call F.")[1].split(" ")[0]
            assert hasattr(torch.nn.functional, function), name
        elif not name.startswith("Parameter"):
            assert "torch.nn has it, mlc does not" in text, name
    assert "write Linear with" in missing["LazyLinear"] and "F.mse_loss" in missing["MSELoss"]


@pytest.mark.parametrize("name", ["_modules", "_parameters", "_buffers", "_c", "_forward_hooks", "_initializing", "__annotations__"])
def test_part_named_like_what_script_modules_have_made_a_trace_that_python_cannot_call(mlc, tmp_path, name):
    document = {"mlc": "architecture/1", "modules": {name: {"type": "ReLU"}}, "forward": f"def forward(self, x):\n    return self.{name}(x)\n"}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    torch.save({}, tmp_path / "m.pt")
    result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[1]")
    assert result.rc == 2 and f'every module has "{name}" already' in result.stderr
