"""mlc validate-version: facts of real files against requirements; `packaging` is the judge of the judge."""

import itertools

import packaging.specifiers
import packaging.version
import pytest
import safetensors.torch
import torch

FLOOR = "torch is at least 2.7"


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"w": torch.ones(2)}, path)
    return path


def say(mlc, path, *changes):
    """Puts metadata into the file."""
    mlc.ok("metadata", path, *itertools.chain(*(["--set", change] for change in changes)), "--in-place")


# --- facts and where they come from


def test_embedded_metadata(mlc, model, valid):
    say(mlc, model, "framework.torch=2.1.0+cu118", "framework.python=3.11.7")
    result = mlc.ok("validate-version", model, "--requires", "torch>=1.13,<2.3", "--requires", "python>=3.8")
    assert result.stdout == ("torch 2.1.0+cu118 satisfies >=1.13,<2.3 (from the embedded metadata)\n"
                             "python 3.11.7 satisfies >=3.8 (from the embedded metadata)\n")
    result = mlc("validate-version", model, "--requires", "torch>=2.2,<3", "--json")
    assert result.rc == 1
    valid(result.json, "validate-version")
    assert (result.json["verdict"], result.json["passes"], result.json["file"]) == ("unsatisfied", False, str(model))
    only = result.json["requirements"][0]
    assert only["clauses"] == [{"clause": ">=2.2", "verdict": "unsatisfied"},
                               {"clause": "<3", "verdict": "satisfied"}]
    assert (only["version"], only["compared"], only["floor"]) == ("2.1.0+cu118", "2.1.0+cu118", False)


def test_sidecar(mlc, model):
    (model.parent / "model.mlc.yaml").write_text("mlc: metadata/1\nframework: {torch: 1.9.0}\n")
    result = mlc("validate-version", "model.pt", "--requires", ">=1.13")
    assert result.rc == 1
    assert result.stdout == "torch 1.9.0 does not satisfy >=1.13 (from model.mlc.yaml)\n"
    # The layout says that this cannot be.
    assert f"but at least 2.7 (from the layout of the zip)" in result.stderr
    assert mlc("validate-version", "model.mlc.yaml", "--requires", ">=1.13").rc == 1


@pytest.mark.parametrize("source", ["legacy.pt", "plain.safetensors"])
def test_layout_of_mlc_is_not_taken_for_that_of_a_pytorch(mlc, tmp_path, source):
    torch.save({"w": torch.ones(2)}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "plain.safetensors")
    mlc.ok("save", source, "-o", "out.pt")
    assert "written by   mlc\n" in mlc.ok("load", "out.pt").stdout
    assert mlc.ok("load", "out.pt", "--json").json["origin"] == {"writer": "mlc", "torch": "", "torch_at_least": ""}
    result = mlc("validate-version", "out.pt", "--requires", "torch>=2.5", "--json")
    assert (result.rc, result.json["verdict"]) == (1, "unknown")
    assert torch.load(tmp_path / "out.pt", weights_only=True, mmap=True)["w"].tolist() == [1, 1]
    # Edits that copy the records leave the evidence as it is, in both directions.
    mlc.ok("remap-keys", "out.pt", "--map", "w=v", "-o", "edited.pt")
    assert "written by   mlc\n" in mlc.ok("load", "edited.pt").stdout


def test_renamed_file_of_pytorch_stays_one(mlc, model):
    mlc.ok("remap-keys", model, "--map", "w=v", "-o", "edited.pt")
    mlc.ok("metadata", "edited.pt", "--set", "name=x", "--in-place")
    assert "written by   PyTorch 2.7 or newer\n" in mlc.ok("load", "edited.pt").stdout


def test_embedded_and_sidecar_disagree(mlc, model, valid):
    say(mlc, model, "framework.torch=2.13.0")
    (model.parent / "model.mlc.yaml").write_text("mlc: metadata/1\nframework: {torch: 2.12.0}\n")
    result = mlc.ok("validate-version", "model.pt", "--requires", "torch==2.13.*")
    assert result.stdout == "torch 2.13.0 satisfies ==2.13.* (from the embedded metadata)\n"
    assert "differ in framework; that in the file counts" in result.stderr
    assert "2.12.0 (from model.mlc.yaml); the first counts" in result.stderr
    answer = mlc.ok("validate-version", "model.pt", "--requires", "torch>=2", "--json")
    valid(answer.json, "validate-version")
    assert len(answer.json["warnings"]) == 2 and answer.stderr == ""


