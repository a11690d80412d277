#!/usr/bin/env bash
# The whole gate: installs what is missing, builds everything with warnings as errors, runs every test.
# For the tests alone: clang (a second compiler, and the fuzz targets), PyYAML, shellcheck.
# Arguments go to ctest, e.g.: ci/test.sh --tests-regex datasets
set -euo pipefail
cd "$(dirname "$0")/.."

bash ci/install.sh clang libclang-rt-dev python3-torch python3-yaml shellcheck
cmake --preset ci
cmake --build --preset ci
exec ctest --preset ci --parallel "$(nproc)" "$@"
