#!/usr/bin/env bash
# Installs what the build and the tests need from the distribution's own packages, as far as it is missing.
# For Debian 12, Debian 13 and Ubuntu 24.04. As root, or with sudo; otherwise it says what to install.
#   ci/install.sh [PACKAGE...]     packages that only the caller needs
set -euo pipefail

packages=(
    ca-certificates cmake g++ git ninja-build pkg-config python3
    libcli11-dev libfmt-dev libhdf5-dev libhwy-dev libopenblas-pthread-dev libpugixml-dev libsndfile1-dev
    libsoxr-dev libssl-dev libtbb-dev nlohmann-json3-dev
    hdf5-tools libbenchmark-dev libgmock-dev libgtest-dev python3-h5py python3-numpy
    "$@"
)

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "ci/install.sh: no apt-get here; if the build fails, install what Debian calls: ${packages[*]}" >&2
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    # shellcheck disable=SC2016 # the format is dpkg-query's, not the shell's
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
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

echo "Installing: ${missing[*]}"
apt update
apt install --yes --no-install-recommends "${missing[@]}"
