#!/usr/bin/env python3
"""Checks that includes run only along the edges of the house, and third-party headers only to their homes.

    check_layers.py [ROOT]         prints file:line of every forbidden include; exit code 1 when there is one
    check_layers.py --self-test    plants forbidden includes in a temporary tree and expects each to be found
"""

import pathlib
import re
import sys
import tempfile
from fnmatch import fnmatchcase

from source_tree import files_below

# What a folder may include besides itself: other folders, or single headers.
EDGES = {
    "datasets": [],
    "kernels": [],
    "reference": ["datasets/*"],
    "npu_impl": ["datasets/*", "kernels/*"],
    "harness": ["datasets/*", "reference/*", "npu_impl/*"],
    "reports": [
        "harness/run_record.hpp",
        "harness/run_record_example.hpp",
        "harness/atomic_file.hpp",
        "harness/error_picture.hpp",
        "harness/regression.hpp",
        "harness/run_figures.hpp",
        "harness/time_change.hpp",
        "datasets/op.hpp",
    ],
    "ci": ["datasets/*"],
}

# The roof: may include everything, and nothing below includes it.
ROOF = ["harness/main.cpp", "harness/commands/*"]

# Third-party headers with one home. A file's test shares its home.
HOMES = [
    ("HDF5", ["hdf5.h", "hdf5_hl.h", "H5*.h", "highfive/*"], ["datasets/recording*", "datasets/candidate*"]),
    ("libsndfile", ["sndfile.h", "sndfile.hh"], ["datasets/audio*"]),
    ("libsoxr", ["soxr.h", "soxr-lsr.h"], ["datasets/resampler.cpp"]),
    ("OpenSSL", ["openssl/*"], ["datasets/sha256.cpp"]),
    ("BLAS", ["cblas.h", "*/cblas.h", "openblas*", "lapacke.h"], ["reference/blas.cpp"]),
    (
        "XRT",
        ["xrt.h", "xrt/*", "experimental/xrt*", "ert.h", "xclbin.h"],
        [
            "npu_impl/xrt_device.cpp",
            "npu_impl/xrt_session.*",
            "npu_impl/xrt_submission.*",
            "npu_impl/xrt_emulation/*",
        ],
    ),
    (
        "JSON",
        ["nlohmann/*"],
        [
            "datasets/checkpoint_safetensors.cpp",
            "harness/accepted_misses.cpp",
            "harness/bisect_json.cpp",
            "harness/calibration*",
            "harness/cpu_baseline.cpp",
            "harness/run_figures*",
            "harness/run_record*",
            "harness/self_check/self_check_json.cpp",
            "harness/timeline_export.cpp",
            "npu_impl/artefacts.cpp",
            "npu_impl/device_spec.cpp",
            "npu_impl/manifest.cpp",
            "npu_impl/npu_identity.cpp",
            "reports/*",
        ],
    ),
    ("SQLite", ["sqlite3.h", "sqlite3ext.h"], ["reports/history*"]),
    ("MPI", ["mpi.h", "mpi-ext.h"], ["harness/rank_team_mpi.cpp"]),
    ("command line", ["CLI/*"], ["harness/options*"]),
    (
        "XML",
        ["pugixml.hpp", "pugiconfig.hpp"],
        ["npu_impl/xclbin.cpp", "reports/junit.cpp", "reports/*_test.cpp"],
    ),
    ("zlib", ["zlib.h"], ["reports/html.cpp"]),
    ("AIE API", ["aie_api/*", "aie_kernel_utils.h", "lut_based_ops.h"], ["kernels/aie2/*", "kernels/host/*"]),
    ("test framework", ["gtest/*", "gmock/*"], ["*_test.cpp", "*_test.hpp"]),
    ("benchmark framework", ["benchmark/*"], ["*_bench.cpp"]),
]

SUFFIXES = (".cpp", ".hpp", ".h", ".cc", ".inc", ".cpp.in", ".hpp.in")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def matches(path, patterns):
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def without_test(path):
    return re.sub(r"_test(\.\w+)$", r"\1", path)


def is_roof(path):
    return matches(without_test(path), ROOF)


def sources(root):
    """Every C++ file below root, without build and hidden folders, as a path relative to root."""
    return files_below(root, SUFFIXES)


