#!/usr/bin/env bash
# check_purity.sh must find what it looks for: compiles one library with each offence and expects "no".
#
#   check_purity_works.sh CXX
set -euo pipefail
cxx=${1:-c++}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/lib"

# verdict SOURCE...: the exit status of check_purity.sh for a library made of SOURCE.
verdict() {
  printf '%s\n' "$@" >"$work/a.cpp"
  "$cxx" -std=c++20 -O1 -c "$work/a.cpp" -o "$work/a.o"
  rm -f "$work/lib/libmlc_a.a" && ar rc "$work/lib/libmlc_a.a" "$work/a.o"
  "$here/check_purity.sh" "$work" >/dev/null && echo 0 || echo 1
}
expect() {
  local got
  got=$(verdict "${@:2}")
  [ "$got" = "$1" ] || { echo "expected $1, got $got for: ${*:2}" >&2; exit 1; }
}

expect 0 '#include <string>' '#include <vector>' \
  'int f(const std::string& s) { std::vector<int> v; v.push_back(std::stoi(s)); return v.at(0); }'
expect 1 '#include <iostream>' 'void f() { std::cout << 1; }'
expect 1 '#include <iostream>' 'void f() { std::cerr << 1; }'
expect 1 '#include <cstdio>' 'void f(int i) { std::printf("%d\n", i); }'
expect 1 '#include <cstdio>' 'void f() { std::puts("x"); }'
expect 1 '#include <cstdio>' 'void f(int i) { std::fprintf(stderr, "%d", i); }'
expect 1 '#include <cstdlib>' 'void f() { std::exit(1); }'
expect 1 '#include <cstdlib>' 'void f() { std::abort(); }'
