"""Python programs that import torch: comparisons with PyTorch in tests and benchmarks."""

def torch_py_test(name, main, srcs = [], data = [], args = [], **kwargs):
    """A test that runs `main` with torch, numpy and safetensors at the versions pinned here.

    Modules of the repository are imported by their path from its root. The other arguments are those of sh_test.

    Args:
      name: The target's name.
      main: The Python file to run. The test passes if it exits with 0.
      srcs: Python files that it imports.
      data: Files that it reads or runs.
      args: Its arguments; $(location ...) is expanded.
      **kwargs: Passed on: size, tags, visibility and so on.
    """
    native.sh_test(
        name = name,
        srcs = ["@pytorch//:run.sh"],
        args = ["$(location %s)" % main] + args,
        data = depset([main] + srcs + data).to_list(),
        **kwargs
    )

def torch_py_binary(name, main, srcs = [], data = [], args = [], **kwargs):
    """The same for `bazel run`, whose further arguments follow `args`."""
    native.sh_binary(
        name = name,
        srcs = ["@pytorch//:run.sh"],
        args = ["$(location %s)" % main] + args,
        data = depset([main] + srcs + data).to_list(),
        **kwargs
    )
