"""Writes NAME.bytes and NAME.docs, the raw-byte corpus that core/data/token_file.h reads.

NAME.bytes is the documents one after the other, and nothing else. NAME.docs marks where each
begins: "EQDOCS1\\n", u64 number of documents D, then D + 1 u64 byte offsets, the first 0 and the
last the size of NAME.bytes. Everything is little-endian.
"""

import hashlib
import struct

MAGIC = b"EQDOCS1\n"

# Documents go to validation when the hash of their id falls below this share.
VALIDATION_SHARE = 0.03


def write(prefix, documents):
    """Writes `documents`, a list of bytes; returns how many bytes of text there are."""
    offsets = [0]
    with open(prefix + ".bytes", "wb") as data:
        for document in documents:
            data.write(document)
            offsets.append(offsets[-1] + len(document))
    with open(prefix + ".docs", "wb") as index:
        index.write(MAGIC + struct.pack("<Q", len(documents)))
        index.write(struct.pack("<%dQ" % len(offsets), *offsets))
    return offsets[-1]


def is_validation(document_id):
    """Whether a document belongs to the validation split: a pure function of its id (a string),
    so that adding or removing others never moves it across."""
    digest = hashlib.sha256(document_id.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") < VALIDATION_SHARE * 2**64


def split(documents):
    """Splits (id, bytes) pairs into two lists of bytes: train and validation, each in id order.

    A text that occurs twice is taken once, so that no validation document is also trained on.
    """
    train, validation, seen = [], [], set()
    for document_id, text in sorted(documents):
        digest = hashlib.sha256(text).digest()
        if digest in seen:
            continue
        seen.add(digest)
        (validation if is_validation(document_id) else train).append(text)
    return train, validation
