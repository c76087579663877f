#!/usr/bin/env python3
"""Turns text into Megatron token files, which `equipoise train` and Megatron-LM read.

  launcher/tokenize.py --tokenizer tokenizer.json --eod '<|endoftext|>' --output data/books *.jsonl

writes data/books.bin and data/books.idx. Inputs are JSONL (one document a line, in the field that
--key names; *.jsonl or *.jsonl.gz) or UTF-8 text (one document a file; *.gz is decompressed).

Tokenizers:
  bytes             every byte is a token, 256 ends a document; nothing to install
  FILE.json         a Hugging Face tokenizer.json; needs the Python module `tokenizers`
  FILE.model        a SentencePiece model; needs the Python module `sentencepiece`

Exit status: 0 written; 1 an input could not be read or the output not be written; 2 bad usage or
a broken tokenizer; 3 a Python module is missing.
"""

import os
import sys

# This file has the name of a module of the standard library: its folder, which Python puts first,
# must not be searched, or modules that import `tokenize` would get this program.
_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != _HERE]

import argparse  # noqa: E402
import array  # noqa: E402
import json  # noqa: E402
import struct  # noqa: E402
import zlib  # noqa: E402

BYTES_EOD = 256


class InputError(Exception):
    """Something about the user's input; the text says what and what to do."""


class UsageError(InputError):
    """A wrong option."""


class ModuleMissing(InputError):
    """A Python module that is not installed."""


class Tokenizer:
    """encode: str -> list of ids; vocab_size; eod: the id that ends a document, or None."""

    def __init__(self, encode, vocab_size, eod):
        self.encode, self.vocab_size, self.eod = encode, vocab_size, eod


def _import(name):
    try:
        return __import__(name)
    except ImportError as error:
        raise ModuleMissing(
            "the Python module '%s' is missing (%s); install it with 'python3 -m pip install %s', "
            "in a virtual environment if you like, or use --tokenizer bytes"
            % (name, error, name)) from None


def _load_model(path, kind, load):
    """What `load`() makes of a tokenizer's file. The libraries raise plain Exceptions about it."""
    try:
        return load()
    except Exception as error:
        raise UsageError("--tokenizer: %s is not a valid %s (%s); fetch or train it again"
                         % (path, kind, " ".join(str(error).split()))) from None


def load_tokenizer(name, eod):
    """The tokenizer of --tokenizer; `eod` is the text of --eod, "none", or None if not given."""
    if name == "bytes":
        if eod not in (None, "none"):
            raise UsageError("--eod: the tokenizer 'bytes' ends documents with %d" % BYTES_EOD)
        return Tokenizer(lambda text: list(text.encode("utf-8")), BYTES_EOD + 1,
                         None if eod == "none" else BYTES_EOD)
    if not name.endswith((".json", ".model")):
        raise UsageError("--tokenizer: expected 'bytes', FILE.json or FILE.model, found %r" % name)
    if not os.path.isfile(name):
        raise UsageError("--tokenizer: no file %r" % name)
    load = _load_hugging_face if name.endswith(".json") else _load_sentencepiece
    return load(name, eod)


def _load_hugging_face(path, eod):
    module = _import("tokenizers")
    model = _load_model(path, "Hugging Face tokenizer.json",
                        lambda: module.Tokenizer.from_file(path))
    if eod is None:
        raise UsageError("--eod: name the token of %s that ends a document (for example "
                         "'<|endoftext|>' or '</s>'), or 'none'" % path)
    eod_id = None if eod == "none" else model.token_to_id(eod)
    if eod != "none" and eod_id is None:
        raise UsageError("--eod: %s has no token %r" % (path, eod))
    return Tokenizer(lambda text: model.encode(text, add_special_tokens=False).ids,
                     model.get_vocab_size(with_added_tokens=True), eod_id)


def _load_sentencepiece(path, eod):
    module = _import("sentencepiece")
    model = _load_model(path, "SentencePiece model",
                        lambda: module.SentencePieceProcessor(model_file=path))
    eod_id = None
    if eod is None:
        eod_id = model.eos_id()
    elif eod != "none":
        eod_id = model.piece_to_id(eod)
        if model.id_to_piece(eod_id) != eod:
            raise UsageError("--eod: %s has no piece %r" % (path, eod))
    if eod_id is not None and eod_id < 0:
        raise UsageError("--eod: %s has no end-of-sentence piece; name one, or 'none'" % path)
    return Tokenizer(model.encode, model.get_piece_size(), eod_id)


