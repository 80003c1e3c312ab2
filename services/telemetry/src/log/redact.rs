//! What must never be logged, removed at the last moment: by the name of a field, and by the look of a
//! text.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};

/// What stands in place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// Words that make a field's name sensitive, wherever they stand in it: `access_token`, `setCookie`.
const SECRET_WORDS: [&str; 19] = [
    "authorization",
    "cookie",
    "cookies",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "secrets",
    "token",
    "tokens",
    "jwt",
    "apikey",
    "credential",
    "credentials",
    "card",
    "cvc",
    "cvv",
    "dsn",
];

/// How words begin: for each first letter the second ones as bits, both from `a` on. Nearly all texts are settled by these.
struct Pairs([u32; 26]);

impl Pairs {
    const fn of<const N: usize>(words: &[&str; N]) -> Self {
        let mut pairs = [0; 26];
        let mut at = 0;
        while at < N {
            let word = words[at].as_bytes();
            pairs[(word[0] - b'a') as usize] |= 1 << (word[1] - b'a');
            at += 1;
        }
        Self(pairs)
    }

    /// Whether a word may begin here, in small letters or capitals.
    fn may_begin(&self, bytes: &[u8]) -> bool {
        let place = |byte: u8| (byte | 0x20).wrapping_sub(b'a');
        let [first, second, ..] = bytes else {
            return false;
        };
        let seconds = self.0.get(usize::from(place(*first))).copied().unwrap_or(0);
        seconds.checked_shr(place(*second).into()).unwrap_or(0) & 1 == 1
    }
}

const SECRET_WORD_PAIRS: Pairs = Pairs::of(&SECRET_WORDS);
const SECRET_BEGINNING_PAIRS: Pairs = Pairs::of(&SECRET_BEGINNINGS);

/// Whether a field of this name holds a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut start = 0;
    let mut follows_small = false;
    for (at, byte) in bytes.iter().enumerate() {
        // A word ends at what is no letter, and where a capital follows a small letter.
        let is_letter = is_letter(*byte);
        if !is_letter || (follows_small && byte.is_ascii_uppercase()) {
            if is_secret_word(&bytes[start..at]) {
                return true;
            }
            start = if is_letter { at } else { at + 1 };
        }
        follows_small = byte.is_ascii_lowercase();
    }
    is_secret_word(&bytes[start..])
}

/// Letters beyond ASCII count as such: they are part of no secret word, and must not look like its end.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || !byte.is_ascii()
}

fn is_secret_word(word: &[u8]) -> bool {
    SECRET_WORD_PAIRS.may_begin(word)
        && SECRET_WORDS
            .iter()
            .any(|secret| word.eq_ignore_ascii_case(secret.as_bytes()))
}

/// Digits of the shortest card number that [`SECRET_TEXT`] finds.
const CARD_DIGITS: usize = 13;

/// What a byte means for [`may_hold_secret`].
#[derive(Clone, Copy, PartialEq)]
enum Class {
    Digit,
    /// May stand between the digits of a card's number.
    Gap,
    /// The first letter of one of [`SECRET_BEGINNINGS`].
    Initial,
    /// Ends a URL's scheme.
    Colon,
    /// Beyond ASCII there are letters that differ from one of ours by their case only.
    Foreign,
    Other,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0x80;
    while byte < classes.len() {
        classes[byte] = Class::Foreign;
        byte += 1;
    }
    let mut digit = b'0';
    while digit <= b'9' {
        classes[digit as usize] = Class::Digit;
        digit += 1;
    }
    classes[b' ' as usize] = Class::Gap;
    classes[b'-' as usize] = Class::Gap;
    classes[b':' as usize] = Class::Colon;
    let mut at = 0;
    while at < SECRET_BEGINNINGS.len() {
        let initial = SECRET_BEGINNINGS[at].as_bytes()[0];
        classes[initial as usize] = Class::Initial;
        classes[initial.to_ascii_uppercase() as usize] = Class::Initial;
        at += 1;
    }
    classes
};

/// Whether [`SECRET_TEXT`] could find anything in `text`. One pass over the bytes settles nearly all texts at a fraction of
/// the search's cost. It may say yes to what holds no secret, never no to what does.
fn may_hold_secret(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut digits = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match CLASSES[usize::from(*byte)] {
            Class::Digit => {
                digits += 1;
                if digits >= CARD_DIGITS {
                    return true;
                }
                continue;
            }
            Class::Gap => continue,
            Class::Foreign => return true,
            Class::Initial if begins_secret(&bytes[at..]) => return true,
            Class::Colon if begins_userinfo(&bytes[at..]) => return true,
            Class::Initial | Class::Colon | Class::Other => {}
        }
        digits = 0;
    }
    false
}

/// Whether one of [`SECRET_BEGINNINGS`] stands here.
fn begins_secret(bytes: &[u8]) -> bool {
    SECRET_BEGINNING_PAIRS.may_begin(bytes)
        && SECRET_BEGINNINGS.iter().any(|word| {
            bytes
                .get(..word.len())
                .is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
        })
}

