//! Ports for what a test starts.

use std::{
    array,
    hash::{BuildHasher as _, RandomState},
    io,
    net::TcpListener,
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// Below those that Linux gives to whoever asks for any, by default 32768 to 60999 (`net.ipv4.ip_local_port_range`): one of these
/// can be given to somebody else before the program that it is meant for listens.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// Where the next search begins: each process has a place of its own.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let anything = RandomState::new().hash_one(());
    AtomicU16::new(u16::try_from(anything % u64::from(COUNT)).unwrap_or_default())
});

/// Ports of the loopback that nothing listens on, and that this process did not get before. The error says that there are none.
pub fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut free = (0..COUNT)
        .map(|_| FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT)
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let ports = array::from_fn(|_| free.next());
    if ports.contains(&None) {
        return Err(io::Error::other(format!(
            "all ports from {FIRST} on are taken, of {COUNT}"
        )));
    }
    Ok(ports.map(Option::unwrap_or_default))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_nor_one_that_somebody_listens_on() {
        let [taken, other] = free_ports().unwrap();
        let _listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
        NEXT.store(taken - FIRST, Ordering::Relaxed);
        let again = free_ports::<100>().unwrap();
        assert!(!again.contains(&taken), "{taken}, {other}, {again:?}");
        assert_eq!(BTreeSet::from(again).len(), again.len());
        assert!(again.iter().all(|port| (FIRST..FIRST + COUNT).contains(port)));
    }
}
