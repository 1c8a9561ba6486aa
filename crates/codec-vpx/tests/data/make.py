#!/usr/bin/env python3
"""Makes the streams of this folder with the ffmpeg command (libvpx), and the MD5 of each picture with ffmpeg's own
decoders (alpha: with libvpx, as ffmpeg's own have none).

NAME.ivf is the stream, NAME.alpha.ivf its alpha, NAME.md5 one MD5 a line: of each shown picture, tightly packed."""

import glob
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# name: encoder, pixel format, size, frames, options
STREAMS = {
    "vp8": ("libvpx", "yuv420p", "96x64", 12, ["-g", "8"]),
    "vp8-odd": ("libvpx", "yuv420p", "83x61", 6, []),
    "vp8-hidden": ("libvpx", "yuv420p", "96x64", 24, ["-auto-alt-ref", "1", "-lag-in-frames", "12", "-arnr-maxframes", "5"]),
    "vp8-partitions": ("libvpx", "yuv420p", "160x128", 8, ["-slices", "4"]),
    "vp9": ("libvpx-vp9", "yuv420p", "96x64", 12, ["-g", "8"]),
    "vp9-odd": ("libvpx-vp9", "yuv420p", "83x61", 6, []),
    "vp9-small": ("libvpx-vp9", "yuv420p", "1x1", 2, []),
    "vp9-hidden": ("libvpx-vp9", "yuv420p", "96x64", 24, ["-auto-alt-ref", "1", "-lag-in-frames", "12"]),
    "vp9-tiles": ("libvpx-vp9", "yuv420p", "1024x80", 4, ["-tile-columns", "2", "-row-mt", "1"]),
    "vp9-422": ("libvpx-vp9", "yuv422p", "96x64", 6, []),
    "vp9-444": ("libvpx-vp9", "yuv444p", "83x61", 6, []),
    "vp9-440": ("libvpx-vp9", "yuv440p", "96x64", 2, []),
    "vp9-rgb": ("libvpx-vp9", "gbrp", "64x48", 2, []),
    "vp9-420p10": ("libvpx-vp9", "yuv420p10le", "83x61", 6, ["-colorspace", "bt2020nc", "-color_range", "pc"]),
    "vp9-420p12": ("libvpx-vp9", "yuv420p12le", "96x64", 4, []),
    "vp9-422p10": ("libvpx-vp9", "yuv422p10le", "83x61", 4, []),
    "vp9-422p12": ("libvpx-vp9", "yuv422p12le", "96x64", 4, []),
    "vp9-444p10": ("libvpx-vp9", "yuv444p10le", "96x64", 4, []),
    "vp9-444p12": ("libvpx-vp9", "yuv444p12le", "83x61", 4, []),
    "vp8-alpha": ("libvpx", "yuva420p", "83x61", 8, ["-auto-alt-ref", "0"]),
    "vp9-alpha": ("libvpx-vp9", "yuva420p", "83x61", 8, []),
}

def ffmpeg(*arguments):
    return subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments],
        check=True, stdout=subprocess.PIPE).stdout

def number(data, at, keep_marker):
    """An EBML element's ID or size, and where it ends."""
    length = 1
    while not data[at] & (0x80 >> (length - 1)):
        length += 1
    value = int.from_bytes(data[at:at + length], "big")
    unknown = value == (1 << (7 * length + 1)) - 1 if length < 8 else False
    if not keep_marker:
        value &= (1 << (7 * length)) - 1
    return (None if unknown and not keep_marker else value), at + length

def elements(data):
    at = 0
    while at < len(data):
        name, at = number(data, at, True)
        size, at = number(data, at, False)
        end = len(data) if size is None else at + size
        yield name, data[at:end]
        at = end

