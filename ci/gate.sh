#!/usr/bin/env bash
# The gate before a kernel or the NPU's path changes: what differs from BASE decides what is run. Prints
# Markdown for a pull request, the verdict first; progress goes to standard error.
#   ci/gate.sh [--out FOLDER] [--build-base FOLDER] [--build-head FOLDER] [--device NAME] [--artefacts FOLDER]
#              [--annotations] [--reduced] [BASE]
# BASE: a commit (default: where this branch left the default branch). What is judged is the working tree.
# --build-base, --build-head: build trees that are there already. --device, --artefacts: as the harness's.
# --annotations: besides, a line for each failed step as GitHub shows it. --reduced: small data, for tests.
# Exit codes are the harness's: 0 passed or nothing to judge, 1 accuracy, 2 usage, 3 could not run, 4 costs
# more, 5 unstable; the first of 2 3 5 1 4 that occurs.
# shellcheck disable=SC2317 # functions are called by step
set -euo pipefail
called_from=$PWD # for absolute, of steps.sh
cd "$(dirname "$0")/.."
# shellcheck source=ci/steps.sh
source ci/steps.sh

usage() {
    echo "ci/gate.sh: $1; see the top of ci/gate.sh" >&2
    exit 2
}

out=build/gate
build_base=
build_head=
base=
annotations=no
reduced=no
device=()
artefacts=
costs_context=1500
minutes=5 # that a gate may take
while [ $# -gt 0 ]; do
    case $1 in
        --out | --build-base | --build-head | --device | --artefacts)
            [ -n "${2:-}" ] || usage "$1 needs a value"
            case $1 in
                --out) out=$(absolute "$2") ;;
                --build-base) build_base=$(absolute "$2") ;;
                --build-head) build_head=$(absolute "$2") ;;
                --device) device+=("$1" "$2") ;;
                --artefacts) artefacts=$(absolute "$2") && device+=("$1" "$artefacts") ;;
            esac
            shift
            ;;
        --annotations) annotations=yes ;;
        --reduced) reduced=yes costs_context=65 minutes=0 ;;
        -*) usage "unknown option $1" ;;
        *)
            [ -z "$base" ] || usage "more than one BASE"
            base=$1
            ;;
    esac
    shift
done

# Where this branch left the default branch.
default_base() {
    local branch
    for branch in refs/remotes/origin/HEAD refs/remotes/origin/main refs/heads/main refs/heads/master; do
        if git rev-parse --quiet --verify "$branch" >/dev/null; then
            git merge-base HEAD "$branch"
            return
        fi
    done
    return 1
}

if [ -z "$base" ]; then
    base=$(default_base) || usage "no default branch is here: name BASE"
fi
named=$base
base=$(git rev-parse --quiet --verify "$named^{commit}") ||
    usage "BASE $named is no commit of this repository"
# What BASE alone has is no change of this branch.
base=$(git merge-base "$base" HEAD) ||
    usage "BASE $named and this branch have no commit in common (a shallow clone?)"

# Beside what git tells, what it ignores: CMake compiles every kernel that lies there.
changes() {
    git diff -z --relative --no-renames --name-only "$base" -- . &&
        git ls-files -z --others --exclude-standard &&
        git ls-files -z --others --ignored --exclude-standard kernels
}
names=$(mktemp) || exit 3
trap 'rm -f "$names"' EXIT
changes >"$names" || exit 3
mapfile -t -d '' changed <"$names"

