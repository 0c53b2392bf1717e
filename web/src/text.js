// Numbers and times as people read them. Times are UTC, in microseconds since 1970.

export const number = (value) => (value ?? 0).toLocaleString("en-US");
export const many = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

export function day(us) {
  return us === null || us === undefined ? "" : new Date(us / 1000).toISOString().slice(0, 10);
}

export function clock(us, digits = 3) {
  if (us === null || us === undefined) return "";
  const whole = Math.floor(us / 1e6);
  const rest = String(us - whole * 1e6).padStart(6, "0");
  const base = new Date(whole * 1000).toISOString().slice(11, 19);
  return digits ? `${base}.${rest.slice(0, digits)}` : base;
}

export const moment = (us, digits = 3) =>
  us === null || us === undefined ? "" : `${day(us)} ${clock(us, digits)}`;

export function length(us) {
  const size = Math.abs(us);
  if (size < 1000) return `${Math.round(size)} µs`;
  if (size < 1e6) return `${Number((size / 1000).toPrecision(3))} ms`;
  if (size < 120e6) return `${Number((size / 1e6).toPrecision(3))} s`;
  const minutes = Math.floor(size / 60e6);
  const hours = Math.floor(minutes / 60);
  if (hours) return `${hours} h ${minutes % 60} min`;
  return `${minutes} min ${Math.round((size - minutes * 60e6) / 1e6)} s`;
}

export const since = (us) => (us === 0 ? "0" : `${us < 0 ? "−" : "+"}${length(us)}`);
export const share = (some, all) => (all ? `${Number(((100 * some) / all).toPrecision(3))} %` : "–");
export const short = (id) => (id ?? "").slice(0, 12);
