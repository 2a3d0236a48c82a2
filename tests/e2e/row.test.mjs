// Proxies in a row: two of ours, with nothing or a Kamailio between them, or with one between the second and its phone.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Baresip } from './lib/baresip.mjs';
import { closePhones, launch, openPhone } from './lib/browser.mjs';
import { Kamailio } from './lib/kamailio.mjs';
import { servePages } from './lib/pages.mjs';
import { Gateway, ROW } from './lib/viaduct.mjs';

const TONE = { page: 440, desk: 1500 };

/** Where the first gateway, the second and what is between them are. */
const [FIRST, SECOND, BETWEEN] = ROW;

/** What stays of a call over TCP: the connection between servers, for the next one (RFC 3261 section 18). */
const CONNECTION = ['connections', 'tasks'];

let browser;
let pages;

before(async () => {
  pages = await servePages();
  browser = await launch('chromium');
});

after(async () => {
  await browser?.close();
  await pages?.close();
});

/** A gateway whose users call the other one's domain, which is at `address`, and that takes calls from there. */
function gatewayOf(domain, address, other) {
  const change = (text) => `${text}foreign_domains: allow
dns: { hosts: { ${other.domain}: ["${other.address}"] } }
trunks: { other: { proxy: "sip:${other.domain}", trust_from: [${other.address}/32] } }
`;
  return Gateway.start({ domain, address, change });
}

/**
 * What a row of proxies must carry: calls from either end, changed and ended from either end. The browser is on the first
 * gateway, over WSS; `row` says who stands where, how each end dials the
 * other, and what `stays` when a call is over.
 */
function carries(row) {
  async function open(t) {
    const { first, desk } = row;
    desk.forget();
    return openPhone(t, browser, pages.url('jssip'), { gateway: first, server: first.wss, user: '300', frequency: TONE.page });
  }

  /** Both hold and resume, and hear each other afterwards. */
  async function talk(page) {
    const { desk } = row;
    await page.hears(TONE.desk, [TONE.page]);
    await desk.hears(TONE.page, [TONE.desk]);
    await page.run('hold');
    await page.noted('hold:local');
    await desk.hearsNone([TONE.page]);
    await page.run('resume');
    await desk.hears(TONE.page);
    desk.command('hold');
    await page.noted('hold:remote');
    desk.command('resume');
    await page.noted('unhold:remote');
    await page.hears(TONE.desk);
  }

  async function clean(page) {
    await closePhones([page]);
    for (const gateway of [row.first, row.second]) await gateway.expectClean({ except: row.stays });
  }

  async function fromPage(page) {
    const { desk } = row;
    await page.run('call', row.toDesk);
    await page.noted('ringing');
    desk.answer();
    await page.noted('confirmed');
    await talk(page);
  }

  async function fromDesk(page) {
    row.desk.dial(row.toPage);
    await page.noted('incoming');
    await page.run('answer');
    await page.noted('confirmed');
    await talk(page);
  }

  for (const [name, begin] of [['browser', fromPage], ['phone', fromDesk]]) {
    test(`a call of the ${name}, held by both, which the browser ends`, async (t) => {
      const page = await open(t);
      await begin(page);
      await page.run('hangup');
      await row.desk.saw('CALL_CLOSED');
      await clean(page);
    });

    test(`a call of the ${name}, held by both, which the phone ends`, async (t) => {
      const page = await open(t);
      await begin(page);
      row.desk.hangup();
      await page.noted('ended:remote');
      await clean(page);
    });
  }

  // RFC 3261 sections 9.2 and 16.10: hop by hop.
  test('a call that the browser gives up, and one that the phone refuses', async (t) => {
    const page = await open(t);
    const { desk } = row;
    await page.run('call', row.toDesk);
    await page.noted('ringing');
    await page.run('hangup');
    await desk.saw('CALL_CLOSED');
    await page.noted(/^failed:/);
    await page.run('forget');
    desk.forget();
    await page.run('call', row.toDesk);
    await page.noted('ringing');
    desk.hangup();
    await page.noted(/^failed:/);
    await clean(page);
  });
}

