//! A member added to a .webidl file breaks the build until somebody implements it.

use std::path::{Path, PathBuf};
use std::process::Command;

use reelcore_codegen::{Config, File, Source, generate, read_sources};

fn file(files: &[File], path: &Path) -> String {
    let found = files.iter().find(|file| file.path == path);
    found
        .unwrap_or_else(|| panic!("{} was not generated", path.display()))
        .contents
        .clone()
}

/// The trait that is implemented by hand, out of an interface's generated file.
fn methods_trait(contents: &str) -> &str {
    let start = contents.find("pub trait ").expect("a trait");
    let end = contents[start..].find("\n}\n").expect("its end");
    &contents[start..start + end + 3]
}

/// Compiles `source` as a library; what the compiler says when it refuses.
fn compile(source: &str, name: &str) -> Result<(), String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("lib.rs");
    std::fs::write(&path, source).expect("a file");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata"])
        .arg("--out-dir")
        .args([&folder, &path])
        .output()
        .expect("rustc runs");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn an_implementation_that_lacks_an_added_attribute_does_not_compile() {
    let build = |webidl: &str, name: &str| {
        let source = Source {
            name: "test.webidl".into(),
            text: webidl.into(),
        };
        let config = Config::webcodecs();
        let files = generate(&config, &[source]).unwrap_or_else(|error| panic!("{error}"));
        let generated = file(&files, &config.rust_dir.join("meter.rs"));
        let source = format!(
            "pub trait Interface: Sized {{}}\npub struct Meter;\nimpl Interface for Meter {{}}\n{}\n\
             impl MeterMethods for Meter {{\n    fn level(&self) -> f64 {{ 0.5 }}\n}}\n",
            methods_trait(&generated)
        );
        compile(&source, name)
    };
    let before = "[Exposed=*] interface Meter { readonly attribute double level; };";
    build(before, "before").expect("a complete implementation compiles");
    let added = "[Exposed=*] interface Meter { readonly attribute double level; readonly attribute boolean overLoad; };";
    let error = build(added, "added").expect_err("an incomplete implementation does not compile");
    assert!(
        error.contains("E0046") && error.contains("over_load"),
        "{error}"
    );
}

#[test]
fn an_attribute_added_to_any_interface_is_asked_of_its_implementation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sources = read_sources(&root.join("webidl")).expect("the sources");
    let config = Config::webcodecs();
    let before = generate(&config, &sources).unwrap_or_else(|error| panic!("{error}"));
    let mut checked = 0;
    for (index, source) in sources.iter().enumerate() {
        for (at, _) in source.text.match_indices("\ninterface ") {
            let head = &source.text[at..];
            let body = at + head.find('{').expect("a body") + 1;
            // Its extended attributes stand in the line before.
            let line = source.text[..at].rsplit('\n').next().unwrap_or_default();
            if line.contains("ReelcoreUnimplemented") || line.contains("ReelcoreExternal") {
                continue;
            }
            let name = head["\ninterface ".len()..]
                .split([' ', ':', '{'])
                .next()
                .expect("a name");
            let mut changed: Vec<Source> = sources
                .iter()
                .map(|source| Source {
                    name: source.name.clone(),
                    text: source.text.clone(),
                })
                .collect();
            changed[index]
                .text
                .insert_str(body, "\n  readonly attribute boolean addedLater;\n");
            let after = generate(&config, &changed).unwrap_or_else(|error| panic!("{error}"));
            let mut found = 0;
            for (old, new) in before.iter().zip(&after) {
                if new.contents.contains(&format!("pub trait {name}Methods")) {
                    let wanted = "fn added_later(&self) -> bool;";
                    assert!(!methods_trait(&old.contents).contains(wanted), "{name}");
                    assert!(methods_trait(&new.contents).contains(wanted), "{name}");
                    found += 1;
                }
            }
            assert_eq!(found, 1, "{name} has one trait");
            checked += 1;
        }
    }
    // Those of WebCodecs that are implemented; a search that finds none would prove nothing.
    assert!(checked >= 7, "{checked}");
}
