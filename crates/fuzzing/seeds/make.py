#!/usr/bin/env python3
"""Makes the seeds of the fuzz targets with the ffmpeg command: tiny clips of every container and codec.

Run it from anywhere; it writes into the folders beside it. The results are checked in: other versions of FFmpeg
write other bytes, and no test depends on which. Those of MP4 with two sample entries come from make_entries.js.
"""
import json
import pathlib
import re
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
VIDEO = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=0.8,format=yuv420p"]
AUDIO = ["-f", "lavfi", "-i", "sine=frequency=700:sample_rate=16000:duration=0.3"]


def ffmpeg(*args):
    command = ["ffmpeg", "-v", "error", "-y", "-fflags", "+bitexact", *args]
    subprocess.run([str(arg) for arg in command], check=True)


def packets(path, stream):
    """The bytes of each packet."""
    out = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", stream, "-show_packets", "-show_data", "-of", "json", str(path)],
        check=True, capture_output=True, text=True,
    ).stdout
    for packet in json.loads(out)["packets"]:
        text = "".join(line[10:50] for line in packet["data"].splitlines())
        yield bytes.fromhex(re.sub(r"\s", "", text))


def extradata(path, stream):
    """The codec-specific set-up of a stream."""
    out = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", stream, "-show_streams", "-show_data", "-of", "json", str(path)],
        check=True, capture_output=True, text=True,
    ).stdout
    text = "".join(line[10:50] for line in json.loads(out)["streams"][0]["extradata"].splitlines())
    return bytes.fromhex(re.sub(r"\s", "", text))


def chunks(items):
    """The form that the decode targets read."""
    return b"".join(len(item).to_bytes(2, "little") + item for item in items if len(item) < 0x8000)


def write(target, name, data):
    folder = HERE / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


X264 = ["-c:v", "libx264", "-bf", "2", "-x264-params", "log-level=error:keyint=4:ref=2"]
X265 = ["-c:v", "libx265", "-x265-params", "log-level=error:keyint=4:bframes=2:pools=1"]
VP8 = ["-c:v", "libvpx", "-b:v", "40k", "-g", "4"]
VP9 = ["-c:v", "libvpx-vp9", "-b:v", "40k", "-g", "4"]
AV1 = ["-c:v", "libaom-av1", "-cpu-used", "8", "-b:v", "40k", "-g", "4"]
AAC = ["-c:a", "aac", "-b:a", "24k"]
OPUS = ["-c:a", "libopus", "-ar", "48000", "-b:a", "16k"]

CONTAINERS = {
    "avc-aac.mp4": [*VIDEO, *AUDIO, *X264, *AAC],
    "hevc-fragmented.mp4": [*VIDEO, *X265, "-tag:v", "hvc1", "-movflags", "frag_keyframe+empty_moov"],
    "av1-opus.mp4": [*VIDEO, *AUDIO, *AV1, *OPUS],
    "encrypted.mp4": [*VIDEO, *X264, "-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0" * 32,
                      "-encryption_kid", "1" * 32],
    "pcm.mov": [*AUDIO, "-t", "0.05", "-c:a", "pcm_s16le", "-metadata", "title=seed"],
    "vp8-vorbis.webm": [*VIDEO, *AUDIO, *VP8, "-c:a", "libvorbis", "-ar", "48000"],
    "vp9-opus.webm": [*VIDEO, *AUDIO, *VP9, *OPUS, "-metadata", "title=seed"],
    "avc-mp3.mkv": [*VIDEO, *AUDIO, *X264, "-c:a", "libmp3lame"],
    "flac.mka": [*AUDIO, "-c:a", "flac"],
    "live.webm": [*VIDEO, *VP8, "-f", "webm", "-live", "1"],
    "avc-aac.ts": [*VIDEO, *AUDIO, *X264, *AAC],
    "hevc-mp3.ts": [*VIDEO, *AUDIO, *X265, "-c:a", "libmp3lame"],
    "bluray.m2ts": [*VIDEO, *X264, "-mpegts_m2ts_mode", "1", "-f", "mpegts"],
    "opus.ogg": [*AUDIO, *OPUS],
    "vorbis.ogg": [*AUDIO, "-c:a", "libvorbis"],
    "flac.ogg": [*AUDIO, "-c:a", "flac"],
    "s16.wav": [*AUDIO, "-t", "0.05"],
    "f32.wav": [*AUDIO, "-t", "0.05", "-c:a", "pcm_f32le", "-rf64", "always"],
    "ulaw.w64": [*AUDIO, "-t", "0.05", "-c:a", "pcm_mulaw"],
    "plain.flac": [*AUDIO, "-c:a", "flac"],
    "xing.mp3": [*AUDIO, "-c:a", "libmp3lame", "-metadata", "title=seed"],
    "plain.aac": [*AUDIO, *AAC, "-f", "adts"],
    "vp8.ivf": [*VIDEO, *VP8],
    "vp9.ivf": [*VIDEO, *VP9],
    "av1.ivf": [*VIDEO, *AV1],
    "avc.h264": [*VIDEO, *X264],
    "hevc.h265": [*VIDEO, *X265],
    "av1.obu": [*VIDEO, *AV1, "-f", "obu"],
}

