#!/usr/bin/env python3
"""The workflows are YAML that only calls scripts which exist; the scripts are clean, their parts right."""
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))

# What a step may run besides the project's scripts.
PLAIN = {"mkdir", "cat"}


def run(*command, **keywords):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60,
                          check=False, **keywords)


def commands(text):
    """The first word of every command of a `run:`."""
    joined = re.sub(r"\\\n", " ", text)
    for line in joined.splitlines():
        for part in line.split("|"):
            words = part.split()
            if words:
                yield words[words[0] == "sudo" and len(words) > 1]


def script_faults(root, text):
    """What a `run:` calls and should not."""
    for word in commands(text):
        file = root / word
        if word.startswith("ci/") and not (file.is_file() and os.access(file, os.X_OK)):
            yield f"{word} is no script that can be run"
        elif not word.startswith("ci/") and word not in PLAIN:
            yield f"{word} is no script of ci/"


class Workflows(unittest.TestCase):
    def test_each_only_calls_scripts_that_exist(self):
        self.assertEqual([file.stem for file in WORKFLOWS], ["gate", "nightly", "npu", "test"])
        for file in WORKFLOWS:
            workflow = yaml.safe_load(file.read_text())
            self.assertEqual(workflow["permissions"], {"contents": "read"}, file)
            called = []
            for job in workflow["jobs"].values():
                self.assertIn("timeout-minutes", job)
                for step in job["steps"]:
                    self.assertTrue(("uses" in step) != ("run" in step), step)
                    text = step.get("run", "")
                    self.assertEqual(list(script_faults(ROOT, text)), [], file)
                    # Nothing that somebody typed becomes a part of a script.
                    self.assertNotIn("${{", text)
                    called += list(commands(text))
            script = {"gate": "ci/gate.sh", "test": "ci/test.sh"}.get(file.stem, "ci/nightly.sh")
            self.assertIn(script, called)

    def test_what_must_not_be_called_is_found(self):
        self.assertEqual(list(script_faults(ROOT, "ci/no_such.sh --x")),
                         ["ci/no_such.sh is no script that can be run"])
        self.assertEqual(list(script_faults(ROOT, "ci/gate.sh | curl x")), ["curl is no script of ci/"])
        self.assertEqual(list(script_faults(ROOT, "ci/compare.sh \\\n  --x")), [])

    def test_every_pull_request_is_gated(self):
        # YAML 1.1 reads the key `on` as true.
        triggers = yaml.safe_load((ROOT / ".github/workflows/gate.yml").read_text())[True]
        self.assertEqual(triggers, {"pull_request": None}, "the script decides what matters")
        nightly = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())[True]
        self.assertEqual(set(nightly), {"schedule", "workflow_dispatch"})
        # Nobody's pull request runs on the machine with the NPU.
        npu = yaml.safe_load((ROOT / ".github/workflows/npu.yml").read_text())[True]
        self.assertEqual(set(npu), {"schedule", "workflow_dispatch"})

    def test_shellcheck_has_nothing_to_say(self):
        if not shutil.which("shellcheck"):
            self.skipTest("no shellcheck here")
        done = run("shellcheck", "-x", *sorted((ROOT / "ci").glob("*.sh")), cwd=ROOT)
        self.assertEqual(done.stdout, "")


