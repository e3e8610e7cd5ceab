//! The HTTP interface is what `/openapi.json` says of it: Schemathesis asks every operation, as described and not, and
//! judges each answer by its description.
//!
//! Needs `PENHOLDER_BIN`, the absolute path of the binary, and `PENHOLDER_SCHEMATHESIS`, that of Schemathesis;
//! `cargo xtask test api` installs and builds both and sets that.

use std::env;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use penholder_tests::{Options, Server};

/// What is asked is drawn from it.
const SEED: u32 = 6;

/// How many requests are drawn for an operation, beside those that its description gives.
const EXAMPLES_MAX: u32 = 10;

/// How long one answer may take. Unit: seconds.
const ANSWER_MAX_SECS: u32 = 30;

/// What is judged. That what does not fit the schema is refused is for tests/e2e, where it is known what fits.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";

#[tokio::test]
async fn every_answer_is_one_that_is_described() -> Result<()> {
    let server = Server::start(Options::default().any_request_rate()).await?;
    let program = env::var_os("PENHOLDER_SCHEMATHESIS");
    let mut schemathesis = Command::new(program.context("PENHOLDER_SCHEMATHESIS is not set")?);
    schemathesis
        .arg("run")
        .arg(format!("http://127.0.0.1:{}/openapi.json", server.port()))
        .args(["--header", "Authorization: ApiKey dev"])
        .args(["--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", &EXAMPLES_MAX.to_string()])
        .args(["--seed", &SEED.to_string()])
        .args(["--request-timeout", &ANSWER_MAX_SECS.to_string()])
        .args(["--generation-database", "none", "--warnings", "off", "--no-color"])
        // It would read a configuration of its own, and keep what it finds.
        .current_dir(server.data());
    let finished = tokio::task::spawn_blocking(move || schemathesis.output()).await?;
    let Output { status, stdout, stderr } = finished.context("Schemathesis does not start")?;
    let (told, wrong) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    ensure!(status.success(), "{told}\n{wrong}");
    // What asks nothing shows nothing.
    let count = told.lines().find_map(|line| line.trim().split_once(" generated, "));
    let count: u32 = count.with_context(|| format!("no count: {told}"))?.0.trim().parse()?;
    ensure!(count > 500, "only {count} requests: {told}");
    ensure!(server.get("/healthz").await?.status == 200, "the server is gone");
    Ok(())
}