DECODERS = {
    "dav1d": {"main": AV1, "ten": [*AV1, "-pix_fmt", "yuv420p10le"], "444": [*AV1, "-pix_fmt", "yuv444p"]},
    "openh264": {"b": X264, "baseline": ["-c:v", "libx264", "-profile:v", "baseline"]},
    "hevc": {"b": X265, "ten": [*X265, "-pix_fmt", "yuv420p10le"]},
    "vp8": {"plain": VP8},
    "vp9": {"plain": VP9, "444": [*VP9, "-pix_fmt", "yuv444p"], "ten": [*VP9, "-pix_fmt", "yuv420p10le"]},
    "aac": {"plain": AAC},
    "mp3": {"plain": ["-c:a", "libmp3lame"]},
    "opus": {"plain": OPUS},
    "flac": {"plain": ["-c:a", "flac"]},
    "vorbis": {"plain": ["-c:a", "libvorbis"]},
    "pcm": {"plain": ["-t", "0.05", "-c:a", "pcm_s24le"]},
}
# Raw forms, as a decoder without a description reads them.
RAW = {"openh264": "h264", "hevc": "hevc", "aac": "adts", "dav1d": "ivf", "vp8": "ivf", "vp9": "ivf"}

DESCRIPTIONS = [
    (0, "avc-aac.mp4", "v:0", b""),
    (2, "hevc-fragmented.mp4", "v:0", b""),
    (4, "av1-opus.mp4", "v:0", b""),
    (7, "avc-aac.mp4", "a:0", b""),
    (9, "opus.ogg", "a:0", b""),
    (10, "vp8-vorbis.webm", "a:0", b""),
    (11, "plain.flac", "a:0", b"fLaC\x80\0\0\x22"),
]

# Decoders that need a description, and what FFmpeg leaves out of it.
DESCRIBED = ["opus", "flac", "vorbis"]
PREFIX = {"flac": b"fLaC\x80\0\0\x22"}

STRINGS = ["avc1.64001f", "avc3.42E01E", "hvc1.1.6.L93.B0", "hev1.A4.40000000.H120.90.8", "vp8", "vp09.00.10.08",
           "vp09.02.51.10.01.09.16.09.01", "av01.0.04M.08", "av01.2.15H.10.0.110.09.16.09.1", "mp4a.40.2", "mp4a.40.05",
           "mp4a.67", "mp4a.69", "opus", "flac", "vorbis", "mp3", "pcm-s24", "alaw", "ulaw"]


# What the target `mux` writes: the number of the container (as in `Format::ALL`), then tracks by the number of their codec (as
# in the target's list) with the bytes of a packet.
NAL = b"\0\0\0\x05\x65\x88\x84\0\x10"
VP8_KEY = b"\x10\0\0\x9d\x01\x2a\x40\0\x30\0"
VP9_KEY = b"\x82\x49\x83\x42\0\x03\xf0\x02\xf6"
AV1_KEY = b"\x12\0\x0a\x0a\0\0\0\x02\xaf\xff\x9f\xfb\xf3\x10\x32\x02\x10\0"
OPUS = b"\xfc\xff\xfe"
MP3 = b"\xff\xfb\x14\xc0" + bytes(92)


