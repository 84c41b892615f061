//! Zookies from anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Zookie;

/// What decodes is what would be encoded, so that no two texts are the same zookie. The bytes are also tried with a checksum
/// that fits, since none would be guessed.
#[test]
fn a_zookie_has_one_text() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let sealed = [bytes, &crc32c::crc32c(bytes).to_be_bytes()].concat();
        let text = String::from_utf8_lossy(bytes).into_owned();
        for text in [text, URL_SAFE_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(sealed)] {
            if let Ok(zookie) = Zookie::decode(&text) {
                assert_eq!(zookie.encode(), text);
            }
        }
    });
}
