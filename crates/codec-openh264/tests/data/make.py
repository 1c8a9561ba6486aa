#!/usr/bin/env python3
"""Makes the H.264 streams of this folder and what is expected of them, with FFmpeg.

NAME.264 is an Annex B stream. NAME.txt has one line for each access unit in decoding order, "packet PTS
DURATION", then one for each frame in presentation order, "frame MD5": of its visible part as tightly
packed I420. FFmpeg's own decoder makes the checksums.
"""
import hashlib
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = "testsrc2=size={size}:rate=25,noise=alls=6:allf=t:all_seed=7"

# name: (size, frames, pixel format, FFmpeg options, x264 parameters)
STREAMS = {
    "b-pyramid": ("128x96", 30, "yuv420p", ["-profile:v", "high"],
                  "bframes=3:b-pyramid=normal:b-adapt=0:ref=4:weightb=1:weightp=2:keyint=12:min-keyint=12:8x8dct=1"),
    "main-slices": ("96x80", 20, "yuv420p", ["-profile:v", "main"],
                    "bframes=2:slices=3:direct=spatial:keyint=20:ref=3"),
    "main-cavlc": ("96x80", 20, "yuv420p", ["-profile:v", "main"],
                   "bframes=2:cabac=0:direct=spatial:keyint=9:ref=2"),
    "baseline": ("96x80", 20, "yuv420p", ["-profile:v", "baseline"], "keyint=10:slices=2"),
    "cropped-sar": ("90x70", 8, "yuvj420p",
                    ["-profile:v", "high", "-aspect", "16:9", "-color_range", "pc", "-colorspace", "bt709",
                     "-color_primaries", "bt709", "-color_trc", "iec61966-2-1"],
                    "bframes=0:keyint=8"),
    "scaling-lists": ("96x80", 10, "yuv420p", ["-profile:v", "high"], "cqm=jvt:bframes=0:8x8dct=1"),
    "small-slices": ("64x48", 6, "yuv420p", ["-profile:v", "main"], "slice-max-size=240:bframes=0"),
    "gray": ("64x48", 6, "gray", ["-profile:v", "high"], "bframes=1"),
    "intra": ("64x48", 6, "yuv420p", ["-profile:v", "high"], "keyint=1"),
}

# Streams that OpenH264 does not decode by nature: the stream alone.
REFUSED = {
    "refused-interlaced": ("64x48", 2, "yuv420p", ["-profile:v", "high"], "interlaced=1"),
    "refused-temporal-cavlc": ("64x48", 4, "yuv420p", ["-profile:v", "main"], "cabac=0:bframes=1:b-adapt=0:direct=temporal"),
    "refused-high10": ("64x48", 2, "yuv420p10le", ["-profile:v", "high10"], ""),
    "refused-high422": ("64x48", 2, "yuv422p", ["-profile:v", "high422"], ""),
    "refused-high444": ("64x48", 2, "yuv444p", ["-profile:v", "high444"], ""),
}


def ffmpeg(*args):
    command = ["ffmpeg", "-v", "error", "-nostdin", *args]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def encode(folder, name, size, frames, pix_fmt, options, params):
    mkv = os.path.join(folder, f"{name}.mkv")
    path = os.path.join(HERE, f"{name}.264")
    ffmpeg("-y", "-f", "lavfi", "-i", SOURCE.format(size=size), "-frames:v", str(frames), "-pix_fmt", pix_fmt,
           "-c:v", "libx264", "-preset", "medium", "-crf", "26", *options,
           *(["-x264-params", params] if params else []), "-f", "matroska", mkv)
    ffmpeg("-y", "-i", mkv, "-c", "copy", "-bsf:v", "h264_mp4toannexb,filter_units=remove_types=6", "-f", "h264", path)
    return mkv, path


def expect(name, mkv, pix_fmt, size):
    probe = subprocess.run(["ffprobe", "-v", "error", "-show_packets", "-of", "json", mkv], check=True,
                           stdout=subprocess.PIPE).stdout
    lines = []
    for packet in json.loads(probe)["packets"]:
        lines.append(f"packet {round(float(packet['pts_time']) * 1e6)} {round(float(packet['duration_time']) * 1e6)}")
    width, height = (int(n) for n in size.split("x"))
    raw = ffmpeg("-i", mkv, "-f", "rawvideo", "-pix_fmt", pix_fmt, "-")
    chroma = 2 * ((width + 1) // 2) * ((height + 1) // 2)
    length = width * height + (0 if pix_fmt == "gray" else chroma)
    for start in range(0, len(raw), length):
        frame = raw[start:start + length] + (bytes([128]) * chroma if pix_fmt == "gray" else b"")
        lines.append(f"frame {hashlib.md5(frame).hexdigest()}")
    with open(os.path.join(HERE, f"{name}.txt"), "w") as out:
        out.write("\n".join(lines) + "\n")


def main():
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, frames, pix_fmt, options, params) in {**STREAMS, **REFUSED}.items():
            if wanted and name not in wanted:
                continue
            mkv, path = encode(folder, name, size, frames, pix_fmt, options, params)
            if name in STREAMS:
                expect(name, mkv, pix_fmt, size)
            print(f"{name}: {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
