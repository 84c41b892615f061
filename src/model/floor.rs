//! Floors: the least that answers about the objects of a type must promise, whatever a request asks for.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Revision, TypeName};

/// The least that an answer must promise. Floors are in one order: of two, one is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Floor {
    /// Linearizable.
    FullyConsistent,
    /// No older than this.
    MaxStaleness(Duration),
}

impl Floor {
    /// Whether it promises more than `other`.
    #[must_use]
    pub fn is_stricter_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::FullyConsistent, Self::MaxStaleness(_)) => true,
            (Self::FullyConsistent | Self::MaxStaleness(_), Self::FullyConsistent) => false,
            (Self::MaxStaleness(own), Self::MaxStaleness(other)) => own < other,
        }
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FullyConsistent => f.write_str("fully_consistent"),
            Self::MaxStaleness(bound) => write!(f, "max_staleness={bound:?}"),
        }
    }
}

/// The floors of one store. They are replaced as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floors {
    /// The entry that set them; zero as long as none did. Each change makes it larger.
    pub version: Revision,
    /// The floor of each type that has one.
    pub by_type: BTreeMap<TypeName, Floor>,
}

impl Floors {
    /// The strictest floor of these types, and whose it is. Of equal ones the first counts.
    pub fn strictest<'a>(&self, types: impl IntoIterator<Item = &'a TypeName>) -> Option<(Floor, TypeName)> {
        strictest(types.into_iter().filter_map(|name| Some((*self.by_type.get(name)?, name))))
    }

    /// The strictest floor of all types, and whose it is.
    #[must_use]
    pub fn strictest_of_all(&self) -> Option<(Floor, TypeName)> {
        strictest(self.by_type.iter().map(|(name, floor)| (*floor, name)))
    }
}

fn strictest<'a>(floors: impl Iterator<Item = (Floor, &'a TypeName)>) -> Option<(Floor, TypeName)> {
    let found = floors.reduce(|best, next| if next.0.is_stricter_than(best.0) { next } else { best })?;
    Some((found.0, found.1.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_in_one_order() {
        let [second, minute] = [1, 60].map(|seconds| Floor::MaxStaleness(Duration::from_secs(seconds)));
        let ordered = [Floor::FullyConsistent, second, minute];
        for (i, one) in ordered.iter().enumerate() {
            for (j, other) in ordered.iter().enumerate() {
                assert_eq!(one.is_stricter_than(*other), i < j, "{one} {other}");
            }
        }
    }

    #[test]
    fn the_strictest_of_the_types_that_are_asked_for_counts() {
        let name = |text: &str| TypeName::new(text).unwrap();
        let within = |ms| Floor::MaxStaleness(Duration::from_millis(ms));
        let by_type = [("aaa", within(50)), ("bbb", Floor::FullyConsistent), ("ccc", within(5)), ("ddd", within(5))];
        let by_type = by_type.map(|(text, floor)| (name(text), floor)).into();
        let floors = Floors { version: Revision::new(1), by_type };
        let strictest = |types: &[&str]| {
            let types: Vec<_> = types.iter().map(|text| name(text)).collect();
            floors.strictest(&types).map(|(floor, by)| (floor, by.to_string()))
        };
        assert_eq!(strictest(&[]), None);
        assert_eq!(strictest(&["xxx"]), None);
        assert_eq!(strictest(&["xxx", "aaa"]), Some((within(50), "aaa".to_owned())));
        assert_eq!(strictest(&["aaa", "ddd", "ccc"]), Some((within(5), "ddd".to_owned())));
        assert_eq!(strictest(&["aaa", "ccc", "bbb"]), Some((Floor::FullyConsistent, "bbb".to_owned())));
        assert_eq!(floors.strictest_of_all(), Some((Floor::FullyConsistent, name("bbb"))));
        assert_eq!(Floors::default().strictest_of_all(), None);
    }

    #[test]
    fn a_floor_is_named_as_clients_ask_for_it() {
        assert_eq!(Floor::FullyConsistent.to_string(), "fully_consistent");
        assert_eq!(Floor::MaxStaleness(Duration::from_millis(5000)).to_string(), "max_staleness=5s");
        assert_eq!(Floor::MaxStaleness(Duration::from_millis(250)).to_string(), "max_staleness=250ms");
    }
}
