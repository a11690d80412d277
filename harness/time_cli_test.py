#!/usr/bin/env python3
"""The time model from outside: validate-model, plan, --device-spec. Usage: time_cli_test.py HARNESS"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HARNESS = sys.argv.pop(1)
HEADER = "device,clock_ghz,cores,dtype_in,dtype_out,m,k,n,tile_mkn,gflops,time_us,conditions,source\n"


class TimeModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_harness(self, *arguments, expect=0):
        done = subprocess.run([HARNESS, *map(str, arguments)], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def one_line(self, done, *parts):
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        for part in parts:
            self.assertIn(part, lines[0])

    def file(self, name, text):
        path = self.path / name
        path.write_text(text, encoding="utf-8")
        return path

    def test_validation_says_what_counts_and_how_far_it_is_off(self):
        out = self.run_harness("validate-model", "--fit").stdout
        self.assertIn("13 rows, 8 count: median error", out)
        self.assertIn("free parameters: 0", out)
        self.assertIn("leave-one-out error of the fit", out)
        self.assertEqual(out.count("parameter: "), 5, "rows that equal a parameter do not count")
        self.assertIn("left out by the model", out)

    def test_own_timings_are_read_and_bad_ones_named(self):
        row = "8700G,1.8,16,bf16,bf16,1024,1024,1024,64x64x32,,1036.2,Peano kernel,mine\n"
        own = self.file("own.csv", HEADER + row + "8700G,1.8,16,int8,int8,64,64,64,,,9,,mine\n")
        out = self.run_harness("validate-model", "--timings", own).stdout
        self.assertIn("2 rows, 1 count", out)
        self.assertIn("operands of int8", out)
        bad = self.file("bad.csv", HEADER + row + row.replace("1036.2", "-3"))
        self.one_line(self.run_harness("validate-model", "--timings", bad, expect=3),
                      f"{bad}:3: field 'time_us' is -3; it must be greater than 0")
        unitless = self.file("unitless.csv", HEADER.replace("time_us", "time") + row)
        self.one_line(self.run_harness("validate-model", "--timings", unitless, expect=3),
                      f"{unitless}:1: field 'time' has no unit; valid: time_us")
        self.one_line(self.run_harness("validate-model", "--timings", own, "--fit", expect=3),
                      "needs more rows than 1 that count")

    def test_plan_answers_the_road_map(self):
        out = self.run_harness("plan", "--context", "3001", "--target", "rtfx=220", "--rows", "3").stdout
        self.assertIn("v2, CPU         claimed   0.75  gives    0.7496", out)
        self.assertIn("out of reach: 22.7 ms are allowed, and the products alone take 34.2 ms", out)
        self.assertIn("slower ways; --rows 0 shows them", out)
        self.assertIn("roof: the products of the layers on all cores at their peak", out)
        attention = self.run_harness("plan", "--target", "rtfx=1.1", "--scope", "attention").stdout
        self.assertIn("the target is met by", attention)

    def test_plan_refuses_what_breaks_a_limit(self):
        self.one_line(self.run_harness("plan", "--tile", "256x64x256", expect=2), "--tile 256x64x256",
                      "of 65536 bytes of L1", "nearest that fits: ")
        self.assertIn("% of the peak", self.run_harness("plan", "--tile", "64x64x32").stdout)
        self.one_line(self.run_harness("plan", "--tile", "64x64", expect=2), "valid: MxKxN")
        self.one_line(self.run_harness("plan", "--target", "rtfx=-1", expect=2), "valid: rtfx=NUMBER")
        self.one_line(self.run_harness("plan", "--target", "fast", expect=2), "valid: rtfx=NUMBER")

    def test_a_device_of_ones_own(self):
        own = self.file("mine.json", json.dumps({
            "schema": "npu-device-spec", "schema_version": 1, "name": "mine", "product": "a laptop",
            "base": "phoenix",
            "fields": {"clock": {"value": 1.2, "unit": "GHz", "source": "measured"}}}, indent=1))
        self.assertIn("mine (a laptop, 16 cores at 1.20 GHz)",
                      self.run_harness("plan", "--device-spec", own, "--context", "64").stdout)
        # Runs by two files of one name have two models.
        models = []
        for clock in ("1.2", "1.3"):
            spec = self.file(f"mine-{clock}.json", own.read_text().replace("1.2", clock))
            record = self.path / f"{clock}.json"
            self.run_harness("--compare", "--context", "65", "--layer", "0", "--op", "query", "--device-spec",
                             spec, "--json", record, "--quiet", expect=0)
            models.append(json.loads(record.read_text())["identities"]["cost_model"])
        self.assertRegex(models[0], "^modelled for mine of the file [0-9a-f]{12}: ")
        self.assertNotEqual(*models)
        bad = self.file("bad.json", own.read_text().replace("1.2", "-1.2"))
        self.one_line(self.run_harness("plan", "--device-spec", bad, expect=3),
                      f"{bad}:8: field 'clock' is -1.2")
        self.one_line(self.run_harness("plan", "--device-spec", "none", expect=3), "no built-in device",
                      "valid: hawk_point")

    def test_timelines_are_written(self):
        trace, chart = self.path / "trace.json", self.path / "chart.svg"
        self.run_harness("plan", "--context", "250", "--quiet", "--trace", trace, "--gantt", chart)
        events = json.loads(trace.read_text())["traceEvents"]
        lanes = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
        self.assertEqual(len(lanes), 7)
        self.assertGreater(sum(event["ph"] == "X" for event in events), 50)
        xml.etree.ElementTree.parse(chart)
        self.one_line(self.run_harness("plan", "--trace", trace, "--gantt", trace, expect=2), "two outputs")


if __name__ == "__main__":
    unittest.main(verbosity=2)
