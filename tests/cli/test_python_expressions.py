"""Expressions in forward against Python's own answer: TorchScript's parser binds some operators otherwise."""

import numpy as np
import pytest
import torch

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

NAMES = """\
n = -7
m = 3
k = 2
r = 0.5
p = True
q = False
s = 'ab'
u: Optional[int] = None
ns = [1, 3]
xs = [x, x * 2]
a = x > 0
b = x < 1
i = x.to(torch.int64)
"""
BOOLEANS = [
    "p or q and q", "q and p or p", "p or p and q or q and q", "q or p and not p", "not p or p and q", "not q and not p or p",
    "not n == m", "not n in ns", "not m in ns or q", "n == m or m == 3 and k == 3", "p or q and q if q else q",
    "p if q else q if p else p", "q and (p or p)", "(p or q) and q", "n < 0 or n > 0 and m < 0",
    "0 < m < 2", "0 < n < 9", "n < m > 2", "n < m > k > 5", "n < -m < k", "not 0 < m < 2", "p or 0 < m < 2 and q", "0 < m < 9 and q",
    "u is None is None", "u is None is not None", "m in ns == True", "n <= n == n", "1 < m + 1 < 4 - 1", "0 < len(xs) < 2",
    "3 > x.size(1) > 0", "0 < ns[0] <= 1", "0 < float(m) < 3.5", "n < m is not None", "(0 < m) < 2", "0 < (m < 2)", "0 == (n < m) == 1",
    "u is not None and 0 < 3 < u", "n & m == 1", "n | k == -5", "n ^ 1 < m", "k << 1 > m", "n + m == -4 and n - m < 0 or q", "m not in ns or p", "not m is None",
    "s == 'a' 'b' != 'b'", "bool(x[0, 0] < x[0, 1] < x[0, 2])",
]
NUMBERS = [
    "-n ** 2", "-2 ** 2", "m ** -k", "2 ** 3 ** 2", "-m ** -k", "n - m - k", "n // m", "-n // m", "n % m", "-n % m", "n % -m", "n - m * k", "n / m / k", "n // m * k",
    "n * m % k", "m << 1 + 1", "n >> 1", "n & m | k", "n | m & k", "n ^ m & k", "n & m ^ k | 8", "n & m + k", "1 | m << 2", "n if p else m if q else k",
    "n if not p or q and q else k", "m + (k if q else n) * 2", "[v if q else -v for v in ns][0]", "[v for v in ns][-m + 4]", "len('it\\'s # ~n < 1 < 2')", "0x10 + 1e2 + .5 + 5.",
]
TENSORS = [
    "~a & b", "~a | b", "~a ^ b", "~a == b", "~a != b", "a & ~b", "a & ~b | b", "~(a & b)", "~a & ~b", "(~a) & b", "~a.any() & b.all()", "~i + 1", "~i * 2", "-~i & 3", "~-i + 3", "~~i + 1", "~i ** 2 + 1", "x - ~i", "x * ~i + 1", "torch.maximum(~i + 1, ~i * 2)", "[~v + 1 for v in [i, i]][1]", "[i, ~i + 1][1] - 1", "-x ** 2", "-x @ x.t()", "x @ x.t() * 2", "x - x @ x.t()[:, :1] - 1",
    "x // 2 * 3", "x % 2 + -x % 2", "i >> 1 + 1", "i & 3 == 3", "i | 1 << 2", "torch.where(~a & b, x, -x ** 2)", "x.masked_fill(~a | b, 2)", "torch.stack([v if q else v * 2 for v in xs])",
    "(\n    ~a\n  & b)", "x if p or q and q else x * 2", "x * (0 < m < 2)",
]


def forward_of(expressions):
    """Each value as a tensor of its own, so that its type is told too."""
    lines = [*NAMES.splitlines(), "out: Dict[str, Tensor] = {}"]
    for number, (kind, text) in enumerate(expressions):
        value = {"bool": "torch.tensor([bool(v{0})])", "number": "torch.tensor([float(v{0})])", "tensor": "v{0} * 1"}[kind].format(number)
        lines += f"v{number} = {text}".splitlines() + [f"out['e{number}'] = {value}"]
    return "def forward(self, x: Tensor) -> Dict[str, Tensor]:\n" + "".join(f"    {line}\n" for line in [*lines, "return out"])


