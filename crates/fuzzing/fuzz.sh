#!/usr/bin/env bash
# Fuzzes one target, or all, for so many seconds each: crates/fuzzing/fuzz.sh TARGET|all SECONDS
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
[ $# -eq 2 ] || { echo "usage: $0 TARGET|all SECONDS" >&2; exit 2; }

work=${REELCORE_FUZZ_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/reelcore/fuzz}
mkdir -p "$work"
names=$1
if [ "$names" = all ]; then
  names=$(sed -n 's/^ *\(\.\.\)\{0,1\}target("\([a-z0-9_]*\)".*/\2/p' src/lib.rs)
fi
cargo +nightly fuzz build --fuzz-dir fuzz --target-dir "$work/target" target
for name in $names; do
  mkdir -p "$work/corpus/$name" "$work/artifacts/$name"
  folders=("$work/corpus/$name")
  for folder in "seeds/$name" "regressions/$name"; do
    [ -d "$folder" ] && folders+=("$folder")
  done
  case $name in
    demux_stream) folders+=(seeds/demux) ;;
    decode_ffmpeg_h264) folders+=(seeds/decode_openh264) ;;
    decode_ffmpeg_hevc) folders+=(seeds/decode_hevc) ;;
    decode_ffmpeg_vp8) folders+=(seeds/decode_vp8) ;;
  esac
  echo "== $name for $2 s"
  # An input that takes ten seconds hangs; memory is bounded by the targets' own caps.
  # OpenH264 defines the same tables in its encoder and its decoder, which is harmless.
  ASAN_OPTIONS=detect_odr_violation=0 REELCORE_FUZZ=$name "$work"/target/*/release/target "${folders[@]}" \
    -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$work/artifacts/$name/" 2>&1 | grep -vE '^#[0-9]+.*(REDUCE|NEW|pulse|RELOAD)' || {
    echo "$name: a finding, in $work/artifacts/$name" >&2
    exit 1
  }
done
