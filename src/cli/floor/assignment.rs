//! `payment=fully-consistent`, `catalog=5s`.

use std::time::Duration;

use crate::cli::connection::parse_duration;
use crate::model::TypeName;
use crate::wire::quorate::v1::floor::Least;

const FULLY: &str = "fully-consistent";

/// A type and its floor.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    pub(super) object_type: TypeName,
    pub(super) least: Least,
}

pub(super) fn parse_assignment(text: &str) -> Result<Assignment, String> {
    let (name, floor) =
        text.split_once('=').ok_or("write it as TYPE=fully-consistent or TYPE=TIME, for example catalog=5s")?;
    let least = match floor {
        FULLY => Least::FullyConsistent(true),
        time => parse_duration(time).map(to_least).map_err(|rule| format!("{rule}; or say {FULLY}"))?,
    };
    Ok(Assignment { object_type: parse_type(name)?, least })
}

pub(super) fn parse_type(text: &str) -> Result<TypeName, String> {
    TypeName::new(text).map_err(|error| error.to_string())
}

fn to_least(bound: Duration) -> Least {
    Least::MaxStaleness(prost_types::Duration {
        seconds: i64::try_from(bound.as_secs()).expect("times on the command line are bounded by a day"),
        nanos: i32::try_from(bound.subsec_nanos()).expect("below a thousand million"),
    })
}

/// A floor as [`parse_assignment`] reads it.
pub(super) fn to_text(least: &Least) -> String {
    match least {
        Least::FullyConsistent(_) => FULLY.to_owned(),
        Least::MaxStaleness(bound) => format!("{:?}", Duration::try_from(*bound).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_read_as_it_is_shown() {
        for (text, shown) in [
            ("payment=fully-consistent", "fully-consistent"),
            ("tenant/catalog=5s", "5s"),
            ("catalog=250ms", "250ms"),
            ("catalog=2m", "120s"),
        ] {
            let parsed = parse_assignment(text).unwrap();
            assert_eq!(to_text(&parsed.least), shown);
            assert!(text.starts_with(parsed.object_type.as_str()));
        }
        for bad in
            ["", "payment", "payment=", "=5s", "payment=full", "payment=5", "A b=5s", "payment=0s", "payment=2000m"]
        {
            parse_assignment(bad).unwrap_err();
        }
    }
}
