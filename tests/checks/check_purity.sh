#!/usr/bin/env bash
# Nothing under lib/ prints, exits or aborts, and the mlc binary links neither LibTorch nor libcrypto.
#
#   check_purity.sh BUILD_DIR [MLC_BINARY]
#
# Looks at the undefined symbols of the object files in every libmlc_*.a and of libmlc_torch.so and
# libmlc_ort.so: what the code itself calls.
# What the C++ standard library's headers bring in by themselves is taken out:
# __glibcxx_assert_fail and the std::__throw_* functions end a process only on broken
# preconditions, and std::terminate is what the compiler emits for noexcept.
set -euo pipefail
build=${1:?usage: check_purity.sh BUILD_DIR [MLC_BINARY]}
forbidden='std::(cout|cerr|clog|wcout|wcerr|cin)'
forbidden+='|(__)?v?f?printf(_chk)?|f?puts|f?putchar|putc|perror|stdout|stderr|fmt::v[0-9]+::vprint.*'
forbidden+='|exit|_exit|_Exit|quick_exit|abort'
# assert() of a debug build is allowed: it is __assert_fail.

# calls_in FILE PATTERN: "object: symbol" of what FILE, an archive or an object, calls and must not.
calls_in() {
  { echo "$(basename "$1"):"; nm -C --undefined-only "$1" 2>/dev/null; } |
    sed -n -E '/:$/{s/:$//;h}; /^ +U /{s/^ +U //; s/@.*//; G; s/(.*)\n(.*)/\2: \1/; p}' |
    grep -E ": ($2)(\(.*\))?$" | sort -u || true
}

status=0
libraries=$(find "$build/lib" -name 'libmlc_*.a' | sort)
[ -n "$libraries" ] || { echo "no libmlc_*.a under $build/lib" >&2; exit 1; }
for library in $libraries; do
  # ONNX's headers bring <iostream> along; printing is another matter.
  [ "$(basename "$library")" = libmlc_onnx_write.a ] && pattern=$forbidden || pattern="$forbidden|std::ios_base::Init.*"
  found=$(calls_in "$library" "$pattern")
  if [ -n "$found" ]; then
    echo "$(basename "$library") must not print, exit or abort, but calls:"
    sed 's/^/  /' <<<"$found"
    status=1
  fi
done

# LibTorch's headers bring <iostream> into every object; printing is another matter.
for object in $(find "$build/lib" \( -path '*/mlc_torch.dir/*' -o -path '*/mlc_ort.dir/*' \) -name '*.o' | sort); do
  found=$(calls_in "$object" "$forbidden")
  if [ -n "$found" ]; then
    echo "a module must not print, exit or abort, but calls:"
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
