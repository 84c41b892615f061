//! From the metadata of a request to the bound on the age of its answer. The protocol has no field for it.

use std::time::Duration;

use tonic::metadata::MetadataMap;

use crate::service::StalenessBound;

/// `250ms`, `5s`.
const MAX_STALENESS: &str = "quorate-max-staleness";
/// A number of log entries.
const MAX_LAG: &str = "quorate-max-lag";
/// `true`: an answer that needs the leader is an error instead.
const LOCAL_ONLY: &str = "quorate-local-only";

/// What `metadata` demands.
pub(super) fn staleness(metadata: &MetadataMap) -> StalenessBound {
    let text = |name| {
        let mut values = metadata.get_all(name).iter().map(|value| value.to_str().unwrap_or("not text"));
        let first = values.next()?;
        Some(if values.next().is_some() { "given twice" } else { first })
    };
    let local_only = match text(LOCAL_ONLY) {
        None | Some("false") => Some(false),
        Some("true") => Some(true),
        Some(_) => None,
    };
    let bound = match (text(MAX_STALENESS), text(MAX_LAG), local_only) {
        (None, None, Some(false)) => Some(StalenessBound::None),
        (Some(age), None, Some(local_only)) => duration(age).map(|bound| StalenessBound::Within { bound, local_only }),
        (None, Some(entries), Some(false)) => entries.parse().ok().map(StalenessBound::Lag),
        (_, _, _) => None,
    };
    bound.unwrap_or(StalenessBound::Malformed)
}

fn duration(text: &str) -> Option<Duration> {
    let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    match text.strip_suffix("ms") {
        Some(digits) => number(digits).map(Duration::from_millis),
        None => number(text.strip_suffix('s')?).map(Duration::from_secs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_says_how_old_an_answer_may_be() {
        let within = |ms, local_only| StalenessBound::Within { bound: Duration::from_millis(ms), local_only };
        let cases: &[(&[(&'static str, &str)], StalenessBound)] = &[
            (&[], StalenessBound::None),
            (&[(LOCAL_ONLY, "false")], StalenessBound::None),
            (&[(MAX_STALENESS, "250ms")], within(250, false)),
            (&[(MAX_STALENESS, "5s")], within(5000, false)),
            (&[(MAX_STALENESS, "5s"), (LOCAL_ONLY, "true")], within(5000, true)),
            (&[(MAX_STALENESS, "5s"), (MAX_STALENESS, "1s")], StalenessBound::Malformed),
            (&[(MAX_STALENESS, "5s"), (LOCAL_ONLY, "true"), (LOCAL_ONLY, "false")], StalenessBound::Malformed),
            (&[(MAX_LAG, "100")], StalenessBound::Lag(100)),
            (&[(MAX_STALENESS, "250")], StalenessBound::Malformed),
            (&[(MAX_STALENESS, "-1s")], StalenessBound::Malformed),
            (&[(MAX_STALENESS, "+1s")], StalenessBound::Malformed),
            (&[(MAX_STALENESS, "")], StalenessBound::Malformed),
            (&[(MAX_STALENESS, "99999999999999999999s")], StalenessBound::Malformed),
            (&[(MAX_STALENESS, "1s"), (MAX_LAG, "1")], StalenessBound::Malformed),
            (&[(LOCAL_ONLY, "true")], StalenessBound::Malformed),
            (&[(LOCAL_ONLY, "yes"), (MAX_STALENESS, "1s")], StalenessBound::Malformed),
            (&[(MAX_LAG, "many")], StalenessBound::Malformed),
        ];
        for (given, expected) in cases {
            let mut metadata = MetadataMap::new();
            for (name, value) in *given {
                metadata.append(*name, value.parse().expect("plain text"));
            }
            assert_eq!(staleness(&metadata), *expected, "{given:?}");
        }
    }
}
