#!/usr/bin/env python3
"""ci/nightly.sh in its reduced form: files and an exit code, whatever fails, and never two in one folder.

    nightly_test.py BUILD_TREE
"""
import fcntl
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()

# A harness that does nothing, and says by its exit code what it was asked for.
PRETENDER = """#!/usr/bin/env bash
code=0
case "$*" in
    *"--design fused"*) echo "a row failed"; code=1; BESIDES ;;
    self-check*) echo "killed" >&2; kill -9 $$ ;;
    "list --designs") printf '  d (gemm): one\n  e (gelu): one\n' ;;
    "history add"*) echo "$*" >>HISTORY ;;
    *) echo "fine: $*" ;;
esac
while [ $# -gt 1 ]; do
    [ "$1" = --json ] && printf '{\n  "verdict": "VERDICT",\n  "exit_code": %s,\n}\n' RECORDED >"$2"
    shift
done
exit $code
"""


class Nightly(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.out = pathlib.Path(self.folder.name) / "out"

    def nightly(self, *words, expect):
        done = subprocess.run(["bash", ROOT / "ci/nightly.sh", "--out", self.out, *words], text=True,
                              cwd=self.folder.name, capture_output=True, timeout=600, check=False)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def rows(self):
        """(step, verdict, file) of the summary."""
        text = (self.out / "summary.md").read_text()
        return re.findall(r"(?m)^\| ([^|]*) \| ([^|]*) \| \d+ s \| \[[^]]*\]\((.*)\) \|$", text)

    def pretender(self, verdict="passed", recorded="$code", besides=":"):
        build = pathlib.Path(self.folder.name) / "tree"
        (build / "bin").mkdir(parents=True)
        harness = build / "bin/harness"
        text = PRETENDER.replace("HISTORY", str(build / "added")).replace("VERDICT", verdict)
        harness.write_text(text.replace("RECORDED", recorded).replace("BESIDES", besides))
        harness.chmod(0o755)
        return build

    def test_every_step_leaves_a_file_and_the_summary_a_verdict(self):
        if not (BUILD / "bin/bench").exists():
            self.skipTest("built without benchmarks")
        self.nightly("--reduced", "--build", BUILD, expect=0)
        rows = self.rows()
        self.assertEqual([name for name, _, _ in rows][:4],
                         ["unfused T=65", "fused T=65", "self-check", "bench"])
        self.assertEqual({verdict for _, verdict, _ in rows}, {"passed"})
        for _, _, file in rows:
            self.assertGreater((self.out / file).stat().st_size, 100, file)
        self.assertTrue((self.out / "summary.md").read_text().startswith("**passed**: nightly of "))
        run = json.loads((self.out / "unfused-T-65.json").read_text())
        self.assertEqual(len(run["layers"]), 2)
        self.assertGreater(len(json.loads((self.out / "bench.json").read_text())["benchmarks"]), 0)

    def test_a_second_night_says_what_changed(self):
        if not (BUILD / "bin/bench").exists():
            self.skipTest("built without benchmarks")
        night = ("--reduced", "--build", BUILD, "--history", "nights.sqlite", "--since", "2000-01-01")
        self.nightly(*night, expect=0)
        self.assertNotIn("changes", [name for name, _, _ in self.rows()])
        self.nightly(*night, expect=0)
        self.assertIn(("changes", "passed"), [(name, verdict) for name, verdict, _ in self.rows()])
        changes = (self.out / "changes.md").read_text()
        self.assertIn("NO REGRESSION", changes.upper())
        self.assertIn("1 green nights since 2000-01-01", changes)

    def test_what_fails_stops_nothing_and_the_worst_code_wins(self):
        build = self.pretender()
        done = self.nightly("--reduced", "--build", build, "--history", "night.db", "--annotations", expect=3)
        rows = {name: verdict for name, verdict, _ in self.rows()}
        self.assertEqual(rows["unfused T=65"], "passed")
        self.assertEqual(rows["fused T=65"], "accuracy failed")
        self.assertEqual(rows["self-check"], "could not run")
        self.assertEqual(rows["bench"], "could not run")  # there is none
        self.assertEqual(rows["history"], "passed")
        added = (build / "added").read_text().splitlines()
        self.assertEqual(len(added), 2)
        self.assertIn(f"--history {self.folder.name}/night.db", added[0])
        self.assertIn("::error title=fused T=65::accuracy failed", done.stdout)
        self.assertTrue((self.out / "summary.md").read_text().startswith("**could not run**"))

    def test_a_record_that_says_otherwise_could_not_run(self):
        self.nightly("--reduced", "--build", self.pretender(recorded="1"), expect=3)
        self.assertIn(("unfused T=65", "could not run"), [row[:2] for row in self.rows()])
        self.assertIn("says another exit code than 0", (self.out / "01-unfused-T-65.log").read_text())

    def test_what_an_earlier_night_left_is_not_tonights(self):
        self.out.mkdir()
        for name in ("changes.md", "summary.md", "self-check.json", "bench.json"):
            (self.out / name).write_text("an earlier night: slower by 300%")
        self.nightly("--reduced", "--build", self.pretender(), expect=3)
        self.assertNotIn("earlier night", (self.out / "summary.md").read_text())
        self.assertFalse((self.out / "bench.json").exists())

    def test_a_log_or_a_summary_that_cannot_be_written_is_no_pass(self):
        build = self.pretender(besides=f"mkdir {self.out}/03-self-check.log {self.out}/summary.md")
        done = self.nightly("--reduced", "--build", build, expect=3)
        self.assertIn("| self-check | could not run |", done.stdout)
        self.assertIn("| bench | could not run |", done.stdout)

    def test_a_long_name_is_cut(self):
        long = "r" * 240 + ".h5"
        self.nightly("--build", self.pretender(), "--recording", long, expect=3)
        self.assertIn((f"d recording 1 {long}", "passed"), [row[:2] for row in self.rows()])

    def test_what_is_accepted_is_named(self):
        self.nightly("--reduced", "--build", self.pretender("accepted"), expect=3)
        self.assertIn("--accepted-misses ci/accepted_misses.json",
                      (self.out / "01-unfused-T-65.log").read_text())
        self.assertIn("\nUnder 99.9%, as accepted in accepted_misses.json: unfused T=65, fused T=65\n",
                      (self.out / "summary.md").read_text())
        self.nightly("--reduced", "--build", BUILD, "--accepted-misses", "none.json", expect=3)
        self.assertIn("none.json: cannot be read", (self.out / "01-unfused-T-65.log").read_text())
        self.assertNotIn("Under 99.9%", (self.out / "summary.md").read_text())

    def test_the_list_of_this_repository_names_designs_that_there_are(self):
        small = ("--context", "64", "--layer", "0", "--op", "query", "--repeat", "1")
        done = subprocess.run([BUILD / "bin/harness", "--compare", *small, "--accepted-misses",
                               ROOT / "ci/accepted_misses.json"], capture_output=True, text=True,
                              timeout=300, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)

    def test_two_do_not_share_a_folder(self):
        self.out.mkdir()
        with open(self.out / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = self.nightly("--reduced", "--build", self.pretender(), expect=3)
        self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1))
        self.assertIn("another nightly holds", done.stderr)
        self.assertEqual([file.name for file in self.out.iterdir()], ["lock"])

    def test_what_it_does_not_know_is_refused_in_one_line(self):
        for words in (("--colour",), ("--history",), ("--since", "May"), ("word",), ("--build", ""),
                      ("--artefacts", "nowhere")):
            done = self.nightly(*words, expect=2)
            self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1), words)


if __name__ == "__main__":
    unittest.main(verbosity=2)
