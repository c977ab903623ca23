"""modelbatch_plugin: a backend as a loadable library, declared together with the tests that every plugin must pass."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_test")

# Labels of this repository, also when another workspace calls the macro.
_SCRIPT = str(Label("//plugins:plugin.lds"))
_EXPORTS_TEST = str(Label("//plugins:exports_test.sh"))
_CONFORMANCE = str(Label("//tests/conformance"))

def modelbatch_plugin(
        name,
        srcs = [],
        deps = [],
        copts = [],
        linkopts = [],
        conformance_args = [],
        conformance_data = [],
        conformance_size = "small",
        conformance_tags = [],
        tags = [],
        testonly = False,
        visibility = None):
    """Declares libmodelbatch_<name>.so, an alias <name> for it, and its tests.

    The tests are <name>_exports_test (MB_GetPluginApi is the only exported symbol) and <name>_conformance_test
    (//tests/conformance, the suite that all plugins share, run on this one).

    Args:
      name: The backend's name.
      srcs: The sources of the shell, normally plugin.cc alone.
      deps: What they include. Repository code is linked in, with no symbol visible; Abseil as the workspace has it:
        the system's is a shared library.
      copts: Further compiler options.
      linkopts: Further linker options.
      conformance_args: Further arguments of the conformance test.
      conformance_data: Files that those name.
      conformance_size: Size of the conformance test.
      conformance_tags: Further tags of the conformance test.
      tags: Tags of all targets.
      testonly: Whether the plugin exists for tests only.
      visibility: Visibility of the library.
    """
    library = "libmodelbatch_%s.so" % name
    cc_binary(
        name = library,
        srcs = srcs,
        copts = ["-fvisibility=hidden"] + copts,
        linkopts = [
            "-Wl,--version-script,$(location %s)" % _SCRIPT,
            # A symbol that nothing provides fails here, not when a user loads the plugin.
            "-Wl,-z,defs",
            # Of the Abseil libraries that follow, only those that are called: each is one more to find and load.
            "-Wl,--as-needed",
            # Libraries shipped beside the plugin, or beside the folder of plugins, are found first.
            "-Wl,-rpath,$$ORIGIN:$$ORIGIN/..",
            # What a run records, to refuse resuming under another build.
            "-Wl,--build-id=sha1",
        ] + linkopts,
        linkshared = True,
        tags = tags,
        testonly = testonly,
        visibility = visibility,
        deps = deps + [_SCRIPT],
    )
    native.alias(
        name = name,
        actual = library,
        tags = tags,
        testonly = testonly,
        visibility = visibility,
    )
    native.sh_test(
        name = name + "_exports_test",
        size = "small",
        srcs = [_EXPORTS_TEST],
        args = ["$(location %s)" % library],
        data = [library],
        tags = tags,
    )
    cc_test(
        name = name + "_conformance_test",
        size = conformance_size,
        args = ["--plugin=$(location %s)" % library] + conformance_args,
        data = [library] + conformance_data,
        # The suite's library registers its tests when it is linked whole (alwayslink).
        linkstatic = True,
        tags = tags + conformance_tags,
        deps = [_CONFORMANCE],
    )
