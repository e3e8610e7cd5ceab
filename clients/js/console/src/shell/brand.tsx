/** The mark: a pen over a line. */
export function Brand() {
  return (
    <span className="brand">
      <svg className="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" />
        <path d="M21.8 6.9a2.3 2.3 0 0 1 3.3 3.3L12.6 22.7l-5 1.7 1.7-5z" />
        <path d="M16 25.5h9" />
      </svg>
      <span className="brand-name">Penholder</span>
    </span>
  );
}
