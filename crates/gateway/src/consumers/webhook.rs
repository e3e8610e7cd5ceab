//! Webhooks: a signed POST, as Standard Webhooks has it, to an address of the public internet.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use penholder_desk::{Claimed, SigningSecret};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Response, Url};
use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook,
};

use super::address::is_public;
use crate::clock;
use crate::config::Consumers;

/// Longest address. Unit: bytes.
const URL_BYTES_MAX: usize = 2_048;

/// Bytes of a secret that we make, and of one that is given.
const SECRET_BYTES: usize = 32;
const SECRET_BYTES_MIN: usize = 24;
const SECRET_BYTES_MAX: usize = 64;

/// What secrets begin with.
const SECRET_PREFIX: &str = "whsec_";

/// Longest account of what went wrong. Unit: characters.
const ERROR_CHARS_MAX: usize = 300;

/// So much of an answer is read and thrown away, so that the connection can be used again. Unit: bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// For no longer than this.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// How long a connection that is not used is kept.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Sends events to addresses of the web.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    client: Client,
    allows_private: bool,
}

/// Why an attempt has failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: Option<u16>,
    pub(super) error: String,
}

impl Failure {
    pub(super) fn new(error: impl Into<String>) -> Self {
        Self { status: None, error: error.into() }
    }
}

/// A name has no address that may be used.
#[derive(Debug, thiserror::Error)]
#[error("the address is private, and consumers.allow_private_addresses is off")]
struct PrivateAddress;

/// Resolves names to addresses of the public internet only. What is returned is what is connected to, so a name that
/// leads elsewhere the second time it is looked up gains nothing.
#[derive(Debug)]
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|found| is_public(found.ip())).collect();
            if public.is_empty() {
                return Err(PrivateAddress.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

impl Sender {
    pub(super) fn new(config: &Consumers) -> Result<Self, reqwest::Error> {
        let allows_private = config.allow_private_addresses;
        let builder = || {
            let builder = Client::builder()
                .no_proxy()
                .redirect(Policy::none())
                .referer(false)
                .timeout(config.timeout.duration())
                .pool_idle_timeout(IDLE_MAX)
                .pool_max_idle_per_host(config.in_flight.as_usize())
                .user_agent(concat!("penholder/", env!("CARGO_PKG_VERSION")));
            if allows_private { builder } else { builder.dns_resolver(PublicOnly) }
        };
        let client = builder().build().or_else(|_| without_system(builder())?.build())?;
        Ok(Self { client, allows_private })
    }

    /// Delivers an event, signed with each of the secrets; returns the status of the answer that acknowledges it.
    pub(super) async fn send(
        &self,
        claimed: &Claimed,
        (url, secrets): (&str, [Option<&SigningSecret>; 2]),
    ) -> Result<u16, Failure> {
        let url = Url::parse(url).map_err(|error| Failure::new(error.to_string()))?;
        // A number is not looked up, so the resolver does not see it.
        if !self.allows_private && literal(&url).is_some_and(|address| !is_public(address)) {
            return Err(Failure::new(PrivateAddress.to_string()));
        }
        let timestamp = i64::try_from(clock::wall().0 / 1_000).unwrap_or(i64::MAX);
        let sign = |secret: &SigningSecret| {
            Webhook::new(&secret.0)?.sign(&claimed.event, timestamp, claimed.body.as_bytes())
        };
        let signatures: Result<Vec<String>, _> = secrets.into_iter().flatten().map(sign).collect();
        let signatures = signatures.map_err(|error| Failure::new(error.to_string()))?;
        let mut request = self
            .client
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, &claimed.event)
            .header(HEADER_WEBHOOK_TIMESTAMP, timestamp)
            .header(HEADER_WEBHOOK_SIGNATURE, signatures.join(" "))
            .body(claimed.body.clone());
        let trace = claimed.traceparent.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(trace)) = trace {
            request = request.header("traceparent", trace);
        }
        let answer = request.send().await.map_err(|error| Failure::new(account(&error)))?;
        let status = answer.status();
        throw_away(answer).await;
        judge(status)
    }
}

/// Trusts the authorities that Mozilla does, where the system knows none, as in a container with nothing but the server.
fn without_system(builder: ClientBuilder) -> Result<ClientBuilder, reqwest::Error> {
    let authorities = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
    let authorities: Result<Vec<_>, _> =
        authorities.iter().map(|it| Certificate::from_der(it)).collect();
    Ok(builder.tls_certs_only(authorities?))
}

