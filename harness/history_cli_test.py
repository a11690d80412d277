#!/usr/bin/env python3
"""History and regression check from outside. Usage: history_cli_test.py PATH_TO_HARNESS"""
import copy
import csv
import json
import os
import pathlib
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
import unittest

HARNESS = os.path.abspath(sys.argv.pop(1))

# Runs of one build, relative to the first: what a quiet machine shows.
JITTER = (1.0, 1.006, 0.995, 1.003, 0.998, 1.004, 0.997, 1.001, 1.005, 0.999)

# Stands in for a build of the harness: gives out prepared run records, one after another.
FAKE_BUILD = """#!/usr/bin/env python3
import pathlib, shutil, sys
folder = pathlib.Path(__file__ + ".runs")
count = folder / "count"
number = int(count.read_text()) if count.exists() else 0
count.write_text(str(number + 1))
if "--fail" in sys.argv:
    sys.exit(3)
shutil.copy(sorted(folder.glob("*.json"))[number], sys.argv[sys.argv.index("--json") + 1])
"""


class HistoryCli(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.keeper = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.keeper.name)
        run = cls.root / "made.json"
        environment = {**os.environ, "XDG_CACHE_HOME": str(cls.root / "cache")}
        subprocess.run([HARNESS, "--compare", "--context", "65", "--layer", "0", "--op", "query",
                        "--input", "isolated", "--json", run, "--quiet"], env=environment, timeout=300)
        cls.made = json.loads(run.read_text())

    @classmethod
    def tearDownClass(cls):
        cls.keeper.cleanup()

    def setUp(self):
        self.path = pathlib.Path(tempfile.mkdtemp(dir=self.root))
        self.history = self.path / "history.sqlite"

    def harness(self, *arguments, expect, **keywords):
        environment = {**os.environ, "XDG_DATA_HOME": str(self.path / "data")}
        done = subprocess.run([HARNESS, *map(str, arguments)], capture_output=True, text=True, timeout=300,
                              env=environment, **keywords)
        self.assertEqual(done.returncode, expect, f"{arguments}: {done.stdout}\n{done.stderr}")
        return done

    def one_line(self, done, *parts):
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        for part in parts:
            self.assertIn(part, lines[0])

    def run_file(self, name, night=1, factor=1.0, change=None, commit="base"):
        """The made run as another night's, the measured times of query `factor` as long."""
        record = copy.deepcopy(self.made)
        record["created_utc"] = f"2026-03-{night:02}T02:00:00Z"
        record["environment"]["commit"] = commit
        for layer in record["layers"]:
            for step in layer["steps"]:
                times = step["cpu"]
                own = factor if step["ops"]["first"] == "query" else 1
                times["samples"] = [0.01 * own * (1 + 1e-4 * i + 1e-6 * night) for i in range(3)]
                times["value"] = times["samples"][1]
        if change:
            change(record)
        file = self.path / name
        file.write_text(json.dumps(record))
        return file

    def nights(self, count, factor=1.0, first=1, prefix="night", commit="base"):
        return [self.run_file(f"{prefix}{i}.json", first + i, factor * JITTER[i % len(JITTER)], commit=commit)
                for i in range(count)]

    def add_nights(self, count):
        files = self.nights(count)
        self.harness("history", "add", *files, "--history", self.history, "--quiet", expect=0)
        return files

    # ---- history

    def test_a_run_is_added_once_listed_shown_exported_and_pruned(self):
        files = self.nights(5)
        done = self.harness("history", "add", *files, expect=0)
        self.assertEqual(done.stdout.count("added with"), 5)
        self.assertTrue((self.path / "data/npu-attention-harness/history.sqlite").exists())
        done = self.harness("history", "add", files[2], expect=0)
        self.assertIn("is there already", done.stdout)
        listed = self.harness("history", "list", "--most", 3, expect=0).stdout
        self.assertEqual(listed.count("2026-03-"), 3)
        self.assertIn("2026-03-05T02:00:00Z base", listed)
        shown = self.harness("history", "show", "query", "--nights", 4, expect=0).stdout
        self.assertRegex(shown, r"CPU ms +measured +9\.98\d+ .* +9\.95\d+ +10\.06\d+  [▁▂▃▄▅▆▇█]{4}\n")
        self.assertRegex(shown, "NPU ms +modelled")
        self.assertRegex(shown, r"match % \(isolated\) +computed")
        self.harness("history", "export", "--csv", self.path / "all.csv",
                     "--json", self.path / "all.json", expect=0)
        with open(self.path / "all.csv", newline="") as text:
            lines = list(csv.DictReader(text))
        exported = json.loads((self.path / "all.json").read_text())
        figures = [(run["run"], figure) for run in exported["runs"] for figure in run["figures"]]
        self.assertEqual(len(lines), len(figures))
        times = [line for line in lines if (line["row"], line["quantity"]) == ("query", "CPU ms")]
        self.assertEqual(len(times), 5)
        self.assertEqual([float(x) for x in times[0]["samples"].split()],
                         next(figure["samples"] for _, figure in figures if figure["quantity"] == "CPU ms"))
        self.assertEqual(times[0]["cpu"], self.made["environment"]["cpu"])
        self.assertIn("3 runs removed", self.harness("history", "prune", "--keep", 2, expect=0).stdout)
        self.assertIn("2 runs removed", self.harness("history", "prune", "--older-than", 1, expect=0).stdout)

    def test_what_is_no_history_or_no_run_is_refused_in_one_line(self):
        run = self.run_file("run.json")
        foreign = self.path / "foreign.sqlite"
        with sqlite3.connect(foreign) as other:
            other.execute("CREATE TABLE run(id)")
        other.close()
        text = self.path / "text.sqlite"
        text.write_text("not a database, but long enough to hold a header" * 10)
        for file, reason in ((foreign, "of another program"), (text, "not a SQLite file"),
                             (self.path, "no regular")):
            before = file.read_bytes() if file.is_file() else None
            for command in (("history", "add", run), ("history", "list"), ("regress", run)):
                self.one_line(self.harness(*command, "--history", file, expect=3), str(file), reason)
            self.assertEqual(file.read_bytes() if file.is_file() else None, before)
        self.one_line(self.harness("history", "list", expect=3), "is not there", "harness history add")
        self.one_line(self.harness("history", "prune", "--keep", 1, expect=3), "is not there")

        def other_schema(record):
            record["schema_version"] = [2, 0]

        good = self.run_file("good.json", 2)
        bad = {"is 2.0, and this program reads 1.x": self.run_file("schema.json", change=other_schema),
               "not JSON": self.path / "cut.json", "cannot be read": self.path / "gone.json"}
        (self.path / "cut.json").write_text(run.read_text()[:2000])
        for reason, file in bad.items():
            self.one_line(self.harness("history", "add", good, file, expect=3), str(file), reason)
            self.one_line(self.harness("regress", file, "--baseline", run, expect=3), str(file), reason)
        self.assertFalse((self.path / "data").exists())

    def test_a_full_disk_is_one_line_and_the_history_stays(self):
        self.add_nights(3)
        before = self.harness("history", "list", "--history", self.history, expect=0).stdout
        limit = self.history.stat().st_size + 4096

        def small_disk():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        def large(record):
            row = record["rows"][0]
            record["rows"] = [{**row, "layer": i} for i in range(300)]

        run = self.run_file("large.json", 9, change=large)
        done = self.harness("history", "add", run, "--history", self.history, expect=3, preexec_fn=small_disk)
        self.one_line(done, str(self.history), "nothing was changed")
        self.assertEqual(self.harness("history", "list", "--history", self.history, expect=0).stdout, before)
        self.harness("history", "add", run, "--history", self.history, expect=0)

    def test_two_writers_at_once_both_land(self):
        files = self.nights(6)
        writers = [subprocess.Popen([HARNESS, "history", "add", *part, "--history", self.history])
                   for part in (files[:3], files[3:])]
        self.assertEqual([writer.wait(timeout=120) for writer in writers], [0, 0])
        listed = self.harness("history", "list", "--history", self.history, expect=0).stdout
        self.assertEqual(listed.count("2026-03-"), 6)

    def test_what_must_not_be_overwritten_or_added_is_refused(self):
        self.add_nights(2)
        before = self.history.read_bytes()
        night = self.path / "night0.json"
        for words in (("history", "export", "--csv", self.history),
                      ("regress", night, "--markdown", self.history)):
            self.one_line(self.harness(*words, "--history", self.history, expect=2), "would be overwritten")
        self.assertEqual(self.history.read_bytes(), before)

        def shard(record):
            record["shard"] = {"of": 3, "shards": [1, 2]}

        part = self.run_file("part.json", 9, change=shard)
        self.one_line(self.harness("history", "add", part, "--history", self.history, expect=3),
                      "holds only 2 of 3 shards", "harness merge")
        empty = self.path / "empty.sqlite"
        empty.touch()
        self.one_line(self.harness("history", "list", "--history", empty, expect=3), "is empty")
        self.one_line(self.harness("regress", night, "--baseline", night, expect=3), "is its own baseline")

    # ---- regression

    def test_a_slowdown_needs_several_runs(self):
        baseline = self.nights(4)
        options = [word for file in baseline for word in ("--baseline", file)]
        slow = self.nights(3, 1.2, first=10, prefix="slow", commit="head")
        done = self.harness("regress", *slow, *options, "--markdown", self.path / "out.md", expect=4)
        self.assertTrue(done.stdout.startswith("SLOWER: 1 figures; exit code 4\n"), done.stdout)
        self.assertRegex(done.stdout, r"query layer 0 \S+ +CPU ms +measured +10\.?\d* +12\.?\d* +1\.\d+x\n"
                                      r" +threshold 5\.0%, A/A spread \d\.\d%, p \S+e-05\n")
        markdown = (self.path / "out.md").read_text()
        self.assertIn("❌ SLOWER: 1 figures", markdown)
        self.assertLess(markdown.index("| CPU ms | measured |"), markdown.index("<details>"))
        done = self.harness("regress", *options, slow[0], expect=0)
        self.assertTrue(done.stdout.startswith("NO REGRESSION"), done.stdout)
        self.assertRegex(done.stdout, "too few samples|may be slower: runs 1 against 4")
        same = self.nights(3, first=20, prefix="same", commit="head")
        done = self.harness("regress", *same, *options, expect=0)
        self.assertTrue(done.stdout.startswith("NO REGRESSION: no verdict lost, nothing slower; exit code 0"),
                        done.stdout)

    def test_markdown_of_a_run_of_another_kind_holds_the_comparison(self):
        def of_another_kind(record):
            record["baseline"] = {"device": "another"}

        base, run = self.run_file("base.json"), self.run_file("run.json", 2, change=of_another_kind)
        for file, whole in ((self.run_file("again.json", 3), True), (run, False)):
            out = self.path / "out.md"
            self.harness("regress", file, "--baseline", base, "--markdown", out, expect=0)
            self.assertIn("NO REGRESSION", out.read_text())
            self.assertEqual("Environment and provenance" in out.read_text(), whole)

    def test_green_nights_and_commits_are_baselines(self):
        self.add_nights(8)
        slow = self.nights(3, 1.2, first=20, prefix="slow", commit="head")
        self.harness("regress", *slow, "--history", self.history, expect=4)
        self.harness("regress", *slow, "--history", self.history, "--commit", "base", "--quiet", expect=4)
        # Runs that are in the history themselves are no baseline of their own.
        self.harness("history", "add", *slow, "--history", self.history, "--quiet", expect=0)
        done = self.harness("regress", *slow, "--history", self.history, expect=4)
        self.assertIn("8 runs", done.stdout)
        done = self.harness("regress", slow[0], "--history", self.history, "--commit", "gone", expect=3)
        self.one_line(done, "no run is of that commit")

    def test_what_creeps_up_shows_over_a_season_until_it_is_accepted(self):
        nights = [self.run_file(f"night{i}.json", 1 + i, 1.01 ** i * JITTER[i % len(JITTER)])
                  for i in range(20)]
        self.harness("history", "add", *nights, "--history", self.history, "--quiet", expect=0)
        tonight = self.run_file("tonight.json", 21, 1.01 ** 20, commit="head")
        of_season = ("regress", tonight, "--history", self.history, "--nights", 5)
        done = self.harness(*of_season, "--markdown", self.path / "out.md", expect=4)
        self.assertTrue(done.stdout.startswith("SLOWER: 1 figures crept up over many nights"), done.stdout)
        self.assertIn("creep: the last nights up to 2026-03-21 beside the first 5 of 20 green ones, "
                      "2026-03-01 to 2026-03-05; 8 of 8 measured rows could be judged\n", done.stdout)
        self.assertRegex(done.stdout, r"crept up over many nights \(1\)\n  query layer 0 .* 1\.18\dx\n")
        markdown = (self.path / "out.md").read_text()
        self.assertLess(markdown.index("| CPU ms | measured |"), markdown.index("<details>"))
        done = self.harness(*of_season, "--since", "2026-03-12", expect=0)
        self.assertIn("creep: not looked for: 9 green nights since 2026-03-12, 10 are needed", done.stdout)
        done = self.harness(*of_season, "--since", "2026-03-11", expect=4)
        self.assertIn("beside the first 5 of 10 green ones", done.stdout)
        mended = self.run_file("mended.json", 21, commit="head")
        done = self.harness("regress", mended, *of_season[2:], expect=0)
        self.assertIn("beside the first 5 of 20 green ones", done.stdout)
        self.assertNotIn("creep", self.harness(*of_season, "--season", 0, expect=0).stdout)

    def test_plans_verdicts_and_accuracy(self):
        base = self.run_file("base.json")

        def plan(factor):
            def change(record):
                record["layers"][0]["steps"][0]["npu"]["value"] *= factor
            return change

        def lost(record):
            record["rows"][0]["verdict"] = "failed"

        def worse(record):
            figure = record["rows"][0]["statistics"]["rho"]
            figure["value"] *= 1 + 2e-16

        def more_launches(record):
            record["layers"][0]["steps"][0]["launches"]["value"] += 1

        def regress(change, expect):
            run = self.run_file("changed.json", 2, change=change)
            return self.harness("regress", run, "--baseline", base, expect=expect).stdout

        self.assertIn("NPU ms           modelled", regress(plan(1.06), 4))
        self.assertRegex(regress(plan(1.01), 0), r"changed \(1\)\n.*NPU ms +modelled .* 1\.010x")
        self.assertRegex(regress(lost, 1), "^ACCURACY LOST: 1 verdicts lost")
        self.assertRegex(regress(worse, 0), r"less accurate \(1\)\n.* rho +computed")
        self.assertRegex(regress(more_launches, 0), r"changed \(1\)\n.* launches +counted")

    def test_another_environment_is_refused_and_its_field_named(self):
        self.add_nights(2)

        def threads(record):
            record["environment"]["threads"] = 64

        run = self.run_file("other.json", 9, change=threads)
        for baseline in (("--baseline", self.path / "night0.json"), ("--history", self.history)):
            self.one_line(self.harness("regress", run, *baseline, expect=3), "threads: 64 here")

    def test_builds_are_run_in_turn(self):
        def build(name, factor, jitters=JITTER * 2):
            script = self.path / name
            script.write_text(FAKE_BUILD)
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
            (self.path / (name + ".runs")).mkdir()
            for i, jitter in enumerate(jitters):
                self.run_file(f"{name}.runs/{i:02}.json", i + 1, factor * jitter, commit=name)
            return script

        old, new, same = build("old", 1.0), build("new", 1.2), build("same", 1.0)
        done = self.harness("regress", "--ab", old, new, "--rounds", 3, "--", "--compare", expect=4)
        self.assertTrue(done.stdout.startswith("SLOWER: 1 figures"), done.stdout)
        count = pathlib.Path(f"{new}.runs/count")
        self.assertEqual(count.read_text(), "12", "what looks slower is run again")
        pathlib.Path(f"{old}.runs/count").unlink()
        self.harness("regress", "--ab", old, same, "--rounds", 3, "--markdown", self.path / "ab.md", expect=0)
        self.assertEqual(pathlib.Path(f"{same}.runs/count").read_text(), "6")
        self.assertIn("NO REGRESSION", (self.path / "ab.md").read_text())
        # The first two rounds of these differ by 12% within each build, the third agrees.
        restless = build("restless", 1.0, (0.94, 1.0, 1.06, 0.97, *JITTER))
        steady = build("steady", 1.0)
        for seconds, runs in ((0, "4"), (600, "6")):
            for script in (restless, steady):
                pathlib.Path(f"{script}.runs/count").unlink(missing_ok=True)
            done = self.harness("regress", "--ab", restless, steady, "--rounds", 2, "--until-clear", seconds,
                                "--markdown", self.path / "ab.md", expect=0)
            self.assertEqual(pathlib.Path(f"{restless}.runs/count").read_text(), runs)
            self.assertEqual("differ too much" in done.stdout, seconds == 0, done.stdout)
        done = self.harness("regress", "--ab", old, same, "--", "--fail", expect=3)
        self.one_line(done, "left no run record", "exit code 3")
        self.one_line(self.harness("regress", "--ab", old, self.path / "gone", expect=3), "gone")

    def test_an_interrupt_ends_the_build_that_runs(self):
        build = self.path / "sleeper"
        build.write_text(f"#!/bin/sh\necho $$ >{self.path}/pid\nexec sleep 300\n")
        build.chmod(0o755)
        process = subprocess.Popen([HARNESS, "regress", "--ab", build, build, "--", "--compare"],
                                   stderr=subprocess.PIPE, text=True)
        pid = self.path / "pid"
        while not (pid.exists() and pid.read_text().strip()):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=60), 130)
        process.stderr.close()
        with self.assertRaises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)

    def test_usage(self):
        run = self.run_file("run.json")
        for words, part in ((("history",), "subcommand"), (("history", "export"), "--csv or --json"),
                            (("history", "prune"), "--older-than DAYS or --keep N"),
                            (("history", "prune", "--keep", "1", "--older-than", "1"), "either"),
                            (("regress",), "name a RUN.json"), (("regress", run, "--rounds", "3"), "--ab"),
                            (("regress", run, "--until-clear", "3"), "--until-clear belongs to --ab"),
                            (("regress", run, "--baseline", run, "--nights", "3"), "exclude each other"),
                            (("regress", run, "--commit", "a", "--season", "30"), "leave out --commit"),
                            (("regress", run, "--commit", "a", "--nights", "3"), "leave out --commit"),
                            (("regress", run, "--commit", ""), "argument 4 (--commit) is empty"),
                            (("regress", run, "--commit="), "argument 3 (--commit=) is empty"),
                            (("regress", run, "--season", "20"), "--season 20: it takes 28 at least"),
                            (("regress", run, "--season", "30", "--since", "2026-02-28"), "excludes"),
                            (("regress", run, "--since", "2026-02-30"), "2026-02-30 is in no calendar"),
                            (("regress", run, "--since", "yesterday"), "write YYYY-MM-DD"),
                            (("regress", run, run, "--baseline", run), "are the same run"),
                            (("regress", "--ab", "a", "b", "--", "--json", "x"), "--json"),
                            (("regress", "--ab", "a", "b", "--nights", "3"), "--ab brings its own"),
                            (("regress", run, "--baseline", run, "--markdown", run), "would be overwritten")):
            self.one_line(self.harness(*words, expect=2), part)
        self.one_line(self.harness("regress", run, "--history", "no\nsuch.db", expect=3),
                      "no such.db: history: is not there")

    def test_outputs_are_looked_at_before_the_work(self):
        run, build = self.run_file("run.json"), self.path / "never"
        build.write_text(f"#!/bin/sh\ntouch {self.path}/was_run\n")
        build.chmod(0o755)
        done = self.harness("regress", "--ab", build, build, "--markdown", self.path / "gone" / "x.md", "--",
                            "--compare", expect=3)
        self.one_line(done, "x.md: cannot write: there is no folder", "gone: create it")
        self.assertFalse((self.path / "was_run").exists())
        out = self.path / "out.txt"
        other_spelling = self.path / "x" / ".." / "out.txt"
        done = self.harness("report", run, "--markdown", out, "--junit", other_spelling, expect=2)
        self.one_line(done, "named for two outputs")
        self.assertFalse(out.exists())

    # ---- the file of the history

    def test_a_name_is_a_path_whatever_sqlite_would_read_into_it(self):
        run = self.run_file("run.json")
        for name in (":memory:", "file:x?mode=memory"):
            self.harness("history", "add", run, "--history", name, expect=0, cwd=self.path)
            listed = self.harness("history", "list", "--history", name, expect=0, cwd=self.path).stdout
            self.assertEqual(listed.count("2026-03-"), 1)
            self.assertTrue((self.path / name).is_file())

    def test_another_user_reads_and_the_owner_can_add_afterwards(self):
        def of(user):
            return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", HARNESS]

        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("takes root and setpriv")
        for folder in (self.root, self.path):
            folder.chmod(0o755)
        if subprocess.run([*of(1001), "--version"], capture_output=True).returncode != 0:
            self.skipTest("another user cannot run the program")
        shared = self.path / "shared"
        shared.mkdir()
        file = shared / "history.sqlite"
        first, second = self.nights(2)
        self.harness("history", "add", first, "--history", file, "--quiet", expect=0)
        os.chown(file, 1002, 1002)
        shared.chmod(0o777)
        for mode in (0o777, 0o555):
            shared.chmod(mode)
            listed = subprocess.run([*of(1001), "history", "list", "--history", file], capture_output=True,
                                    text=True, timeout=60)
            self.assertEqual(listed.stdout.count("2026-03-"), 1, listed.stderr)
            self.assertEqual(os.listdir(shared), ["history.sqlite"])
        shared.chmod(0o777)
        added = subprocess.run([*of(1002), "history", "add", second, "--history", file], capture_output=True,
                               text=True, timeout=60)
        self.assertIn("added with", added.stdout, added.stderr)

    # ---- what is shown of a row

    def test_a_row_is_shown_over_the_runs_that_have_it(self):
        self.add_nights(3)

        def layer_one(record):
            for row in record["rows"] + record["layers"]:
                row["layer"] = 1
            for row in record["rows"]:
                row["op"] = "output"
            record["layers"][0]["steps"] = []

        other = self.run_file("other.json", 9, change=layer_one)
        self.harness("history", "add", other, "--history", self.history, "--quiet", expect=0)
        show = ("history", "show", "query", "--history", self.history)
        for part in ((), ("--part", "layer 0")):
            shown = self.harness(*show, *part, expect=0).stdout
            self.assertIn("layers 0; 3 runs from 2026-03-01 to 2026-03-03", shown)
            self.assertRegex(shown, r"match % \(isolated\) +computed +\d")
        self.one_line(self.harness(*show, "--part", "layer 99", expect=3), str(self.history),
                      "no run has a part 'layer 99' of row 'query'; it has layer 0")
        self.one_line(self.harness("history", "show", "no\nrow", "--history", self.history, expect=3),
                      "no run has a row 'no row'; rows are ops (scores)")

    def test_a_newest_night_without_a_value_is_shown_as_such(self):
        self.add_nights(3)

        def not_finite(record):
            for row in record["rows"]:
                row["statistics"]["match"]["value"] = None
                row["statistics"]["rho"]["value"] = None

        failed = self.run_file("failed.json", 4, change=not_finite)
        self.harness("history", "add", failed, "--history", self.history, "--quiet", expect=0)
        shown = self.harness("history", "show", "query", "--history", self.history, expect=0).stdout
        self.assertIn("4 runs from 2026-03-01 to 2026-03-04", shown)
        self.assertRegex(shown, r"match % \(isolated\) +computed +- ")
        self.assertRegex(shown, r"rho \(isolated\) +computed +inf ")

    def test_a_commit_is_the_same_before_and_after_a_tag(self):
        commit = "212a10f0640e30142a3b553df17d8ac2f083b9eb"
        for i, name in enumerate((commit, f"v1.0-0-g{commit}", f"{commit}-dirty")):
            run = self.run_file(f"commit{i}.json", 1 + i, commit=name)
            self.harness("history", "add", run, "--history", self.history, "--quiet", expect=0)
        run = self.run_file("run.json", 9, commit="head")
        for asked, count in ((commit, 2), (commit[:9], 2), ("v1.0", 1), (f"{commit}-dirty", 1)):
            done = self.harness("regress", run, "--history", self.history, "--commit", asked, expect=0)
            self.assertIn(f"{self.history}, {count} runs", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
