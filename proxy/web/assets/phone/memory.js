// What the page remembers. Credentials and identity live in sessionStorage, so they end with the tab; only the
// preferences of the device (volume, key tones, devices) stay. A browser may refuse both: then nothing is remembered.

const USER = 'viaduct.user';
const INSTANCE = 'viaduct.instance';
const PREFERENCES = 'viaduct.preferences';

/** The user that this tab had last: { name, password? }, or null. The password is kept only for a sign-in by hand. */
export function lastUser() {
  return read('sessionStorage', USER);
}

export function rememberUser(user) {
  write('sessionStorage', USER, user);
}

export function forgetUser() {
  write('sessionStorage', USER, null);
}

/**
 * The instance id (RFC 5626 section 4.1) of this page: the same after a reload, so that the registration is replaced,
 * and a new one in a duplicated tab, which gets a copy of the storage.
 */
export function instanceId() {
  const reloaded = performance.getEntriesByType('navigation')[0]?.type === 'reload';
  const kept = reloaded ? read('sessionStorage', INSTANCE) : null;
  const id = kept ?? uuid();
  write('sessionStorage', INSTANCE, id);
  return id;
}

/** { volume: 0 to 1, keyTones: boolean, microphone: id | null, speaker: id | null } */
export function preferences() {
  return { volume: 1, keyTones: false, microphone: null, speaker: null, ...read('localStorage', PREFERENCES) };
}

export function rememberPreferences(values) {
  write('localStorage', PREFERENCES, values);
}

/** A version 4 UUID; `crypto.randomUUID` is missing on insecure pages. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function read(storage, key) {
  try {
    return JSON.parse(window[storage].getItem(key));
  } catch {
    return null;
  }
}

function write(storage, key, value) {
  try {
    if (value === null) window[storage].removeItem(key);
    else window[storage].setItem(key, JSON.stringify(value));
  } catch {
    // Storage is refused or full: the page works without a memory.
  }
}
