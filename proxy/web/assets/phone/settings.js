// What `GET /api/phone` and `GET /api/phone/people` say, checked before anything uses it. Pure.

/** The settings of the page. Throws a TypeError that names the first field that is wrong. */
export function readSettings(json) {
  const root = object(json, 'settings');
  const media = root.media == null ? {} : object(root.media, 'media');
  return {
    site: text(root.site, 'site'),
    sipPath: path(root.sip_path ?? '/sip', 'sip_path'),
    demo: root.demo === true,
    user: root.user == null ? null : readUser(root.user),
    dial: list(root.dial ?? [], 'dial').map((entry, index) => readDialEntry(entry, `dial[${index}]`)),
    udpPort: port(media.udp_port, 'media.udp_port'),
    deskPhone: root.desk_phone == null ? null : readDeskPhone(root.desk_phone),
    httpsPort: port(root.https_port, 'https_port'),
  };
}

/** The people of the directory: [{ user, label, registered }]. */
export function readPeople(json) {
  return list(json, 'people').map((entry, index) => {
    const person = object(entry, `people[${index}]`);
    const user = text(person.user, `people[${index}].user`);
    return { user, label: person.label ? String(person.label) : user, registered: person.registered === true };
  });
}

/**
 * The directory as shown: first what the settings list, then everybody else, without ourselves. `registered` is null
 * for entries that are no person (services, outside numbers).
 */
export function directory(dial, people, ownUser) {
  const byUser = new Map(people.map((person) => [person.user, person]));
  const listed = dial.map(({ number, label }) => ({
    number,
    label,
    registered: byUser.get(number)?.registered ?? null,
  }));
  const numbers = new Set(dial.map(({ number }) => number));
  const others = people
    .filter(({ user }) => !numbers.has(user))
    .map(({ user, label, registered }) => ({ number: user, label, registered }));
  return [...listed, ...others].filter(({ number }) => number !== ownUser);
}

function readUser(value) {
  const user = object(value, 'user');
  const name = text(user.name, 'user.name');
  return {
    name,
    password: text(user.password, 'user.password'),
    displayName: user.display_name ? String(user.display_name) : name,
  };
}

function readDialEntry(value, where) {
  const entry = object(value, where);
  const number = text(entry.number, `${where}.number`);
  return { number, label: entry.label ? String(entry.label) : number };
}

function readDeskPhone(value) {
  const phone = object(value, 'desk_phone');
  return {
    server: text(phone.server, 'desk_phone.server'),
    port: port(phone.port, 'desk_phone.port') ?? 5060,
    transport: text(phone.transport ?? 'UDP', 'desk_phone.transport'),
    user: text(phone.user, 'desk_phone.user'),
    password: text(phone.password, 'desk_phone.password'),
  };
}

function object(value, where) {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError(`${where} is not an object`);
  return value;
}

function list(value, where) {
  if (!Array.isArray(value)) throw new TypeError(`${where} is not a list`);
  return value;
}

function text(value, where) {
  if (typeof value !== 'string' || value === '') throw new TypeError(`${where} is not a text`);
  return value;
}

function path(value, where) {
  if (!text(value, where).startsWith('/')) throw new TypeError(`${where} does not begin with a slash`);
  return value;
}

function port(value, where) {
  if (value == null) return null;
  if (!Number.isInteger(value) || value < 1 || value > 65535) throw new TypeError(`${where} is not a port`);
  return value;
}
