#!/usr/bin/env python3
"""The runner of tools/gpu_check, on folders of fake programs: it says what there is, what failed and why, and goes on.

There is no device here, and none is needed: the promise is about the runner, not about what it runs.
"""

import contextlib
import io
import json
import os
import pathlib
import signal
import stat
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import parts  # noqa: E402: after its folder
import run  # noqa: E402

LISTS_NONE = 'if [[ "$*" == *--gtest_list_tests* ]]; then exit; fi\n'
LISTS_FEW = 'if [[ "$*" == *--gtest_list_tests* ]]; then printf "Suite.\\n  OfFew\\n"; exit; fi\n'


def gtest(passed, skipped=0, failed=0):
    lines = [f"[  PASSED  ] {passed} tests."]
    lines += [f"[  SKIPPED ] {skipped} tests, listed below:"] * bool(skipped)
    lines += [f"[  FAILED  ] {failed} tests, listed below:"] * bool(failed)
    return "\n".join(f'echo "{line}"' for line in lines) + f"\nexit {int(failed > 0)}\n"


class Runner(unittest.TestCase):
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

    def benchmark(self, name, figures):
        self.program(self.folder / f"bin/{name}",
                     'for word; do [[ $word != --benchmark_out=* ]] || out=${word#*=}; done\n'
                     f"cat >$out <<'JSON'\n{json.dumps(figures)}\nJSON\n")

    def with_no_modules(self):
        original = run.missing_modules
        self.addCleanup(setattr, run, "missing_modules", original)
        run.missing_modules = lambda part: ""


