//! Finds the system's libavcodec. A machine without it still builds: the crate then says that it has none.

fn main() {
    println!("cargo:rustc-check-cfg=cfg(libavcodec)");
    for file in ["src/shim.c", "src/guard.c", "src/shim.h"] {
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
        Err(error) => {
            println!(
                "cargo:warning=built without libavcodec: {}",
                error
                    .to_string()
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
            );
            return;
        }
    };
    // Compiled against the installed headers, as the layouts differ from version to version.
    if let Err(error) = cc::Build::new()
        .files(["src/shim.c", "src/guard.c"])
        .std("c11")
        .includes(&library.include_paths)
        .try_compile("reelcore_avcodec_shim")
    {
        println!("cargo:warning=built without libavcodec: the shim does not compile: {error}");
        return;
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
