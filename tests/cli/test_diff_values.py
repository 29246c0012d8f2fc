"""mlc diff --key .: what is no tensor."""
import argparse
import collections
import copyreg
import datetime
import functools
import io
import math
import zipfile

import numpy
import pytest
import safetensors.torch
import torch


@pytest.fixture
def compare(mlc, valid, tmp_path):
    """compare(a, b): the places where two files with these values differ."""

    def run(a, b):
        for name, value in (("a", a), ("b", b)):
            torch.save({"w": torch.ones(1), "v": value}, tmp_path / f"{name}.pt")
        result = mlc("diff", "a.pt", "b.pt", "--key", ".", "--json")
        valid(result.json, "diff")
        assert result.rc == (1 if result.json["other_values"] else 0)
        return [one["path"] for one in result.json["other_values"]]

    return run


def test_large_sets_are_compared_to_their_end(compare):
    assert compare(set(range(120_000)), set(range(119_999)) | {-5}) == ["v"]
    assert compare(set(range(120_000)), set(range(120_000))) == []


def test_what_is_too_deep_is_not_called_equal(compare):
    def nested(inner):
        for _ in range(250):
            inner = (inner,)
        return {inner}

    assert compare(nested(1), nested(2)) == ["v"]


@pytest.mark.parametrize("make", [set, frozenset, lambda items: {"x": {(1, frozenset(items))}}])
def test_sets_have_no_order(compare, make):
    one, other = [0, 8], [8, 0]  # of the same hash in a small table
    assert list(set(one)) != list(set(other))
    assert compare(make(one), make(other)) == []
    assert compare(make(one), make([0, 16])) != []


def test_minus_zero_is_zero(compare):
    assert compare([0.0, {-0.0: 1}, complex(0.0, -0.0)], [-0.0, {0.0: 1}, complex(-0.0, 0.0)]) == []
    assert compare(0.0, 5e-324) == ["v"]


def test_long_integers_and_texts_differ_in_their_last_digit(compare):
    assert compare(2**4000, 2**4000 + 1) == ["v"]
    assert compare("x" * 10**6 + "a", "x" * 10**6 + "b") == ["v"]
    assert compare(2**4000, 2**4000) == []


def test_the_arguments_of_objects_count(compare):
    assert compare(numpy.zeros(2, "f4"), numpy.zeros(2, "i4")) != []
    assert compare(numpy.zeros(2, "f4"), numpy.zeros(2, "f4")) == []


def test_empty_sets_are_equal_in_every_protocol(mlc, tmp_path):
    values = {"w": torch.ones(1), "e": set(), "f": frozenset(), "g": frozenset({1}), "n": argparse.Namespace(s={2})}
    torch.save(values, tmp_path / "a.pt")
    torch.save(values, tmp_path / "b.pt", pickle_protocol=4)
    mlc.ok("diff", "a.pt", "b.pt", "--key", ".")


def test_records_of_other_programs_are_compared(mlc, valid, tmp_path):
    for name, text in (("a", None), ("b", "hello"), ("c", "jello"), ("d", "hello")):
        torch.save({"w": torch.ones(1)}, tmp_path / f"{name}.pt")
        if text is not None:
            with zipfile.ZipFile(tmp_path / f"{name}.pt", "a") as archive:
                packed = zipfile.ZIP_DEFLATED if name == "d" else zipfile.ZIP_STORED
                archive.writestr(archive.namelist()[0].split("/")[0] + "/notes.txt", text, packed)
    mlc.ok("diff", "b.pt", "d.pt", "--key", ".")
    for a, b, line in (("a", "b", "nothing and 5 B"), ("b", "a", "5 B and nothing"), ("b", "c", "5 B and 5 B of other content")):
        result = mlc("diff", f"{a}.pt", f"{b}.pt", "--key", ".")
        assert result.rc == 1 and f"other value: record notes.txt: {line}\n" in result.stdout
        valid(mlc("diff", f"{a}.pt", f"{b}.pt", "--key", ".", "--json").json, "diff")