class RunnerTest(Runner):
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

    def test_results_are_there_after_every_part(self):
        """What ends the run in the middle, as a limit of the machine's, leaves what it had."""
        self.program(self.folder / "tests/a_test", gtest(1))
        self.program(self.folder / "tests/b_test", LISTS_NONE + f"cp {self.temporary.name}/results.json $0.seen\n" + gtest(1))
        self.go()
        seen = json.loads((self.folder / "tests/b_test.seen").read_text())
        self.assertEqual(self.outcomes(seen), {"a_test": "passed"})
        self.assertEqual([part["name"] for part in seen["left"]], ["b_test"])

    def test_a_part_finds_plugins_python_and_libraries(self):
        part = parts.Part("x", "test", ["/bin/sh", "-c", 'echo "$MODELBATCH_PLUGIN_PATH|$MODELBATCH_PYTHON|$LD_LIBRARY_PATH"'],
                          timeout=10)
        for name, folder in (("torch_folder", lambda: "/torch/lib"), ("cublas_folders", lambda: ["/cublas/lib"])):
            self.addCleanup(setattr, run, name, getattr(run, name))
            setattr(run, name, folder)
        for torch, cublas, expected in ((False, False, ""), (True, False, "/torch/lib"), (False, True, "/cublas/lib")):
            part.torch_libraries, part.cublas = torch, cublas
            env = run.environment(self.folder, part)
            code, log = run.run_command(part.command, env, 10)
            plugins, python, libraries = log.strip().split("|")
            self.assertEqual((code, plugins, python), (0, f"{self.folder}/plugins", sys.executable))
            self.assertEqual(libraries, ":".join(filter(None, [expected, os.environ.get("LD_LIBRARY_PATH")])))

    def test_a_test_that_ran_nothing_has_not_passed(self):
        self.program(self.folder / "tests/a_test", gtest(0, skipped=4))
        code, _, report = self.go()
        self.assertEqual(code, 1)
        self.assertEqual(report["parts"][0]["reason"], "no test of it has run")

    def test_what_takes_too_long_is_ended(self):
        part = parts.Part("slow", "test", ["/bin/sh", "-c", "echo begun; sleep 60"], timeout=0.2)
        result = run.run_part(self.folder, part)
        self.assertEqual(result["outcome"], "failed")
        self.assertIn("not done after 0.2 s", result["reason"])
        self.assertIn("begun", result["log"])

    def test_what_a_part_has_started_ends_with_it(self):
        """A worker that holds the output open would else be waited for, and disturb whatever comes next."""
        pid = self.folder / "pid"
        part = parts.Part("parent", "test", ["/bin/sh", "-c", f"sleep 60 & echo $! >{pid}; wait"], timeout=0.5)
        start = time.monotonic()
        run.run_part(self.folder, part)
        self.assertLess(time.monotonic() - start, 30)
        with self.assertRaises(ProcessLookupError):
            for _ in range(100):
                os.kill(int(pid.read_text()), 0)
                time.sleep(0.1)

    def test_what_a_part_has_started_ends_with_ctrl_c(self):
        child = self.folder / "child"

        def interrupt(*_):
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 2)
        with self.assertRaises(KeyboardInterrupt):
            run.run_command(["sh", "-c", f"echo $$ >{child}; exec sleep 600"], dict(os.environ), 60)
        with self.assertRaises(ProcessLookupError):
            os.kill(int(child.read_text()), 0)

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
        if parts.find_sanitizer():
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
        found = parts.equivalence_parts(self.folder)
        plugins = {part.name: [pathlib.Path(word).stem for word in part.command[3:]] for part in found}
        self.assertEqual(plugins, {"equivalence/agreement_test": ["libmodelbatch_cpu", "libmodelbatch_cuda"],
                                   "equivalence/gradients_test": ["libmodelbatch_cuda"]})
        part = found[0]
        part.modules = ("json", "no_such_module")
        self.assertEqual(run.run_part(self.folder, part)["reason"], "Python here lacks no_such_module")

    def test_figures_are_in_the_report(self):
        self.benchmark("cuda_limits_benchmark", {"benchmarks": [{"name": "x", "real_time": 7}]})
        code, _, report = self.go()
        self.assertEqual(code, 0)
        (part,) = report["parts"]
        self.assertEqual((part["name"], part["figures"][0]["benchmarks"][0]["real_time"]), ("limits/kernels", 7))

    def test_figures_of_an_earlier_run_are_not_this_ones(self):
        self.benchmark("cuda_limits_benchmark", {"benchmarks": [{"name": "x", "real_time": 7}]})
        self.go()
        self.program(self.folder / "bin/cuda_limits_benchmark", "exit 0\n")
        code, _, report = self.go()
        self.assertEqual((code, report["parts"][0]["reason"]), (1, "it has written no figures"))

    def test_figures_that_are_missing_broken_or_all_errors_are_a_failure(self):
        for text, reason in (("exit 0\n", "it has written no figures"), ("echo '{' >$out\n", "its figures are no JSON"),
                             ("""echo '{"benchmarks": [{"name": "x", "error_occurred": true, """
                              """"error_message": "it is broken"}]}' >$out\n""", "1 of 1 did not run: x: it is broken")):
            self.program(self.folder / "bin/cuda_limits_benchmark",
                         "for word; do [[ $word != --benchmark_out=* ]] || out=${word#*=}; done\n" + text)
            code, _, report = self.go()
            self.assertEqual(code, 1)
            self.assertIn(reason, report["parts"][0]["reason"])

    def test_some_errors_are_said_and_fail_nothing(self):
        self.benchmark("cuda_limits_benchmark", {"benchmarks": [
            {"name": "x", "error_occurred": True, "error_message": "no cuBLAS"}, {"name": "y", "real_time": 7}]})
        code, printed, _ = self.go()
        self.assertEqual(code, 0)
        self.assertIn("1 of 2 did not run: x: no cuBLAS", printed)

    def test_a_share_above_one_fails_the_run(self):
        """The limit is what the same run has measured."""
        limits = [{"name": "Flops/fp32/manual_time", "run_type": "iteration", "flops_per_second": 1e12}]
        self.benchmark("cuda_limits_benchmark", {"benchmarks": limits})
        for milliseconds, expected in ((2.0, 0), (0.5, 1)):
            cell = {"workload": "w", "models": 4, "precision": "fp32", "parameters": 5000, "flop_per_step": 1e9,
                    "contenders": [{"name": "ours", "peer": "modelbatch-cuda", "median_ms_per_step": milliseconds}]}
            self.program(self.folder / "bin/compare",
                         "for word; do [[ $word != --output=* ]] || out=${word#*=}; done\nmkdir -p $out\n"
                         f"cat >$out/x.json <<'JSON'\n{json.dumps({'cells': [cell]})}\nJSON\n")
            self.with_no_modules()
            code, printed, report = self.go("--only", "limits", "--only", "compare/fp32/mlp_512/64")
            self.assertEqual((code, report["passed"]), (expected, expected == 0), printed)
            self.assertEqual("of_matrix_rate above 1" in printed, expected == 1)

    def test_the_report_says_what_it_is(self):
        self.program(self.folder / "tests/a_test", gtest(1))
        self.program(self.tools / "nvidia-smi", 'echo "H, 1.2, ' + ", ".join(["x"] * 10) + '"\n')
        code, _, report = self.go()
        self.assertEqual((code, report["passed"]), (0, True))
        self.assertEqual(set(report), {"format", "package", "calls", "machine", "parts", "left", "shares", "goals", "passed"})
        self.assertEqual(report["package"]["version"], "1.2.3")
        self.assertEqual(report["machine"]["before"]["devices"][0]["driver_version"], "1.2")
        self.assertEqual(set(report["machine"]), {"system", "cpus", "python", "modules", "cuda_devices",
                                                  "compute_sanitizer", "before"})
        (call,) = report["calls"]
        self.assertEqual(set(call), {"started", "only", "minutes", "before", "after", "seconds"})
        self.assertTrue(all(goal["verdict"] == "not measured" for goal in report["goals"]))
        self.assertGreater(len(report["goals"]), 8)
        for part in report["parts"]:
            self.assertLessEqual({"name", "kind", "outcome", "seconds", "reason", "command"}, set(part))

    def test_parts_are_chosen_by_words(self):
        for name in ("a_test", "b_test"):
            self.program(self.folder / "tests" / name, gtest(1))
        self.assertEqual(self.outcomes(self.go("--only", "b_te")[2]), {"b_test": "passed"})
        code, printed, _ = self.go("--only", "nothing")
        self.assertEqual(code, 2)
        self.assertIn("no part has nothing", printed)


