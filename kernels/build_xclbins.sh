#!/usr/bin/env bash
# Builds the array designs of kernels/array into xclbins, and files each with `harness artefact add` under the
# identity of the launches that it serves. Not run on silicon yet.
#   kernels/build_xclbins.sh --artefacts DIR --peano DIR [--design NAME] [--context T] [--heads H]
#                            [--no-probes] [--harness FILE]
# DIR of the artefacts: where they go. DIR of Peano: its compiler for the cores (bin/clang++). NAME: unfused,
# fused or tile64, as `harness artefact plan` takes it (default: all three). T and H: the shape of the layer
# (default 1500 and 8); besides, for the probes that a run makes, their shapes, without which no run is green
# (--no-probes: not). The program: build/release/bin/harness, or the one on the PATH, by default. mlir-aie
# must be importable by python3, and aiecc.py on the PATH.
# Exit codes: 0 all built; 2 usage; 3 no toolchain; else that of the step that failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

die() {
    echo "kernels/build_xclbins.sh: ${*:2}" >&2
    exit "$1"
}

artefacts='' peano='' design='' context=1500 heads=8 probes=(--probes)
harness=$root/build/release/bin/harness
[ -x "$harness" ] || harness=harness
while [ $# -gt 0 ]; do
    case "$1" in
    --artefacts | --peano | --design | --harness | --context | --heads)
        [ $# -ge 2 ] || die 2 "$1 takes a value"
        declare "${1#--}=$2"
        shift 2
        ;;
    --no-probes)
        probes=()
        shift
        ;;
    *) die 2 "$1: unknown; see the head of this file" ;;
    esac
done
[ -n "$artefacts" ] || die 2 "--artefacts DIR is missing: where the artefacts go"
case "$design" in
'') designs=(unfused fused tile64) ;;
unfused | fused | tile64) designs=("$design") ;;
*) die 2 "--design $design: there are array designs for unfused, fused and tile64" ;;
esac
[ -n "$peano" ] || die 2 "--peano DIR is missing: Peano's compiler, github.com/Xilinx/llvm-aie/releases"
command -v "$harness" >/dev/null || die 3 "no program harness: build it, or name it with --harness FILE"
if ! mlir_aie=$(python3 -c 'import aie.iron, aie.utils.config as c; print(c.root_path())' 2>/dev/null); then
    die 3 "no mlir-aie: pip install mlir_aie from github.com/Xilinx/mlir-aie/releases, run its env_setup.sh"
fi
command -v aiecc.py >/dev/null || die 3 "no aiecc.py: it comes with mlir-aie; run its env_setup.sh"
[ -x "$peano/bin/clang++" ] || die 3 "$peano: no bin/clang++: github.com/Xilinx/llvm-aie/releases"

peano=$(cd "$peano" && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

# FILE.cc...: an archive of them, as the design NAME links it.
archive() {
    local name=$1 objects=() source
    shift
    for source in "$@"; do
        local object
        object=$build/$name.$(basename "$source").o
        "$peano/bin/clang++" -O2 -std=c++20 --target=aie2-none-unknown-elf -DNDEBUG -I "$mlir_aie/include" \
            -I "$root" -I "$here/aie2" -I "$mlir_aie/aie_runtime_lib/AIE2" -c "$source" -o "$object"
        objects+=("$object")
    done
    "$peano/bin/llvm-ar" rcs "$build/$name.a" "${objects[@]}"
}
archive tile_product "$here/aie2/matmul.cc" "$here/aie2/store.cc"
archive product_f32 "$here/array/product_f32.cc" "$here/aie2/matmul.cc" "$here/aie2/store.cc"
archive product_bf16 "$here/array/product_bf16.cc" "$here/aie2/matmul.cc" "$here/aie2/store.cc"
tables=$mlir_aie/aie_runtime_lib/AIE2/lut_based_ops.cpp
archive row_softmax "$here/array/row_softmax.cc" "$tables"
archive attention_core "$here/array/attention_core.cc" "$here/aie2/attention.cc" "$here/aie2/store.cc" \
    "$tables"

list() {
    PYTHONPATH="$here/array" python3 "$here/array/designs.py" --context "$context" --heads "$heads" "$@"
}

# DESIGN PROGRAM KERNEL FUNCTION BUFFERS CORES: a line of the list, built and filed.
build_one() {
    local name=$4-${2:0:12} words
    list --design "$1" --program "$2" >"$build/$name.mlir"
    # The cores' programs keep the turns of their double buffers at run time (whole_array.py), and the state
    # between calls lies behind the buffers, in one piece: up to 29 KB of attention_core.cc.
    (cd "$build" && aiecc.py --aie-generate-xclbin --no-compile-host --xclbin-name="$name.xclbin" \
        --no-xchesscc --no-xbridge --peano "$peano" --dynamic-objFifos --alloc-scheme=basic-sequential \
        --aie-generate-npu-insts --npu-insts-name="$name.bin" "$name.mlir")
    case "$3" in
    tile_bf16_f32 | matmul_bf16_f32) words=(--tile 64x64x64 --operand bf16 --store f32 --rounding none) ;;
    matmul_bf16_bf16) words=(--tile 64x64x64 --operand bf16 --store bf16 --rounding nearest_even) ;;
    softmax_f32_bf16) words=(--tile "64x$context" --operand f32 --store bf16 --rounding nearest_even) ;;
    attention_bf16_bf16) words=(--tile "64x$context" --operand bf16 --store bf16 --rounding nearest_even) ;;
    esac
    "$harness" artefact add --artefacts "$artefacts" --name "$name" --xclbin "$build/$name.xclbin" \
        --instructions "$build/$name.bin" "${words[@]}" --cores "$6" --buffers "$5" --program "$2" \
        --limit "not run on silicon yet"
}

# Designs share programs. What runs in the loop may read its input, which must not be the list.
declare -A filed=()
build_all() {
    local context=$1 heads=$2 design program kernel function buffers cores
    for design in "${designs[@]}"; do
        list --design "$design" --list >"$build/list"
        while read -r program kernel function buffers cores <&3; do
            [ -z "${filed[$program]:-}" ] || continue
            build_one "$design" "$program" "$kernel" "$function" "$buffers" "$cores"
            filed[$program]=yes
        done 3<"$build/list"
    done
}
build_all "$context" "$heads"
if [ ${#probes[@]} -gt 0 ]; then
    probes_hpp=$root/harness/probes.hpp
    probe_heads=$(sed -n 's/.* ragged_heads = \([0-9]*\);/\1/p' "$probes_hpp")
    for probe_context in $(sed -n 's/.* ragged_contexts\[\] = {\(.*\)};/\1/p' "$probes_hpp" | tr -d ,); do
        build_all "$probe_context" "$probe_heads"
    done
fi
for design in "${designs[@]}"; do
    "$harness" artefact plan --design "$design" --context "$context" --heads "$heads" "${probes[@]}" \
        --artefacts "$artefacts"
done