def test_other_strings_of_safetensors_are_a_note(mlc, tmp_path):
    for name, strings in (("a", {"format": "pt", "x": "1", "same": "s"}), ("b", {"x": "2", "same": "s", "y": "3"}), ("c", None)):
        safetensors.torch.save_file({"w": torch.ones(1)}, tmp_path / f"{name}.safetensors", metadata=strings)
    note = "other strings in __metadata__, which do not count: "
    for b, keys in (("a", None), ("b", "x and y"), ("c", "same and x")):
        result = mlc.ok("diff", "a.safetensors", f"{b}.safetensors")
        assert result.stderr == (f"{note}{keys}\n" if keys else "")
        assert mlc.ok("diff", "a.safetensors", f"{b}.safetensors", "--no-metadata").stderr == ""


def test_what_moved_most_comes_first(mlc, tmp_path):
    # In key order the largest of 120 was among "and 70 more".
    before = {f"l{i:03d}": torch.ones(4) for i in range(120)}
    after = {key: value + (3 if key == "l110" else 0.1) for key, value in before.items()}
    torch.save(before, tmp_path / "a.pt")
    torch.save({**after, "new": torch.ones(1)}, tmp_path / "b.pt")
    lines = mlc("diff", "a.pt", "b.pt", "--sort", "moved").stdout.splitlines()
    assert lines[1].startswith("new   only in B ") and lines[2].startswith("l110  values ")
    assert "l110" not in mlc("diff", "a.pt", "b.pt").stdout


