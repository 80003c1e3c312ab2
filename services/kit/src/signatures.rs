//! Signatures that were found right. Whether one fits is a fact about a key, a message and a signature, which never changes, and
//! to find it out takes most of the time that a token costs. A token comes with each request for as long as it is good.

use std::{
    collections::HashSet,
    mem,
    sync::{Mutex, PoisonError},
};

use ring::{
    digest::{self, SHA256, SHA256_OUTPUT_LEN},
    signature::{ED25519, UnparsedPublicKey},
};

/// Facts in a generation; there are two, of 33 bytes each fact.
const ROOM: usize = 1024;

type Fact = [u8; SHA256_OUTPUT_LEN];

/// Remembers which Ed25519 signatures were found right. Wrong ones are forgotten at once, or anybody could fill it.
#[derive(Debug, Default)]
pub(crate) struct Signatures(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashSet<Fact>,
    /// What the young ones have taken the place of.
    old: HashSet<Fact>,
}

impl Signatures {
    /// Whether this is the signature of the message by the owner of the public key.
    pub(crate) fn fits(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let fact = fact(public_key, message, signature);
        if self.with(|known| known.holds(&fact)) {
            return true;
        }
        // Not under the lock: it takes longer than all else here.
        let fits = UnparsedPublicKey::new(&ED25519, public_key)
            .verify(message, signature)
            .is_ok();
        if fits {
            self.with(|known| known.learn(fact));
        }
        fits
    }

    fn with<T>(&self, act: impl FnOnce(&mut Generations) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Generations {
    /// Whether the fact is known. One that is asked for stays.
    fn holds(&mut self, fact: &Fact) -> bool {
        if self.young.contains(fact) {
            return true;
        }
        let is_old = self.old.contains(fact);
        if is_old {
            self.learn(*fact);
        }
        is_old
    }

    fn learn(&mut self, fact: Fact) {
        if self.young.len() >= ROOM {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(fact);
    }
}

/// One text for the three, in which no byte can pass from one of them to its neighbour.
fn fact(public_key: &[u8], message: &[u8], signature: &[u8]) -> Fact {
    let mut context = digest::Context::new(&SHA256);
    for part in [public_key, message, signature] {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    let mut fact = Fact::default();
    fact.copy_from_slice(context.finish().as_ref());
    fact
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{Ed25519KeyPair, KeyPair as _},
    };

    use super::*;

    fn pair() -> Ed25519KeyPair {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap()
    }

    fn known(signatures: &Signatures) -> usize {
        signatures.with(|known| known.young.len() + known.old.len())
    }

    #[test]
    fn a_right_one_is_known_from_then_on_and_a_wrong_one_never() {
        let (signatures, ours, theirs) = (Signatures::default(), pair(), pair());
        let signature = ours.sign(b"hello");
        let (key, signature) = (ours.public_key().as_ref(), signature.as_ref());
        for _ in 0..2 {
            assert!(signatures.fits(key, b"hello", signature));
            assert!(!signatures.fits(key, b"hullo", signature), "another message");
            assert!(
                !signatures.fits(theirs.public_key().as_ref(), b"hello", signature),
                "another key"
            );
            assert!(
                !signatures.fits(key, b"hello", &signature[..63]),
                "another signature"
            );
            assert_eq!(known(&signatures), 1);
        }
    }

    #[test]
    fn what_is_known_is_not_computed_again() {
        let signatures = Signatures::default();
        signatures.with(|known| known.learn(fact(b"no key", b"hello", b"no signature")));
        assert!(signatures.fits(b"no key", b"hello", b"no signature"));
    }

    #[test]
    fn no_byte_passes_from_one_part_to_the_next() {
        let facts = [
            fact(b"ab", b"c", b""),
            fact(b"a", b"bc", b""),
            fact(b"a", b"b", b"c"),
            fact(b"abc", b"", b""),
        ];
        assert_eq!(HashSet::from(facts).len(), facts.len());
    }

    #[test]
    fn the_memory_is_bounded_and_what_is_asked_for_stays() {
        let signatures = Signatures::default();
        let of = |number: usize| fact(b"", &number.to_be_bytes(), b"");
        for number in 0..5 * ROOM {
            signatures.with(|known| known.learn(of(number)));
            assert!(signatures.with(|known| known.holds(&of(0))));
        }
        assert!(known(&signatures) <= 2 * ROOM);
        assert!(!signatures.with(|known| known.holds(&of(1))));
    }
}
