/**
 * React hooks. Each component holds the topic while it is mounted; components on the same topic
 * share one channel, and re-render only when what they read has changed.
 */
import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { ConnectionState } from "./connection.ts";
import { PenholderError } from "./errors.ts";
import { type PenView, penView } from "./pen.ts";
import { type EditPriority, priorityMessage } from "./priority.ts";
import type {
  PenAcquire,
  PenAcquireReply,
  PenAnswerWord,
  PenDraftReply,
  PenReply,
  PenRequestReply,
  PenTakeOverReply,
} from "./protocol.ts";
import { usePenholder } from "./provider.ts";
import type { SummaryRows } from "./summaries.ts";
import type { TopicSession } from "./topic-session.ts";
import {
  initialTopicState,
  type SessionUpdate,
  type TopicOptions,
  type TopicState,
  type TypingOptions,
  type Typist,
} from "./topic-state.ts";

export { PenholderProvider, usePenholder } from "./provider.ts";
export {
  type UseTicket,
  type UseTickets,
  useTicket,
  useTicketStats,
  useTickets,
} from "./tickets/react.ts";

/** How the connection stands. */
export function useConnection(): ConnectionState {
  const { connection } = usePenholder();
  return useSyncExternalStore(connection.subscribe, connection.getSnapshot, connection.getSnapshot);
}

/** What a component can do on a topic. Stable while topic and client stay. */
export interface TopicActions {
  update(update: SessionUpdate): void;
  typing(on: boolean, options?: TypingOptions): void;
  broadcast(event: string, payload: object, options?: { self?: boolean }): Promise<void>;
  /** Joins again after `refused` or `closed`. */
  rejoin(): void;
}

export interface UsePresence extends TopicState {
  readonly actions: TopicActions;
}

/**
 * Joins `topic` while the component is mounted: who is there, the own session, edit priority.
 * `options` may change at any time; another `mode` or `presence` begins a new session.
 */
export function usePresence(topic: string, options?: TopicOptions): UsePresence {
  const [state, actions] = useTopic(topic, options);
  return useMemo(() => ({ ...state, actions }), [state, actions]);
}

export interface UseEditPriority extends EditPriority {
  /** Why the viewer can't edit, in words for a banner; null when nobody is in the way. */
  readonly message: string | null;
}

/** Who may edit now. `thing` is the word for what is edited, in `message`. */
export function useEditPriority(topic: string, thing = "document"): UseEditPriority {
  const [{ priority }] = useTopic(topic);
  return useMemo(
    () => ({ ...priority, message: priorityMessage(priority, thing) }),
    [priority, thing],
  );
}

/** Who else is typing, and a function to call at each own key stroke. */
export function useTyping(topic: string): {
  readonly typing: readonly Typist[];
  readonly setTyping: (on: boolean, options?: TypingOptions) => void;
} {
  const [{ typing }, actions] = useTopic(topic);
  return useMemo(() => ({ typing, setTyping: actions.typing }), [typing, actions]);
}

/** What a component can do with the pen. Stable; each rejects with a `PenholderError`. */
export interface PenActions {
  acquire(how?: PenAcquire): Promise<PenAcquireReply>;
  release(): Promise<PenReply>;
  /** Asks the holder to give way, and waits. */
  request(reason?: string): Promise<PenRequestReply>;
  answer(answer: PenAnswerWord, how?: { to?: string; reason?: string }): Promise<PenReply>;
  takeOver(reason?: string): Promise<PenTakeOverReply>;
  /** Leaves a text in escrow, in place of an earlier one. */
  leaveDraft(draft: string): Promise<PenDraftReply>;
  fetchDraft(): Promise<PenDraftReply>;
}

export interface UsePen extends PenView {
  readonly actions: PenActions;
}

