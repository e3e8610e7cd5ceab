//! Tokens that are not to be taken. Whoever shows one learns nothing but that.

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use penholder_tests::{Answer, Request, Token, soon};
use serde_json::{Value, json};

use super::scene::{AUDIENCE, ISSUER, SET_SEED, SOON, Scene, good, public_der, public_pem};
use super::{Does, Row};

/// Longest token that a request head has room for.
const HEAD_BYTES_MAX: usize = 4096;

/// A bad token, shown in each place where a token may stand.
pub(super) struct Bad {
    token: String,
}

impl Bad {
    pub(super) async fn run(&self, scene: &Scene, user: &str) -> Result<()> {
        if self.token.len() <= HEAD_BYTES_MAX {
            self.show(scene).await?;
        }
        let mut socket = scene.socket(user, "agent").await?;
        socket.join_with(&format!("doc:{user}"), &json!({"presence": false})).await?;
        let asked = json!({"token": self.token});
        let answer = socket.ask(&format!("doc:{user}"), "token", &asked).await?;
        let response = json!({"reason": "invalid_token", "code": "invalid_token",
            "message": answer["response"]["message"]});
        ensure!(answer == json!({"status": "error", "response": response}), "{answer}");
        ensure!(!answer.to_string().contains("canary"), "{answer}");
        Ok(())
    }

    /// Shows it in the heads of requests: the answer is that to any token that is none.
    async fn show(&self, scene: &Scene) -> Result<()> {
        let offered = format!("base64url.bearer.phx.{}", STANDARD_NO_PAD.encode(&self.token));
        let mut handshakes = vec![
            Request::websocket(&in_query(&self.token)),
            Request::websocket(SOCKET).header("sec-websocket-protocol", &offered),
        ];
        let mut requests = Vec::new();
        if self.token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let bearer = format!("Bearer {}", self.token);
            handshakes.push(Request::websocket(SOCKET).authorized(&bearer));
            requests.push(Request::new("GET", "/v1/topics").authorized(&bearer));
        }
        let none = ask(scene, Request::websocket(&in_query("none"))).await?;
        ensure!(none.status == 401, "{none}");
        for request in handshakes {
            check_same(&ask(scene, request).await?, &none)?;
        }
        let none = Request::new("GET", "/v1/topics").authorized("Bearer none");
        let none = ask(scene, none).await?;
        ensure!((none.status, &none.json()["code"]) == (401, &json!("invalid_token")), "{none}");
        for request in requests {
            check_same(&ask(scene, request).await?, &none)?;
        }
        Ok(())
    }
}

const SOCKET: &str = "/socket/websocket?vsn=2.0.0";

fn in_query(token: &str) -> String {
    let encoded: String = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    // What is not encoded takes a third of the room.
    let is_plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    format!("{SOCKET}&token={}", if is_plain { token } else { &encoded })
}

async fn ask(scene: &Scene, request: Request) -> Result<Answer> {
    soon("an answer", SOON, scene.server.ask(request)).await
}

fn check_same(answer: &Answer, none: &Answer) -> Result<()> {
    ensure!(answer.to_string() == none.to_string(), "{answer}, not {none}");
    let names = |answer: &Answer| answer.header_names().collect::<Vec<_>>().join(" ");
    ensure!(names(answer) == names(none), "{}, not {}", names(answer), names(none));
    Ok(())
}

pub(super) fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, token) in
        [keys(scene)?, headers(), times(), parties(), subjects(), claims()].concat()
    {
        rows.push((name.to_owned(), scene.sign(&token)?));
    }
    rows.extend(shapes(&scene.sign(&good("eve"))?, &scene.sign(&good("mallory"))?));
    let row = |(name, token): (String, String)| {
        scene.keep_secret(&token)?;
        Ok(Row { name: format!("token: {name}"), does: Does::Token(Bad { token }) })
    };
    rows.into_iter().map(row).collect()
}

