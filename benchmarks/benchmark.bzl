"""google_benchmark: a Google Benchmark program, declared together with the test that it works."""

load("@rules_cc//cc:defs.bzl", "cc_binary")

def google_benchmark(name, srcs, deps, on_plugin = False):
    """Declares the program <name>, and <name>_test, which runs one iteration of each of its benchmarks.

    Args:
      name: The program's name.
      srcs: Its sources.
      deps: What they include.
      on_plugin: Whether it takes --backend and --models (plugin_benchmark.h). The test runs it with two models.
    """
    cc_binary(
        name = name,
        testonly = True,
        srcs = srcs,
        data = ["//plugins/cpu"] if on_plugin else [],
        deps = deps,
    )
    native.sh_test(
        name = name + "_test",
        size = "small",
        srcs = ["//benchmarks:run_benchmark_test.sh"],
        args = ["$(location %s)" % name] + (["--backend=cpu", "--models=2"] if on_plugin else []),
        data = [name],
    )
