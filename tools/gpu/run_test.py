#!/usr/bin/env python3
"""The runner of tools/gpu_check, on folders of fake programs: it says what there is, what failed and why, and goes on.

There is no device here, and none is needed: the promise is about the runner, not about what it runs.
"""

import contextlib
import importlib.util
import io
import json
import os
import pathlib
import stat
import sys
import tempfile
import unittest

SPEC = importlib.util.spec_from_file_location("run", pathlib.Path(__file__).resolve().parent / "run.py")
run = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run)

LISTS_FEW = 'if [[ "$*" == *--gtest_list_tests* ]]; then printf "Suite.\\n  OfFew\\n"; exit; fi\n'


def gtest(passed, skipped=0, failed=0):
    lines = [f"[  PASSED  ] {passed} tests."]
    lines += [f"[  SKIPPED ] {skipped} tests, listed below:"] * bool(skipped)
    lines += [f"[  FAILED  ] {failed} tests, listed below:"] * bool(failed)
    return "\n".join(f'echo "{line}"' for line in lines) + f"\nexit {int(failed > 0)}\n"


class RunnerTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name) / "gpu_check"
        (self.folder / "tests").mkdir(parents=True)
        (self.folder / "bin").mkdir()
        (self.folder / "package.json").write_text('{"version": "1.2.3", "commit": "abc"}')
        self.path = os.environ["PATH"]
        self.addCleanup(os.environ.__setitem__, "PATH", self.path)
        self.tools = pathlib.Path(self.temporary.name) / "tools"
        self.tools.mkdir()
        os.environ["PATH"] = f"{self.tools}:{self.path}"

    def program(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/bash\n" + text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def go(self, *arguments, devices=1):
        """(exit code, what it printed, the report)"""
        output = pathlib.Path(self.temporary.name) / "results.json"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            code = run.main([f"--output={output}", *arguments], self.folder,
                            lambda: (devices, "" if devices else "no CUDA driver: none here"))
        report = json.loads(output.read_text()) if output.exists() else None
        return code, printed.getvalue(), report

    def outcomes(self, report):
        return {part["name"]: part["outcome"] for part in report["parts"]}

    def test_a_machine_without_a_device_is_said_to_have_none(self):
        self.program(self.folder / "tests/a_test", "touch $0.ran\n")
        code, printed, report = self.go(devices=0)
        self.assertEqual(code, 2)
        self.assertIn("NO DEVICE: no CUDA driver: none here", printed)
        self.assertEqual(report["parts"], [])
        self.assertFalse(report["passed"])
        self.assertEqual(report["reason"], "no CUDA driver: none here")
        self.assertFalse((self.folder / "tests/a_test.ran").exists())

    def test_the_drivers_answer_is_a_count_and_a_reason(self):
        devices, reason = run.find_device()
        self.assertEqual(devices == 0, reason != "")

    def test_a_failed_part_does_not_stop_the_others(self):
        self.program(self.folder / "tests/a_test", gtest(3, failed=1))
        self.program(self.folder / "tests/b_test", gtest(5, skipped=2))
        self.program(self.folder / "tests/c_test", "kill -SEGV $$\n")
        code, printed, report = self.go()
        self.assertEqual(code, 1)
        self.assertEqual(self.outcomes(report), {"a_test": "failed", "b_test": "passed", "c_test": "failed"})
        a, b, c = report["parts"]
        self.assertEqual(a["tests"], {"passed": 3, "skipped": 0, "failed": 1})
        self.assertIn("FAILED", a["log"])
        self.assertEqual(b["tests"], {"passed": 5, "skipped": 2, "failed": 0})
        self.assertNotIn("log", b)
        self.assertIn("-11", c["reason"])
        self.assertIn("FAILED; written", printed)

    def test_a_test_that_ran_nothing_has_not_passed(self):
        self.program(self.folder / "tests/a_test", gtest(0, skipped=4))
        code, _, report = self.go()
        self.assertEqual(code, 1)
        self.assertEqual(report["parts"][0]["reason"], "no test of it has run")

    def test_what_takes_too_long_is_ended(self):
        part = run.Part("slow", "test", ["/bin/sh", "-c", "echo begun; sleep 60"], timeout=0.2)
        result = run.run_part(self.folder, part)
        self.assertEqual(result["outcome"], "failed")
        self.assertIn("not done after 0.2 s", result["reason"])
        self.assertIn("begun", result["log"])

    def test_a_conformance_test_is_told_its_plugin(self):
        self.program(self.folder / "tests/cuda_conformance_test",
                     f'[[ $1 == "--plugin={self.folder}/plugins/libmodelbatch_cuda.so" ]] || exit 3\n' + gtest(1))
        self.assertEqual(self.go()[0], 0)

    def test_every_sanitizer_runs_the_few_tests(self):
        self.program(self.folder / "tests/few_test", LISTS_FEW + gtest(1))
        self.program(self.folder / "tests/many_test", gtest(1))
        self.program(self.tools / "compute-sanitizer", 'echo "$@" >>"$0.log"\n[[ $2 != racecheck ]] || exit 9\nshift 4\n"$@"\n')
        code, _, report = self.go()
        self.assertEqual(code, 1)
        found = self.outcomes(report)
        self.assertEqual([name for name in found if " of " in name],
                         [f"{tool} of few_test" for tool in ("memcheck", "racecheck", "initcheck", "synccheck")])
        self.assertEqual([name for name, outcome in found.items() if outcome == "failed"], ["racecheck of few_test"])
        for line in (self.tools / "compute-sanitizer.log").read_text().splitlines():
            self.assertTrue(line.endswith("--gtest_filter=*Few*"), line)

    def test_without_a_sanitizer_it_is_skipped_and_said_why(self):
        self.program(self.folder / "tests/few_test", LISTS_FEW + gtest(1))
        if run.find_sanitizer():
            self.skipTest("there is a compute-sanitizer here")
        code, _, report = self.go()
        self.assertEqual(code, 0)
        skipped = [part for part in report["parts"] if part["kind"] == "sanitizer"]
        self.assertEqual(len(skipped), 4)
        for part in skipped:
            self.assertEqual((part["outcome"], part["reason"]), ("skipped", "there is no compute-sanitizer here"))

    def test_comparisons_with_pytorch_get_driver_and_plugins(self):
        scripts = self.folder / "python/tests/equivalence"
        scripts.mkdir(parents=True)
        for name in ("agreement_test.py", "gradients_test.py", "table.py"):
            (scripts / name).write_text("")
        parts = run.equivalence_parts(self.folder)
        plugins = {part.name: [pathlib.Path(word).stem for word in part.command[3:]] for part in parts}
        self.assertEqual(plugins, {"equivalence/agreement_test": ["libmodelbatch_cpu", "libmodelbatch_cuda"],
                                   "equivalence/gradients_test": ["libmodelbatch_cuda"]})
        part = parts[0]
        part.modules = ("json", "no_such_module")
        self.assertEqual(run.run_part(self.folder, part)["reason"], "Python here lacks no_such_module")

    def benchmark(self, name, figures):
        self.program(self.folder / f"bin/{name}",
                     'for word; do [[ $word != --benchmark_out=* ]] || out=${word#*=}; done\n'
                     f"cat >$out <<'JSON'\n{json.dumps(figures)}\nJSON\n")

    def test_figures_are_in_the_report(self):
        self.benchmark("cuda_gemm_benchmark", {"benchmarks": [{"name": "x", "real_time": 7}]})
        code, _, report = self.go()
        self.assertEqual(code, 0)
        self.assertEqual(report["parts"][0]["figures"][0]["benchmarks"][0]["real_time"], 7)

    def test_figures_that_are_missing_or_all_errors_are_a_failure(self):
        self.program(self.folder / "bin/cuda_limits_benchmark", "exit 0\n")
        self.benchmark("cuda_gemm_benchmark", {"benchmarks": [
            {"name": "x", "error_occurred": True, "error_message": "it is broken"}]})
        code, _, report = self.go()
        self.assertEqual(code, 1)
        self.assertEqual([part["reason"] for part in report["parts"]],
                         ["it has written no figures", "1 of 1 did not run: x: it is broken"])

    def results(self, milliseconds):
        limits = {"benchmarks": [
            {"name": "Copy/bytes:1000", "set_bytes": 1000, "bytes_per_second": 9e9},
            {"name": "Copy/bytes:100000", "set_bytes": 100000, "bytes_per_second": 2e9},
            {"name": "Flops/fp32", "flops_per_second": 4e9}]}
        cell = {"workload": "w", "models": 4, "parameters": 5000, "flop_per_step": 1e6,
                "contenders": [{"name": "ours", "median_ms_per_step": milliseconds}, {"name": "other", "not_run": "why"}]}
        return [{"name": "cuda_limits_benchmark", "figures": [limits]},
                {"name": "compare/w", "figures": [{"cells": [cell]}]}]

    def test_shares_of_the_limits(self):
        # 12 x 5000 bytes do not fit the smaller set: 24 x 5000 bytes and 1 MFLOP in a millisecond.
        (share,) = run.shares(self.results(1.0))
        self.assertAlmostEqual(share["of_copy"], 120000 / 1e-3 / 2e9)
        self.assertAlmostEqual(share["of_flops"], 1e6 / 1e-3 / 4e9)
        self.assertNotIn("error", share)

    def test_more_than_the_device_can_do_is_an_error(self):
        (share,) = run.shares(self.results(0.1))
        self.assertIn("of_flops above 1", share["error"])
        self.assertNotIn("of_copy", share["error"])

    def test_a_share_above_one_fails_the_run(self):
        self.program(self.folder / "tests/a_test", gtest(1))
        original = run.shares
        self.addCleanup(setattr, run, "shares", original)
        run.shares = lambda parts: original(self.results(0.01))
        code, printed, report = self.go()
        self.assertEqual(code, 1)
        self.assertFalse(report["passed"])
        self.assertIn("error    ours, w, 4 models", printed)

    def test_the_report_says_what_it_is(self):
        self.program(self.folder / "tests/a_test", gtest(1))
        self.program(self.tools / "nvidia-smi", 'echo "H, 1.2, ' + ", ".join(["x"] * 10) + '"\n')
        code, _, report = self.go()
        self.assertEqual((code, report["passed"]), (0, True))
        self.assertEqual(set(report), {"format", "package", "started", "machine", "parts", "shares", "passed"})
        self.assertEqual(report["package"]["version"], "1.2.3")
        self.assertEqual(report["machine"]["before"]["devices"][0]["driver_version"], "1.2")
        self.assertEqual(set(report["machine"]), {"system", "cpus", "python", "modules", "cuda_devices",
                                                  "compute_sanitizer", "before", "after"})
        for part in report["parts"]:
            self.assertLessEqual({"name", "kind", "outcome", "seconds", "reason", "command"}, set(part))

    def test_parts_are_chosen_by_words(self):
        for name in ("a_test", "b_test"):
            self.program(self.folder / "tests" / name, gtest(1))
        self.assertEqual(self.outcomes(self.go("--only", "b_te")[2]), {"b_test": "passed"})
        code, printed, _ = self.go("--only", "nothing")
        self.assertEqual(code, 2)
        self.assertIn("no part has nothing", printed)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
