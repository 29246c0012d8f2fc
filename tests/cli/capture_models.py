"""Modules that are captured as graphs: every kind of control flow, container and write, one each.

CASES: name -> (module, inputs as the command line takes them, other sizes to run at). They are scripted; those in
TRACED are traced too, with example inputs.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SEQUENCE = ["x:f32[batch=2,seq=6,4]"]
SEQUENCES = ["batch=2,seq=6", "batch=1,seq=9", "batch=5,seq=3"]
IMAGE = ["x:f32[batch=2,3,h=32,w=32]"]
CASES = {}
TRACED = {}


def case(inputs, sizes, traced=None):
    def add(module):
        CASES[module.__name__] = (module, inputs, sizes)
        if traced is not None:
            TRACED[module.__name__] = traced
        return module
    return add


# --- straight lines


@case(["x:f32[batch=2,4]"], ["batch=1", "batch=9"], [(2, 4)])
class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.second = nn.Linear(8, 3)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


@case(["image:f32[batch=2,1,8,8]"], ["batch=1", "batch=9"], [(2, 1, 8, 8)])
class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4 * 64, 10)

    def forward(self, image):
        return self.fc(torch.flatten(self.drop(F.relu(self.norm(self.conv(image)), inplace=True)), 1))


@case(IMAGE, ["batch=1,h=33,w=47", "batch=2,h=64,w=32"], [(2, 3, 32, 32)])
class Pyramid(nn.Module):
    """Sizes that follow the rules of windows: strides, padding, ceil_mode, other sizes as arguments."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.deeper = nn.Conv2d(4, 4, 3, 2, 1)
        self.out = nn.Conv2d(8, 3, 1)

    def forward(self, x):
        y = self.down(x)
        z = F.max_pool2d(self.deeper(torch.relu(y)), 3, 2, 1, ceil_mode=True)
        z = F.interpolate(z, size=[y.size(2), y.size(3)], mode="bilinear", align_corners=False)
        wide = F.pad(y, [1, 2, 0, 3])
        return self.out(torch.cat([y, z], 1)), F.adaptive_avg_pool2d(y, 1).flatten(1), wide, F.unfold(y, 3, 1, 0, 2)


@case(IMAGE, ["batch=1,h=64,w=32", "batch=3,h=96,w=160"], [(2, 3, 32, 32)])
class EvenOnly(nn.Module):
    """Runs where height and width are even: the smallest trial sizes are not."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 2, 2)

    def forward(self, x):
        return torch.cat([x, self.up(F.max_pool2d(self.conv(x), 2))], 1)


@case(IMAGE, ["batch=1,h=64,w=96"])
class Doubled(nn.Module):
    def forward(self, x):
        return F.interpolate(x, scale_factor=2.0), F.interpolate(x, scale_factor=0.5), F.pixel_unshuffle(x, 2)


@case(SEQUENCE, SEQUENCES, [(2, 6, 4)])
class Parts(nn.Module):
    def forward(self, x):
        a, b = x.chunk(2, -1)
        c = torch.split(x, [1, 3], -1)
        u = x.unbind(-1)
        return (a * b, c[1], x[..., 1:].permute(0, 2, 1), u[0] + x[..., 0], x.unfold(1, 2, 1), x[:, ::2],
                torch.cumsum(x, 1)[:, -1], x.repeat(1, 2, 3), x.repeat_interleave(2, 1), x[:, -2:], x[:, :100])


@case(SEQUENCE, SEQUENCES, [(2, 6, 4)])
class Sizes(nn.Module):
    """Sizes that are computed with."""

    def forward(self, x):
        b, t, c = x.shape
        h = t // 2 + 1
        y = x.transpose(1, 2).reshape(b * c, t).view(b, c, t)
        return (y / float(c) ** 0.5, torch.arange(h * 2, device=x.device), x.new_zeros([b, 3]) + t / 2,
                torch.ones(b, t).sum() * t, x.expand(2, b, t, c), x.view(b, -1), x.flatten(0, 1))


@case(SEQUENCE, SEQUENCES)
class Reals(nn.Module):
    def forward(self, x):
        return x / math.sqrt(x.size(1)), x * (1.0 / x.size(1)), x[:, : int(math.ceil(x.size(1) / 2))], \
            x[:, : max(int(x.size(1) * 0.5), 1)], x.size(1) / x.size(0)


@case(SEQUENCE, SEQUENCES)
class Attention(nn.Module):
    """The fast path of PyTorch, which a capture keeps."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]


@case(SEQUENCE, SEQUENCES)
class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8, 2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(16, 3)

    def forward(self, x):
        return self.gru(self.lstm(x)[0])[0]


# --- containers and arguments


@case(SEQUENCE, SEQUENCES)
class Containers(nn.Module):
    def forward(self, x):
        parts: list[Tensor] = []
        for i in range(3):
            parts.append(x[:, :, i] * i)
        parts[0] = parts[1] + 1
        last = parts.pop()
        found: dict[str, Tensor] = {"a": torch.stack(parts, -1), "b": x}
        found["c"] = found["a"] + 1
        found.pop("b")
        if "b" not in found:
            found["last"] = last
        return found


