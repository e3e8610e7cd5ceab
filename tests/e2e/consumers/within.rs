//! Consumers within the program that the server is built into.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use metrics_exporter_prometheus::PrometheusBuilder;
use penholder_desk::EventFilter;
use penholder_gateway::config::{self, Overrides};
use penholder_gateway::data_dir::DataDirectory;
use penholder_gateway::{App, ConsumedEvent, RunMode, clock, http, serve};
use penholder_stores::Directory;
use penholder_tests::{Request, SECRET, exchange, until};
use serde_json::{Value, json};

use super::receiver::SOON;

/// What a function was called with.
type Call = (String, ConsumedEvent, Option<String>);

#[tokio::test(flavor = "multi_thread")]
async fn function_of_the_program_gets_events_again_until_it_has_them() -> Result<()> {
    let place = Directory::new()?;
    let data = DataDirectory::open(place.path(), clock::wall().0)?;
    let variables = [("PENHOLDER__AUTH__HS256_SECRET", SECRET)];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = config::load(None, variables.into_iter(), Overrides::default())?;
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let app = App::start(config, RunMode::Development, data, metrics, None).await?;
    let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
    let heard = Arc::clone(&calls);
    let filter = EventFilter::parse(vec!["ticket.*".to_owned()])?;
    let handler = move |name: Arc<str>, event, trace| {
        let count = {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.push((name.to_string(), event, trace));
            heard.len()
        };
        async move { if count == 1 { panic!("not today") } else { Ok(()) } }
    };
    app.consume("mailer", filter, handler).await?;
    let listener = serve::listen(([127, 0, 0, 1], 0).into())?;
    let port = listener.local_addr()?.port();
    let serving = tokio::spawn(serve::serve(listener, http::router(app.clone()), app.clone()));

    let body = json!({ "title": "t", "description": "It burns." });
    let request = Request::new("POST", "/v1/tickets").authorized("ApiKey dev").json(&body);
    let made = exchange(port, &request.to_bytes(port)).await?;
    let id = made.json()["id"].as_str().with_context(|| format!("{made}"))?.to_owned();
    let calls = until("it is called again", SOON, async || {
        let calls = calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Some(calls).filter(|calls| calls.len() == 2))
    })
    .await?;
    assert_eq!(calls[0], calls[1]);
    let (name, event, trace) = &calls[0];
    assert_eq!((name.as_str(), event.name.as_str()), ("mailer", "ticket.created"));
    let told: Value = serde_json::from_str(&event.json)?;
    assert_eq!((&told["id"], &told["target"]["id"]), (&json!(event.id), &json!(id)));
    let Some(trace) = trace else { bail!("no trace") };
    assert!(trace.starts_with("00-"), "{trace}");

    let request = Request::new("GET", "/v1/consumers").authorized("ApiKey dev");
    let listed = exchange(port, &request.to_bytes(port)).await?.json();
    assert_eq!(listed["data"][0]["destination"], json!({ "type": "in_process" }));
    app.begin_drain();
    serving.await?;
    Ok(())
}
