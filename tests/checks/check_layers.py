#!/usr/bin/env python3
"""Checks the layers of the house: which folder of lib/mlc includes which, and which of apps/mlc.

    tests/checks/check_layers.py [SOURCE_DIR]

Every `#include "mlc/ROOM/..."` under lib/ must go to the same folder or to one that the table
below allows; apps/ may include all of it, and of its own folders those that APPS allows. lib/ never
includes apps/, tests/ or a path relative to itself.
"""

import pathlib
import re
import sys

# folder -> what it may include besides itself (lib/README.md draws it)
ALLOWED = {
    "base": set(),
    "yaml": {"base"},
    "tensor": {"base"},
    "container": {"base"},
    "pickle": {"base"},
    "onnx_file": {"base", "tensor"},
    "metadata": {"base", "yaml"},
    "checkpoint": {"base", "yaml", "tensor", "container", "pickle", "onnx_file", "metadata"},
    "keys": {"base", "yaml", "tensor", "container", "pickle", "metadata", "checkpoint"},
    "compress": {"base", "yaml", "tensor", "container", "pickle", "metadata", "checkpoint", "keys"},
    "ir": {"base", "tensor"},
    "frontend": {"base", "yaml", "tensor", "ir"},
    "engine": {"base", "tensor", "ir", "container", "pickle", "onnx_file", "checkpoint", "metadata", "frontend", "passes", "onnx"},
    "ort": {"base", "tensor", "engine"},
    "torch": {"base", "tensor", "ir", "engine", "frontend"},
    "passes": {"base", "tensor", "ir"},
    "onnx": {"base", "yaml", "tensor", "ir"},
    "onnx_quant": {"base", "tensor", "onnx_file", "onnx", "onnx_write", "onnx_edit", "compress", "engine"},
    "onnx_prune": {"base", "tensor", "onnx_file", "onnx", "onnx_write", "onnx_edit", "compress", "engine"},
    "onnx_edit": {"base", "tensor", "onnx_file", "onnx", "onnx_write"},
    "onnx_write": {"base", "tensor", "ir", "onnx_file", "onnx"},
}
# The same of apps/mlc, whose verbs (cmd_*.cpp) include all (apps/mlc/README.md)
SHARED = {"cli", "files", "models"}
APPS = {"cli": set(), "files": {"cli"}, "models": {"cli", "files"}} | {
    verbs: SHARED for verbs in ("load", "save", "edit", "diff", "run", "export", "compress")}
# Libraries that only one folder may include.
OWNERS = {"torch": re.compile(r"(torch|ATen|c10|caffe2)/"), "ort": re.compile(r"(onnxruntime/|onnxruntime_\w+\.h)"),
          "onnx_write": re.compile(r"(onnx|google/protobuf)/")}
# Folders that are modules of their own: everything else opens them at run time.
MODULES = {"torch", "ort"}
ANY_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[>"]')
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def complaint(room, target):
    """Why ROOM must not include TARGET (the text between the quotes), or None."""
    parts = target.split("/")
    if parts[0] != "mlc" or len(parts) < 3:
        return f'"{target}" is not included from the root, as "mlc/folder/file.h"'
    if parts[1] != room and parts[1] not in ALLOWED[room]:
        return f'{room} must not include {parts[1]} ("{target}")'
    return None


def wrong_app(room, target):
    """Why ROOM, a folder of apps/mlc, must not include TARGET, or None."""
    parts = target.split("/")
    if parts[0] not in APPS or parts[0] == room or parts[0] in APPS[room]:
        return None
    return f'{room} must not include {parts[0]} ("{target}")'


def foreign(room, target):
    """Why ROOM, a folder of lib/mlc or "" for apps/, must not include TARGET, or None."""
    for owner, names in OWNERS.items():
        if room != owner and names.match(target):
            return f'only lib/mlc/{owner} may include <{target}>'
    return None


def check_apps(source_dir):
    """apps/ includes all of lib/ but the modules and what they wrap."""
    problems = []
    app = source_dir / "apps" / "mlc"
    for path in sorted((source_dir / "apps").rglob("*")):
        if path.suffix not in {".h", ".cpp"}:
            continue
        room = path.relative_to(app).parts[0] if path.parent != app else None
        if room and room not in APPS:
            problems.append(f"{path.relative_to(source_dir)}: folder {room} is not in the table of check_layers.py")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = ANY_INCLUDE.match(line)
            why = foreign("", match[1]) if match else None
            why = why or (wrong_app(room, match[1]) if match and room else None)
            if match and match[1].split("/")[:1] == ["mlc"] and match[1].split("/")[1] in MODULES:
                why = f'"{match[1]}" belongs to a module that is opened at run time'
            if why:
                problems.append(f"{path.relative_to(source_dir)}:{number}: {why}")
    return problems


def check(source_dir):
    problems = []
    rooms = source_dir / "lib" / "mlc"
    for path in sorted(rooms.rglob("*")):
        if path.suffix not in {".h", ".cpp"}:
            continue
        name = path.relative_to(source_dir)
        room = path.relative_to(rooms).parts[0]
        if room not in ALLOWED:
            problems.append(f"{name}: folder {room} is not in the table of check_layers.py")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            why = complaint(room, match[1]) if match else None
            match = ANY_INCLUDE.match(line)
            why = why or (foreign(room, match[1]) if match else None)
            if why:
                problems.append(f"{name}:{number}: {why}")
    return problems


def self_test():
    """The rules that must hold whatever the table says; a checker that accepts all is worthless."""
    assert complaint("pickle", "mlc/base/result.h") is None
    assert complaint("pickle", "mlc/pickle/value.h") is None
    assert complaint("metadata", "mlc/yaml/document.h") is None
    assert complaint("base", "mlc/yaml/document.h")
    assert complaint("pickle", "mlc/container/zip_reader.h")
    assert complaint("tensor", "mlc/yaml/document.h")
    assert complaint("checkpoint", "mlc/keys/plan.h")
    assert complaint("frontend", "mlc/keys/plan.h")
    assert complaint("base", "error.h")
    assert complaint("keys", "apps/mlc/command.h")
    assert complaint("engine", "mlc/torch/torch_engine.h")
    assert foreign("engine", "torch/script.h")
    assert foreign("", "ATen/ATen.h")
    assert foreign("torch", "c10/util/Exception.h") is None
    assert complaint("engine", "mlc/ort/ort_engine.h")
    assert wrong_app("cli", "files/batch.h")
    assert wrong_app("compress", "save/save_steps.h")
    assert wrong_app("diff", "files/open_input.h") is None
    assert foreign("engine", "onnxruntime_c_api.h")
    assert foreign("ort", "onnxruntime_c_api.h") is None


def main():
    self_test()
    source_dir = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    problems = check(source_dir) + check_apps(source_dir)
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(f"{len(problems)} includes break the layers")


if __name__ == "__main__":
    main()
