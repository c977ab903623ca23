"""LibTorch (@libtorch) and a Python that imports torch (@pytorch), both from the wheel on PyPI.

Nothing is downloaded before a target that needs one of them is built; then once per machine, into the user's cache.
"""

def _install(ctx, kind):
    """Returns the paths of the virtual environment and of its torch package."""
    cache = ctx.os.environ.get("XDG_CACHE_HOME") or ctx.os.environ["HOME"] + "/.cache"
    python = ctx.which("python3")
    if not python:
        fail("python3 is not in PATH; the torch wheel is installed with its pip")
    for pins in [ctx.attr._requirements, ctx.attr._nvidia_libraries]:
        ctx.path(pins)  # a change of the pins fetches again
    command = [python, ctx.path(ctx.attr._install), cache + "/modelbatch/pytorch", kind]

    # Twice: progress goes to the terminal only when the output is not captured.
    ctx.execute(command, quiet = False, timeout = 3600)
    result = ctx.execute(command + ["--print"])
    if result.return_code != 0:
        fail("installing PyTorch failed:\n" + result.stderr)
    return result.stdout.splitlines()

_ATTRS = {
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
    environ = ["HOME", "XDG_CACHE_HOME"],
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
    attrs = dict(_ATTRS, _launcher = attr.label(default = "//third_party/pytorch:run.sh.tpl")),
    environ = ["HOME", "XDG_CACHE_HOME"],
    local = True,
)