class Reduced:
    """Its tensor is an argument of the call that makes it again."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return (Reduced, (self.tensor,))


class Made(Reduced):
    def __new__(cls, *_):
        return object.__new__(cls)

    def __reduce_ex__(self, _):
        return (copyreg.__newobj__, (Made, self.tensor))


def with_attribute(tensor, value):
    tensor.g = value
    return tensor


UNNAMED = {
    "argument": Reduced,
    "argument of __new__": Made,
    "set": lambda t: {t},
    "Counter": lambda t: collections.Counter(a=t),
    "method": lambda t: t.sum,
    "partial": lambda t: functools.partial(max, t),
    "key": lambda t: {t: 1},
    "attribute": lambda t: with_attribute(torch.zeros(2), t),
    "attribute of a parameter": lambda t: with_attribute(torch.nn.Parameter(torch.zeros(2)), t),
    "storage": lambda t: t.untyped_storage(),
    "typed storage": lambda t: t.storage(),
    "storages in a list": lambda t: [{"s": t.untyped_storage()}],
    "compiled": lambda t: torch.compile(torch.nn.ParameterList([t])),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", UNNAMED)
def test_tensors_without_a_name_were_called_equal(mlc, tmp_path, name):
    def save(path, tensor, first):
        values = {"w": torch.ones(1), "v": UNNAMED[name](tensor)}
        torch.save({key: values[key] for key in (first, *values)}, tmp_path / path)

    save("a.pt", torch.zeros(3), "w")
    save("b.pt", torch.tensor([0.0, 0.0, 1.0]), "w")
    save("c.pt", torch.zeros(3), "v")  # whose storages have other numbers
    found = mlc("diff", "a.pt", "b.pt", "--key", ".", "--json")
    assert found.rc == 1 and found.json["counts"]["value"] == 1 and found.json["other_values"] == [], found.stdout
    assert found.json["differences"][0]["name"].startswith("v")
    mlc.ok("diff", "a.pt", "c.pt", "--key", ".")
    if name in ("compiled", "Counter"):  # one more state_dict
        return
    plain = mlc("diff", "a.pt", "b.pt")
    assert plain.rc == 1 or (plain.rc == 0 and "not compared: v" in plain.stderr), plain


def test_attributes_of_tensors_were_not_compared(compare, mlc, tmp_path):
    assert compare(with_attribute(torch.zeros(1), "x"), with_attribute(torch.zeros(1), "y")) == ["v.__dict__.g"]
    assert compare(with_attribute(torch.zeros(1), "x"), with_attribute(torch.zeros(1), "x")) == []
    assert compare(with_attribute(torch.zeros(1), "x"), torch.zeros(1)) == ["v.__dict__"]
    for name, value in (("a", "x"), ("b", "y")):
        torch.save({"w": with_attribute(torch.zeros(1), value)}, tmp_path / f"{name}.pt")
    assert "other value: w.__dict__.g: 'x' and 'y'\n" in mlc("diff", "a.pt", "b.pt").stdout


def test_attributes_of_mappings_were_not_compared(compare):
    one, other = (collections.OrderedDict(a=1) for _ in range(2))
    one.extra, other.extra = 1, 2
    assert compare(one, other) == ["v.extra"]


def test_other_versions_of_modules_were_not_told(mlc, tmp_path):
    for version in (1, 2):
        values = collections.OrderedDict(w=torch.ones(1))
        values._metadata = {"": {"version": version}}
        torch.save(values, tmp_path / f"{version}.pt")
        torch.save({"m": values}, tmp_path / f"in{version}.pt")
    note = "other module versions, which do not count, in _metadata of "
    assert note + "the state_dict\n" in mlc.ok("diff", "1.pt", "2.pt").stderr
    assert note + "the root\n" in mlc.ok("diff", "1.pt", "2.pt", "--key", ".").stderr
    assert note + "m\n" in mlc.ok("diff", "in1.pt", "in2.pt", "--key", ".").stderr
    assert note not in mlc.ok("diff", "1.pt", "1.pt").stderr


def test_programs_were_called_equal(mlc, tmp_path):
    torch.jit.script(torch.nn.ReLU()).save(tmp_path / "a.pt")
    torch.jit.script(torch.nn.Sigmoid()).save(tmp_path / "b.pt")
    found = mlc.ok("diff", "a.pt", "b.pt")
    assert "every other value" not in found.stdout and "not compared: the program" in found.stderr


BIG = 2 ** 53


@pytest.mark.parametrize("a, b, distance", [
    (torch.tensor([BIG + 1, 5]), torch.tensor([float(BIG), 5.0], dtype=torch.float64), 1),
    (torch.tensor([2 ** 63 - 1, 5]), torch.tensor([2.0 ** 63, 5.0], dtype=torch.float64), 1),
    (torch.tensor([2 ** 62 + 1, BIG + 1]), torch.tensor([2.0 ** 62, float(BIG)]), 1),
    (torch.tensor([2 ** 63 + 1, 5], dtype=torch.uint64), torch.tensor([2.0 ** 63, 5.0], dtype=torch.float64), 1),
    (torch.tensor([2 ** 62 + 1, BIG + 1]), torch.tensor([2 ** 62, BIG]), 1),
], ids=["f64", "i64 max", "f32", "u64", "integers"])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("repeat", [1, 3000])
def test_large_integers_were_rounded_onto_floats(mlc, tmp_path, a, b, distance, swap, repeat):
    one, two = (b, a) if swap else (a, b)
    torch.save({"i": one.repeat(repeat)}, tmp_path / "a.pt")
    torch.save({"i": two.repeat(repeat)}, tmp_path / "b.pt")
    found = mlc("diff", "a.pt", "b.pt", "--ignore-dtype", "--json")
    assert found.rc == 1, found
    values = found.json["differences"][0]["values"]
    exact = [(int(x.item()), int(y.item())) for x, y in zip(one, two)]
    assert values["mismatches"] == repeat * sum(x != y for x, y in exact)
    assert values["max_abs"] == distance
    norm = math.sqrt(sum((x - y) ** 2 for x, y in exact)) / math.sqrt(sum(y * y for _, y in exact))
    assert values["rel_norm"] == pytest.approx(norm, rel=1e-6) and values["rel_norm"] > 0
    assert "equal values" not in mlc("diff", "a.pt", "b.pt").stdout


def test_integers_and_floats_of_one_value_are_equal(mlc, tmp_path):
    values = [0, -1, 2 ** 24, -2 ** 62, BIG]
    torch.save({"i": torch.tensor(values)}, tmp_path / "a.pt")
    torch.save({"i": torch.tensor([float(x) for x in values], dtype=torch.float64)}, tmp_path / "b.pt")
    assert mlc("diff", "a.pt", "b.pt", "--ignore-dtype").rc == 0
    assert mlc("diff", "a.pt", "b.pt").stdout.splitlines()[1].split()[-5:] == ["none", "0", "0", "0", "1"]
    torch.save({"i": torch.tensor([0.5, -1, float("inf"), float("nan"), 1e300], dtype=torch.float64)}, tmp_path / "c.pt")
    found = mlc("diff", "a.pt", "c.pt", "--ignore-dtype", "--json").json["differences"][0]["values"]
    assert (found["mismatches"], found["nan_pairs"], found["infinite_pairs"]) == (4, 1, 1)


def test_the_most_moved_integers_came_last(mlc, tmp_path):
    torch.save({"x": torch.full((2,), 2 ** 60), "y": torch.tensor([BIG + 2, 4])}, tmp_path / "a.pt")
    torch.save({"x": torch.full((2,), 2 ** 60) + 1, "y": torch.tensor([BIG + 1, 4])}, tmp_path / "b.pt")
    found = mlc("diff", "a.pt", "b.pt", "--sort", "moved", "--json").json["differences"]
    assert [one["name"] for one in found] == ["y", "x"] and all(one["values"]["rel_norm"] > 0 for one in found)


def written(name, a, b, folder):
    """Files whose pickles hold NAME's objects as they are: an object in two places stays one."""
    for side, tree in (("a", a), ("b", b)):
        torch.save({"w": torch.ones(2), **tree}, folder / f"{name}_{side}.pt")
    return f"{name}_a.pt", f"{name}_b.pt"