def test_layout_gives_a_floor(mlc, model, valid):
    result = mlc.ok("validate-version", model, "--requires", "torch>=1.6")
    assert result.stdout == f"{FLOOR}, which satisfies >=1.6 (from the layout of the zip)\n"
    result = mlc("validate-version", model, "--requires", "torch<2")
    assert (result.rc, result.stdout) == (1, f"{FLOOR}, which does not satisfy <2 (from the layout of the zip)\n")
    result = mlc("validate-version", model, "--requires", "torch>=2.10", "--json")
    valid(result.json, "validate-version")
    assert (result.rc, result.json["verdict"], result.json["requirements"][0]["floor"]) == (1, "unknown", True)


@pytest.mark.parametrize("name, floor", [("sd_1.7.pt", "1.6"), ("sd_1.13.pt", "1.6"), ("sd_2.6.pt", "2.1"),
                                         ("sdleg_1.7.pt", "0.1.10")])
def test_floors_of_real_files(mlc, root, name, floor):
    written_by = name[:-3].split("_")[1]
    answer = mlc.ok("validate-version", root / "tests/golden" / name, "--requires", f"torch>={floor}", "--json").json
    assert answer["requirements"][0]["compared"] == floor
    assert packaging.version.parse(written_by) >= packaging.version.parse(floor)


def test_torchscript_and_pt2(mlc, script, exported):
    assert "TorchScript archive" in mlc.ok("validate-version", script, "--requires", "torch>=1.3").stdout
    result = mlc.ok("validate-version", exported, "--requires", f"torch=={torch.__version__}")
    assert f"torch {torch.__version__} satisfies" in result.stdout and "torch_version in " in result.stdout


def test_unknown_says_how_to_record_it(mlc, model, valid):
    result = mlc("validate-version", "model.pt", "--requires", "cuda>=12")
    assert (result.rc, result.stdout) == (1, "the version of cuda is not known, needed is >=12\n")
    assert result.stderr == ("hint: `mlc metadata model.pt --set framework.cuda=VERSION --in-place` records it, or "
                             "say what unknown means with --if-unknown\n")
    mlc.ok("metadata", "model.pt", "--set", "framework.cuda=12.8", "--in-place")  # the hint works
    mlc.ok("validate-version", "model.pt", "--requires", "cuda>=12")
    legacy = model.parent / "legacy.pt"
    torch.save({"w": torch.ones(2)}, legacy, _use_new_zipfile_serialization=False)
    assert "--sidecar" in mlc("validate-version", legacy, "--requires", "torch>=2").stderr
    plain = model.parent / "plain.safetensors"
    safetensors.torch.save_file({"w": torch.ones(2)}, plain)
    result = mlc("validate-version", plain, "--requires", "torch>=2", "--json")
    valid(result.json, "validate-version")
    assert result.rc == 1 and "version" not in result.json["requirements"][0]


def test_if_unknown(mlc, model):
    arguments = ["validate-version", model, "--requires", "cuda>=12", "--if-unknown"]
    assert mlc(*arguments, "fail").rc == 1
    warned = mlc.ok(*arguments, "warn")
    assert warned.stderr == "mlc: warning: the version of cuda is not known, needed is >=12\n"
    assert mlc.ok(*arguments, "pass").stderr == ""
    # "Some PyTorch 2": a layout tells the least version only.
    floor = ["validate-version", model, "--if-unknown", "floor", "--requires"]
    assert mlc("validate-version", model, "--requires", "torch>=2,<3").rc == 1
    assert mlc(*floor, "torch>=2,<3").rc == 0 and mlc(*floor, "torch>=2.10").rc == 1 and mlc(*floor, "torch<2").rc == 1
    assert mlc(*floor, "cuda>=12").rc == 1
    counted = mlc.ok(*floor, "torch>=2,<3")
    assert counted.stdout.endswith("; the lowest version counts\n") and "hint" not in counted.stderr
    # A "no" stays a "no".
    assert mlc("validate-version", model, "--requires", "torch<1", "--if-unknown", "pass").rc == 1


# --- requirements and where they come from


def test_own_requirements(mlc, model, valid):
    say(mlc, model, "framework.torch=2.13.0", "requires=[torch>=2, mlc>=0.0.1]")
    result = mlc.ok("validate-version", model)
    assert len(result.stdout.splitlines()) == 2 and "(from this mlc)" in result.stdout
    valid(mlc.ok("validate-version", model, "--json").json, "validate-version")
    say(mlc, model, "requires=torch<2")
    assert mlc("validate-version", model).rc == 1
    assert mlc("validate-version", model, "--version", "1.13.1").rc == 0  # may 1.13.1 read it


