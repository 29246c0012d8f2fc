"""For which dtypes ONNX Runtime's CPU has kernels: a model of one node for each operator and dtype.

  python tests/ops/probe_kernels.py          compares with the table in lib/mlc/onnx/kernels.cpp
  python tests/ops/probe_kernels.py --list   shows all of them

float16 counts where ONNX Runtime casts by itself, for what counts is that a model runs.
"""

import argparse
import pathlib
import re
import sys

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper

TABLE = pathlib.Path(__file__).resolve().parents[2] / "lib/mlc/onnx/kernels.cpp"
DTYPES = {
    "f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16, "f32": TensorProto.FLOAT, "f64": TensorProto.DOUBLE,
    "i8": TensorProto.INT8, "i16": TensorProto.INT16, "i32": TensorProto.INT32, "i64": TensorProto.INT64,
    "u8": TensorProto.UINT8, "u16": TensorProto.UINT16, "u32": TensorProto.UINT32, "u64": TensorProto.UINT64,
    "boolean": TensorProto.BOOL,
}
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL


def integers(*values):
    return (INT64, numpy.array(values, dtype=numpy.int64))


class Form:
    """How a node looks: inputs, each "T" with sizes or a fixed tensor; attributes; the dtypes of outputs."""

    def __init__(self, *inputs, attributes=None, outputs=("T",), opset=17):
        self.inputs, self.attributes, self.outputs, self.opset = inputs, attributes or {}, outputs, opset


UNARY = Form([2, 3])
BINARY = Form([2, 3], [2, 3])
COMPARE = Form([2, 3], [2, 3], outputs=(BOOL,))
REDUCE = Form([2, 3], attributes={"axes": [1]})
IMAGE = [1, 2, 4, 4]

FORMS = {name: UNARY for name in (
    "Abs Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Elu Erf Exp Floor HardSigmoid HardSwish LeakyRelu Log Neg Not "
    "Reciprocal Relu Round Selu Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh Identity Softmax LogSoftmax "
    "GlobalAveragePool Mish").split()}
FORMS |= {name: BINARY for name in "Add And Div Max Min Mod Mul Or Pow Sub Xor PRelu".split()}
FORMS |= {name: COMPARE for name in "Equal Greater GreaterOrEqual Less LessOrEqual".split()}
FORMS |= {name: REDUCE for name in (
    "ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare").split()}
FORMS |= {
    "ArgMax": Form([2, 3], outputs=(INT64,)),
    "ArgMin": Form([2, 3], outputs=(INT64,)),
    "AveragePool": Form(IMAGE, attributes={"kernel_shape": [2, 2]}),
    "BatchNormalization": Form(IMAGE, [2], [2], [2], [2]),
    "BitwiseAnd": Form([2, 3], [2, 3], opset=18),
    "BitwiseNot": Form([2, 3], opset=18),
    "BitwiseOr": Form([2, 3], [2, 3], opset=18),
    "BitwiseXor": Form([2, 3], [2, 3], opset=18),
    "Clip": Form([2, 3], [], []),
    "Compress": Form([2, 3], (BOOL, numpy.array([True, False])), attributes={"axis": 0}),
    "Concat": Form([2, 3], [2, 3], attributes={"axis": 0}),
    "Conv": Form(IMAGE, [3, 2, 2, 2]),
    "ConvTranspose": Form(IMAGE, [2, 3, 2, 2]),
    "CumSum": Form([2, 3], integers(0)),
    "DepthToSpace": Form([1, 4, 2, 2], attributes={"blocksize": 2, "mode": "CRD"}),
    "Einsum": Form([2, 3], [3, 2], attributes={"equation": "ij,jk->ik"}),
    "Expand": Form([1, 3], integers(2, 3)),
    "EyeLike": Form([2, 2]),
    "Gather": Form([2, 3], integers(0, 1)),
    "GatherElements": Form([2, 3], (INT64, numpy.zeros((2, 3), numpy.int64))),
    "GatherND": Form([2, 3], (INT64, numpy.zeros((2, 1), numpy.int64))),
    "Gemm": Form([2, 3], [3, 2]),
    "GlobalAveragePool": Form(IMAGE),
    "GlobalMaxPool": Form(IMAGE),
    "GridSample": Form(IMAGE, (TensorProto.FLOAT, numpy.zeros((1, 2, 2, 2), numpy.float32))),
    "InstanceNormalization": Form(IMAGE, [2], [2]),
    "IsInf": Form([2, 3], outputs=(BOOL,)),
    "IsNaN": Form([2, 3], outputs=(BOOL,)),
    "LayerNormalization": Form([2, 3], [3]),
    "LRN": Form(IMAGE, attributes={"size": 3}),
    "MatMul": Form([2, 3], [3, 2]),
    "MaxPool": Form(IMAGE, attributes={"kernel_shape": [2, 2]}),
    "NonZero": Form([2, 3], outputs=(INT64,)),
    "PadConstant": Form([2, 3], integers(1, 1, 1, 1)),
    "PadEdge": Form([2, 3], integers(1, 1, 1, 1), attributes={"mode": "edge"}),
    "PadReflect": Form([2, 3], integers(1, 1, 1, 1), attributes={"mode": "reflect"}),
    "Range": Form([], [], []),
    "ReduceSum": Form([2, 3], integers(1)),
    "Reshape": Form([2, 3], integers(3, 2)),
    "Resize": Form(IMAGE, None, (TensorProto.FLOAT, numpy.array([1, 1, 2, 2], numpy.float32)),
                   attributes={"mode": "nearest"}),
    "ScatterElements": Form([2, 3], (INT64, numpy.zeros((2, 3), numpy.int64)), [2, 3], opset=18),
    "ScatterElementsAdd": Form([2, 3], (INT64, numpy.zeros((2, 3), numpy.int64)), [2, 3],
                               attributes={"reduction": "add"}, opset=18),
    "ScatterElementsMul": Form([2, 3], (INT64, numpy.zeros((2, 3), numpy.int64)), [2, 3],
                               attributes={"reduction": "mul"}, opset=18),
    "ScatterElementsMax": Form([2, 3], (INT64, numpy.zeros((2, 3), numpy.int64)), [2, 3],
                               attributes={"reduction": "max"}, opset=18),
    "ScatterElementsMin": Form([2, 3], (INT64, numpy.zeros((2, 3), numpy.int64)), [2, 3],
                               attributes={"reduction": "min"}, opset=18),
    "ScatterND": Form([2, 3], (INT64, numpy.zeros((1, 1), numpy.int64)), [1, 3], opset=18),
    "ScatterNDAdd": Form([2, 3], (INT64, numpy.zeros((1, 1), numpy.int64)), [1, 3], attributes={"reduction": "add"},
                         opset=18),
    "Slice": Form([2, 3], integers(0), integers(1), integers(0)),
    "Split": Form([2, 3], integers(1, 1), outputs=("T", "T")),
    "Squeeze": Form([1, 3], integers(0)),
    "Tile": Form([2, 3], integers(2, 2)),
    "TopK": Form([2, 3], integers(2), outputs=("T", INT64)),
    "Transpose": Form([2, 3], attributes={"perm": [1, 0]}),
    "Trilu": Form([2, 3]),
    "Unique": Form([3]),
    "Unsqueeze": Form([2, 3], integers(0)),
    "Where": Form((BOOL, numpy.ones((2, 3), bool)), [2, 3], [2, 3]),
}
OPERATORS = {"PadConstant": "Pad", "PadEdge": "Pad", "PadReflect": "Pad", "ScatterNDAdd": "ScatterND"}
OPERATORS |= {name: "ScatterElements" for name in FORMS if name.startswith("ScatterElements")}