def paths(mlc, files):
    result = mlc("diff", *files, "--key", ".", "--json")
    assert result.rc == (1 if result.json["other_values"] else 0)
    return [one["path"] for one in result.json["other_values"]]


def test_a_difference_was_told_at_one_of_the_places_that_share_it(mlc, tmp_path):
    def tree(number):
        name, steps = "run" + str(number), [1, {"lr": number}, [number]]
        both = (name, steps)
        return {"name": name, "config": {"run": name, "same": "x"}, "steps": steps, "again": [0, steps], "pairs": (both, both)}

    files = written("shared", tree(1), tree(2), tmp_path)
    assert paths(mlc, files) == ["name", "config.run", "steps.1.lr", "steps.2.0", "again.1.1.lr", "again.1.2.0",
                                 "pairs.0.0", "pairs.0.1.1.lr", "pairs.0.1.2.0", "pairs.1.0", "pairs.1.1.1.lr", "pairs.1.1.2.0"]
    result = mlc("diff", *files, "--key", ".")
    assert "other value: name: 'run1' and 'run2'" in result.stdout and "other value: config.run: 'run1' and 'run2'" in result.stdout
    mlc.ok("diff", files[0], *written("other", tree(1), tree(1), tmp_path)[:1], "--key", ".")


def test_shared_attributes_and_arguments_are_told_at_each_place(mlc, tmp_path):
    def tree(value):
        options = argparse.Namespace(lr=value)
        weight = with_attribute(torch.ones(2), value)
        return {"one": options, "two": {"three": options}, "t": weight, "u": [weight], "p": [functools.partial(max, value)] * 2}

    assert paths(mlc, written("objects", tree(7.5), tree(8.5), tmp_path)) == [
        "one.lr", "two.three.lr", "t.__dict__.g", "u.0.__dict__.g", "p.0.1.0", "p.1.1.0"]


def test_ways_to_a_shared_value_are_many(mlc, tmp_path):
    def tree(value):
        for _ in range(60):
            value = [value, value]
        return {"v": value}

    mlc.ok("diff", *written("equal", tree(1), tree(1), tmp_path), "--key", ".")
    found = paths(mlc, written("differ", tree(1), tree(2), tmp_path))
    assert found[:2] == [".".join(["v"] + ["0"] * 60), ".".join(["v"] + ["0"] * 59 + ["1"])]
    # All of the tree is told, somewhere as a whole: what is left out lies below a path that is there.
    assert 1000 < len(found) < 50_000 and found[-1] == "v.1"


