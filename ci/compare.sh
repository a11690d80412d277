#!/usr/bin/env bash
# Installs what is missing, builds the release and compares the golden CPU path with the NPU path on all
# layers of the default recording. Arguments go to the harness: ci/compare.sh --context 3001 --design fused
# The report stays in build/report; the exit code is the harness's (see harness --help).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd) # files are named from where the caller stands
report=$root/build/report

# What the caller asks for replaces the default.
given() {
    local option=$1 argument
    shift
    for argument in "$@"; do
        case $argument in "$option" | "$option="*) return 0 ;; esac
    done
    return 1
}

arguments=(--compare)
given --layer "$@" || arguments+=(--layer all)
given --json "$@" || arguments+=(--json "$report/run.json")
given --junit "$@" || arguments+=(--junit "$report/junit.xml")

(cd "$root" && bash ci/install.sh && cmake --preset release &&
    cmake --build --preset release --target harness) || exit 3

# Whatever lies there afterwards is of this run.
mkdir -p "$report"
find "$report" -mindepth 1 -delete

# tee ignores the interrupt, so that the harness can say what it has to say about it.
set +e
"$root/build/release/bin/harness" "${arguments[@]}" "$@" | tee --ignore-interrupts "$report/table.txt"
code=${PIPESTATUS[0]}
set -e

# Where npm built the page, the run as a page too; why there is none is no reason to fail.
if [ -f "$report/run.json" ] && ! given --html "$@"; then
    "$root/build/release/bin/harness" report "$report/run.json" --html "$report/report.html" --quiet || true
fi

echo "Report in $report: $(cd "$report" && echo *)"
exit "$code"
