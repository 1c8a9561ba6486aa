//! Scripts of extensions inside the binary, so that it runs on machines that have not built it.

use std::borrow::Cow;

use deno_core::{
    Extension, ExtensionFileSource, ExtensionFileSourceCode, FastStaticString, ascii_str_include,
};

/// The scripts of the deno crates, by the paths that their extensions name. Made by the build script.
static SCRIPTS: &[(&str, FastStaticString)] = include!(concat!(env!("OUT_DIR"), "/scripts.rs"));

/// Replaces what `extension` would read from the machine that built it.
pub(crate) fn embed(extension: &mut Extension) {
    for files in lists(extension) {
        if files.iter().any(|file| embedded(file).is_some()) {
            for file in files.to_mut() {
                if let Some(script) = embedded(file) {
                    *file = ExtensionFileSource::new(file.specifier, script);
                }
            }
        }
    }
}

fn lists(extension: &mut Extension) -> [&mut Cow<'static, [ExtensionFileSource]>; 4] {
    [
        &mut extension.js_files,
        &mut extension.esm_files,
        &mut extension.lazy_loaded_js_files,
        &mut extension.lazy_loaded_esm_files,
    ]
}

/// The text of a script that is named by its path.
fn embedded(file: &ExtensionFileSource) -> Option<FastStaticString> {
    let path = from_disk(file)?;
    let found = SCRIPTS.binary_search_by_key(&path, |(path, _)| path);
    found.ok().map(|index| SCRIPTS[index].1)
}

/// Where a script is read from when the runtime starts, if it is.
fn from_disk(file: &ExtensionFileSource) -> Option<&'static str> {
    match file.code {
        ExtensionFileSourceCode::LoadedFromFsDuringSnapshot(path) => Some(path),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) fn read_at_start(extension: &mut Extension) -> Vec<&'static str> {
    lists(extension)
        .into_iter()
        .flat_map(|files| files.iter().filter_map(from_disk).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_in_the_order_that_looking_them_up_takes_for_granted() {
        assert!(SCRIPTS.is_sorted_by_key(|(path, _)| path));
        assert!(
            SCRIPTS
                .iter()
                .any(|(path, _)| path.ends_with("/00_infra.js"))
        );
    }
}
