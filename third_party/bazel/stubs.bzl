"""Local stand-ins for the repositories that Bazel would otherwise download by itself."""

def _stub_repository_impl(ctx):
    ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % ctx.name)
    for source, path in ctx.attr.files.items():
        ctx.symlink(source, path)

_stub_repository = repository_rule(
    implementation = _stub_repository_impl,
    attrs = {"files": attr.label_keyed_string_dict(
        doc = "The stub's files and where they go in the repository.",
        allow_files = True,
    )},
)

def bazel_stubs():
    """Declares the stubs where Bazel is a distribution's build.

    Debian's Bazel knows no version of its own and is meant to work without a network, yet resolves three default
    repositories from it. A release of Bazel does have a version and keeps the repositories that it was tested with.
    """
    if native.bazel_version:
        return
    if not native.existing_rule("rules_cc"):
        _stub_repository(
            name = "rules_cc",
            files = {
                "@modelbatch//third_party/bazel:rules_cc.BUILD": "cc/BUILD",
                "@modelbatch//third_party/bazel:rules_cc.bzl": "cc/defs.bzl",
            },
        )
    if not native.existing_rule("rules_java"):
        _stub_repository(
            name = "rules_java",
            files = {
                "@modelbatch//third_party/bazel:rules_java.BUILD": "java/BUILD",
                "@modelbatch//third_party/bazel:rules_java.bzl": "java/defs.bzl",
            },
        )
    if not native.existing_rule("remote_coverage_tools"):
        _stub_repository(
            name = "remote_coverage_tools",
            files = {"@modelbatch//third_party/bazel:remote_coverage_tools.BUILD": "BUILD"},
        )
