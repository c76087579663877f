"""Makes small trees like those of the unpacked packages: fake_packages.py ROOT."""

import gzip
import os
import struct
import sys
import zlib

BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def save(root, path, data):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as file:
        file.write(data)


def r_vector(lines, version=3):
    """A character vector in R's XDR serialisation, as a lazy-load database holds it."""
    data = b"X\n" + struct.pack(">iii", version, 0x40000, 0x30500)
    if version >= 3:
        data += struct.pack(">i", 5) + b"UTF-8"
    data += struct.pack(">ii", 16, len(lines))
    for line in lines:
        text = line.encode("utf-8")
        data += struct.pack(">ii", 0x40009, len(text)) + text
    return struct.pack(">I", len(data)) + zlib.compress(data)


def dictd(entries):
    """(index, data) of a dictionary; `entries` are (headwords, text)."""
    def number(value):
        digits = BASE64[value % 64]
        while value >= 64:
            value //= 64
            digits = BASE64[value % 64] + digits
        return digits
    index, data = [], b""
    for words, text in entries:
        raw = text.encode("utf-8")
        index += ["%s\t%s\t%s\n" % (word, number(len(data)), number(len(raw))) for word in words]
        data += raw
    return "".join(index).encode("utf-8"), gzip.compress(data)


def filler(name, number, size):
    """`size` characters or a few more, different for every name and number."""
    line = "%s %d: the quick brown fox, Straße, élève %%d\n" % (name, number)
    return "".join(line % i for i in range(size // len(line) + 1))


def make(root, documents=400, size=3500):
    """A tree with `documents` documents of `size` characters in every domain."""
    for number in range(documents):
        text = filler("doc", number, size)
        save(root, "usr/share/perl/5/pod/p%03d.pod" % number, ("pod " + text).encode())
        save(root, "usr/lib/python3/m%03d.py" % number, ("py " + text).encode())
        for language in ("de", "fr"):
            page = ".TH %s 1\n.SH NAME\n%s %s" % (language, language, text)
            save(root, "usr/share/man/%s/man1/p%03d.1.gz" % (language, number),
                 gzip.compress(page.encode()))
    lines = ["A TITLE", ""]
    for number in range(documents):
        lines += ["Chapter %d" % (number + 1)] + filler("novel", number, size).splitlines()
    save(root, "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb",
         r_vector(["too short"]) + r_vector(lines))
    index, data = dictd([(["00-database-short"], "about")] + [
        (["word%d" % n], filler("entry", n, size)) for n in range(documents)])
    save(root, "usr/share/dictd/foldoc.index", index)
    save(root, "usr/share/dictd/foldoc.dict.dz", data)


if __name__ == "__main__":
    make(*sys.argv[1:])