def project_fault(file, target):
    """Why `file` may not include the project's header `target`, or None."""
    folder, target_folder = file.split("/")[0], target.split("/")[0]
    if is_roof(file):
        return None
    if matches(target, ROOF):
        return "nothing but the roof (harness/main.cpp, harness/commands) includes the roof"
    if folder == target_folder or matches(target, EDGES[folder]):
        return None
    return f"{folder} may include: {', '.join([folder + '/*'] + EDGES[folder])}"


def third_party_fault(file, target):
    for name, headers, homes in HOMES:
        if matches(target, headers):
            if matches(file, homes) or matches(without_test(file), homes):
                return None
            return f"{name} headers are at home in: {', '.join(homes)}"
    return None


def include_fault(file, quote, target):
    if ".." in target.split("/"):
        return "headers are included from the root of the project"
    # A kernel for the array is compiled outside this project too, with its own folder and AMD's.
    if file.startswith("kernels/aie2/") and "/" not in target:
        return third_party_fault(file, target)
    if target.split("/")[0] in EDGES and "/" in target:
        return project_fault(file, target)
    if quote == '"' and "/" not in target:
        # Some C libraries are quoted as well; a header of the project is found beside the file.
        return third_party_fault(file, target) or "headers are included from the root of the project"
    return third_party_fault(file, target)


def faults(root):
    found = []
    for file in sources(root):
        if file.split("/")[0] not in EDGES:
            found.append(f"{file}:1: outside the house; its folders are: {', '.join(EDGES)}")
            continue
        text = (root / file).read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            include = INCLUDE.match(line)
            reason = include and include_fault(file, *include.groups())
            if reason:
                found.append(f"{file}:{number}: forbidden include of {include[2]}; {reason}")
    return found


