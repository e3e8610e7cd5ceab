export function Footer() {
  return (
    <footer className="footer">
      <a href="/docs">HTTP reference</a>
      <a href="/openapi.json">OpenAPI</a>
      <a href="/metrics">Metrics</a>
      <a href="/healthz">Health</a>
    </footer>
  );
}
