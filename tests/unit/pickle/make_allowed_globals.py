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

struct RenamedModule {{
  std::string_view old_name;  // of Python 2
  std::string_view new_name;
}};

inline constexpr RenamedModule kRenamedModules[] = {{
"""


def allowed():
    """"module.name" of everything that is allowed, sorted by bytes."""
    names = set(unpickler._get_allowed_globals()) | set(unpickler._get_user_allowed_globals())
    return sorted(names, key=str.encode)


def renamed_modules():
    """The modules of Python 2 that lead to an allowed name."""
    for (module, name), target in unpickler.NAME_MAPPING.items():
        assert ".".join(target) not in allowed(), f"{module}.{name} needs a table of its own"
    for old, new in sorted(unpickler.IMPORT_MAPPING.items()):
        if any(name.startswith(new + ".") for name in allowed()):
            yield old, new


def table():
    """The header."""
    out = HEAD.format(version=torch.__version__.split("+")[0])
    out += "".join(f'    {{"{old}", "{new}"}},\n' for old, new in renamed_modules())
    out += "};\n\n// clang-format off: one name a line\n"
    out += "inline constexpr std::string_view kAllowedGlobals[] = {\n"
    out += "".join(f'    "{name}",\n' for name in allowed())
    return out + "};\n// clang-format on\n\n}  // namespace mlc::pickle\n"


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(table())
