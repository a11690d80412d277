#!/usr/bin/env bash
# Installs what the build and the tests need from the distribution's own packages, as far as it is missing.
# For Debian 12, Debian 13 and Ubuntu 24.04. As root, or with sudo; otherwise it says what to install.
#   ci/install.sh [PACKAGE...] [--optional PACKAGE...]
# PACKAGE: what only the caller needs; of the optional ones, those that this distribution has.
set -euo pipefail

required=()
optional=()
for word in "$@"; do
    if [ "$word" = --optional ]; then
        past_required=yes
    elif [ "${past_required:-}" = yes ]; then
        optional+=("$word")
    else
        required+=("$word")
    fi
done

packages=(
    ca-certificates cmake g++ git ninja-build pkg-config python3
    libcli11-dev libfmt-dev libhdf5-dev libhwy-dev libopenblas-pthread-dev libpugixml-dev libsndfile1-dev
    libsoxr-dev libsqlite3-dev libssl-dev libtbb-dev nlohmann-json3-dev zlib1g-dev
    hdf5-tools libbenchmark-dev libgmock-dev libgtest-dev python3-h5py python3-numpy
    "${required[@]}"
)

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "ci/install.sh: no apt-get here; if the build fails, install what Debian calls: ${packages[*]}" >&2
    exit 0
fi

# The NPU's runtime: without it the build leaves the device `xrt` out. Not every distribution has it. Its
# header of messages, which the tests use, includes Boost's.
optional+=(libxrt-dev uuid-dev libboost-dev)

is_installed() {
    # shellcheck disable=SC2016 # the format is dpkg-query's, not the shell's
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
wanted=()
for package in "${optional[@]}"; do
    is_installed "$package" || wanted+=("$package")
done

# Those of the wanted that the package lists know.
add_wanted() {
    local package
    for package in "${wanted[@]}"; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            missing+=("$package")
        fi
    done
    wanted=()
}

if [ ${#missing[@]} -eq 0 ]; then
    add_wanted
fi
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "ci/install.sh: neither root nor sudo; install first: ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

# Mirrors fail now and then; the lock may be held by the machine's own updates.
apt() {
    local attempt
    for attempt in 1 2 3 4; do
        if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq -o DPkg::Lock::Timeout=120 "$@"; then
            return 0
        fi
        echo "ci/install.sh: attempt $attempt of 4 failed: apt-get $*" >&2
        sleep $((attempt * 5))
    done
    return 1
}

apt update
add_wanted
echo "Installing: ${missing[*]}"
apt install --yes --no-install-recommends "${missing[@]}"
