"""cuda_archive: .cu files compiled by nvcc into one static archive."""

_NVCC_FLAGS = [
    "-std=c++20",
    "-O3",
    "-arch=sm_90a",
    "--Werror=all-warnings",
    "--expt-relaxed-constexpr",
    # As on the CPU: a*b+c is fused only where the source says so.
    "--fmad=false",
    "-Xcompiler=-fPIC,-Wall,-Wextra,-march=x86-64-v3,-ffp-contract=off",
]

_HEADER_EXTENSIONS = ("h", "cuh", "hpp", "inc")

def _cuda_archive_impl(ctx):
    compilation = cc_common.merge_cc_infos(
        cc_infos = [dep[CcInfo] for dep in ctx.attr.deps],
    ).compilation_context
    headers = depset(
        ctx.files.hdrs + [f for f in ctx.files.srcs if f.extension in _HEADER_EXTENSIONS],
        transitive = [compilation.headers],
    )

    flags = ctx.actions.args()
    flags.add_all(_NVCC_FLAGS)
    flags.add_all(compilation.defines, format_each = "-D%s")
    flags.add_all(["."] + compilation.includes.to_list(), format_each = "-I%s")
    flags.add_all(compilation.quote_includes, format_each = "-I%s")
    flags.add_all(compilation.system_includes, format_each = "-isystem=%s")

    objects = []
    for source in ctx.files.srcs:
        if source.extension in _HEADER_EXTENSIONS:
            continue
        output = ctx.actions.declare_file("%s_objs/%s.o" % (ctx.label.name, source.basename))
        objects.append(output)
        ctx.actions.run(
            executable = ctx.executable._nvcc,
            arguments = [flags, "-c", source.path, "-o", output.path],
            inputs = depset([source], transitive = [headers]),
            outputs = [output],
            mnemonic = "CudaCompile",
            progress_message = "Compiling %s with nvcc" % source.short_path,
            use_default_shell_env = True,
        )

    archive = ctx.actions.declare_file("lib%s.pic.a" % ctx.label.name)
    ctx.actions.run_shell(
        command = 'rm -f "$1" && exec ar rcsD "$@"',
        arguments = [archive.path] + [o.path for o in objects],
        inputs = objects,
        outputs = [archive],
        mnemonic = "CudaArchive",
    )
    return [DefaultInfo(files = depset([archive]))]

cuda_archive = rule(
    implementation = _cuda_archive_impl,
    attrs = {
        "srcs": attr.label_list(allow_files = [".cu"] + ["." + e for e in _HEADER_EXTENSIONS]),
        "hdrs": attr.label_list(allow_files = True),
        "deps": attr.label_list(providers = [CcInfo]),
        "_nvcc": attr.label(default = "@cuda//:nvcc", executable = True, cfg = "exec"),
    },
)
