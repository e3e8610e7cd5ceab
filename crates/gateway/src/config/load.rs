//! Reading the configuration: file, then environment, then flags.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::http::Uri;
use penholder_protocol::TopicName;
use serde::Deserialize;
use thiserror::Error;
use toml::{Table, Value};

use super::Config;

/// Where a faulty value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file given with `--config`.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// The values taken together.
    Together,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Together => f.write_str("configuration"),
        }
    }
}

/// Why the configuration cannot be used. The operator must act; trying again does not help.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// A key is unknown, or its value is of the wrong type or out of range.
    #[error("{at}: {cause}")]
    Invalid {
        /// Where it stands.
        at: Source,
        /// Which key, what is wrong and what is legal.
        cause: Box<toml::de::Error>,
    },
    /// Values do not fit together.
    #[error("configuration: {0}")]
    Unfit(&'static str),
}

/// What flags set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
}

/// Prefix of the variables that set configuration.
const PREFIX: &str = "PENHOLDER__";

/// Reads the configuration from `file`, the `variables` of the environment and the flags.
///
/// # Errors
///
/// [`ConfigError`], which names the file and line, or the variable, the key and the legal range.
pub fn load(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
    flags: Overrides,
) -> Result<Config, ConfigError> {
    let mut values = file.map(read).transpose()?.unwrap_or_default();
    for (name, value) in variables.filter(|(name, _)| name.starts_with(PREFIX)) {
        let setting = setting(&name, &value);
        Config::deserialize(setting.clone()).map_err(|cause| ConfigError::Invalid {
            at: Source::Variable(name),
            cause: Box::new(cause),
        })?;
        merge(&mut values, setting);
    }
    let mut config = Config::deserialize(values)
        .map_err(|cause| ConfigError::Invalid { at: Source::Together, cause: Box::new(cause) })?;
    if let Some(listen) = flags.listen {
        config.server.listen = listen;
    }
    check(&config)?;
    Ok(config)
}

/// Reads and checks a file on its own first: only its own text can give an error a line.
fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
    let invalid =
        |cause| ConfigError::Invalid { at: Source::File(path.to_owned()), cause: Box::new(cause) };
    toml::from_str::<Config>(&text).map_err(invalid)?;
    toml::from_str(&text).map_err(invalid)
}

/// `PENHOLDER__SERVER__LISTEN=x` as the table `server = { listen = x }`.
///
/// The value is read as TOML where it is TOML (numbers, booleans, arrays, quoted strings), else as a
/// bare string, so that nobody has to quote twice.
fn setting(name: &str, value: &str) -> Table {
    let keys: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
    let bare = || Value::String(value.to_owned());
    let parsed = toml::from_str::<Table>(&format!("value = {value}"));
    let value = parsed.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(bare);
    let wrap = |inner, key| Value::Table(Table::from_iter([(key, inner)]));
    match keys.into_iter().rev().fold(value, wrap) {
        Value::Table(table) => table,
        _ => Table::new(),
    }
}

fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn check(config: &Config) -> Result<(), ConfigError> {
    let secret = config.auth.hs256_secret.expose();
    if !secret.is_empty() && secret.len() < 32 {
        return Err(ConfigError::Unfit("auth.hs256_secret must have at least 32 bytes"));
    }
    let is_digest = |hex: &str| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    if !config.auth.api_keys.iter().all(|key| is_digest(&key.sha256)) {
        return Err(ConfigError::Unfit(
            "auth.api_keys: sha256 must be the 64 hexadecimal digits of the key's SHA-256",
        ));
    }
    if !config.server.origins.iter().all(|origin| is_origin(origin)) {
        return Err(ConfigError::Unfit(
            "server.origins: each is scheme://host or scheme://host:port, without a path",
        ));
    }
    let public_url = config.server.public_url.as_str();
    if !public_url.is_empty() && !public_url.split_once("://").is_some_and(is_web_address) {
        return Err(ConfigError::Unfit("server.public_url must begin with http:// or https://"));
    }
    let pens = config.namespace.values().map(|own| own.pen.over(&config.pen));
    if !pens.chain([config.pen.clone()]).all(|pen| pen.ttl.as_ms() <= pen.ttl_max.as_ms()) {
        return Err(ConfigError::Unfit("pen.ttl must not be longer than pen.ttl_max"));
    }
    let storage = config.storage.url.expose();
    if !storage.is_empty()
        && !["postgres://", "postgresql://"].iter().any(|scheme| storage.starts_with(scheme))
    {
        return Err(ConfigError::Unfit(
            "storage.url must be empty, or begin with postgres:// or postgresql://",
        ));
    }
    let collector = config.telemetry.otlp_endpoint.as_str();
    if !collector.is_empty() && !cfg!(feature = "otlp") {
        return Err(ConfigError::Unfit(
            "telemetry.otlp_endpoint is set, but this penholder was built without the cargo feature otlp, \
             which sends traces",
        ));
    }
    if !collector.is_empty() && !is_collector(collector) {
        return Err(ConfigError::Unfit(
            "telemetry.otlp_endpoint must be http://host:port, with a path at most",
        ));
    }
    if !config.namespace.keys().all(|name| is_namespace(name)) {
        return Err(ConfigError::Unfit(
            "namespace: a name is one segment of A-Z a-z 0-9 _ . ~ -, and neither phoenix nor system",
        ));
    }
    let is_name =
        |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.~-".contains(&b));
    if config.cluster.name.len() > 64 || !is_name(&config.cluster.name) {
        return Err(ConfigError::Unfit(
            "cluster.name must be at most 64 of the characters A-Z a-z 0-9 _ . ~ -",
        ));
    }
    Ok(())
}

