#!/usr/bin/env python3
"""Writes what ffprobe says of the sample clips' packets, for the tests to compare with.

Run it after examples/media/make.sh; made with FFmpeg 5.1. Each packet is
[presentation ticks, decode ticks, bytes, key, byte offset, Adler-32 of the data].
"""

import json
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
CLIPS = HERE.parents[3] / "examples" / "media"


def probe(clip, *options):
    command = ["ffprobe", "-v", "error", "-of", "json", *options, str(clip)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


for clip in sorted(CLIPS.glob("*.mp4")):
    streams = probe(clip, "-show_streams")["streams"]
    packets = probe(clip, "-show_packets", "-show_data_hash", "adler32")["packets"]
    tracks = []
    for stream in streams:
        numerator, scale = map(int, stream["time_base"].split("/"))
        assert numerator == 1
        tracks.append(
            {
                "type": stream["codec_type"],
                "codec": stream["codec_name"],
                "scale": scale,
                "width": stream.get("width"),
                "height": stream.get("height"),
                "sample_rate": stream.get("sample_rate") and int(stream["sample_rate"]),
                "channels": stream.get("channels"),
                "packets": [
                    [
                        p["pts"],
                        p["dts"],
                        int(p["size"]),
                        int("K" in p["flags"]),
                        int(p["pos"]),
                        int(p["data_hash"].split(":")[1], 16),
                    ]
                    for p in packets
                    if p["stream_index"] == stream["index"]
                ],
            }
        )
    text = json.dumps(tracks, separators=(",", ":")).replace("],[", "],\n[")
    (HERE / f"{clip.stem}.json").write_text(text + "\n")
