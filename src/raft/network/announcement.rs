//! What a node says of itself with every message and every reply: which feature levels it supports, and where it is.

use crate::model::{Locality, PlaceName};
use crate::raft::{FeatureLevel, SupportedLevels};
use crate::wire::quorate::peer::Announcement as Message;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// What its program supports.
    pub levels: SupportedLevels,
    /// Where its operator says that it is.
    pub locality: Locality,
}

impl Announcement {
    /// Of a node that says nothing, as those do that know no levels.
    #[must_use]
    pub fn none() -> Self {
        Self { levels: SupportedLevels::UNANNOUNCED, locality: Locality::default() }
    }

    pub(super) fn to_message(&self) -> Message {
        let text = |name: &Option<PlaceName>| name.as_ref().map_or_else(String::new, ToString::to_string);
        Message {
            lowest_level: self.levels.lowest.number(),
            highest_level: self.levels.highest.number(),
            region: text(&self.locality.region),
            zone: text(&self.locality.zone),
        }
    }

    /// What another node said. A name that is none is taken for nothing said.
    pub(super) fn of_message(message: Option<&Message>) -> Self {
        let Some(message) = message else { return Self::none() };
        let (lowest, highest) = (FeatureLevel::new(message.lowest_level), FeatureLevel::new(message.highest_level));
        let name = |text: &str| PlaceName::new(text).ok();
        Self {
            levels: SupportedLevels { lowest, highest },
            locality: Locality { region: name(&message.region), zone: name(&message.zone) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_arrives_as_it_was_made() {
        let place = |name| Some(PlaceName::new(name).unwrap());
        for (region, zone) in [(None, None), (place("north"), place("n-1")), (None, place("n-1"))] {
            let levels = SupportedLevels { lowest: FeatureLevel::new(2), highest: FeatureLevel::new(7) };
            let made = Announcement { levels, locality: Locality { region, zone } };
            assert_eq!(Announcement::of_message(Some(&made.to_message())), made);
        }
    }

    #[test]
    fn nothing_and_nonsense_promise_the_least() {
        assert_eq!(Announcement::of_message(None), Announcement::none());
        assert!(SupportedLevels::UNANNOUNCED.include(FeatureLevel::FIRST));
        assert!(!SupportedLevels::UNANNOUNCED.include(FeatureLevel::LOCALITIES));
        let odd = Message { region: "no such place".into(), zone: "x".repeat(5000), ..Message::default() };
        let taken = Announcement::of_message(Some(&odd));
        assert!(taken.locality.is_empty());
        assert!(!taken.levels.include(FeatureLevel::FIRST), "it supports no level at all");
    }
}
