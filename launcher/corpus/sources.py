"""Documents out of unpacked Debian packages: one function a kind of source.

Each takes the folder that holds the packages' files and yields (id, text) pairs: the id is stable
across machines and package versions, the text is a str.
"""

import os
import re
import struct
import zlib

# Shorter documents say nothing: redirections, empty stubs.
SHORTEST = 200


def files_under(root, folder, suffix):
    """Paths relative to `root`, sorted, of the regular files (no links) with that suffix."""
    found = []
    for path, _, names in os.walk(os.path.join(root, folder)):
        for name in names:
            full = os.path.join(path, name)
            if name.endswith(suffix) and not os.path.islink(full):
                found.append(os.path.relpath(full, root))
    return sorted(found)


def read_bytes(path):
    """The content of a file, decompressed where its name says gzip.

    By zlib, as the gzip module is not part of Debian's python3-minimal.
    """
    with open(path, "rb") as file:
        data = file.read()
    if not path.endswith((".gz", ".dz")):
        return data
    parts = []
    while data:
        stream = zlib.decompressobj(wbits=31)  # a gzip member
        parts.append(stream.decompress(data) + stream.flush())
        data = stream.unused_data
    return b"".join(parts)


def read_utf8(path):
    """The text of a file; None when it is not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return None


def plain_files(root, folder, suffix):
    """Every file is a document."""
    for path in files_under(root, folder, suffix):
        text = read_utf8(os.path.join(root, path))
        if text is not None and len(text) >= SHORTEST:
            yield os.path.relpath(path, folder), text


# --- Manual pages -----------------------------------------------------------------------------

_CHARACTERS = {
    "aq": "'", "dq": '"', "bu": "*", "em": "-", "en": "-", "hy": "-", "lq": '"', "rq": '"',
    "oq": "'", "cq": "'", "rs": "\\", "ti": "~", "ha": "^", "co": "(C)", "mu": "x", "->": "->",
    "<=": "<=", ">=": ">=", "+-": "+-", "Fo": "«", "Fc": "»", "ga": "`", "de": "°",
}
_ESCAPE = re.compile(
    r"\\(?:"
    r"(?P<comment>[\"#].*)"
    r"|f(?:\[[^\]]*\]|\(..|.)"  # a font
    r"|s(?:\[[^\]]*\]|[-+]?\d)"  # a size
    r"|[*n](?:\[[^\]]*\]|\(..|.)"  # a string or number register
    r"|m\[[^\]]*\]"  # a colour
    r"|[hvwlLDoXkC]'[^']*'"  # motions and drawings
    r"|\[(?P<long>[^\]]*)\]"
    r"|\((?P<two>..)"
    r"|(?P<one>.)"
    r")")
_ONE = {"-": "-", "e": "\\", "~": " ", " ": " ", "0": " ", "t": "\t", "'": "'", "`": "`",
        "\\": "\\", ".": "."}
# Requests whose arguments are text that the reader sees.
_FONT_REQUESTS = {"B", "I", "R", "SM", "SB", "BR", "RB", "BI", "IB", "IR", "RI"}


def _unescape(line):
    def replace(match):
        name = match.group("long") or match.group("two")
        if name:
            code = re.fullmatch(r"u([0-9A-F]{4,6})", name)
            return chr(int(code.group(1), 16)) if code else _CHARACTERS.get(name, "")
        return _ONE.get(match.group("one") or "", "")
    return _ESCAPE.sub(replace, line)


def _arguments(text):
    """Arguments of a request: words, or "quoted words" in which "" is a quote."""
    return [(quoted.replace('""', '"') if quoted or not word else word)
            for quoted, word in re.findall(r'"((?:[^"]|"")*)"?|([^\s"]\S*)', text)]


def _request_text(name, rest):
    """What a request contributes to the page; None for nothing."""
    if name in ("SH", "SS"):
        return "\n" + _unescape(" ".join(_arguments(rest))) + "\n"
    if name in _FONT_REQUESTS:
        # Two letters alternate between fonts and join their arguments.
        joint = "" if len(name) == 2 and name not in ("SM", "SB") else " "
        return _unescape(joint.join(_arguments(rest)))
    if name in ("PP", "P", "LP", "TP", "HP", "sp"):
        return ""
    if name == "IP":
        return "\n" + _unescape(" ".join(_arguments(rest)[:1]))
    return None


def roff_text(source):
    """The readable text of a page written with the man macros; None for other macro packages."""
    if not re.search(r"^\.TH ", source, re.MULTILINE):
        return None
    lines = []
    skipping = None  # the request that ends what is skipped
    for line in source.split("\n"):
        if skipping is not None:
            if line.startswith(skipping):
                skipping = None
            continue
        match = re.match(r"[.'][ \t]*([A-Za-z]\w?\w?)?[ \t]*(.*)", line)
        if not match:
            lines.append(_unescape(line))
            continue
        name, rest = match.group(1), match.group(2)
        if name in ("de", "ig", "am"):
            skipping = ".."
        elif name == "TS":
            skipping = ".TE"
        else:
            text = _request_text(name, rest)
            if text is not None:
                lines.append(text)
    text = re.sub(r"[ \t]+\n", "\n", "\n".join(lines))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def manual_pages(root, language):
    """The manual pages of `language` ("de"); each page is a document."""
    folder = os.path.join("usr/share/man", language)
    for path in files_under(root, folder, ".gz"):
        source = read_utf8(os.path.join(root, path))
        text = roff_text(source) if source is not None else None
        if text is not None and len(text) >= SHORTEST:
            yield os.path.relpath(path, folder), text


# --- Dictionaries of the dictd package format ---------------------------------------------------

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _dictd_number(text):
    value = 0
    for digit in text:
        value = 64 * value + _BASE64.index(digit)
    return value


def dictionary(root, name):
    """Entries of usr/share/dictd/NAME.dict.dz; several headwords of one entry give it once."""
    base = os.path.join(root, "usr/share/dictd", name)
    data = read_bytes(base + ".dict.dz")
    with open(base + ".index", encoding="utf-8") as file:
        index = [line.rstrip("\n").split("\t")[:3] for line in file]
    seen = set()
    for word, begin, size in index:
        if word.startswith("00") or begin in seen:  # 00-database-...: about the dictionary
            continue
        seen.add(begin)
        start = _dictd_number(begin)
        entry = data[start:start + _dictd_number(size)].decode("utf-8", "ignore").strip() + "\n"
        yield word + "@" + entry[:40], entry


# --- R's lazy-load databases --------------------------------------------------------------------

def _r_strings(serialized):
    """The strings of the first character vector of an object in R's XDR serialisation."""
    at = serialized.index(b"X\n") + 2
    version, = struct.unpack_from(">i", serialized, at)
    at += 12
    if version >= 3:  # the name of the native encoding
        size, = struct.unpack_from(">i", serialized, at)
        at += 4 + size
    flags, count = struct.unpack_from(">ii", serialized, at)
    if flags & 0xFF != 16:  # STRSXP
        return []
    at += 8
    strings = []
    for _ in range(count):
        size, = struct.unpack_from(">i", serialized, at + 4)  # after the CHARSXP's flags
        at += 8
        strings.append(serialized[at:at + max(size, 0)].decode("utf-8", "replace"))
        at += max(size, 0)  # -1: not available
    return strings


def novels(root, package):
    """Chapters of the books that an R package ships as character vectors of lines."""
    path = os.path.join(root, "usr/lib/R/site-library", package, "data/Rdata.rdb")
    with open(path, "rb") as file:
        rest = file.read()
    while len(rest) > 4:
        stream = zlib.decompressobj()
        lines = _r_strings(stream.decompress(rest[4:]))  # after the uncompressed size
        rest = stream.unused_data
        if len(lines) < 100:
            continue
        title = lines[0].strip()
        chapters = re.split(r"\n(?=chapter [\divxlc]+)", "\n".join(lines), flags=re.IGNORECASE)
        for number, chapter in enumerate(chapters):
            if len(chapter) >= SHORTEST:
                yield "%s/%03d" % (title, number), chapter.strip() + "\n"
