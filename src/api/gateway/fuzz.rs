//! Bodies of requests from anywhere.

use prost::Message as _;
use prost_reflect::DynamicMessage;

use super::{json, routes};
use crate::api::memory::Memory;

/// What is understood comes through the wire and JSON unchanged.
#[test]
fn a_body_is_a_message_or_refused() {
    let methods = routes::methods();
    bolero::check!().for_each(|bytes: &[u8]| {
        let Some((choice, text)) = bytes.split_first() else { return };
        let input = methods[usize::from(*choice) % methods.len()].descriptor.input();
        let Ok(message) = json::parse(input.clone(), text, &mut Memory::default().share()) else { return };
        let received = DynamicMessage::decode(input.clone(), message.encode_to_vec().as_slice());
        let received = received.expect("what is deeper than the other side takes is refused before");
        let text = json::write(&received).expect("a message that came as JSON");
        let again = json::parse(input, &text, &mut Memory::default().share()).expect("it is our own");
        assert_eq!(json::write(&again).expect("it was written before"), text);
    });
}