def test_cycles_end(mlc, tmp_path):
    def tree(value, deep=0):
        root, child = {}, {}
        child.update(parent=root, x=deep)
        root.update(child=child, value=value)
        return {"first": child, "root": root, "again": root, "same": child}

    mlc.ok("diff", *written("cycle", tree(1), tree(1), tmp_path), "--key", ".")
    # Found equal while its parent was open, whose difference came later.
    assert paths(mlc, written("late", tree(1), tree(2), tmp_path)) == ["first.parent.value", "root", "again", "same"]
    assert paths(mlc, written("deep", tree(1), tree(1, 5), tmp_path)) == ["first.x", "root", "again", "same"]


def test_equal_parts_of_a_cycle_with_a_difference_are_equal(mlc, tmp_path):
    def tree(value):
        ring = []
        ring.append(ring)
        holder = {"ring": ring, "value": value}
        holder["self"] = holder
        return {"holder": holder, "ring": ring, "list": [ring, ring]}

    assert paths(mlc, written("ring", tree(1), tree(2), tmp_path)) == ["holder.value"]


def test_sparse_tensors_of_other_types_were_said_to_differ_though_types_may(mlc, tmp_path):
    torch.save({"t": torch.eye(3).to_sparse()}, tmp_path / "a.pt")
    torch.save({"t": torch.eye(3).double().to_sparse()}, tmp_path / "b.pt")
    found = mlc("diff", "a.pt", "b.pt", "--ignore-dtype", "--json").json
    assert [one["kind"] for one in found["differences"]] == ["uncompared"], found
    assert mlc("diff", "a.pt", "b.pt").rc == 1


def pickled(value, protocol):
    """VALUE as torch.save writes it with this protocol."""
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(1), "v": value}, buffer, pickle_protocol=protocol)
    return buffer.getvalue()


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("value", [
    b"", b"\xff\0'", bytearray(), bytearray(b"ab\xff"), range(3), [int, str, dict],
    functools.reduce, (b"", {bytes: [bytearray(b"x")]}), numpy.float32(0.1),
    functools.partial(int, base=2)], ids=repr)
def test_equal_values_of_other_protocols_differed(mlc, tmp_path, value, protocol):
    (tmp_path / "a.pt").write_bytes(pickled(value, 2))
    (tmp_path / "b.pt").write_bytes(pickled(value, protocol))
    assert mlc("diff", "a.pt", "b.pt", "--key", ".").rc == 0


@pytest.mark.parametrize("value", [b"", bytearray(), bytearray(b"ab\xff"), range(3), [int]],
                         ids=repr)
def test_values_that_mlc_wrote_differed_from_their_source(mlc, tmp_path, value):
    (tmp_path / "a.pt").write_bytes(pickled(value, 4))
    assert mlc("save", "a.pt", "-o", "b.pt").rc == 0
    result = mlc("diff", "a.pt", "b.pt", "--key", ".")
    assert result.rc == 0, result.stdout


def test_bytes_that_differ_are_told_in_every_protocol(compare):
    assert compare(b"", b"x") == ["v"]
    assert compare(b"", bytearray()) == ["v"]
    assert compare(bytearray(b"a"), bytearray(b"b")) == ["v"]
    assert compare(range(3), range(4)) == ["v"]
    assert compare(int, str) == ["v"]


def test_numpy_scalars_of_numpy_1_differed_from_numpy_2(mlc, tmp_path):
    value = pickled({"x": numpy.float64(1.5), "y": numpy.arange(3)}, 2)
    files = zipfile.ZipFile(io.BytesIO(value))
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as out:
        for name in files.namelist():
            out.writestr(name, files.read(name).replace(b"numpy._core.", b"numpy.core."))
    (tmp_path / "a.pt").write_bytes(value)
    result = mlc("diff", "a.pt", "b.pt", "--key", ".")
    assert result.rc == 0, result.stdout


