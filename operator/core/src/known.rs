//! Tracewell's own services: what a name alone implies.

/// Defaults of a service that the operator's release brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownService {
    /// Its name; the image is `{repository}/tracewell-{name}:{tag}`.
    pub name: &'static str,
    /// TCP port of its API.
    pub port: i32,
    /// Whether it keeps data.
    pub database: bool,
    /// Its place behind the gateway.
    pub path_prefix: Option<&'static str>,
    /// Whether it seals what it stores, with the key in `KEY_ENCRYPTION_KEY`. Beside a file it makes one itself.
    pub seals: bool,
    /// Services that it calls, as far as they are in the Platform.
    pub depends_on: &'static [&'static str],
}

/// The service that routes to the others.
pub const GATEWAY: &str = "gateway";

/// The service that signs users in.
pub const AUTH: &str = "auth";

/// The services of `spec: {}`. The gateway depends on every service that has a route.
pub const KNOWN_SERVICES: &[KnownService] = &[
    KnownService {
        name: GATEWAY,
        port: 3000,
        database: false,
        seals: false,
        path_prefix: None,
        depends_on: &[],
    },
    KnownService {
        name: AUTH,
        port: 3001,
        database: true,
        seals: true,
        path_prefix: Some("/auth"),
        depends_on: &[],
    },
    KnownService {
        name: "chat",
        port: 3002,
        database: true,
        seals: false,
        path_prefix: Some("/chat"),
        depends_on: &[AUTH, "billing"],
    },
    KnownService {
        name: "billing",
        port: 3003,
        database: true,
        seals: false,
        path_prefix: Some("/billing"),
        depends_on: &[AUTH],
    },
];

/// The known service of that name.
pub fn known_service(name: &str) -> Option<&'static KnownService> {
    KNOWN_SERVICES.iter().find(|known| known.name == name)
}
