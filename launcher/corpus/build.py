"""Builds the quickstart corpus from unpacked packages: build.py ROOT OUTPUT_DIR.

Writes DOMAIN.train.{bytes,docs} and DOMAIN.validation.{bytes,docs} for every domain, and
SUMMARY.txt, the table that corpus.sh prints.
"""

import os
import sys

import byte_documents
import sources

DOMAINS = {
    "prose": lambda root: sources.novels(root, "janeaustenr"),
    "dictionary": lambda root: sources.dictionary(root, "foldoc"),
    "manuals": lambda root: sources.plain_files(root, "usr/share/perl", ".pod"),
    "code": lambda root: sources.plain_files(root, "usr/lib", ".py"),
    "german": lambda root: sources.manual_pages(root, "de"),
    "french": lambda root: sources.manual_pages(root, "fr"),
}

# Less text than this in a domain means that a package is not what it was: stop instead of training
# on nothing.
FEWEST_BYTES = 1 << 20


def build_domain(name, root, output):
    """Writes both splits of a domain; returns its row of the table."""
    documents = [(name + "/" + key, text.encode("utf-8")) for key, text in DOMAINS[name](root)]
    train, validation = byte_documents.split(documents)
    rows = []
    for split, texts in (("train", train), ("validation", validation)):
        size = byte_documents.write(os.path.join(output, name + "." + split), texts)
        rows += [len(texts), size]
    if rows[1] < FEWEST_BYTES or not rows[3]:
        sys.exit("corpus: domain %s: expected at least %d bytes for training and some for "
                 "validation, found %d and %d; its package has another layout here: use text files "
                 "of your own (docs/data.md)" % (name, FEWEST_BYTES, rows[1], rows[3]))
    return [name] + rows


def main():
    root, output = sys.argv[1:]
    rows = [build_domain(name, root, output) for name in DOMAINS]
    rows.append(["total"] + [sum(row[i] for row in rows) for i in range(1, 5)])
    heads = ["domain", "documents", "train bytes", "val. docs", "val. bytes"]
    lines = ["%-12s %10s %12s %10s %12s" % tuple(heads)]
    lines += ["%-12s %10d %12d %10d %12d" % tuple(row) for row in rows]
    with open(os.path.join(output, "SUMMARY.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