def blocks(data):
    """Each block of a WebM file and its BlockAdditional."""
    for name, body in elements(data):
        if name in (0x18538067, 0x1F43B675):  # Segment, Cluster
            yield from blocks(body)
        elif name == 0xA3:  # SimpleBlock
            yield body[4:], None
        elif name == 0xA0:  # BlockGroup
            group = dict(elements(body))
            additions = dict(elements(group.get(0x75A1, b"")))  # BlockAdditions
            more = dict(elements(additions.get(0xA6, b"")))  # BlockMore
            yield group[0xA1][4:], more.get(0xA5)  # Block, BlockAdditional

def write_ivf(path, header, packets):
    with open(path, "wb") as file:
        file.write(header)
        for index, packet in enumerate(packets):
            file.write(struct.pack("<IQ", len(packet), index) + packet)

def checksums(path, pixel_format, *decoder):
    lines = ffmpeg(*decoder, "-i", path, "-pix_fmt", pixel_format, "-f", "framemd5", "-").decode().splitlines()
    return [line.split(",")[-1].strip() for line in lines if not line.startswith("#")]

def make(name, encoder, pixel_format, size, frames, options):
    # testsrc2 draws neither odd nor tiny pictures.
    width, height = map(int, size.split("x"))
    drawn = f"{max(width + width % 2, 64)}x{max(height + height % 2, 48)}"
    source = f"testsrc2=size={drawn}:rate=25,noise=alls=6,crop={width}:{height}:0:0:exact=1"
    if "alpha" in name:
        source += ",format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='mod(X*5+Y*3+N*16,256)'"
    common = ["-f", "lavfi", "-i", source, "-frames:v", str(frames), "-pix_fmt", pixel_format, "-c:v", encoder,
              "-b:v", "200k", "-bitexact", "-deadline", "good", "-cpu-used", "2", *options]
    path = os.path.join(HERE, f"{name}.ivf")
    if "alpha" not in name:
        if "hidden" in name:  # libvpx makes alternative references in two passes
            with tempfile.TemporaryDirectory() as folder:
                log = ["-passlogfile", os.path.join(folder, "log")]
                ffmpeg(*common, "-pass", "1", *log, "-f", "null", "-")
                ffmpeg(*common, "-pass", "2", *log, "-f", "ivf", path)
        else:
            ffmpeg(*common, "-f", "ivf", path)
        sums = [] if pixel_format == "yuv440p" else checksums(path, pixel_format)
    else:
        with tempfile.TemporaryDirectory() as folder:
            webm = os.path.join(folder, "alpha.webm")
            ffmpeg(*common, webm)
            sums = checksums(webm, pixel_format, "-c:v", encoder)
            with open(webm, "rb") as file:
                found = list(blocks(file.read()))
            plain = os.path.join(folder, "plain.ivf")
            ffmpeg("-i", webm, "-c", "copy", "-f", "ivf", plain)
            with open(plain, "rb") as file:
                header = file.read(32)
        write_ivf(path, header, [block for block, _ in found])
        write_ivf(path.replace(".ivf", ".alpha.ivf"), header, [alpha for _, alpha in found])
    with open(os.path.join(HERE, f"{name}.md5"), "w") as file:
        file.write("".join(f"{md5}\n" for md5 in sums))

def conformance_checksums():
    """Of the one stream of cros-codecs that has no checksum for each picture."""
    pattern = "~/.cargo/registry/src/*/cros-codecs-0.0.6/src/codec/vp9/test_data/resolution_change_500frames-vp9.ivf"
    for path in glob.glob(os.path.expanduser(pattern))[:1]:
        lines = ffmpeg("-i", path, "-autoscale", "0", "-pix_fmt", "yuv420p", "-vsync", "passthrough", "-f", "framemd5", "-").decode().splitlines()
        sums = [line.split(",")[-1].strip() for line in lines if not line.startswith("#")]
        with open(os.path.join(HERE, "resolution_change_500frames-vp9.md5"), "w") as file:
            file.write("".join(f"{md5}\n" for md5 in sums))

for stream, settings in STREAMS.items():
    if not sys.argv[1:] or stream in sys.argv[1:]:
        make(stream, *settings)
if not sys.argv[1:] or "conformance" in sys.argv[1:]:
    conformance_checksums()
