"""mlc doctor: what is here, and how to get what is not."""

import json
import re

import pytest

ORT_HINT = "libonnxruntime.so"


def test_answer_fits_its_schema(mlc, valid):
    answer = mlc.ok("doctor", "--json").json
    valid(answer, "doctor")
    assert answer["machine"]["processors"] >= 1


def test_shipped_examples_fit_their_schemas(root, valid):
    for name in ("doctor", "run"):
        valid(json.loads((root / f"schemas/examples/{name}.json").read_text()), name)


def test_libtorch_is_the_one_that_python_has(mlc, engine):
    import torch  # pylint: disable=import-outside-toplevel
    assert engine["version"] == torch.__version__.split("+")[0]
    assert engine["quantized_engines"] == [e for e in torch.backends.quantized.supported_engines if e != "none"]
    assert engine["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert engine["devices"] == ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    assert engine["cuda"]["available"] == torch.cuda.is_available()


def test_text_names_all(mlc, engine):
    text = mlc.ok("doctor").stdout
    for label in ("mlc", "processor", "features", "LibTorch", "  module", "  devices", "ONNX Runtime"):
        assert re.search(rf"^{label}\s", text, re.M), label
    assert engine["version"] in text
    if not engine["cuda"]["available"]:
        assert re.search(r"^  CUDA +not available: ", text, re.M)


def test_what_is_missing_is_no_failure(mlc, valid):
    result = mlc.ok("doctor", "--json", env={"MLC_TORCH_MODULE": "/nowhere.so", "MLC_ONNXRUNTIME": "/nowhere.so"})
    valid(result.json, "doctor")
    assert not result.json["libtorch"]["found"] and not result.json["onnxruntime"]["found"]
    assert "MLC_TORCH_MODULE" in result.json["libtorch"]["problem"]
    assert ORT_HINT in result.json["onnxruntime"]["hint"]
    text = mlc.ok("doctor", env={"MLC_TORCH_MODULE": "/nowhere.so"}).stdout
    assert re.search(r"^LibTorch +not available: ", text, re.M)


def test_onnx_is_the_one_that_is_pinned(mlc, root, onnx_checker):
    pinned = re.search(r"^onnx==(\S+)", (root / "scripts/onnx/requirements.txt").read_text(), re.M)[1]
    assert onnx_checker == {"found": True, "version": pinned}
    assert re.search(rf"^ONNX +{re.escape(pinned)} \(checker\)$", mlc.ok("doctor").stdout, re.M)


def test_onnxruntime_is_found_where_the_environment_says(mlc, valid):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the onnxruntime wheel is not installed")
    folder = __import__("pathlib").Path(onnxruntime.__file__).parent / "capi"
    library = next(iter(folder.glob("libonnxruntime.so*")), None)
    if library is None:
        pytest.skip("the onnxruntime wheel has no libonnxruntime.so")
    answer = mlc.ok("doctor", "--json", env={"MLC_ONNXRUNTIME": str(library)}).json
    valid(answer, "doctor")
    found = answer["onnxruntime"]
    assert (found["found"], found["version"], found["library"]) == (True, onnxruntime.__version__, str(library))
