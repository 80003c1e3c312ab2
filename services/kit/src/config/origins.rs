//! Origins of pages.

use std::{
    fmt::{self, Display},
    str::FromStr,
};

use reqwest::Url;

use super::InvalidBaseUrl;

/// Origins that a browser may call from, separated by commas in the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<http::HeaderValue>);

impl Origins {
    /// The origins as values of the `Origin` header.
    pub fn as_slice(&self) -> &[http::HeaderValue] {
        &self.0
    }
}

impl FromIterator<http::HeaderValue> for Origins {
    fn from_iter<I: IntoIterator<Item = http::HeaderValue>>(origins: I) -> Self {
        Self(origins.into_iter().collect())
    }
}

impl FromStr for Origins {
    type Err = InvalidBaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',')
            .map(|part| {
                let url = part.trim().parse::<Url>().map_err(|_| InvalidBaseUrl)?;
                let origin = url.origin();
                if !origin.is_tuple() || url.path() != "/" {
                    return Err(InvalidBaseUrl);
                }
                origin.ascii_serialization().parse().map_err(|_| InvalidBaseUrl)
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self
            .0
            .iter()
            .map(|origin| String::from_utf8_lossy(origin.as_bytes()))
            .collect();
        f.write_str(&texts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_a_list_without_paths() {
        let origins: Origins = "https://a.example, http://localhost:5173".parse().unwrap();
        assert_eq!(origins.to_string(), "https://a.example,http://localhost:5173");
        assert!("https://a.example/path".parse::<Origins>().is_err());
        assert!("*".parse::<Origins>().is_err());
    }
}
