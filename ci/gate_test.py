#!/usr/bin/env python3
"""ci/gate.sh on a small repository: what cannot matter is not run, a wrong kernel fails, a right one passes.

    gate_test.py BUILD_TREE
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()


class Gate(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.tree = pathlib.Path(self.folder.name) / "tree"
        for name in ("ci", "kernels/aie2"):
            shutil.copytree(ROOT / name, self.tree / name)
        (self.tree / "README.md").write_text("words\n")
        (self.tree / ".gitignore").write_text("/build/\n")
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("add", ".")
        self.git("-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "--quiet", "-m", "base")

    def git(self, *words):
        subprocess.run(["git", *words], cwd=self.tree, check=True, timeout=60)

    def gate(self, *words, expect):
        done = subprocess.run(["bash", "ci/gate.sh", "--reduced", "--annotations", "--build-base", BUILD,
                               "--build-head", BUILD, *words], cwd=self.tree, capture_output=True, text=True,
                              timeout=600, check=False)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def change(self, file, old, new):
        path = self.tree / file
        text = path.read_text()
        self.assertEqual(text.count(old), 1, old)
        path.write_text(text.replace(old, new))

    def test_words_and_tests_are_not_judged(self):
        (self.tree / "README.md").write_text("other words\n")
        (self.tree / "kernels/aie2/aie2_softmax_test.cpp").write_text("// another test\n")
        done = self.gate(expect=0)
        self.assertRegex(done.stdout, r"^\*\*passed\*\*: nothing between \w+ and the working tree can change")
        self.assertEqual((self.tree / "build/gate/gate.md").read_text(), done.stdout)

    def test_what_it_does_not_know_is_refused_in_one_line(self):
        for words in (("no-such-commit",), ("--colour",), ("--out",), ("main", "main")):
            done = self.gate(*words, expect=2)
            self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1), words)

    def test_a_folder_that_no_gate_wrote_is_left_alone(self):
        precious = self.tree / "kernels/aie2/bias_scale.cc"
        precious.write_text(precious.read_text() + "// changed\n")
        done = self.gate("--out", "kernels", "HEAD", expect=2)
        self.assertIn("no gate wrote it", done.stderr)
        self.assertTrue(precious.exists())

    def test_a_kernel_that_moved_away_is_a_change(self):
        self.git("mv", "kernels/aie2/bias_scale.cc", "elsewhere.txt")
        done = self.gate("HEAD", expect=0)
        self.assertIn("- kernels/aie2/bias_scale.cc", done.stdout)

    def test_an_interrupted_step_ends_the_gate(self):
        self.change("kernels/aie2/bias_scale.cc", "rounded, factor", "rounded, factor ")
        tree = self.tree / "build/interrupted"
        (tree / "bin").mkdir(parents=True)
        (tree / "bin/harness").write_text("#!/bin/sh\nexit 130\n")
        (tree / "bin/harness").chmod(0o755)
        done = self.gate("--build-head", tree, "HEAD", expect=130)
        self.assertIn("interrupted in kernel bias_scale_even", done.stderr)

    def test_a_healthy_change_of_a_kernel_passes(self):
        with open(self.tree / "kernels/aie2/bias_scale.cc", "a", encoding="utf-8") as kernel:
            kernel.write("// The same bits.\n")
        done = self.gate("HEAD", expect=0)
        self.assertRegex(done.stdout, r"^\*\*passed\*\*: the working tree against \w+, 1 files that matter")
        for step in ("kernel bias_scale_even", "kernel bias_scale_floor", "accuracy, unfused, small",
                     "costs, fused"):
            self.assertRegex(done.stdout, rf"(?m)^\| {step} \| passed \|")
        self.assertIn("Modelled and counted costs are the same", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^\| measured \| passed \|")
        self.assertNotIn("::error", done.stdout)
        self.assertEqual((self.tree / "build/gate/gate.md").read_text(), done.stdout)

    def test_a_wrong_kernel_fails_and_is_named_first(self):
        self.change("kernels/aie2/bias_scale.cc", "aie::mul(rounded, factor).template to_vector<bfloat16>()",
                    "rounded")
        done = self.gate("HEAD", expect=1)
        self.assertRegex(done.stdout, r"^\*\*accuracy failed\*\*")
        rows = re.findall(r"(?m)^\| (.*?) \| (.*?) \|", done.stdout)[1:]
        self.assertEqual(rows[0], ("kernel bias_scale_even", "accuracy failed"))
        self.assertIn(("costs, unfused", "passed"), rows)
        self.assertIn("::error title=kernel bias_scale_even::accuracy failed", done.stdout)


if __name__ == "__main__":
    if not shutil.which("git"):
        print("SKIPPED: no git")
        sys.exit(77)
    unittest.main(verbosity=2)
