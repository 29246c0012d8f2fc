#!/usr/bin/env python3
"""Trains the small CNN of this folder on scikit-learn's digits and writes digits.pt, digits.yaml, test.safetensors and calibration.safetensors.

The checkpoint is saved the way people save them: a dictionary with the epoch, the model's
state_dict (from inside nn.DataParallel, so every key starts with "module."), Adam's state, the
configuration and the metrics. Runs on one CPU thread with fixed seeds in about ten seconds:

    .deps/venv/bin/python examples/digits/train.py [OUTPUT_DIR]
"""

import pathlib
import platform
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

CONFIG = {
    "architecture": "digits_cnn",
    "channels": 16,
    "blocks": 4,
    "epochs": 60,
    "batch_size": 64,
    "learning_rate": 5e-3,
    "seed": 0,
}
CALIBRATION = 512  # images of those to train on

METADATA = """\
mlc: metadata/1
name: digits-cnn
version: 1.0.0
framework: {{torch: {torch}, python: {python}}}
requires: ["torch>=1.6", "mlc>=0.1"]
training:
  epoch: {epoch}
  metrics: {{test_accuracy: {accuracy}, test_loss: {loss}}}
custom:
  dataset: scikit-learn load_digits, 8x8 grey images, {train} for training and {test} for testing
"""


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, x):
        return F.relu(self.conv(x) + x)


class DigitsCnn(nn.Module):
    """8x8 grey image -> 10 logits; the first convolution halves the image: 16 * 4 * 4 = 256."""

    def __init__(self, channels, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, kernel_size=3, stride=2, padding=1)
        self.blocks = nn.ModuleList(Block(channels) for _ in range(blocks))
        self.fc = nn.Linear(channels * 4 * 4, 10)

    def forward(self, image):
        x = F.relu(self.conv1(image))
        for block in self.blocks:
            x = block(x)
        return self.fc(torch.flatten(x, 1))


def load_data(seed):
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16.0
    labels = torch.tensor(digits.target, dtype=torch.int64)
    train, test = train_test_split(
        range(len(labels)), test_size=0.2, random_state=seed, stratify=labels.numpy()
    )
    return (images[train], labels[train]), (images[test], labels[test])


def shifted(images):
    """The images of a batch, moved together by up to one pixel each way: the only augmentation."""
    down, right = torch.randint(0, 3, (2,)).tolist()
    return F.pad(images, (1, 1, 1, 1))[:, :, down : down + 8, right : right + 8]


def train_epoch(model, optimizer, images, labels, batch_size):
    model.train()
    for batch in torch.randperm(len(labels)).split(batch_size):
        optimizer.zero_grad()
        F.cross_entropy(model(shifted(images[batch])), labels[batch]).backward()
        optimizer.step()


def evaluate(model, images, labels):
    model.eval()
    with torch.no_grad():
        logits = model(images)
    return {
        "test_accuracy": round((logits.argmax(1) == labels).float().mean().item(), 4),
        "test_loss": round(F.cross_entropy(logits, labels).item(), 4),
    }


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(CONFIG["seed"])

    train, test = load_data(CONFIG["seed"])
    model = nn.DataParallel(DigitsCnn(CONFIG["channels"], CONFIG["blocks"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=CONFIG["learning_rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, CONFIG["epochs"])
    for epoch in range(1, CONFIG["epochs"] + 1):
        train_epoch(model, optimizer, *train, CONFIG["batch_size"])
        schedule.step()
        if epoch % 10 == 0:
            print(f"epoch {epoch}: {evaluate(model, *test)}")

    metrics = evaluate(model, *test)
    if metrics["test_accuracy"] < 0.97:
        sys.exit(f"test accuracy {metrics['test_accuracy']} is below 0.97: not saved")
    checkpoint = {
        "epoch": CONFIG["epochs"],
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "config": CONFIG,
        "metrics": metrics,
    }
    torch.save(checkpoint, folder / "digits.pt")
    save_file({"image": test[0], "label": test[1]}, folder / "test.safetensors")
    some = {"image": train[0][:CALIBRATION].contiguous(), "label": train[1][:CALIBRATION].contiguous()}
    save_file(some, folder / "calibration.safetensors")
    (folder / "digits.yaml").write_text(
        METADATA.format(
            torch=torch.__version__,
            python=platform.python_version(),
            epoch=CONFIG["epochs"],
            accuracy=metrics["test_accuracy"],
            loss=metrics["test_loss"],
            train=len(train[1]),
            test=len(test[1]),
        )
    )


if __name__ == "__main__":
    main()
