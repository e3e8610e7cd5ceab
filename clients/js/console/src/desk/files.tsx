import type { TicketAttachment } from "../../../src/index.ts";
import { fileSize } from "./words.ts";

/** Files that lie elsewhere. Only addresses of the web become links: others could run in this page. */
export function Files({ files }: { files: readonly TicketAttachment[] | undefined }) {
  if (files === undefined || files.length === 0) return null;
  return (
    <ul className="files" aria-label="Attachments" data-testid="files">
      {files.map((file) => (
        <FileItem key={file.id} file={file} />
      ))}
    </ul>
  );
}

function FileItem({ file: { url, name, size } }: { file: TicketAttachment }) {
  const host = webHost(url);
  const about = [host ?? url, fileSize(size)].filter((part) => part !== null).join(" · ");
  return (
    <li className="file">
      <FileIcon />
      <span className="file-text">
        {host === null ? (
          <span className="file-name">{name}</span>
        ) : (
          <a className="file-name" href={url} target="_blank" rel="noopener noreferrer">
            {name}
          </a>
        )}
        <span className="muted small">{about}</span>
      </span>
    </li>
  );
}

/** The host of an `http` or `https` URL; null for any other. */
export function webHost(url: string): string | null {
  if (!/^https?:\/\//i.test(url)) return null;
  return URL.canParse(url) ? new URL(url).host : null;
}

/** A paper clip. */
export function FileIcon() {
  return (
    <svg className="file-icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d="M15.5 9.2 9.9 14.8a3.2 3.2 0 0 1-4.6-4.6l6-6a2.1 2.1 0 0 1 3 3l-5.9 5.9a1 1 0 0 1-1.5-1.4l5.2-5.2" />
    </svg>
  );
}