def test_no_requirement_anywhere(mlc, model):
    result = mlc("validate-version", model)
    assert (result.rc, result.stdout) == (1, "its metadata has no `requires`, so there is nothing to judge by\n")
    assert result.stderr == ("hint: name a requirement with --requires 'torch>=1.13,<3', or say what unknown means "
                             "with --if-unknown\n")
    assert mlc("validate-version", "--version", "2.1.0").rc == 2
    result = mlc("validate-version")
    assert result.rc == 2 and "nothing to judge" in result.stderr


def test_tool_and_format(mlc, model):
    result = mlc.ok("validate-version", model, "--tool", ">=0.0.1", "--format", "<=3")
    assert result.stdout.splitlines()[0].startswith("mlc ")
    assert result.stdout.splitlines()[1] == "format 3 satisfies <=3 (from the zip's `version` record)"
    assert mlc("validate-version", model, "--format", "<3").rc == 1
    assert mlc("validate-version", model, "--tool", ">=9999").rc == 1


def test_several_files(mlc, model, script, valid):
    say(mlc, model, "framework.torch=2.13.0", "requires=torch>=2.13")
    say(mlc, script, "framework.torch=2.12.1", "requires=torch>=2.13")
    result = mlc("validate-version", "model.pt", "script.pt")
    assert result.rc == 1
    assert result.stdout == (
        "model.pt: satisfied: torch 2.13.0 satisfies >=2.13 (from the embedded metadata)\n"
        "script.pt: unsatisfied: torch 2.12.1 does not satisfy >=2.13 (from the embedded metadata)\n")
    result = mlc("validate-version", "model.pt", "script.pt", "--json")
    valid(result.json, "batch")
    assert [row["exit_code"] for row in result.json["results"]] == [0, 1]
    for row in result.json["results"]:
        valid(row["result"], "validate-version")
    assert mlc("validate-version", "model.pt", "none.pt", "script.pt", "--keep-going").rc == 3


# --- bare versions


@pytest.mark.parametrize("version", ["2.1.0", "2.1.0+cu118", "2.0rc1", "1.7.0.post1", "2.2.0.dev20231001", "1!1.0",
                                     "2.1", "1.13.1", "2.10.0"])
@pytest.mark.parametrize("spec", [">=1.13,<2.3", "==2.1.0", "==2.*", "~=2.0", ">1.7", "<2.0", "!=2.1.0", ">=2.0rc1",
                                  "===2.1.0", "<=2.1"])
def test_bare_versions_as_packaging_judges_them(mlc, version, spec):
    clauses = packaging.specifiers.SpecifierSet(spec)
    expected = clauses.contains(version, prereleases=bool(clauses.prereleases))
    result = mlc("validate-version", "--version", version, "--requires", spec)
    assert result.rc == (0 if expected else 1), result
    assert "(from --version)" in result.stdout


def test_bare_version_of_something_else(mlc, valid):
    mlc.ok("validate-version", "--version", "python=3.11", "--requires", "python>=3.8")
    mlc.ok("validate-version", "--version", "python=3.11", "--version", "2.1", "--requires", "python>=3.8",
           "--requires", "torch>=2")
    answer = mlc.ok("validate-version", "--version", "2.1", "--requires", "torch>=2", "--json").json
    valid(answer, "validate-version")
    assert "file" not in answer
    assert mlc("validate-version", "--version", "mlc=1", "--requires", "mlc>=1").rc == 2
    assert mlc("validate-version", "--version", "python=", "--requires", "python").rc == 2


def test_vendor_strings(mlc):
    arguments = ["validate-version", "--version", "2.0.0.nv23.05", "--requires", ">=2"]
    result = mlc.ok(*arguments)
    assert result.stderr.startswith('mlc: warning: torch version "2.0.0.nv23.05" is not PEP 440; read as 2.0.0')
    strict = mlc(*arguments, "--strict")
    assert strict.rc == 1 and "is not PEP 440" in strict.stdout and "--strict" in strict.stderr


def test_prereleases(mlc):
    arguments = ["validate-version", "--version", "2.1.0a0+gitabc", "--requires", ">=2.0"]
    refused = mlc(*arguments)
    assert refused.rc == 1 and "is a pre-release" in refused.stdout and "--pre" in refused.stderr
    mlc.ok(*arguments, "--pre")
    mlc.ok(*arguments, "--base-version")


# --- errors


