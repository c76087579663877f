"""Repository rules that offer what the machine has installed: Debian's libraries and CUDA.

Nothing is downloaded. A missing package shows up as the compiler's "No such file or directory";
launcher/setup.sh installs them all.
"""

_HEADER = """\
package(default_visibility = ["//visibility:public"])

"""

def _cc_library(name, linkopts = [], includes = [], hdrs_glob = [], defines = [], deps = [],
                exclude = []):
    hdrs = "glob(%s, exclude = %s, allow_empty = True)" % (hdrs_glob, exclude) if hdrs_glob else "[]"
    return """\
cc_library(
    name = "{name}",
    hdrs = {hdrs},
    defines = {defines},
    includes = {includes},
    linkopts = {linkopts},
    deps = {deps},
)

""".format(
        name = name,
        hdrs = hdrs,
        defines = defines,
        includes = includes,
        linkopts = linkopts,
        deps = deps,
    )

def _as_needed(flags):
    # Abseil is many small libraries; a program should load only those it uses.
    return ["-Wl,--push-state,--as-needed"] + flags + ["-Wl,--pop-state"]

def _run(repository_ctx, command):
    """Standard output of `command`, or "" where it cannot run."""
    result = repository_ctx.execute(["bash", "-c", command])
    return result.stdout.strip() if result.return_code == 0 else ""

def _absl_flags(repository_ctx):
    found = _run(
        repository_ctx,
        "for d in $(${CXX:-g++} -print-search-dirs | sed -n 's/^libraries: =//p' | tr : ' '); do " +
        "ls $d 2>/dev/null; done | sed -n 's/^lib\\(absl_.*\\)\\.so$/\\1/p' | sort -u",
    )
    return ["-l" + name for name in found.split("\n") if name]

def _system_libraries_impl(repository_ctx):
    build = _HEADER
    build += _cc_library("pthread", linkopts = ["-pthread"])
    build += _cc_library("dl", linkopts = ["-ldl"])
    build += _cc_library(
        "absl",
        linkopts = _as_needed(_absl_flags(repository_ctx)),
        deps = [":pthread"],
    )
    build += _cc_library("gtest", linkopts = ["-lgmock", "-lgtest"], deps = [":pthread"])
    build += _cc_library("gtest_main", linkopts = ["-lgmock_main"], deps = [":gtest"])
    build += _cc_library("benchmark", linkopts = ["-lbenchmark"], deps = [":pthread"])
    build += _cc_library("onednn", linkopts = ["-ldnnl"])
    build += _cc_library("highway", linkopts = ["-lhwy"], defines = ["HWY_SHARED_DEFINE"])
    build += _cc_library("nlohmann_json")
    build += _cc_library("xxhash", linkopts = ["-lxxhash"])
    build += _cc_library("simdjson", linkopts = ["-lsimdjson"])
    build += _cc_library("zlib", linkopts = ["-lz"])

    # OpenMPI's headers lie outside the compiler's own directories, so they are linked into the
    # repository. Its C++ bindings were removed from the standard and only warn.
    directory = _run(repository_ctx, "mpicxx --showme:incdirs").split(" ")[0]
    if directory:
        repository_ctx.symlink(directory, "mpi")
    build += _cc_library(
        "mpi",
        hdrs_glob = ["mpi/**/*.h"],
        includes = ["mpi"],
        defines = ["OMPI_SKIP_MPICXX=1"],
        linkopts = ["-lmpi"],
    )
    repository_ctx.file("BUILD", build)

system_libraries = repository_rule(
    implementation = _system_libraries_impl,
    doc = "Debian's libraries, one cc_library each, found by the compiler's default search.",
    configure = True,
    environ = ["CXX"],
    local = True,
)

def _cuda_toolkit_impl(repository_ctx):
    root = repository_ctx.os.environ.get("CUDA_HOME", "/usr/local/cuda")
    build = _HEADER
    if repository_ctx.path(root).exists:
        repository_ctx.symlink(root + "/include", "include")
    library = ["-L%s/lib64" % root, "-Wl,-rpath,%s/lib64" % root]
    build += _cc_library(
        "headers",
        hdrs_glob = ["include/**"],
        exclude = ["include/cccl/**"],
        includes = ["include"],
    )
    build += _cc_library(
        "cudart",
        linkopts = library + ["-lcudart", "-ldl", "-lrt", "-lpthread"],
        deps = [":headers"],
    )
    build += _cc_library("cublas", linkopts = ["-lcublas", "-lcublasLt"], deps = [":cudart"])
    build += _cc_library("cudnn", linkopts = ["-lcudnn"], deps = [":cudart"])
    build += _cc_library("nccl", linkopts = ["-lnccl"], deps = [":cudart"])
    build += """\
sh_binary(
    name = "nvcc",
    srcs = ["nvcc.sh"],
)
"""
    repository_ctx.file("nvcc.sh", "#!/usr/bin/env bash\nexec %s/bin/nvcc \"$@\"\n" % root)
    repository_ctx.file("BUILD", build)

cuda_toolkit = repository_rule(
    implementation = _cuda_toolkit_impl,
    doc = "The CUDA toolkit with NCCL, cuBLAS and cuDNN under $CUDA_HOME or /usr/local/cuda.",
    configure = True,
    environ = ["CUDA_HOME"],
    local = True,
)