type Named = (&'static str, Token);

fn eve() -> Token {
    good("eve")
}

/// Signed by somebody else, or by somebody who has told the server how to check it.
fn keys(scene: &Scene) -> Result<Vec<Named>> {
    let named = |kid: &str| {
        let header = json!({"alg": "EdDSA", "kid": kid}).to_string();
        eve().header(&header).ed25519(SET_SEED)
    };
    let own = [7; 32];
    let embedded = json!({"kty": "OKP", "crv": "Ed25519",
        "x": "6kqsH0I-5iV-2m2UV6RVn6XeMQmmhyDBBAxjJvkKVHw"});
    let secret = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode("canary secret of nobody")});
    let with = |more: Value| {
        let mut header = json!({"alg": "EdDSA"});
        header.as_object_mut().into_iter().for_each(|header| {
            header.extend(more.as_object().cloned().unwrap_or_default());
        });
        header.to_string()
    };
    let pem = public_pem();
    Ok(vec![
        ("another secret", eve().secret("another secret, 32 bytes or more")),
        ("an empty secret", eve().secret("")),
        ("the public key as the secret, as its file has it", eve().secret(pem.as_str())),
        ("the public key as the secret, trimmed", eve().secret(pem.trim())),
        ("the public key as the secret, DER", eve().secret(public_der())),
        ("the public key as the secret, bare", eve().secret(&public_der()[12..])),
        (
            "the public key as the secret, under another name",
            eve().header(r#"{"alg":"HS512"}"#).secret(pem.as_str()),
        ),
        ("a key of nobody", eve().header(&with(json!({}))).ed25519(own)),
        ("a key in its header", eve().header(&with(json!({"jwk": embedded}))).ed25519(own)),
        (
            "a secret in its header",
            eve()
                .header(&json!({"alg": "HS256", "jwk": secret}).to_string())
                .secret("canary secret of nobody"),
        ),
        ("an address of keys", eve().header(&with(json!({"jku": scene.trap_url()?}))).ed25519(own)),
        (
            "an address of a certificate",
            eve().header(&with(json!({"x5u": scene.trap_url()?}))).ed25519(own),
        ),
        ("kid that is a path", named("../../../../etc/passwd")),
        (
            "kid that is an empty file",
            eve().header(r#"{"alg":"HS256","kid":"/dev/null"}"#).secret(""),
        ),
        (
            "kid that is the file of the public key",
            eve()
                .header(&json!({"alg": "HS256", "kid": scene.key_file()}).to_string())
                .secret(pem.as_str()),
        ),
        ("kid that is an address", named(&scene.trap_url()?)),
        ("kid with a quote", named("first' or '1'='1")),
        ("kid with double quotes", named("\"first\"")),
        ("kid with a NUL", named("first\0")),
        ("kid of another case", named("First")),
        ("kid that is empty", named("")),
        ("kid that is a canary on a line of its own", named("\ncanary\n")),
    ])
}

fn headers() -> Vec<Named> {
    let with = |header: &str| eve().header(header);
    vec![
        ("alg none", with(r#"{"alg":"none"}"#)),
        ("alg None", with(r#"{"alg":"None","typ":"JWT"}"#)),
        ("alg of another size", with(r#"{"alg":"HS384"}"#)),
        ("alg of a public key", with(r#"{"alg":"RS256"}"#)),
        ("alg of the configured public key", with(r#"{"alg":"EdDSA"}"#)),
        ("alg of nobody", with(r#"{"alg":"canary"}"#)),
        ("alg on two lines", with("{\"alg\":\"\\ncanary \\u001b[31m\"}")),
        ("alg absent", with(r#"{"typ":"JWT"}"#)),
        ("alg null", with(r#"{"alg":null}"#)),
        ("alg as a list", with(r#"{"alg":["HS256"]}"#)),
        ("alg twice", with(r#"{"alg":"HS256","alg":"none"}"#)),
        ("alg twice, the other way", with(r#"{"alg":"none","alg":"HS256"}"#)),
        ("an extension that must be understood", with(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#)),
        ("crit of nothing", with(r#"{"alg":"HS256","crit":[]}"#)),
        ("header that is a list", with("[]")),
        ("header that is no JSON", with("canary")),
        ("header of nothing", with("")),
    ]
}

fn times() -> Vec<Named> {
    let exp = |value: Value| eve().claim("exp", value);
    let soon = Token::seconds(3600);
    vec![
        ("exp absent", eve().without("exp")),
        ("exp as a string", exp(json!(soon.to_string()))),
        ("exp null", exp(Value::Null)),
        ("exp true", exp(json!(true))),
        ("exp a list", exp(json!([soon]))),
        ("exp a minute ago", exp(json!(Token::seconds(-60)))),
        ("exp 0", exp(json!(0))),
        ("exp negative", exp(json!(-soon))),
        ("exp too large for a number", eve().without("exp").with_text(r#","exp":1e999"#)),
        ("exp twice", eve().with_text(r#","exp":9999999999"#)),
        ("nbf ahead", eve().claim("nbf", soon)),
        ("nbf as a string", eve().claim("nbf", "0")),
        ("nbf twice", eve().with_text(r#","nbf":0,"nbf":0"#)),
        ("iat as a string", eve().claim("iat", "canary")),
        ("iat twice", eve().with_text(r#","iat":0,"iat":9999999999"#)),
    ]
}

fn parties() -> Vec<Named> {
    let of = |name: &str, value: Value| eve().claim(name, value);
    vec![
        ("iss absent", eve().without("iss")),
        ("iss of another", of("iss", json!("https://canary.example"))),
        ("iss that begins as ours", of("iss", json!(format!("{ISSUER}.evil.example")))),
        ("iss of another case", of("iss", json!(ISSUER.to_uppercase()))),
        ("iss empty", of("iss", json!(""))),
        ("iss null", of("iss", Value::Null)),
        ("iss a number", of("iss", json!(7))),
        ("iss a list with ours", of("iss", json!([ISSUER, "canary"]))),
        ("iss twice", eve().with_text(&format!(r#","iss":"{ISSUER}""#))),
        ("aud absent", eve().without("aud")),
        ("aud of another", of("aud", json!("canary"))),
        ("aud empty", of("aud", json!(""))),
        ("aud of nobody", of("aud", json!([]))),
        ("aud null", of("aud", Value::Null)),
        ("aud a list of others", of("aud", json!(["canary", "Penholder"]))),
        ("aud an object", of("aud", json!({"penholder": true}))),
        ("aud twice", eve().with_text(&format!(r#","aud":"{AUDIENCE}""#))),
    ]
}

fn subjects() -> Vec<Named> {
    let sub = |value: Value| eve().claim("sub", value);
    vec![
        ("sub absent", eve().without("sub")),
        ("sub empty", sub(json!(""))),
        ("sub null", sub(Value::Null)),
        ("sub a number", sub(json!(7))),
        ("sub a list", sub(json!(["eve"]))),
        ("sub of 257 bytes", sub(json!("x".repeat(257)))),
        ("sub of 2 KiB", sub(json!("x".repeat(2 * 1024)))),
        ("sub of 10 KiB", sub(json!("x".repeat(10 * 1024)))),
        ("sub with a line break", sub(json!("a\ncanary"))),
        ("sub with a NUL", sub(json!("a\0"))),
        ("sub of JavaScript's own", sub(json!("__proto__"))),
        ("sub constructor", sub(json!("constructor"))),
        ("sub twice", eve().with_text(r#","sub":"admin""#)),
        ("sub twice, escaped", eve().with_text(r#","\u0073ub":"admin""#)),
    ]
}

fn claims() -> Vec<Named> {
    let of = |name: &str, value: Value| eve().claim(name, value);
    vec![
        ("role of nobody", of("role", json!("canary"))),
        ("role a list", of("role", json!(["admin"]))),
        ("role twice", eve().with_text(r#","role":"admin""#)),
        ("kind of nothing", of("kind", json!("canary"))),
        ("topics as a list", of("topics", json!(["doc:*"]))),
        ("topics by a pattern that is none", of("topics", json!({"doc:*:canary": ["view"]}))),
        ("topics with a capability of nobody", of("topics", json!({"doc:*": ["canary"]}))),
        ("topics twice", eve().with_text(r#","topics":{},"topics":{"*":["manage"]}"#)),
        ("jti a number", of("jti", json!(7))),
        ("name an object", of("name", json!({"canary": 1}))),
        ("half a surrogate", eve().with_text(r#","name":"\ud800""#)),
        ("claims that are a list", eve().text("[]")),
        ("claims that are text", eve().text("\"canary\"")),
        ("claims that are no JSON", eve().text("{canary")),
        ("claims and something more", eve().text("{}{}")),
        ("claims of nothing", eve().text("")),
    ]
}

/// Good tokens, taken apart.
fn shapes(token: &str, other: &str) -> Vec<(String, String)> {
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { return Vec::new() };
    let of_other = other.rsplit('.').next().unwrap_or_default();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let changed = if signature.starts_with('A') { "B" } else { "A" };
    [
        ("empty", String::new()),
        ("dots", "..".to_owned()),
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{token}.canary")),
        ("five parts", format!("{header}.{header}.{claims}.{claims}.{signature}")),
        ("no signature", format!("{header}.{claims}.")),
        ("alg none, no signature", format!("{none}.{claims}.")),
        ("alg none, two parts", format!("{none}.{claims}")),
        ("another's signature", format!("{header}.{claims}.{of_other}")),
        ("a signature cut short", format!("{header}.{claims}.{}", &signature[..40])),
        ("a signature that goes on", format!("{token}AAAA")),
        ("a changed signature", format!("{header}.{claims}.{changed}{}", &signature[1..])),
        ("parts in another order", format!("{claims}.{header}.{signature}")),
        ("padding", format!("{header}==.{claims}.{signature}")),
        ("a space in it", format!("{header}. {claims}.{signature}")),
        ("a line break in it", format!("{header}.{claims}.\n{signature}")),
        ("a NUL behind it", format!("{token}\0")),
        ("bytes beyond ASCII", format!("{token}\u{e9}canary")),
        ("signed, then quoted", format!("\"{token}\"")),
    ]
    .map(|(name, token)| (name.to_owned(), token))
    .into()
}
