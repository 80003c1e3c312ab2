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

/// Whether a field of this name holds a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut start = 0;
    for at in 0..=bytes.len() {
        let next = bytes.get(at).copied();
        let is_letter = next.is_some_and(is_letter);
        // A word ends at what is no letter, and where a capital follows a small letter.
        let is_hump = || {
            at > start
                && bytes[at - 1].is_ascii_lowercase()
                && next.is_some_and(|next| next.is_ascii_uppercase())
        };
        if is_letter && !is_hump() {
            continue;
        }
        if is_secret_word(&bytes[start..at]) {
            return true;
        }
        start = if is_letter { at } else { at + 1 };
    }
    false
}

/// Letters beyond ASCII count as such: they are part of no secret word, and must not look like its end.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || !byte.is_ascii()
}

fn is_secret_word(word: &[u8]) -> bool {
    SECRET_WORDS
        .iter()
        .any(|secret| word.eq_ignore_ascii_case(secret.as_bytes()))
}

/// Digits of the shortest card number that [`SECRET_TEXT`] finds.
const CARD_DIGITS: usize = 13;

/// Whether [`SECRET_TEXT`] could find anything in `text`. One pass over the bytes settles nearly all texts at a fraction of
/// the search's cost. It may say yes to what holds no secret, never no to what does.
fn may_hold_secret(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut digits = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                if digits >= CARD_DIGITS {
                    return true;
                }
                continue;
            }
            b' ' | b'-' => continue,
            // Beyond ASCII there are letters that differ from one of these by their case only.
            0x80.. => return true,
            b'a' | b'A' | b'b' | b'B' | b'c' | b'C' | b'e' | b'E' | b'p' | b'P' | b's' | b'S' | b't'
            | b'T'
                if SECRET_BEGINNINGS.iter().any(|word| {
                    bytes[at..]
                        .get(..word.len())
                        .is_some_and(|part| part.eq_ignore_ascii_case(word))
                }) =>
            {
                return true;
            }
            _ => {}
        }
        digits = 0;
    }
    false
}

/// How every alternative of [`SECRET_TEXT`] begins, but for card numbers.
const SECRET_BEGINNINGS: [&[u8]; 12] = [
    b"bearer",
    b"basic",
    b"eyj",
    b"cookie",
    b"authorization",
    b"passw",
    b"secret",
    b"token",
    b"api_",
    b"api-",
    b"apik",
    b"credential",
];

/// Secrets inside of texts: authorization schemes, JSON Web Tokens, `name=value` of a sensitive name, and
/// what looks like a card number.
static SECRET_TEXT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let scheme = r"(?P<scheme>\b(?:bearer|basic)\s+)[a-z0-9._~+/=-]{6,}";
    let jwt = r"\beyj[a-z0-9_-]+\.[a-z0-9_-]+(?:\.[a-z0-9_-]*)?";
    let pair = concat!(
        r#"(?P<name>(?:authorization|password|passwd|secret|token|api[_-]?key|credential)"#,
        r#"[\w-]*["']?\s*[:=]\s*)(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|(?:(?:bearer|basic)\s+)?[^\s,;&})\]]+)"#
    );
    // A cookie header is a list, so it lasts until the end of the line or of the string around it.
    let cookie = r#"(?P<cookie>\bcookie["']?\s*[:=]\s*["']?)[^\r\n"']+"#;
    let card = r"(?P<card>\b[3-6](?:[ -]?[0-9]){12,18}\b)";
    Regex::new(&format!("(?i:{scheme}|{jwt}|{cookie}|{pair}|{card})")).ok()
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
