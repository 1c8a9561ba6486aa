//! Runs the tests that are written in JavaScript.

use std::process::Command;

use crate::script;

fn run(name: &str, tests: usize) {
    run_with(name, &[], tests);
}

fn run_with(name: &str, args: &[&str], tests: usize) {
    let output = Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .arg("run")
        .arg(script(name))
        .args(["--flag", "two words"])
        .args(args)
        .env("REELCORE_TEST", "1")
        // Mesa complains on standard error where a session has none.
        .env("XDG_RUNTIME_DIR", std::env::temp_dir())
        .output()
        .expect("the binary starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    // A script that ends early, or skips a test, does not print this.
    assert!(
        stdout.ends_with(&format!("passed {tests}\n")),
        "{stdout}\n{stderr}"
    );
    assert_eq!(stderr, "");
}

#[test]
fn globals_are_a_workers() {
    run("globals.js", 14);
}

#[test]
fn timers_events_streams_and_messages_behave() {
    run("tasks.js", 13);
}

#[test]
fn fetch_headers_and_responses_behave() {
    run("fetch.js", 22);
}

#[test]
fn deno_files_and_process_behave() {
    run("files.js", 7);
}

#[test]
fn modules_load_and_their_errors_are_clear() {
    run("modules.js", 5);
}

#[test]
fn videos_decode_in_order_with_exact_times_and_no_copy() {
    run("decode.js", 17);
}

#[test]
fn pictures_that_are_encoded_come_back_with_their_times_layers_and_alpha() {
    run("encode.js", 58);
}

#[test]
fn frames_stay_on_the_gpu_until_somebody_asks() {
    run("gpu.js", 20);
}

#[test]
fn descriptors_and_shaders_of_webgpu_are_read_as_the_specification_says() {
    run("gpu_descriptors.js", 16);
}

#[test]
fn pixels_on_the_gpu_are_the_same_whichever_way_they_take() {
    run("gpu_pixels.js", 5);
}

#[test]
fn decoded_frames_are_uploaded_once_and_never_downloaded() {
    run("gpu_moves.js", 1);
}

#[test]
fn frames_from_textures_are_downloaded_once_for_an_encoder() {
    run("gpu_encoded.js", 1);
}

#[test]
fn ten_thousand_frames_leave_nothing_behind_on_the_gpu() {
    run("gpu_pool.js", 4);
}

#[test]
fn canvases_are_sources_of_frames_textures_and_bitmaps() {
    run("canvas.js", 25);
}

#[test]
fn bitmaps_and_files_of_canvases_have_their_colours_and_are_collected() {
    run("canvas_bitmaps.js", 3);
}

#[test]
fn sound_that_is_encoded_comes_back_in_time() {
    run("encode_audio.js", 14);
}

#[cfg(feature = "lame")]
#[test]
fn sound_that_is_encoded_as_mp3_comes_back_in_time() {
    run_with("encode_audio.js", &["--mp3"], 7);
}

#[test]
fn files_and_streams_that_are_written_can_be_read_back() {
    run("muxer.js", 16);
}

#[test]
fn decoder_configs_come_late_change_or_are_refused() {
    run("muxer_changes.js", 13);
}

#[test]
fn frames_audio_and_chunks_are_made_copied_cloned_and_transferred() {
    run("frames.js", 10);
}

#[test]
fn clones_and_transfers_of_media_arrive_and_nothing_is_kept_of_those_that_do_not() {
    run("serialization.js", 7);
}

#[test]
fn sound_decodes_to_the_last_sample_and_no_further() {
    run("audio.js", 15);
}

#[test]
fn sound_that_two_workers_decode_is_what_one_decodes() {
    run("audio_parallel.js", 4);
}

#[test]
fn pictures_that_are_left_out_stay_out_and_none_is_stretched() {
    run("demuxer_pictures.js", 2);
}

#[test]
fn containers_open_from_every_source_and_seek() {
    run("demuxer.js", 19);
}

#[test]
fn streams_are_demuxed_as_they_arrive_and_closed_while_they_wait() {
    run("demuxer_streams.js", 6);
}

#[test]
fn the_types_of_the_namespace_name_every_member_and_option() {
    run("types.js", 5);
}

#[test]
fn twenty_thousand_random_sequences_of_calls_keep_every_promise() {
    run("random.js", 2);
}

#[test]
fn twenty_thousand_random_sequences_of_calls_on_encoders_keep_every_promise() {
    run("random_encode.js", 8);
}

#[test]
fn a_thousand_idle_decoders_cost_little_and_busy_ones_are_served_alike() {
    run("scale.js", 2);
}

/// The front page's job, for each codec: a picture of the right size that is more than one colour.
#[test]
fn the_contact_sheet_of_each_sample_clip_is_a_picture() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (clip, codec, height) in [("h264-aac.mp4", "avc1.", 556), ("av1.mp4", "av01.", 556)] {
        let sheet = folder.path().join("sheet.png");
        let output = Command::new(env!("CARGO_BIN_EXE_reelcore"))
            .arg("run")
            .arg(examples.join("contact-sheet.js"))
            .arg(examples.join("media").join(clip))
            .arg(&sheet)
            .output()
            .expect("the binary starts");
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{clip}: {stdout}\n{stderr}");
        assert!(stdout.starts_with(codec), "{stdout}");
        assert!(stdout.contains("frames per second"), "{stdout}");
        // No terminal, no progress bar.
        assert_eq!(stderr, "");
        let png = std::fs::read(&sheet).expect("the sheet is there");
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(&png[16..20], &976u32.to_be_bytes(), "{clip}: width");
        assert_eq!(&png[20..24], &u32::to_be_bytes(height), "{clip}: height");
        // One colour would compress to a few kilobytes.
        assert!(png.len() > 20_000, "{clip}: {} bytes", png.len());
        std::fs::remove_file(&sheet).expect("it is removed");
    }
}

