"""launcher/tokenize.py: tokenize_test.py TOKENIZE FIXTURE_PREFIX.

The fixture is what the C++ reader is tested with (tests/core/data/token_file_test.cc).
"""

import array
import gzip
import json
import os
import struct
import subprocess
import sys
import tempfile

PROGRAM, FIXTURE = (os.path.abspath(path) for path in sys.argv[1:3])
SKIPPED = "skipped"
DOCUMENTS = ["First document.\n", "Zweites, größer.\n", ""]


def run(*arguments):
    return subprocess.run([sys.executable, "-B", PROGRAM, *arguments], capture_output=True,
                          text=True, check=False)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(name, text):
    with open(name, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def read_megatron(prefix):
    """Documents, by a reading of the format that shares nothing with the writer."""
    index, data = read(prefix + ".idx"), read(prefix + ".bin")
    assert index[:9] == b"MMIDIDX\0\0"
    version, code, count, boundaries = struct.unpack_from("<QBQQ", index, 9)
    assert (version, boundaries) == (1, count + 1), (version, boundaries)
    lengths = struct.unpack_from("<%di" % count, index, 34)
    pointers = struct.unpack_from("<%dq" % count, index, 34 + 4 * count)
    width, kind = {8: (2, "H"), 4: (4, "i")}[code]
    return [array.array(kind, data[p:p + n * width]).tolist() for p, n in zip(pointers, lengths)]


def test_bytes_are_the_fixture():
    write("in.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS))
    result = run("--tokenizer", "bytes", "--output", "out", "in.jsonl")
    assert result.returncode == 0, result
    assert "3 documents, 38 tokens; vocabulary 257, separator 256" in result.stdout, result
    for suffix in (".bin", ".idx"):
        assert read("out" + suffix) == read(FIXTURE + suffix), suffix
    assert not [name for name in os.listdir(".") if name.endswith(".tmp")]


def test_text_files_and_no_separator():
    write("a.txt", "one\r\n")
    write("b.txt", "zwei")
    result = run("--tokenizer", "bytes", "--eod", "none", "--output", "out", "b.txt", "a.txt")
    assert result.returncode == 0, result
    assert read_megatron("out") == [list(b"zwei"), list(b"one\r\n")]


def test_errors_leave_nothing():
    write("bad.jsonl", '{"text": "fine"}\n{"txt": 1}\n')
    write("number.jsonl", '{"text": 5}\n')
    write("ok.txt", "text")
    write("surrogate.jsonl", '{"text": "fine"}\n{"text": "ab\\ud800c"}\n')
    with open("latin.txt", "wb") as file:
        file.write(b"caf\xe9")
    with open("cut.txt.gz", "wb") as file:
        file.write(gzip.compress(b"some text" * 99)[:-9])
    for status, message, arguments in (
            (1, "bad.jsonl:2: expected a JSON object with the field 'text'", ["bad.jsonl"]),
            (1, "number.jsonl:1: expected a string", ["number.jsonl"]),
            (1, "surrogate.jsonl:2: the field 'text' is not Unicode text: character 2 is \\ud800",
             ["surrogate.jsonl"]),
            (1, "latin.txt: expected UTF-8", ["latin.txt"]),
            (1, "cut.txt.gz: the compressed file is damaged or cut off", ["cut.txt.gz"]),
            (1, "none.txt", ["none.txt"]),
            (2, "--eod", ["--eod", "</s>", "ok.txt"]),
            (2, "expected 'bytes', FILE.json or FILE.model", ["--tokenizer", "words", "ok.txt"]),
            (2, "no file", ["--tokenizer", "none.json", "ok.txt"]),
            (2, "INPUT", [])):
        result = run("--tokenizer", "bytes", "--output", "bad", *arguments)
        assert result.returncode == status, (arguments, result)
        assert message in result.stderr and "Traceback" not in result.stderr, (arguments, result)
        assert not [name for name in os.listdir(".") if name.startswith("bad.") and
                    name != "bad.jsonl"], arguments


def test_missing_module_is_named():
    write("x.json", "{}")
    write("x.model", "")
    write("ok.txt", "text")
    for name, module in (("x.json", "tokenizers"), ("x.model", "sentencepiece")):
        # -I -S: no site packages, so that the module is missing here whatever is installed.
        result = subprocess.run(
            [sys.executable, "-I", "-S", "-B", PROGRAM, "--tokenizer", name, "--output", "out",
             "ok.txt"], capture_output=True, text=True, check=False)
        assert result.returncode == 3, result
        assert "'%s' is missing" % module in result.stderr, result


BROKEN_MODULE = """
class Tokenizer:
    @staticmethod
    def from_file(path):
        raise Exception("Model missing.\\nat line 1")


class SentencePieceProcessor:
    def __init__(self, model_file):
        raise RuntimeError("INTERNAL: could not parse ModelProto\\nfrom it")
"""


def test_broken_tokenizers_are_told_in_one_line():
    write("x.json", "{}")
    write("x.model", "junk")
    write("ok.txt", "text")
    # Stand-ins that fail as the libraries do; the libraries themselves need not be installed.
    os.mkdir("stand_ins")
    for name, file, kind in (("tokenizers", "x.json", "Hugging Face tokenizer.json"),
                             ("sentencepiece", "x.model", "SentencePiece model")):
        write("stand_ins/%s.py" % name, BROKEN_MODULE)
        result = subprocess.run(
            [sys.executable, "-B", PROGRAM, "--tokenizer", file, "--output", "out", "ok.txt"],
            env=dict(os.environ, PYTHONPATH="stand_ins"), capture_output=True, text=True,
            check=False)
        assert result.returncode == 2, result
        assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr, result
        assert "%s is not a valid %s (" % (file, kind) in result.stderr, result


def test_hugging_face():
    try:
        import tokenizers
    except ImportError:
        print("tokenize_test: SKIPPED test_hugging_face: the module 'tokenizers' is not installed")
        return SKIPPED
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(alphabet)}
    model = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.add_special_tokens(["<|end|>"])
    model.save("tiny.json")
    write("in.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS))
    result = run("--tokenizer", "tiny.json", "--eod", "<|end|>", "--output", "out", "in.jsonl")
    assert result.returncode == 0, result
    found = read_megatron("out")
    assert found == [model.encode(text).ids + [256] for text in DOCUMENTS], found
    assert [len(ids) for ids in found] == [len(text.encode()) + 1 for text in DOCUMENTS]
    assert run("--tokenizer", "tiny.json", "--output", "out", "in.jsonl").returncode == 2
    write("broken.json", "{bad")
    broken = run("--tokenizer", "broken.json", "--eod", "none", "--output", "out", "in.jsonl")
    assert broken.returncode == 2 and "Traceback" not in broken.stderr, broken
    assert run("--tokenizer", "tiny.json", "--eod", "no", "--output", "out",
               "in.jsonl").returncode == 2


def test_sentencepiece():
    try:
        import sentencepiece
    except ImportError:
        print("tokenize_test: SKIPPED test_sentencepiece: the module 'sentencepiece' is not "
              "installed")
        return SKIPPED
    write("train.txt", "\n".join(DOCUMENTS[:2] * 50))
    sentencepiece.SentencePieceTrainer.train(
        input="train.txt", model_prefix="tiny", vocab_size=300, model_type="bpe",
        byte_fallback=True, hard_vocab_limit=False, minloglevel=2)
    write("in.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS))
    result = run("--tokenizer", "tiny.model", "--output", "out", "in.jsonl")
    assert result.returncode == 0, result
    model = sentencepiece.SentencePieceProcessor(model_file="tiny.model")
    assert read_megatron("out") == [model.encode(t) + [model.eos_id()] for t in DOCUMENTS]
    write("broken.model", "junk")
    broken = run("--tokenizer", "broken.model", "--output", "out", "in.jsonl")
    assert broken.returncode == 2 and "Traceback" not in broken.stderr, broken


def main():
    tests = [value for name, value in sorted(globals().items()) if name.startswith("test_")]
    skipped = 0
    for test in tests:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            skipped += test() is SKIPPED
            os.chdir("/")
    print("tokenize_test: %d passed, %d skipped" % (len(tests) - skipped, skipped))


if __name__ == "__main__":
    main()