NUMPY_SCALARS = [
    *(numpy.float64(x) for x in (76.3, -0.0, 1e16, 1e-5, 1e-4, 0.1, 5e-324, 1e22, 123456789,
                                 math.inf, math.nan)),
    *(numpy.float32(x) for x in (0.1, 999999, 1e6, 1e-4, 123456.7, 3.4e38, 1e-45, 0, -2.5)),
    *(numpy.float16(x) for x in (0.1, 999, 1000, 2047, 65504, 6e-8, 1e-4, 1e-5, 0.5, 6.1e-5)),
    *(numpy.complex128(x) for x in (1 + 2j, 2j, complex(-0.0, 2), -1.5j, 1e20 + 1e-7j, 0,
                                    complex(math.nan, -math.inf), complex(1, math.nan))),
    *(numpy.complex64(x) for x in (0.1 - 0.5j, 1e7 + 1j, complex(1, -0.0))),
    numpy.bool_(True), numpy.bool_(False), numpy.uint8(255), numpy.int8(-1), numpy.int64(-2**63),
    numpy.uint64(2**64 - 1), numpy.int16(-300), numpy.int32(7)]


def test_numpy_scalars_were_shown_as_bytes(mlc, tmp_path):
    values = {f"v{i}": value for i, value in enumerate(NUMPY_SCALARS)}
    for protocol in (2, 4):
        torch.save(values, tmp_path / "a.pt", pickle_protocol=protocol)
        lines = mlc("load", "a.pt", "--tree").stdout.splitlines()
        for name, value in values.items():
            assert f"  '{name}': {value!r}" in lines


def test_every_float16_is_shown_as_numpy_does(mlc, tmp_path):
    codes = numpy.arange(0, 2**16, 37, dtype=numpy.uint16).view(numpy.float16)
    for start in range(0, len(codes), 90):
        values = {f"v{i}": value for i, value in enumerate(codes[start:start + 90])}
        torch.save(values, tmp_path / "a.pt")
        lines = mlc("load", "a.pt", "--tree").stdout.splitlines()
        assert [f"  '{name}': {value!r}" for name, value in values.items()
                if f"  '{name}': {value!r}" not in lines] == []


@pytest.mark.parametrize("protocol", [2, 4])
def test_dates_were_shown_as_bytes(mlc, tmp_path, protocol):
    day = datetime.datetime
    values = {"a": day(2024, 1, 2), "b": day(2024, 1, 2, 3, 4, 5), "c": day(1, 2, 3, 4, 5, 6, 7),
              "d": day(9999, 12, 31, 23, 59, 0, 999999, fold=1), "e": datetime.date(2024, 1, 2)}
    torch.save(values, tmp_path / "a.pt", pickle_protocol=protocol)
    lines = mlc("load", "a.pt", "--tree").stdout.splitlines()
    for name, value in torch.load(tmp_path / "a.pt", weights_only=False).items():
        assert f"  '{name}': {value!r}" in lines  # protocol 2 has no `fold`
    torch.save(day(2024, 1, 2, tzinfo=datetime.timezone.utc), tmp_path / "a.pt")
    assert "(2024, 1, 2, 0, 0, tzinfo=datetime.timezone(" in mlc("load", "a.pt", "--tree").stdout


@pytest.mark.parametrize("a, b", [
    (numpy.float64(76.3), numpy.float64(76.4)), ("x" * 99 + "a", "x" * 99 + "b"),
    (set(range(50)), set(range(49)) | {77}), (2**4000, 2**4000 + 1), (b"\xff" * 90, b"\xff" * 91),
    ("é" * 99 + "é", "é" * 99 + "è"), (2**4000, 2**4000 + 10)],
    ids=["numpy", "text", "set", "integer", "bytes", "letters", "digits"])
def test_two_values_were_shown_alike(mlc, tmp_path, a, b):
    (tmp_path / "a.pt").write_bytes(pickled(a, 2))
    (tmp_path / "b.pt").write_bytes(pickled(b, 2))
    result = mlc("diff", "a.pt", "b.pt", "--key", ".", "--json")
    (found,) = result.json["other_values"]
    assert found["a"] != found["b"]
    assert max(len(found["a"]), len(found["b"])) < 400


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))


