/** A lock: what only the team sees. */
export function NoteIcon() {
  return (
    <svg className="note-icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d="M6 9.5V7a4 4 0 0 1 8 0v2.5M5 9.5h10v7H5z" />
    </svg>
  );
}
