#!/usr/bin/env python3
"""`harness judge` from outside, on files that h5py wrote. Usage: judge_cli_test.py HARNESS DATASETS_FOLDER"""
import hashlib
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


def run_harness(*arguments, expect):
    done = subprocess.run([HARNESS, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    if done.returncode != expect:
        raise AssertionError(f"exit {done.returncode}, expected {expect}: {done.stdout}\n{done.stderr}")
    return done


class Judge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        cls.recording = cls.path / "recording.h5"
        run_harness("record", "--synthetic", "hard", "--context", 130, "--out", cls.recording, expect=0)
        cls.example = cls.path / "example.h5"
        subprocess.run([sys.executable, DATASETS / "write_candidate.py", cls.recording, cls.example],
                       check=True, timeout=300)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def judge(self, *arguments, expect, candidate=None):
        return run_harness("judge", "--recording", self.recording, "--candidate",
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
        self.assertIn("not checked: launches, guard zones, repeatability and time", done.stdout)
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
        run_harness(*words, expect=1)

    def test_a_wrong_tile_is_found_and_placed(self):
        def damage(file):
            file[f"clips/{CLIP}/layer_0/context"][64:128, 192:256] = 0
        done = self.judge(expect=1, candidate=self.changed("tile.h5", damage))
        self.assertIn("where: head 3, rows 64-127", done.stdout)
        self.assertIn("--op context --head 3", done.stdout)

    def test_a_failed_row_is_explained_from_the_file(self):
        def damage(file):
            file[f"clips/{CLIP}/layer_0/context"][64:128, 192:256] = 0
        damaged, run = self.changed("tile.h5", damage), self.path / "run.json"
        done = self.judge("--json", run, expect=1, candidate=damaged)
        self.assertIn("why:   zeros: 4096 of 4096 failing elements are exactly zero", done.stdout)
        svg, dump = self.path / "error.svg", self.path / "block.h5"
        done = run_harness("explain", run, "0/context", "--svg", svg, "--dump", dump, expect=0)
        self.assertIn("rho as in the record", done.stdout)
        self.assertIn("why:   zeros: 4096 of 4096", done.stdout)
        self.assertEqual(xml.etree.ElementTree.parse(svg).getroot().tag, "{http://www.w3.org/2000/svg}svg")
        with h5py.File(dump) as block:
            self.assertEqual((block.attrs["head"], block.attrs["first_row"]), (3, 64))
            self.assertFalse(block["got"][:].any())
            self.assertTrue(block["golden"][:].any())

        def one_line(*arguments, expect, says):
            done = run_harness("explain", run, "0/context", *arguments, expect=expect)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
            self.assertIn(says, done.stderr)
        one_line("--dump", damaged, expect=2, says="would be overwritten")
        moved = damaged.rename(self.path / "moved.h5")
        one_line(expect=3, says="tile.h5: no such file: if what was judged moved, say where with --candidate")
        one_line("--candidate", self.example, expect=3, says="name the right one with --candidate")
        run_harness("explain", run, "0/context", "--candidate", moved, expect=0)
        self.judge("--op", "context", "--head", 3, "--json", run, expect=1, candidate=moved)
        self.assertEqual(json.loads(run.read_text())["identities"]["head"], 3)
        done = run_harness("explain", run, "0", expect=0)
        self.assertIn("4096 of 8320 elements beyond their bound; rho as in the record", done.stdout)

    def test_a_row_without_its_operands_cannot_be_explained(self):
        def damage(file):
            del file[f"clips/{CLIP}/layer_0/probabilities"]
            file[f"clips/{CLIP}/layer_0/context"][5, 7] = numpy.inf
        run = self.path / "run.json"
        done = self.judge("--json", run, expect=1, candidate=self.changed("gap.h5", damage))
        self.assertIn("nothing says why: context reads probabilities", done.stdout)
        self.assertIn("element (5, 7): got inf\n", done.stdout)
        done = run_harness("explain", run, "0/context", expect=3)
        self.assertIn("reads probabilities, which is not in the file: dump it too", done.stderr)

    def test_what_the_headline_alone_decides_is_said(self):
        for op in ("scores", "probabilities"):
            with self.subTest(without=op):
                done = self.judge("--layer", 0, expect=0, candidate=self.changed(
                    f"no_{op}.h5", lambda file, gone=op: file.pop(f"clips/{CLIP}/layer_0/{gone}")))
                self.assertIn("1 by the headline and level 2 alone, exit code 0", done.stdout)

    def test_what_reads_a_bad_element_is_explained_by_it(self):
        for op, bad, reader in (("context", numpy.inf, "output"), ("value", numpy.nan, "context"),
                                ("key", numpy.nan, "scores"), ("scores", numpy.inf, "probabilities")):
            def damage(file):
                tensor = file[f"clips/{CLIP}/layer_0/{op}"]
                tensor[(0,) * (tensor.ndim - 2) + (5, 7)] = bad
            run = self.path / "run.json"
            done = self.judge("--json", run, expect=1, candidate=self.changed(f"{op}.h5", damage))
            self.assertNotIn("the fault comes and goes", done.stdout)
            done = run_harness("explain", run, f"0/{reader}", "--svg", self.path / "e.svg", expect=0)
            self.assertIn("rho as in the record", done.stdout)
            self.assertRegex(done.stdout, f"why:   nonfinite_operand: it reads [0-9]+ elements of {op}")

    def test_a_run_that_does_not_say_what_was_judged_is_judged_again(self):
        run = self.path / "run.json"
        self.judge("--layer", 0, "--json", run, expect=0)
        record = json.loads(run.read_text())
        del record["identities"]["candidate"]["sha256"]
        run.write_text(json.dumps(record))
        done = run_harness("explain", run, "0/query", expect=3)
        self.assertIn("run.json: identities.candidate: does not say", done.stderr)

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
        run_harness("record", "--synthetic", "hard", "--context", 130, "--seed", 2, "--out", other,
                         expect=0)
        done = run_harness("judge", "--recording", other, "--candidate", self.example, expect=3)
        self.assertIn("was computed from the recording with content SHA-256", done.stderr)
        run_harness("judge", "--recording", self.recording, expect=2)

    def test_the_example_knows_the_identity_of_a_recording(self):
        shown = run_harness("inspect", self.recording, expect=0).stdout
        with h5py.File(self.recording) as recording:
            self.assertIn(write_candidate.content_sha256(recording), shown)

    def test_the_example_rounds_as_the_hardware(self):
        values = numpy.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-7 - 2**-8], "<f4")
        self.assertEqual(write_candidate.bf16(values).tolist(), [1, 1, 1 + 2**-6, -1 - 2**-6])


class Probes(unittest.TestCase):
    """Known operands, for what no recording shows: a runner computes them like any recording."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        cls.recording, cls.example = cls.path / "recording.h5", cls.path / "example.h5"
        cls.probes, cls.made = cls.path / "probes.h5", cls.path / "made.h5"
        run_harness("record", "--context", 130, "--out", cls.recording, expect=0)
        run_harness("record", "--probes-for", cls.recording, "--out", cls.probes, expect=0)
        for recording, candidate in ((cls.recording, cls.example), (cls.probes, cls.made)):
            subprocess.run([sys.executable, DATASETS / "write_candidate.py", recording, candidate],
                           check=True, timeout=300)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def judge(self, *arguments, expect, recording=None, candidate=None):
        run = self.path / "run.json"
        run.unlink(missing_ok=True)
        done = run_harness("judge", "--recording", recording or self.recording, "--candidate",
                           candidate or self.example, "--json", run, *arguments, expect=expect)
        return done, json.loads(run.read_text()) if run.exists() else None

    def beside(self, probes=None, made=None):
        return "--probe-recording", probes or self.probes, "--probe-candidate", made or self.made

    def refused(self, *parts, expect=3, **arguments):
        done, _ = self.judge(*arguments.pop("arguments", ()), expect=expect, **arguments)
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        for part in parts:
            self.assertIn(part, lines[0])

    def runner(self, name, recording, attention):
        """What a runner with this attention makes of a recording: context alone, as a fused kernel does."""
        layers = {}
        with h5py.File(recording) as file:
            for clip in file["clips"]:
                for layer, group in file[f"clips/{clip}/encoder"].items():
                    q, k, v = (group[f"attn/{n}"][()].astype("f8") for n in "qkv")
                    heads = [slice(i, i + 64) for i in range(0, q.shape[1], 64)]
                    context = numpy.hstack([attention(q[:, h], k[:, h], v[:, h]) for h in heads])
                    layers[clip, int(layer[6:])] = {"context": write_candidate.bf16(context.astype("f4"))}
            path = self.path / name
            write_candidate.write_candidate(path, file, "a test", "fused", layers)
        return path

    @staticmethod
    def softmax(scores, values):
        e = numpy.exp(scores - scores.max(axis=1, keepdims=True))
        return e @ values / e.sum(axis=1, keepdims=True)

    def test_what_the_data_cannot_reveal_is_named_and_covered_by_probes(self):
        done, run = self.judge("--layer", 0, expect=0)
        self.assertIn("not checked: exponent_range: mistrusted", done.stdout)
        self.assertEqual(run["data_trust"], [])
        done, run = self.judge("--layer", 0, *self.beside(), expect=0)
        self.assertNotIn("mistrusted", done.stdout)
        trust = {row["fault_class"]: row["verdict"] for row in run["data_trust"]}
        self.assertEqual(len(trust), 13)
        self.assertEqual(trust["exponent_range"], "covered")
        self.assertEqual(trust["wrong_scale"], "passed")
        self.assertEqual({row["verdict"] for row in run["ragged_probes"]}, {"passed"})

    def test_the_run_names_the_very_files_that_were_judged(self):
        _, alone = self.judge(expect=0, recording=self.probes, candidate=self.made)
        self.assertIsNone(alone["identities"]["candidate"]["probes"])
        _, run = self.judge("--layer", 0, *self.beside(), expect=0)
        candidate = run["identities"]["candidate"]
        hashed = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (self.example, self.made)]
        self.assertEqual([candidate["sha256"], candidate["probes"]["candidate"]["sha256"]], hashed)
        self.assertEqual(candidate["probes"]["recording"]["sha256"],
                         alone["identities"]["recording"]["sha256"])
        markdown = self.path / "beside.md"
        run_harness("report", self.path / "run.json", "--markdown", markdown, expect=0)
        for sha256 in hashed:
            self.assertIn(sha256, markdown.read_text())

    def test_they_are_judged_alone_too(self):
        _, run = self.judge(expect=0, recording=self.probes, candidate=self.made)
        names = [row["probe"] for row in run["ragged_probes"]]
        self.assertEqual(names, ["ones", "zero_keys", "raised_keys", "deep_keys", "one_hot"] +
                         ["integers"] * 4)
        self.assertEqual(run["rows"], [])

    def test_the_report_of_probes_alone_has_no_empty_tables(self):
        done, _ = self.judge(expect=0, recording=self.probes, candidate=self.made)
        self.assertIn("known operands   T = 130", done.stdout)
        self.assertIn("passed: 9 probes judged, exit code 0", done.stdout)
        self.assertNotIn("headline", done.stdout)
        markdown = self.path / "probes.md"
        run_harness("report", self.path / "run.json", "--markdown", markdown, expect=0)
        self.assertIn("none failed of 9 probes", markdown.read_text())

    def test_what_passes_on_data_fails_on_its_probe(self):
        """Behind fused attention: another scale, a padded key, no maximum subtracted."""
        def scaled(q, k, v):
            return self.softmax(q @ k.T / 63 ** 0.5, v)

        def padded(q, k, v):
            return self.softmax(numpy.pad(q @ k.T / 8, ((0, 0), (0, 1))), numpy.pad(v, ((0, 1), (0, 0))))

        def no_maximum(q, k, v):
            with numpy.errstate(all="ignore"):
                e = numpy.exp((q @ k.T / 8).astype("f4"))
                return e @ v.astype("f4") / e.sum(axis=1, keepdims=True)
        healthy = self.runner("healthy.h5", self.probes, lambda q, k, v: self.softmax(q @ k.T / 8, v))
        self.judge(expect=0, recording=self.probes, candidate=healthy)
        for attention, probe in ((scaled, "deep_keys"), (padded, "ones"), (no_maximum, "raised_keys")):
            with self.subTest(attention.__name__):
                made = self.runner("faulty.h5", self.probes, attention)
                done, run = self.judge(expect=1, recording=self.probes, candidate=made)
                failed = {row["probe"] for row in run["ragged_probes"] if row["verdict"] == "failed"}
                self.assertIn(probe, failed)
                line = next(line for line in done.stdout.splitlines() if "reproduce: " in line)
                run_harness(*line.split("reproduce: harness ")[1].split(), expect=1)

    def test_a_failed_probe_fails_the_run_and_covers_nothing(self):
        made = self.path / "zeros.h5"
        with h5py.File(self.made) as example, h5py.File(made, "w") as file:
            file.attrs.update(example.attrs)
            example.copy("clips", file)
            file["clips/probes/layer_4/context"][64:128, 64:128] = 0
        done, run = self.judge("--layer", 0, *self.beside(made=made), expect=1)
        self.assertIn("failed one_hot at T = 130: probe one_hot: context at head 1, row 64", done.stdout)
        trust = {row["fault_class"]: row["verdict"] for row in run["data_trust"]}
        self.assertEqual(trust["exponent_range"], "mistrusted")

    def test_its_reports_are_made_from_run_json_too(self):
        made = self.path / "short.h5"
        with h5py.File(self.made) as example, h5py.File(made, "w") as file:
            file.attrs.update(example.attrs)
            for layer in (0, 1):  # one_hot, which shows exponent_range, is not among them
                example.copy(f"clips/probes/layer_{layer}", file.require_group("clips/probes"))
        direct, later = self.path / "direct.xml", self.path / "later.xml"
        _, run = self.judge("--layer", 0, "--junit", direct, *self.beside(made=made), expect=3)
        self.assertEqual(run["verdict"], "not_run")
        run_harness("report", self.path / "run.json", "--junit", later, "--markdown", self.path / "run.md",
                    expect=0)
        self.assertEqual(direct.read_text(), later.read_text())
        self.assertIn("data cannot reveal exponent\\_range", (self.path / "run.md").read_text())

    def less(self, name, *objects):
        """The probes without these objects."""
        made = self.path / name
        with h5py.File(self.made) as example, h5py.File(made, "w") as file:
            file.attrs.update(example.attrs)
            example.copy("clips", file)
            for item in objects:
                del file["clips/probes/" + item]
        return made

    def test_what_the_runner_left_out_is_not_passed(self):
        for objects, reason in ((["layer_0/probabilities"], "probabilities of layer 0: not in the file"),
                                (["layer_4"], "layer 4 is not in the file"),
                                (["layer_5/query", "layer_5/key"], "query, key of layer 5: not in the file")):
            made = self.less("less.h5", *objects)
            done, _ = self.judge(expect=3, recording=self.probes, candidate=made)
            self.assertIn(reason, done.stdout)
            done, _ = self.judge("--layer", 0, *self.beside(made=made), expect=3)
            self.assertIn(reason, done.stdout)
        made = self.less("less.h5", "layer_4")
        self.judge("--layer", "0-3,5", expect=0, recording=self.probes, candidate=made)

    def test_ops_are_judged_alone(self):
        _, run = self.judge("--op", "query,value", expect=0, recording=self.probes, candidate=self.made)
        self.assertEqual([row["probe"] for row in run["ragged_probes"]], ["integers", "integers"])
        _, run = self.judge("--op", "context", expect=0, recording=self.probes, candidate=self.made)
        self.assertEqual(len(run["ragged_probes"]), 5)
        self.judge("--op", "output", expect=3, recording=self.probes, candidate=self.made)

    def test_one_wrong_block_of_one_head_is_seen_wherever_it_is(self):
        recording, probes = self.path / "long.h5", self.path / "long_probes.h5"
        run_harness("record", "--context", 700, "--size", "tiny", "--out", recording, expect=0)
        run_harness("record", "--probes-for", recording, "--out", probes, expect=0)
        for block in (2, 5, 9):
            heads = iter(range(36))  # six layers of six

            def scaled(q, k, v):
                rows = numpy.full((len(q), 1), 8.0)
                if next(heads) % 6 == 2:
                    rows[block * 64:block * 64 + 64] = 60 ** 0.5
                return self.softmax(q @ k.T / rows, v)
            made = self.runner("block.h5", probes, scaled)
            done, _ = self.judge("--layer", 3, expect=1, recording=probes, candidate=made)
            self.assertIn("probe deep_keys: context at head 2", done.stdout)

    def test_probes_are_no_activations(self):
        for arguments in (("--dataset", self.probes, "--compare", "--layer", 0),
                          ("bisect", "--recording", self.probes), ("what-if", "--recording", self.probes),
                          ("calibrate", "--recording", self.probes, "--output", self.path / "c.json"),
                          ("self-check", "--recording", self.probes, "--fault", "zero_tile")):
            done = run_harness(*arguments, expect=3)
            self.assertIn("holds probes, which only `harness judge` can judge", done.stderr)

    def test_a_request_is_not_dropped(self):
        self.refused("--probe-recording", "(--probe-recording) is empty", expect=2,
                     arguments=("--probe-recording", "", "--probe-candidate", self.made))
        run_harness("record", "--probes-for", "", "--out", self.path / "n.h5", expect=2)
        self.refused("--recording holds probes itself", expect=2, recording=self.probes, candidate=self.made,
                     arguments=self.beside())
        self.refused("nowhere.h5", "no such file", "--probes-for",
                     arguments=self.beside(probes=self.path / "nowhere.h5"))
        left = self.path / "left.h5"
        (self.path / "left.h5.partial").write_text("hours of work")
        done = run_harness("record", "--probes-for", self.recording, "--out", left, expect=0)
        self.assertIn("left by an interrupted recording", done.stderr)

    def test_a_head_is_judged_alone(self):
        _, run = self.judge("--head", 3, "--layer", "1,3", expect=0, recording=self.probes,
                            candidate=self.made)
        self.assertEqual([row["head"] for row in run["ragged_probes"]], [3, 3])

    def test_files_that_do_not_fit_are_refused_in_one_line(self):
        self.refused("--probe-candidate", expect=2, arguments=("--probe-recording", self.probes))
        self.refused("holds no probes", "--probes-for",
                     arguments=self.beside(probes=self.recording, made=self.example))
        other = self.path / "other.h5"
        run_harness("record", "--context", 65, "--out", self.path / "short.h5", expect=0)
        run_harness("record", "--probes-for", self.path / "short.h5", "--out", other, expect=0)
        self.refused("T = 65", "T = 130", "--probes-for", arguments=self.beside(probes=other))
        fused = self.runner("fused.h5", self.probes, lambda q, k, v: self.softmax(q @ k.T / 8, v))
        self.refused("attribute arithmetic: fused", "unfused", arguments=self.beside(made=fused))
        isolated = self.path / "isolated.h5"
        with h5py.File(self.made) as example, h5py.File(isolated, "w") as file:
            file.attrs.update(example.attrs)
            file.attrs["input"] = "isolated"
            example.copy("clips", file)
        self.refused("attribute input: isolated", "chained", recording=self.probes, candidate=isolated)

    def test_a_recording_that_only_says_so_is_refused(self):
        """Its hashes hold; its structure, or its operands, are not those of the probes."""
        def change_recipe(file):
            file.attrs["recipe"] = "probes v1"

        def change_operand(file):
            x = file["clips/probes/encoder/layer_00/attn/x"]
            x[7, 3] = 1 - x[7, 3]
            x.attrs["sha256"] = hashlib.sha256(x[()].astype("<f4").tobytes()).hexdigest()
        for recording, change, reason in ((self.recording, change_recipe, "says that it holds probes"),
                                          (self.probes, change_operand, "is not the probe ones")):
            false, made = self.path / "false.h5", self.path / "false_made.h5"
            false.write_bytes(recording.read_bytes())
            with h5py.File(false, "r+") as file:
                change(file)
            subprocess.run([sys.executable, DATASETS / "write_candidate.py", false, made], check=True,
                           timeout=300)
            self.refused(reason, recording=false, candidate=made)

    def test_options_that_contradict_are_refused(self):
        for arguments in (("--context", 65), ("--seed", 1), ("--synthetic", "hard"), ("--size", "tiny"),
                          ("--random-weights", "tiny", "--synthetic-speech", 1)):
            done = run_harness("record", "--probes-for", self.recording, *arguments, "--out",
                               self.path / "none.h5", expect=2)
            self.assertIn("--probes-for", done.stderr)
        run_harness("record", "--probes-for", self.recording, "--out", self.recording, expect=2)
        run_harness("record", "--probes-for", self.path / "absent.h5", "--out", self.path / "n.h5", expect=3)


if __name__ == "__main__":
    unittest.main()