@pytest.mark.parametrize("arguments, part", [
    (["--requires", "torch^1.13"], "^1.13"),
    (["--requires", "torch>="], "torch>="),
    (["--requires", ">=1.13,<"], ">=1.13,<"),
    (["--requires", "torch>=abc"], "abc"),
    (["--requires", "torch[cuda]>=1"], "torch[cuda]"),
    (["--requires", ""], ""),
    (["--tool", "x"], '"x"'),
    (["--format", "^2"], "^2"),
    (["--if-unknown", "maybe"], "maybe"),
])
def test_bad_requirements(mlc, model, arguments, part):
    result = mlc("validate-version", model, *arguments)
    assert (result.rc, result.stdout) == (2, "")
    assert part in result.stderr and str(model) not in result.stderr


def test_unreadable_files(mlc, tmp_path):
    assert mlc("validate-version", "none.pt", "--requires", "torch").rc == 3
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04" + b"\0" * 40)
    assert mlc("validate-version", "cut.pt", "--requires", "torch").rc == 3
    error = mlc("validate-version", "none.pt", "--requires", "torch", "--json").error
    assert error["file"] == "none.pt"


def test_a_version_without_a_name_is_not_taken_for_that_of_python(mlc):
    result = mlc("validate-version", "--version", "2.0", "--requires", "python>=3.8")
    assert (result.rc, result.stdout) == (1, "the version of python is not known, needed is >=3.8\n")
    assert "--version python=VERSION" in result.stderr


@pytest.mark.parametrize("spec, version", [("torch2.0", "2.0"), ("torch-2.0", "2.0"), ("torch_2.0.1", "2.0.1")])
def test_a_forgotten_operator_is_not_a_name_that_any_version_satisfies(mlc, spec, version):
    result = mlc("validate-version", "--version", "2.0", "--requires", spec)
    assert result.rc == 2 and f"did you mean torch>={version} or torch=={version}?" in result.stderr
    assert mlc("validate-version", "--version", "2.0", "--requires", "python3").rc == 1


