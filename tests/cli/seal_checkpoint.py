"""seal_checkpoint.py CHECKPOINT: writes the checksum anew, after a test has changed the file."""

import json
import struct
import sys
import zlib

DTYPES = {"F32": "float32", "F64": "float64", "I32": "int32", "I64": "int64", "U8": "uint8"}


def checksum(header, data):
    """As modelbatch/io/sealed_safetensors.h says."""
    metadata = header["__metadata__"]
    crc = 0
    for key in sorted(set(metadata) - {"checksum"}):
        crc = zlib.crc32(f"{key}\0{metadata[key]}\0".encode(), crc)
    for name in sorted(set(header) - {"__metadata__"}):
        tensor = header[name]
        begin, end = tensor["data_offsets"]
        crc = zlib.crc32(f"{name}\0{DTYPES[tensor['dtype']]} {tensor['shape']}\0".encode(), crc)
        crc = zlib.crc32(data[begin:end], crc)
    return f"{crc:08x}"


def main():
    with open(sys.argv[1], "rb") as file:
        content = file.read()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:start])
    header["__metadata__"]["checksum"] = checksum(header, content[start:])
    text = json.dumps(header).encode()
    with open(sys.argv[1], "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + content[start:])


main()
