//! What the bearers of keys may use of this node, each and all together: requests a second, requests at the same time, watches,
//! and memory for what they send.
//!
//! A request takes its places before anything of it is read, and gives them back when its answer has gone out. One that finds
//! none is refused at once: what waits in a queue that nobody sees the end of helps nobody.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::errors::to_status;
use super::memory::{Memory, Share};
use super::scopes;
use crate::model::{Error, ErrorCode, limits};
use crate::security::{Allowance, Exceeded, KeyHolder, Usage};
use crate::service::Door;
use crate::telemetry::{METRICS, RefusalLabels};

/// What a node takes on at once.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Of all keys together, but for the administration of the cluster.
    pub node: Allowance,
    /// Watches that are open.
    pub watches: usize,
}

/// What is used of it.
#[derive(Debug)]
pub(super) struct Quotas {
    node: Usage,
    watches: Arc<Semaphore>,
    most_watches: usize,
    memory: Memory,
    /// Of the threads that evaluate.
    door: Option<Door>,
}

/// Whom a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose<'a> {
    Key(&'a str),
    Node,
}

/// The places of one request. Clones are the same places; they are given back with the last one.
#[derive(Debug, Clone)]
pub(super) struct Admitted(Arc<Held>);

#[derive(Debug)]
struct Held {
    _places: [Option<OwnedSemaphorePermit>; 2],
    _watch: Option<OpenWatch>,
    share: Mutex<Share>,
}

impl Admitted {
    /// Takes memory for so many bytes more of what the request sends.
    pub(super) fn take(&self, bytes: usize) -> Result<(), Status> {
        let taken = self.0.share.lock().take(bytes);
        taken.map_err(|status| to_status(Error::new(ErrorCode::ResourceExhausted, status.message())))
    }
}

/// A watch that is open.
#[derive(Debug)]
struct OpenWatch {
    _place: OwnedSemaphorePermit,
}

impl OpenWatch {
    fn new(place: OwnedSemaphorePermit) -> Self {
        METRICS.watches.inc();
        Self { _place: place }
    }
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        METRICS.watches.dec();
    }
}

impl Quotas {
    pub(super) fn new(limits: RequestLimits) -> Self {
        Self {
            node: Usage::new(limits.node),
            watches: Arc::new(Semaphore::new(limits.watches)),
            most_watches: limits.watches,
            memory: Memory::new(limits::GRPC_BODIES_BYTES),
            door: None,
        }
    }

    /// The same, with what has to pass through `door` before it is read.
    pub(super) fn with_door(self, door: Door) -> Self {
        Self { door: Some(door), ..self }
    }

    /// The places of one more request of this key, for the call at `path`. A watch, which is open for hours and costs nothing
    /// while it waits, has a place among the watches instead of one among the requests.
    pub(super) fn begin(&self, holder: &KeyHolder, path: &str) -> Result<Admitted, Error> {
        let key = Whose::Key(&holder.name);
        let is_watch = scopes::is_watch(path);
        // Operators get through to a node that has too much to do.
        let node = (!scopes::is_administration(path)).then_some(&self.node);
        if let Some(door) = &self.door
            && scopes::is_evaluated(path)
        {
            door.enter()?;
        }
        let mut places = [None, None];
        let mut watch = None;
        if is_watch {
            watch = Some(self.watch()?);
        } else {
            places[0] = holder.usage.place().map_err(|exceeded| refused(exceeded, key))?;
            if let Some(node) = node {
                places[1] = node.place().map_err(|exceeded| refused(exceeded, Whose::Node))?;
            }
        }
        // Last, since what was counted stays counted.
        holder.usage.count().map_err(|exceeded| refused(exceeded, key))?;
        if let Some(node) = node {
            node.count().map_err(|exceeded| refused(exceeded, Whose::Node))?;
        }
        Ok(Admitted(Arc::new(Held { _places: places, _watch: watch, share: Mutex::new(self.memory.share()) })))
    }

    fn watch(&self) -> Result<OpenWatch, Error> {
        Arc::clone(&self.watches).try_acquire_owned().map(OpenWatch::new).map_err(|_| {
            count("watches");
            let most = self.most_watches;
            let message = format!("this node has {most} watches open, as many as it may; watch at another node");
            Error::new(ErrorCode::ResourceExhausted, message).with("limit", "watches")
        })
    }
}

/// Nothing is bounded but watches, at a number that no test reaches.
#[cfg(test)]
impl Default for Quotas {
    fn default() -> Self {
        Self::new(RequestLimits { node: Allowance::default(), watches: 10_000 })
    }
}

fn count(limit: &'static str) {
    METRICS.requests_refused.get_or_create(&RefusalLabels { limit }).inc();
}

