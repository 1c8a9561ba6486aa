//! Finds the system's libavcodec. A machine without it still builds the crate, which then says that it has none; but not
//! with the feature `required`, by which a runtime counts on it.

use std::fmt::Display;

/// Where there is no libavcodec.
fn without(reason: impl Display) {
    let reason = reason.to_string();
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    if std::env::var_os("CARGO_FEATURE_REQUIRED").is_some() {
        println!(
            "cargo::error=the cargo feature ffmpeg needs FFmpeg 5.1 to 8 with its headers and pkg-config \
             (Debian: apt-get install libavcodec-dev pkg-config); without the feature nothing of it is needed. {reason}"
        );
        std::process::exit(1);
    }
    println!("cargo:warning=built without libavcodec: {reason}");
}

fn main() {
    println!("cargo:rustc-check-cfg=cfg(libavcodec)");
    for file in [
        "src/shim.c",
        "src/guard.c",
        "src/bare.c",
        "src/encode.c",
        "src/shim.h",
    ] {
        println!("cargo:rerun-if-changed={file}");
    }
    // FFmpeg 5.1 (59.37) up to and with FFmpeg 8 (62).
    let found = pkg_config::Config::new()
        .range_version("59.37".."63")
        .cargo_metadata(false)
        .probe("libavcodec");
    // Frames and error texts are libavutil's, which libavcodec needs in any case.
    let util = pkg_config::Config::new()
        .cargo_metadata(false)
        .probe("libavutil");
    let (library, util) = match found.and_then(|library| Ok((library, util?))) {
        Ok(libraries) => libraries,
        Err(error) => return without(error),
    };
    // Compiled against the installed headers, as the layouts differ from version to version.
    if let Err(error) = cc::Build::new()
        .files(["src/shim.c", "src/guard.c", "src/bare.c", "src/encode.c"])
        .std("c11")
        .includes(&library.include_paths)
        .try_compile("reelcore_avcodec_shim")
    {
        return without(format!("the shim does not compile: {error}"));
    }
    for library in [&library, &util] {
        for path in &library.link_paths {
            println!("cargo:rustc-link-search=native={}", path.display());
        }
        for name in &library.libs {
            println!("cargo:rustc-link-lib={name}");
        }
    }
    println!("cargo:rustc-cfg=libavcodec");
}
