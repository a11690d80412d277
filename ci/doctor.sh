#!/usr/bin/env bash
# Builds the release and asks whether this machine's NPU can be used. Arguments go to `harness doctor`.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd) # files are named from where the caller stands

(cd "$root" && bash ci/install.sh && cmake --preset release &&
    cmake --build --preset release --target harness) || exit 3
exec "$root/build/release/bin/harness" doctor "$@"
