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
    words(name).any(|word| {
        SECRET_WORDS
            .iter()
            .any(|secret| word.eq_ignore_ascii_case(secret))
    })
}

/// Splits at anything that is no letter, and where a capital follows a small letter.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|letter: char| !letter.is_alphabetic())
        .flat_map(|part| {
            let mut rest = part;
            std::iter::from_fn(move || {
                if rest.is_empty() {
                    return None;
                }
                let end = rest
                    .char_indices()
                    .zip(rest.chars().skip(1))
                    .find(|((_, letter), next)| letter.is_lowercase() && next.is_uppercase())
                    .map_or(rest.len(), |((at, letter), _)| at + letter.len_utf8());
                let (word, tail) = rest.split_at(end);
                rest = tail;
                Some(word)
            })
        })
}

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
