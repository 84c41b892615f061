//! Imports: what one text is made of, and which paths and circles are refused.

use std::collections::BTreeMap;

use crate::model::limits;
use crate::schema::spicedb::{Imported, compile_imports, parse};

fn compile(files: &[(&str, &str)]) -> Result<Imported, String> {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let mut load = |path: &str| files.get(path).map(|text| (*text).to_owned()).ok_or_else(|| "no such file".to_owned());
    compile_imports("root.zed", &mut load).map_err(|error| error.to_string())
}

#[test]
fn a_text_without_imports_stays_as_it_is() {
    let text = "// as it is\ndefinition   user {}";
    let imported = compile(&[("root.zed", text)]).expect("valid");
    assert_eq!(imported.text, text);
    assert_eq!(imported.origin_of(2), Some(("root.zed", 2)));
}

#[test]
fn imported_files_stand_before_what_imports_them_each_once() {
    let files = [
        (
            "root.zed",
            "use import\nimport \"sub/team.zed\"\nimport './user.zed'\n\n// doc\ndefinition doc {\n ...bits\n}\n",
        ),
        (
            "sub/team.zed",
            "use import\nuse expiration\nimport \"deep/er.zed\"\n// team\ndefinition team {\n relation own: user with expiration\n}",
        ),
        ("sub/deep/er.zed", "use partial\npartial bits {\n relation bit: user\n}"),
        ("user.zed", "\n\n  definition user {}"),
    ];
    let imported = compile(&files).expect("valid");
    let expected = "use expiration\nuse partial\n\npartial bits {\n relation bit: user\n}\n\n// team\ndefinition team {\n \
                    relation own: user with expiration\n}\n\ndefinition user {}\n\n// doc\ndefinition doc {\n ...bits\n}\n";
    assert_eq!(imported.text, expected);
    assert_eq!(parse(&imported.text).expect("valid").definitions.len(), 3);
    for (line, origin) in
        [(4, ("sub/deep/er.zed", 2)), (9, ("sub/team.zed", 5)), (13, ("user.zed", 3)), (17, ("root.zed", 7))]
    {
        let text_line = expected.lines().nth(line - 1).expect("there").trim();
        let (file, at) = imported.origin_of(line).expect("known");
        let (_, text) = files.iter().find(|(name, _)| *name == file).expect("there");
        assert_eq!((file, at), origin, "{line}");
        assert_eq!(text.lines().nth(at - 1).expect("there").trim(), text_line);
    }
}

#[test]
fn paths_that_leave_the_folder_and_circles_are_refused() {
    let import = |path: &str| format!("use import\nimport \"{path}\"");
    for path in ["../a.zed", "a/../../b.zed", "/etc/passwd", "", "c:\\a.zed", "a\0.zed"] {
        let error = compile(&[("root.zed", &import(path))]).expect_err(path);
        assert!(
            error.contains("root.zed: schema error at line 2, column 8") && error.contains("not allowed"),
            "{error}"
        );
    }
    let error = compile(&[("root.zed", &import("a.zed")), ("a.zed", &import("b.zed")), ("b.zed", &import("a.zed"))])
        .expect_err("a circle");
    assert!(error.contains("b.zed: schema error at line 2, column 8: `a.zed` imports itself"), "{error}");
    let error = compile(&[("root.zed", &import("root.zed"))]).expect_err("a circle");
    assert!(error.contains("`root.zed` imports itself"), "{error}");
    let error = compile(&[("root.zed", &import("a.zed"))]).expect_err("absent");
    assert!(error.contains("cannot import `a.zed`: no such file"), "{error}");
    let error = compile(&[("root.zed", &import("a.zed")), ("a.zed", "definition {")]).expect_err("wrong");
    assert!(error.starts_with("a.zed: schema error at line 1, column 12"), "{error}");
}

#[test]
fn many_and_large_files_are_bounded() {
    let mut endless = |path: &str| {
        let number: usize = path.trim_end_matches(".zed").parse().unwrap_or(0);
        Ok(format!("use import\nimport \"{}.zed\"", number + 1))
    };
    let error = compile_imports("root.zed", &mut endless).expect_err("too many");
    assert!(error.to_string().contains("at most 1000 files"), "{error}");
    let large = format!("use import\nimport \"a.zed\"\n//{}", "x".repeat(limits::SCHEMA_BYTES / 2));
    let error = compile(&[("root.zed", &large), ("a.zed", &large.replace("a.zed", "b.zed"))]).expect_err("too large");
    assert!(error.contains("larger than a schema may be"), "{error}");
}