# What of the change can reach a result or a cost. Tests and words cannot.
relevant=()
kernels=()
all_kernels=no
array_designs=no
all_designs=no
for file in "${changed[@]}"; do
    case $file in
        kernels/array/*) array_designs=yes ;;
        *_test.cpp | *_bench.cpp | *.md | *.py | *.pyc) continue ;;
        kernels/aie2/*.cc) [ -f "$file" ] && kernels+=("$file") ;;
        kernels/aie2/*.h | kernels/host/*) all_kernels=yes ;;
        kernels/* | npu_impl/*) all_designs=yes ;;
        harness/* | datasets/* | reference/* | CMakeLists.txt | ci/cmake/*) ;;
        *) continue ;;
    esac
    relevant+=("$file")
done
what_nights_accept=
if printf '%s\n' "${changed[@]}" | grep -qx ci/accepted_misses.json; then
    what_nights_accept="What nights accept is changed: look at ci/accepted_misses.json."
fi
if [ $all_kernels = yes ]; then
    kernels=(kernels/aie2/*.cc)
fi

short=$(git rev-parse --short "$base")
if [ -e "$out" ] && [ ! -f "$out/.gate" ] && [ -n "$(ls -A "$out")" ]; then
    usage "--out $out: is not empty, and no gate wrote it; name another folder"
fi
for tree in "$build_base" "$build_head"; do
    case $tree/ in
        "$(realpath -m "$out")"/*) usage "--out $out: holds the build tree $tree, and is emptied first" ;;
    esac
done
mkdir -p "$out" build || exit 3
take_lock build/gate.lock "another gate"
find "$out" -mindepth 1 -delete && touch "$out/.gate" || exit 3
if [ ${#relevant[@]} -eq 0 ]; then
    {
        echo "**passed**: nothing between $short and the working tree can change a result or a cost of the"
        echo "NPU's path (${#changed[@]} files differ)."
        [ -z "$what_nights_accept" ] || printf '\n%s\n' "$what_nights_accept"
    } | tee "$out/gate.md" || exit 3
    exit 0
fi
out=$(cd "$out" && pwd)
# shellcheck disable=SC2034 # steps.sh reads it
log_folder=$out
exec 3>&1 1>&2 # steps speak to standard error, the Markdown is standard output

# build SOURCE [OPTION]...: its release, in SOURCE/$tree. Seen from there the files of both sources have the
# same names, so that ccache compiles once what the two have in common.
tree=build/gate-release
build() {
    rm -f "$1/$tree/bin/harness" # where it does not compile, there is none
    local launcher="env;CCACHE_BASEDIR=$PWD;CCACHE_NOHASHDIR=1;ccache"
    command -v ccache >/dev/null || launcher=
    cmake -S "$1" -B "$1/$tree" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
        -DHARNESS_BENCHMARKS=OFF -DHARNESS_NATIVE_KERNELS=ON "${@:2}" \
        "-DCMAKE_CXX_COMPILER_LAUNCHER=$launcher" \
        "-DCMAKE_C_COMPILER_LAUNCHER=$launcher" && cmake --build "$1/$tree" --target harness
}

source_of_base=$PWD/build/gate-source
build_of_base() {
    git worktree prune
    if git -C "$source_of_base" rev-parse --verify --quiet HEAD >/dev/null 2>&1; then
        git -C "$source_of_base" checkout --quiet --force --detach "$base" &&
            git -C "$source_of_base" clean -fdq
    else
        rm -rf "$source_of_base"
        git worktree add --quiet --detach "$source_of_base" "$base"
    fi && build "$source_of_base" -DHARNESS_PAGE=OFF # nobody looks at its page
}

head=${build_head:-$tree}/bin/harness
old=${build_base:-$source_of_base/$tree}/bin/harness

summary() {
    echo "**$(verdict_of "$code")**: the working tree against $short, ${#relevant[@]} files that matter"
    echo
    step_table "$out"
    echo
    echo "Head: $("$head" --version || echo none). Base: $("$old" --version || echo none)."
    not_compiled_words
    [ -z "$what_nights_accept" ] || printf '\n%s\n' "$what_nights_accept"
    for design in unfused fused; do
        echo
        echo "Costs of a layer, T = $costs_context, $design (modelled and counted, never measured):"
        echo
        cat "$out/costs-$design.md" 2>/dev/null || echo "not known"
    done
    [ ! -f "$out/measured.md" ] || { echo && cat "$out/measured.md"; }
    local i
    for i in "${!step_names[@]}"; do
        if [ "${step_codes[i]}" -ne 0 ]; then
            echo
            echo "<details><summary>${step_names[i]}: $(verdict_of "${step_codes[i]}")</summary>"
            echo
            echo '```'
            # What a log holds must not end the fence.
            tail -n 40 "$(log_of "$i" "${step_names[i]}")" 2>/dev/null | sed 's/```/~~~/g'
            echo '```'
            echo "</details>"
        fi
    done
    echo
    echo "<details><summary>Files that matter</summary>"
    echo
    printf -- '- %s\n' "${relevant[@]}"
    echo "</details>"
}

# The Markdown of what was run, and the exit code.
finish() {
    local text
    code=$(worst_code)
    text=$(summary)
    printf '%s\n' "$text" >&3
    if [ $annotations = yes ]; then
        annotate_steps >&3
    fi
    printf '%s\n' "$text" >"$out/gate.md" || exit 3
    exit "$code"
}

if [ -z "$build_head" ] || [ -z "$build_base" ]; then
    step "install" "" or_could_not_run bash ci/install.sh
fi
if [ -z "$build_head" ]; then
    step "build of the head" "" or_could_not_run build "$PWD"
    [ "${step_codes[-1]}" -eq 0 ] || finish
fi
if [ -z "$build_base" ]; then
    step "build of the base" "" or_could_not_run build_of_base
fi

# The functions that a kernel file gives the harness: of those that kernels.h declares.
roles_of() {
    local role
    sed -n 's/^void \([a-z0-9_]*\)(.*/\1/p' kernels/aie2/kernels.h | while read -r role; do
        if tr '\n' ' ' <"$1" | grep -Eq "\<void +$role *\("; then
            echo "$role"
        fi
    done
}

