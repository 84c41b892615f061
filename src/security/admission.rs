//! Which connections a listener holds, and who gives way when there is no room for one more.
//!
//! Invariants: never more are counted than the limits say; whoever has proved who it is keeps its place until it leaves; of the
//! strangers the oldest gives way first. So whoever opens connections and proves nothing must keep opening them, and keeps
//! nobody out who proves something soon. Must not know how that is proved.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use parking_lot::Mutex;

use crate::telemetry::{ConnectionEndLabels, ConnectionLabels, METRICS};

/// Between two lines of the log that say the same.
const QUIET: Duration = Duration::from_secs(10);

/// How many connections a listener holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// All of them.
    pub most: usize,
    /// From one address, or one network of IPv6 with 64 bits; `None` for as many as there are.
    pub most_from_one: Option<usize>,
}

/// Why the node ended or refused a connection; the label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Refused: all places are taken by those who have proved who they are.
    Full,
    /// Refused: so are all places of one address.
    AddressFull,
    /// A stranger that gave way to a newcomer.
    GaveWay,
    /// It asked for nothing in time.
    Silent,
    /// It took nothing of what was sent for too long.
    Stalled,
    /// A stranger with too many calls open.
    Greedy,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::AddressFull => "address_full",
            Self::GaveWay => "gave_way",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Greedy => "greedy",
        }
    }
}

/// The connections of one listener.
#[derive(Debug)]
pub(super) struct Admission {
    listener: &'static str,
    limits: ConnectionLimits,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: usize,
    /// By age.
    strangers: BTreeMap<u64, Arc<Ticket>>,
    by_address: HashMap<IpAddr, Address>,
    /// When the log was last told of it.
    told: Option<Instant>,
}

#[derive(Debug, Default)]
struct Address {
    open: usize,
    strangers: BTreeSet<u64>,
}

#[derive(Debug)]
struct Ticket {
    number: u64,
    from: SocketAddr,
    admission: Arc<Admission>,
    /// Changed under the lock of the table only.
    is_counted: AtomicBool,
    asked: AtomicBool,
    proved: AtomicBool,
    ended: AtomicBool,
    /// Of the one task that reads from and writes to the connection.
    waker: AtomicWaker,
    calls: AtomicUsize,
}

impl Admission {
    pub(super) fn new(listener: &'static str, limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { listener, limits, table: Mutex::default() })
    }

    /// A place for a connection from this address; `None` where there is none, and no stranger to give way.
    pub(super) fn admit(self: &Arc<Self>, from: SocketAddr) -> Option<Place> {
        let network = network(from.ip());
        let mut table = self.table.lock();
        if let Some(most) = self.limits.most_from_one
            && let Some(address) = table.by_address.get(&network)
            && address.open >= most
        {
            let oldest = address.strangers.first().copied();
            if !self.give_way(&mut table, oldest) {
                self.refuse(&mut table, End::AddressFull, from);
                return None;
            }
        }
        if table.open >= self.limits.most {
            let oldest = table.strangers.first_key_value().map(|(number, _)| *number);
            if !self.give_way(&mut table, oldest) {
                self.refuse(&mut table, End::Full, from);
                return None;
            }
        }
        let number = table.next;
        table.next += 1;
        table.open += 1;
        let ticket = Arc::new(Ticket {
            number,
            from,
            admission: Arc::clone(self),
            is_counted: AtomicBool::new(true),
            asked: AtomicBool::default(),
            proved: AtomicBool::default(),
            ended: AtomicBool::default(),
            waker: AtomicWaker::new(),
            calls: AtomicUsize::default(),
        });
        let address = table.by_address.entry(network).or_default();
        address.open += 1;
        address.strangers.insert(number);
        table.strangers.insert(number, Arc::clone(&ticket));
        METRICS.connections.get_or_create(&ConnectionLabels { listener: self.listener }).inc();
        Some(Place(Standing(ticket)))
    }

    /// Where the system has no room for one more: the oldest stranger gives way.
    pub(super) fn make_room(&self) {
        let mut table = self.table.lock();
        let oldest = table.strangers.first_key_value().map(|(number, _)| *number);
        self.give_way(&mut table, oldest);
    }

