# shellcheck shell=bash
# Sourced by the scripts of this folder. Prints the name of clang++: the newest counts, whatever its
# package is called; "clang++" where there is none.
find_clang() {
    local name
    for name in clang++ clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14; do
        if command -v "$name" >/dev/null; then
            echo "$name"
            return
        fi
    done
    echo clang++
}
