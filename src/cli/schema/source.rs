//! Where a schema comes from: a file with what it imports, or standard input.

use std::io::Read;
use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::{lines, text_file};
use crate::model::limits;
use crate::schema::spicedb::{self, Imported};

/// A schema as one text, and where its parts come from.
#[derive(Debug)]
pub(in crate::cli) struct Source {
    pub(in crate::cli) text: String,
    /// Only where there were imports: without any, places in the text are places in the file.
    imported: Option<Imported>,
}

impl Source {
    /// The file, from the folder of the first one, and the line in it that became `line` of the text. `None` without imports.
    pub(in crate::cli) fn origin_of(&self, line: usize) -> Option<(&str, usize)> {
        self.imported.as_ref()?.origin_of(line)
    }

    /// `failure` of a call about the schema, with the file to blame where the text was made of several.
    pub(super) fn locate(&self, failure: Failure) -> Failure {
        let Err(error) = spicedb::parse(&self.text) else { return failure };
        match self.origin_of(error.start.line) {
            Some((file, line)) => failure.hint(format!("that is in {file}, at line {line}")),
            None => failure,
        }
    }
}

/// Reads `file`, and what it imports from its folder; `-` is standard input, which can import nothing.
pub(super) fn load(file: &Path) -> Result<Source, Failure> {
    let text = read(file)?;
    if file == Path::new("-") {
        return Ok(Source { text, imported: None });
    }
    with_imports(file, text).map_err(Failure::new)
}

/// The same for a file that another one in `folder` names, and that must be below it.
pub(in crate::cli) fn load_below(folder: &Path, path: &str) -> Result<Source, String> {
    let text = text_file::read_below(folder, path, limits::SCHEMA_BYTES)?;
    with_imports(&folder.join(path), text)
}

fn with_imports(file: &Path, text: String) -> Result<Source, String> {
    // Cheap and safe to ask: a text that is no schema gets its error from whoever judges it, as all do.
    if !text.contains("import") {
        return Ok(Source { text, imported: None });
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| format!("{} is not a name for a schema", file.display()))?;
    let mut first = Some(text);
    let mut open = |path: &str| match first.take() {
        Some(text) => Ok(text),
        None => text_file::read_below(folder, path, limits::SCHEMA_BYTES),
    };
    let imported = spicedb::compile_imports(name, &mut open).map_err(|error| error.to_string())?;
    if imported.text.len() > limits::SCHEMA_BYTES {
        return Err("the schema with its imports is larger than a schema may be (4 MiB)".to_owned());
    }
    Ok(Source { text: imported.text.clone(), imported: Some(imported) })
}

fn read(file: &Path) -> Result<String, Failure> {
    let (input, _) = lines::open(file)?;
    let mut text = String::new();
    input
        .take(limits::SCHEMA_BYTES as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    if text.len() > limits::SCHEMA_BYTES {
        return Err(Failure::usage(format!("{} is larger than a schema may be (4 MiB)", file.display())));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_schema_is_read_with_what_it_imports_from_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writable");
        fs::create_dir_all(folder.path().join("top/sub")).expect("writable");
        write("secret.zed", "definition secret {}");
        write("top/plain.zed", "definition   user {}");
        write("top/root.zed", "use import\nimport \"sub/user.zed\"\ndefinition doc {\n relation own: user | robot\n}");
        write("top/sub/user.zed", "definition user {}");
        write("top/up.zed", "use import\nimport \"../secret.zed\"");
        write("top/link.zed", "use import\nimport \"linked.zed\"");
        std::os::unix::fs::symlink(folder.path().join("secret.zed"), folder.path().join("top/linked.zed"))
            .expect("linked");

        let load = |name: &str| load(&folder.path().join("top").join(name));
        assert_eq!(load("plain.zed").expect("there").text, "definition   user {}");
        let root = load("root.zed").expect("there");
        assert_eq!(root.text, "definition user {}\n\ndefinition doc {\n relation own: user | robot\n}\n");
        assert!(load("up.zed").expect_err("above").message().contains("not allowed"));
        let error = load("link.zed").expect_err("a link");
        assert!(error.message().contains("leads out of the folder"), "{error:?}");
        assert!(load("absent.zed").is_err());
    }
}
