"""The macros every BUILD file of Equipoise uses, and the compiler flags of our own code.

Flags that must be equal in every translation unit, generated ones too (language, target CPU,
floating-point contraction, sanitizers), are in .bazelrc; warnings and optimisation are here.
"""

load("//configs/bazel:cuda.bzl", "cuda_archive")

_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Werror",
]

# Lock annotations (absl/base/thread_annotations.h) are checked by clang only.
_CLANG_WARNINGS = [
    "-Wthread-safety",
    "-Werror=thread-safety",
]

# Instrumented code sends GCC's flow analysis astray (-Wmaybe-uninitialized, -Wtsan).
_SANITIZER_WARNINGS = ["-Wno-error"]

EQ_COPTS = _WARNINGS + select({
    "//configs/bazel:clang": _CLANG_WARNINGS,
    "//conditions:default": [],
}) + select({
    "//configs/bazel:opt": ["-O3"],
    "//conditions:default": [],
}) + select({
    "//configs/bazel:sanitizer": _SANITIZER_WARNINGS,
    "//conditions:default": [],
})

# What a program needs besides its own dependencies.
_PROGRAM_DEPS = select({
    "//configs/bazel:sanitizer": ["//configs/bazel/sanitizers:defaults"],
    "//conditions:default": [],
})

# Layers are enforced by the compiler where it can (clang): a file may include only the headers of
# targets it names in `deps`.
_FEATURES = ["layering_check"]

def eq_cc_library(name, copts = [], features = [], **kwargs):
    """cc_library with Equipoise's flags."""
    native.cc_library(
        name = name,
        copts = EQ_COPTS + copts,
        features = _FEATURES + features,
        **kwargs
    )

def eq_cc_binary(name, copts = [], features = [], deps = [], **kwargs):
    """cc_binary with Equipoise's flags."""
    native.cc_binary(
        name = name,
        copts = EQ_COPTS + copts,
        features = _FEATURES + features,
        deps = deps + _PROGRAM_DEPS,
        **kwargs
    )

def eq_cc_test(name, copts = [], features = [], deps = [], size = "small", **kwargs):
    """cc_test with Equipoise's flags and GoogleTest's main()."""
    native.cc_test(
        name = name,
        size = size,
        copts = EQ_COPTS + copts,
        features = _FEATURES + features,
        deps = deps + ["@sys//:gtest_main"] + _PROGRAM_DEPS,
        **kwargs
    )

def eq_proto_library(name, srcs, deps = [], visibility = None):
    """proto_library `name` and its C++ counterpart `name` with "_proto" replaced by "_cc_proto".

    Args:
      name: ends in "_proto"; //x:run_proto gives //x:run_cc_proto.
      srcs: .proto files.
      deps: other proto_library targets.
      visibility: of both targets.
    """
    if not name.endswith("_proto"):
        fail("eq_proto_library: the name %r must end in '_proto'" % name)
    native.proto_library(
        name = name,
        srcs = srcs,
        deps = deps,
        visibility = visibility,
    )
    native.cc_proto_library(
        name = name[:-len("_proto")] + "_cc_proto",
        deps = [":" + name],
        visibility = visibility,
    )

def eq_mpi_test(
        name,
        srcs,
        deps = [],
        ranks = [2],
        copts = [],
        features = [],
        data = [],
        args = [],
        env = {},
        size = "small",
        tags = [],
        timeout = None,
        visibility = None):
    """A test program run under mpirun, once for each number of ranks.

    Makes `name`_bin (the program; `deps` must bring a main() that initialises MPI), one test
    `name`_np<R> for each R of `ranks`, and the suite `name` of them. Rank 0 writes the test report.

    Args:
      name: of the suite.
      srcs: as in cc_test.
      deps: as in cc_test.
      ranks: numbers of ranks, one test each.
      copts: as in cc_test.
      features: as in cc_test.
      data: as in cc_test.
      args: given to every rank.
      env: environment variables of every rank.
      size: as in cc_test.
      tags: as in cc_test.
      timeout: as in cc_test.
      visibility: of the suite.
    """
    binary = name + "_bin"
    eq_cc_binary(
        name = binary,
        testonly = True,
        srcs = srcs,
        copts = copts,
        features = features,
        deps = deps,
    )
    tests = []
    for num_ranks in ranks:
        test = "%s_np%d" % (name, num_ranks)
        tests.append(":" + test)
        native.sh_test(
            name = test,
            size = size,
            timeout = timeout,
            srcs = ["//configs/bazel:mpi_test.sh"],
            args = ["$(rootpath :%s)" % binary, str(num_ranks)] + args,
            data = [
                ":" + binary,
                "//configs/bazel:mpi_environment.sh",
            ] + data,
            env = env,
            # Ranks yield while they wait, so two cores serve any number of them.
            tags = tags + ["cpu:2", "mpi"],
        )
    native.test_suite(
        name = name,
        tests = tests,
        visibility = visibility,
    )

def eq_cuda_library(name, srcs, hdrs = [], deps = [], testonly = None, visibility = None):
    """A cc_library whose .cu sources nvcc compiles (sm_90a); needs --config=cuda.

    Args:
      name: of the cc_library.
      srcs: .cu files, and headers (.cuh, .h) that only they include.
      hdrs: as in cc_library.
      deps: as in cc_library; the CUDA runtime is added.
      testonly: as in cc_library.
      visibility: as in cc_library.
    """
    tags = ["manual"]  # `bazel build //...` without --config=cuda must not look for nvcc.
    all_deps = deps + ["@cuda//:cudart"]
    cuda_archive(
        name = name + "_cuda",
        srcs = srcs,
        hdrs = hdrs,
        tags = tags,
        testonly = testonly,
        deps = all_deps,
    )
    native.cc_library(
        name = name,
        srcs = [":" + name + "_cuda"],
        hdrs = hdrs,
        linkstatic = True,
        tags = tags,
        testonly = testonly,
        visibility = visibility,
        deps = all_deps,
    )
