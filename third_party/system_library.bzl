"""Makes a repository of a library that the system's package manager installed."""

_INCLUDE_DIRS = ["/usr/include", "/usr/local/include"]

def find_header(ctx, header, package):
    """Fails, naming the package to install, unless the compiler would find `header`."""
    for folder in _INCLUDE_DIRS:
        if ctx.path(folder + "/" + header).exists:
            return
    fail(("<%s> is not installed: run the build as tools/bazel, which installs what is missing, or " +
          "`apt-get install %s`") % (header, package))

def _system_library_impl(ctx):
    find_header(ctx, ctx.attr.header, ctx.attr.package)
    ctx.symlink(ctx.attr.build_file, "BUILD")

system_library = repository_rule(
    implementation = _system_library_impl,
    doc = "A repository whose BUILD file names headers and libraries in the system's folders.",
    # Looked at again by each new server, in case another release was installed.
    local = True,
    attrs = {
        "build_file": attr.label(mandatory = True, allow_single_file = True),
        "header": attr.string(mandatory = True, doc = "A header that shows that the library is there."),
        "package": attr.string(mandatory = True, doc = "The Debian package that has it."),
    },
)