/** Who may write, for certain, and how to become or stop being that. */
export function usePen(topic: string): UsePen {
  const client = usePenholder();
  const [{ pen, session, key, events, mode, presence, priority }, , push] = useTopic(topic);
  const view = useMemo(
    () => penView({ pen, session, key, events, mode, presence, priority }),
    [pen, session, key, events, mode, presence, priority],
  );
  const actions = useMemo(() => penActions(push, () => client.peek(topic)), [push, client, topic]);
  return useMemo(() => ({ ...view, actions }), [view, actions]);
}

/** The fence is read when something is done, not when the component was rendered. */
function penActions(push: Push, now: () => TopicState | null): PenActions {
  const fence = () => now()?.pen?.fence ?? "0";
  const reasoned = (reason?: string) => (reason === undefined ? {} : { reason });
  return {
    acquire: (how = {}) => push("pen_acquire", how) as Promise<PenAcquireReply>,
    release: () => push("pen_release", { fence: fence() }) as Promise<PenReply>,
    request: (reason) => push("pen_request", reasoned(reason)) as Promise<PenRequestReply>,
    answer: (answer, how) =>
      push("pen_answer", { fence: fence(), answer, ...how }) as Promise<PenReply>,
    takeOver: (reason) => push("pen_take_over", reasoned(reason)) as Promise<PenTakeOverReply>,
    leaveDraft: (draft) => push("pen_draft", { draft }) as Promise<PenDraftReply>,
    fetchDraft: () => push("pen_draft", {}) as Promise<PenDraftReply>,
  };
}

/** Rows for a list of topics: how many are on each, and their first names. */
export function useSummaries(topics: readonly string[]): SummaryRows {
  const client = usePenholder();
  const list = useJsonStable(topics);
  useEffect(() => client.watchSummaries(list), [client, list]);
  const { subscribe, getSnapshot } = client.summaries;
  return useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
}

/** When the server was heard last, once it tells nothing more of the rows of `useSummaries`; null while it does. */
export function useSummariesAsOf(): number | null {
  const { subscribe, getSnapshot } = usePenholder().summariesAsOf;
  return useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
}

type Push = TopicSession["push"];

function useTopic(topic: string, given?: TopicOptions): [TopicState, TopicActions, Push] {
  const client = usePenholder();
  const options = useJsonStable(given);
  const session = useRef<TopicSession | null>(null);
  const latest = useRef(options);
  latest.current = options;
  // What a child's effect has told, which runs before the effects of the component that joins.
  const early = useRef<SessionUpdate>({});
  const before = useMemo(() => initialTopicState(topic), [topic]);

  // Joined by subscribing, so that rendering alone (which React may repeat or throw away) never is.
  const subscribe = useCallback(
    (listener: () => void) => {
      const held = client.topic(topic, latest.current);
      session.current = held;
      held.update(early.current);
      early.current = {};
      const stop = held.subscribe(listener);
      return () => {
        stop();
        held.leave();
        if (session.current === held) session.current = null;
      };
    },
    [client, topic],
  );
  const getSnapshot = useCallback(() => client.peek(topic) ?? before, [client, topic, before]);
  const state = useSyncExternalStore(subscribe, getSnapshot, () => before);

  useEffect(() => {
    session.current?.configure({ mode: undefined, presence: undefined, ...options });
  }, [options]);

  const actions = useMemo<TopicActions>(
    () => ({
      update: (update) => {
        if (session.current !== null) session.current.update(update);
        else early.current = { ...early.current, ...update };
      },
      typing: (on, options) => session.current?.typing(on, options),
      broadcast: (event, payload, opts) =>
        session.current?.broadcast(event, payload, opts) ?? unmounted(),
      rejoin: () => session.current?.rejoin(),
    }),
    [],
  );
  const push = useCallback<Push>(
    (event, payload) => session.current?.push(event, payload) ?? unmounted(),
    [],
  );
  return [state, actions, push];
}

function unmounted(): Promise<never> {
  return Promise.reject(new PenholderError("not_joined", "The component is not mounted."));
}

/** The same reference as long as the content, as JSON, is the same. */
function useJsonStable<T>(value: T): T {
  const json = JSON.stringify(value);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the content stands for the value
  return useMemo(() => value, [json]);
}
