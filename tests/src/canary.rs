//! A canary in what only the staff may see: tests put it there, and every byte that anybody else is sent is looked
//! through for it.
//!
//! Whose connection it is says the token that opened it. What is found is an error to whoever reads, and fails the
//! test also where that error is swallowed: the server tells when it is dropped.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Begins every text of a test that only the staff may see: metadata, internal notes. Letters and digits, so that it
/// looks the same in JSON, in an address and in a slug.
pub const CANARY: &str = "zq7v2canaryk5x9w";

/// What was found, by the port of the server that sent it.
static ESCAPED: Mutex<BTreeMap<u16, String>> = Mutex::new(BTreeMap::new());

/// Returns what a server on this port has let escape, once.
pub(crate) fn escaped(port: u16) -> Option<String> {
    ESCAPED.lock().unwrap_or_else(PoisonError::into_inner).remove(&port)
}

/// Whoever reads what a server sends.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    port: u16,
    /// Nobody whose reading has to be watched, when it is one of the staff.
    outsider: Option<String>,
}

impl Watch {
    /// Whoever sends this request to this port. Whom nothing shows to be staff is an outsider.
    pub(crate) fn of(port: u16, request: &[u8]) -> Self {
        let end = request.windows(4).position(|window| window == b"\r\n\r\n");
        let head = String::from_utf8_lossy(&request[..end.unwrap_or(request.len())]);
        let mut watch = Self { port, outsider: Some("nobody known".to_owned()) };
        if head.lines().filter_map(authorization).any(|it| it.starts_with("ApiKey ")) {
            watch.outsider = None;
        } else {
            // In the address there may be another as well, that of a session.
            let (mut lines, first) = (head.lines().skip(1), head.lines().next());
            let found = lines.find_map(token).or_else(|| first.and_then(token));
            if let Some(token) = found {
                watch.take_token(&token);
            }
        }
        watch
    }

    /// Goes on under another token.
    pub(crate) fn take_token(&mut self, token: &str) {
        let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Value =
            claims.and_then(|it| serde_json::from_slice(&it).ok()).unwrap_or(Value::Null);
        let is_staff = matches!(claims["role"].as_str(), Some("admin" | "agent"));
        self.outsider = (!is_staff).then(|| format!("{} as {}", claims["sub"], claims["role"]));
    }

    /// Looks through what was sent.
    ///
    /// # Errors
    ///
    /// The canary is in it, and an outsider reads it.
    pub(crate) fn look(&self, bytes: &[u8]) -> Result<()> {
        let Some(who) = &self.outsider else { return Ok(()) };
        let mut windows = bytes.windows(CANARY.len());
        if !windows.any(|window| window.eq_ignore_ascii_case(CANARY.as_bytes())) {
            return Ok(());
        }
        let what = format!("sent to {who}: {}", String::from_utf8_lossy(bytes));
        let mut escaped = ESCAPED.lock().unwrap_or_else(PoisonError::into_inner);
        escaped.entry(self.port).or_insert_with(|| what.clone());
        bail!("what only the staff may see was {what}");
    }
}

fn header<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
    let (name, value) = line.split_once(':')?;
    name.eq_ignore_ascii_case(wanted).then(|| value.trim())
}

fn authorization(line: &str) -> Option<&str> {
    header(line, "authorization")
}

/// The token in a line of a request: in its address, as a bearer, as a subprotocol of a WebSocket, or of a long poll.
fn token(line: &str) -> Option<String> {
    if let Some(value) = authorization(line) {
        return value.strip_prefix("Bearer ").map(str::to_owned);
    }
    if let Some(value) = header(line, "x-phoenix-authtoken") {
        return Some(value.to_owned());
    }
    let word = |rest: &str| rest.split([' ', '&', ',']).next().unwrap_or_default().to_owned();
    if let Some((_, rest)) = line.split_once("base64url.bearer.phx.") {
        return String::from_utf8(URL_SAFE_NO_PAD.decode(word(rest)).ok()?).ok();
    }
    let (_, rest) = line.split_once("token=").filter(|_| line.ends_with(" HTTP/1.1"))?;
    Some(word(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Request, Token};

    fn watch(request: &Request) -> Watch {
        Watch::of(0, &request.to_bytes(0))
    }

    #[test]
    fn whoever_is_not_seen_to_be_staff_is_watched() {
        let token = |role: &str| Token::of("x").claim("role", role).sign().unwrap();
        let bearer =
            |role: &str| Request::new("GET", "/").authorized(&format!("Bearer {}", token(role)));
        let query = |role: &str| Request::websocket(&format!("/s?token={}&vsn=2.0.0", token(role)));
        let protocol = |role: &str| {
            let token = URL_SAFE_NO_PAD.encode(token(role));
            let offered = format!("phoenix, base64url.bearer.phx.{token}");
            Request::websocket("/s").header("sec-websocket-protocol", &offered)
        };
        let poll = |role: &str| {
            let request = Request::new("GET", "/poll?vsn=2.0.0&token=of-the-session");
            request.header("X-Phoenix-AuthToken", &token(role))
        };
        let session = |role: &str| {
            Request::new("GET", &format!("/poll?token={}&token=of-the-session", token(role)))
        };
        for (role, is_watched) in
            [("agent", false), ("admin", false), ("customer", true), ("guest", true)]
        {
            for request in [bearer(role), query(role), protocol(role), poll(role), session(role)] {
                let escapes = watch(&request).look(format!("a {CANARY}-1").as_bytes()).is_err();
                assert_eq!(escapes, is_watched, "{request:?}");
            }
        }
        assert!(
            watch(&Request::new("GET", "/").authorized("ApiKey dev"))
                .look(CANARY.as_bytes())
                .is_ok()
        );
        assert!(watch(&Request::new("GET", "/?token=agent")).look(CANARY.as_bytes()).is_err());
        assert!(watch(&Request::new("GET", "/")).look(CANARY.to_uppercase().as_bytes()).is_err());
        assert!(escaped(0).is_some_and(|it| it.contains(CANARY)) && escaped(0).is_none());
    }
}
