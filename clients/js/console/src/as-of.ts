/** `as of 14:02`, with the day where that was not today. */
export function asOfWords(at: number, now = Date.now()): string {
  const day = new Date(at);
  const isToday = day.toDateString() === new Date(now).toDateString();
  const time = { hour: "2-digit", minute: "2-digit" } as const;
  if (isToday) return `as of ${day.toLocaleTimeString([], time)}`;
  return `as of ${day.toLocaleString([], { month: "short", day: "numeric", ...time })}`;
}