# (file, include, whether it is forbidden)
PLANTED = [
    ("datasets/op.cpp", '"datasets/op.hpp"', False),
    ("datasets/op.cpp", '"kernels/tile_kernels.hpp"', True),
    ("datasets/op.hpp", "<kernels/tile_kernels.hpp>", True),
    ("datasets/op.cpp", '"../kernels/tile_kernels.hpp"', True),
    ("datasets/op.cpp", '"op.hpp"', True),
    ("datasets/op.cpp", "<hdf5.h>", True),
    ("datasets/op.cpp", '"hdf5.h"', True),
    ("datasets/recording_read.cpp", "<hdf5.h>", False),
    ("datasets/recording_test.cpp", "<hdf5.h>", False),
    ("datasets/candidate_dataset.cpp", "<hdf5.h>", False),
    ("harness/candidate_path.cpp", "<hdf5.h>", True),
    ("datasets/audio_read.cpp", "<sndfile.h>", False),
    ("datasets/audio_test.cpp", "<sndfile.h>", False),
    ("datasets/resampler.cpp", "<sndfile.h>", True),
    ("datasets/resampler.cpp", "<soxr.h>", False),
    ("datasets/audio_read.cpp", "<soxr.h>", True),
    ("datasets/sha256.cpp", "<openssl/evp.h>", False),
    ("datasets/recording_read.cpp", "<openssl/evp.h>", True),
    ("datasets/op_test.cpp", "<gtest/gtest.h>", False),
    ("datasets/op.cpp", "<gtest/gtest.h>", True),
    ("datasets/op_test.cpp", '"reference/oracle.hpp"', True),
    ("kernels/tile_kernels.cpp", '"datasets/bf16.hpp"', True),
    ("kernels/aie2/softmax.cc", "<aie_api/aie.hpp>", False),
    ("kernels/aie2/softmax.cc", '"exp.h"', False),
    ("kernels/tile_kernels.cpp", "<aie_api/aie.hpp>", True),
    ("kernels/tile_bench.cpp", "<benchmark/benchmark.h>", False),
    ("kernels/tile_kernels.cpp", "<benchmark/benchmark.h>", True),
    ("reference/golden.cpp", '"datasets/path.hpp"', False),
    ("reference/golden.cpp", '"kernels/tile_kernels.hpp"', True),
    ("reference/golden.cpp", '"npu_impl/npu_path.hpp"', True),
    ("reference/golden.cpp", "  <cblas.h>", True),
    ("reference/blas.cpp", "<cblas.h>", False),
    ("npu_impl/npu_path.cpp", '"kernels/tile_kernels.hpp"', False),
    ("npu_impl/npu_path.cpp", '"reference/golden.hpp"', True),
    ("npu_impl/npu_path_test.cpp", '"reference/golden.hpp"', True),
    ("npu_impl/npu_path.cpp", "<xrt/xrt_device.h>", True),
    ("npu_impl/xrt_device.cpp", "<xrt/xrt_device.h>", False),
    ("npu_impl/xrt_emulation/emulated_npu.cpp", "<ert.h>", False),
    ("npu_impl/open_device.cpp", "<ert.h>", True),
    ("npu_impl/xclbin.cpp", "<xclbin.h>", True),
    ("npu_impl/manifest.cpp", "<nlohmann/json.hpp>", False),
    ("npu_impl/device_spec.cpp", "<nlohmann/json.hpp>", False),
    ("npu_impl/cost_model.cpp", "<nlohmann/json.hpp>", True),
    ("datasets/checkpoint_safetensors.cpp", "<nlohmann/json.hpp>", False),
    ("datasets/checkpoint.cpp", "<nlohmann/json.hpp>", True),
    ("npu_impl/design.cpp", "<nlohmann/json.hpp>", True),
    ("npu_impl/design.cpp", '"harness/gate.hpp"', True),
    ("harness/judge.cpp", '"reference/oracle.hpp"', False),
    ("harness/judge.cpp", '"kernels/tile_kernels.hpp"', True),
    ("harness/judge.cpp", '"reports/terminal.hpp"', True),
    ("harness/judge.cpp", '"harness/commands/commands.hpp"', True),
    ("harness/judge.cpp", '"harness/main.cpp"', True),
    ("harness/judge_test.cpp", '"reports/terminal.hpp"', True),
    ("harness/judge.cpp", "<CLI/CLI.hpp>", True),
    ("harness/options.cpp", "<CLI/CLI.hpp>", False),
    ("harness/run_record.cpp", "<nlohmann/json.hpp>", False),
    ("harness/run_record_test.cpp", "<nlohmann/json.hpp>", False),
    ("harness/judge.cpp", "<nlohmann/json.hpp>", True),
    ("harness/timeline_export.cpp", "<nlohmann/json.hpp>", False),
    ("harness/main.cpp", '"reports/terminal.hpp"', False),
    ("harness/commands/compare.cpp", '"reports/terminal.hpp"', False),
    ("harness/commands/compare.cpp", "<CLI/CLI.hpp>", True),
    ("reports/terminal.cpp", '"harness/run_record.hpp"', False),
    ("reports/terminal.cpp", '"datasets/op.hpp"', False),
    ("reports/terminal.cpp", '"harness/judge.hpp"', True),
    ("reports/terminal.cpp", '"datasets/path.hpp"', True),
    ("reports/terminal.cpp", "<nlohmann/json.hpp>", False),
    ("reports/history_database.hpp", "<sqlite3.h>", False),
    ("reports/terminal.cpp", "<sqlite3.h>", True),
    ("reports/history.cpp", '"harness/regression.hpp"', False),
    ("reports/terminal.cpp", "<pugixml.hpp>", True),
    ("reports/reports_test.cpp", "<pugixml.hpp>", False),
    ("reports/html.cpp", "<zlib.h>", False),
    ("reports/html_test.cpp", "<zlib.h>", False),
    ("reports/terminal.cpp", "<zlib.h>", True),
    ("ci/check_generator.cpp", '"datasets/synthetic.hpp"', False),
    ("utils/strings.cpp", "<string>", True),
    ("build/generated.cpp", '"reports/terminal.hpp"', False),
]


def self_test():
    failures = 0
    for file, include, forbidden in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / file
            path.parent.mkdir(parents=True)
            path.write_text(f"// A file.\n#include {include}\n", encoding="utf-8")
            found = faults(pathlib.Path(folder))
        line = 1 if file.startswith("utils/") else 2
        expected = len(found) == 1 and found[0].startswith(f"{file}:{line}: ") if forbidden else found == []
        if not expected:
            failures += 1
            wanted = "one fault" if forbidden else "none"
            print(f"{file}: #include {include}: expected {wanted}, found {found}")
    print(f"{len(PLANTED)} planted includes, {failures} judged wrongly")
    return failures


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent).resolve()
    found = faults(root)
    for line in found:
        print(line)
    print(f"{len(list(sources(root)))} files, {len(found)} forbidden includes")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
