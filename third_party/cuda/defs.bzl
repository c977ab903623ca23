"""cuda_library: CUDA sources compiled with the machine's nvcc, linked like any cc_library. cuda_code: their code.

The interface is that of rules_cuda's rule of the same name. On a machine without a CUDA toolkit the target, and what
depends on it, is skipped.
"""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")
load("@cuda_toolkit//:defs.bzl", "NVCC")

# Ampere for the portable kernels, Hopper with its architecture-specific instructions, and PTX for what comes after.
_ARCHITECTURES = [
    "-gencode=arch=compute_80,code=sm_80",
    "-gencode=arch=compute_90a,code=sm_90a",
    "-gencode=arch=compute_90,code=compute_90",
]

def _arguments(ctx, cc_toolchain, context):
    """What all compilations have in common."""
    args = ctx.actions.args()
    args.add_all(["-ccbin", cc_toolchain.compiler_executable])
    args.add_all(["-std=c++17", "-O3", "-DNDEBUG", "--threads=0"])
    args.add("-fmad=%s" % ("true" if ctx.attr.fmad else "false"))
    args.add_all(["-Xcompiler", "-fPIC,-Wall,-Wextra"])
    args.add("-Werror=all-warnings")
    args.add_all(context.defines, before_each = "-D")
    args.add_all(context.quote_includes, format_each = "-I%s")
    args.add_all(context.includes, format_each = "-I%s")
    args.add_all(context.system_includes, before_each = "-isystem")
    args.add_all(ctx.attr.copts)
    return args

def _inputs(ctx, cc_toolchain, context, source):
    return depset([source] + ctx.files.hdrs, transitive = [context.headers, cc_toolchain.all_files])

def _compile(ctx, cc_toolchain, context, source):
    """Compiles one file; returns its object."""
    output = ctx.actions.declare_file("_objs/%s/%s.o" % (ctx.label.name, source.basename))
    args = ctx.actions.args()
    args.add_all(["-c", source, "-o", output])
    args.add_all(_ARCHITECTURES)
    ctx.actions.run(
        executable = NVCC,
        arguments = [args, _arguments(ctx, cc_toolchain, context)],
        inputs = _inputs(ctx, cc_toolchain, context, source),
        outputs = [output],
        mnemonic = "CudaCompile",
        progress_message = "Compiling %s with nvcc" % source.short_path,
        # nvcc looks for its own programs and for the host compiler in PATH.
        use_default_shell_env = True,
    )
    return output

def _cuda_library_impl(ctx):
    cc_toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = cc_toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    deps = cc_common.merge_cc_infos(cc_infos = [dep[CcInfo] for dep in ctx.attr.deps])
    own = cc_common.create_compilation_context(
        headers = depset(ctx.files.hdrs),
        quote_includes = depset([".", ctx.genfiles_dir.path, ctx.bin_dir.path]),
    )
    merged = cc_common.merge_cc_infos(cc_infos = [CcInfo(compilation_context = own), deps])
    objects = [
        _compile(ctx, cc_toolchain, merged.compilation_context, source)
        for source in ctx.files.srcs
        if source.extension == "cu"
    ]
    linking, _ = cc_common.create_linking_context_from_compilation_outputs(
        name = ctx.label.name,
        actions = ctx.actions,
        feature_configuration = features,
        cc_toolchain = cc_toolchain,
        compilation_outputs = cc_common.create_compilation_outputs(
            objects = depset(objects),
            pic_objects = depset(objects),
        ),
        linking_contexts = [deps.linking_context],
        alwayslink = ctx.attr.alwayslink,
        # A shared library for each target, as tests link by default, would be without the static CUDA runtime.
        disallow_dynamic_library = True,
    )
    return [
        DefaultInfo(files = depset(objects)),
        CcInfo(compilation_context = merged.compilation_context, linking_context = linking),
    ]

_ATTRS = {
    "copts": attr.string_list(doc = "Further options for nvcc."),
    "deps": attr.label_list(providers = [CcInfo]),
    "fmad": attr.bool(doc = "Whether nvcc may contract a * b + c. Off: fp32 has one order of roundings, written out " +
                            "with __fmaf_rn where it is a fused one."),
    "hdrs": attr.label_list(allow_files = [".h", ".cuh"]),
    "srcs": attr.label_list(allow_files = [".cu", ".cuh", ".h"]),
    "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
}

_cuda_library = rule(
    implementation = _cuda_library_impl,
    attrs = dict(_ATTRS, alwayslink = attr.bool()),
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)

def _cuda_code_impl(ctx):
    cc_toolchain = find_cpp_toolchain(ctx)
    context = cc_common.merge_cc_infos(cc_infos = [dep[CcInfo] for dep in ctx.attr.deps] + [CcInfo(
        compilation_context = cc_common.create_compilation_context(
            quote_includes = depset([".", ctx.genfiles_dir.path, ctx.bin_dir.path]),
        ),
    )]).compilation_context
    outputs = []
    for source in ctx.files.srcs:
        for arch in ["80", "90a"]:
            name = "%s_%s_sm_%s" % (ctx.label.name, source.basename[:-len(".cu")], arch)
            ptx = ctx.actions.declare_file(name + ".ptx")
            report = ctx.actions.declare_file(name + ".ptxas.txt")
            args = ctx.actions.args()
            args.add_all([ptx, report, NVCC, "sm_" + arch])
            args.add_all(["-ptx", source, "-o", ptx, "-gencode=arch=compute_%s,code=compute_%s" % (arch, arch)])
            ctx.actions.run_shell(
                command = 'ptx=$1 report=$2 nvcc=$3 arch=$4; shift 4; "$nvcc" "$@" && ' +
                          '"${nvcc%nvcc}ptxas" -v -O3 -arch="$arch" "$ptx" -o /dev/null 2>"$report" || ' +
                          '{ cat "$report" >&2; exit 1; }',
                arguments = [args, _arguments(ctx, cc_toolchain, context)],
                inputs = _inputs(ctx, cc_toolchain, context, source),
                outputs = [ptx, report],
                mnemonic = "CudaCode",
                progress_message = "Assembling %s for sm_%s" % (source.short_path, arch),
                use_default_shell_env = True,
            )
            outputs += [ptx, report]
    return [DefaultInfo(files = depset(outputs), runfiles = ctx.runfiles(outputs))]

_cuda_code = rule(
    implementation = _cuda_code_impl,
    attrs = _ATTRS,
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)

def cuda_code(name, deps = [], **kwargs):
    """What becomes of CUDA sources, for tests that look at it.

    For each source and each architecture of cuda_library: <name>_<source>_sm_<arch>.ptx, and .ptxas.txt, which is what
    ptxas says of registers, memory and spills.

    Args:
      name: The target's name.
      deps: Libraries whose headers it includes. The CUDA runtime is added.
      **kwargs: srcs (.cu), copts, fmad and the common attributes.
    """
    _cuda_code(
        name = name,
        deps = deps + ["@cuda_toolkit//:cudart"],
        **kwargs
    )

def cuda_library(name, deps = [], **kwargs):
    """A library of CUDA sources.

    Args:
      name: The target's name.
      deps: Libraries whose headers it includes. The CUDA runtime is added.
      **kwargs: srcs (.cu and private headers), hdrs, copts, fmad, alwayslink and the common attributes.
    """
    _cuda_library(
        name = name,
        deps = deps + ["@cuda_toolkit//:cudart"],
        **kwargs
    )