fn is_web_address((scheme, rest): (&str, &str)) -> bool {
    matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.starts_with('/')
}

/// Whether spans can be sent there: over HTTP without TLS.
fn is_collector(address: &str) -> bool {
    let address = address.parse::<Uri>().ok();
    address.is_some_and(|address| {
        address.scheme_str() == Some("http")
            && address.host().is_some()
            && address.query().is_none()
    })
}

fn is_origin(origin: &str) -> bool {
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', ' ', '@']);
    let origin = origin.strip_suffix('/').unwrap_or(origin);
    origin.split_once("://").is_some_and(|(scheme, host)| !scheme.is_empty() && is_host(host))
}

/// Whether topics of this namespace can have options: one segment, whose topics can be joined and
/// have presence.
fn is_namespace(name: &str) -> bool {
    let is_segment = !name.contains(':') && TopicName::parse(name).is_ok();
    is_segment && !matches!(name, "phoenix" | "system")
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT_TOML;
    use super::*;

    fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let directory = std::env::temp_dir().join(format!("penholder-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("penholder.toml");
        std::fs::write(&path, text).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let loaded = load(Some(&path), variables, Overrides::default());
        std::fs::remove_dir_all(directory).unwrap();
        loaded
    }

    fn error(text: &str, variables: &[(&str, &str)]) -> String {
        load_text(text, variables).unwrap_err().to_string()
    }

    #[test]
    fn the_printed_default_is_the_default() {
        assert_eq!(load_text(DEFAULT_TOML, &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_printed_default_names_every_key() {
        let printed: Table = toml::from_str(DEFAULT_TOML).unwrap();
        let keys = |section: &str| printed[section].as_table().unwrap().len();
        let sections = [
            "server",
            "storage",
            "auth",
            "presence",
            "pen",
            "limits",
            "tickets",
            "cluster",
            "telemetry",
        ];
        assert_eq!(sections.map(keys), [9, 3, 8, 6, 13, 14, 1, 2, 2]);
    }

    #[test]
    fn variables_win_over_the_file_and_flags_over_both() {
        let file = "[server]\nlisten = \"127.0.0.1:1\"\nconnections_max = 5";
        let variables = [
            ("PENHOLDER__SERVER__LISTEN", "127.0.0.1:2"),
            ("PENHOLDER__PRESENCE__FULL_MAX", "7"),
            ("UNRELATED", "x"),
        ];
        let config = load_text(file, &variables).unwrap();
        assert_eq!(config.server.listen.port(), 2);
        assert_eq!(config.server.connections_max.number(), 5);
        assert_eq!(config.presence.full_max.number(), 7);
        let flags = Overrides { listen: Some(SocketAddr::from(([127, 0, 0, 1], 3))) };
        let config = load(None, std::iter::empty(), flags).unwrap();
        assert_eq!(config.server.listen.port(), 3);
    }

    #[test]
    fn errors_name_file_line_key_and_legal_range() {
        let message = error("[presence]\ngrace = \"11m\"", &[]);
        for part in ["penholder.toml", "line 2", "grace", "from 0ms to 10m"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let message = error("[limits]\nmessages_burst = 0", &[]);
        assert!(message.contains("from 1 to 100000"), "{message}");
        let message = error("[presense]\n", &[]);
        assert!(message.contains("presense") && message.contains("line 1"), "{message}");
        let message = error("", &[("PENHOLDER__PRESENCE__GRACE", "soon")]);
        assert!(message.contains("PENHOLDER__PRESENCE__GRACE"), "{message}");
    }

    #[test]
    fn addresses_and_namespaces_that_could_never_match_are_refused() {
        for origin in ["desk.example.org", "https://desk.example.org/path", "not a url"] {
            assert!(error(&format!("[server]\norigins = [\"{origin}\"]"), &[]).contains("origins"));
        }
        assert!(error("[server]\npublic_url = \"nonsense\"", &[]).contains("public_url"));
        for name in ["\"a b\"", "system", "\"a:b\""] {
            assert!(error(&format!("[namespace.{name}.presence]"), &[]).contains("namespace"));
        }
        let fine = "[server]\norigins = [\"https://desk.example.org:8443\"]\n\
                    public_url = \"https://pen.example.org/x\"\n[namespace.tickets.presence]";
        assert!(load_text(fine, &[]).is_ok());
    }

    #[test]
    fn short_secrets_and_odd_digests_are_refused() {
        assert!(error("[auth]\nhs256_secret = \"short\"", &[]).contains("32 bytes"));
        let key = "[[auth.api_keys]]\nid = \"ci\"\nsha256 = \"x\"\nscopes = [\"admin\"]";
        assert!(error(key, &[]).contains("SHA-256"));
    }

    #[test]
    fn a_namespace_overrides_what_it_names_and_nothing_else() {
        let config = load_text("[namespace.doc.presence]\nfull_max = 50", &[]).unwrap();
        let options = config.namespace["doc"].presence.over(&config.presence);
        assert_eq!(options.full_max.number(), 50);
        assert_eq!(options.grace, config.presence.grace);
    }
}
