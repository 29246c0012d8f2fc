"""The shipped architectures: the keys and the outputs of their PyTorch originals."""

import json

import pytest
import torch
import yaml

import script_modules
from original_models import ORIGINALS
from test_architecture import rows

FOLDER = script_modules.ROOT / "examples/architectures"
pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def original(name):
    """The model with small random values in every tensor, so that deep stacks stay in range."""
    torch.manual_seed(3)
    model = ORIGINALS[name][0]().eval()
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if "running_var" in key:
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point() and tensor.ndim < 2:
                tensor.add_(torch.randn_like(tensor) * 0.05)
            elif tensor.is_floating_point() and ("gpt" in name or "vit" in name):
                tensor.normal_(0, 0.05)
    return model


def test_every_example_has_an_original():
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(ORIGINALS)


@pytest.mark.parametrize("name", sorted(ORIGINALS))
def test_example_has_the_keys_and_outputs_of_its_original(mlc, tmp_path, name):
    path = FOLDER / f"{name}.yaml"
    model = original(name)
    described = script_modules.dump(path)
    assert described["state_dict"] == rows(model.state_dict())
    made = script_modules.build(described["root"], model.state_dict())[1]
    for inputs in ORIGINALS[name][1]:
        with torch.no_grad():
            wanted = model(*inputs)
            found = made._get_method("forward")(*inputs)
        for ours, theirs in zip(script_modules.flat(found), script_modules.flat(wanted), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * theirs.abs().max().item())
    # Shapes with one stored element each: tensors without any would not fit.
    torch.save({key: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for key, tensor in model.state_dict().items()},
               tmp_path / "shapes.pt")
    mlc.ok("load", "shapes.pt", "--expect", path, "--summary")


@pytest.mark.parametrize("name", sorted(ORIGINALS))
def test_example_fits_the_schema(valid, name):
    valid(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()), "architecture")


def test_the_digits_checkpoint_fits_its_architecture(mlc, root):
    mlc.ok("strip-module-prefix", root / "examples/digits/digits.pt", "--key", "model_state_dict", "-o", "plain.pt")
    mlc.ok("load", "plain.pt", "--key", "model_state_dict", "--expect", FOLDER / "digits_cnn.yaml")


def test_schema_example(valid, root):
    path = root / "schemas/examples/architecture.yaml"
    valid(yaml.safe_load(path.read_text()), "architecture")
    described = script_modules.dump(path)
    state = {name: torch.randn(shape) for name, dtype, shape in described["state_dict"]}
    logits = script_modules.run(described["root"], state, torch.arange(6).reshape(2, 3))
    assert logits.shape == (2, 32)
    assert "norm" not in json.dumps([child["name"] for child in described["root"]["children"][3]["children"]])
