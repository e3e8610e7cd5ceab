//! The console: the page that shows presence live, embedded in the binary.

use axum::extract::Path;
use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::error;

/// What `cargo xtask run` has built. Absent in a binary that was built without it.
#[derive(RustEmbed)]
#[folder = "../../clients/js/console/dist"]
#[allow_missing = true]
struct Files;

/// Nothing from elsewhere, nothing inline: a name or a document on the page can run no script.
const CONTENT_SECURITY_POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
);

/// `GET /`.
pub(super) async fn index() -> Response {
    let no_cache = (header::CACHE_CONTROL, "no-cache");
    match Files::get("index.html") {
        Some(file) => ([CONTENT_SECURITY_POLICY, no_cache], page(file)).into_response(),
        None => ([CONTENT_SECURITY_POLICY, no_cache], Html(MISSING)).into_response(),
    }
}

/// `GET /assets/{*path}`: names carry a digest of the content, so they can be kept for ever.
pub(super) async fn asset(Path(path): Path<String>) -> Response {
    let Some(file) = Files::get(&format!("assets/{path}")) else {
        return error::no_route().await.into_response();
    };
    let content_type = (header::CONTENT_TYPE, file.metadata.mimetype().to_owned());
    let keep = (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned());
    let no_sniff = (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
    ([content_type, keep, no_sniff], file.data.into_owned()).into_response()
}

fn page(file: EmbeddedFile) -> Html<Vec<u8>> {
    Html(file.data.into_owned())
}

const MISSING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<title>Penholder</title><h1>Penholder is running</h1>\
<p>This binary was built without the console. <code>cargo xtask run</code> builds it; everything \
else works without: see <a href=\"/docs\">the HTTP interface</a>.</p></html>";