    fn give_way(&self, table: &mut Table, number: Option<u64>) -> bool {
        let Some(ticket) = number.and_then(|number| table.strangers.get(&number)).cloned() else { return false };
        if table.may_tell() {
            tracing::warn!(
                listener = self.listener,
                most = self.limits.most,
                "there is no room for more connections; the oldest of those who proved nothing give way to new ones"
            );
        }
        ticket.uncount(table);
        ticket.end(End::GaveWay);
        true
    }

    fn refuse(&self, table: &mut Table, why: End, from: SocketAddr) {
        if table.may_tell() {
            let (listener, limits) = (self.listener, self.limits);
            tracing::warn!(listener, %from, ?limits, why = why.name(), "connections are refused: there is no room for more");
        }
        self.count(why);
    }

    fn count(&self, why: End) {
        let labels = ConnectionEndLabels { listener: self.listener, reason: why.name() };
        METRICS.connections_ended.get_or_create(&labels).inc();
    }
}

impl Table {
    fn may_tell(&mut self) -> bool {
        let now = Instant::now();
        let may = self.told.is_none_or(|told| now.duration_since(told) >= QUIET);
        if may {
            self.told = Some(now);
        }
        may
    }
}

impl Ticket {
    /// Gives the place back, once.
    fn uncount(&self, table: &mut Table) {
        if !self.is_counted.swap(false, Ordering::Relaxed) {
            return;
        }
        table.open -= 1;
        table.strangers.remove(&self.number);
        let network = network(self.from.ip());
        if let Some(address) = table.by_address.get_mut(&network) {
            address.open -= 1;
            address.strangers.remove(&self.number);
            if address.open == 0 {
                table.by_address.remove(&network);
            }
        }
        METRICS.connections.get_or_create(&ConnectionLabels { listener: self.admission.listener }).dec();
    }

    fn end(&self, why: End) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.admission.count(why);
            self.waker.wake();
        }
    }
}

/// How a connection stands with its listener. Requests carry it among their extensions.
#[derive(Debug, Clone)]
pub struct Standing(Arc<Ticket>);

impl Standing {
    /// Where the connection comes from.
    #[must_use]
    pub fn from(&self) -> SocketAddr {
        self.0.from
    }

    /// The connection was asked for something.
    pub fn asked(&self) {
        self.0.asked.store(true, Ordering::Relaxed);
    }

    /// The other side has proved who it is: the connection stays, however many others want its place.
    pub fn prove(&self) {
        if self.0.proved.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut table = self.0.admission.table.lock();
        table.strangers.remove(&self.0.number);
        if let Some(address) = table.by_address.get_mut(&network(self.0.from.ip())) {
            address.strangers.remove(&self.0.number);
        }
    }

