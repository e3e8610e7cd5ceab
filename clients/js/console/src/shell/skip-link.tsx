export function SkipLink() {
  return (
    <a className="skip-link" href="#topic">
      Skip to the topic
    </a>
  );
}
