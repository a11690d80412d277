#!/usr/bin/env bash
# Builds the device xrt against the XRT that an NPU's users run, in a tree of Debian 13 with the XRT of its
# backports, and runs its tests there: an emulated NPU behind the genuine library.
#   ci/current_xrt.sh [--whole] [FOLDER]
# --whole: the program too, unmodified on that NPU, and `harness doctor`. FOLDER: where the tree goes
# (default: build/current_xrt); kept, so that a second run only builds what has changed.
# Exit codes: 0 passed; 77 skipped, saying why (not root, no debootstrap, packages out of reach); else failed.
set -euo pipefail
cd "$(dirname "$0")/.."

whole=
if [ "${1:-}" = --whole ]; then
    whole=yes
    shift
fi
tree=$(realpath -m "${1:-build/current_xrt}")
packages=(
    cmake g++ git ninja-build pkg-config python3
    libcli11-dev libfmt-dev libhdf5-dev libhwy-dev libopenblas-pthread-dev libpugixml-dev libsndfile1-dev
    libsoxr-dev libsqlite3-dev libssl-dev libtbb-dev nlohmann-json3-dev zlib1g-dev libgmock-dev libgtest-dev
)
backported=(libxrt-dev uuid-dev libboost-dev) # its header of messages includes Boost's
drivers=(none absent never_ends error nothing_written)

skip() {
    echo "ci/current_xrt.sh: skipped: $*" >&2
    exit 77
}

[ "$(id -u)" -eq 0 ] || skip "a Debian tree is made as root"
command -v debootstrap >/dev/null ||
    { apt-get -qq update && apt-get -qq install --yes debootstrap debian-archive-keyring >/dev/null; } ||
    skip "debootstrap is not installed, nor can it be"

# The Debian mirror that this machine uses, if it is one; else the one that debootstrap knows.
# shellcheck disable=SC2016 # the format is apt-get's, not the shell's
mirror=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m1 '/debian/*$' || true)

inside() {
    chroot "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@"
}

if [ ! -e "$tree/made" ]; then
    rm -rf "$tree"
    mkdir -p "$tree"
    log="$tree.log"
    echo "Making a tree of Debian 13 in $tree"
    debootstrap --variant=minbase trixie "$tree" ${mirror:+"$mirror"} >"$log" 2>&1 ||
        skip "debootstrap failed: $(tail -n 1 "$log")"
    sed 's/trixie/trixie-backports/' "$tree/etc/apt/sources.list" \
        >"$tree/etc/apt/sources.list.d/backports.list"
    inside apt-get -qq update >>"$log" 2>&1 || skip "its packages are out of reach"
    inside apt-get -qq install --yes --no-install-recommends "${packages[@]}" >>"$log" 2>&1 ||
        skip "its packages cannot be installed: $(tail -n 1 "$log")"
    inside apt-get -qq install --yes --no-install-recommends -t trixie-backports "${backported[@]}" \
        >>"$log" 2>&1 || skip "XRT cannot be installed: $(tail -n 1 "$log")"
    touch "$tree/made"
fi

# XRT's messages are read through /proc/self/fd.
mountpoint -q "$tree/proc" || mount -t proc proc "$tree/proc"
trap 'umount "$tree/proc"' EXIT

# The files that git knows, as they are now: the tree sees nothing else of this one.
rm -rf "$tree/project"
mkdir "$tree/project"
git ls-files -z | tar --null --files-from=- --create | tar --extract --directory "$tree/project"

targets=(xrt_tests artefact_tests)
if [ -n "$whole" ]; then
    targets+=(harness compile_artefacts)
    for driver in "${drivers[@]}"; do
        targets+=("xrt_driver_$driver")
    done
fi
inside cmake -S /project -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DHARNESS_BENCHMARKS=OFF -DNPU_XRT=ON \
    >"$tree/configure.log"
grep '^-- XRT: ' "$tree/configure.log"
inside cmake --build /build --target "${targets[@]}"
inside /build/npu_impl/xrt_tests --gtest_brief=1
inside /build/npu_impl/artefact_tests --gtest_brief=1
[ -n "$whole" ] || exit 0

inside python3 /project/harness/xrt_cli_test.py /build/bin/harness /build/npu_impl/compile_artefacts \
    /build/xrt_root preloaded

# There is no NPU here: the doctor finds the runtime, and says what is missing.
found=$(inside /build/bin/harness doctor || true)
echo "$found"
grep -q '^ok .* XRT .*hardware contexts' <<<"$found"
grep -q '^missing .* device node' <<<"$found"