    /// Whether it has.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.0.proved.load(Ordering::Relaxed)
    }

    /// One more call of a stranger, until what is returned is dropped. The connection ends where that makes more than `most`.
    pub fn open_call(&self, most: usize) -> OpenCall {
        if self.0.calls.fetch_add(1, Ordering::Relaxed) >= most {
            self.end(End::Greedy);
        }
        OpenCall(Arc::clone(&self.0))
    }

    pub(super) fn has_asked(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// Ends the connection: whoever reads from it or writes to it is told so.
    pub(super) fn end(&self, why: End) {
        self.0.end(why);
    }

    /// Ready once the connection is to end.
    pub(super) fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.waker.register(context.waker());
        if self.0.ended.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A call that a stranger has open.
#[derive(Debug)]
pub struct OpenCall(Arc<Ticket>);

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place that a connection takes, until this is dropped.
#[derive(Debug)]
pub(super) struct Place(Standing);

impl Place {
    pub(super) fn standing(&self) -> &Standing {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ticket = &self.0.0;
        ticket.uncount(&mut ticket.admission.table.lock());
    }
}

/// What counts as one address: whoever has one of IPv6 has at least 64 bits of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().expect("an address"), 1)
    }

    fn has_ended(place: &Place) -> bool {
        place.standing().poll_ended(&mut Context::from_waker(futures::task::noop_waker_ref())).is_ready()
    }

    #[test]
    fn strangers_give_way_by_age_and_the_proved_stay() {
        let admission = Admission::new("test", ConnectionLimits { most: 3, most_from_one: None });
        let places: Vec<Place> = (0..3).map(|_| admission.admit(from("10.0.0.1")).expect("room")).collect();
        places[0].standing().prove();
        let new = admission.admit(from("10.0.0.1")).expect("a stranger gives way");
        assert_eq!(places.iter().map(has_ended).collect::<Vec<_>>(), [false, true, false]);
        places[2].standing().prove();
        new.standing().prove();
        assert!(admission.admit(from("10.0.0.1")).is_none(), "nobody gives way");
        // What gave way is not counted twice, and what leaves makes room.
        drop(places);
        assert_eq!(admission.table.lock().open, 1);
        let again: Vec<Place> = (0..2).map(|_| admission.admit(from("10.0.0.2")).expect("room")).collect();
        assert!(again.iter().all(|place| !has_ended(place)));
        drop((again, new));
        let table = admission.table.lock();
        assert!(table.open == 0 && table.strangers.is_empty() && table.by_address.is_empty(), "{table:?}");
    }

    #[test]
    fn one_address_has_its_share_only() {
        let admission = Admission::new("test", ConnectionLimits { most: 10, most_from_one: Some(2) });
        let theirs: Vec<Place> =
            ["2001:db8::1", "2001:db8::2:1"].map(|a| admission.admit(from(a)).expect("room")).into();
        let other = admission.admit(from("::ffff:10.0.0.1")).expect("another address");
        let third = admission.admit(from("2001:db8::3")).expect("in place of the first");
        assert!(has_ended(&theirs[0]) && !has_ended(&theirs[1]) && !has_ended(&other));
        theirs[1].standing().prove();
        third.standing().prove();
        assert!(admission.admit(from("2001:db8::4")).is_none());
        assert!(admission.admit(from("10.0.0.1")).is_some());
    }

    #[test]
    fn a_stranger_with_too_many_calls_is_ended() {
        let admission = Admission::new("test", ConnectionLimits { most: 1, most_from_one: None });
        let place = admission.admit(from("10.0.0.1")).expect("room");
        let calls: Vec<OpenCall> = (0..2).map(|_| place.standing().open_call(2)).collect();
        drop(calls);
        let _two = [place.standing().open_call(2), place.standing().open_call(2)];
        assert!(!has_ended(&place));
        let _third = place.standing().open_call(2);
        assert!(has_ended(&place));
    }

    #[test]
    fn of_one_address_the_strangers_give_way_by_age_and_not_the_proved() {
        let admission = Admission::new("test", ConnectionLimits { most: 10, most_from_one: Some(3) });
        let places: Vec<Place> = (0..3).map(|_| admission.admit(from("10.0.0.1")).expect("room")).collect();
        places[0].standing().prove();
        let _fourth = admission.admit(from("10.0.0.1")).expect("in place of the oldest stranger");
        assert_eq!(places.iter().map(has_ended).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(admission.table.lock().open, 3);
    }

    #[test]
    fn an_address_of_ipv4_is_itself_however_it_is_written() {
        let admission = Admission::new("test", ConnectionLimits { most: 10, most_from_one: Some(1) });
        let first = admission.admit(from("::ffff:10.0.0.1")).expect("room");
        let other = admission.admit(from("::ffff:10.0.0.2")).expect("another address");
        assert!(!has_ended(&first));
        let again = admission.admit(from("10.0.0.1")).expect("in place of the first");
        assert_eq!([&first, &other, &again].map(has_ended), [true, false, false]);
    }

    #[test]
    fn where_the_system_has_no_room_the_oldest_stranger_goes() {
        let admission = Admission::new("test", ConnectionLimits { most: 10, most_from_one: None });
        admission.make_room();
        let places: Vec<Place> = (0..3).map(|_| admission.admit(from("10.0.0.1")).expect("room")).collect();
        places[0].standing().prove();
        admission.make_room();
        assert_eq!(places.iter().map(has_ended).collect::<Vec<_>>(), [false, true, false]);
    }
}
