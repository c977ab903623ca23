"""Everything ModelBatch needs from elsewhere. A repository that the workspace already has is left alone."""

load("//third_party:system_library.bzl", "system_library")
load("//third_party/abseil:repository.bzl", "abseil_repository")
load("//third_party/bazel:stubs.bzl", "bazel_stubs")
load("//third_party/cuda:repository.bzl", "cuda_repository")
load("//third_party/jax:repository.bzl", "jax_repository")
load("//third_party/pytorch:repository.bzl", "libtorch_repository", "pytorch_repository")

# name: (folder, header, Debian package)
_SYSTEM_LIBRARIES = {
    "cli11": ("cli11", "CLI/CLI.hpp", "libcli11-dev"),
    "com_github_google_benchmark": ("benchmark", "benchmark/benchmark.h", "libbenchmark-dev"),
    "com_google_googletest": ("googletest", "gmock/gmock.h", "libgmock-dev"),
    "libxsmm": ("libxsmm", "libxsmm.h", "libxsmm-dev"),
    "libzip": ("libzip", "zip.h", "libzip-dev"),
    "nlohmann_json": ("json", "nlohmann/json.hpp", "nlohmann-json3-dev"),
    "random123": ("random123", "Random123/philox.h", "librandom123-dev"),
    "tomlplusplus": ("tomlplusplus", "toml++/toml.h", "libtomlplusplus-dev"),
    "zlib": ("zlib", "zlib.h", "zlib1g-dev"),
}

def modelbatch_dependencies():
    """Declares ModelBatch's dependencies. Call it from WORKSPACE, after your own versions of any of them."""
    bazel_stubs()
    if not native.existing_rule("com_google_absl"):
        abseil_repository(name = "com_google_absl")
    if not native.existing_rule("cuda_toolkit"):
        cuda_repository(name = "cuda_toolkit")
    if not native.existing_rule("jax"):
        jax_repository(name = "jax")
    if not native.existing_rule("libtorch"):
        libtorch_repository(name = "libtorch")
    if not native.existing_rule("pytorch"):
        pytorch_repository(name = "pytorch")
    for name, (folder, header, package) in _SYSTEM_LIBRARIES.items():
        if not native.existing_rule(name):
            system_library(
                name = name,
                build_file = "@modelbatch//third_party:%s/package.BUILD" % folder,
                header = header,
                package = package,
            )
