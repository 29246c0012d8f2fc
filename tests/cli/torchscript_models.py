"""TorchScript files as people make them, with what Python computes from them."""

import warnings

import torch
from torch import nn

warnings.filterwarnings("ignore", category=DeprecationWarning)


class Net(nn.Module):
    """Convolution, batch norm, linear: the shape of an image classifier."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 64, 10)

    def forward(self, image):
        return self.fc(torch.flatten(torch.relu(self.norm(self.conv(image))), 1))


class Embedder(nn.Module):
    """Integer inputs, a mask with a default, an integer buffer, a dict for an answer."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 8)
        self.register_buffer("positions", torch.arange(64))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None):
        hidden = self.table(ids) + self.positions[: ids.size(1)].unsqueeze(-1)
        if mask is not None:
            hidden = hidden * mask.unsqueeze(-1)
        return {"hidden": hidden, "mean": hidden.mean(1)}


class Odd(nn.Module):
    """Nested results, numbers among them, a number for an argument."""

    def forward(self, x: torch.Tensor, times: int = 2):
        return x * times, [x.sum(), x > 0], times, (x.double(), None)


class Bad(nn.Module):
    def forward(self, x: torch.Tensor):
        return x / 0, x.sqrt()


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8)

    def forward(self, x):
        return self.lstm(x)[0]


class StatefulLstm(nn.Module):
    """Its state is an argument, or a buffer for a batch of two."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8)
        self.register_buffer("h", torch.zeros(1, 2, 8))

    def forward(self, x: torch.Tensor, h: torch.Tensor | None = None):
        state = self.h if h is None else h
        return torch.lstm(x, [state, state], [p for p in self.weights()], True, 1, 0.0, False, False, False)[0]

    def weights(self):
        return [self.lstm.weight_ih_l0, self.lstm.weight_hh_l0, self.lstm.bias_ih_l0, self.lstm.bias_hh_l0]


class Huge(nn.Module):
    def forward(self, x: torch.Tensor):
        return x.expand(10_000_000_000_000).contiguous()


class Slow(nn.Module):
    def forward(self, x: torch.Tensor):
        for _ in range(1_000_000_000):
            x = torch.mm(x, x).clamp(-1.0, 1.0)
        return x


class Talker(nn.Module):
    def forward(self, x: torch.Tensor):
        print("hello from the model")
        return x


def net(seed=0):
    torch.manual_seed(seed)
    return Net().eval()


def write_slow(path):
    torch.jit.script(Slow().eval()).save(path)


def write_all(folder):
    """Every model of this file, under its name."""
    torch.jit.trace(net(), torch.randn(1, 1, 8, 8)).save(folder / "traced.pt")
    torch.jit.script(net()).save(folder / "scripted.pt")
    torch.manual_seed(1)
    for name, module in (("embedder", Embedder()), ("odd", Odd()), ("bad", Bad()), ("talker", Talker()), ("huge", Huge())):
        torch.jit.script(module.eval()).save(folder / f"{name}.pt")
    write_slow(folder / "slow.pt")
    torch.jit.trace(Lstm().eval(), torch.randn(3, 2, 4)).save(folder / "lstm.pt")
    torch.jit.script(StatefulLstm().eval()).save(folder / "lstm_state.pt")
    torch.jit.script(nn.Dropout(0.5)).save(folder / "training.pt")
