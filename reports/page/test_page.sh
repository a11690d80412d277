#!/usr/bin/env bash
# Tests the page: its parts under node, then whole, in the distribution's Chromium, on runs made here.
#   test_page.sh PROJECT HARNESS EXAMPLE_RUNS    PROJECT: where the build compiled the page
# Exit code 77: something that it needs is not installed, or this build has no page; the reason is printed.
set -euo pipefail
project=$1 harness=$2 example_runs=$3

skip() {
    echo "skipped: $1"
    exit 77
}

node=$(command -v node || command -v nodejs) || skip "node is not installed"
chromium=$(command -v chromium || command -v chromium-browser) || skip "chromium is not installed"
[ -d "$project/compiled" ] || skip "this build has no page (npm was not there, or failed: see the build)"

runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT

"$node" --test "$project"/compiled/data/*_test.js
"$example_runs" "$runs"
"$harness" record --synthetic hard --context 130 --out "$runs/hard.h5" --quiet
"$harness" --compare --dataset "$runs/hard.h5" --layer 0-1 --repeat 1 --json "$runs/compare.json" --quiet
"$harness" encode --random-weights tiny --synthetic-speech 2 --context 100 --repeat 1 \
    --json "$runs/encode.json" --quiet
"$node" "$project/compiled/browser_test/page_test.js" "$harness" "$chromium" "$runs"
