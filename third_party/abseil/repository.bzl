"""The system's Abseil under the labels of its own Bazel build.

What depends on what is read from Abseil's pkg-config files. The shared libraries are linked: the static ones are not
built for use inside another shared library, which a plugin is.
"""

_LIB_DIRS = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
]

# Package -> target -> pkg-config module, without its "absl_".
_TARGETS = {
    "algorithm": {"algorithm": "algorithm", "container": "algorithm_container"},
    "base": {
        "base": "base",
        "config": "config",
        "core_headers": "core_headers",
        "dynamic_annotations": "dynamic_annotations",
        "endian": "endian",
        "log_severity": "log_severity",
        "prefetch": "prefetch",
        "raw_logging_internal": "raw_logging_internal",
    },
    "cleanup": {"cleanup": "cleanup"},
    "container": {
        "btree": "btree",
        "fixed_array": "fixed_array",
        "flat_hash_map": "flat_hash_map",
        "flat_hash_set": "flat_hash_set",
        "inlined_vector": "inlined_vector",
        "node_hash_map": "node_hash_map",
        "node_hash_set": "node_hash_set",
    },
    "debugging": {
        "failure_signal_handler": "failure_signal_handler",
        "leak_check": "leak_check",
        "stacktrace": "stacktrace",
        "symbolize": "symbolize",
    },
    "flags": {
        "commandlineflag": "flags_commandlineflag",
        "config": "flags_config",
        "flag": "flags",
        "marshalling": "flags_marshalling",
        "parse": "flags_parse",
        "reflection": "flags_reflection",
        "usage": "flags_usage",
    },
    "functional": {
        "any_invocable": "any_invocable",
        "bind_front": "bind_front",
        "function_ref": "function_ref",
    },
    "hash": {"hash": "hash"},
    "memory": {"memory": "memory"},
    "meta": {"type_traits": "type_traits"},
    "numeric": {"bits": "bits", "int128": "int128"},
    "random": {
        "bit_gen_ref": "random_bit_gen_ref",
        "distributions": "random_distributions",
        "random": "random_random",
        "seed_sequences": "random_seed_sequences",
    },
    "status": {"status": "status", "statusor": "statusor"},
    "strings": {
        "cord": "cord",
        "str_format": "str_format",
        "strings": "strings",
    },
    "synchronization": {"synchronization": "synchronization"},
    "time": {"time": "time"},
    "types": {
        "any": "any",
        "compare": "compare",
        "optional": "optional",
        "span": "span",
        "variant": "variant",
    },
    "utility": {"utility": "utility"},
}

_HEADER = """load("@rules_cc//cc:defs.bzl", "cc_library")

package(default_visibility = ["//visibility:public"])
"""

def _field(text, key):
    """The value of the line `key: value` of a pkg-config file."""
    for line in text.splitlines():
        if line.startswith(key + ":"):
            return line[len(key) + 1:].strip()
    return ""

def _library(module, text):
    requires = [entry.split("=")[0].strip() for entry in _field(text, "Requires").split(",")]
    linkopts = [flag for flag in _field(text, "Libs").split(" ") if flag.startswith("-labsl_")]
    return "\ncc_library(\n    name = %r,\n    linkopts = %r,\n    deps = %r,\n)\n" % (
        module,
        linkopts,
        [":" + name for name in requires if name],
    )

def _abseil_repository_impl(ctx):
    modules = {}
    for folder in _LIB_DIRS:
        pkgconfig = ctx.path(folder + "/pkgconfig")
        if not modules and pkgconfig.exists:
            for path in pkgconfig.readdir():
                if path.basename.startswith("absl_") and path.basename.endswith(".pc"):
                    modules[path.basename[:-len(".pc")]] = ctx.read(path)
    if "absl_status" not in modules:
        fail("Abseil is not installed: run the build as tools/bazel, which installs what is missing, or " +
             "`apt-get install libabsl-dev`")

    ctx.file("pkgconfig/BUILD", _HEADER + "".join([
        _library(module, modules[module])
        for module in sorted(modules)
    ]))
    for package, targets in _TARGETS.items():
        ctx.file("absl/%s/BUILD" % package, "package(default_visibility = [\"//visibility:public\"])\n" + "".join([
            "\nalias(\n    name = %r,\n    actual = %r,\n)\n" % (name, "//pkgconfig:absl_" + module)
            for name, module in targets.items()
            # A release may lack a module, or have renamed it.
            if "absl_" + module in modules
        ]))

abseil_repository = repository_rule(
    implementation = _abseil_repository_impl,
    doc = "Declares @com_google_absl//absl/... over the Abseil of the package libabsl-dev.",
    # Looked at again by each new server, in case another release was installed.
    local = True,
)