def training_run(model, **others):
    """What a script saves of MODEL and its optimizer."""
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, **others}


@pytest.mark.parametrize("key", [[], ["--key", "."]])
def test_versions_of_modules_differed_behind_a_prefix(mlc, tmp_path, key):
    net = Net()
    torch.save(torch.nn.DataParallel(net).state_dict(), tmp_path / "ddp.pt")
    torch.save(net.state_dict(), tmp_path / "plain.pt")
    mlc.ok("strip-module-prefix", "ddp.pt", "-o", "stripped.pt")
    for plain in ("plain.pt", "stripped.pt"):
        done = mlc.ok("diff", "ddp.pt", plain, "--strip-prefix", "module.", *key)
        assert "versions" not in done.stderr
    old = net.state_dict()
    old._metadata["body.1"]["version"] = 1  # pylint: disable=protected-access
    torch.save(old, tmp_path / "old.pt")
    done = mlc.ok("diff", "ddp.pt", "old.pt", "--strip-prefix", "module.", *key)
    assert "other module versions" in done.stderr


def test_a_prefix_of_wrapped_keys_stayed_below_the_root(mlc, tmp_path):
    net = Net()
    torch.manual_seed(0)
    run = training_run(torch.nn.DataParallel(net), ema=torch.nn.DataParallel(net).state_dict())
    run["model"]["module.flag"] = 5  # no tensor
    torch.save(run, tmp_path / "ddp.pt")
    mlc.ok("strip-module-prefix", "ddp.pt", "--key", "*", "-o", "plain.pt")
    compare = ["diff", "ddp.pt", "plain.pt", "--key", "."]
    assert mlc(*compare).rc == 1
    done = mlc.ok(*compare, "--strip-prefix", "module.")
    assert "and every other value" in done.stdout and "versions" not in done.stderr
    assert "took module. off 14 of 26 keys of A and no key of B" in done.stderr
    # What else changed is still seen: in the model, beside its tensors, in the optimizer.
    for edit in ("model.body.0.weight", "model.flag", "optimizer.state.0.step", "epoch"):
        changed = torch.load(tmp_path / "plain.pt")
        *way, last = edit.split(".", 1) if edit.startswith("model") else edit.split(".")
        target = changed
        for step in way:
            target = target[int(step) if step.isdigit() else step]
        target[last] = target[last] + 1
        torch.save(changed, tmp_path / "plain2.pt")
        found = mlc("diff", "ddp.pt", "plain2.pt", "--key", ".", "--strip-prefix", "module.", "--json").json
        names = [one["name"] for one in found["differences"]] + [one["path"] for one in found["other_values"]]
        assert names == [edit]


def test_a_prefix_of_paths_is_stripped_where_no_keys_have_it(mlc, tmp_path):
    torch.save({"module": {"w": torch.ones(2)}}, tmp_path / "a.pt")
    torch.save({"w": torch.ones(2)}, tmp_path / "b.pt")
    found = mlc("diff", "a.pt", "b.pt", "--key", ".", "--strip-prefix", "module.", "--json").json
    assert found["differences"] == [] and found["a"]["stripped"] == 1


@pytest.mark.parametrize("key", [(), ("--key", ".")])
def test_a_value_with_and_without_the_prefix_was_lost(mlc, tmp_path, key):
    torch.save({"e": 2, "module.e": 1, "module.w": torch.ones(1)}, tmp_path / "a.pt")
    torch.save({"e": 2, "w": torch.ones(1)}, tmp_path / "b.pt")
    done = mlc("diff", "a.pt", "b.pt", "--strip-prefix", "module.", *key)
    assert done.rc == 1 and "has e with and without the prefix module." in done.stderr