def model_of(name, dtype):
    form = FORMS[name]
    inputs, names, constants = [], [], []
    for i, one in enumerate(form.inputs):
        names.append("" if one is None else f"x{i}")
        if isinstance(one, list):
            inputs.append(helper.make_tensor_value_info(f"x{i}", DTYPES[dtype], one))
        elif one is not None:
            constants.append(onnx.numpy_helper.from_array(one[1], f"x{i}"))
    outputs = [helper.make_tensor_value_info(f"y{i}", DTYPES[dtype] if one == "T" else one, None)
               for i, one in enumerate(form.outputs)]
    attributes = dict(form.attributes)
    if name == "Mod" and dtype in ("f16", "bf16", "f32", "f64"):
        attributes["fmod"] = 1
    node = helper.make_node(OPERATORS.get(name, name), names, [one.name for one in outputs], **attributes)
    graph = helper.make_graph([node], "probe", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", form.opset)], ir_version=8)


def input_of(dtype, sizes):
    kind = {"boolean": "bool", "f16": "float16", "f32": "float32", "f64": "float64"}.get(dtype)
    if kind is None:
        kind = dtype.replace("u", "uint") if dtype.startswith("u") else dtype.replace("i", "int")
    return numpy.ones(sizes, dtype=kind)


def has_kernel(name, dtype):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    model = model_of(name, dtype)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        if dtype == "bf16":  # numpy has none: that the model can be prepared has to do
            return True
        session.run(None, {one.name: input_of(dtype, [d.dim_value for d in one.type.tensor_type.shape.dim])
                           for one in model.graph.input})
    except Exception:  # noqa: BLE001: any refusal
        return False
    return True


def probe():
    return {name: [dtype for dtype in DTYPES if has_kernel(name, dtype)] for name in sorted(FORMS)}


def table():
    """What kernels.cpp says: {operator: dtypes}."""
    text = TABLE.read_text()
    masks = {}

    bits = {dtype: 1 << i for i, dtype in enumerate(DTYPES)}

    def value(expression):
        """C++ and Python agree on |, & and ~ of whole numbers."""
        return eval(re.sub(r"bit\(DType::(\w+)\)", lambda one: str(bits[one[1]]), expression), {}, masks)

    def dtypes(mask):
        return {dtype for dtype, bit in bits.items() if mask & bit}

    for name, expression in re.findall(r"constexpr Mask (k\w+) =\s*([^;]+);", text):
        masks[name] = value(expression)
    return {name: dtypes(value(expression)) for name, expression in re.findall(r'\{"(\w+)",\s*([^}]+)\}', text)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    found = probe()
    if options.list:
        for name, dtypes in found.items():
            print(f"{name:22} {' '.join(dtypes)}")
        return 0
    said, wrong = table(), 0
    for name, dtypes in found.items():
        if name not in said:
            if len(dtypes) < len(DTYPES):
                print(f"{name}: not in the table; kernels for {' '.join(dtypes)}")
            continue
        more, fewer = sorted(set(dtypes) - said[name]), sorted(said[name] - set(dtypes))
        if more:
            print(f"{name}: also {' '.join(more)}")
        if fewer:
            print(f"{name}: no kernel for {' '.join(fewer)}")
        wrong += bool(fewer)
    for name in sorted(set(said) - set(found)):
        print(f"{name}: never tried")
        wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
