"""Loops whose number of rounds hangs on sizes or values, with inputs that make them run differently often."""

from typing import List

import torch
from torch import nn


class WhileValue(nn.Module):
    def forward(self, x):
        while bool(x.abs().max() > 1.0):
            x = x / 2
        return x


class WhileSize(nn.Module):
    def forward(self, x):
        i = 0
        s = x * 0
        while i < x.size(0):
            s = s + x[i]
            i += 1
        return s, i


class ForValue(nn.Module):
    def forward(self, x, n):
        y = x
        for i in range(int(n)):
            y = torch.tanh(y) + i
        return y


class Break(nn.Module):
    def forward(self, x):
        y = x
        for _ in range(10):
            y = y * 1.5
            if bool(y.sum() > 100):
                break
        return y


class Greedy(nn.Module):
    """Appends what a net finds most likely until that is 0 everywhere: sizes grow with the rounds."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(20, 8), nn.Linear(8, 20)

    def forward(self, ids):
        steps = 0
        while steps < 5 and bool((ids[:, -1] != 0).any()):
            ids = torch.cat([ids, self.head(self.table(ids[:, -1])).argmax(-1, keepdim=True)], 1)
            steps += 1
        return ids


class Counts(nn.Module):
    def forward(self, x):
        i = 0
        while bool(x.sum() < 50):
            x = x + 1
            i += 1
        return x, i


class Sums(nn.Module):
    def forward(self, x):
        total = 0
        for i in range(int(x.sum())):
            total += i
        return x + total


class Nested(nn.Module):
    def forward(self, x):
        y = x
        for i in range(x.size(0)):
            for j in range(x.size(1)):
                y = y + x[i, j] * j
        return y


class BranchWithin(nn.Module):
    def forward(self, x):
        y = x
        for i in range(x.size(0)):
            if bool(x[i].sum() > 0):
                y = y + x[i]
            else:
                y = y * 2
        return y


class Appends(nn.Module):
    def forward(self, x):
        out: List[torch.Tensor] = []
        for i in range(x.size(0)):
            out.append(x[i] * 2)
        return torch.stack(out)


class Inserts(nn.Module):
    def forward(self, x):
        out: List[torch.Tensor] = []
        for i in range(x.size(0)):
            out.insert(0, x[i] * 2)
        return torch.stack(out)


class Writes(nn.Module):
    def forward(self, x):
        y = x.clone()
        for i in range(1, x.size(0)):
            y[i] = y[i] + y[i - 1]
        return y


class Fills(nn.Module):
    """Rows, an element of no dimensions and views of memory from outside, one after the other."""

    def forward(self, x):
        out, c, m = torch.zeros(x.size(0), 4), torch.zeros((), dtype=torch.long), x.clone()
        flat = m.view(-1)
        for i in range(x.size(0)):
            out[i] = x[i] * 2 + out.sum()
            c += 1
            m[i].mul_(3)
            m.add_(flat[0].clone())
        return out, c, m, flat, out.sum()


class FillsWithin(nn.Module):
    def forward(self, x):
        t = torch.zeros(x.size(0), x.size(1))
        for i in range(x.size(0)):
            for k in range(x.size(1)):
                t[i, k] = x[i, k] * (i + 1) + t.max()
            t[i] += 1
        return t, t + 1


class CountsInPlace(nn.Module):
    """What is counted was written before, and has a second name behind the loop."""

    def forward(self, x):
        i = torch.zeros((), dtype=torch.long)
        j = i
        i.add_(5)
        while bool(x.norm() > 1):
            x = x / 2
            i += 1
        return x, i, j


class Decodes(nn.Module):
    def forward(self, x):
        tokens, done = torch.zeros(x.size(0), 6, dtype=torch.long), torch.zeros(x.size(0), dtype=torch.bool)
        for i in range(6):
            x = torch.tanh(x * 1.1 + 0.1).roll(1, 1)
            token = x.argmax(-1)
            tokens[:, i] = token
            done |= token == 3
            if bool(done.all()):
                break
        return tokens, x, done


class ReadsAnotherName(nn.Module):
    def forward(self, x):
        i = torch.zeros(3)
        k = i
        for _ in range(x.size(0)):
            i += 1
            x = x + k.sum()
        return x, i


class WritesThenRenames(nn.Module):
    def forward(self, x):
        y = x.clone()
        z = y
        for _ in range(x.size(0)):
            y += 1
            y = y * 2
        return y, z


class GivesOnWhatItWrites(nn.Module):
    def forward(self, x):
        y = x.clone()
        row, total = y[0] * 1, torch.zeros(4)
        for i in range(x.size(0)):
            total = total + row
            y[0] += 1.0
            row = y[0]
        return y, total


class NeverEntered(nn.Module):
    def forward(self, x):
        while bool(x.sum() > 1e6):
            x = x / 2
        return x


class CountsDown(nn.Module):
    def forward(self, x):
        y = torch.zeros_like(x[0])
        for t in range(x.size(0) - 1, -1, -1):
            y = y * 0.5 + x[t]
        for t in range(x.size(0), 0, -2):
            y = y.tanh() + x[t - 1]
        return y


def _rows(n, scale=1.0):
    return torch.linspace(-1, 2, n * 4).reshape(n, 4) * scale


# Each with --input and the inputs to try.
LOOPS = {
    "while_value": (WhileValue, ["x:f32[n=3,4]"], [(_rows(3, 9.0),), (_rows(2, 0.1),), (_rows(5, 1000.0),)]),
    "while_size": (WhileSize, ["x:f32[n=4,4]"], [(_rows(4),), (_rows(1),)]),
    "for_value": (ForValue, ["x:f32[3,4]", "n:i64[]=4"], [(_rows(3), torch.tensor(4)), (_rows(3), torch.tensor(0)), (_rows(3), torch.tensor(9))]),
    "break": (Break, ["x:f32[n=3,4]"], [(_rows(3),), (_rows(3, 50.0),), (_rows(3, 4.0),)]),
    "greedy": (Greedy, ["ids:i64[b=2,s=3]=1..19"], [(torch.tensor([[3, 4, 5], [6, 7, 8]]),), (torch.tensor([[1, 0]]),), (torch.tensor([[9], [2], [0]]),)]),
    "counts": (Counts, ["x:f32[n=3,4]"], [(_rows(3),), (_rows(3, 90.0),), (_rows(1),)]),
    "sums": (Sums, ["x:f32[n=3,4]=1.0..2.0"], [(_rows(3, 2.1),), (_rows(3, 0.01),)]),
    "nested": (Nested, ["x:f32[n=3,m=4]"], [(_rows(3),), (_rows(2)[:, :3].contiguous(),)]),
    "appends": (Appends, ["x:f32[n=3,4]"], [(_rows(3),), (_rows(1),), (_rows(9),)]),
    "counts_down": (CountsDown, ["x:f32[n=4,4]"], [(_rows(4),), (_rows(1),), (_rows(7),)]),
    "writes": (Writes, ["x:f32[n=3,4]"], [(_rows(3),), (_rows(1),), (_rows(8),)]),
    "fills": (Fills, ["x:f32[n=3,4]"], [(_rows(3),), (_rows(1),), (_rows(6),)]),
    "fills_within": (FillsWithin, ["x:f32[n=3,m=4]"], [(_rows(3),), (_rows(2)[:, :3].contiguous(),)]),
    "counts_in_place": (CountsInPlace, ["x:f32[n=3,4]"], [(_rows(3, 9.0),), (_rows(2, 0.1),), (_rows(5, 1000.0),)]),
    "decodes": (Decodes, ["x:f32[n=3,4]"], [(_rows(3),), (_rows(1, -2.0),), (_rows(6, 4.0),)]),
    "branch_within": (BranchWithin, ["x:f32[n=3,4]"], [(_rows(3),), (-_rows(5),)]),
}
# What cannot be a loop of ONNX yet, and what mlc says of it.
REFUSED = {
    "inserts": (Inserts, "a list or an attribute that changes within a loop that hangs on sizes or values: out.insert("),
    "reads_another_name": (ReadsAnotherName, "it reads memory that the loop writes into under another name"),
    "writes_then_renames": (WritesThenRenames, "it writes into what it is given"),
    "gives_on_what_it_writes": (GivesOnWhatItWrites, "a round gives the next one what it writes into"),
    "never_entered": (NeverEntered, "a loop that no trial run enters"),
}
