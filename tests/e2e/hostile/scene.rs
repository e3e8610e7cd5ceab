//! The server that all rows run against, and what it must keep to itself.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use penholder_tests::{Directory, Options, RawSocket, Server, Token, soon};
use serde_json::json;

pub(super) const SOON: Duration = Duration::from_secs(20);

/// The topic of the bystanders.
pub(super) const QUIET: &str = "doc:quiet";

/// The one page that may connect, beside those of the loopback address.
pub(super) const ORIGIN: &str = "https://desk.example.org";

pub(super) const ISSUER: &str = "https://id.example.org";
pub(super) const AUDIENCE: &str = "penholder";

/// The key of `auth.public_key_file` (RFC 8032, section 7.1, test 2).
pub(super) const PUBLIC_KEY: [u8; 32] = [
    0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc,
    0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c,
];

/// The seed of the key of `auth.jwks_file`, whose name is `first` (RFC 8037, appendix A.1).
pub(super) const SET_SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
const SET_PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// Shortest part of a token that is looked for in the log. Shorter ones could stand there by chance.
const SECRET_BYTES_MIN: usize = 12;

/// A running server, and the tokens that were shown to it.
pub(super) struct Scene {
    pub(super) server: Server,
    /// What it had open before anybody came.
    pub(super) open_files: Vec<String>,
    /// Nobody is to connect here.
    trap: TcpListener,
    keys: Directory,
    secrets: Mutex<BTreeSet<String>>,
}

impl Scene {
    pub(super) async fn start() -> Result<Self> {
        let keys = Directory::new()?;
        let (pem, set) = (keys.path().join("key.pem"), keys.path().join("set.json"));
        fs::write(&pem, public_pem())?;
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "first", "x": SET_PUBLIC});
        fs::write(&set, json!({"keys": [key]}).to_string())?;
        let options = Options::default()
            .any_request_rate()
            .log("info,hyper=warn,penholder_gateway=debug")
            .set("telemetry.log", "json")
            .set("server.header_timeout", "1s")
            .set("server.origins", &json!([ORIGIN]).to_string())
            .set("auth.issuer", ISSUER)
            .set("auth.audience", AUDIENCE)
            .set("auth.public_key_file", pem.to_str().context("an odd path")?)
            .set("auth.jwks_file", set.to_str().context("an odd path")?)
            .set("presence.idle_after", "1h")
            .set("presence.grace", "0s");
        let server = Server::start(options).await?;
        let trap = TcpListener::bind("127.0.0.1:0")?;
        trap.set_nonblocking(true)?;
        let open_files = server.open_files()?;
        Ok(Self { server, open_files, trap, keys, secrets: Mutex::default() })
    }

    /// An address that nobody is to ask.
    pub(super) fn trap_url(&self) -> Result<String> {
        Ok(format!("http://{}/keys", self.trap.local_addr()?))
    }

    /// The path of the file with the public key.
    pub(super) fn key_file(&self) -> String {
        self.keys.path().join("key.pem").display().to_string()
    }

    /// Signs a token, which is not to be found in the log.
    pub(super) fn sign(&self, token: &Token) -> Result<String> {
        let signed = token.sign()?;
        self.keep_secret(&signed)?;
        Ok(signed)
    }

    pub(super) fn keep_secret(&self, token: &str) -> Result<()> {
        let parts = token.split('.').filter(|part| part.len() >= SECRET_BYTES_MIN);
        let mut secrets = self.secrets.lock().ok().context("a row has panicked")?;
        secrets.extend(parts.map(str::to_owned));
        Ok(())
    }

    /// A socket of somebody with this role.
    pub(super) async fn socket(&self, user: &str, role: &str) -> Result<RawSocket> {
        let token = self.sign(&good(user).claim("role", role))?;
        soon("a socket opens", SOON, self.server.socket(&token)).await
    }

    /// Checks that nobody has connected where nobody should.
    pub(super) fn check_quiet(&self) -> Result<()> {
        ensure!(self.trap.accept().is_err(), "the server has asked for a key");
        Ok(())
    }

    /// Checks that nothing secret stands in the log, and nothing that only rows say.
    pub(super) fn check_secrets(&self, log: &str) -> Result<()> {
        let secrets = self.secrets.lock().ok().context("a row has panicked")?;
        ensure!(secrets.len() > 100, "only {} parts of tokens", secrets.len());
        // Those parts that all tokens have in common say nothing.
        let common = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "typ": "JWT"}).to_string());
        for secret in secrets.iter().filter(|secret| **secret != common) {
            ensure!(!log.contains(secret.as_str()), "{secret} stands in the log");
        }
        let told = log.lines().find(|line| line.contains("canary"));
        ensure!(told.is_none(), "{told:?}");
        Ok(())
    }
}

/// A token that the server takes.
pub(super) fn good(user: &str) -> Token {
    Token::of(user).claim("iss", ISSUER).claim("aud", AUDIENCE).claim("jti", "canary-id")
}

/// The public key as a file has it (RFC 8410, section 4).
pub(super) fn public_pem() -> String {
    let lines = STANDARD.encode(public_der());
    format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")
}

pub(super) fn public_der() -> Vec<u8> {
    let head = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    [&head[..], &PUBLIC_KEY].concat()
}