/// Fails unless the first and the last tile of the sheet differ.
const COMPARE_TILES: &str = r#"
const sheet = await createImageBitmap(new Blob([await Deno.readFile(Deno.args[0])]));
const frame = new VideoFrame(sheet, { timestamp: 0 });
const tile = async (at) => {
  const height = (frame.codedHeight - 4) / 3;
  const rect = { x: 4 + at * 324, y: Math.round(4 + at * height), width: 320, height: Math.floor(height) - 4 };
  const pixels = new Uint8Array(frame.allocationSize({ rect }));
  await frame.copyTo(pixels, { rect });
  return pixels.join();
};
if (await tile(0) === await tile(2)) throw new Error("the first picture is the last one too");
"#;

#[test]
fn the_contact_sheet_of_a_stream_that_says_no_duration_has_pictures_of_all_of_it() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sheet = folder.path().join("sheet.png");
    let compare = folder.path().join("compare.js");
    std::fs::write(&compare, COMPARE_TILES).expect("the script is written");
    let clip = root.join("../codec-openh264/tests/data/main-slices.264");
    let example = root.join("../../examples/contact-sheet.js");
    for [script, first, second] in [[&example, &clip, &sheet], [&compare, &sheet, &sheet]] {
        let output = Command::new(env!("CARGO_BIN_EXE_reelcore"))
            .arg("run")
            .arg(script)
            .args([first, second])
            .output()
            .expect("the binary starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", script.display());
    }
}

#[test]
fn the_examples_say_so_where_a_file_has_no_video() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sound = folder.path().join("sound.wav");
    // 80 samples of 16 bits, at 8 kHz.
    let mut wav = b"RIFF\xc4\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\xa0\0\0\0".to_vec();
    wav.resize(wav.len() + 160, 0);
    std::fs::write(&sound, wav).expect("the file is written");
    for example in ["contact-sheet.js", "gpu-filter.js", "gpu-histogram.js"] {
        let output = Command::new(env!("CARGO_BIN_EXE_reelcore"))
            .arg("run")
            .arg(examples.join(example))
            .args([&sound, &folder.path().join("out")])
            // Mesa complains on standard error where a session has none.
            .env("XDG_RUNTIME_DIR", std::env::temp_dir())
            .output()
            .expect("the binary starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{example}: {stderr}");
        let wanted = format!("{}: no video track", sound.display());
        assert!(stderr.starts_with(&wanted), "{example}: {stderr}");
    }
}