class Steps(unittest.TestCase):
    def bash(self, script, log_folder):
        return run("bash", "-euo", "pipefail", "-c",
                   f"source ci/steps.sh; log_folder={log_folder}; {script}", cwd=ROOT)

    def test_the_worst_code_wins(self):
        with tempfile.TemporaryDirectory() as folder:
            for codes, worst in (("0", 0), ("0 4", 4), ("4 1 0", 1), ("1 5 4", 5), ("5 3 1", 3), ("3 2", 2),
                                 ("139 1", 3), ("", 3)):
                script = f'for c in {codes}; do add_step "s $c" "$c" 1 f >/dev/null; done; worst_code'
                self.assertEqual(self.bash(script, folder).stdout.strip(), str(worst), codes)

    def test_a_failed_step_stops_nothing_and_comes_first(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.bash('step good "" true; step bad "" bash -c "echo why; exit 1"; '
                             f'step last "{folder}/x" true; '
                             f'echo TABLE; step_table "{folder}"; annotate_steps', folder)
            self.assertIn("why", done.stdout.split("TABLE")[0])
            rows = done.stdout.split("TABLE\n")[1].splitlines()
            self.assertRegex(rows[2], r"^\| bad \| accuracy failed \| \d+ s \| \[02-bad.log\]")
            self.assertRegex(rows[3], r"^\| good \| passed")
            self.assertRegex(rows[4], r"^\| last \| passed .*\[x\]\(x\) \|$")
            self.assertEqual(rows[5:], ["::error title=bad::accuracy failed, see 02-bad.log"])


    def test_a_run_without_a_record_or_an_end_could_not_run(self):
        with tempfile.TemporaryDirectory() as folder:
            record = pathlib.Path(folder) / "run.json"
            says = f"""printf '{{\\n  \\"exit_code\\": %s,\\n}}\\n'"""
            for code, said, verdict in ((0, 0, "passed"), (1, 1, "accuracy failed"), (0, 1, "could not run"),
                                        (1, 0, "could not run"), (5, 5, "unstable device")):
                script = f'step run "" recorded {record} bash -c "{says} {said} >{record}; exit {code}"'
                self.assertIn(f"   {verdict} after", self.bash(script, folder).stdout, (code, said))
            done = self.bash(f'step run "" recorded {record} true', folder)
            self.assertIn("could not run", done.stdout, "the old record is none")
            done = self.bash(f'run_limit=0.2; step run "" recorded {record} sleep 60', folder)
            self.assertIn("not done after 0.2 s", done.stdout)
            self.assertIn("could not run", done.stdout)


class Costs(unittest.TestCase):
    def record(self, folder, name, milliseconds, launches, context=65, change=None):
        step = {"ops": {"first": "scores", "last": "context"}}
        counted = {figure: {"value": launches} for figure in ("launches", "tiles", "bytes")}
        record = {"schema": "npu-attention-run",
                  "identities": {"design": "unfused", "device": "emulated",
                                 "recording": {"context": context, "heads": 8}},
                  "time_model": {"steps": [{**step, "seconds": milliseconds / 1e3, "context_switches": 2}]},
                  "layers": [{"steps": [{**step, **counted}]}]}
        if change:
            change(record)
        file = pathlib.Path(folder) / name
        file.write_text(json.dumps(record))
        return file

    def compare(self, folder, base, head):
        out = pathlib.Path(folder) / "out.md"
        done = run("python3", ROOT / "ci/compare_costs.py", base, head, out)
        return done.returncode, done.stdout + done.stderr

    def test_a_change_of_cost_is_shown_and_a_slower_one_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            base = self.record(folder, "base.json", 10, 12)
            self.assertEqual(self.compare(folder, base, base),
                             (0, "Modelled and counted costs are the same: 6 figures.\n"))
            code, text = self.compare(folder, base, self.record(folder, "head.json", 10.4, 12))
            self.assertEqual(code, 0)
            self.assertIn("| scores..context | ms | modelled | 10 | 10.4 | 1.04 |", text)
            code, text = self.compare(folder, base, self.record(folder, "head.json", 10.6, 24))
            self.assertEqual(code, 4)
            self.assertIn("| scores..context | launches | counted | 12 | 24 | 2 |", text)
            self.assertEqual(self.compare(folder, base, self.record(folder, "head.json", 1, 12))[0], 0)

    def test_what_cannot_be_compared_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            base = self.record(folder, "base.json", 10, 12)
            code, text = self.compare(folder, base, self.record(folder, "head.json", 10, 12, context=250))
            self.assertEqual((code, text.count("\n")), (3, 1))
            self.assertIn("context: is 65", text)
            self.assertEqual(self.compare(folder, base, pathlib.Path(folder) / "none.json")[0], 3)

    def test_what_was_free_and_is_not_any_more_is_slower(self):
        with tempfile.TemporaryDirectory() as folder:
            free = self.record(folder, "base.json", 10, 12, change=lambda record: record["time_model"]
                               ["steps"][0].update(context_switches=0))
            self.assertEqual(self.compare(folder, free, self.record(folder, "head.json", 10, 12))[0], 4)

    def test_what_is_no_cost_is_refused_in_one_line(self):
        def step(**values):
            return lambda record: record["time_model"]["steps"][0].update(values)

        changes = [step(seconds=value) for value in (math.nan, math.inf, -1, "x", None, True)]
        changes += [lambda record: record.update(time_model=None),
                    lambda record: record["time_model"].update(steps=[]),
                    lambda record: record["time_model"]["steps"].extend(record["time_model"]["steps"]),
                    lambda record: record["identities"].update(design="fused"),
                    lambda record: record["identities"].update(device="xrt")]
        with tempfile.TemporaryDirectory() as folder:
            base = self.record(folder, "base.json", 10, 12)
            for i, change in enumerate(changes):
                head = self.record(folder, "head.json", 10, 12, change=change)
                code, text = self.compare(folder, base, head)
                self.assertEqual((code, text.count("\n")), (3, 1), (i, text))


if __name__ == "__main__":
    unittest.main(verbosity=2)
