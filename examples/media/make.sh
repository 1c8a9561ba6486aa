#!/bin/sh
# Makes the sample clips of this folder from synthetic sources, with FFmpeg (made with 5.1; it needs
# libx264, libsvtav1 and libaom). The clips are checked in: run this only to change them.
#
#   examples/media/make.sh [FOLDER]     writes to FOLDER, this one by default
#
# Encoders run on one thread and write no version strings, so the same FFmpeg gives the same bytes.
set -eu
cd "${1:-$(dirname "$0")}"

run() {
    ffmpeg -hide_banner -loglevel error -nostdin -y -fflags +bitexact "$@"
}

# Four scenes of 44 frames at 24 frames a second, with a counter of tenths of seconds in the corner:
# frames at evenly spaced times all look different.
scenes() { # SIZE
    w=${1%x*}
    h=${1#*x}
    cat <<EOF
gradients=size=$1:rate=24:type=spiral:speed=0.03:n=4:seed=7:c0=0x102040:c1=0xff8040:c2=0x20c0a0:c3=0xf0e060,
  setsar=1,trim=end_frame=44,format=yuv420p[a];
mandelbrot=size=$1:rate=24:start_scale=1.4:end_scale=0.02:end_pts=60:maxiter=300,
  setsar=1,trim=end_frame=44,hue=h=20*t,gblur=sigma=0.7,format=yuv420p[b];
life=size=$((w / 8))x$((h / 8)):rate=24:ratio=0.18:seed=11:mold=12:life_color=0xffd060:death_color=0x3040a0:mold_color=0x101830,
  trim=end_frame=44,scale=$1:flags=neighbor,setsar=1,format=yuv420p[c];
testsrc2=size=$1:rate=24,setsar=1,trim=end_frame=44,format=yuv420p[d];
testsrc=size=640x360:rate=24:decimals=1,trim=end_frame=176,crop=128:104:448:128,
  scale=$((w / 10)):-2,format=yuv420p[counter];
[a][b][c][d]concat=n=4:v=1:a=0[scenes];
[scenes][counter]overlay=x=W-w-8:y=H-h-8,
  setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv,format=yuv420p[v]
EOF
}

BT709="-color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv"
X264="-c:v libx264 -threads 1 -profile:v high -flags:v +bitexact $BT709"
# A chord that swells and fades, in stereo.
CHORD="aevalsrc=exprs='0.2*sin(2*PI*220*t)*(1-cos(PI*t))/2+0.1*sin(2*PI*330*t)|0.2*sin(2*PI*277.18*t)*(1+cos(PI*t))/2+0.1*sin(2*PI*330*t)':sample_rate=44100:duration=7.3333"

# H.264 High with B-frames and AAC-LC; the moov box at the end, samples of both tracks interleaved.
run -filter_complex "$(scenes 640x360);$CHORD[s]" -map '[v]' -map '[s]' \
    $X264 -preset slower -crf 31 -bf 3 -g 48 -keyint_min 12 \
    -c:a aac -b:a 64k -flags:a +bitexact -metadata:s:a language=eng \
    -movflags +write_colr h264-aac.mp4

# The same pictures in AV1 with Opus; the moov box at the front.
SVT_LOG=2 run -filter_complex "$(scenes 640x360);$CHORD,aresample=48000,asetnsamples=960[s]" -map '[v]' -map '[s]' \
    -c:v libsvtav1 -preset 5 -crf 48 -g 48 -svtav1-params lp=1 -flags:v +bitexact $BT709 \
    -c:a libopus -b:a 48k -flags:a +bitexact -movflags +faststart+write_colr av1.mp4

# Fragmented: one-second fragments cut at key frames, two tracks, a sidx and an mfra box.
run -filter_complex "$(scenes 320x176);$CHORD[s]" -map '[v]' -map '[s]' \
    $X264 -preset slower -crf 36 -bf 2 -g 24 -c:a aac -ac 1 -b:a 32k -flags:a +bitexact \
    -movflags +frag_keyframe+empty_moov+default_base_moof+global_sidx h264-fragmented.mp4

# To be shown rotated by 90 degrees clockwise. FFmpeg 5.1 has no option for it: the matrix of the track header,
# 44 bytes after the name of its box, is written over: (x, y) goes to (-y, x).
run -f lavfi -i "testsrc2=size=160x96:rate=25:duration=1" \
    $X264 -preset slower -crf 34 -bf 2 -movflags +faststart h264-rotated.mp4
tkhd=$(grep -abo tkhd h264-rotated.mp4 | head -n 1 | cut -d: -f1)
printf '\0\0\0\0\0\1\0\0\0\0\0\0\377\377\0\0\0\0\0\0' |
    dd of=h264-rotated.mp4 bs=1 seek=$((tkhd + 44)) conv=notrunc status=none

# AV1 Main profile with 10 bits a sample.
run -f lavfi -i "testsrc2=size=160x96:rate=25:duration=1,format=yuv420p10le" \
    -c:v libaom-av1 -cpu-used 4 -crf 40 -threads 1 -flags:v +bitexact $BT709 \
    -movflags +faststart+write_colr av1-10bit.mp4

# The smallest pictures, 600 of each: the cost of the machinery per frame.
run -f lavfi -i "testsrc2=size=16x16:rate=60:duration=10" $X264 -preset medium -crf 40 -bf 2 -g 60 h264-16x16.mp4
run -f lavfi -i "testsrc2=size=16x16:rate=60:duration=10" \
    -c:v libaom-av1 -cpu-used 6 -crf 50 -g 60 -threads 1 -flags:v +bitexact $BT709 av1-16x16.mp4
