//! What a service has to know of how users come in: whom to believe about its client, and where passkeys may be used.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::EnvVar;

use super::pod::variable;
use crate::known::{AUTH, GATEWAY};
use crate::resolve::{Exposure, Resolved, Service};

/// The variables that depend on the way in.
pub(super) fn entrance_variables(resolved: &Resolved, service: &Service) -> Vec<EnvVar> {
    let exposure = &resolved.exposure;
    // A service believes nobody unless it is told to: behind the gateway that is the gateway's place too.
    let own = i32::from(service.name.as_str() != GATEWAY);
    let mut variables = vec![variable(
        "TRUSTED_PROXIES",
        (exposure.proxies() + own).to_string(),
    )];
    if service.name.as_str() == AUTH {
        variables.extend(passkey_variables(exposure));
    }
    variables
}

/// Passkeys are made for a domain, never for an address (Web Authentication Level 2, 5.1.2 and 13.4.9).
fn passkey_variables(exposure: &Exposure) -> Vec<EnvVar> {
    let host = match exposure {
        Exposure::NodePort(ports) => Some(ports.host.as_str()),
        other => other.host(),
    };
    let domain = host.filter(|host| host.parse::<IpAddr>().is_err());
    // Browsers write hosts in lower case.
    let lower = |text: &str| text.to_ascii_lowercase();
    domain.map_or_else(Vec::new, |domain| {
        vec![
            variable("PASSKEY_RP_ID", lower(domain)),
            variable("PASSKEY_ORIGINS", lower(&exposure.origins().join(","))),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::NodePorts;

    fn on(host: &str) -> Vec<(String, Option<String>)> {
        let ports = NodePorts {
            host: host.to_owned(),
            gateway: 30080,
            jaeger: 30686,
        };
        passkey_variables(&Exposure::NodePort(ports))
            .into_iter()
            .map(|variable| (variable.name, variable.value))
            .collect()
    }

    #[test]
    fn passkeys_are_made_for_a_domain_and_for_no_address() {
        let expected = [
            ("PASSKEY_RP_ID", "node.example.com"),
            ("PASSKEY_ORIGINS", "http://node.example.com:30080"),
        ]
        .map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        assert_eq!(on("Node.example.com"), expected);
        assert_eq!(on("192.0.2.1"), []);
    }
}