def test_a_claim_of_the_metadata_outweighed_what_the_layout_proves(mlc, tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    mlc.ok("metadata", "a.pt", "--set", "framework.torch=1.9.0", "--sidecar")
    # The metadata comes first among the sources, so this is a warning unless one asks for more.
    assert "but at least 2.7" in mlc.ok("validate-version", "a.pt", "--requires", "torch<2.0").stderr
    refused = mlc("validate-version", "a.pt", "--requires", "torch<2.0", "--strict")
    assert refused.rc == 1 and "torch is at least 2.7, which does not satisfy <2.0" in refused.stdout
    assert "1.9.0" in refused.stderr and "both have to satisfy" in refused.stderr
    mlc.ok("validate-version", "a.pt", "--requires", "torch>=1.5", "--strict")
    # Who names a version on the command line knows better.
    mlc.ok("validate-version", "a.pt", "--requires", "torch<2.0", "--version", "1.9.0", "--strict")


def test_a_requirement_among_the_files_is_told_where_it_goes(mlc, tmp_path):
    torch.save({"w": torch.ones(1)}, tmp_path / "a.pt")
    result = mlc("validate-version", "a.pt", "torch>=2.0", "--keep-going")
    assert result.rc == 3 and "--requires 'torch>=2.0'" in result.stderr


def test_the_version_of_the_tool_needed_a_file(mlc, valid):
    assert mlc("validate-version", "--tool", ">=99").rc == 1
    done = mlc.ok("validate-version", "--tool", ">=0.0.1", "--json")
    valid(done.json, "validate-version")
    assert done.json["passes"] and "file" not in done.json
    assert mlc("validate-version", "--requires", "mlc>=99").rc == 1
    for args in ([], ["--requires", "torch>=1"], ["--format", "<=3"], ["--tool", "what"]):
        assert mlc("validate-version", *args).rc == 2


def test_a_requirement_without_a_version_passed_silently(mlc, tmp_path, valid):
    warning = 'the requirement "torch" names no version, so any meets it; write it like torch>=1.13'
    done = mlc.ok("validate-version", "--version", "2.0.0", "--requires", "torch")
    assert done.stdout == "torch 2.0.0 satisfies any version (from --version)\n" and warning in done.stderr
    (tmp_path / "m.yaml").write_text("mlc: metadata/1\nframework: {torch: 2.0.0}\nrequires: [torch, mlc>=0.1]\n")
    assert mlc.ok("validate-version", "m.yaml").stderr.count("names no version") == 1
    report = mlc.ok("validate-version", "m.yaml", "--json").json
    valid(report, "validate-version")
    assert report["warnings"] == [warning]
    assert mlc.ok("validate-version", "m.yaml", "--requires", "torch>=1").stderr == ""


@pytest.mark.parametrize("clauses, warned", [
    (">=1,<2,>3", True), ("<1,>=1", True), ("==1.5,!=1.5.*", True), (">=1,<3,!=1.*,!=2.*", True), ("~=1.5,<1.5", True),
    (">=1,<2", False), (">1,!=1.*", False), (">=1.5,!=1.5,!=1.5.1", False), ("<1", False), ("!=2", False), (">1.5,<1.6", False),
    (">1.0.post1,<1.0.post3", False), ("==2.*,>2", False), (">=2.0,<=2.0", False)])
def test_a_requirement_that_nothing_meets_passed_without_a_word(mlc, clauses, warned):
    versions = [f"{epoch}{major}.{minor}{end}" for epoch in ("", "1!") for major in range(5) for minor in range(12)
                for end in ("", ".1", ".2", ".7", ".post1", ".post2", "rc1")]
    assert any(packaging.specifiers.SpecifierSet(clauses).filter(versions, prereleases=True)) != warned  # what pip says
    done = mlc("validate-version", "--version", "2.1", "--requires", f"torch{clauses}")
    assert (f"no version meets torch{clauses}: its clauses contradict each other" in done.stderr) == warned


@pytest.fixture
def weights(tmp_path):
    """A file that says nothing of PyTorch: only its metadata can."""
    path = tmp_path / "m.safetensors"
    safetensors.torch.save_file({"w": torch.ones(2)}, path)
    return path


def test_a_version_without_a_name_could_not_be_required(mlc, weights, valid):
    asked = ("validate-version", weights, "--requires", "version>=1.0")
    unknown = mlc(*asked)
    assert unknown.rc == 1 and "the file's own version is not known, needed is >=1.0" in unknown.stdout
    assert "--set version=VERSION" in unknown.stderr and "framework." not in unknown.stderr
    say(mlc, weights, "version=1.2.0")
    assert mlc.ok(*asked).stdout == "version 1.2.0 satisfies >=1.0 (from the embedded metadata)\n"
    assert mlc("validate-version", weights, "--requires", "version>=2").rc == 1
    say(mlc, weights, "name=net", "requires=[version>=1.1, net<2]")
    own = mlc.ok("validate-version", weights, "--json").json
    valid(own, "validate-version")
    assert [one["subject"] for one in own["requirements"]] == ["version", "net"] and own["passes"]
    # That of a framework under its name is not the file's.
    say(mlc, weights, "framework.name=PyTorch", "framework.version=2.1.0")
    done = mlc.ok("validate-version", weights, "--requires", "version==1.2.0", "--requires", "torch==2.1.0")
    assert done.stderr == ""
    mlc.ok("metadata", weights, "--remove", "version", "--in-place")
    assert "own version is not known" in mlc(*asked).stdout


@pytest.mark.parametrize("name", ["torch", "PyTorch-Lightning", "format", "version"])
def test_a_model_called_like_a_source_was_taken_for_it(mlc, model, weights, name):
    """A model called torch, version 1.2.0, had been written by PyTorch 1.2.0."""
    for path in (model, weights):
        say(mlc, path, f"name={name}", "version=1.2.0")
        assert mlc.ok("validate-version", path, "--requires", "version==1.2.0").stderr == ""
    if name != "version":
        assert "is not known" in mlc("validate-version", weights, "--requires", f"{name}<=99").stdout
    assert mlc("validate-version", model, "--requires", "torch>=2.6").stdout.startswith(FLOOR)


def test_files_that_did_not_pass_were_not_counted(mlc, tmp_path):
    for name in ("a.pt", "b.pt"):
        torch.save({"w": torch.ones(1)}, tmp_path / name)
    done = mlc("validate-version", "a.pt", "b.pt", "none.pt", "--keep-going")
    assert done.rc == 3 and done.stderr.endswith("3 files, 1 failed: none.pt, 2 did not pass\n")
    done = mlc("validate-version", "a.pt", "b.pt", "--keep-going")
    assert done.rc == 1 and done.stderr.endswith("2 files, 2 did not pass\n")
    done = mlc("validate-version", "a.pt", "b.pt", "--requires", "torch>=1.6")
    assert done.rc == 0 and done.stderr == ""


@pytest.mark.usefixtures("engine")
def test_the_libtorch_that_is_here(mlc, model):
    here = mlc.ok("doctor", "--json").json["libtorch"]["version"]
    say(mlc, model, "framework.torch=1.9.0", "requires=torch>=2")
    assert mlc("validate-version", model).rc == 1
    done = mlc.ok("validate-version", model, "--against", "runtime")
    assert done.stdout == f"torch {here} satisfies >=2 (from the LibTorch here)\n"
    assert mlc("validate-version", "--against", "runtime", "--requires", "torch<2").rc == 1
