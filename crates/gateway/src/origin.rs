//! Which pages a browser may connect from.

use std::net::IpAddr;

use crate::app::RunMode;
use crate::config::Server;

/// The allow list of origins.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    allowed: Vec<String>,
    mode: RunMode,
}

impl Origins {
    /// The configured origins, and that of the public address.
    pub(crate) fn new(server: &Server, mode: RunMode) -> Self {
        let normal = |origin: &String| origin.trim_end_matches('/').to_ascii_lowercase();
        let own = Some(&server.public_url).filter(|url| !url.is_empty()).map(|url| origin_of(url));
        Self { allowed: server.origins.iter().map(normal).chain(own).collect(), mode }
    }

    /// Whether a page of `origin` may connect. In development mode every loopback origin may.
    pub(crate) fn allow(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.allowed.contains(&origin)
            || (self.mode == RunMode::Development && is_loopback(&origin))
    }
}

/// `scheme://authority` of an address.
fn origin_of(url: &str) -> String {
    let url = url.to_ascii_lowercase();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            format!("{scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default())
        }
        None => url,
    }
}

fn is_loopback(origin: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let Some(authority) = authority else { return false };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn origins(config: &str, mode: RunMode) -> Origins {
        let config: Config = toml::from_str(config).unwrap();
        Origins::new(&config.server, mode)
    }

    #[test]
    fn only_listed_origins_may_connect() {
        let config = "[server]\norigins = [\"https://desk.example.org\"]\npublic_url = \"https://pen.example.org/x\"";
        let origins = origins(config, RunMode::Production);
        for allowed in
            ["https://desk.example.org", "HTTPS://Desk.Example.org", "https://pen.example.org"]
        {
            assert!(origins.allow(allowed), "{allowed}");
        }
        for foreign in [
            "null",
            "",
            "http://desk.example.org",
            "https://desk.example.org:8443",
            "https://desk.example.org.evil.test",
            "https://evil.test/https://desk.example.org",
            "http://localhost:4000",
        ] {
            assert!(!origins.allow(foreign), "{foreign}");
        }
    }

    #[test]
    fn development_admits_loopback_and_no_look_alike() {
        let origins = origins("", RunMode::Development);
        for allowed in [
            "http://localhost:4000",
            "http://127.0.0.1:1",
            "http://[::1]:5173",
            "https://localhost",
        ] {
            assert!(origins.allow(allowed), "{allowed}");
        }
        for foreign in
            ["http://localhost.evil.test", "http://127.0.0.1.evil.test", "null", "file://"]
        {
            assert!(!origins.allow(foreign), "{foreign}");
        }
    }
}
