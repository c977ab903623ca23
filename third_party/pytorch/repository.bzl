"""LibTorch (@libtorch) and a Python that imports torch (@pytorch), both from the wheel on PyPI.

Nothing is downloaded before a target that needs one of them is built; then once per machine, into the user's cache.
"""

load("//third_party/python:defs.bzl", "ENVIRONMENT_VARIABLES", "install_environment")

def _install(ctx, kind):
    """Returns the paths of the virtual environment and of its torch package."""
    return install_environment(
        ctx,
        ctx.attr._install,
        [ctx.attr._environment, ctx.attr._nvidia_libraries, ctx.attr._requirements],
        ["pytorch", kind],
    )

_ATTRS = {
    "_environment": attr.label(default = "//third_party/python:environment.py"),
    "_install": attr.label(default = "//third_party/pytorch:install.py"),
    "_nvidia_libraries": attr.label(default = "//third_party/pytorch:nvidia_libraries.txt"),
    "_requirements": attr.label(default = "//third_party/pytorch:requirements.txt"),
}

def _libtorch_repository_impl(ctx):
    _, torch = _install(ctx, "cpp")
    ctx.symlink(torch + "/include", "include")
    ctx.template("BUILD", ctx.attr._build_file, {"%{lib}": torch + "/lib"})

libtorch_repository = repository_rule(
    implementation = _libtorch_repository_impl,
    doc = "Declares @libtorch//:torch_cpu.",
    attrs = dict(_ATTRS, _build_file = attr.label(default = "//third_party/pytorch:libtorch.BUILD")),
    environ = ENVIRONMENT_VARIABLES,
    # Looked at again by each new server, in case the cache was removed.
    local = True,
)

def _pytorch_repository_impl(ctx):
    environment, _ = _install(ctx, "python")
    ctx.template("run.sh", ctx.attr._launcher, {"%{python}": environment + "/bin/python"}, executable = True)
    ctx.file("BUILD", "exports_files([\"run.sh\"])\n")

pytorch_repository = repository_rule(
    implementation = _pytorch_repository_impl,
    doc = "Declares @pytorch//:run.sh, which runs a Python file with torch, numpy and safetensors.",
    attrs = dict(_ATTRS, _launcher = attr.label(default = "//third_party/python:run.sh.tpl")),
    environ = ENVIRONMENT_VARIABLES,
    local = True,
)