class MegatronWriter:
    """Writes PREFIX.bin and PREFIX.idx, one sequence a document, through temporary names: the files
    appear complete, .idx last, or not at all."""

    def __init__(self, prefix, vocab_size):
        self._prefix = prefix
        # Megatron's own rule.
        self._code, self._type = (8, "H") if vocab_size < 65500 else (4, "i")
        self._lengths = array.array("i")
        self._data = open(prefix + ".bin.tmp", "wb")

    def add(self, ids):
        tokens = array.array(self._type, ids)
        if sys.byteorder == "big":
            tokens.byteswap()
        self._data.write(tokens.tobytes())
        self._lengths.append(len(ids))

    def finish(self):
        """Returns the numbers of documents and tokens."""
        self._data.close()
        count = len(self._lengths)
        width = 2 if self._type == "H" else 4
        pointers, at = [], 0
        for length in self._lengths:
            pointers.append(at)
            at += length * width
        with open(self._prefix + ".idx.tmp", "wb") as index:
            index.write(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, self._code, count, count + 1))
            index.write(struct.pack("<%di" % count, *self._lengths))
            index.write(struct.pack("<%dq" % count, *pointers))
            index.write(struct.pack("<%dq" % (count + 1), *range(count + 1)))
        for suffix in (".bin", ".idx"):
            os.replace(self._prefix + suffix + ".tmp", self._prefix + suffix)
        return count, at // width

    def abandon(self):
        """Removes what was begun."""
        self._data.close()
        for suffix in (".bin.tmp", ".idx.tmp"):
            if os.path.exists(self._prefix + suffix):
                os.remove(self._prefix + suffix)


def _open_text(path):
    if path.endswith(".gz"):
        import gzip
        return gzip.open(path, "rt", encoding="utf-8")
    # newline="": a text's own line ends are kept.
    return open(path, encoding="utf-8", newline="")


def _text_of(line, key, place):
    """The document in a line of JSONL; `place` says which line, for errors."""
    try:
        text = json.loads(line)[key]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("%s: expected a JSON object with the field %r (%s: %s)"
                         % (place, key, type(error).__name__, error)) from None
    if not isinstance(text, str):
        raise InputError("%s: expected a string in the field %r, found %s"
                         % (place, key, type(text).__name__))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError("%s: the field %r is not Unicode text: character %d is \\u%04x, half of a "
                         "surrogate pair; mend or remove the line"
                         % (place, key, error.start, ord(text[error.start]))) from None
    return text


def documents(path, key):
    """Yields the documents of one input file."""
    with _open_text(path) as file:
        if not path.endswith((".jsonl", ".jsonl.gz")):
            yield file.read()
            return
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            yield _text_of(line, key, "%s:%d" % (path, number))


def tokenize(options):
    """Writes the files of `options`; returns the numbers of documents and tokens."""
    tokenizer = load_tokenizer(options.tokenizer, options.eod)
    end = [] if tokenizer.eod is None else [tokenizer.eod]
    writer = MegatronWriter(options.output, tokenizer.vocab_size)
    try:
        for path in options.inputs:
            try:
                for text in documents(path, options.key):
                    writer.add(tokenizer.encode(text) + end)
            except UnicodeDecodeError as error:
                raise InputError("%s: expected UTF-8 text: %s" % (path, error)) from None
            except (EOFError, zlib.error) as error:
                raise InputError("%s: the compressed file is damaged or cut off (%s); copy it again"
                                 % (path, error)) from None
        counts = writer.finish()
    except BaseException:
        writer.abandon()
        raise
    print("%s.bin, %s.idx: %d documents, %d tokens; vocabulary %d, separator %s"
          % ((options.output, options.output) + counts + (tokenizer.vocab_size, tokenizer.eod)))


def main():
    parser = argparse.ArgumentParser(
        prog="tokenize.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="bytes, FILE.json or FILE.model")
    parser.add_argument("--output", required=True, metavar="PREFIX", help="of .bin and .idx")
    parser.add_argument("--eod", metavar="TOKEN", help="ends a document; 'none' to add nothing")
    parser.add_argument("--key", default="text", help="field of a JSONL line (default: text)")
    parser.add_argument("inputs", nargs="+", metavar="INPUT")
    try:
        tokenize(parser.parse_args())
    except (InputError, OSError) as error:
        print("tokenize: %s" % error, file=sys.stderr)
        if isinstance(error, ModuleMissing):
            return 3
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
