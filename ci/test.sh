#!/usr/bin/env bash
# The whole gate: installs what is missing, builds everything with warnings as errors, runs every test.
# For the tests alone: clang (a second compiler, and the fuzz targets), MPI and iproute2 (ranks on two hosts),
# PyYAML, shellcheck; npm builds the HTML report, Chromium tests it. Their commands are looked for first, for
# Node.js often comes from elsewhere, with its own npm.
# Arguments go to ctest, e.g.: ci/test.sh --tests-regex datasets
set -euo pipefail
cd "$(dirname "$0")/.."

page=()
command -v npm >/dev/null || page+=(nodejs npm)
command -v chromium >/dev/null || page+=(chromium)
bash ci/install.sh clang libclang-rt-dev iproute2 libopenmpi-dev openmpi-bin python3-torch python3-yaml \
    shellcheck --optional "${page[@]}"
cmake --preset ci
cmake --build --preset ci
exec ctest --preset ci --parallel "$(nproc)" "$@"
