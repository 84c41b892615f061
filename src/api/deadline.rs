//! From the `grpc-timeout` of a request to the instant by which the services must have answered, or ended a stream.

use std::time::{Duration, Instant};

use tonic::metadata::MetadataMap;

/// A longer timeout for one answer is taken as this one.
const LONGEST: Duration = Duration::from_secs(3600);
/// The same for a stream.
const LONGEST_STREAM: Duration = Duration::from_secs(30 * 24 * 3600);
/// The answer leaves this much before the client gives up, or a tenth of its timeout if that is less: an answer that says
/// "the outcome is unknown" is worth nothing to a client that has stopped listening.
const MARGIN: Duration = Duration::from_millis(100);

/// When the answer must be ready; `default` counts where the client says nothing.
pub(super) fn deadline(metadata: &MetadataMap, default: Duration) -> Instant {
    Instant::now() + allowance(metadata, default)
}

/// When a stream must have ended; `None` where the client does not say.
pub(super) fn stream_deadline(metadata: &MetadataMap) -> Option<Instant> {
    Some(Instant::now() + asked(metadata, LONGEST_STREAM)?)
}

fn allowance(metadata: &MetadataMap, default: Duration) -> Duration {
    asked(metadata, LONGEST).unwrap_or(default.min(LONGEST))
}

fn asked(metadata: &MetadataMap, longest: Duration) -> Option<Duration> {
    let timeout = metadata.get("grpc-timeout")?.to_str().ok().and_then(parse)?.min(longest);
    Some(timeout - MARGIN.min(timeout / 10))
}

/// At most eight digits and a unit. What does not parse is as good as absent, as in other servers.
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_timeout_counts_less_a_margin() {
        let default = Duration::from_secs(5);
        let cases = [
            (None, default),
            (Some("2S"), Duration::from_millis(1900)),
            (Some("100m"), Duration::from_millis(90)),
            (Some("1000u"), Duration::from_micros(900)),
            (Some("0n"), Duration::ZERO),
            (Some("99999999H"), LONGEST - MARGIN),
            (Some("S"), default),
            (Some("123456789S"), default),
            (Some("1x"), default),
            (Some("-1S"), default),
        ];
        for (header, expected) in cases {
            let mut metadata = MetadataMap::new();
            if let Some(header) = header {
                metadata.insert("grpc-timeout", header.parse().expect("ASCII"));
            }
            assert_eq!(allowance(&metadata, default), expected, "{header:?}");
        }
    }

    #[test]
    fn a_stream_may_take_as_long_as_its_client_says() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        for (header, expected) in
            [(None, None), (Some("3H"), Some(hours(3) - MARGIN)), (Some("99999999H"), Some(LONGEST_STREAM - MARGIN))]
        {
            let mut metadata = MetadataMap::new();
            if let Some(header) = header {
                metadata.insert("grpc-timeout", header.parse().expect("ASCII"));
            }
            assert_eq!(asked(&metadata, LONGEST_STREAM), expected, "{header:?}");
            assert_eq!(stream_deadline(&metadata).is_some(), expected.is_some());
        }
    }
}
