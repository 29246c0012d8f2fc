"""Small programs that write into tensors or decide by them. Each must come out right, or be refused by name.

PROGRAMS: name -> (function, inputs). Functions are traced, scripted where SCRIPTED names them, and exported.
"""

import torch
from torch import Tensor

PROGRAMS = {}
SCRIPTED = set()


def program(*inputs, scripted=False):
    def add(function):
        PROGRAMS[function.__name__] = (function, inputs)
        if scripted:
            SCRIPTED.add(function.__name__)
        return function

    return add


X = torch.arange(12.0).reshape(3, 4) - 4
I = torch.tensor([0, 2])


@program(X)
def column(x):
    y = x.clone()
    y[:, 1] = 7
    return y


@program(X)
def row_from_row(x):
    y = x.clone()
    y[0] = y[2]
    return y


@program(X)
def block_add(x):
    y = x.clone()
    y[1:, 2:4] += 1
    return y


@program(X)
def negative_slice(x):
    y = x.clone()
    y[-2:, :-1] = 0
    return y


@program(X)
def strided(x):
    y = x.clone()
    y[:, ::2] = x[:, 1::2]
    return y


@program(X)
def two_views(x):
    y = x * 2
    first, column_ = y[0], y.t()[1]
    first.mul_(3)
    column_.add_(5)
    return y, first + 1, column_


@program(X)
def view_sees_base(x):
    y = x + 1
    v = y.view(-1)
    y.mul_(2)
    return v


@program(X)
def base_sees_view(x):
    y = x + 1
    y.view(-1)[3] = 100
    return y


@program(X)
def unsqueezed_view(x):
    y = x.clone()
    y.unsqueeze(0)[0, 1] = 5
    return y


@program(X)
def transposed(x):
    y = x.clone()
    y.transpose(0, 1)[1].zero_()
    return y


@program(X)
def permuted(x):
    y = x.reshape(3, 2, 2).clone()
    y.permute(2, 0, 1)[0].fill_(3)
    return y


@program(X)
def diagonal(x):
    y = x.clone()
    y[:3, :3].diagonal().zero_()
    return y


@program(X)
def narrowed(x):
    y = x.clone()
    y.narrow(1, 1, 2).neg_()
    return y


@program(X)
def nested_views(x):
    y = x.clone()
    y[1:][0][2:] = -1
    return y


@program(X)
def write_twice(x):
    y = x.clone()
    y[0] = 1
    y[0] += y[1]
    return y


@program(X)
def inplace_chain(x):
    return x.clone().add_(1).mul_(2).relu_().clamp_(0, 9)


@program(X)
def result_of_write_is_self(x):
    y = x.clone()
    z = y.add_(1)
    z.mul_(3)
    return y


@program(X)
def fill_and_zero(x):
    y = torch.empty_like(x)
    y.fill_(2)
    y[1].zero_()
    return y


@program(X)
def copy_into(x):
    y = torch.zeros(2, 3, 4)
    y[1].copy_(x)
    return y


@program(X)
def copy_broadcasts(x):
    y = x.clone()
    y.copy_(x[0])
    return y


@program(X)
def masked_write(x):
    y = x.clone()
    y[x > 0] = 0
    return y


@program(X)
def masked_fill_(x):
    return x.clone().masked_fill_(x < 2, -5)


@program(X, I)
def index_write(x, i):
    y = x.clone()
    y[i] = 9
    return y


@program(X, I)
def index_columns(x, i):
    y = x.clone()
    y[:, i] = x[:, i + 1]
    return y


@program(X, I)
def index_pairs(x, i):
    y = x.clone()
    y[i, i] = torch.tensor([50.0, 60.0])
    return y


@program(X, torch.tensor([0, 0, 2]))
def accumulate(x, i):
    return x.clone().index_put_((i,), x, accumulate=True)


@program(X, torch.tensor([0, 0, 2]))
def index_add_(x, i):
    return torch.zeros(3, 4).index_add_(0, i, x)


@program(X, I)
def index_fill_(x, i):
    return x.clone().index_fill_(1, i, 4.0)


@program(X, I)
def index_copy_(x, i):
    return x.clone().index_copy_(0, i, x[:2] * 3)


@program(X, torch.tensor([[0, 1, 2, 0]]))
def scatter_(x, i):
    return x.clone().scatter_(0, i, 8.0)


@program(X, torch.tensor([[0, 1, 2, 0]]))
def scatter_add_(x, i):
    return x.clone().scatter_add_(0, i, x[:1])


