#!/usr/bin/env bash
# What runs every night: every design on the default recordings of T = 1500 and 3001 and on those that are
# given, the whole self-check, the micro-benchmarks, the history. Leaves files, and an exit code.
#   ci/nightly.sh [--out FOLDER] [--build FOLDER] [--history FILE] [--recording FILE]... [--device NAME]
#                 [--artefacts FOLDER] [--accepted-misses FILE] [--since YYYY-MM-DD] [--annotations]
#                 [--reduced]
# --out: where the files go (default: build/nightly/<time>). --build: a build tree that is there already.
# --history: a database that `harness history add` keeps. --device, --artefacts: as the harness's.
# With --artefacts, the designs whose launches are all compiled there; the summary names the others.
# --accepted-misses: designs that honestly miss 99.9%, and how far (default: ci/accepted_misses.json).
# --since: the day on which what is slower than before it was accepted, as `harness regress` takes it.
# --annotations: besides, a line for each failed step as GitHub shows it. --reduced: small data, for tests.
# A step that fails does not stop the others. Exit codes are the harness's: 0 passed, 1 accuracy, 2 usage,
# 3 could not run, 4 slower, 5 unstable; the first of 2 3 5 1 4 that occurs.
# shellcheck disable=SC2317 # functions are called by step
set -euo pipefail
called_from=$PWD # for absolute, of steps.sh
cd "$(dirname "$0")/.."
# shellcheck source=ci/steps.sh
source ci/steps.sh

usage() {
    echo "ci/nightly.sh: $1; see the top of ci/nightly.sh" >&2
    exit 2
}

begun=$(date -u +%Y-%m-%dT%H-%M-%SZ)
out=build/nightly/$begun
build=
history=
since=()
recordings=()
device=()
artefacts=
accepted_misses=ci/accepted_misses.json
annotations=no
reduced=no
while [ $# -gt 0 ]; do
    case $1 in
        --out | --build | --history | --recording | --device | --artefacts | --accepted-misses | --since)
            [ -n "${2:-}" ] || usage "$1 needs a value"
            case $1 in
                --out) out=$(absolute "$2") ;;
                --build) build=$(absolute "$2") ;;
                --history) history=$(absolute "$2") ;;
                --recording) recordings+=("$(absolute "$2")") ;;
                --accepted-misses) accepted_misses=$(absolute "$2") ;;
                --since)
                    [ "$(date -d "$2" +%F 2>/dev/null)" = "$2" ] || usage "$1 needs a day, YYYY-MM-DD, not $2"
                    since=("$1" "$2")
                    ;;
                --device) device+=("$1" "$2") ;;
                --artefacts) artefacts=$(absolute "$2") && device+=("$1" "$artefacts") ;;
            esac
            shift
            ;;
        --annotations) annotations=yes ;;
        --reduced) reduced=yes ;;
        *) usage "unknown argument $1" ;;
    esac
    shift
done

[ -z "$artefacts" ] || [ -d "$artefacts" ] || usage "--artefacts $artefacts is no folder"

# One nightly at a time in a folder, and one that builds in this source tree.
mkdir -p "$out" || exit 3
out=$(cd "$out" && pwd)
take_lock "$out/lock" "another nightly"
# What an earlier night left is not tonight's.
rm -f "$out"/summary.md "$out"/changes.md "$out"/change.* "$out"/encoder.h5 "$out"/self-check.json \
    "$out"/bench.json "$out"/[0-9][0-9]-*.log || exit 3
# shellcheck disable=SC2034 # steps.sh reads it
log_folder=$out

if [ -z "$build" ]; then
    build=build/release
    mkdir -p build
    take_lock build/nightly.lock "another nightly"
    make_release() {
        # Each source by itself: whether its own headers suffice, whole builds (HARNESS_UNITY) do not see.
        # Where they do not compile, there are none.
        rm -f build/release/bin/harness build/release/bin/bench
        bash ci/install.sh && cmake --preset release -DHARNESS_UNITY=OFF && cmake --build --preset release
    }
    step build "" or_could_not_run make_release
fi
harness=$build/bin/harness
bench=$build/bin/bench

