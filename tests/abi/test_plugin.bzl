"""Plugins for tests of the ABI: as modelbatch_plugin, without the tests that every real plugin must pass."""

load("@rules_cc//cc:defs.bzl", "cc_binary")

# Each is minimal_plugin.c with one thing changed: -DDEFECT_<name>.
DEFECTS = [
    "abi_0_2",
    "bad_outcome",
    "code_zero",
    "empty_build_id",
    "empty_name",
    "later_minor",
    "longer_struct",
    "malformed_name",
    "missing_symbol",
    "negative_score",
    "no_outcome",
    "null_api",
    "null_backend",
    "null_capabilities",
    "null_dataset",
    "null_message",
    "null_name",
    "null_plan",
    "null_reason",
    "null_required",
    "null_sanitizer",
    "null_session",
    "null_version",
    "short_struct",
    "tiny_struct",
    "unknown_code",
    "wrong_major",
]

# The same, with what no check can survive: for tests that ask in another process. These are called as their files are.
LETHAL_DEFECTS = [
    "abort_in_create",
    "crash_at_exit",
    "crash_at_load",
    "crash_in_get_api",
    "exit_at_load",
    "exit_in_probe",
    "hang_at_load",
    "hang_in_probe",
    "leaves_a_process",
]

# Not defects, but what a plugin may do. Also called as their files are.
VARIANTS = [
    "prints",
    "scores_high",
    "scores_high_then_refuses",
    "scores_zero",
]

# Of headers in place of today's: what 1.0 was, and a 1.2 in which every struct has grown.
VERSIONS = [
    "1_0",
    "1_2",
]

def test_plugin(name, srcs, deps = [], copts = [], linkopts = [], script = "//plugins:plugin.lds", folder = "", visibility = None):
    """Declares libmodelbatch_<name>.so for tests.

    Args:
      name: The plugin's name.
      srcs: Its sources.
      deps: Their dependencies.
      copts: Compiler options.
      linkopts: Further linker options.
      script: The linker's version script, which says what is exported.
      folder: Where the library lies in the package: "" or "folder/".
      visibility: Visibility of the library.
    """
    cc_binary(
        name = folder + "libmodelbatch_%s.so" % name,
        testonly = True,
        srcs = srcs,
        copts = copts,
        linkopts = [
            "-Wl,--version-script,$(location %s)" % script,
            "-Wl,--build-id=sha1",
        ] + linkopts,
        linkshared = True,
        visibility = visibility,
        deps = deps + [script],
    )

def defective_plugins():
    """Declares a plugin for each of DEFECTS, and `minimal`, which has none."""
    for defect in DEFECTS + LETHAL_DEFECTS + VARIANTS + ["minimal"]:
        test_plugin(
            name = defect,
            srcs = ["minimal_plugin.c"],
            copts = ["-std=gnu11", "-DDEFECT_" + defect] + (
                [] if defect in DEFECTS else ["-DPLUGIN_NAME=\\\"%s\\\"" % defect]
            ),
            visibility = ["//tests:__subpackages__"],
            deps = ["//modelbatch/plugin:c_api"],
        )
