// A strict reading of the presence stream: one state, then diffs that fit it exactly.

/**
 * Folds what one subscriber receives. Any frame that an honest server does not send is an error:
 * a diff before the state, a join of somebody present, a leave of somebody absent.
 */
export class Fold {
  /** Metas by `phx_ref`, by key; null before the first state. */
  #people = null;
  #seen = new Set();
  states = 0;
  diffs = 0;
  /** In a crowd the same meta may leave the part that is shown and come back to it. */
  inCrowd = false;

  state(payload) {
    this.states += 1;
    this.#people = new Map();
    for (const [key, { metas }] of Object.entries(payload)) this.#add(key, metas);
  }

  diff({ joins, leaves, ...more }) {
    this.diffs += 1;
    if (this.#people === null) throw new Error("a diff before the first state");
    if (Object.keys(more).length > 0) throw new Error(`a diff has ${Object.keys(more)}`);
    if (Object.keys(joins).length + Object.keys(leaves).length === 0) throw new Error("empty diff");
    for (const [key, { metas }] of Object.entries(joins)) {
      for (const { phx_ref } of metas) {
        if (!this.inCrowd && this.#seen.has(phx_ref))
          throw new Error(`${key} joins again as ${phx_ref}`);
      }
      this.#add(key, metas);
    }
    for (const [key, { metas }] of Object.entries(leaves)) this.#remove(key, metas);
  }

  /** A new join of the channel: nothing is known until its state. */
  forget() {
    this.#people = null;
  }

  /** The presences as text, equal exactly when the presences are; see `canonical`. */
  text() {
    if (this.#people === null) return "nothing yet";
    const entries = [...this.#people].map(([key, metas]) => ({ key, metas: [...metas.values()] }));
    return canonical(entries);
  }

  keys() {
    return this.#people === null ? [] : [...this.#people.keys()].sort();
  }

  metas(key) {
    return [...(this.#people?.get(key)?.values() ?? [])];
  }

  #add(key, metas) {
    if (metas.length === 0) throw new Error(`${key} joins with no meta`);
    const present = this.#people.get(key) ?? new Map();
    for (const meta of metas) {
      if (present.has(meta.phx_ref)) throw new Error(`${key} has ${meta.phx_ref} twice`);
      this.#seen.add(meta.phx_ref);
      present.set(meta.phx_ref, meta);
    }
    this.#people.set(key, present);
  }

  #remove(key, metas) {
    const present = this.#people.get(key);
    if (metas.length === 0) throw new Error(`${key} leaves with no meta`);
    for (const meta of metas) {
      const known = present?.get(meta.phx_ref);
      if (!known) throw new Error(`${key} leaves as ${meta.phx_ref} and is not there`);
      if (JSON.stringify(known) !== JSON.stringify(meta)) {
        throw new Error(`${key} leaves with another meta than it came with`);
      }
      present.delete(meta.phx_ref);
    }
    if (present.size === 0) this.#people.delete(key);
  }
}

/** One text per set of presences, whatever the order they are listed in. */
export function canonical(entries) {
  const byRef = (a, b) => (a.phx_ref < b.phx_ref ? -1 : 1);
  const lines = entries.map(({ key, metas }) => {
    const sorted = metas.toSorted(byRef).map((meta) => JSON.stringify(meta));
    return `${JSON.stringify(key)} ${sorted.join(" ")}`;
  });
  return lines.sort().join("\n");
}
