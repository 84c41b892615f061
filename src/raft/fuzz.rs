//! Log entries from a damaged disk or another node.

use super::codec::{decode, encode};
use super::{Applied, Command};

#[test]
fn an_entry_comes_back_or_is_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(command) = decode::<Command>(bytes) {
            assert_eq!(decode::<Command>(&encode(&command)), Ok(command));
        }
        if let Ok(applied) = decode::<Applied>(bytes) {
            assert_eq!(decode::<Applied>(&encode(&applied)), Ok(applied));
        }
    });
}
