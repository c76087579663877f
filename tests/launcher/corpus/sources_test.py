"""launcher/corpus/*.py on made-up packages: sources_test.py SCRIPTS_FOLDER."""

import os
import struct
import sys
import tempfile

import fake_packages

sys.path.insert(0, sys.argv[1])
import byte_documents  # noqa: E402
import sources  # noqa: E402


def check_equal(found, expected):
    assert found == expected, "expected %r, found %r" % (expected, found)


def test_byte_documents_layout(folder):
    prefix = os.path.join(folder, "x")
    check_equal(byte_documents.write(prefix, [b"abc", b"", b"de"]), 5)
    check_equal(sources.read_bytes(prefix + ".bytes"), b"abcde")
    check_equal(sources.read_bytes(prefix + ".docs"),
                b"EQDOCS1\n" + struct.pack("<5Q", 3, 0, 3, 3, 5))


def test_split_is_by_id_and_without_duplicates(folder):
    del folder
    documents = [("d/%d" % n, b"text %d" % n) for n in range(20000)]
    train, validation = byte_documents.split(documents)
    check_equal(len(train) + len(validation), 20000)
    # Binomial: 600 expected, standard deviation 24; five of them either way.
    assert 480 <= len(validation) <= 720, len(validation)
    # The same documents in another company stay where they were.
    fewer, fewer_validation = byte_documents.split(documents[::2])
    assert set(fewer) <= set(train) and set(fewer_validation) <= set(validation)
    train, validation = byte_documents.split([("a", b"x"), ("b", b"x"), ("c", b"y")])
    check_equal(sorted(train + validation), [b"x", b"y"])


def test_roff(folder):
    del folder
    page = r'''.\" a comment
.TH LS 1 "Sept" "x"
.SH NAME
ls \- list \fBall\fP files\" not seen
.de XX
hidden
..
.TP
\fB\-a\fR, \f(CW\-\-all\f[R]
Ersetzt \(Fo.\(Fc und \[u00E9]\(aq
.BR ls (1)
.B "two words" more
.IP \(bu 2
point\&.
.TS
table
.TE
.unknown thing


.PP
'quoted' stays? no: a request
back\eslash\ and \s-1small\s0
'''
    check_equal(sources.roff_text(page), """NAME

ls - list all files

-a, --all
Ersetzt «.» und é'
ls(1)
two words more

*
point.

back\\slash and small
""")
    check_equal(sources.roff_text(".Dd today\n.Sh NAME\n"), None)


def test_dictionary(folder):
    long = "x" * 5000 + "\n"
    index, data = fake_packages.dictd([
        (["00-database-info"], "about"), (["one", "uno"], "first\n"), (["two"], long),
        (["three"], "größer\n")])
    fake_packages.save(folder, "usr/share/dictd/d.index", index)
    fake_packages.save(folder, "usr/share/dictd/d.dict.dz", data)
    check_equal([text for _, text in sources.dictionary(folder, "d")],
                ["first\n", long, "größer\n"])


def test_novels(folder):
    for version in (2, 3):
        lines = ["TITLE", "preface " * 40, "Chapter 1", "ä" * 300, "CHAPTER II", "b" * 300]
        lines += [""] * 99
        fake_packages.save(folder, "usr/lib/R/site-library/p/data/Rdata.rdb",
                           fake_packages.r_vector(["short"], version) +
                           fake_packages.r_vector(lines, version))
        found = list(sources.novels(folder, "p"))
        check_equal([key for key, _ in found], ["TITLE/000", "TITLE/001", "TITLE/002"])
        check_equal(found[1][1], "Chapter 1\n" + "ä" * 300 + "\n")
        check_equal(found[2][1], "CHAPTER II\n" + "b" * 300 + "\n")


def test_plain_files(folder):
    fake_packages.save(folder, "lib/b/x.py", b"x" * 300)
    fake_packages.save(folder, "lib/a.py", "ü".encode() * 200)
    fake_packages.save(folder, "lib/short.py", b"x")
    fake_packages.save(folder, "lib/latin.py", b"\xe9" * 300)
    os.symlink("a.py", os.path.join(folder, "lib/link.py"))
    check_equal(list(sources.plain_files(folder, "lib", ".py")),
                [("a.py", "ü" * 200), ("b/x.py", "x" * 300)])


def main():
    tests = [value for name, value in sorted(globals().items()) if name.startswith("test_")]
    for test in tests:
        with tempfile.TemporaryDirectory() as folder:
            test(folder)
    print("sources_test: %d passed" % len(tests))


if __name__ == "__main__":
    main()
