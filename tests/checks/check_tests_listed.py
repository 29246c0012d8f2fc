#!/usr/bin/env python3
"""Every unit test is built: each *_test.cpp stands in the CMakeLists.txt beside it.

    tests/checks/check_tests_listed.py [SOURCE_DIR]
"""

import pathlib
import sys


def unlisted(source_dir):
    for path in sorted((source_dir / "tests" / "unit").rglob("*_test.cpp")):
        if path.name not in (path.parent / "CMakeLists.txt").read_text(encoding="utf-8").split():
            yield path.relative_to(source_dir)


def main():
    source_dir = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    problems = [f"{path}: its CMakeLists.txt does not list it, so that it is never run" for path in unlisted(source_dir)]
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
