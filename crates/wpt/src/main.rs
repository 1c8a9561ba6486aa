//! `reelcore-wpt`: the Web Platform Tests, run natively. See `wpt/README.md`.

fn main() {
    let status = reelcore_wpt::cli::main();
    // Not a return: threads of hung tests must not keep the process.
    std::process::exit(i32::from(status));
}