fn refused(exceeded: Exceeded, whose: Whose<'_>) -> Error {
    let (who, of) = match whose {
        Whose::Key(name) => (format!("the key {name}"), "key"),
        Whose::Node => ("all clients of this node together".to_owned(), "node"),
    };
    match exceeded {
        Exceeded::Rate(wait) => {
            count(if of == "key" { "key_rate" } else { "node_rate" });
            let message = format!("{who} made more requests a second than there may be; try again in {wait:.1?}");
            Error::new(ErrorCode::RateLimited, message).with("limit_of", of).retry_after(wait)
        }
        Exceeded::Concurrency => {
            count(if of == "key" { "key_concurrency" } else { "node_concurrency" });
            let message =
                format!("{who} made more requests at the same time than there may be; wait for answers first");
            Error::new(ErrorCode::ResourceExhausted, message).with("limit_of", of)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const CHECK: &str = "/authzed.api.v1.PermissionsService/CheckPermission";
    const WATCH: &str = "/authzed.api.v1.WatchService/Watch";
    const STATUS: &str = "/quorate.v1.ClusterService/Status";

    fn holder(allowance: Allowance) -> KeyHolder {
        KeyHolder { name: "billing".into(), usage: Arc::new(Usage::new(allowance)) }
    }

    #[test]
    fn a_key_and_the_node_are_bounded_each_and_operators_get_through() {
        let two = Allowance { concurrent: NonZeroU32::new(2), ..Allowance::default() };
        let quotas = Quotas::new(RequestLimits { node: two, watches: 1 });
        let (bounded, free) =
            (holder(Allowance { concurrent: NonZeroU32::new(1), ..two }), holder(Allowance::default()));
        let first = quotas.begin(&bounded, CHECK).expect("room");
        let error = quotas.begin(&bounded, CHECK).expect_err("one at a time");
        assert!(error.code == ErrorCode::ResourceExhausted && error.message.contains("billing"), "{error:?}");
        let second = quotas.begin(&free, CHECK).expect("room for another key");
        assert!(quotas.begin(&free, CHECK).expect_err("full").message.contains("this node"));
        quotas.begin(&free, STATUS).expect("operators get through");
        let watch = quotas.begin(&bounded, WATCH).expect("a watch takes no place of a request");
        assert_eq!(quotas.begin(&free, WATCH).expect_err("one only").details, [("limit", "watches".to_owned())]);
        drop((first.clone(), watch));
        assert!(quotas.begin(&bounded, CHECK).is_err(), "a clone is not the last one");
        drop((first, second));
        quotas.begin(&bounded, CHECK).expect("given back");
        quotas.begin(&bounded, WATCH).expect("given back");
    }

    #[test]
    fn too_many_in_a_second_are_told_when_to_come_again() {
        let rate = Allowance { rate: NonZeroU32::new(2), ..Allowance::default() };
        let quotas = Quotas::new(RequestLimits { node: Allowance::default(), watches: 1 });
        let bounded = holder(rate);
        quotas.begin(&bounded, CHECK).expect("the first");
        quotas.begin(&bounded, STATUS).expect("the second");
        let error = quotas.begin(&bounded, CHECK).expect_err("the third within a second");
        assert_eq!(error.code, ErrorCode::RateLimited);
        assert!(error.retry_after.is_some_and(|wait| !wait.is_zero()));
        quotas.begin(&holder(rate), CHECK).expect("another key");
    }

    #[test]
    fn all_keys_together_are_bounded_in_a_second_too() {
        let node = Allowance { rate: NonZeroU32::new(2), ..Allowance::default() };
        let quotas = Quotas::new(RequestLimits { node, watches: 1 });
        let holders = [holder(Allowance::default()), holder(Allowance::default())];
        for holder in &holders {
            quotas.begin(holder, CHECK).expect("one of two");
        }
        let error = (0..1000).find_map(|_| quotas.begin(&holders[0], CHECK).err()).expect("two a second");
        assert_eq!((error.code, &error.details), (ErrorCode::RateLimited, &vec![("limit_of", "node".to_owned())]));
        quotas.begin(&holders[1], STATUS).expect("operators get through");
    }

    #[test]
    fn what_would_wait_for_too_long_is_refused_before_it_is_read() {
        let quotas = Quotas::new(RequestLimits {
            node: Allowance { concurrent: NonZeroU32::new(1), ..Allowance::default() },
            watches: 1,
        })
        .with_door(Door::closed());
        let holder = holder(Allowance::default());
        let error =
            quotas.begin(&holder, "/authzed.api.v1.PermissionsService/CheckBulkPermissions").expect_err("closed");
        assert_eq!(error.code, ErrorCode::ResourceExhausted);
        assert!(error.retry_after.is_some_and(|wait| !wait.is_zero()));
        quotas.begin(&holder, CHECK).expect("a single check is tried at once");
    }

    #[test]
    fn what_finds_no_place_is_not_counted() {
        let allowance =
            Allowance { rate: NonZeroU32::new(1), burst: NonZeroU32::new(2), concurrent: NonZeroU32::new(1) };
        let quotas = Quotas::new(RequestLimits { node: Allowance::default(), watches: 1 });
        let bounded = holder(allowance);
        let first = quotas.begin(&bounded, CHECK).expect("room");
        for _ in 0..3 {
            assert_eq!(quotas.begin(&bounded, CHECK).expect_err("no place").code, ErrorCode::ResourceExhausted);
        }
        drop(first);
        quotas.begin(&bounded, CHECK).expect("the second that is counted");
    }
}
