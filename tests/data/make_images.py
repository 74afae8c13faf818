#!/usr/bin/env python3
"""Writes tests/data/images/: the kinds of files that ImageNet holds besides plain JPEG, 16 x 16 pixels.

  cmyk.jpg         four channels, Adobe marker, transform 0: C M Y K, stored inverted
  ycck.jpg         the same with transform 2: Y Cb Cr of the inverted colours, and K
  grey.jpg         one channel
  progressive.jpg  several scans
  png_named.JPEG   a PNG file
  <name>.png       for the JPEG files: their pixels as Pillow (libjpeg) decodes them to RGB
Needs python3-pil; neither building nor testing does.
"""
import os

from PIL import Image

SIDE = 16
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "images")


def path(name):
    return os.path.join(FOLDER, name)


def smooth(*slopes):
    """One channel per slope (dx, dy, start): ramps, so that little is lost in coding."""
    planes = []
    for dx, dy, start in slopes:
        plane = Image.new("L", (SIDE, SIDE))
        plane.putdata([start + dx * x + dy * y for y in range(SIDE) for x in range(SIDE)])
        planes.append(plane)
    return planes


def write_with_reference(image, name, **options):
    image.save(path(name), "JPEG", quality=95, optimize=True, **options)
    write_reference(name)


def write_reference(name):
    with Image.open(path(name)) as image:
        image.convert("RGB").save(path(name.split(".")[0] + ".png"), "PNG", optimize=True)


def patch_transform(name, value):
    """Sets the colour transform in the Adobe marker: the last byte of its 14."""
    data = bytearray(open(path(name), "rb").read())
    at = data.index(b"\xff\xee") + 4
    assert data[at:at + 5] == b"Adobe" and data[at + 11] == 0
    data[at + 11] = value
    open(path(name), "wb").write(data)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    ink = smooth((6, 2, 20), (2, 6, 40), (3, 3, 60), (1, 4, 10))
    write_with_reference(Image.merge("CMYK", ink), "cmyk.jpg")
    # Pillow inverts what it stores, so these planes are 255 - Y, 255 - Cb, 255 - Cr, 255 - K.
    ink = smooth((4, 3, 60), (2, 1, 100), (1, 2, 105), (1, 4, 10))
    Image.merge("CMYK", ink).save(path("ycck.jpg"), "JPEG", quality=95, optimize=True)
    patch_transform("ycck.jpg", 2)
    write_reference("ycck.jpg")
    write_with_reference(smooth((7, 5, 30))[0], "grey.jpg")
    write_with_reference(Image.merge("RGB", smooth((6, 2, 20), (2, 6, 40), (3, 3, 60))),
                         "progressive.jpg", progressive=True)
    Image.merge("RGB", smooth((6, 2, 20), (2, 6, 40), (3, 3, 60))).save(
        path("png_named.JPEG"), "PNG", optimize=True)


if __name__ == "__main__":
    main()