@case(SEQUENCE, SEQUENCES)
class Nested(nn.Module):
    def forward(self, x, flag: bool = True, k: Tensor | None = None):
        if k is not None:
            x = x + k
        if flag:
            x = x * 2
        return x, [x.sum(), (x > 0, None)], x.size(0)


@case(["x:f32[batch=2,seq=6,4]", "n:i64[]=3"], SEQUENCES)
class Number(nn.Module):
    def forward(self, x, n: int):
        return x * n + float(n)


# --- writes


@case(SEQUENCE, SEQUENCES)
class Writes(nn.Module):
    def forward(self, x):
        y = x.clone()
        y[:, 0] = 1.0
        y[:, 1:].mul_(2)
        y[x > 0.5] = -1
        y.view(-1)[0] = 7
        z = torch.relu(y).contiguous()
        z.add_(1)
        return y, z


@case(SEQUENCE, SEQUENCES)
class WritesState(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x):
        self.mean.zero_()
        self.mean.add_(x.mean((0, 1)))
        return x - self.mean


@case(SEQUENCE, SEQUENCES)
class ReshapesInPlace(nn.Module):
    def forward(self, x):
        y = x + 1
        y.unsqueeze_(1).transpose_(2, 3)
        z = y * 2
        z.squeeze_(1)
        return y, z, y.size(-1)


@case(SEQUENCE, SEQUENCES)
class Context(nn.Module):
    def forward(self, x):
        with torch.no_grad():
            y = x.detach() * 2
        return y


# --- branches and loops


@case(SEQUENCE, SEQUENCES)
class Branch(nn.Module):
    def forward(self, x):
        if bool(x.sum() > 0):
            y, n = x * 2, 1
        else:
            y, n = x - 1, 2
        return y, n


@case(SEQUENCE, SEQUENCES)
class BranchSizes(nn.Module):
    def forward(self, x):
        if bool(x.mean() > 0):
            y = x[:, :2]
        else:
            y = torch.cat([x, x], 1)
        return y + 1, y.size(1)


@case(SEQUENCE, SEQUENCES)
class BranchOnSize(nn.Module):
    def forward(self, x):
        if x.size(1) > 5:
            return x * 2
        return x + 1


@case(SEQUENCE, SEQUENCES)
class EarlyReturn(nn.Module):
    def forward(self, x):
        if bool(x.sum() > 0):
            return x * 2
        y = x.sum(1)
        if bool(y.mean() > -1):
            return y.unsqueeze(1)
        return x.abs()


@case(SEQUENCE, SEQUENCES)
class BranchChanges(nn.Module):
    """A branch that was not taken calls a module, and both change lists and dictionaries from outside."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        sizes = [1, 2]
        found = {"x": x}
        if bool(x.abs().max() > 100):
            sizes[0] = 5
            found["x"] = self.linear(x)
        elif x.size(1) > 5:
            sizes[1] = 7
        return found["x"] * sizes[0] + sizes[1]


@case(SEQUENCE, SEQUENCES)
class Asserts(nn.Module):
    def forward(self, x):
        assert x.dim() == 3, "three dimensions"
        if x.size(-1) != 4:
            raise ValueError("no")
        assert bool(x.isfinite().all().item()), "not finite"
        return x + 1


@case(SEQUENCE, SEQUENCES)
class Steps(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.Linear(4, 4)

    def forward(self, x):
        state = torch.zeros(x.size(0), 4)
        for i in range(x.size(1)):
            state = torch.tanh(self.cell(x[:, i]) + state)
        return state


@case(SEQUENCE, SEQUENCES)
class StepsOfPairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(4, 4)

    def forward(self, x):
        state = (torch.zeros(x.size(0), 4), torch.zeros(x.size(0), 4))
        for i in range(x.size(1)):
            state = self.cell(x[:, i], state)
        return state


@case(SEQUENCE, SEQUENCES)
class Growing(nn.Module):
    def forward(self, x):
        y = x[:, :1]
        for i in range(x.size(1)):
            y = torch.cat([y, y[:, -1:] * 0.5 + x[:, i:i + 1]], 1)
        return y


@case(SEQUENCE, SEQUENCES)
class While(nn.Module):
    def forward(self, x):
        n = 0
        while bool(x.abs().max() > 0.1):
            x = x * 0.5
            n += 1
        return x, n


@case(SEQUENCE, SEQUENCES)
class Breaks(nn.Module):
    def forward(self, x):
        for i in range(10):
            if bool(x.abs().max() < 0.5):
                break
            x = x * 0.7
        return x


# --- sizes that hang on values


@case(SEQUENCE, SEQUENCES)
class Counts(nn.Module):
    def forward(self, x):
        y = x[x > 0]
        return torch.nonzero(x > 0), y * 2, torch.masked_select(x, x < 0).sum(), y.numel()


@case(SEQUENCE, SEQUENCES)
class Items(nn.Module):
    def forward(self, x):
        k = int(x.abs().sum().item()) % 3 + 1
        return x[:, :k], torch.zeros(k, x.size(1))


@case(SEQUENCE, SEQUENCES)
class Forked(nn.Module):
    def forward(self, x):
        task = torch.jit.fork(double, x)
        return x + torch.jit.wait(task)


def double(x: Tensor) -> Tensor:
    return x * 2
