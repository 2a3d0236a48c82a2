// Small texts: durations, numbers, names. Pure.

/** 65000 → '1:05', 3671000 → '1:01:11'. */
export function duration(ms) {
  const all = Math.max(0, Math.floor(ms / 1000));
  const two = (value) => String(value).padStart(2, '0');
  const hours = Math.floor(all / 3600);
  const minutes = Math.floor(all / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
}

/**
 * What to dial for what was typed: a number without its visual separators, a user name, or a SIP address.
 * Null if it cannot be dialled.
 */
export function dialable(typed) {
  const text = typed.trim().replace(/^sips?:/i, '');
  if (/^[+*#]?[\d*#\s().\/-]+$/.test(text)) {
    const number = text.replace(/[\s().\/-]/g, '');
    return number === '' || number.length > 40 ? null : number;
  }
  return /^[\w.+~!*'-]{1,64}(@[\w.:[\]-]{1,255})?$/.test(text) ? text : null;
}

/** 'Desk phone (201)'; the name alone if the number is in it, the number alone if there is no name. */
export function party(number, name) {
  if (!name) return number;
  return name.includes(number) ? name : `${name} (${number})`;
}
