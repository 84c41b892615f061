//! Changelog records from anywhere.

use super::codec::{decode_change, encode_change};

#[test]
fn a_change_comes_back_or_is_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(change) = decode_change(bytes) {
            let encoded = encode_change(&change).expect("it was a record");
            assert_eq!(decode_change(&encoded).expect("it is our own"), change);
        }
    });
}
