#!/usr/bin/env python3
"""Writes the names that torch.load(weights_only=True) allows, as a C++ table.

    python tests/unit/pickle/make_allowed_globals.py lib/mlc/pickle/allowed_globals.h
"""
import sys

import torch
from torch import _weights_only_unpickler as unpickler

HEAD = """\
// Written by tests/unit/pickle/make_allowed_globals.py from PyTorch {version}: the names that
// torch.load(weights_only=True) allows after a plain `import torch`. Private to globals.cpp.
#pragma once

#include <string_view>

namespace mlc::pickle {{

"""


def allowed():
    """"module.name" of everything that is allowed, sorted by bytes."""
    names = set(unpickler._get_allowed_globals()) | set(unpickler._get_user_allowed_globals())
    return sorted(names, key=str.encode)


def check_renamed():
    """globals.cpp follows modules that were renamed, but no names."""
    for (module, name), target in unpickler.NAME_MAPPING.items():
        assert ".".join(target) not in allowed(), f"{module}.{name} leads to an allowed name"


def table():
    """The header."""
    check_renamed()
    out = HEAD.format(version=torch.__version__.split("+")[0])
    out += "// clang-format off: one name a line\n"
    out += "inline constexpr std::string_view kAllowedGlobals[] = {\n"
    out += "".join(f'    "{name}",\n' for name in allowed())
    return out + "};\n// clang-format on\n\n}  // namespace mlc::pickle\n"


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(table())
