#!/usr/bin/env bash
# Nothing under lib/ prints, exits or aborts, and the mlc binary links neither LibTorch nor libcrypto.
#
#   check_purity.sh BUILD_DIR [MLC_BINARY]
#
# Looks at the undefined symbols of the object files in every libmlc_*.a: what the code itself calls.
# What the C++ standard library's headers bring in by themselves is taken out:
# __glibcxx_assert_fail and the std::__throw_* functions end a process only on broken
# preconditions, and std::terminate is what the compiler emits for noexcept.
set -euo pipefail
build=${1:?usage: check_purity.sh BUILD_DIR [MLC_BINARY]}
forbidden='std::(cout|cerr|clog|wcout|wcerr|cin)|std::ios_base::Init'
forbidden+='|(__)?v?f?printf(_chk)?|f?puts|f?putchar|putc|perror|stdout|stderr|fmt::v[0-9]+::vprint.*'
forbidden+='|exit|_exit|_Exit|quick_exit|abort'
# assert() of a debug build is allowed: it is __assert_fail.

status=0
libraries=$(find "$build/lib" -name 'libmlc_*.a' | sort)
[ -n "$libraries" ] || { echo "no libmlc_*.a under $build/lib" >&2; exit 1; }
for library in $libraries; do
  found=$(nm -C --undefined-only "$library" 2>/dev/null |
    sed -n -E '/:$/{s/:$//;h}; /^ +U /{s/^ +U //; s/@.*//; G; s/(.*)\n(.*)/\2: \1/; p}' |
    grep -E ": ($forbidden)(\(.*\))?$" | sort -u || true)
  if [ -n "$found" ]; then
    echo "$(basename "$library") must not print, exit or abort, but calls:"
    sed 's/^/  /' <<<"$found"
    status=1
  fi
done

if [ $# -ge 2 ]; then
  needed=$(readelf -d "$2" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
  if grep -E '^lib(torch|c10|caffe2|crypto|ssl|onnxruntime|python)' <<<"$needed"; then
    echo "$2 must not link these: they cost every run, and only some verbs need them"
    status=1
  fi
fi
exit $status
