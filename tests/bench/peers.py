#!/usr/bin/env python3
"""What people do today, one job a process: peers.py JOB FILE [OUTPUT]. Imports count, as they do for people."""

import sys


def import_torch():
    import torch  # noqa: F401


def list_torch(path):
    import torch

    loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    for key, tensor in loaded.get("model_state_dict", loaded).items():
        print(key, tensor.dtype, tuple(tensor.shape))


def list_safetensors(path):
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        for key in file.keys():
            part = file.get_slice(key)
            print(key, part.get_dtype(), part.get_shape())


def strip_torch(path, output):
    import torch

    loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    state = loaded["model_state_dict"]
    loaded["model_state_dict"] = {key.removeprefix("module."): state[key] for key in state}
    torch.save(loaded, output)


def to_safetensors(path, output):
    import torch
    from safetensors.torch import save_file

    loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    state = loaded.get("model_state_dict", loaded)
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, output)


def testzip(path):
    import zipfile

    with zipfile.ZipFile(path) as archive:
        sys.exit(archive.testzip())


def run_torchscript(path):
    import torch

    with torch.inference_mode():
        print(torch.jit.load(path).eval()(torch.randn(1, 1, 8, 8)))


def run_onnx(path):
    import numpy
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    print(session.run(None, {name: numpy.random.default_rng(0).standard_normal((1, 1, 8, 8), dtype=numpy.float32)}))


def bert(path):
    """(model, tokens) of the checkpoint at PATH."""
    import pathlib

    import safetensors.torch
    import torch

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
    import original_models

    with torch.device("meta"):
        model = original_models.Bert()
    model.load_state_dict(safetensors.torch.load_file(path), assign=True)
    for part in model.modules():  # buffers that are not saved
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.is_meta:
                setattr(part, name, torch.zeros(buffer.shape, dtype=buffer.dtype))
    return model.eval(), torch.ones(1, 2, dtype=torch.int64)


def run_bert(path):
    import torch

    model, ids = bert(path)
    with torch.inference_mode():
        print(model(ids, ids))


def trace_bert(path, out):
    import torch

    model, ids = bert(path)
    torch.jit.trace(model, (ids, ids)).save(out)


def quantize_torch(path, output):
    """Int8 codes and a scale a row, as plain tensors."""
    import torch

    loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    state = loaded["model_state_dict"]
    for key, tensor in list(state.items()):
        if tensor.dim() > 1 and tensor.numel() >= 4096:
            scale = tensor.abs().amax(1, keepdim=True) / 127
            state[key] = (tensor / scale).round().to(torch.int8)
            state[key + "_scale"] = scale
    torch.save(loaded, output)


def quantize_onnx_dynamic(path, output):
    """Weights of products to int8 per channel, inputs at run time, by ONNX Runtime's tool."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path, output, weight_type=QuantType.QInt8, per_channel=True)


def quantize_onnx_static(path, output, samples):
    """Bytes between the operators, with ranges from SAMPLES (.npy, one row each), by ONNX Runtime's tool."""
    import numpy
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Samples(CalibrationDataReader):
        def __init__(self):
            self.rows = iter(numpy.load(samples))

        def get_next(self):
            row = next(self.rows, None)
            return None if row is None else {"x": row[None]}

    quantize_static(
        path, output, Samples(), quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        per_channel=True,
    )


def prune_torch(path, output, scope):
    """30 % of the weights of all Linear layers, by torch.nn.utils.prune."""
    import torch
    from torch.nn.utils import prune

    loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    state = loaded["model_state_dict"]
    parts = []
    for key, tensor in state.items():
        if tensor.dim() > 1 and "embeddings" not in key:
            module = torch.nn.Module()
            module.weight = torch.nn.Parameter(tensor, requires_grad=False)
            parts.append((key, module))
    if scope == "global":
        prune.global_unstructured([(m, "weight") for _, m in parts], pruning_method=prune.L1Unstructured, amount=0.3)
    for key, module in parts:
        if scope == "layer":
            prune.l1_unstructured(module, "weight", amount=0.3)
        prune.remove(module, "weight")
        state[key] = module.weight.detach()
    torch.save(loaded, output)


def export_dynamo(name, out):
    import torch

    import export_models

    model, inputs, shapes = export_models.make(name)
    with torch.no_grad():
        torch.onnx.export(model, inputs, out, dynamo=True, dynamic_shapes=shapes, external_data=name == "large", verbose=False)


def export_legacy(name, out):
    import torch

    import export_models

    model, inputs, shapes = export_models.make(name)
    sizes = shapes[0] if isinstance(shapes[0], tuple) else shapes
    names = [f"input_{i}" for i in range(len(inputs))]
    axes = {label: {axis: size.__name__ for axis, size in one.items()} for label, one in zip(names, sizes)}
    with torch.no_grad():
        torch.onnx.export(model, inputs, out, dynamo=False, input_names=names, dynamic_axes=axes, opset_version=17)


if __name__ == "__main__":
    jobs = [
        export_dynamo, export_legacy, import_torch, list_torch, list_safetensors, strip_torch, to_safetensors, testzip,
        quantize_torch, quantize_onnx_dynamic, quantize_onnx_static, prune_torch, run_torchscript, run_onnx, run_bert, trace_bert,
    ]
    {job.__name__: job for job in jobs}[sys.argv[1]](*sys.argv[2:])