def flac(turn):
    """A frame of silence, with its checksums (RFC 9639, 9.1.8 and 9.3)."""
    def crc(data, polynomial, bits):
        value = 0
        for byte in data:
            value ^= byte << (bits - 8)
            for _ in range(8):
                value = (value << 1 ^ (polynomial if value >> (bits - 1) else 0)) & (1 << bits) - 1
        return value.to_bytes(bits // 8, "big")

    frame = b"\xff\xf8\xc9\x18" + bytes([turn])
    frame += crc(frame, 0x07, 8) + bytes(6)
    return frame + crc(frame, 0x8005, 16)


MUXES = [
    ("mp4", 0, [(3, NAL), (8, b"\x21\x10\x04")]),
    ("mp4-vpx", 0, [(0, VP8_KEY), (1, VP9_KEY), (7, OPUS)]),
    ("mp4-pcm", 0, [(2, AV1_KEY), (14, bytes(192)), (17, bytes(40))]),
    ("fmp4", 1, [(1, VP9_KEY), (7, OPUS)]),
    ("webm", 2, [(0, VP8_KEY), (7, OPUS)]),
    ("matroska", 3, [(3, NAL), (11, b"\xff\xf8\xc9\x18\0\xc2")]),
    ("ogg", 4, [(7, OPUS)]),
    ("wav", 5, [(14, bytes(192))]),
    ("adts", 6, [(8, b"\x21\x10\x04")]),
    ("ivf", 7, [(0, VP8_KEY)]),
    ("mpegts", 8, [(3, NAL), (10, MP3), (7, OPUS)]),
    ("flac", 9, [(11, flac)]),
    ("mp3", 10, [(10, MP3)]),
    # With another description, and the first again.
    ("mp4-changed", 0, [(3, NAL)]),
    ("fmp4-changed", 1, [(3, NAL)]),
]


def mux(container, flags, tracks, changed):
    """An input: each track's packets by turns."""
    out = bytes([container, flags, len(tracks) - 1])
    for codec, _ in tracks:
        out += bytes([codec, 3 if codec >= 7 else 0])
        # A rate and the channels come from the flags; then the description that fits.
        out += bytes([0xbb, 0] if codec >= 7 else [0])
    for turn in range(6):
        for index, (_, data) in enumerate(tracks):
            data = data(turn) if callable(data) else data
            packet = bytes([0 if turn % 3 == 0 or index else 4])
            which = index
            if changed and turn in (2, 3):
                which |= 0x40
            out += bytes([which]) + packet + bytes([len(data)]) + data
            # Which description: behind the packet.
            out += bytes([3 - turn]) if which >= 0x40 else b""
    return out


def main():
    for name, container, tracks in MUXES:
        for kind, flags in [("memory", 0x01), ("stream", 0xd0)]:
            write("mux", f"{name}-{kind}", mux(container, flags, tracks, "changed" in name))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, args in CONTAINERS.items():
            path = folder / name
            ffmpeg(*args, path)
            write("demux", name, path.read_bytes())
        # Its tracks go over to other codecs.
        parts = [folder / "avc-aac.ts", folder / "hevc-mp3.ts"]
        write("demux", "goes-over.ts", b"".join(part.read_bytes() for part in parts))
        for target, kinds in DECODERS.items():
            for kind, args in kinds.items():
                audio = "-c:a" in args
                form = RAW.get(target, "matroska")
                path = folder / f"{target}-{kind}.{form}"
                ffmpeg(*(AUDIO if audio else VIDEO), *args, "-f", form, path)
                data = chunks(packets(path, "a:0" if audio else "v:0"))
                if audio:
                    # Its description goes first, after its length.
                    setup = PREFIX.get(target, b"") + extradata(path, "a:0") if target in DESCRIBED else b""
                    data = len(setup).to_bytes(2, "little") + setup + data
                write(f"decode_{target}", kind, data)
        # The number of the codec in the target's list, then its description.
        for number, name, stream, prefix in DESCRIPTIONS:
            data = extradata(folder / name, stream)
            write("description", f"{number}-{name}", bytes([number]) + prefix + data)
    for string in STRINGS:
        write("codec_string", string, string.encode())


main()