for kernel in "${kernels[@]}"; do
    roles=$(roles_of "$kernel")
    [ -n "$roles" ] || add_step "kernel ${kernel##*/}: no function of the harness found in it" 3 0 "$kernel"
    for role in $roles; do
        step "kernel $role" "" "$head" gate --kernel "$kernel" --as "$role" --include kernels/aie2
    done
done
if [ $array_designs = yes ]; then
    step "array designs" "" or_could_not_run python3 kernels/array/array_designs_test.py "$head"
fi

# compare NAME ARGUMENTS...: accuracy of the head.
compare() {
    local name=$1
    shift
    local file=$out/${name//[^a-zA-Z0-9]/-}
    step "accuracy, $name" "$file.json" recorded "$file.json" "$head" --compare "$@" "${device[@]}" \
        --json "$file.json" --junit "$file.xml"
}

if [ $reduced = yes ]; then
    compare "unfused, small" --context 65 --layer 0 --op query,scores,context,output --repeat 1
else
    [ ${#device[@]} -gt 0 ] ||
        compare "unfused, small, exact" --context 250 --layer 0-1 --emulation exact --repeat 1
    # With its probes: without them, nothing covers what the default recording cannot reveal.
    for design in unfused fused; do
        ! is_compiled "$head" "$artefacts" $design 1500 || compare "$design" --layer all --design $design
    done
    [ -f "$out/unfused.json" ] || [ -f "$out/fused.json" ] ||
        add_step "no design was run" 3 0 "${artefacts:-$head}"
fi
# Every design on few rows, and norms and MLP, where what they have in common is changed.
if [ $all_designs = yes ] && [ $reduced = no ] && [ ${#device[@]} -eq 0 ]; then
    designs=$("$head" list --designs | sed -n -E 's/^  ([a-z0-9_]+) \((gemm|softmax|attention)\):.*/\1/p')
    [ -n "$designs" ] || add_step "list of designs" 3 0 "$head"
    for design in $designs; do
        compare "$design, small" --context 65 --layer 0 --repeat 1 --design "$design" \
            --accepted-misses ci/accepted_misses.json
    done
    step "recording of an encoder" "$out/encoder.h5" "$head" record --random-weights tiny \
        --synthetic-speech 1 --mlp --out "$out/encoder.h5"
    compare "norms and MLP" --npu all --dataset "$out/encoder.h5" --layer 0 --repeat 1
fi

# Whether a layer passes is the accuracy step's word; what the base fails is not this change's.
run_for_costs() {
    local code=0
    recorded "$@" || code=$?
    [ "$code" -ne 1 ] || code=0
    [ "$code" -ne 2 ] || code=3 # an option that this commit does not know
    return "$code"
}

# It ends with 0, 3 or 4; anything else is a crash.
costs_compared() {
    local code=0
    "$@" || code=$?
    case $code in 0 | 4 | 130) ;; *) code=3 ;; esac
    return "$code"
}

# Costs are modelled and counted, the same for every layer and on every run.
for design in unfused fused; do
    for side in base head; do
        program=$head
        [ $side = head ] || program=$old
        file=$out/costs-$design-$side.json
        step "costs, $design, $side" "$file" run_for_costs "$file" "$program" --compare --layer 0 \
            --no-probes --context $costs_context --design "$design" --repeat 1 --input chained --quiet \
            --json "$file"
    done
    file=$out/costs-$design
    step "costs, $design" "$file.md" costs_compared \
        python3 ci/compare_costs.py "$file-base.json" "$file-head.json" "$file.md"
done

# What the host measures, both builds in turn: slower only where it is slower again. Where two rounds cannot
# tell, more, as long as the gate's minutes last; one is kept for the two, a second look and the page.
left=$(((minutes - 1) * 60 - SECONDS))
! is_compiled "$head" "$artefacts" unfused $costs_context ||
    step "measured" "$out/measured.md" "$head" regress --ab "$old" "$head" --rounds 2 \
        --until-clear $((left > 0 ? left : 0)) --markdown "$out/measured.md" -- \
        --compare --layer 0 --no-probes --context $costs_context "${device[@]}"
if [ -f "$out/unfused.json" ] && has_page "$head"; then
    step "page" "$out/report.html" "$head" report "$out/unfused.json" --html "$out/report.html"
fi
finish