def test_extra_files_of_programs_were_not_named_as_not_compared(mlc, tmp_path):
    model = torch.jit.script(torch.nn.Linear(2, 2))
    for name, text in (("a.pt", "1"), ("b.pt", "2")):
        torch.jit.save(model, tmp_path / name, _extra_files={"c.json": text})
    assert "not compared: the program and the extra files" in mlc.ok("diff", "a.pt", "b.pt", "--key", ".").stderr


@pytest.mark.parametrize("make", [
    lambda: numpy.arange(3), lambda: numpy.zeros((0, 2)), lambda: numpy.array(1.5), lambda: numpy.random.RandomState(0).get_state(),
    lambda: numpy.arange(24.0).reshape(2, 3, 4), lambda: numpy.arange(6, dtype=">i4").reshape(2, 3),
])
def test_arrays_of_other_protocols_were_other_values(mlc, tmp_path, make):
    value = make()
    turned = value if isinstance(value, tuple) else numpy.array(value.astype(value.dtype.newbyteorder("=")), order="F")
    torch.save({"w": torch.ones(1), "x": value}, tmp_path / "a.pt")
    torch.save({"w": torch.ones(1), "x": turned}, tmp_path / "b.pt", pickle_protocol=5)
    mlc.ok("diff", "a.pt", "b.pt", "--key", ".")


@pytest.mark.parametrize("other", [[0, 1, 3], [[0, 1, 2]], [0.0, 1.0, 2.0]])
def test_arrays_of_other_values_differ(mlc, tmp_path, other):
    torch.save({"w": torch.ones(1), "x": numpy.arange(3)}, tmp_path / "a.pt")
    torch.save({"w": torch.ones(1), "x": numpy.array(other)}, tmp_path / "b.pt", pickle_protocol=5)
    done = mlc("diff", "a.pt", "b.pt", "--key", ".")
    assert done.rc == 1 and "other value" in done.stdout


def test_metadata_lost_as_a_whole_was_called_every_other_value(mlc, tmp_path):
    state = torch.nn.BatchNorm1d(2).state_dict()
    without = collections.OrderedDict(state.items())
    empty = collections.OrderedDict(state.items())
    empty._metadata = {}  # pylint: disable=protected-access
    for name, one in (("with", state), ("without", without), ("empty", empty)):
        torch.save(one, tmp_path / f"{name}.pt")
        torch.save({"m": one, "e": 1}, tmp_path / f"in_{name}.pt")
    note = "module versions only in {}, which do not count, in _metadata of "
    assert note.format("A") + "the state_dict\n" in mlc.ok("diff", "with.pt", "without.pt").stderr
    assert note.format("A") + "the root\n" in mlc.ok("diff", "with.pt", "without.pt", "--key", ".").stderr
    assert note.format("B") + "m\n" in mlc.ok("diff", "in_without.pt", "in_with.pt", "--key", ".").stderr
    assert "versions" not in mlc.ok("diff", "without.pt", "empty.pt", "--key", ".").stderr
    mlc.ok("save", "with.pt", "-o", "with.safetensors")
    assert "versions" not in mlc.ok("diff", "with.pt", "with.safetensors").stderr


@pytest.mark.parametrize("other", [torch.nn.Parameter(torch.ones(2)), torch.ones(2, requires_grad=True)],
                         ids=["Parameter", "requires_grad"])
def test_what_tensors_are_for_autograd_was_not_told(mlc, tmp_path, other):
    torch.save({"m": {"w": torch.ones(2), "b": torch.ones(1)}}, tmp_path / "a.pt")
    torch.save({"m": {"w": other, "b": torch.ones(1)}}, tmp_path / "b.pt")
    note = "a Parameter or requires_grad on one side only, which does not count: "
    assert note + "m.w\n" in mlc.ok("diff", "a.pt", "b.pt", "--key", ".").stderr
    assert note + "w\n" in mlc.ok("diff", "b.pt", "a.pt").stderr
    mlc.ok("save", "b.pt", "-o", "b.safetensors")
    for args in (["b.pt", "b.pt"], ["b.pt", "b.safetensors"], ["a.pt", "b.pt", "--keys-only"]):
        assert "Parameter" not in mlc.ok("diff", *args).stderr
