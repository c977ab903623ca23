"""A Python that imports JAX (@jax), from the wheels on PyPI. Nothing is downloaded before //benchmarks:compare is built."""

load("//third_party/python:defs.bzl", "ENVIRONMENT_VARIABLES", "install_environment")

def _jax_repository_impl(ctx):
    environment = install_environment(
        ctx,
        ctx.attr._install,
        [ctx.attr._environment, ctx.attr._requirements],
        ["jax"],
    )[0]
    ctx.template("run.sh", ctx.attr._launcher, {"%{python}": environment + "/bin/python"}, executable = True)
    ctx.file("BUILD", "exports_files([\"run.sh\"])\n")

jax_repository = repository_rule(
    implementation = _jax_repository_impl,
    doc = "Declares @jax//:run.sh, which runs a Python file with jax and numpy.",
    attrs = {
        "_environment": attr.label(default = "//third_party/python:environment.py"),
        "_install": attr.label(default = "//third_party/jax:install.py"),
        "_launcher": attr.label(default = "//third_party/python:run.sh.tpl"),
        "_requirements": attr.label(default = "//third_party/jax:requirements.txt"),
    },
    environ = ENVIRONMENT_VARIABLES,
    # Looked at again by each new server, in case the cache was removed.
    local = True,
)