def python_answers(text, x):
    scope = {"torch": torch, "Tensor": torch.Tensor}
    exec("from typing import *\n" + text, scope)  # noqa: S102
    return scope["forward"](None, x)


def write_architecture(path, text):
    indented = "".join(f"  {line}\n" for line in text.splitlines())
    path.write_text("mlc: architecture/1\ninputs: ['x:f32[1,4]']\nparameters: {w: {shape: [1]}}\nforward: |\n" + indented)
    torch.save({"w": torch.zeros(1)}, path.parent / "w.pt")


def test_expressions_were_read_otherwise_than_by_python(mlc, tmp_path):
    expressions = [("bool", one) for one in BOOLEANS] + [("number", one) for one in NUMBERS] + [("tensor", one) for one in TENSORS]
    text = forward_of(expressions)
    x = torch.tensor([[-1.5, 0.25, 1.0, 3.0]])
    np.save(tmp_path / "x.npy", x.numpy())
    write_architecture(tmp_path / "a.yaml", text)
    mlc.ok("run", "w.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz")
    made = np.load(tmp_path / "o.npz")
    wrong = {}
    for number, wanted in enumerate(python_answers(text, x).values()):
        ours = torch.as_tensor(made[f"e{number}"])
        if ours.shape != wanted.shape or ours.dtype != wanted.dtype or not torch.equal(ours, wanted):
            wrong[expressions[number][1]] = (ours.tolist(), wanted.tolist())
    assert not wrong


def write_body(path, body):
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    write_architecture(path, f"def forward(self, x: Tensor) -> Tensor:\n{lines}")
    return lines


def assert_refused_at(mlc, tmp_path, body, line, offset, said):
    write_body(tmp_path / "a.yaml", body)
    result = mlc("run", "w.pt", "--arch", "a.yaml")
    assert result.rc == 2 and f"a.yaml:{line + 5}:{offset + 7}: " in result.stderr and said in result.stderr, result.stderr


@pytest.mark.parametrize(("body", "line", "mark", "said"), [
    ("if 0 < f(x) < 2:\n    x = x + 1\nreturn x", 1, "f(x)", "compute its middle twice"),
    ("n = 1; y = (n <\n  x.sum() <= 3)\nreturn x", 2, "x.sum", "write it with `and`"),
    ("y = ~x & z | ~x\nreturn x", 1, "z", "no such name: z"),
    ("y = [0 < 1 < 2,\n  ~x & (0 < 1 < 2) < 3 | zz]\nreturn x", 2, "zz", "no such name: zz"),
    ("s = 'it\\'s # 1'; y = ~x & z\nreturn x", 1, "z", "no such name: z"),
])
def test_places_stay_where_brackets_were_put_in(mlc, tmp_path, body, line, mark, said):
    assert_refused_at(mlc, tmp_path, body, line, body.split("\n")[line - 1].rindex(mark), said)


def assert_runs_as_in_python(mlc, tmp_path, body, x=None):
    x = torch.tensor([[-1.5, 0.25, 1.0, 3.0]]) if x is None else x
    lines = write_body(tmp_path / "a.yaml", body)
    np.save(tmp_path / "x.npy", x.numpy())
    mlc.ok("run", "w.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz")
    wanted = python_answers(f"def forward(self, x):\n{lines}", x.clone())
    assert np.load(tmp_path / "o.npz")["output"].tolist() == wanted.tolist()


@pytest.mark.parametrize("body", [
    "s = 'a\\';b'; x = x + len(s)\nreturn x",
    "s = 'it\\'s # 1'; x = x + len(s)  # it's\nreturn x",
    "if len('\\'') == 1: x = x + 1; x = x * 2\nreturn x",
    "s = \"a'''\"; x = x + len(s)\nreturn x",
])
def test_quotes_behind_a_backslash_ended_texts(mlc, tmp_path, body):
    assert_runs_as_in_python(mlc, tmp_path, body)


AUGMENTED = ["+", "-", "*", "/", "//", "%", "**"]
OF_INTEGERS = ["+", "-", "*", "//", "%", "**", "<<", ">>", "&", "|", "^"]