fn judge(status: StatusCode) -> Result<u16, Failure> {
    let error = match status {
        status if status.is_success() => return Ok(status.as_u16()),
        status if status.is_redirection() => {
            format!("answered {status}; redirects are not followed")
        }
        status => format!("answered {status}"),
    };
    Err(Failure { status: Some(status.as_u16()), error })
}

/// Reads what is left of a short answer, of which nobody knows anything but that it came.
async fn throw_away(mut answer: Response) {
    if answer.content_length().is_some_and(|length| length <= ANSWER_BYTES_MAX) {
        let read = async { while let Ok(Some(_)) = answer.chunk().await {} };
        tokio::time::timeout(ANSWER_WAIT, read).await.ok();
    }
}

/// Says what went wrong, down to the cause, without the address.
fn account(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer within consumers.timeout".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let whole =
        if error.is_connect() { format!("cannot connect: {cause}") } else { cause.to_string() };
    whole.chars().take(ERROR_CHARS_MAX).collect()
}

/// The address that stands in a URL as a number, however it is written.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Why nothing can be sent to an address; none when it can, as far as is known before a name is looked up.
pub(crate) fn refused_address(url: &str, config: &Consumers) -> Option<&'static str> {
    if url.len() > URL_BYTES_MAX {
        return Some("url is longer than 2048 bytes");
    }
    let Ok(parsed) = Url::parse(url) else { return Some("url is none") };
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Some("url begins with https:// or http://");
    }
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.fragment().is_some() {
        return Some("url has no user, password or fragment");
    }
    let is_private = literal(&parsed).is_some_and(|address| !is_public(address));
    if is_private && !config.allow_private_addresses {
        return Some(
            "url leads to a private address, and consumers.allow_private_addresses is off",
        );
    }
    None
}

/// Makes a secret.
pub(crate) fn fresh_secret() -> SigningSecret {
    let bytes: [u8; SECRET_BYTES] = rand::random();
    SigningSecret(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)))
}

/// Whether a text is a secret to sign with.
pub(crate) fn is_secret(text: &str) -> bool {
    let bytes = text.strip_prefix(SECRET_PREFIX).and_then(|text| STANDARD.decode(text).ok());
    bytes.is_some_and(|bytes| (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_numbers_are_refused_however_they_are_written() {
        let config = Consumers::default();
        for url in [
            "http://127.0.0.1/",
            "http://127.1:80/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]:8080/x",
            "http://169.254.169.254/latest",
            "https://10.0.0.1/",
            "http://0/",
            "http://①②⑦.0.0.1/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
        ] {
            let refused = refused_address(url, &config);
            assert!(refused.is_some_and(|why| why.contains("private")), "{url}: {refused:?}");
            let allowing = Consumers { allow_private_addresses: true, ..config };
            assert_eq!(refused_address(url, &allowing), None, "{url}");
        }
        for url in ["https://example.org/hook?a=b", "http://example.org:8080", "http://1.1.1.1/"] {
            assert_eq!(refused_address(url, &config), None, "{url}");
        }
        for url in
            ["", "example.org", "ftp://example.org/", "https://u:p@example.org/", "https://a.b/#c"]
        {
            assert!(refused_address(url, &config).is_some(), "{url}");
        }
        assert!(refused_address(&format!("https://a.b/{}", "x".repeat(2_048)), &config).is_some());
    }

    #[tokio::test]
    async fn name_of_a_private_address_is_not_resolved() {
        let name = "localhost".parse().unwrap();
        let refused = PublicOnly.resolve(name).await.err().unwrap();
        assert!(refused.is::<PrivateAddress>(), "{refused}");
    }

    #[test]
    fn servers_are_known_by_the_system_or_by_what_is_built_in() {
        assert!(Sender::new(&Consumers::default()).is_ok());
        assert!(without_system(Client::builder()).unwrap().build().is_ok());
    }

    #[test]
    fn secrets_are_long_enough() {
        let SigningSecret(fresh) = fresh_secret();
        assert!(is_secret(&fresh) && fresh != fresh_secret().0);
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "c2hvcnQ=", "whsec_?"] {
            assert!(!is_secret(bad), "{bad}");
        }
    }

    #[test]
    fn only_success_acknowledges() {
        for status in [200, 201, 204, 299] {
            assert_eq!(judge(StatusCode::from_u16(status).unwrap()), Ok(status));
        }
        for status in [301, 302, 307, 400, 404, 410, 429, 500, 503] {
            let failure = judge(StatusCode::from_u16(status).unwrap()).unwrap_err();
            assert_eq!(failure.status, Some(status));
        }
    }
}
