import { createContext, createElement, type ReactNode, useContext } from "react";
import type { PenholderClient } from "./client.ts";

const ClientContext = createContext<PenholderClient | null>(null);

/** Makes a client available to the hooks below it. */
export function PenholderProvider(props: { client: PenholderClient; children?: ReactNode }) {
  return createElement(ClientContext.Provider, { value: props.client }, props.children);
}

/** The client of the nearest provider. */
export function usePenholder(): PenholderClient {
  const client = useContext(ClientContext);
  if (client === null) throw new Error("Penholder's hooks need a <PenholderProvider> above them.");
  return client;
}
