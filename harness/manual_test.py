#!/usr/bin/env python3
"""The manual page has everything that --help has, and is good roff. Usage: manual_test.py PATH_TO_HARNESS"""
import re
import shutil
import subprocess
import sys
import unittest

HARNESS = sys.argv.pop(1)


def output(*command, **keywords):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, **keywords).stdout


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.page = output(HARNESS, "--man-page")
        cls.words = re.sub(r"\\f[BIR]", "", cls.page).replace(r"\-", "-")

    def commands(self):
        """Every command and, in front, the program itself, as words of a command line."""
        listed = output(HARNESS, "--help").split("Subcommands:")[1]
        for name in re.findall(r"^  (\S+)  ", listed, re.MULTILINE):
            yield (name,)
            inner = output(HARNESS, name, "--help").split("Subcommands:")
            for subcommand in re.findall(r"^  (\S+)  ", inner[1], re.MULTILINE) if len(inner) > 1 else []:
                yield (name, subcommand)

    def test_it_has_every_command_and_option(self):
        names = list(self.commands())
        self.assertIn(("gate",), names)
        self.assertIn(("merge",), names)
        for words in [(), *names]:
            if words:
                self.assertIn(f".SS {' '.join(words)}\n", self.words)
            section = self.words.split(f".SS {' '.join(words)}\n")[1] if words else self.words
            shown = output(HARNESS, *words, "--help")
            for option in re.findall(r"^  (?:-\w,)?(--[\w-]+)", shown, re.MULTILINE):
                self.assertRegex(section, f"{option}[ ,\\n]", " ".join(words))

    def test_it_says_how_the_program_exits(self):
        self.assertRegex(self.words, r"\.SH EXIT STATUS\n(.*\n)*Exit codes: 0 all passed")

    def test_it_is_good_roff(self):
        checked = 0
        if shutil.which("mandoc"):
            # A page without a date is meant: the same source gives the same page.
            done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=self.page, text=True,
                                  capture_output=True, timeout=60, check=False)
            faults = [line for line in done.stdout.splitlines() if "missing date" not in line]
            self.assertEqual(faults, [])
            checked += 1
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=self.page, text=True,
                                  capture_output=True, timeout=60, check=True)
            self.assertEqual(done.stderr, "")
            self.assertIn("EXIT STATUS", re.sub(".\x08", "", done.stdout))  # bold is a letter struck twice
            checked += 1
        if not checked:
            self.skipTest("neither mandoc nor groff is here")


if __name__ == "__main__":
    unittest.main(verbosity=2)
