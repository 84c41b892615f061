//! The files of the console, as they were built into the program, each with the hash by which a browser knows it again.

use std::sync::LazyLock;

/// One file.
#[derive(Debug)]
pub(super) struct Asset {
    /// Where it is served.
    pub(super) path: &'static str,
    /// Its media type.
    pub(super) kind: &'static str,
    pub(super) bytes: &'static [u8],
    /// Names its content, for `If-None-Match`.
    pub(super) tag: String,
}

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// All files.
pub(super) static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let all: [(&'static str, &'static str, &'static [u8]); 15] = [
        ("/", HTML, include_bytes!("assets/index.html")),
        ("/assets/style.css", STYLE, include_bytes!("assets/style.css")),
        ("/assets/icon.svg", IMAGE, include_bytes!("assets/icon.svg")),
        ("/assets/app.js", SCRIPT, include_bytes!("assets/app.js")),
        ("/assets/api.js", SCRIPT, include_bytes!("assets/api.js")),
        ("/assets/dom.js", SCRIPT, include_bytes!("assets/dom.js")),
        ("/assets/zookie.js", SCRIPT, include_bytes!("assets/zookie.js")),
        ("/assets/cluster.js", SCRIPT, include_bytes!("assets/cluster.js")),
        ("/assets/survey.js", SCRIPT, include_bytes!("assets/survey.js")),
        ("/assets/schema.js", SCRIPT, include_bytes!("assets/schema.js")),
        ("/assets/language.js", SCRIPT, include_bytes!("assets/language.js")),
        ("/assets/layout.js", SCRIPT, include_bytes!("assets/layout.js")),
        ("/assets/explain.js", SCRIPT, include_bytes!("assets/explain.js")),
        ("/assets/proof.js", SCRIPT, include_bytes!("assets/proof.js")),
        ("/assets/changes.js", SCRIPT, include_bytes!("assets/changes.js")),
    ];
    let asset = |(path, kind, bytes)| {
        let tag = format!("\"{}\"", &blake3::hash(bytes).to_hex()[..32]);
        Asset { path, kind, bytes, tag }
    };
    all.into_iter().map(asset).collect()
});
