#!/usr/bin/env python3
"""ci/gate.sh on a small repository: what cannot matter is not run, a wrong kernel fails, a right one passes.

    gate_test.py BUILD_TREE
"""
import fcntl
import os
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

    def program(self, file, text):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n" + text)
        file.chmod(0o755)

    def rows(self, done):
        """(step, verdict) of the table."""
        return re.findall(r"(?m)^\| (.*?) \| (.*?) \|", done.stdout)[1:]

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

    def test_names_that_git_quotes_and_kernels_that_it_ignores_are_changes(self):
        for name in ('b"c.h', "b\\c.h", "tab\t.h", "a b.h", "\u00e4.h", "an_evil_test.cc", "mine.o"):
            with self.subTest(name):
                file = self.tree / "kernels/aie2" / name
                file.write_text("changed\n")
                (self.tree / ".git/info/exclude").write_text("*.o\n")
                done = self.gate("HEAD", "--build-head", self.tree, expect=3)
                self.assertIn(f"- kernels/aie2/{name}", done.stdout)
                file.unlink()

    def test_where_git_cannot_tell_nothing_passes(self):
        self.change("kernels/aie2/bias_scale.cc", "rounded, factor", "rounded, factor ")
        (self.tree / ".git/index").write_bytes(b"damaged")
        self.assertEqual(self.gate("HEAD", expect=3).stdout, "")

    def test_a_project_in_a_folder_of_a_repository_is_judged(self):
        whole = pathlib.Path(self.folder.name) / "whole"
        whole.mkdir()
        shutil.rmtree(self.tree / ".git")
        self.tree = shutil.move(self.tree, whole / "sub")
        self.git("-C", whole, "init", "--quiet", "--initial-branch", "main")
        self.git("add", ".")
        self.git("-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "--quiet", "-m", "base")
        self.change("kernels/aie2/bias_scale.cc", "rounded, factor", "rounded, factor ")
        done = self.gate("HEAD", "--build-head", whole, expect=3)
        self.assertIn("- kernels/aie2/bias_scale.cc", done.stdout)

    def test_what_base_alone_has_is_no_change(self):
        self.git("checkout", "--quiet", "-b", "words")
        self.git("checkout", "--quiet", "main")
        self.change("kernels/aie2/bias_scale.cc", "rounded, factor", "rounded, factor ")
        self.git("-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "--quiet", "-am", "theirs")
        self.git("checkout", "--quiet", "words")
        self.assertIn("can change a result", self.gate("main", expect=0).stdout)

    def test_what_nights_accept_is_told(self):
        self.change("ci/accepted_misses.json", '"match_at_least": 99.86', '"match_at_least": 9')
        self.assertIn("look at ci/accepted_misses.json", self.gate("HEAD", expect=0).stdout)

    def test_a_build_that_fails_is_no_accuracy_and_runs_nothing_old(self):
        self.change("kernels/aie2/bias_scale.cc", "rounded, factor", "rounded, factor ")
        (self.tree / "ci/install.sh").write_text("exit 0\n")
        stale = self.tree / "build/gate-release/bin/harness"
        self.program(stale, f"touch {self.folder.name}/was_run\n")
        self.program(pathlib.Path(self.folder.name) / "bin/cmake", "exit 1\n")
        path = f"{self.folder.name}/bin:{os.environ['PATH']}"
        done = subprocess.run(["bash", "ci/gate.sh", "--build-base", BUILD, "HEAD"], cwd=self.tree, text=True,
                              capture_output=True, timeout=60, check=False, env={**os.environ, "PATH": path})
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        self.assertEqual(self.rows(done), [("build of the head", "could not run"), ("install", "passed")])
        self.assertFalse(stale.exists())
        self.assertFalse((pathlib.Path(self.folder.name) / "was_run").exists())

    def test_a_head_that_leaves_no_record_could_not_run(self):
        self.change("kernels/aie2/bias_scale.cc", "rounded, factor", "rounded, factor ")
        self.program(self.tree / "build/silent/bin/harness", "exit 0\n")
        done = self.gate("HEAD", "--build-head", self.tree / "build/silent", expect=3)
        self.assertIn(("accuracy, unfused, small", "could not run"), self.rows(done))

    def test_a_role_is_found_however_it_is_written(self):
        self.change("kernels/aie2/bias_scale.cc", "void bias_scale_floor(", "  void\nbias_scale_floor  (")
        done = self.gate("HEAD", expect=0)
        self.assertIn(("kernel bias_scale_floor", "passed"), self.rows(done))

    def test_two_gates_take_turns(self):
        self.change("kernels/aie2/bias_scale.cc", "rounded, factor", "rounded, factor ")
        (self.tree / "build").mkdir()
        with open(self.tree / "build/gate.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = self.gate("HEAD", expect=3)
        self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1))
        self.assertIn("another gate holds build/gate.lock", done.stderr)

    def test_an_output_folder_with_the_build_in_it_is_refused(self):
        self.change("kernels/aie2/bias_scale.cc", "rounded, factor", "rounded, factor ")
        tree = self.tree / "build/gate/tree"
        self.program(tree / "bin/harness", "exit 0\n")
        (self.tree / "build/gate/.gate").touch()
        done = self.gate("HEAD", "--build-head", tree, expect=2)
        self.assertIn("holds the build tree", done.stderr)
        self.assertTrue((tree / "bin/harness").exists())

    def test_an_interrupted_step_ends_the_gate(self):
        self.change("kernels/aie2/bias_scale.cc", "rounded, factor", "rounded, factor ")
        tree = self.tree / "build/interrupted"
        self.program(tree / "bin/harness", "exit 130\n")
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
        rows = self.rows(done)
        self.assertEqual(rows[0], ("kernel bias_scale_even", "accuracy failed"))
        self.assertIn(("costs, unfused", "passed"), rows)
        self.assertIn("::error title=kernel bias_scale_even::accuracy failed", done.stdout)


if __name__ == "__main__":
    if not shutil.which("git"):
        print("SKIPPED: no git")
        sys.exit(77)
    unittest.main(verbosity=2)
