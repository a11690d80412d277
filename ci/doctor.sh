#!/usr/bin/env bash
# Builds the release and asks whether this machine's NPU can be used. Arguments go to `harness doctor`.
set -euo pipefail
cd "$(dirname "$0")/.."

bash ci/install.sh
cmake --preset release
cmake --build --preset release --target harness
exec build/release/bin/harness doctor "$@"
