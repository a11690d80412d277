# shellcheck shell=bash
# Steps that run one after the other, whatever becomes of each, and one summary in Markdown. For ci/gate.sh
# and ci/nightly.sh, which source this file.
#
# The caller sets log_folder, where the steps' output goes. Exit codes are the harness's; of several the worst
# one counts, in the order 2 usage, 3 could not run, 5 unstable, 1 accuracy failed, 4 slower, 0 passed.

log_folder=.
step_names=()
step_codes=()
step_seconds=()
step_files=()

# take_lock FILE WHOSE: until this script ends.
take_lock() {
    exec {lock}>>"$1" || exit 3
    if ! flock --nonblock "$lock"; then
        echo "$2 holds $1: wait for it, or name another folder" >&2
        exit 3
    fi
}

# absolute FILE: as the caller named it, who set called_from.
absolute() {
    case $1 in
        /*) echo "$1" ;;
        *) echo "${called_from:?}/$1" ;;
    esac
}

# is_compiled HARNESS ARTEFACTS DESIGN CONTEXT: whether the device can run it, with its probes. The summary
# names those that it cannot (not_compiled_words). ARTEFACTS is empty where nothing has to be compiled.
not_compiled=()
is_compiled() {
    [ -z "$2" ] && return
    "$1" artefact plan --probes --design "$3" --context "$4" --artefacts "$2" >/dev/null 2>&1 && return
    not_compiled+=("$3 at T = $4")
    return 1
}
not_compiled_words() {
    [ ${#not_compiled[@]} -eq 0 ] || printf '\nNot compiled for this NPU, and so not run: %s\n' \
        "$(printf '%s\n' "${not_compiled[@]}" | awk '!seen[$0]++' | paste -sd, | sed 's/,/, /g')"
}

# has_page HARNESS: whether this build writes HTML pages; it says so before it looks for the run.
has_page() {
    ! grep -q HARNESS_PAGE <<<"$("$1" report no-run.json --html no-page.html 2>&1 || true)"
}

# log_of I NAME: of the step of this index.
log_of() {
    local name=${2//[^a-zA-Z0-9]/-}
    echo "$log_folder/$(printf '%02d' $(($1 + 1)))-${name:0:100}.log"
}

# step NAME FILE COMMAND...: runs the command, its output in a log beside the other files. FILE: what it
# leaves (empty: nothing but the log), as a link in the summary.
step() {
    local name=$1 file=$2 log code=0 begin=$SECONDS
    shift 2
    log=$(log_of ${#step_names[@]} "$name")
    echo "== $name"
    if : >"$log"; then
        "$@" >"$log" 2>&1 || code=$?
    else
        code=3
    fi
    if [ "$code" -eq 130 ]; then
        echo "interrupted in $name" >&2
        exit 130
    fi
    add_step "$name" "$code" $((SECONDS - begin)) "${file:-$log}"
    if [ "$code" -ne 0 ]; then
        tail -n 20 "$log" || true
    fi
}

# or_could_not_run COMMAND...: of what is no harness, and has exit codes of its own.
or_could_not_run() {
    local code=0
    "$@" || code=$?
    [ "$code" -eq 0 ] || [ "$code" -eq 130 ] || code=3
    return "$code"
}

# recorded FILE PROGRAM...: a run of the harness, whose record must be there and say what its exit code says.
# One that hangs must not stop the others.
run_limit=3600 # seconds
recorded() {
    local file=$1 code=0
    shift
    rm -f "$file"
    timeout --foreground --kill-after=30 "$run_limit" "$@" || code=$?
    [ "$code" -ne 124 ] || echo "not done after $run_limit s: ended"
    if [ "$code" -le 1 ] && ! grep -q "^  \"exit_code\": $code,\$" "$file"; then
        echo "$file: is not there, or says another exit code than $code"
        code=3
    fi
    return "$code"
}

# add_step NAME CODE SECONDS FILE: of something that was run otherwise.
add_step() {
    step_names+=("$1")
    step_codes+=("$(known_code "$2")")
    step_seconds+=("$3")
    step_files+=("$4")
    echo "   $(verdict_of "${step_codes[-1]}") after $3 s"
}

# A program that crashed, or was not found, could not run.
known_code() {
    case $1 in
        0 | 1 | 2 | 3 | 4 | 5) echo "$1" ;;
        *) echo 3 ;;
    esac
}

verdict_of() {
    case $1 in
        0) echo passed ;;
        1) echo "accuracy failed" ;;
        2) echo "wrong usage" ;;
        3) echo "could not run" ;;
        4) echo slower ;;
        5) echo "unstable device" ;;
    esac
}

# worst_of CODES...: 3 where there are none.
worst_of() {
    local code one
    for code in 2 3 5 1 4; do
        for one in "$@"; do
            if [ "$one" -eq "$code" ]; then
                echo "$code"
                return
            fi
        done
    done
    [ $# -gt 0 ] && echo 0 || echo 3
}

# The worst of the steps.
worst_code() {
    worst_of "${step_codes[@]}"
}

# step_table FOLDER: a row for each step, failed ones first; files relative to FOLDER.
step_table() {
    local i passed this file
    echo "| step | verdict | time (measured) | file |"
    echo "|---|---|---:|---|"
    for passed in no yes; do
        for i in "${!step_names[@]}"; do
            [ "${step_codes[i]}" -eq 0 ] && this=yes || this=no
            [ "$this" = "$passed" ] || continue
            file=${step_files[i]#"$1"/}
            printf '| %s | %s | %s s | [%s](%s) |\n' "${step_names[i]//|/\\|}" \
                "$(verdict_of "${step_codes[i]}")" "${step_seconds[i]}" "$file" "$file"
        done
    done
}

# annotate_steps: one line for each step that did not pass, as GitHub shows it beside a pull request.
annotate_steps() {
    local i title
    for i in "${!step_names[@]}"; do
        if [ "${step_codes[i]}" -ne 0 ]; then
            title=$(printf '%s' "${step_names[i]}" | sed 's/%/%25/g; s/:/%3A/g; s/,/%2C/g')
            echo "::error title=$title::$(verdict_of "${step_codes[i]}"), see ${step_files[i]##*/}"
        fi
    done
}
