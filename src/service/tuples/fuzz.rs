//! Cursors from anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::service::cursor::Cursor;

/// What decodes comes back as it was understood. The bytes are also tried with a checksum that fits, since none would be
/// guessed.
#[test]
fn a_cursor_comes_back_or_is_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let sealed = [bytes, &crc32c::crc32c(bytes).to_be_bytes()].concat();
        let text = String::from_utf8_lossy(bytes).into_owned();
        for text in [text, URL_SAFE_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(sealed)] {
            if let Ok(cursor) = Cursor::decode(&text) {
                assert_eq!(Cursor::decode(&cursor.encode()).expect("it is our own"), cursor);
            }
        }
    });
}