# compare NAME ARGUMENTS...: one design on one recording. Runs whose names differ only behind a comma are of
# one kind, and are held against earlier nights together.
runs=()
kinds=()
accepted=()
compare() {
    local name=$1 file=${1//[^a-zA-Z0-9]/-}
    file=$out/${file:0:100}
    shift
    rm -f "$file.json" "$file.xml" "$file.html" # of an earlier night
    step "$name" "$file.json" recorded "$file.json" "$harness" --compare "$@" "${device[@]}" \
        --accepted-misses "$accepted_misses" --json "$file.json" --junit "$file.xml"
    [ -f "$file.json" ] || return 0
    runs+=("$file.json") && kinds+=("${name%%,*}")
    ! grep -q '^  "verdict": "accepted"' "$file.json" || accepted+=("$name")
}

# designs CLASSES: the designs of the manifest for these classes of ops, e.g. gemm|softmax.
designs() {
    "$harness" list --designs | sed -n -E "s/^  ([a-z0-9_]+) \(($1)\):.*/\1/p"
}

if [ $reduced = yes ]; then
    compare "unfused T=65" --context 65 --layer 0-1 --op query,scores,context,output --repeat 1
    compare "fused T=65" --context 65 --layer 0-1 --op query,context,output --repeat 1 --design fused
    step "self-check" "$out/self-check.json" "$harness" self-check --fault scale_missing --context 65 \
        --json "$out/self-check.json"
else
    # Three runs of the default, for one alone is never slower by its clock.
    for i in 1 2 3; do
        ! is_compiled "$harness" "$artefacts" unfused 1500 || compare "default, run $i of 3"
    done
    mapfile -t of_attention < <(designs 'gemm|softmax|attention')
    mapfile -t of_layer < <(designs 'gelu|norm')
    if [ ${#of_attention[@]} -eq 0 ] || [ ${#of_layer[@]} -eq 0 ]; then
        add_step "list of designs" 3 0 "$harness"
    fi
    for design in "${of_attention[@]}"; do
        for context in 1500 3001; do
            ! is_compiled "$harness" "$artefacts" "$design" $context ||
                compare "$design T=$context" --design "$design" --context $context
        done
        for i in "${!recordings[@]}"; do
            compare "$design recording $((i + 1)) ${recordings[i]##*/}" --design "$design" \
                --dataset "${recordings[i]}"
        done
    done
    # Norms and MLP are in no generated data: a small encoder with random weights has them. Nobody has array
    # designs for them.
    if [ -z "$artefacts" ]; then
        step "recording of an encoder" "$out/encoder.h5" "$harness" record --random-weights tiny \
            --synthetic-speech 5 --mlp --out "$out/encoder.h5"
        for design in "${of_layer[@]}"; do
            compare "$design whole encoder" --design "$design" --npu all --dataset "$out/encoder.h5"
        done
    else
        not_compiled+=("norms and MLP")
    fi
    [ -z "$artefacts" ] || [ ${#runs[@]} -gt 0 ] ||
        add_step "no design is compiled: see kernels/build_xclbins.sh" 3 0 "$artefacts"
    step "self-check" "$out/self-check.json" "$harness" self-check --full --json "$out/self-check.json"
fi

bench_options=(--benchmark_out="$out/bench.json" --benchmark_out_format=json)
if [ $reduced = yes ]; then
    bench_options+=(--benchmark_filter='^kernels/(fma_peak|finish)$' --benchmark_min_time=0.01)
fi
step bench "$out/bench.json" "$bench" "${bench_options[@]}"

# changes: what differs from the last green nights, kind by kind. The first night of an environment has none.
changes() {
    local kind i of_kind code=0 codes=()
    : >"$out/changes.md"
    while read -r kind; do
        of_kind=()
        for i in "${!runs[@]}"; do
            [ "${kinds[i]}" != "$kind" ] || of_kind+=("${runs[i]}")
        done
        code=0
        rm -f "$out/change.md"
        "$harness" regress "${of_kind[@]}" --history "$history" "${since[@]}" \
            --markdown "$out/change.md" 2>"$out/change.err" || code=$?
        cat "$out/change.err" >&2
        if [ "$code" -eq 3 ] && grep -q ': no baseline' "$out/change.err"; then
            echo "Nothing is compared: no earlier night of this environment." >"$out/change.md"
            code=0
        fi
        { echo "## $kind" && cat "$out/change.md" && echo; } >>"$out/changes.md"
        codes+=("$(known_code "$code")")
    done < <(printf '%s\n' "${kinds[@]}" | awk '!seen[$0]++')
    rm -f "$out/change.md" "$out/change.err"
    return "$(worst_of "${codes[@]}")"
}

# add_to_history: all runs of tonight, in their order.
add_to_history() {
    local run worst=0 code
    for run in "${runs[@]}"; do
        code=0
        "$harness" history add "$run" --history "$history" || code=$?
        [ "$code" -eq 0 ] || worst=$code
    done
    return "$worst"
}

nights=()
if [ -n "$history" ] && [ ${#runs[@]} -gt 0 ]; then
    [ ! -f "$history" ] || step changes "$out/changes.md" changes
    step history "$history" add_to_history
    # A page without its nights is better than none.
    [ "${step_codes[-1]}" -ne 0 ] || nights=(--history "$history")
fi
pages=
if ! has_page "$harness"; then
    pages="This build has no HTML pages; npm and node build them (HARNESS_PAGE)."
else
    for run in "${runs[@]}"; do
        step "page of $(basename "$run" .json)" "${run%.json}.html" "$harness" report "$run" \
            --html "${run%.json}.html" "${nights[@]}"
    done
fi

code=$(worst_code)
summary() {
    echo "**$(verdict_of "$code")**: nightly of $begun, $("$harness" --version || echo no program)"
    echo
    step_table "$out"
    not_compiled_words
    [ ${#accepted[@]} -eq 0 ] || printf '\nUnder 99.9%%, as accepted in %s: %s\n' \
        "$(basename "$accepted_misses")" "$(printf '%s\n' "${accepted[@]}" | paste -sd, | sed 's/,/, /g')"
    [ -z "$pages" ] || printf '\n%s\n' "$pages"
    [ ! -f "$out/changes.md" ] || { echo && cat "$out/changes.md"; }
}
text=$(summary)
printf '%s\n' "$text"
if [ $annotations = yes ]; then
    annotate_steps
fi
printf '%s\n' "$text" >"$out/summary.md" || exit 3
exit "$code"