@program(X)
def buffer_cache(x):
    cache = torch.zeros(4, 4)
    for step in range(3):
        cache[step] = x[step] + cache.sum(0)
    return cache


@program(X)
def concat_after_write(x):
    y = x.clone()
    y[:, 0] = 0
    return torch.cat([y, x], 1)


@program(X)
def views_of_pieces(x):
    a, b = (x + 0).split(2, 1)
    return a * b


@program(X)
def squeeze_inplace(x):
    y = x.clone().unsqueeze_(0)
    y.transpose_(1, 2)
    y[0, 1] = 3
    return y.squeeze_(0)


@program(X)
def write_through_flatten(x):
    y = x.clone()
    y.flatten()[5] = 77
    return y


@program(X)
def write_into_input(x):
    x.add_(1)
    return x * 2


@program(X)
def swap_rows(x):
    y = x.clone()
    y[[0, 2]] = y[[2, 0]]
    return y


@program(X)
def triangular(x):
    y = x[:3, :3].clone()
    y.tril_()
    return y


@program(X)
def augmented_bool(x):
    m = x > 0
    m &= x < 5
    m |= x == -4
    return m


@program(X)
def integer_write(x):
    y = torch.zeros(3, 4, dtype=torch.int64)
    y[:, 1] = x[:, 1].long()
    return y


@program(X)
def dtype_kept(x):
    y = torch.zeros(3, 4, dtype=torch.int64)
    y.add_(x.long())
    return y


@program(X, scripted=True)
def branch_on_data(x: Tensor) -> Tensor:
    if bool(x.sum() > 0):
        y = x + 1
    else:
        y = x - 1
    return y


@program(X, scripted=True)
def write_in_branch(x: Tensor) -> Tensor:
    y = x.clone()
    if bool(x.sum() > 0):
        y[0] = 5.0
    else:
        y[:, 1] = -5.0
    return y * 2


@program(X, scripted=True)
def branch_on_size(x: Tensor) -> Tensor:
    if x.shape[0] > 2:
        return x * 2
    return x * 3


@program(X, scripted=True)
def loop_known(x: Tensor) -> Tensor:
    y = x
    for i in range(3):
        y = y * 2 + i
    return y


@program(X, scripted=True)
def loop_on_data(x: Tensor) -> Tensor:
    y = x
    while bool(y.sum() < 100):
        y = y + 10
    return y


@program(X, scripted=True)
def loop_on_rows(x: Tensor) -> Tensor:
    total = torch.zeros(4)
    for i in range(x.shape[0]):
        total = total * 0.5 + x[i]
    return total


@program(X, scripted=True)
def loop_writes(x: Tensor) -> Tensor:
    y = torch.zeros(3, 4)
    for i in range(3):
        y[i] = x[i] * i
    return y


@program(X, scripted=True)
def list_of_tensors(x: Tensor) -> Tensor:
    parts = []
    for i in range(3):
        parts.append(x[i] * i)
    return torch.stack(parts)


@program(X, scripted=True)
def nested_branches(x: Tensor) -> Tensor:
    if bool(x[0, 0] > 0):
        if bool(x[1, 1] > 0):
            return x + 1
        return x + 2
    return x + 3


@program(X, scripted=True)
def early_raise(x: Tensor) -> Tensor:
    if x.dim() != 2:
        raise ValueError("two dimensions")
    return x.relu()


@program(X)
def data_dependent_rows(x):
    return x[x[:, 0] > -2]


@program(X)
def nonzero_count(x):
    return torch.nonzero(x > 0)


@program(X)
def masked_select(x):
    return torch.masked_select(x, x > 0) * 2


@program(X)
def masked_scatter(x):
    return x.masked_scatter(x > 0, torch.arange(12.0))


@program(X)
def where_indices(x):
    rows, columns = torch.where(x > 2)
    return rows + columns


@program(X)
def size_arithmetic(x):
    return x.reshape(x.shape[1], -1) + x.shape[0] * 2 - x.numel() // 5


@program(X)
def unfold_windows(x):
    return x.unfold(1, 2, 1).sum(-1)


@program(X)
def repeat_and_roll(x):
    return x.repeat(2, 1).roll(1, 0)


@program(X, scripted=True)
def branch_gives_alias(x: Tensor) -> Tensor:
    y = x.clone()
    z = y
    if bool(x.sum() > 0):
        z = x * 2
    z.add_(1)
    return y


