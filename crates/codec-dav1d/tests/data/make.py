#!/usr/bin/env python3
"""Makes the AV1 streams of this folder and what is expected of them, with FFmpeg.

NAME.ivf holds one temporal unit in each frame. NAME.txt has a line "frame MD5" for each frame in order: of
its planes, tightly packed, samples of more than 8 bits as 16-bit little-endian words. FFmpeg's libaom
decoder makes the checksums, so that dav1d is compared with another decoder.
"""
import hashlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = "testsrc2=size={size}:rate=25,noise=alls=6:allf=t:all_seed=7"
AOM = ["-c:v", "libaom-av1", "-cpu-used", "8", "-crf", "40", "-b:v", "0"]

# name: (size, frames, pixel format, encoder options)
STREAMS = {
    "main-8": ("98x74", 20, "yuv420p", AOM + ["-g", "10", "-lag-in-frames", "19"]),
    "main-10": ("98x74", 10, "yuv420p10le", AOM),
    "high-444-8": ("64x48", 6, "yuv444p", AOM),
    "high-444-10": ("64x48", 6, "yuv444p10le", AOM),
    "pro-422-8": ("66x50", 6, "yuv422p", AOM),
    "pro-422-10": ("66x50", 6, "yuv422p10le", AOM),
    "pro-420-12": ("66x50", 6, "yuv420p12le", AOM),
    "pro-444-12": ("66x50", 6, "yuv444p12le", AOM),
    "gray-8": ("66x50", 6, "gray", AOM),
    "gray-10": ("66x50", 6, "gray10le", AOM),
    "identity": ("64x48", 6, "gbrp", AOM),
    "film-grain": ("96x64", 8, "yuv420p", AOM + ["-denoise-noise-level", "40"]),
    "superres": ("128x64", 8, "yuv420p", ["-c:v", "libsvtav1", "-preset", "10", "-svtav1-params",
                                            "superres-mode=1:superres-denom=14:lp=1"]),
    "color": ("64x48", 3, "yuv420p10le", AOM + ["-color_range", "pc", "-colorspace", "bt2020nc", "-color_primaries",
                                               "bt2020", "-color_trc", "smpte2084"]),
}


def ffmpeg(*args):
    command = ["ffmpeg", "-v", "error", "-nostdin", *args]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def planes(pix_fmt, width, height):
    """Bytes of a frame without chroma, and the neutral chroma that WebCodecs' formats need."""
    sample = 2 if "10" in pix_fmt else 1
    grey = bytes([128]) if sample == 1 else (512).to_bytes(2, "little")
    return width * height * sample, grey * (2 * ((width + 1) // 2) * ((height + 1) // 2))


def main():
    wanted = sys.argv[1:]
    for name, (size, frames, pix_fmt, options) in STREAMS.items():
        if wanted and name not in wanted:
            continue
        path = os.path.join(HERE, f"{name}.ivf")
        ffmpeg("-y", "-f", "lavfi", "-i", SOURCE.format(size=size), "-frames:v", str(frames), "-pix_fmt", pix_fmt,
               *options, "-f", "ivf", path)
        decode = ("-c:v", "libaom-av1", "-i", path)
        if "gray" in pix_fmt:
            raw = ffmpeg(*decode, "-f", "rawvideo", "-")
            luma, chroma = planes(pix_fmt, *(int(n) for n in size.split("x")))
            starts = range(0, len(raw), luma)
            sums = [hashlib.md5(raw[start:start + luma] + chroma).hexdigest() for start in starts]
        else:
            text = ffmpeg(*decode, "-f", "framemd5", "-").decode()
            sums = [line.split()[-1] for line in text.splitlines() if not line.startswith("#")]
        lines = [f"frame {md5}" for md5 in sums]
        assert len(lines) == frames, (name, len(lines))
        with open(os.path.join(HERE, f"{name}.txt"), "w") as out:
            out.write("\n".join(lines) + "\n")
        print(f"{name}: {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