// RFC 3261 section 16, RFC 5658 section 5: four Record-Route values, two of either gateway.
for (const transport of ['udp', 'tcp']) {
  describe(`two gateways in a row, over ${transport.toUpperCase()}`, () => {
    const row = { stays: transport === 'tcp' ? CONNECTION : [] };

    before(async () => {
      row.first = await gatewayOf('first.test', FIRST, { domain: 'second.test', address: SECOND });
      row.second = await gatewayOf('second.test', SECOND, { domain: 'first.test', address: FIRST });
      const outbound = `;outbound="sip:${row.second.sip};transport=udp"`;
      row.desk = await Baresip.start({ user: '201', server: row.second.domain, frequency: TONE.desk, extra: outbound });
      row.toDesk = `sip:201@second.test:${row.second.ports.sip};transport=${transport}`;
      row.toPage = `sip:300@first.test:${row.first.ports.sip};transport=${transport}`;
      for (const gateway of [row.first, row.second]) await gateway.mark();
    });

    after(async () => {
      for (const one of [row.desk, row.second, row.first]) await one?.stop();
    });

    carries(row);
  });
}

// Kamailio in the middle speaks TCP with the first and UDP with the second, and so is in the route twice as well.
describe('a Kamailio between two gateways', () => {
  const row = { stays: CONNECTION };
  let kamailio;

  before(async () => {
    row.first = await gatewayOf('first.test', FIRST, { domain: 'second.test', address: BETWEEN });
    row.second = await gatewayOf('second.test', SECOND, { domain: 'first.test', address: BETWEEN });
    kamailio = await Kamailio.between({
      address: BETWEEN,
      sides: [
        { domain: 'first.test', server: row.first.sip, transport: 'tcp' },
        { domain: 'second.test', server: row.second.sip, transport: 'udp' },
      ],
    });
    const outbound = `;outbound="sip:${row.second.sip};transport=udp"`;
    row.desk = await Baresip.start({ user: '201', server: row.second.domain, frequency: TONE.desk, extra: outbound });
    row.toDesk = `sip:201@second.test:${kamailio.ports.sip};transport=tcp`;
    row.toPage = `sip:300@first.test:${kamailio.ports.sip}`;
    for (const gateway of [row.first, row.second]) await gateway.mark();
  });

  after(async () => {
    for (const one of [row.desk, kamailio, row.second, row.first]) await one?.stop();
  });

  carries(row);
});

// RFC 3327 section 5: the phone registers through a Kamailio, which it reaches over TCP, and calls come back that way.
describe('two gateways and a Kamailio in a row, with the phone behind it', () => {
  // With what three proxies add to it, a call of the phone outgrows a datagram (RFC 3261 section 18.1.1).
  const row = { stays: CONNECTION };
  let edge;

  before(async () => {
    row.first = await gatewayOf('first.test', FIRST, { domain: 'second.test', address: SECOND });
    row.second = await gatewayOf('second.test', SECOND, { domain: 'first.test', address: FIRST });
    edge = await Kamailio.edge({ proxy: row.second.sip });
    const outbound = `;outbound="sip:${edge.sip};transport=tcp"`;
    row.desk = await Baresip.start({ user: '201', server: row.second.domain, transport: 'tcp', frequency: TONE.desk, extra: outbound });
    row.toDesk = `sip:201@second.test:${row.second.ports.sip}`;
    row.toPage = `sip:300@first.test:${row.first.ports.sip}`;
    for (const gateway of [row.first, row.second]) await gateway.mark();
  });

  after(async () => {
    for (const one of [row.desk, edge, row.second, row.first]) await one?.stop();
  });

  test('the registration says by which way it came', async () => {
    const registrations = await row.second.ask('registrations');
    assert.match(JSON.stringify(registrations), new RegExp(edge.address.replaceAll('.', '\\.')));
  });

  carries(row);
});
