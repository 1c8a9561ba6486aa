//! Files that are not just bytes on a disk: pipes that wait, files of /proc, output that does not block.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn start(
    source: &str,
    argument: &Path,
    [stdout, stderr]: [Stdio; 2],
) -> (tempfile::TempDir, Child) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("x.js");
    std::fs::write(&script, source).expect("it is written");
    let child = Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .arg("run")
        .arg(script)
        .arg(argument)
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .expect("the binary starts");
    (folder, child)
}

/// The output of a script that must end by itself.
fn run(source: &str, argument: &Path, meanwhile: impl FnOnce()) -> Output {
    let (_folder, mut child) = start(source, argument, [Stdio::piped(), Stdio::piped()]);
    meanwhile();
    // Long enough for any machine: one that waits does so for good.
    for _ in 0..600 {
        if child.try_wait().expect("its status").is_some() {
            return child.wait_with_output().expect("its output");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().expect("it is there");
    panic!("it still waits: {:?}", child.wait_with_output());
}

fn assert_prints(output: &Output, expected: &str) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((&*stdout, &*stderr), (expected, ""));
}

fn fifo(folder: &tempfile::TempDir) -> std::path::PathBuf {
    let path = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo is there").success());
    path
}

#[test]
fn a_fetch_of_a_pipe_waits_for_its_writer_and_reads_to_the_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = fifo(&folder);
    let source = "
        const response = await fetch(`file://${Deno.args[0]}`, { headers: { range: 'bytes=1-2' } });
        console.log(response.status, response.headers.get('content-length'), response.headers.get('accept-ranges'));
        console.log(await response.text());";
    let writer = path.clone();
    let output = run(source, &path, move || {
        std::thread::sleep(Duration::from_millis(200));
        let mut file = File::options()
            .write(true)
            .open(writer)
            .expect("there is a reader");
        file.write_all(b"first ").expect("it is read");
        std::thread::sleep(Duration::from_millis(100));
        file.write_all(b"second").expect("it is read");
    });
    assert_prints(&output, "200 null null\nfirst second\n");
}

#[test]
fn a_fetch_of_a_pipe_that_nobody_writes_ends_when_it_is_aborted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = fifo(&folder);
    for read in [
        "response.text()",
        "response.body.getReader().read()",
        "response.arrayBuffer()",
    ] {
        let source = format!(
            "const response = await fetch(`file://${{Deno.args[0]}}`, {{ signal: AbortSignal.timeout(100) }});
             await {read}.catch((error) => console.log(error.name));"
        );
        let output = run(&source, &path, || ());
        assert_prints(&output, "TimeoutError\n");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_fetch_of_a_file_that_does_not_know_its_length_has_all_of_it() {
    let output = run(
        "const response = await fetch('file:///proc/self/status', { headers: { range: 'bytes=0-3' } });
         const { status, headers } = response;
         const text = await response.text();
         console.log(status, headers.get('content-length'), text.startsWith('Name:'), text.endsWith('\\n'));
         const head = await fetch('file:///proc/self/status', { method: 'HEAD' });
         console.log(head.status, head.body);
         const zeros = (await fetch('file:///dev/zero')).body.getReader();
         console.log((await zeros.read()).value.length > 0);
         await zeros.cancel();",
        Path::new("x"),
        || (),
    );
    assert_prints(&output, "200 null true true\n200 null\ntrue\n");
}

#[test]
fn the_console_waits_where_its_output_does_not_block_and_is_full() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("it takes the setting");
    // Lines of their own, and one that is larger than the pipe.
    let source = "
        for (let i = 0; i < 20_000; i++) console.log(`line ${i}`);
        console.log('x'.repeat(300_000));
        console.log('end');";
    let (_folder, child) = start(source, Path::new("x"), [writer.into(), Stdio::piped()]);
    std::thread::sleep(Duration::from_millis(300));
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("it reads");
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success(), "{output:?}");
    let mut lines = text.lines();
    for i in 0..20_000 {
        assert_eq!(lines.next(), Some(&*format!("line {i}")));
    }
    assert_eq!(lines.next().map(str::len), Some(300_000));
    assert_eq!((lines.next(), lines.next()), (Some("end"), None));
}

#[test]
fn an_error_that_nobody_caught_is_told_where_its_output_does_not_block_and_is_full() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("it takes the setting");
    let source = "console.error('x'.repeat(65_535)); throw new Error('the last word');";
    let (_folder, child) = start(source, Path::new("x"), [Stdio::piped(), writer.into()]);
    std::thread::sleep(Duration::from_millis(300));
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("it reads");
    let output = child.wait_with_output().expect("its output");
    assert_eq!(output.status.code(), Some(1));
    let last = text.split_once('\n').map(|(_, last)| last);
    let told = |last: &str| last.starts_with("error: Uncaught") && last.contains("the last word");
    assert!(last.is_some_and(told), "{last:?}");
}

#[test]
fn the_console_waits_where_the_file_that_an_embedder_gave_is_full() {
    use crate::library::with_tokio;

    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("it takes the setting");
    let read = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("it reads");
        text
    });
    with_tokio(move |_| {
        let mut runtime = reelcore_runtime::Runtime::builder()
            .stdout(File::from(std::os::fd::OwnedFd::from(writer)))
            .build()
            .expect("it builds");
        runtime
            .eval_script(
                "x.js",
                "console.log('x'.repeat(300_000)); console.log('end')",
            )
            .expect("it runs");
    });
    let text = read.join().expect("it ends");
    assert_eq!(text.len(), 300_000 + "\nend\n".len());
    assert!(text.ends_with("x\nend\n"));
}