@program(X, scripted=True)
def base_of_branch_result(x: Tensor) -> Tensor:
    y = x.clone()
    z = y if bool(x.sum() > 0) else x * 2
    y.add_(10)
    return z


@program(X, scripted=True)
def branch_picks_tensor(x: Tensor):
    y = x.clone()
    w = x * 2
    if bool(x.sum() > 0):
        z = y
    else:
        z = w
    z.mul_(3)
    return y, w


@program(X, scripted=True)
def branch_gives_view(x: Tensor) -> Tensor:
    y = x.clone()
    if bool(x.sum() > 0):
        v = y[0]
    else:
        v = y[1]
    v.zero_()
    return y


@program(X, scripted=True)
def branch_swaps(x: Tensor):
    y, w = x + 1, x * 2
    a, b = y, w
    if bool(x.sum() > 0):
        a, b = b, a
    a.mul_(5)
    return y, b


@program(X, scripted=True)
def branch_gives_one_twice(x: Tensor):
    a, b = x + 1, x * 2
    if bool(x.sum() > 0):
        t = x * 3
        a = t
        b = t
    a.add_(1)
    return a, b


@program(X, scripted=True)
def branches_after_branches(x: Tensor):
    y = x.clone()
    z = y
    if bool(x.sum() > 0):
        z = x * 2
    w = z
    if bool(x[0, 0] > 0):
        w = x * 3
    w.add_(1)
    return y


@program(X, scripted=True)
def branch_gives_alias_of_input(x: Tensor) -> Tensor:
    y = x
    if bool(x.sum() < 0):
        y = x * 2
    y.add_(1)
    return y


@program(X, scripted=True)
def loop_writes_outside(x: Tensor) -> Tensor:
    y = x.clone()
    i = 0
    while bool(y.sum() < 100) and i < 4:
        y.add_(10)
        i += 1
    return y


@program(X, scripted=True)
def inplace_activation_in_branch(x: Tensor) -> Tensor:
    y = x + 0
    if bool(x.sum() > 0):
        y = torch.nn.functional.relu(y, inplace=True)
    y.add_(1)
    return y


@program(X, scripted=True)
def early_return_of_write(x: Tensor) -> Tensor:
    y = x.clone()
    if bool(x.sum() > 0):
        return y.mul_(2)
    return y


@program(X, scripted=True)
def write_then_other_in_branch(x: Tensor) -> Tensor:
    y = x.clone()
    if bool(x.sum() > 0):
        if bool(x[0, 0] < 0):
            y[0] = 5.0
        y = y * 2
    return y


@program(X, scripted=True)
def view_after_write_in_branch(x: Tensor):
    y = x.clone()
    if bool(x.sum() > 0):
        y.zero_()
    v = y[0]
    return y, v + 1


@program(X, scripted=True)
def copy_written_in_branch(x: Tensor) -> Tensor:
    v = x.t().reshape(-1)
    if bool(x.sum() > 0):
        v[0] = 3.0
    return v


@program(X, scripted=True)
def branch_gives_one_constant_twice(x: Tensor):
    a, b = torch.zeros(4), torch.zeros(4)
    if bool(x.sum() > 0):
        a, b = torch.ones(4), torch.ones(4)
    return x * a, x + b


@program(X, scripted=True)
def copy_of_expanded(x: Tensor):
    e = x[:, :1].expand(-1, 4).contiguous()
    e[:, 2] = 0.0
    h = x.to(torch.float64)
    h.add_(1)
    return x.clone(), e, h.float()


@program(X)
def write_without_gradients(x):
    y = x.clone()
    with torch.no_grad():
        y.add_(1)
    return y * 2


@program(X)
def view_from_without_gradients(x):
    y = x.clone()
    with torch.no_grad():
        y.add_(1)
        z = y[0]
    z.mul_(3)
    return y * 2


@program(X)
def written_before_without_gradients(x):
    y = x.clone()
    z = y.view(-1)
    y.add_(1)
    with torch.no_grad():
        y.mul_(2)
    return y + z.view(3, 4) * 10


# Programs that write into memory that is the result's in some runs only, and the operator that is to be named.
ALIASES_OF_BRANCHES = {
    "branch_gives_alias": "aten::add_",
    "base_of_branch_result": "aten::add_",
    "branch_picks_tensor": "aten::mul_",
    "branch_gives_view": "aten::zero_",
    "branch_swaps": "aten::mul_",
    "branch_gives_one_twice": "aten::add_",
    "branches_after_branches": "aten::add_",
}