def test_assignments_computed_something_else_or_not_in_place(mlc, tmp_path):
    """`n %= 3` was fmod, `x[0] **= 2` did nothing, `d['a'] += 1` left the tensor alone that d was made of."""
    targets = ["a {}= 2", "a[0] {}= 2\na[0, 1:] {}= 2", "a[a > 0] {}= 2", "l[0] {}= 2", "d['k'] {}= 2", "a {}= b > 1"]
    lines = ["out: List[Tensor] = []"]
    for make, signs in [("x * 1", AUGMENTED), ("x.to(torch.int64) + 2", OF_INTEGERS)]:
        for sign in signs:
            for target in targets:
                if "b > 1" in target and sign in ["-", "/", "//", "%", "**"]:
                    continue
                lines += [f"a = {make}", "b = a", "l = [a]", "d = {'k': a}", *target.format(sign, sign).split("\n"),
                          "out += [torch.cat([a, b, l[0], d['k']]) + 0.0]"]
    for sign in OF_INTEGERS:
        lines += ["n = -7", f"n {sign}= 3", "out += [torch.tensor([[float(n)]])]"]
    lines += ["r = -7.5", "r %= 3", "out += [torch.tensor([[r]])]", "y = x", "y @= x.t()", "out += [x, y]", "q = True", "q &= False", "out += [x * q]"]
    assert_runs_as_in_python(mlc, tmp_path, "\n".join([*lines, "return torch.cat([v.flatten() for v in out])"]))


@pytest.mark.parametrize(("body", "line", "mark", "said"), [
    ("k = 0\nn = k or 8\nreturn x + n", 2, "k or", "as in a if a != 0 else b"),
    ("n = x.size(0) > 3 and 8\nreturn x + int(n)", 1, "8", "give True or False, not one of their values"),
    ("u: Optional[int] = None\nn = u or 8\nreturn x * n", 2, "u or", "give True or False"),
    ("s = '' or 'abc'\nreturn x + len(s)", 1, "'' or", "give True or False"),
    ("return (x[0, 0] or x[0, 1]) + x", 1, "x[0, 0] or", "bool(x) is a tensor of one element"),
    ("x[f(x)] **= 2\nreturn x", 1, "x[f", "compute its target twice"),
    ("s = 'a'\ns %= 3\nreturn x", 2, "%=", "the arguments do not fit"),
])
def test_what_torchscript_would_compute_otherwise_is_refused(mlc, tmp_path, body, line, mark, said):
    assert_refused_at(mlc, tmp_path, body, line, body.split("\n")[line - 1].index(mark), said)


def test_flags_are_what_they_are_in_python(mlc, tmp_path):
    assert_runs_as_in_python(mlc, tmp_path, """\
k = 3
p = k > 2 and x.size(1) == 4 or False
u: Optional[int] = None
q = u is not None and u > 2 or p
if k and len([x]) or 0:
    x = x + 1
while not (k or 0) or k > 1 and k:
    k = k - 1
z = x * (p and q) + (1 if k and 0 else 2)
return z if bool(k or 0) and (p or not q) else x""")


@pytest.mark.parametrize("body", [
    "m = x > 0; m &= True; return x * m", "m = x > 0; m |= False; return x * m", "m = x > 0; m ^= True; return x * m",
    "m = x > 0; m[:, 1:] &= False; return x * m", "m = x > 0; m &= x.dim() == 2; return x * m", "m = x > 0; m[0, 0] ^= True; return x * m",
])
def test_flags_in_place_of_tensors_were_taken_for_integers(mlc, tmp_path, body):
    assert_runs_as_in_python(mlc, tmp_path, body.replace("; ", "\n"))


@pytest.mark.parametrize("body", [
    "f = torch.isnan(x).any().item() and x.dim() == 2; return x + int(f)",
    "f = x.dim() == 2 and (x > 0).all().item(); return x + int(f)",
    "f = x[0, 0].isnan() or x[0, 0] > 1; return x + 1 if f else x",
    "f = torch.isinf(x)[0, 0] or x[0, 0] > 1; return x + 1 if f else x",
])
def test_flags_of_functions_were_said_to_be_none(mlc, tmp_path, body):
    assert_runs_as_in_python(mlc, tmp_path, body.replace("; ", "\n"))


def test_assignments_are_exported_as_they_run(mlc, tmp_path):
    write_body(tmp_path / "a.yaml", "m = x > 0\nm &= ~(x > 2) & m\ny = x * 1\nz = y\ny %= 2\nz **= 2\nreturn torch.where(~m & (x < 1), y, z) * (0 < x.size(1) < 9)")
    for verb in ("export-onnx", "trace"):
        mlc.ok(verb, "w.pt", "--arch", "a.yaml", "-o", f"out.{'onnx' if verb == 'export-onnx' else 'pt'}")
