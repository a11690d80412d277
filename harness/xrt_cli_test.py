#!/usr/bin/env python3
"""The unmodified program on the device xrt: genuine XRT, and an NPU that XRT loads as its driver.
Usage: xrt_cli_test.py HARNESS COMPILE_ARTEFACTS XRT_ROOTS driver|preloaded"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

PRELOADED = sys.argv.pop() == "preloaded"
XRT_ROOTS = pathlib.Path(sys.argv.pop())
COMPILE_ARTEFACTS = sys.argv.pop()
HARNESS = sys.argv.pop()

CONTEXT = 250
# Of the probes of the gate's third level: two heads of integers.
RAGGED = [1, 63, 64, 65, 127, 1499, 1500, 3001]


def untimed(value):
    """Without what a clock says."""
    if isinstance(value, dict):
        return {key: untimed(inner) for key, inner in value.items()
                if not (isinstance(inner, dict) and inner.get("unit") in ("s", "x"))}
    return [untimed(inner) for inner in value] if isinstance(value, list) else value


class Xrt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        cls.recording = cls.path / "small.h5"
        cls.artefacts = cls.path / "artefacts"
        cls.artefacts.mkdir()
        for heads, contexts in ((8, [CONTEXT]), (2, RAGGED)):
            subprocess.run([COMPILE_ARTEFACTS, cls.artefacts, "unfused", str(heads), *map(str, contexts)],
                           check=True)
        cls.harness("record", "--synthetic", "hard", "--context", CONTEXT, "--out", cls.recording, expect=0)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def harness(cls, *arguments, expect, fault="none"):
        environment = {**os.environ, "XDG_CACHE_HOME": str(cls.path / "cache")}
        environment.pop("XILINX_XRT", None)
        if fault is not None and PRELOADED:
            environment["LD_PRELOAD"] = str(XRT_ROOTS / fault / "lib" / "libxrt_core.so.2")
        elif fault is not None:
            environment["XILINX_XRT"] = str(XRT_ROOTS / fault)
        done = subprocess.run([HARNESS, *map(str, arguments)], capture_output=True, text=True, timeout=300,
                              env=environment)
        if done.returncode != expect:
            raise AssertionError(f"exit {done.returncode}, expected {expect}: {done.stdout}\n{done.stderr}")
        return done

    def compare(self, *arguments, device="xrt", **keywords):
        layers = () if "--layer" in arguments else ("--layer", 0)
        return self.harness("--compare", "--dataset", self.recording, *layers, "--quiet",
                            "--device", device, *arguments, **keywords)

    def on_xrt(self, *arguments, artefacts=None, **keywords):
        return self.compare("--artefacts", artefacts or self.artefacts, *arguments, **keywords)

    def one_line(self, done, *parts):
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        for part in parts:
            self.assertIn(part, lines[0])

    def damaged(self, pattern, change):
        """A copy of the artefacts with one file changed."""
        folder = self.path / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.artefacts, folder)
        first = json.loads((folder / "artefacts.json").read_text())["artefacts"][0]
        file = folder / first[pattern]
        change(file)
        return folder, file.name

    def test_passes_the_whole_gate_with_the_bits_of_the_emulated_device(self):
        xrt, emulated = self.path / "xrt.json", self.path / "emulated.json"
        self.on_xrt("--json", xrt, expect=0)
        self.compare("--emulation", "exact", "--json", emulated, device="emulated", expect=0)
        xrt, emulated = json.loads(xrt.read_text()), json.loads(emulated.read_text())
        self.assertEqual(xrt["identities"]["device"], "xrt")
        self.assertEqual(emulated["identities"]["device"], "emulated")
        for part, least in (("rows", 14), ("ragged_probes", 72)):
            self.assertGreaterEqual(len(xrt[part]), least)
            self.assertEqual(untimed(xrt[part]), untimed(emulated[part]))
        # Timed, but by an emulation: it is none of an NPU.
        self.assertIsNone(emulated["environment"]["npu"])
        self.assertFalse(xrt["environment"]["npu"]["hardware"])
        self.assertTrue(xrt["layers"][0]["steps"])
        for step in xrt["layers"][0]["steps"]:
            self.assertEqual(step["launch_times"]["total"]["clock"], "host_wall (emulated launch)")
            self.assertEqual(step["npu"]["kind"], "modelled")

    def test_says_what_is_not_there(self):
        self.one_line(self.on_xrt(expect=3, fault="absent"), "cannot open NPU 0", "no such NPU")
        self.one_line(self.on_xrt(expect=3, fault=None), "cannot open NPU 0")
        self.one_line(self.compare(expect=3), "no artefacts", "--artefacts DIR")
        self.one_line(self.on_xrt(artefacts=self.path, expect=3), "artefacts.json", "harness artefact add")
        self.one_line(self.on_xrt("--design", "fused", "--no-probes", expect=3),
                      "no artefact serves a launch of design fused", "kernel attention_bf16_bf16",
                      "harness artefact add")

    def test_faults_of_the_npu_have_names_and_codes(self):
        one = ("--no-probes", "--op", "output")
        limited = self.on_xrt("--timeout-ms", 400, *one, expect=3, fault="never_ends")
        self.one_line(limited, "layer 0", "kernel matmul_bf16_bf16: launch 2", "did not end within 400 ms",
                      "--timeout-ms")
        self.one_line(self.on_xrt(*one, expect=3, fault="error"), "launch 2", "ended as ERROR")
        file = self.path / "unwritten.json"
        self.on_xrt("--no-probes", "--json", file, expect=1, fault="nothing_written")
        failed = [row for row in json.loads(file.read_text())["rows"] if row["verdict"] == "failed"]
        self.assertTrue(failed)

    def test_bisect_goes_on_where_a_layer_is_lost(self):
        file = self.path / "bisection.json"
        said = self.harness("bisect", "--device", "xrt", "--artefacts", self.artefacts, "--recording",
                            self.recording, "--layer", "0-1", "--json", file, expect=3, fault="error").stdout
        self.assertIn("layer 0: query..output not_run: ", said)
        self.assertIn("every op lies within its budget", said)
        lost, whole = json.loads(file.read_text())["bisections"]
        self.assertIn("ended as ERROR", lost["not_run"])
        self.assertEqual(lost["steps"], [])
        self.assertIsNone(whole["not_run"])
        self.assertEqual(len(whole["steps"]), 7)
        nothing = self.harness("bisect", "--device", "xrt", "--artefacts", self.artefacts, "--recording",
                               self.recording, "--design", "fused", "--quiet", expect=3)
        self.one_line(nothing, "no artefact serves a launch of design fused")

    def test_the_other_layers_go_on_where_one_is_lost(self):
        file = self.path / "lost.json"
        self.on_xrt("--layer", "0-1", "--no-probes", "--json", file, expect=3, fault="error")
        rows = json.loads(file.read_text())["rows"]
        lost = [row for row in rows if row["layer"] == 0]
        self.assertEqual({row["verdict"] for row in lost}, {"not_run"})
        self.assertEqual(len(lost), 14)
        self.assertIn("ended as ERROR", lost[0]["reason"])
        others = [row for row in rows if row["layer"] == 1]
        self.assertEqual({row["verdict"] for row in others}, {"passed"})
        self.assertEqual(len(others), 14)

    def test_probes_of_shapes_that_nobody_compiled_did_not_run(self):
        folder, file = self.path / "one_shape", self.path / "one_shape.json"
        folder.mkdir()
        subprocess.run([COMPILE_ARTEFACTS, folder, "unfused", "8", str(CONTEXT)], check=True)
        self.on_xrt("--json", file, artefacts=folder, expect=3)
        record = json.loads(file.read_text())
        self.assertEqual({row["verdict"] for row in record["rows"]}, {"passed"})
        self.assertEqual({row["verdict"] for row in record["ragged_probes"]}, {"not_run"})
        self.assertIn("--no-probes", record["ragged_probes"][0]["reason"])

    def test_refuses_damaged_artefacts(self):
        def cut(file):
            file.write_bytes(file.read_bytes()[:-8])

        for kind in ("xclbin", "instructions"):
            folder, name = self.damaged(kind, cut)
            self.one_line(self.on_xrt(artefacts=folder, expect=3), name, "it was changed")
            folder, name = self.damaged(kind, pathlib.Path.unlink)
            self.one_line(self.on_xrt(artefacts=folder, expect=3), name, "No such file")

    def test_plans_what_has_to_be_compiled(self):
        plan = ("artefact", "plan", "--context", CONTEXT)
        programs = self.harness(*plan, expect=0).stdout.splitlines()
        self.assertEqual(len(programs), 6)
        served = self.harness(*plan, "--artefacts", self.artefacts, expect=0).stdout
        self.assertIn("6 of 6 programs have an artefact", served)
        # The class compiled the probes' lengths too, which a run needs to be green.
        probed = self.harness(*plan, "--probes", "--artefacts", self.artefacts, expect=0).stdout
        self.assertRegex(probed, r"(\d{2,}) of \1 programs have an artefact")
        alone = self.path / "alone"
        alone.mkdir()
        subprocess.run([COMPILE_ARTEFACTS, alone, "unfused", "8", str(CONTEXT)], check=True)
        self.harness(*plan, "--artefacts", alone, expect=0)
        self.harness(*plan, "--probes", "--artefacts", alone, expect=3)
        other = self.harness("artefact", "plan", "--context", 64, "--artefacts", self.artefacts,
                             expect=3).stdout
        self.assertIn("no artefact", other)

    def add(self, folder, *arguments, **keywords):
        first = json.loads((self.artefacts / "artefacts.json").read_text())["artefacts"][0]
        return self.harness("artefact", "add", "--artefacts", folder,
                            "--xclbin", self.artefacts / first["xclbin"],
                            "--instructions", self.artefacts / first["instructions"], "--tile", "1x1024",
                            "--operand", "bf16", "--store", "bf16", "--rounding", "floor", "--cores", 1,
                            *arguments, **keywords)

    def test_adds_lists_and_checks_artefacts(self):
        folder = self.path / "added"
        limit = "rows of 1024: serves no softmax over 1500 keys"
        added = self.add(folder, "--name", "row softmax", "--buffers", "3,4", "--limit", limit, expect=0)
        self.assertIn("serves no launch", added.stdout)
        shown = self.harness("artefact", "list", "--artefacts", folder, expect=0).stdout
        for part in ("row softmax", "1x1024, bf16 to bf16 by floor, 1 cores", "buffers 3,4", limit):
            self.assertIn(part, shown)
        self.assertIn("1 artefacts, 0 damaged",
                      self.harness("artefact", "check", "--artefacts", folder, expect=0).stdout)
        self.one_line(self.on_xrt(artefacts=folder, expect=3), "no artefact in it serves")
        for file in folder.glob("*.xclbin"):
            file.write_bytes(b"changed")
        self.assertIn("damaged", self.harness("artefact", "check", "--artefacts", folder, expect=3).stdout)

    def test_files_the_kernels_of_the_note_with_their_limits(self):
        folder, build = self.path / "note", self.path / "note_build"
        build.mkdir()
        first = json.loads((self.artefacts / "artefacts.json").read_text())["artefacts"][0]
        files = []
        for name in ("matmul", "softmax"):
            for kind in ("xclbin", "instructions"):
                files.append(build / f"{name}.{kind}")
                shutil.copy(self.artefacts / first[kind], files[-1])
        script = pathlib.Path(__file__).parents[1] / "kernels" / "add_note_kernels.sh"
        subprocess.run(["bash", script, HARNESS, folder, *files], check=True, capture_output=True)
        checked = self.harness("artefact", "check", "--artefacts", folder, expect=0).stdout
        self.assertIn("limit: rows of 1024: serves no softmax over 1500 or 3001 keys", checked)
        self.assertIn("limit: one 64x64x64 tile per launch", checked)
        self.one_line(self.on_xrt(artefacts=folder, expect=3), "no artefact in it serves")

    def test_a_refused_artefact_leaves_nothing(self):
        folder = self.path / "refused"
        self.one_line(self.add(folder, "--name", "x", "--kernel", "DPU", expect=3), "it has: MLIR_AIE")
        self.assertEqual(list(folder.iterdir()), [])

    def test_the_doctor_names_what_is_missing(self):
        root = self.path / "machine"
        root.mkdir()
        found = self.harness("doctor", "--root", root, expect=3).stdout
        for part in ("missing  driver", "modprobe amdxdna", "missing  device node", "cannot work"):
            self.assertIn(part, found)
        trip = self.harness("doctor", "--artefacts", self.artefacts, expect=3).stdout
        self.assertIn("65536 bytes to the NPU and back", trip)
        self.assertRegex(trip, r"note +pass-through +not run: no artefact of .* serves program [0-9a-f]{64}")
        self.assertIn("build_xclbins.sh", trip)
        absent = self.harness("doctor", "--artefacts", self.artefacts, expect=3, fault="absent").stdout
        self.assertIn("cannot open NPU 0", absent)

    def test_the_doctor_sends_a_tile_through_a_core(self):
        folder = self.path / "pass_through"
        folder.mkdir()
        subprocess.run([COMPILE_ARTEFACTS, folder, "tile64", "1", "64"], check=True)
        found = self.harness("doctor", "--artefacts", folder, expect=3).stdout
        self.assertRegex(found, r"ok +pass-through +4096 numbers through a core, bit for bit")

    def test_refuses_limits_that_are_none(self):
        self.one_line(self.on_xrt("--timeout-ms", 0, expect=2), "--timeout-ms")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
