"""The CUDA toolkit of this machine as @cuda_toolkit, with or without one."""

# The kernels use what came with this release (wgmma through sm_90a, CCCL's TMA wrappers).
_MINIMUM = 13

def _candidates(ctx):
    """Folders to look in: the one that the user says, or else the usual place and where nvcc is in PATH."""
    told = ctx.os.environ.get("CUDA_HOME") or ctx.os.environ.get("CUDA_PATH")
    if told:
        return [told]
    nvcc = ctx.which("nvcc")
    return ["/usr/local/cuda"] + ([str(nvcc.realpath.dirname.dirname)] if nvcc else [])

def _release(ctx, folder):
    """The major release of nvcc in `folder`, or 0."""
    nvcc = ctx.path(folder + "/bin/nvcc")
    if not nvcc.exists:
        return 0
    words = ctx.execute([nvcc, "--version"]).stdout.split("release ")
    return int(words[1].split(".")[0]) if len(words) > 1 else 0

def _cuda_repository_impl(ctx):
    for folder in _candidates(ctx):
        if _release(ctx, folder) >= _MINIMUM:
            ctx.symlink(folder + "/include", "include")
            ctx.symlink(folder + "/lib64/libcudart_static.a", "libcudart_static.a")
            ctx.file("defs.bzl", "CUDA_AVAILABLE = True\n\nNVCC = %r\n" % (folder + "/bin/nvcc"))
            ctx.symlink(ctx.attr._present, "BUILD")
            return
    ctx.file("defs.bzl", "CUDA_AVAILABLE = False\n\nNVCC = None\n")
    ctx.symlink(ctx.attr._absent, "BUILD")
    message = ("No CUDA toolkit %d or newer (looked in $CUDA_HOME, or else /usr/local/cuda and PATH): " +
               "what needs one is skipped.") % _MINIMUM
    ctx.execute(["echo", message], quiet = False)

cuda_repository = repository_rule(
    implementation = _cuda_repository_impl,
    doc = "Declares @cuda_toolkit//:cudart; without a toolkit, whatever depends on it is skipped.",
    attrs = {
        "_absent": attr.label(default = "//third_party/cuda:absent.BUILD"),
        "_present": attr.label(default = "//third_party/cuda:present.BUILD"),
    },
    configure = True,
    environ = ["CUDA_HOME", "CUDA_PATH", "PATH"],
    local = True,
)
