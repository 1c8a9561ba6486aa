#!/usr/bin/env python3
"""Makes the HEVC streams of this folder and what is expected of them, with FFmpeg (libx265).

NAME.265 is an Annex B stream. NAME.txt has one line for each access unit in decoding order, "packet PTS
DURATION", then one for each frame in presentation order, "frame MD5": of its visible part, tightly packed.
FFmpeg's own decoder makes the checksums.
"""
import hashlib
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NOISE = "testsrc2=size={size}:rate=25,noise=alls=6:allf=t:all_seed=7"
ZOOM = "mandelbrot=size={size}:rate=25"

# name: (source, size, frames, pixel format, FFmpeg options, x265 parameters)
STREAMS = {
    "main": (ZOOM, "176x144", 16, "yuv420p", ["-preset", "slow"], "rect=1:amp=1:tskip=1:strong-intra-smoothing=1"),
    "main-10": (ZOOM, "176x144", 12, "yuv420p10le", ["-preset", "medium"], "bframes=3"),
    "main-10-wpp": (NOISE, "128x96", 8, "yuv420p10le", ["-preset", "fast"], "wpp=1:ctu=16:max-tu-size=16"),
    "b-pyramid": (NOISE, "128x96", 20, "yuv420p", ["-preset", "fast"],
                  "bframes=4:b-pyramid=1:b-adapt=0:open-gop=0:keyint=10:min-keyint=10:ref=4"),
    "open-gop": (ZOOM, "128x96", 24, "yuv420p", ["-preset", "fast"],
                 "bframes=3:b-pyramid=1:b-adapt=0:open-gop=1:keyint=8:min-keyint=8:scenecut=0:repeat-headers=1"),
    "radl": (ZOOM, "128x96", 24, "yuv420p", ["-preset", "fast"],
             "bframes=3:b-adapt=0:open-gop=0:keyint=8:min-keyint=8:scenecut=0:radl=2"),
    "low-delay": (ZOOM, "128x96", 10, "yuv420p", ["-preset", "fast", "-tune", "zerolatency"], "keyint=5:min-keyint=5"),
    "slices-wpp": (NOISE, "128x128", 6, "yuv420p", ["-preset", "fast"], "slices=2:wpp=1:ctu=16:max-tu-size=16:min-cu-size=8"),
    "lossless": (ZOOM, "64x64", 4, "yuv420p", ["-preset", "fast"], "lossless=1"),
    "cu-lossless": (ZOOM, "64x64", 4, "yuv420p", ["-preset", "fast", "-crf", "6"], "cu-lossless=1"),
    "qp-delta": (ZOOM, "176x144", 8, "yuv420p", ["-preset", "fast"], "aq-mode=3:qg-size=8:cbqpoffs=4:crqpoffs=-4:aq-strength=2"),
    "weighted": (ZOOM, "128x96", 16, "yuv420p", ["-preset", "slow", "-vf", "fade=in:0:16"], "weightp=1:weightb=1:bframes=2"),
    "scaling-lists": (ZOOM, "128x96", 6, "yuv420p", ["-preset", "fast"], "scaling-list=default:constrained-intra=1"),
    "filters": (NOISE, "128x96", 6, "yuv420p", ["-preset", "fast"], "deblock=3,-2:sao=1:limit-sao=0:sao-non-deblock=1"),
    "no-filters": (NOISE, "96x64", 4, "yuv420p", ["-preset", "fast"], "no-deblock=1:no-sao=1"),
    "sub-layers": (ZOOM, "128x96", 16, "yuv420p", ["-preset", "fast"], "temporal-layers=2:bframes=3:b-adapt=0"),
    "intra-refresh": (NOISE, "128x96", 12, "yuv420p", ["-preset", "fast"], "intra-refresh=1:keyint=6:bframes=0"),
    "hrd": (NOISE, "96x64", 6, "yuv420p", ["-preset", "fast", "-b:v", "200k"], "hrd=1:vbv-maxrate=300:vbv-bufsize=300:aud=1"),
    "still": (ZOOM, "96x64", 1, "yuv420p", ["-preset", "fast"], "total-frames=1"),
    "tiny": (ZOOM, "32x32", 5, "yuv420p", ["-preset", "fast", "-crf", "40"], "ctu=16:max-tu-size=16"),
    "cropped-sar": (ZOOM, "90x70", 6, "yuvj420p",
                    ["-preset", "fast", "-bsf:v", "hevc_metadata=sample_aspect_ratio=4/3:crop_left=4:crop_top=2"],
                    "range=full:colorprim=bt709:transfer=iec61966-2-1:colormatrix=bt709"),
    "hdr": (ZOOM, "64x64", 2, "yuv420p10le", ["-preset", "fast"],
            "range=limited:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"),
}

# Streams that are refused: the stream alone.
REFUSED = {
    "refused-gray": (ZOOM, "64x64", 1, "gray", ["-preset", "fast"], ""),
    "refused-422-10": (ZOOM, "64x64", 1, "yuv422p10le", ["-preset", "fast"], ""),
    "refused-444": (ZOOM, "64x64", 1, "yuv444p", ["-preset", "fast"], ""),
    "refused-12": (ZOOM, "64x64", 1, "yuv420p12le", ["-preset", "fast"], ""),
}


def ffmpeg(*args):
    command = ["ffmpeg", "-v", "error", "-nostdin", *args]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def encode(name, source, size, frames, pix_fmt, options, params):
    mkv = os.path.join(tempfile.gettempdir(), f"{name}-{os.getpid()}.mkv")
    path = os.path.join(HERE, f"{name}.265")
    params = ":".join(filter(None, ["log-level=error:info=0", params]))
    ffmpeg("-y", "-f", "lavfi", "-i", source.format(size=size), "-frames:v", str(frames), "-pix_fmt", pix_fmt,
           "-c:v", "libx265", *options, "-x265-params", params, "-f", "matroska", mkv)
    ffmpeg("-y", "-i", mkv, "-c", "copy", "-bsf:v", "hevc_mp4toannexb", "-f", "hevc", path)
    return mkv, path


def expect(name, mkv, path, pix_fmt):
    probe = subprocess.run(["ffprobe", "-v", "error", "-show_packets", "-show_streams", "-of", "json", mkv], check=True,
                           stdout=subprocess.PIPE).stdout
    probe = json.loads(probe)
    lines = []
    for packet in probe["packets"]:
        lines.append(f"packet {round(float(packet['pts_time']) * 1e6)} {round(float(packet.get('duration_time', 0)) * 1e6)}")
    # Without "unaligned" FFmpeg leaves a part of a crop on the left.
    raw = ffmpeg("-flags:v", "unaligned", "-i", path, "-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", pix_fmt, "-")
    length = len(raw) // len(probe["packets"])
    for start in range(0, len(raw), length):
        lines.append(f"frame {hashlib.md5(raw[start:start + length]).hexdigest()}")
    with open(os.path.join(HERE, f"{name}.txt"), "w") as out:
        out.write("\n".join(lines) + "\n")


def main():
    wanted = sys.argv[1:]
    for name, (source, size, frames, pix_fmt, options, params) in {**STREAMS, **REFUSED}.items():
        if wanted and name not in wanted:
            continue
        mkv, path = encode(name, source, size, frames, pix_fmt, options, params)
        if name in STREAMS:
            expect(name, mkv, path, pix_fmt)
        os.remove(mkv)
        print(f"{name}: {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
