#!/usr/bin/env bash
# Files the two kernels of the design note, as its first port built them, with what they cannot do.
#   kernels/add_note_kernels.sh HARNESS ARTEFACTS MATMUL.xclbin MATMUL.bin SOFTMAX.xclbin SOFTMAX.bin
# They carry no identity, since no launch of this harness is what they compute: they are listed and checked,
# and serve none. Source: Unicorn-Commander/Unicorn-Amanuensis, PHASE2_ATTENTION_OPTIMIZATION_PLAN.md.
set -euo pipefail
[ $# -eq 6 ] || { sed -n '2,5s/^# //p' "$0" >&2 && exit 2; }
harness=$1 artefacts=$2

"$harness" artefact add --artefacts "$artefacts" --name "note: matmul 64x64" \
    --xclbin "$3" --instructions "$4" \
    --tile 64x64x64 --operand bf16 --store bf16 --rounding floor --cores 1 --buffers 3,4,5 \
    --limit "one 64x64x64 tile per launch: 3,008 launches for one projection at T = 3001" \
    --limit "operands and result are dense tiles: serves no rows of a wider matrix" \
    --limit "stores bf16 by floor after every k tile, which the host adds up"
"$harness" artefact add --artefacts "$artefacts" --name "note: softmax 1024" \
    --xclbin "$5" --instructions "$6" \
    --tile 1x1024 --operand bf16 --store bf16 --rounding floor --cores 1 --buffers 3,4 \
    --limit "rows of 1024: serves no softmax over 1500 or 3001 keys" \
    --limit "takes no count of keys: padding would get probability"
