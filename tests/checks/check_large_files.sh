#!/usr/bin/env bash
# No file in git is larger than 1 MB: fixtures are small or generated.
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../..}"
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || { echo "not a git checkout: nothing to check"; exit 0; }
large=$(git ls-files -z | xargs -0 -r stat -c '%s %n' 2>/dev/null | awk '$1 > 1000000' || true)
[ -z "$large" ] || { echo "larger than 1 MB:"; echo "$large"; exit 1; }
