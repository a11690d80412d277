#!/usr/bin/env python3
"""`harness judge` from outside, on files that h5py wrote. Usage: judge_cli_test.py HARNESS DATASETS_FOLDER"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import h5py
import numpy

DATASETS = pathlib.Path(sys.argv.pop())
HARNESS = sys.argv.pop()
sys.path.insert(0, str(DATASETS))
import write_candidate  # noqa: E402  the example in the documentation

CLIP = "hard-20240607"


class Judge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        cls.recording = cls.path / "recording.h5"
        cls.run_harness("record", "--synthetic", "hard", "--context", 130, "--out", cls.recording, expect=0)
        cls.example = cls.path / "example.h5"
        subprocess.run([sys.executable, DATASETS / "write_candidate.py", cls.recording, cls.example],
                       check=True, timeout=300)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def run_harness(cls, *arguments, expect):
        done = subprocess.run([HARNESS, *map(str, arguments)], capture_output=True, text=True, timeout=300)
        if done.returncode != expect:
            raise AssertionError(f"exit {done.returncode}, expected {expect}: {done.stdout}\n{done.stderr}")
        return done

    def judge(self, *arguments, expect, candidate=None):
        return self.run_harness("judge", "--recording", self.recording, "--candidate",
                                candidate or self.example, *arguments, expect=expect)

    def refused(self, *parts, arguments=(), expect=3, candidate=None):
        done = self.judge(*arguments, expect=expect, candidate=candidate)
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        for part in parts:
            self.assertIn(part, lines[0])

    def changed(self, name, change):
        """A copy of the example's layer 0 that `change` was done to."""
        path = self.path / name
        with h5py.File(self.example) as example, h5py.File(path, "w") as file:
            for key, value in example.attrs.items():
                file.attrs[key] = value
            example.copy(f"clips/{CLIP}/layer_0", file.create_group(f"clips/{CLIP}"))
            change(file)
        return path

    def test_the_example_passes_by_the_bounds_of_what_it_declares(self):
        run, junit = self.path / "run.json", self.path / "run.xml"
        done = self.judge("--layer", "0", "--json", run, "--junit", junit, expect=0)
        self.assertIn("not checked: launches, guard zones, repeatability, time and probes", done.stdout)
        self.assertIn("chained, computed by write_candidate.py", done.stdout)
        self.assertNotIn("modelled", done.stdout)
        record = json.loads(run.read_text())
        self.assertEqual(record["verdict"], "passed")
        self.assertEqual(len(record["rows"]), 7)
        for row in record["rows"]:
            self.assertEqual(row["input"], "chained")
            self.assertLessEqual(row["statistics"]["rho"]["value"], 1)
        self.assertEqual(record["layers"][0]["headline"]["verdict"], "passed")
        self.assertEqual(record["layers"][0]["steps"], [])
        candidate = record["identities"]["candidate"]
        self.assertEqual(candidate["runner"], "write_candidate.py")
        self.assertEqual(candidate["input"], "chained")
        self.assertIsNone(candidate["launches"])
        self.assertTrue(candidate["not_checked"])
        suite = xml.etree.ElementTree.parse(junit).getroot().find("testsuite")
        self.assertEqual(suite.get("failures"), "0")
        self.assertEqual(suite.get("tests"), "8")

    def test_the_verdicts_are_those_of_the_whole_file(self):
        """Every op of every layer lies within its bound; the match of layers is a criterion of its own."""
        run = self.path / "all.json"
        subprocess.run([HARNESS, "judge", "--recording", self.recording, "--candidate", self.example,
                        "--json", run, "--quiet"], timeout=300)
        record = json.loads(run.read_text())
        self.assertEqual(len(record["rows"]), 6 * 7)
        self.assertEqual({row["verdict"] for row in record["rows"]}, {"passed"})

    def test_other_arithmetic_than_the_numbers_have_fails(self):
        done = self.judge("--layer", "0", "--arithmetic", "gemm_array_floor", expect=1)
        self.assertIn("stores are not what floor rounding gives", done.stdout)
        self.assertIn("reproduce: harness judge --recording", done.stdout)
        reproduce = next(line for line in done.stdout.splitlines() if "reproduce:" in line)
        words = reproduce.split("reproduce: harness ")[1].split()
        self.run_harness(*words, expect=1)

    def test_a_wrong_tile_is_found_and_placed(self):
        def damage(file):
            file[f"clips/{CLIP}/layer_0/context"][64:128, 192:256] = 0
        done = self.judge(expect=1, candidate=self.changed("tile.h5", damage))
        self.assertIn("where: head 3, rows 64-127", done.stdout)
        self.assertIn("--op context --head 3", done.stdout)

    def test_bf16_in_uint16_is_read(self):
        def store(file):
            for op in ("query", "key", "value", "context"):
                name = f"clips/{CLIP}/layer_0/{op}"
                bits = (file[name][()].view("<u4") >> 16).astype("<u2")
                del file[name]
                file.create_dataset(name, data=bits, compression="gzip").attrs["dtype_logical"] = "bf16"
        self.judge(expect=0, candidate=self.changed("bits.h5", store))

    def test_an_op_that_one_layer_lacks_is_not_run(self):
        def drop(file):
            file.copy(f"clips/{CLIP}/layer_0", f"clips/{CLIP}/layer_1")
            del file[f"clips/{CLIP}/layer_0/output"]
        done = self.judge("--layer", "0", expect=3, candidate=self.changed("lacks.h5", drop))
        self.assertIn("output (chained): is not in the file for this clip and layer", done.stdout)

    def test_isolated_steps_claim_no_headline(self):
        def isolated(file):
            file.attrs["input"] = "isolated"
            for op in ("scores", "probabilities", "context", "output"):
                del file[f"clips/{CLIP}/layer_0/{op}"]
        done = self.judge(expect=0, candidate=self.changed("isolated.h5", isolated))
        self.assertIn("not checked: match of the attention output (headline)", done.stdout)
        self.assertIn("not checked: scores, probabilities, context, output: not in the file", done.stdout)

    def test_bad_files_and_options_are_refused_in_one_line(self):
        def undeclared(file):
            del file.attrs["arithmetic"]
        self.refused("declares no arithmetic", "--arithmetic", "unfused, fused, legacy_tile64", expect=2,
                     candidate=self.changed("undeclared.h5", undeclared))

        def unknown(file):
            file.attrs["arithmetic"] = "magic"
        path = self.changed("unknown.h5", unknown)
        self.refused("attribute arithmetic", "magic", "unfused", candidate=path)
        self.judge("--arithmetic", "unfused", expect=0, candidate=path)

        def half(file):
            name = f"clips/{CLIP}/layer_0/query"
            rows = file[name][:65]
            del file[name]
            file[name] = rows
        self.refused("layer_0/query: has the shape [65, 512]", candidate=self.changed("half.h5", half))
        self.refused("unknown design", "magic", arguments=("--arithmetic", "magic"), expect=2)
        self.refused("never leaves the core", arguments=("--arithmetic", "fused"))
        self.refused("this is a recording", candidate=self.recording)
        self.refused("no such clip", arguments=("--clip", "b"), expect=2)
        self.refused("no layer 9", arguments=("--layer", "9"), expect=2)
        self.refused("has no heads", arguments=("--op", "output", "--head", "0"), expect=2)
        self.refused("no such head", arguments=("--head", "8"), expect=2)
        self.refused("would be overwritten", arguments=("--json", self.example), expect=2)
        other = self.path / "other.h5"
        self.run_harness("record", "--synthetic", "hard", "--context", 130, "--seed", 2, "--out", other,
                         expect=0)
        done = self.run_harness("judge", "--recording", other, "--candidate", self.example, expect=3)
        self.assertIn("was computed from the recording with content SHA-256", done.stderr)
        self.run_harness("judge", "--recording", self.recording, expect=2)

    def test_the_example_knows_the_identity_of_a_recording(self):
        shown = self.run_harness("inspect", self.recording, expect=0).stdout
        with h5py.File(self.recording) as recording:
            self.assertIn(write_candidate.content_sha256(recording), shown)

    def test_the_example_rounds_as_the_hardware(self):
        values = numpy.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-7 - 2**-8], "<f4")
        self.assertEqual(write_candidate.bf16(values).tolist(), [1, 1, 1 + 2**-6, -1 - 2**-6])


if __name__ == "__main__":
    unittest.main()
