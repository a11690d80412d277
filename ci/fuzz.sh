#!/usr/bin/env bash
# Builds the fuzz targets of the file readers with clang, makes their seed corpus, and runs each for a time.
#   ci/fuzz.sh [--installed] [SECONDS=60]
# Exit code 1: a target found an input that a reader does not survive; it stays in build/fuzz/found. With
# --installed nothing is installed; the exit code is 77 (CTest: skipped) where clang's libFuzzer is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=ci/find_clang.sh
source ci/find_clang.sh

has_fuzzer() {
    echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
        "$(find_clang)" -fsanitize=fuzzer,address -x c++ - -o /dev/null 2>/dev/null
}

if [ "${1:-}" = --installed ]; then
    shift
    if ! has_fuzzer; then
        echo "SKIPPED: no clang++ with libFuzzer (Debian: clang, libclang-rt-dev)"
        exit 77
    fi
else
    bash ci/install.sh clang libclang-rt-dev
fi
seconds=${1:-60}

folder=build/fuzz
mkdir -p build
clang=$(find_clang)
cmake --preset fuzz -DCMAKE_CXX_COMPILER="$clang" -DCMAKE_C_COMPILER="${clang/++/}" >"$folder.log" 2>&1 ||
    { cat "$folder.log"; exit 1; }
cmake --build "$folder" --target checkpoint_fuzz recording_fuzz fuzz_corpus

rm -rf "$folder/corpus" "$folder/found"
mkdir -p "$folder/found"
"$folder/datasets/fuzz_corpus" "$folder/corpus"

# HDF5 leaks on its own error paths, and asks for whatever a damaged file says.
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=0

# Reader, target, largest input, and how many share the time of the reader: short inputs reach more of a
# header in the same time, long ones are whole.
runs=(
    "safetensors checkpoint_fuzz 600 2" "safetensors checkpoint_fuzz 200000 2"
    "ggml checkpoint_fuzz 600 2" "ggml checkpoint_fuzz 200000 2"
    "recording recording_fuzz 200000 1"
)
failed=0
for run in "${runs[@]}"; do
    read -r reader target bytes sharing <<<"$run"
    share=$(((seconds + sharing - 1) / sharing))
    log=$folder/$reader-$bytes.log
    corpus=$folder/corpus/$reader
    options=(-max_total_time="$share" -max_len="$bytes" -rss_limit_mb=1024 -timeout=60 -print_final_stats=1
        -artifact_prefix="$folder/found/$reader-")
    [ "$target" != checkpoint_fuzz ] || options+=(-dict=datasets/checkpoint_fuzz.dict)
    if "$folder/datasets/$target" "${options[@]}" "$corpus" >"$log" 2>&1; then
        inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        echo "$reader: $inputs inputs of at most $bytes bytes in $share s, all survived"
    else
        echo "$reader: FAILED; input in $folder/found"
        tail -n 60 "$log"
        failed=1
    fi
done
exit "$failed"
