//! The command line: configuration errors, tokens, what the server refuses to do.

use std::fs;

use anyhow::{Context, Result};
use penholder_tests::{Finished, Options, Request, Server, command};
use serde_json::json;

/// A directory in the target's place for temporary files, removed when dropped.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("penholder-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        path.into_os_string().into_string().ok().context("a path that is no text")
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Finished> {
    let scratch = Scratch::new("run")?;
    command(&[&["run", "--data", scratch.path()], arguments].concat(), variables)
}

#[test]
fn version_and_help_are_told() -> Result<()> {
    let version = command(&["--version"], &[])?;
    assert_eq!(version.code, Some(0));
    assert!(version.stdout.starts_with("penholder "), "{version:?}");
    for arguments in
        [&["--help"][..], &["run", "--help"], &["token", "--help"], &["config", "--help"]]
    {
        let help = command(arguments, &[])?;
        assert_eq!(help.code, Some(0), "{arguments:?}");
        assert!(help.stdout.contains("Usage:"), "{arguments:?}");
    }
    Ok(())
}

#[test]
fn a_faulty_variable_stops_the_start_and_is_named_with_its_range() -> Result<()> {
    for (variable, value, said) in [
        ("PENHOLDER__LIMITS__TOPICS_PER_SOCKET", "0", "1 to 10000"),
        ("PENHOLDER__LIMITS__TOPICS_PER_SOCKET", "10001", "1 to 10000"),
        ("PENHOLDER__LIMITS__TOPICS_PER_SOCKET", "many", "1 to 10000"),
        ("PENHOLDER__PRESENCE__GRACE", "11m", "from 0ms to 10m"),
        ("PENHOLDER__PRESENCE__GRACE", "ten", "from 0ms to 10m"),
        ("PENHOLDER__LIMITS__MESSAGE_MAX", "1", "1KiB to 16MiB"),
        ("PENHOLDER__PRESENCE__SESSION_POLICY", "first", "earliest_session"),
        ("PENHOLDER__SERVER__LISTEN", "here", "address"),
        ("PENHOLDER__AUTH__HS256_SECRET", "short", "32 bytes"),
        ("PENHOLDER__PRESENCE__NOSUCH", "1", "nosuch"),
        ("PENHOLDER__NOSUCH__KEY", "1", "nosuch"),
        ("PENHOLDER__SERVER__ORIGINS", r#"["desk.example.org"]"#, "scheme://host"),
        ("PENHOLDER__SERVER__ORIGINS", r#"["https://fine.example", "//desk"]"#, "scheme://host"),
        ("PENHOLDER__SERVER__ORIGINS", r#"["https://desk.example.org/path"]"#, "scheme://host"),
        ("PENHOLDER__SERVER__PUBLIC_URL", "nonsense", "https://"),
        ("PENHOLDER__SERVER__PUBLIC_URL", "ftp://pen.example.org", "https://"),
    ] {
        let finished = run(&["--dev"], &[(variable, value)])?;
        assert_eq!(finished.code, Some(2), "{variable}={value}: {finished:?}");
        let message = &finished.stderr;
        let key = variable.rsplit("__").next().unwrap_or_default().to_lowercase();
        assert!(message.to_lowercase().contains(&key), "{variable}={value}: {message}");
        assert!(message.contains(said), "{variable}={value} says {said}: {message}");
        assert_eq!(finished.stdout, "");
    }
    Ok(())
}

#[test]
fn options_of_topics_that_nobody_can_join_stop_the_start() -> Result<()> {
    let scratch = Scratch::new("namespaces")?;
    for (name, code) in [
        ("system", Some(2)),
        ("phoenix", Some(2)),
        ("\"a b\"", Some(2)),
        ("\"a:b\"", Some(2)),
        ("\"\"", Some(2)),
        ("tickets", Some(0)),
        ("doc", Some(0)),
    ] {
        let text = format!("[namespace.{name}.presence]\ngrace = \"1s\"\n");
        let file = scratch.file("penholder.toml", &text)?;
        let checked = command(&["config", "--check", &file], &[])?;
        assert_eq!(checked.code, code, "{name}: {checked:?}");
        if code == Some(2) {
            assert!(checked.stderr.contains("namespace"), "{name}: {checked:?}");
            let started = run(&["--dev", "--config", &file], &[])?;
            assert_eq!(started.code, code, "{name}: {started:?}");
            assert!(started.stderr.contains("namespace"), "{name}: {started:?}");
        }
    }
    let variable = ("PENHOLDER__NAMESPACE__SYSTEM__PRESENCE__GRACE", "1s");
    let started = run(&["--dev"], &[variable])?;
    assert_eq!(started.code, Some(2), "{started:?}");
    assert!(started.stderr.contains("namespace"), "{started:?}");
    Ok(())
}

#[test]
fn a_faulty_file_stops_the_start_with_file_line_and_key() -> Result<()> {
    let scratch = Scratch::new("faulty")?;
    for (text, line, said) in [
        ("[server]\ndrain = \"11m\"\n", "2", "drain"),
        ("[server]\n\nnosuch = 1\n", "3", "nosuch"),
        ("[nosuch]\n", "1", "nosuch"),
        ("[limits]\nmessages_burst = \"x\"\n", "2", "messages_burst"),
        ("[server\n", "1", "server"),
        ("[namespace.doc.presence]\nfull_max = 0\n", "2", "full_max"),
    ] {
        let file = scratch.file("penholder.toml", text)?;
        let finished = run(&["--dev", "--config", &file], &[])?;
        assert_eq!(finished.code, Some(2), "{text}: {finished:?}");
        let message = &finished.stderr;
        assert!(message.contains(&file), "{message}");
        assert!(message.contains(&format!("line {line}")), "{text} names the line: {message}");
        assert!(message.contains(said), "{message}");
    }
    let missing = run(&["--dev", "--config", "/nonexistent/penholder.toml"], &[])?;
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("/nonexistent/penholder.toml"), "{missing:?}");
    Ok(())
}

#[test]
fn a_secret_is_not_printed_with_its_fault() -> Result<()> {
    let finished = run(&["--dev"], &[("PENHOLDER__AUTH__HS256_SECRET", "canary-short")])?;
    assert_eq!(finished.code, Some(2));
    assert!(!finished.stderr.contains("canary"), "{finished:?}");
    Ok(())
}

#[test]
fn the_printed_default_is_in_order() -> Result<()> {
    let printed = command(&["config", "--print-default"], &[])?;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    for section in ["[server]", "[auth]", "[presence]", "[limits]"] {
        assert!(printed.stdout.contains(section), "{section}");
    }
    let scratch = Scratch::new("default")?;
    let file = scratch.file("penholder.toml", &printed.stdout)?;
    let checked = command(&["config", "--check", &file], &[])?;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let spoilt =
        scratch.file("spoilt.toml", &printed.stdout.replace("grace = \"10s\"", "grace = 1"))?;
    assert_eq!(command(&["config", "--check", &spoilt], &[])?.code, Some(2));
    Ok(())
}

#[test]
fn development_mode_stays_on_loopback() -> Result<()> {
    for arguments in [&["--dev", "--listen", "0.0.0.0:0"][..], &["--listen", "0.0.0.0:0"]] {
        let finished = run(arguments, &[])?;
        assert_eq!(finished.code, Some(2), "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains("loopback"), "{finished:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_data_directory_serves_one_server() -> Result<()> {
    let server = Server::start(Options::default()).await?;
    let second = Server::start(Options::default().data_of(&server)).await;
    let refusal = second.err().context("a second server starts on the same data")?.to_string();
    assert!(refusal.contains("in use"), "{refusal}");
    assert_eq!(server.get("/readyz").await?.status, 200, "the first is untouched");
    Ok(())
}

#[tokio::test]
async fn a_token_of_the_command_line_signs_in() -> Result<()> {
    let server = Server::start(Options::default().production()).await?;
    let token = crate::people::signed(&["--role", "agent", "--name", "Eve", "--kind", "ai"])?;
    let mut eve = server.socket(&token).await?;
    assert_eq!(eve.join("doc:1").await?["key"], "eve");
    let state = eve.event("presence_state").await?;
    let user = &state["eve"]["metas"][0]["user"];
    let card = json!({"id": "eve", "name": "Eve", "role": "agent", "kind": "ai", "avatar": null});
    assert_eq!(*user, card);
    for bad in
        [&["--role", "emperor"][..], &["--ttl", "0"], &["--topic", "doc:*=own"], &["--topic", "x"]]
    {
        let arguments = [&["token", "--user", "eve"], bad].concat();
        let variables = [("PENHOLDER__AUTH__HS256_SECRET", penholder_tests::SECRET)];
        assert_eq!(command(&arguments, &variables)?.code, Some(2), "{bad:?}");
    }
    Ok(())
}

#[tokio::test]
async fn in_production_there_are_no_gifts() -> Result<()> {
    let server = Server::start(Options::default().production()).await?;
    let gift = server.ask(Request::new("GET", "/dev/token?user=eve")).await?;
    assert_eq!(gift.status, 404, "{gift}");
    assert_eq!(server.get("/v1/topics").await?.status, 401, "the key dev is none");
    Ok(())
}

#[tokio::test]
async fn keys_of_the_configuration_have_their_scopes() -> Result<()> {
    // The SHA-256 of "reader" and "writer".
    let keys = r#"[
        { id = "r", sha256 = "3d0941964aa3ebdcb00ccef58b1bb399f9f898465e9886d5aec7f31090a0fb30", scopes = ["presence:read"] },
        { id = "w", sha256 = "b93006774cbdd4b299389a03ac3d88c3a76b460d538795bc12718011a909fba5", scopes = ["presence:write"] },
    ]"#;
    let keys = keys.replace('\n', " ");
    let server = Server::start(Options::default().production().set("auth.api_keys", &keys)).await?;
    let ask = async |key: &str, method: &str, path: &str| -> Result<u16> {
        let request = Request::new(method, path).authorized(&format!("ApiKey {key}"));
        let request = request.json(&json!({"event": "run"}));
        Ok(server.ask(request).await?.status)
    };
    assert_eq!(ask("reader", "GET", "/v1/topics/doc:1/presence").await?, 200);
    assert_eq!(ask("reader", "POST", "/v1/topics/doc:1/broadcast").await?, 403);
    assert_eq!(ask("writer", "GET", "/v1/topics/doc:1/presence").await?, 403);
    assert_eq!(ask("writer", "POST", "/v1/topics/doc:1/broadcast").await?, 200);
    assert_eq!(ask("nobody", "GET", "/v1/topics/doc:1/presence").await?, 401);
    Ok(())
}
