#!/usr/bin/env bash
# Compiles the synthetic generator with g++ and clang++, unoptimised and optimised, and compares all its
# fingerprints with the frozen ones. Exit code 1: a build differs; 77 (CTest: skipped): a compiler is missing.
#   check_generator.sh SOURCE_FOLDER
set -euo pipefail

source_folder=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck source=ci/find_clang.sh
source "$source_folder/ci/find_clang.sh"

failed=0
missing=0
for compiler in g++ "$(find_clang)"; do
    if ! command -v "$compiler" >/dev/null; then
        echo "SKIPPED: $compiler is not installed; the generator was not checked with it"
        missing=1
        continue
    fi
    for level in -O0 -O3; do
        echo "$compiler $level"
        "$compiler" -std=c++20 "$level" -ffp-contract=off -fno-fast-math -I "$source_folder" \
            "$source_folder"/ci/check_generator.cpp \
            "$source_folder"/datasets/synthetic{,_embedding,_fingerprints,_heads,_random,_speech,_waves}.cpp \
            "$source_folder"/datasets/{random_weights,read_error,sha256,whisper_size}.cpp \
            -o "$work/check_generator" -lfmt -lcrypto
        "$work/check_generator" || failed=1
    done
done

if [ "$failed" -ne 0 ]; then
    echo "FAILED: a build of the generator differs from the frozen fingerprints"
    exit 1
fi
exit $((missing ? 77 : 0))
