//! How two tokens of one source stand to each other, and how far apart they are.
//!
//! Tokens are opaque by contract. They are looked into only to tell a person the lag and to notice that a watch has come to
//! the newest state; where one cannot be read, silence takes its place. Nothing that is written hangs on it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;

use crate::consistency::Zookie;

/// A token of SpiceDB, as far as it is looked into.
#[derive(Clone, PartialEq, Message)]
struct ZedToken {
    #[prost(message, optional, tag = "3")]
    current: Option<Named>,
}

#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    revision: String,
}

/// Decimals of a revision behind its point.
const DECIMALS: usize = 10;
/// Revisions above this (a day in 2001) are nanoseconds since 1970.
const NANOSECONDS_FROM: u128 = 1_000_000_000_000_000_000;

/// What is known of the place of a token among others.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Position {
    /// Of Quorate: which cluster, and the index.
    Index(u64, u64),
    /// Of SpiceDB: a number of a transaction or a time, and what is behind its point.
    Number(u128, u64),
    /// Of SpiceDB above Postgres, for example: only equal or not.
    Text(String),
}

impl Position {
    fn of(token: &str) -> Option<Self> {
        if let Ok(zookie) = Zookie::decode(token) {
            return Some(Self::Index(zookie.lineage, zookie.revision.index()));
        }
        let bytes = STANDARD.decode(token).ok()?;
        let revision = ZedToken::decode(bytes.as_slice()).ok()?.current?.revision;
        let (whole, rest) = revision.split_once('.').unwrap_or((&revision, ""));
        let decimals = if rest.len() <= DECIMALS { format!("{rest:0<DECIMALS$}").parse().ok() } else { None };
        match (whole.parse(), decimals) {
            (Ok(whole), Some(decimals)) => Some(Self::Number(whole, decimals)),
            _ => Some(Self::Text(revision)),
        }
    }
}

/// Whether a state that has everything up to `seen` has everything of `head`; `None` where that cannot be told.
pub(super) fn covers(seen: &str, head: &str) -> Option<bool> {
    if seen == head {
        return Some(true);
    }
    match (Position::of(seen)?, Position::of(head)?) {
        (Position::Index(of, seen), Position::Index(other, head)) if of == other => Some(seen >= head),
        (Position::Number(seen, after), Position::Number(head, then)) => Some((seen, after) >= (head, then)),
        (Position::Text(seen), Position::Text(head)) if seen == head => Some(true),
        _ => None,
    }
}

/// By how much `seen` is behind `head` on the source's own clock; `None` where its tokens have no time.
pub(super) fn lag(seen: &str, head: &str) -> Option<Duration> {
    match (Position::of(seen)?, Position::of(head)?) {
        (Position::Number(seen, _), Position::Number(head, _)) if seen.min(head) >= NANOSECONDS_FROM => {
            Some(Duration::from_nanos(u64::try_from(head.saturating_sub(seen)).unwrap_or(u64::MAX)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;

    fn zed(revision: &str) -> String {
        STANDARD.encode(ZedToken { current: Some(Named { revision: revision.to_owned() }) }.encode_to_vec())
    }

    fn zookie(lineage: u64, index: u64) -> String {
        Zookie { lineage, shard: 0, revision: Revision::new(index) }.encode()
    }

    #[test]
    fn tokens_are_compared_where_that_means_something() {
        for (seen, head, expected) in [
            (zed("10"), zed("9"), Some(true)),
            (zed("9"), zed("10"), Some(false)),
            (zed("1700000000000000000.0000000002"), zed("1700000000000000000.0000000010"), Some(false)),
            (zed("1700000000000000001"), zed("1700000000000000000.0000000010"), Some(true)),
            (zed("CAESBQ=="), zed("CAESBQ=="), Some(true)),
            (zed("CAESBQ=="), zed("CAESBg=="), None),
            (zookie(1, 9), zookie(1, 9), Some(true)),
            (zookie(1, 8), zookie(1, 9), Some(false)),
            (zookie(1, 9), zookie(2, 8), None),
            (zookie(1, 9), zed("8"), None),
            ("what".to_owned(), "what".to_owned(), Some(true)),
            ("what".to_owned(), "else".to_owned(), None),
            (String::new(), zed("1"), None),
        ] {
            assert_eq!(covers(&seen, &head), expected, "{seen} {head}");
        }
    }

    /// As a SpiceDB 1.5x wrote it.
    #[test]
    fn a_real_token_is_read() {
        let token = "Gh8KEzE3OTUzNDc3MjE2NTcxMjgwOTQSCDlmZjNjMjdk";
        assert_eq!(Position::of(token), Some(Position::Number(1_795_347_721_657_128_094, 0)));
        let later = zed("1795347723657128094.5");
        assert_eq!(lag(token, &later), Some(Duration::from_secs(2)));
        assert_eq!(lag(&later, token), Some(Duration::ZERO));
        assert_eq!(lag(&zed("7"), &zed("9")), None, "numbers of transactions are no times");
    }
}