/// Whether the scheme of a URL ends here, before a name or a password.
fn begins_userinfo(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"://") else {
        return false;
    };
    let mut authority = rest.iter().take_while(|byte| {
        let ends = b"/?#\"'<>\\ \t\r\n\x0b\x0c";
        !ends.contains(byte)
    });
    authority.any(|byte| *byte == b'@')
}

/// How every alternative of [`SECRET_TEXT`] begins, but for card numbers and URLs.
const SECRET_BEGINNINGS: [&str; 12] = [
    "bearer",
    "basic",
    "eyj",
    "cookie",
    "authorization",
    "passw",
    "secret",
    "token",
    "api_",
    "api-",
    "apik",
    "credential",
];

/// Secrets inside of texts: authorization schemes, JSON Web Tokens, `name=value` of a sensitive name, what a URL has
/// before its host, and what looks like a card number.
static SECRET_TEXT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let scheme = r"(?P<scheme>\b(?:bearer|basic)\s+)[a-z0-9._~+/=-]{6,}";
    let jwt = r"\beyj[a-z0-9_-]+\.[a-z0-9_-]+(?:\.[a-z0-9_-]*)?";
    let pair = concat!(
        r#"(?P<name>(?:authorization|password|passwd|secret|token|api[_-]?key|credential)"#,
        r#"[\w-]*["']?\s*[:=]\s*)(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|(?:(?:bearer|basic)\s+)?[^\s,;&})\]]+)"#
    );
    // A cookie header is a list, so it lasts until the end of the line or of the string around it.
    let cookie = r#"(?P<cookie>\bcookie["']?\s*[:=]\s*["']?)[^\r\n"']+"#;
    // A token may stand there alone, so a name without a password goes, too. The last `@` is the one before the host.
    let userinfo = r#"(?P<url>://)[^\s/?#"'<>\\]+@"#;
    let card = r"(?P<card>\b[3-6](?:[ -]?[0-9]){12,18}\b)";
    Regex::new(&format!("(?i:{scheme}|{jwt}|{cookie}|{pair}|{userinfo}|{card})")).ok()
});

/// `text` without the secrets that can be told by their look.
pub(crate) fn scrub(text: &str) -> Cow<'_, str> {
    if !may_hold_secret(text) {
        return Cow::Borrowed(text);
    }
    match SECRET_TEXT.as_ref() {
        Some(secrets) => secrets.replace_all(text, |found: &Captures<'_>| {
            let group = |name| found.name(name).map(|part| part.as_str());
            let secret = match (group("card"), group("value")) {
                (Some(digits), _) => passes_luhn(digits),
                (_, Some(value)) => !is_placeholder(value),
                _ => true,
            };
            if !secret {
                return found[0].to_owned();
            }
            if let Some(url) = group("url") {
                return format!("{url}{REDACTED}@");
            }
            let kept = group("scheme").or(group("cookie")).or(group("name"));
            format!("{}{REDACTED}", kept.unwrap_or_default())
        }),
        // The pattern is fixed and a test compiles it; without it, silence is safer than a secret.
        None => Cow::Borrowed(REDACTED),
    }
}

/// What is no secret after a sensitive name: `$1` or `?`, which stand for a value in the text of a query; and
/// what stands for a secret already. The pattern does not take the marker's closing bracket.
fn is_placeholder(value: &str) -> bool {
    let numbered = || {
        value
            .strip_prefix('$')
            .is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    matches!(value, "?" | "REDACTED" | "[redacted") || numbered()
}

/// Whether a number looks like that of a card, by the same rules as in a text.
pub(crate) fn is_card_number(number: i64) -> bool {
    /// Of [`CARD_DIGITS`] digits. Most numbers are shorter, and need not be written out.
    const SMALLEST: i64 = 3_000_000_000_000;
    number >= SMALLEST && {
        let text = number.to_string();
        text.starts_with(['3', '4', '5', '6']) && passes_luhn(&text)
    }
}

/// The check digit of card numbers (ISO/IEC 7812-1), so that other long numbers stay readable.
fn passes_luhn(text: &str) -> bool {
    let digits = text.chars().rev().filter_map(|letter| letter.to_digit(10));
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_with_a_secret_is_passed_over(parts in prop::collection::vec(
            prop_oneof![
                "[a-zA-Z0-9 ,.:;=_\\-\"'/äſK\\n]{0,8}",
                "(?i)(bearer|basic|cookie|authorization|password|passwd|secret|token|api_key|apikey|credentials?)",
                "[ :=\"]{1,3}",
                "eyJ[a-z]{3}\\.[a-z]{3}",
                "://[a-z:\u{a0}\\x0b]{0,3}@?",
                "[3-6]([ -]?[0-9]){11,19}",
            ],
            0..6,
        )) {
            let text = parts.concat();
            let found = SECRET_TEXT.as_ref().unwrap().is_match(&text);
            prop_assert!(may_hold_secret(&text) || !found, "{text:?}");
        }
    }
}
