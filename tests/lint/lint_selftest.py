#!/usr/bin/env python3
"""Each lint check finds what it is for, and nothing in a tree that is in order."""

import unittest

import build_test
import docs_test
import include_test
import length_test
import script_test
import words_test
from tree import SourceFile


def one(path, text):
    return [SourceFile(path, text)]


class IncludeTest(unittest.TestCase):
    TREE = [
        SourceFile("core/a.h", '#include "absl/status/status.h"\n#include <vector>\n'),
        SourceFile("comm/b.h", '#include "core/a.h"\n'),
        SourceFile("comm/backends/mpi/handle.h", "#include <mpi.h>\n"),
        SourceFile("comm/backends/mpi/mpi.cc", '#include "comm/backends/mpi/handle.h"\n'),
        SourceFile("core/ops/cuda/k.cu", "#include <cuda_runtime.h>\n"),
    ]

    def problems(self, path, text):
        return include_test.check(self.TREE + one(path, text))

    def test_a_tree_in_order_has_no_problems(self):
        self.assertEqual(include_test.check(self.TREE), [])

    def test_upward_include(self):
        (problem,) = self.problems("core/x.cc", '\n#include "comm/b.h"\n')
        self.assertIn("core/x.cc:2: core/ may not include comm/b.h", problem)

    def test_sideways_include(self):
        self.assertEqual(len(self.problems("routing/x.cc", '#include "comm/b.h"\n')), 1)

    def test_relative_include(self):
        (problem,) = self.problems("core/x.cc", '#include "a.h"\n')
        self.assertIn("relative", problem)

    def test_missing_header(self):
        (problem,) = self.problems("core/x.cc", '#include "core/none.h"\n')
        self.assertIn("does not exist", problem)

    def test_direct_mpi(self):
        (problem,) = self.problems("parallel/x.cc", "#include <mpi.h>\n")
        self.assertIn("parallel/x.cc:1: reaches MPI (mpi.h)", problem)

    def test_mpi_through_our_header(self):
        text = '#include "comm/b.h"\n#include "comm/backends/mpi/handle.h"\n'
        (problem,) = self.problems("parallel/x.h", text)
        self.assertIn("parallel/x.h:2: reaches MPI", problem)

    def test_cuda_outside_its_folder(self):
        for header in ("cuda_runtime.h", "cublas_v2.h", "cudnn.h", "cub/cub.cuh"):
            self.assertEqual(len(self.problems("core/x.h", f"#include <{header}>\n")), 1, header)

    def test_protobuf_only_in_launcher_config(self):
        tree = [SourceFile("configs/schema/run.proto", "")]
        text = '#include "configs/schema/run.pb.h"\n'
        self.assertEqual(include_test.check(tree + one("launcher/config/c.cc", text)), [])
        self.assertEqual(len(include_test.check(tree + one("launcher/main.cc", text))), 1)


class BuildTest(unittest.TestCase):
    def test_public_library(self):
        text = 'eq_cc_library(\n    name = "a",\n    visibility = ["//visibility:public"],\n)\n'
        (problem,) = build_test.check(one("core/x/BUILD", text))
        self.assertIn("core/x/BUILD:3:", problem)

    def test_no_visibility(self):
        self.assertEqual(len(build_test.check(one("core/x/BUILD", 'eq_cc_library(name = "a")'))), 1)

    def test_another_layers_group(self):
        text = 'package(default_visibility = ["//comm:users"])'
        self.assertEqual(len(build_test.check(one("core/x/BUILD", text))), 1)

    def test_native_rule(self):
        text = 'package(default_visibility = ["//core:users"])\ncc_library(name = "a")'
        (problem,) = build_test.check(one("core/x/BUILD", text))
        self.assertIn("core/x/BUILD:2: cc_library lacks our flags", problem)

    def test_in_order(self):
        text = 'package(default_visibility = ["//core:users"])\neq_cc_library(name = "a")'
        self.assertEqual(build_test.check(one("core/x/BUILD", text)), [])


class LengthTest(unittest.TestCase):
    def test_file(self):
        self.assertEqual(length_test.check(one("core/a.py", "x = 1\n" * 400)), [])
        self.assertEqual(len(length_test.check(one("core/a.py", "x = 1\n" * 401))), 1)

    def test_function(self):
        def function(lines):
            return one("core/a.cc", "\nvoid F(int x) {\n" + "  G();\n" * (lines - 2) + "}\n")

        self.assertEqual(length_test.check(function(60)), [])
        (problem,) = length_test.check(function(61))
        self.assertIn("core/a.cc:2: a function of 61 lines", problem)

    def test_signature_of_several_lines(self):
        text = "void F(int x,\n       int y) {\n  G();\n}\n" + "int z;\n" * 80
        self.assertEqual(length_test.check(one("core/a.cc", text)), [])

    def test_constructor_with_initialisers(self):
        text = "A::A(int x)\n    : x_(x) {\n  G('{', \"{\");  // {\n}\n" + "int z;\n" * 80
        self.assertEqual(length_test.check(one("core/a.cc", text)), [])

    def test_a_class_is_no_function(self):
        text = "class A : public B<void()> {\n" + "  int x;\n" * 80 + "};\n"
        self.assertEqual(length_test.check(one("core/a.cc", text)), [])


class WordsTest(unittest.TestCase):
    GUARD = "#ifndef EQUIPOISE_CORE_A_H_\n#define EQUIPOISE_CORE_A_H_\n%s\n#endif\n"

    def test_words(self):
        for text in ("int x;  // TODO: y", "exit(1);", "std::abort();", "absl::Mutex m;",
                     "std::mt19937 g;", "using namespace std;", 'std::cout << "x";',
                     "TEST(A, DISABLED_B) {", "GTEST_SKIP();",
                     '#include "absl/synchronization/mutex.h"'):
            self.assertEqual(len(words_test.check(one("core/a.cc", text))), 1, text)

    def test_innocent(self):
        for text in ("x.exit();", "// exit(1) would end it", "snprintf(b, n, f);", "OnExit(1);"):
            self.assertEqual(words_test.check(one("core/a.cc", text)), [], text)

    def test_programs_may_exit(self):
        self.assertEqual(words_test.check(one("launcher/a.cc", "exit(1);")), [])

    def test_guard(self):
        self.assertEqual(words_test.check(one("core/a.h", self.GUARD % "int x;")), [])
        self.assertEqual(len(words_test.check(one("core/b.h", self.GUARD % "int x;"))), 1)


class ScriptTest(unittest.TestCase):
    def test_shell(self):
        good = "#!/usr/bin/env bash\nset -e\necho\n"
        self.assertEqual(script_test.check(one("tests/a.sh", good)), [])
        (problem,) = script_test.check(one("tests/a.sh", good + "if true; then\n"))
        self.assertIn("tests/a.sh:", problem)

    def test_python(self):
        (problem,) = script_test.check(one("tests/a.py", "x = 1\ndef f(:\n"))
        self.assertIn("tests/a.py:2:", problem)


class DocsTest(unittest.TestCase):
    def test_links(self):
        text = "[a](b.md) [c](gone.md)\n[d](https://x.y/z) [e](#here)\n"
        problems = docs_test.check(one("docs/a.md", text), exists=lambda p: p == "docs/b.md")
        self.assertEqual(len(problems), 1)
        self.assertIn("docs/a.md:1: gone.md", problems[0])


if __name__ == "__main__":
    unittest.main()
