#!/usr/bin/env python3
"""A run in shards and in ranks is the whole run. Usage: shard_cli_test.py PATH_TO_HARNESS WITH_MPI(0|1)"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

WITH_MPI = sys.argv.pop(2) == "1"
HARNESS = sys.argv.pop(1)

COMPARE = ("--compare", "--context", "65", "--no-probes", "--repeat", "1", "--threads", "1")

# As root, as CI is, and on fewer cores than ranks.
MPIRUN = ("mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none")


def without_times(value):
    """The same record without what a clock said, or is computed from it, and without how it was made."""
    if isinstance(value, list):
        return [without_times(one) for one in value]
    if not isinstance(value, dict):
        return value
    if str(value.get("clock", "")).startswith("host"):
        return "a measured time"
    made = ("speedup", "speedup_interval", "cpu", "cpu_timing", "rtf", "rtfx", "amdahl", "created_utc",
            "command", "shard")
    kept = {key: without_times(one) for key, one in value.items() if key not in made or "cores" in value}
    return kept


class SecondHost:
    """Another machine, as far as MPI and the harness can tell: with network, name and machine id of its own,
    in namespaces of this kernel. For root."""

    NAME, HERE, THERE = "second-host", "198.18.7.1", "198.18.7.2"  # addresses for tests: RFC 2544

    def __init__(self, folder):
        self.folder = folder
        self.space = f"harness{os.getpid()}"
        self.link = f"hn{os.getpid()}"
        self.process = None

    def start(self):
        """Throws OSError where this is not root, or the kernel does not allow it."""
        peer = self.link + "p"
        (self.folder / "machine-id").write_text("f" * 31 + "1\n")
        started = self.folder / "started"
        enter = (f"hostname {self.NAME} && mount --bind {self.folder}/machine-id /etc/machine-id && "
                 f"echo $$ > {started}.new && mv {started}.new {started} && exec sleep 600")
        self.run("ip", "netns", "add", self.space)
        self.run("ip", "link", "add", self.link, "type", "veth", "peer", "name", peer, "netns", self.space)
        self.run("ip", "addr", "add", self.HERE + "/24", "dev", self.link)
        self.run("ip", "link", "set", self.link, "up")
        for words in (("addr", "add", self.THERE + "/24", "dev", peer), ("link", "set", peer, "up"),
                      ("link", "set", "lo", "up")):
            self.run("ip", "-netns", self.space, *words)
        self.process = subprocess.Popen(["ip", "netns", "exec", self.space, "unshare", "--uts", "--mount",
                                         "sh", "-c", enter])
        deadline = time.monotonic() + 10
        while not started.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise OSError("the namespaces of a second host did not come")
            time.sleep(0.02)
        # What mpirun takes for ssh: HOST COMMAND...
        agent = self.folder / "agent"
        agent.write_text(f"#!/bin/sh\nshift\nexec nsenter --target {started.read_text().strip()} --net --uts "
                         '--mount /bin/sh -c "$*"\n')
        agent.chmod(0o755)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for words in (("link", "del", self.link), ("netns", "del", self.space)):
            subprocess.run(["ip", *words], capture_output=True, check=False)

    @staticmethod
    def run(*words):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")

    @property
    def mpirun(self):
        network = self.HERE.rsplit(".", 1)[0] + ".0/24"
        return ("mpirun", "--allow-run-as-root", "--bind-to", "none", "-n", "2",
                "--host", f"{self.HERE}:1,{self.THERE}:1", "--mca", "plm_rsh_agent", self.folder / "agent",
                "--mca", "btl", "tcp,self", "--mca", "oob_tcp_if_include", network,
                "--mca", "btl_tcp_if_include", network)

    def is_home_of(self, pid):
        try:
            return os.readlink(f"/proc/{pid}/ns/net") == os.readlink(f"/proc/{self.process.pid}/ns/net")
        except OSError:
            return False


class Shards(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        cls.environment = {**os.environ, "XDG_CACHE_HOME": str(cls.path / "cache")}
        cls.harness(*COMPARE, "--json", cls.path / "whole.json", expect=1)
        cls.whole = json.loads((cls.path / "whole.json").read_text())

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def run_any(cls, *words, expect, **keywords):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300,
                              env=cls.environment, check=False, **keywords)
        if done.returncode != expect:
            raise AssertionError(f"exit {done.returncode}, expected {expect}: {done.stdout}\n{done.stderr}")
        return done

    @classmethod
    def harness(cls, *words, expect):
        return cls.run_any(HARNESS, *words, expect=expect)

    def same_as_the_whole(self, file):
        self.assertEqual(without_times(json.loads(file.read_text())), without_times(self.whole))

    def test_1_merged_shards_are_the_whole_run(self):
        parts = [self.path / f"part{i}.json" for i in (1, 2)]
        codes = []
        for i, part in enumerate(parts, 1):
            done = subprocess.run([HARNESS, *COMPARE, "--shard", f"{i}/2", "--json", part], timeout=300,
                                  capture_output=True, env=self.environment, check=False)
            codes.append(done.returncode)
            record = json.loads(part.read_text())
            self.assertEqual(record["shard"]["shards"], [i])
            self.assertEqual([one["layer"] for one in record["shard"]["cases"]], [i - 1, i + 1, i + 3])
            self.assertEqual([layer["layer"] for layer in record["layers"]], [i - 1, i + 1, i + 3])
        self.assertEqual(sorted(codes), [0, 1])  # one layer misses 99.9% at T = 65
        merged = self.path / "merged.json"
        done = self.harness("merge", *reversed(parts), "--out", merged, expect=1)
        self.assertIn("84 rows judged", done.stdout)
        self.same_as_the_whole(merged)

        def times(*files):
            layers = [layer for file in files for layer in json.loads(file.read_text())["layers"]]
            return sorted(str(layer["attention"]) for layer in layers if "attention" in layer)
        self.assertEqual(times(merged), times(*parts))
        # What nobody ran is there, and did not run.
        alone = self.path / "alone.json"
        done = self.harness("merge", parts[0], "--out", alone, expect=3)
        self.assertIn("shard 2 of 2 is missing: run it and merge its run.json too", done.stdout)
        record = json.loads(alone.read_text())
        self.assertEqual([layer["headline"]["verdict"] == "not_run" for layer in record["layers"]],
                         [False, True] * 3)
        self.harness("merge", alone, parts[1], "--out", merged, expect=1)
        self.same_as_the_whole(merged)

    def refused(self, *words, expect, says):
        done = self.harness(*words, expect=expect)
        self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1), done.stderr)
        self.assertIn(says, done.stderr)

    def test_2_what_does_not_fit_is_refused_in_one_line(self):
        out = ("--out", self.path / "no.json")
        self.refused("merge", self.path / "whole.json", *out, expect=3, says="has nothing to merge")
        self.refused("merge", self.path / "none.json", *out, expect=3, says="none.json: run record: cannot")
        self.refused("merge", *out, expect=2, says="parts is required")
        self.refused(*COMPARE, "--shard", "3/2", expect=2, says="I/N, the I-th of N shards")
        self.refused(*COMPARE, "--shard", "1/2", expect=2, says="--shard requires --json")
        first = self.path / "first.json"
        self.harness(*COMPARE, "--layer", "0,1", "--shard", "1/2", "--json", first, expect=0)
        self.refused("merge", first, "--out", first, expect=2, says="would be overwritten")
        self.refused("merge", first, first, *out, expect=3, says="shard 1 of 2 is in")
        other = self.path / "other.json"
        other.write_text(first.read_text().replace('"design": "unfused"', '"design": "fused"')
                         .replace('"shards": [\n      1', '"shards": [\n      2'))
        self.refused("merge", first, other, *out, expect=3, says="other.json: ")
        self.assertFalse((self.path / "no.json").exists())

    def test_a_process_that_cannot_find_the_others_of_its_job_runs_nothing(self):
        """Each would do the whole run, and write the same files."""
        file = self.path / "no.json"
        srun = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1"}
        share = ("--shard", "1/2")
        for extra, words, says in ((srun, (), "one of 4 processes that a launcher started"),
                                   (srun, share, "--shard: one of 4 processes of a job"),
                                   ({"OMPI_COMM_WORLD_SIZE": "2"}, share, "one of 2 processes of a job")):
            done = subprocess.run([HARNESS, *COMPARE, *words, "--json", file], capture_output=True, text=True,
                                  timeout=300, env={**self.environment, **extra}, check=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), done.stderr)
            self.assertIn(says, done.stderr)
        self.assertFalse(file.exists())
        # In the script of a batch job nothing was started more than once.
        done = subprocess.run([HARNESS, *COMPARE, "--layer", "0"], capture_output=True, text=True,
                              env={**self.environment, "SLURM_NTASKS": "4", "SLURM_PROCID": "0"},
                              timeout=300, check=False)
        self.assertIn("14 rows judged", done.stdout, done.stderr)

    def test_a_launcher_that_mpi_does_not_know_is_refused(self):
        self.needs_mpi()
        done = subprocess.run([HARNESS, *COMPARE], capture_output=True, text=True, timeout=300, check=False,
                              env={**self.environment, "PMI_RANK": "0", "PMI_SIZE": "2"})
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertIn("one of 2 processes that a launcher started, and MPI does not find", done.stderr)

    def needs_mpi(self):
        if not WITH_MPI:
            self.skipTest("built without MPI")
        if not shutil.which("mpirun"):
            self.skipTest("no mpirun here")

    def test_3_ranks_give_the_whole_run(self):
        self.needs_mpi()
        file = self.path / "ranks.json"
        done = self.run_any(*MPIRUN, "-n", "2", HARNESS, *COMPARE, "--json", file, expect=1)
        self.assertEqual(done.stdout.count("rows judged"), 1)
        self.assertIn("6 of 6 parts done by 2 ranks", done.stderr)
        self.assertNotIn("\x1b", done.stdout)
        self.same_as_the_whole(file)
        # A mistake that no rank can begin with is told once, and ends all of them.
        done = self.run_any(*MPIRUN, "-n", "2", HARNESS, "--compare", "--dataset", self.path / "no.h5",
                            "--quiet", expect=3)
        self.assertEqual(done.stderr.count("harness: "), 1, done.stderr)
        self.assertIn("no.h5", done.stderr)
        # So is a file that could not be written in the end: only the first rank writes.
        done = self.run_any(*MPIRUN, "-n", "2", HARNESS, *COMPARE, "--json", self.path / "gone" / "x.json",
                            "--quiet", expect=3)
        self.assertEqual(done.stderr.count("harness: "), 1, done.stderr)
        self.assertRegex(done.stderr, "x.json: cannot write: there is no folder")

    def workers(self, mpirun):
        """The processes of the job that work: children of the ranks, by rank."""
        found = []
        for rank in self.children(mpirun):
            found += self.children(rank)
        return found

    @staticmethod
    def children(pid):
        out = []
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                out += [int(word) for word in task.read_text().split()]
            except OSError:
                pass  # it has just gone
        return out

    @staticmethod
    def is_harness(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/exe").samefile(HARNESS)
        except OSError:
            return False

    @staticmethod
    def at_work(pid):
        """Whether it has computed for so long that it is beyond its beginning."""
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return False
        return int(fields[11]) / os.sysconf("SC_CLK_TCK") > 0.5

    def start(self, file, *more, mpirun=(*MPIRUN, "-n", "2")):
        # Timed so often that it is met at work.
        words = [*COMPARE, "--emulation", "exact", "--layer", "0-3", "--json", str(file), *more]
        words[words.index("--repeat") + 1] = "400"
        return subprocess.Popen([*mpirun, HARNESS, *words], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.environment)

    def wait_for(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, "it did not come")
            time.sleep(0.02)

    def test_4_a_worker_that_dies_is_named_and_its_work_done_by_another(self):
        self.needs_mpi()
        file = self.path / "killed.json"
        job = self.start(file, "--quiet")
        self.wait_for(lambda: any(map(self.at_work, self.workers(job.pid))))
        os.kill(next(filter(self.at_work, self.workers(job.pid))), signal.SIGKILL)
        out, errors = job.communicate(timeout=300)
        self.assertEqual(out, "")
        self.assertRegex(errors,
                         r"harness: rank \d on \S+ was killed by signal 9 \(Killed\) at \S+ layer \d: ")
        record = json.loads(file.read_text())
        self.assertEqual(len(record["shard"]["lost"]), 1)
        self.assertEqual(record["shard"]["ranks_on_a_host"], 2)
        self.assertNotIn("not_run", {row["verdict"] for row in record["rows"]})
        self.assertEqual([layer["layer"] for layer in record["layers"]], [0, 1, 2, 3])
        self.assertEqual(job.returncode, record["exit_code"], out + errors)

    def test_5_a_job_without_workers_says_what_did_not_run(self):
        self.needs_mpi()
        file = self.path / "dead.json"
        job = self.start(file)
        self.wait_for(lambda: len(self.workers(job.pid)) == 2)
        for worker in self.workers(job.pid):
            os.kill(worker, signal.SIGKILL)
        out, errors = job.communicate(timeout=300)
        self.assertEqual(job.returncode, 3, out + errors)
        if not file.exists():  # not a part was done
            self.assertRegex(errors, r"no rank could run anything: .*killed by signal 9")
            return
        record = json.loads(file.read_text())
        self.assertEqual(len(record["shard"]["lost"]), 2)
        reasons = " ".join(row["reason"] for row in record["rows"] if row["verdict"] == "not_run")
        self.assertRegex(reasons, r"rank \d on \S+ was killed by signal 9")

    def test_6_two_hosts_are_one_run(self):
        self.needs_mpi()
        folder = self.path / "second_host"
        folder.mkdir()
        host = SecondHost(folder)
        self.addCleanup(host.stop)
        try:
            host.start()
        except OSError as error:
            self.skipTest(f"no second host: {error}")
        file = self.path / "hosts.json"
        done = self.run_any(*host.mpirun, HARNESS, *COMPARE, "--json", file, expect=1)
        self.assertIn("6 of 6 parts done by 2 ranks", done.stderr)
        record = json.loads(file.read_text())
        self.assertEqual(without_times(record["rows"]), without_times(self.whole["rows"]))
        self.assertEqual(record["shard"]["ranks_on_a_host"], 1)
        machines = record["environment"]["machine"].split("+")
        self.assertEqual(len(machines), 2, machines)
        self.assertIn(self.whole["environment"]["machine"], machines)

        job = self.start(file, "--quiet", mpirun=host.mpirun)

        def workers_there():
            processes = map(int, filter(str.isdigit, os.listdir("/proc")))
            ranks = [pid for pid in processes if host.is_home_of(pid) and self.is_harness(pid)]
            return [pid for rank in ranks for pid in self.children(rank) if self.at_work(pid)]

        self.wait_for(workers_there)
        os.kill(workers_there()[0], signal.SIGKILL)
        out, errors = job.communicate(timeout=300)
        self.assertRegex(errors, r"harness: rank 1 on second-host was killed by signal 9 \(Killed\) at ")
        record = json.loads(file.read_text())
        self.assertNotIn("not_run", {row["verdict"] for row in record["rows"]})
        self.assertEqual(job.returncode, record["exit_code"], out + errors)


if __name__ == "__main__":
    unittest.main(verbosity=2)
