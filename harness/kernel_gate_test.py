#!/usr/bin/env python3
"""`harness gate` from outside: good kernels pass, planted faults are named as what they are, nothing is left.

Usage: kernel_gate_test.py PATH_TO_HARNESS FOLDER_OF_OUR_KERNELS
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

OURS = pathlib.Path(sys.argv.pop(2))
HARNESS = sys.argv.pop(1)

# Element (row, column) of a tile in blocks of 4x4, for kernels in plain loops.
PLAIN = """
#include <aie_api/aie.hpp>
static inline int at(int row, int column) {
    return (row / 4 * 16 + column / 4) * 16 + row % 4 * 4 + column % 4;
}
"""
STORE = PLAIN + """
extern "C" void store_tile_even(const float* c, float scale, bfloat16* out) {
    aie::set_rounding(aie::rounding_mode::conv_even);
    BEFORE
    for (int row = 0; row < ROWS; ++row)
        for (int column = 0; column < 64; ++column)
            out[at(row, column)] = bfloat16(scale * c[at(row, column)] + ADDED);
    aie::set_rounding(aie::rounding_mode::floor);
}
"""


def store(before="", rows="64", added="0.0f"):
    return STORE.replace("BEFORE", before).replace("ROWS", rows).replace("ADDED", added)


def scale_with(body):
    return 'extern "C" void scale_tile(float* c, float scale) {\n' + body + "\n}\n"


# As the contract has it: what is below the normal numbers is 0, of its sign.
FLUSH = "if (c[i] < 0x1p-126f && c[i] > -0x1p-126f) c[i] *= 0.0f;"
SCALE = "for (int i = 0; i < 4096; ++i) { c[i] *= scale; " + FLUSH + " }"


class KernelGate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        (cls.path / "tmp").mkdir()
        cls.environment = {**os.environ, "TMPDIR": str(cls.path / "tmp")}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def tearDown(self):
        self.assertEqual(os.listdir(self.path / "tmp"), [], "a temporary was left behind")

    def gate(self, *arguments, expect, **changed):
        done = subprocess.run([HARNESS, "gate", *map(str, arguments)], capture_output=True, text=True,
                              timeout=200, env={**self.environment, **changed})
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def kernel(self, text):
        file = self.path / "my kernel.cc"
        file.write_text(text)
        return file

    def planted(self, role, text, *parts, limit=60):
        """The kernel `text` fails as `role`, and the last line says so with all of `parts`."""
        done = self.gate("--kernel", self.kernel(text), "--as", role, "--limit", limit, expect=1)
        last = done.stdout.strip().splitlines()[-1]
        self.assertTrue(last.startswith("failed: "), last)
        self.assertIn(f"as {role}: ", last)
        for part in parts:
            self.assertIn(part, last)
        return done

    def changed(self, file, old, new):
        """One of our kernels with one change."""
        text = (OURS / file).read_text()
        self.assertIn(old, text)
        return text.replace(old, new)

    def refused(self, *arguments, expect, parts, **changed):
        done = self.gate(*arguments, expect=expect, **changed)
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("harness: "), lines[0])
        for part in parts:
            self.assertIn(part, lines[0])

    def test_our_own_kernels_pass_their_roles(self):
        for file, role in (("matmul.cc", "matmul_tile"), ("softmax.cc", "softmax_update"),
                           ("attention.cc", "attention_update"), ("gelu.cc", "gelu_even")):
            start = time.monotonic()
            done = self.gate("--kernel", OURS / file, "--as", role, expect=0)
            self.assertLess(time.monotonic() - start, 60)
            self.assertTrue(done.stdout.strip().splitlines()[-1].startswith("passed: "), done.stdout)
            self.assertEqual(done.stderr, "")
            layer = "layer check: none" if role == "gelu_even" else "layer check: synthetic hard data"
            self.assertIn(layer, done.stdout)

    def test_a_copy_and_a_plain_kernel_of_any_name_pass(self):
        copy = self.kernel((OURS / "matmul.cc").read_text())
        self.gate("--kernel", copy, "--as", "matmul_tile_nk", "--quiet", expect=0)
        text = store().replace("store_tile_even", "my_store")
        done = self.gate("--kernel", self.kernel(text), "--as", "store_tile_even", "--symbol", "my_store",
                         expect=0)
        self.assertIn("function my_store, as store_tile_even", done.stdout)

    def test_headers_of_the_users_own_are_found(self):
        headers = self.path / "headers"
        headers.mkdir(exist_ok=True)
        (headers / "mine.h").write_text("#pragma once\n")
        text = '#include "mine.h"\n' + scale_with(SCALE)
        done = self.planted("scale_tile", text, "does not compile")
        self.assertIn("mine.h", done.stderr)
        self.gate("--kernel", self.kernel(text), "--as", "scale_tile", "--include", headers, "--quiet",
                  expect=0)

    def test_what_does_not_compile_shows_the_compilers_message(self):
        done = self.planted("scale_tile", scale_with("this is not C++;"), "does not compile")
        self.assertIn("my kernel.cc:", done.stderr)
        self.assertIn("error:", done.stderr)
        done = self.planted("scale_tile", scale_with("extern void nowhere(float*); nowhere(c);"),
                            "does not compile")
        self.assertIn("undefined reference", done.stderr)
        quiet = self.gate("--kernel", self.kernel("#error no"), "--as", "scale_tile", "--quiet", expect=1)
        self.assertIn("#error no", quiet.stderr)
        self.assertEqual(quiet.stdout, "")

    def test_a_missing_function_is_named(self):
        self.planted("scale_tile", scale_with(SCALE).replace('extern "C"', ""),
                     "there is no function scale_tile", 'extern "C"')

    def test_a_crash_is_named_with_its_check_and_address(self):
        self.planted("scale_tile", scale_with("*static_cast<volatile float*>(nullptr) = scale;"), "SIGSEGV",
                     "null pointer", "check 'random data, scale 1'")
        self.planted("scale_tile", scale_with(SCALE + " volatile float* far = c; far[4096 + 30000] = 0;"),
                     "SIGSEGV", "past the end of c")
        self.planted("scale_tile", scale_with("__builtin_trap();"), "crashed with SIG")
        self.planted("scale_tile", scale_with("__builtin_abort();"), "SIGABRT")
        self.planted("scale_tile", "#include <cstdlib>\n" + scale_with("std::exit(0);"), "ended the process")
        self.planted("scale_tile", scale_with("throw 1;"), "throws an exception")
        self.planted("scale_tile", scale_with(SCALE) + "static int crash = (__builtin_trap(), 1);",
                     "crashed with")

    def test_an_endless_loop_is_stopped(self):
        start = time.monotonic()
        self.planted("scale_tile", scale_with("volatile bool on = true; while (on) {}"),
                     "was still running after 3 s", "check 'random data, scale 1'", limit=3)
        self.assertLess(time.monotonic() - start, 40)

    def test_an_exponential_without_its_clamp_is_named(self):
        """Beyond -128 the table wraps: the reviewer's mutant, which +-300 alone let pass."""
        bare = self.changed("exp.h", "aie::min(bits, lowest).cast_to<bfloat16>()", "difference")
        for file, role in (("softmax.cc", "softmax_update"), ("softmax.cc", "softmax_finish_even"),
                           ("attention.cc", "attention_update")):
            text = (OURS / file).read_text()
            self.assertIn('#include "exp.h"', text)
            part = bare.replace("#pragma once", "").replace("constexpr uint16 lowest", "// ")
            words = "scores from -250 to 0" if "finish" in role else "far greater maximum, by 130"
            self.planted(role, text.replace('#include "exp.h"', part), words)

    def test_modes_that_are_left_behind_are_named(self):
        self.planted("scale_tile", scale_with(SCALE + " aie::set_rounding(aie::rounding_mode::conv_even);")
                     .replace("extern", "#include <aie_api/aie.hpp>\nextern", 1),
                     "leaves rounding mode conv_even behind; contract: floor")
        self.planted("scale_tile", "#include <immintrin.h>\n" + scale_with(
            "_mm_setcsr(_mm_getcsr() | 0x8040); " + SCALE), "changes the CPU's floating-point mode")

    def test_a_mode_that_is_not_set_is_named(self):
        text = self.changed("matmul.cc", "    aie::set_rounding(rounding);\n", "")
        self.planted("matmul_tile_bf16_floor", text, "rounding mode before the call: it does not set")

    def test_processes_are_named_and_ended(self):
        for body in ("fork();", "if (fork() == 0) { setsid(); for (;;) pause(); }"):
            self.planted("scale_tile", "#include <unistd.h>\n" + scale_with(body + SCALE),
                         "check 'random data, scale 1': it starts a process")
        mark = "sleep-of-a-kernel"
        daemon = (f'if (fork() == 0) {{ setsid(); if (fork() == 0) '
                  f'execl("/bin/sh", "{mark}", "-c", "sleep 50; :", "{mark}", nullptr); for (;;) pause(); }}')
        self.planted("scale_tile", "#include <unistd.h>\n" + scale_with(daemon + SCALE),
                     "it starts a process")
        for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.assertNotIn(mark.encode(), process.read_bytes())
            except OSError:  # it has ended
                pass

    def test_results_beyond_the_contracts_error_are_named(self):
        """GELU as x / 2 near zero, within half a bf16 step of the largest values there."""
        text = ("#include <aie_api/aie.hpp>\n#include <cmath>\n"
                'extern "C" void gelu_even(const float* x, int n, bfloat16* o) {\n'
                "    aie::set_rounding(aie::rounding_mode::conv_even);\n"
                "    for (int i = 0; i < n; ++i) {\n"
                "        const float v = x[i];\n"
                "        const float g = 0.5f * v * std::erfc(-v * 0.70710678f);\n"
                "        o[i] = bfloat16(std::fabs(v) < 0.017f ? 0.5f * v : g);\n"
                "    }\n    aie::set_rounding(aie::rounding_mode::floor);\n}\n")
        self.planted("gelu_even", text, "wrong: ")
        done = self.gate("--kernel", self.kernel(text.replace("0.017f", "0.0f")), "--as", "gelu_even",
                         expect=0)
        self.assertRegex(done.stdout, r"own kernel on these cases: no, [0-9]+ of 8560 elements differ")

    def test_ties_are_named(self):
        for mode in ("conv_odd", "symmetric_inf"):
            text = self.changed("matmul.cc", "Right::k_by_n, aie::rounding_mode::conv_even",
                                f"Right::k_by_n, aie::rounding_mode::{mode}")
            self.planted("matmul_tile_bf16_even", text, "check 'ties': wrong: ")

    def test_macros_a_large_frame_and_the_signature(self):
        text = "#include <aie_api/aie.hpp>\n" + scale_with(
            "alignas(64) float t[4096]; for (int i = 0; i < 4096; ++i) t[i] = c[i] * FACTOR;"
            'asm volatile("" : : "r"(t) : "memory");'
            "for (int i = 0; i < 4096; ++i) { c[i] = t[i]; " + FLUSH + " }")
        self.planted("scale_tile", text, "does not compile")
        for definition in ("FACTOR=scale", "FACTOR=(scale)"):
            done = self.gate("--kernel", self.kernel(text), "--as", "scale_tile", "--define", definition,
                             "--define", "OTHER", expect=0)
            self.assertRegex(done.stdout, r"stack frame of 16[0-9]{3} bytes; a core has 3328\n")
            self.assertIn("same bits as the project's own kernel on these cases: yes\n", done.stdout)
        done = self.planted("scale_tile", scale_with("__builtin_trap();"), "crashed with SIG")
        self.assertIn('it was called as: extern "C" void scale_tile(float* c, float scale)', done.stdout)
        self.assertNotIn("stack frame", done.stdout)

    def test_what_fails_in_a_layer_only_is_named(self):
        late = "static int calls = 0; if (++calls > 60) LATE " + SCALE
        done = self.planted("scale_tile", scale_with(late.replace("LATE", "scale = -scale;")),
                            "check 'layer': scores (")
        self.assertNotIn("own kernel on these cases: no", done.stdout)
        self.planted("scale_tile", scale_with(late.replace("LATE", "throw 1;")), "check 'layer: ",
                     "ended by an exception")

    def test_memory_without_end_is_refused(self):
        text = "#include <vector>\n" + scale_with(
            "std::vector<float> all; while (true) all.resize(2 * all.size() + 1000, scale);")
        self.planted("scale_tile", text, "throws an exception")

    def test_writes_outside_the_tile_are_named(self):
        self.planted("scale_tile", scale_with(SCALE + " c[4096] = 1;"),
                     "writes outside its tile: element 4096 of c, which has 4096")
        self.planted("scale_tile", scale_with(SCALE + " c[-1] = 1;"), "element -1 of c, before its start")
        self.planted("gelu_even", "#include <aie_api/aie.hpp>\n"
                     'extern "C" void gelu_even(const float* x, int n, bfloat16* o) {\n'
                     "    for (int i = 0; i < n + 9; ++i) o[i] = bfloat16(x[i]);\n}\n",
                     "writes outside its tile: element ")
        self.planted("store_tile_even", store("const_cast<float*>(c)[5] = 0;"), "changes its input c")

    def test_unwritten_output_is_named(self):
        self.planted("store_tile_even", store(rows="63"),
                     "leaves unwritten 64 of 4096 elements of out (row 63, ")
        self.planted("scale_tile", scale_with("for (int i = 0; i < 4096 - 64; ++i) c[i] *= scale;"),
                     "64 of 4096 elements of c (row 63, ", "not updated")

    def test_uninitialised_memory_is_named(self):
        stack = 'float held[4096]; asm volatile("" : : "r"(held) : "memory"); float junk = held[77];'
        self.planted("store_tile_even", store(stack, added="junk"), "what its stack held before")
        heap = "volatile float* held = new float[%d]; float junk = held[%d]; delete[] held;"
        self.planted("store_tile_even", store(heap % (100, 50), added="junk"), "what the heap held before")
        self.planted("store_tile_even", store(heap % (10000, 50), added="junk"), "what the heap held before")
        self.planted("store_tile_even", store("float junk = c[4097];", added="junk"), "reads outside")
        self.planted("store_tile_even", store("float junk = float(out[9]);", added="junk"),
                     "what its output held before")

    def test_state_between_calls_is_named(self):
        self.planted("store_tile_even", store("static float calls = 0; calls += 1;", added="calls"),
                     "same call twice gives different bits")

    def test_lost_products_are_named(self):
        text = self.changed("matmul.cc", "k < depth_blocks", "k + 1 < depth_blocks")
        done = self.planted("matmul_tile", text, "check 'integers'", "wrong: ")
        self.assertRegex(done.stdout,
                         r"products of k 48-55 +passed\n  products of k 56-63 +failed\n.*not updated")
        # And where it shows in a layer.
        self.assertRegex(done.stdout, r"query +failed .*")
        self.assertIn("query (isolated): ", done.stdout)

    def test_the_wrong_rounding_is_named(self):
        for symbol, role, words in (
                ("store_tile_floor", "store_tile_even", "floor, where nearest_even is declared"),
                ("store_tile_even", "store_tile_floor", "not floor, where floor is declared")):
            done = self.gate("--kernel", OURS / "store.cc", "--as", role, "--symbol", symbol, expect=1)
            self.assertIn(words, done.stdout.strip().splitlines()[-1])

    def test_ignored_keys_are_named(self):
        text = (OURS / "softmax.cc").read_text() + (
            '\nextern "C" void all_keys(const float* scores, int, float* row_max, float* row_sum) {'
            "    softmax_update(scores, 64, row_max, row_sum);\n}\n")
        done = self.gate("--kernel", self.kernel(text), "--as", "softmax_update", "--symbol", "all_keys",
                         expect=1)
        self.assertIn("check 'ragged keys: 63 of 64': its results depend on padded elements",
                      done.stdout.strip().splitlines()[-1])

    def test_what_cannot_run_exits_3_and_misuse_2(self):
        kernel = self.kernel(scale_with(SCALE))
        self.refused("--kernel", self.path / "none.cc", "--as", "scale_tile", expect=3,
                     parts=["none.cc", "No such"])
        self.refused("--kernel", self.path, "--as", "scale_tile", expect=3, parts=["folder"])
        self.refused("--kernel", kernel, "--as", "scale_tile", expect=3, parts=["no C++ compiler", "install"],
                     PATH=str(self.path))
        self.refused("--kernel", kernel, "--as", "scale_tile", expect=3, parts=["folder for temporary files"],
                     TMPDIR=str(self.path / "nowhere"))
        self.refused("--kernel", kernel, "--as", "matmul", expect=2,
                     parts=["matmul_tile_nk", "softmax_update"])
        self.refused("--kernel", kernel, expect=2, parts=["--as"])
        self.refused("--kernel", kernel, "--as", "scale_tile", "--include", self.path / "none", expect=2,
                     parts=["--include", "none"])
        self.refused("--kernel", kernel, "--as", "scale_tile", "--define", "1=2", expect=2,
                     parts=["--define", "NAME=VALUE"])
        self.refused("--as", "scale_tile", expect=2, parts=["--kernel"])

    def test_a_reader_that_goes_away_leaves_nothing(self):
        words = [HARNESS, "gate", "--kernel", self.kernel(scale_with(SCALE)), "--as", "scale_tile"]
        with subprocess.Popen(words, env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            process.stdout.close()
            process.wait(timeout=60)
        self.assertGreaterEqual(process.returncode, 0, "it died of a signal")

    def test_interrupting_leaves_nothing(self):
        kernel = self.kernel(scale_with("volatile bool on = true; while (on) {}"))
        for delay, number in ((0.3, signal.SIGINT), (20, signal.SIGINT), (0.3, signal.SIGHUP)):
            process = subprocess.Popen([HARNESS, "gate", "--kernel", kernel, "--as", "scale_tile"],
                                       env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            end = time.monotonic() + delay
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
            while time.monotonic() < end and not (delay > 1 and self.is_kernel(children.read_text())):
                time.sleep(0.05)
            child = children.read_text().split()
            process.send_signal(number)
            _, errors = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 130, errors)
            self.assertIn(b"interrupted", errors)
            for pid in child:
                self.assertFalse(pathlib.Path(f"/proc/{pid}").exists(), "the kernel's process is still there")
            self.assertEqual(os.listdir(self.path / "tmp"), [])

    @staticmethod
    def is_kernel(children):
        """Whether the child is the fork of the harness that runs the kernel, and not the compiler."""
        try:
            return any(pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "harness"
                       for pid in children.split())
        except FileNotFoundError:
            return False


if __name__ == "__main__":
    unittest.main()