class SlicesTest(Runner):
    """What does not fit the time is left, and a later call goes on from there."""

    def setUp(self):
        super().setUp()
        self.program(self.tools / "nvidia-smi", 'echo "H, 1.2, ' + ", ".join(["x"] * 10) + '"\n')
        for name in ("a_test", "b_test"):
            self.program(self.folder / "tests" / name, LISTS_NONE + "echo ran >>$0.log\n" + gtest(1))

    def runs(self, name):
        log = self.folder / f"tests/{name}.log"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def slow(self, name, seconds):
        self.program(self.folder / "tests" / name, LISTS_NONE + f"echo ran >>$0.log; sleep {seconds}\n" + gtest(1))

    def estimate(self, seconds):
        self.addCleanup(setattr, run, "LEAST_SECONDS", run.LEAST_SECONDS)
        run.LEAST_SECONDS = 0
        original = parts.Part.__init__.__defaults__
        self.addCleanup(setattr, parts.Part.__init__, "__defaults__", original)
        parts.Part.__init__.__defaults__ = (seconds, *original[1:])

    def test_what_does_not_fit_is_left_and_said(self):
        self.estimate(90)
        code, printed, report = self.go("--minutes", "1")
        self.assertEqual((code, report["parts"], report["passed"]), (3, [], True))
        self.assertEqual(report["left"], [{"name": "a_test", "estimate": 90}, {"name": "b_test", "estimate": 90}])
        self.assertIn("left: 2 parts, about 3 minutes: a_test, b_test", printed)
        self.assertEqual(self.runs("a_test"), 0)

    def test_what_comes_later_and_fits_is_run(self):
        self.estimate(20)
        self.program(self.folder / "bin/cuda_limits_benchmark", "")  # 40 s
        self.program(self.folder / "bin/cuda_gemm_benchmark", "exit 1\n")  # 30 to 200 s
        code, _, report = self.go("--minutes", "0.55", "--only", "a_test", "--only", "limits", "--only", "gemm/bf16/ragged")
        self.assertEqual((code, self.outcomes(report)), (1, {"a_test": "passed", "gemm/bf16/ragged": "failed"}))
        self.assertIn({"name": "limits/kernels", "estimate": 40}, report["left"])

    def test_a_part_that_time_ends_is_left_not_failed(self):
        self.estimate(0)
        self.slow("a_test", 30)
        code, printed, report = self.go("--minutes", "0.02")
        self.assertEqual(code, 3)
        self.assertEqual(report["parts"][0]["outcome"], "left")
        self.assertIn("time was up after", printed)
        self.assertEqual([part["name"] for part in report["left"]], ["a_test", "b_test"])
        # It is not what a later call of as little time begins with.
        code, _, report = self.go("--continue", "--minutes", "0.02")
        self.assertEqual((code, self.outcomes(report)), (3, {"a_test": "left", "b_test": "passed"}))
        self.assertEqual(self.runs("a_test"), 1)
        self.assertGreaterEqual(report["left"][0]["estimate"], 1.5 * report["parts"][0]["seconds"])
        # The time limit of the part itself is still a failure.
        part = parts.Part("slow", "test", ["sleep", "30"], timeout=0.1)
        self.assertEqual(run.run_part(self.folder, part, seconds=20)["outcome"], "failed")

    def test_a_later_call_goes_on(self):
        self.assertEqual(self.go("--only", "a_test")[0], 0)
        code, printed, report = self.go("--continue")
        self.assertEqual(code, 0)
        self.assertEqual(self.outcomes(report), {"a_test": "passed", "b_test": "passed"})
        self.assertEqual((self.runs("a_test"), self.runs("b_test"), len(report["calls"])), (1, 1, 2))
        self.assertEqual(report["left"], [])
        self.go("--continue", "--again", "--only", "a_test")
        self.assertEqual((self.runs("a_test"), self.runs("b_test")), (2, 1))
        self.go()  # anew
        self.assertEqual((self.runs("a_test"), self.runs("b_test")), (3, 2))

    def test_an_outcome_stays_where_there_was_no_time_for_another(self):
        self.estimate(0)
        self.assertEqual(self.go()[0], 0)
        self.slow("a_test", 30)
        _, printed, report = self.go("--continue", "--again", "--only", "a_test", "--minutes", "0.02")
        self.assertEqual(self.runs("a_test"), 2)
        self.assertIn("time was up after", printed)
        self.assertEqual(self.outcomes(report), {"a_test": "passed", "b_test": "passed"})
        self.assertEqual(report["left"], [])

    def test_a_failure_of_an_earlier_call_still_counts(self):
        self.program(self.folder / "tests/a_test", gtest(1, failed=1))
        self.assertEqual(self.go("--only", "a_test")[0], 1)
        code, _, report = self.go("--continue")
        self.assertEqual((code, report["passed"]), (1, False))
        self.program(self.folder / "tests/a_test", gtest(1))
        code, _, report = self.go("--continue", "--again", "--only", "a_test")
        self.assertEqual((code, report["passed"], len(report["parts"])), (0, True, 2))

    def test_what_was_skipped_is_tried_again(self):
        self.with_no_modules()
        run.missing_modules = lambda part: "Python here lacks torch" if part.name == "a_test" else ""
        code, _, report = self.go()
        self.assertEqual((code, self.outcomes(report)["a_test"], report["left"]), (0, "skipped", []))
        run.missing_modules = lambda part: ""
        self.assertEqual(self.outcomes(self.go("--continue")[2])["a_test"], "passed")

    def test_results_of_another_device_or_package_are_refused(self):
        self.go("--only", "a_test")
        self.program(self.tools / "nvidia-smi", 'echo "H2, 1.2, ' + ", ".join(["x"] * 10) + '"\n')
        code, printed, _ = self.go("--continue")
        self.assertEqual(code, 2)
        self.assertIn("figures of two devices cannot be compared", printed)
        self.program(self.tools / "nvidia-smi", 'echo "H, 1.2, ' + ", ".join(["x"] * 10) + '"\n')
        (self.folder / "package.json").write_text('{"version": "1.2.3", "commit": "def"}')
        code, printed, report = self.go("--continue")
        self.assertEqual(code, 2)
        self.assertIn("'commit': 'abc'", printed)
        self.assertEqual(self.outcomes(report), {"a_test": "passed"})  # as it was

    def test_results_that_are_none_are_refused(self):
        for text in ("", "[]", "{}", '{"format": "modelbatch.gpu_check.1"}', '{"format": "modelbatch.gpu_check.2"}'):
            (pathlib.Path(self.temporary.name) / "results.json").write_text(text)
            with contextlib.redirect_stderr(io.StringIO()) as printed:
                code = run.main([f"--output={self.temporary.name}/results.json", "--continue"], self.folder,
                                lambda: (1, ""))
            self.assertEqual(code, 2, text)
            self.assertIn("--continue: ", printed.getvalue())

    def test_a_machine_without_a_device_keeps_what_there_is(self):
        self.go("--only", "a_test")
        code, _, report = self.go("--continue", devices=0)
        self.assertEqual((code, self.outcomes(report)), (2, {"a_test": "passed"}))

    def test_minutes_are_above_zero(self):
        for minutes in ("0", "-1", "nan"):
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
                self.go("--minutes", minutes)


