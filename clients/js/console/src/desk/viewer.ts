import { createContext, useContext } from "react";
import { isStaff } from "../../../src/index.ts";
import type { Person } from "../people.ts";

/** Who looks at the desk. */
export interface Viewer {
  readonly person: Person;
  readonly isStaff: boolean;
}

const ViewerContext = createContext<Viewer | null>(null);
export const ViewerProvider = ViewerContext.Provider;

export function viewerOf(person: Person): Viewer {
  return { person, isStaff: isStaff(person.role) };
}

export function useViewer(): Viewer {
  const viewer = useContext(ViewerContext);
  if (viewer === null) throw new Error("There is nobody at the desk.");
  return viewer;
}