class PartsTest(Runner):
    def test_correctness_comes_first_and_then_what_the_goals_are_about(self):
        self.program(self.folder / "tests/few_test", LISTS_FEW + gtest(1))
        for name in ("cuda_limits_benchmark", "cuda_gemm_benchmark", "compare", "training_step_benchmark"):
            self.program(self.folder / "bin" / name, "")
        for name in ("equivalence/x_test.py",):
            (self.folder / "python/tests/equivalence").mkdir(parents=True)
            (self.folder / "python/tests" / name).write_text("")
        (self.folder / "python/torch_bmm_benchmark.py").write_text("")
        found = parts.all_parts(self.folder, "/tmp/x")
        kinds = [part.kind for part in found]
        self.assertEqual(kinds, sorted(kinds, key=["test", "sanitizer", "equivalence", "benchmark"].index))
        names = [part.name for part in found]
        self.assertEqual(len(set(names)), len(names))
        figures = [part.figures for part in found if part.figures]
        self.assertEqual(len(set(figures)), len(figures))
        benchmarks = [part.name for part in found if part.kind == "benchmark"]
        self.assertEqual(benchmarks[:2], ["limits/kernels", "limits/torch"])
        for name in ("gemm/bf16/key", "gemm/bf16/ragged", "gemm/bf16/torch.bmm/key", "compare/bf16/mlp_1024/16",
                     "compare/fp32/mlp_small/1024"):
            self.assertLess(benchmarks.index(name), benchmarks.index("gemm/bf16/forward"))
        for precision in ("fp32", "tf32", "bf16"):
            self.assertGreaterEqual(len([n for n in names if n.startswith(f"compare/{precision}/")]), 8)
        for part in found:
            self.assertLessEqual(part.estimate, part.timeout, part.name)
            self.assertLessEqual(part.timeout, 600, part.name)

    def test_the_key_cases_are_cases_of_the_benchmark(self):
        case = "ours/forward/bf16_of_fp32/width:64/rows:128/models:64/uniform/L2:cold/manual_time"
        key, ragged, _ = parts.gemm_parts(self.folder, "/tmp/x", "bf16", key=True)
        pattern = next(word for word in key.command if word.startswith("--benchmark_filter=")).partition("=")[2]
        self.assertRegex(case, pattern)
        for other in (case.replace("cold", "hot"), case.replace("rows:128", "rows:32"), case.replace("bf16_of_fp32", "tf32"),
                      case.replace("uniform", "ragged")):
            self.assertNotRegex(other, pattern)
        pattern = next(word for word in ragged.command if word.startswith("--benchmark_filter=")).partition("=")[2]
        self.assertRegex(case.replace("uniform", "ragged"), pattern)
        self.assertNotRegex(case, pattern)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
