// Our proxy beside its famous peers: in front of rtpengine, and behind a Kamailio. Our relay behind Kamailio: kamailio.test.mjs.

import { after, before, describe, test } from 'node:test';
import { Baresip } from './lib/baresip.mjs';
import { closePhones, launch, openPhone } from './lib/browser.mjs';
import { Kamailio } from './lib/kamailio.mjs';
import { servePages } from './lib/pages.mjs';
import { Rtpengine } from './lib/rtpengine.mjs';
import { Gateway } from './lib/viaduct.mjs';

const TONE = { page: 440, other: 1000, desk: 1500 };

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

/** A browser calls a phone, both hear each other, the browser hangs up. */
async function bridge(t, { proxy, server, domain, desk }) {
  const page = await openPhone(t, browser, pages.url('jssip'), { gateway: proxy, server, user: '300', frequency: TONE.page });
  desk.forget();
  await page.talkTo(desk, '201', domain);
  await page.run('hangup');
  await desk.saw('CALL_CLOSED');
  await closePhones([page]);
}

describe('our proxy in front of rtpengine', () => {
  let rtpengine;
  let gateway;
  let desk;

  before(async () => {
    rtpengine = await Rtpengine.start();
    gateway = await Gateway.start({ relay: `ng:udp://127.0.0.1:${rtpengine.ports.ng}` });
    desk = await Baresip.start({ user: '201', server: gateway.sip, frequency: TONE.desk });
    await gateway.mark();
  });

  after(async () => {
    await desk?.stop();
    await gateway?.stop();
    await rtpengine?.stop();
  });

  test('bridges a browser and a desk phone', async (t) => {
    await bridge(t, { proxy: gateway, server: gateway.wss, domain: gateway.domain, desk });
    await gateway.expectClean();
    await rtpengine.expectClean();
  });
});

describe('our proxy behind a Kamailio that phones reach', () => {
  let gateway;
  let edge;
  let desk;
  let other;

  before(async () => {
    gateway = await Gateway.start();
    edge = await Kamailio.edge({ proxy: gateway.sip });
    const behind = (transport) => ({ server: gateway.domain, extra: `;outbound="sip:${edge.sip};transport=${transport}"` });
    // TCP on one side of the edge and UDP on the other: two Record-Route values. UDP on both: one.
    desk = await Baresip.start({ user: '201', transport: 'tcp', frequency: TONE.desk, ...behind('tcp') });
    other = await Baresip.start({ user: '202', frequency: TONE.other, answer: 'auto', ...behind('udp') });
    await gateway.mark();
  });

  after(async () => {
    await desk?.stop();
    await other?.stop();
    await edge?.stop();
    await gateway?.stop();
  });

  async function open(t) {
    desk.forget();
    return openPhone(t, browser, pages.url('jssip'), { gateway, server: gateway.wss, user: '300', frequency: TONE.page });
  }

  // RFC 3327 section 5.3: calls to the phone go along the Path that it registered with.
  test('a browser calls a phone behind it', async (t) => {
    const page = await open(t);
    await page.talkTo(desk, '201', gateway.domain);
    await page.run('hold');
    await page.noted('hold:local');
    await desk.hearsNone([TONE.page]);
    await page.run('resume');
    await desk.hears(TONE.page);
    await page.run('hangup');
    await desk.saw('CALL_CLOSED');
    await closePhones([page]);
    await gateway.expectClean();
  });

  // RFC 5658 section 5: what the phone asks within the call goes back through both proxies.
  test('a phone behind it calls a browser, holds, resumes and hangs up', async (t) => {
    const page = await open(t);
    desk.dial(`sip:300@${gateway.domain}`);
    await page.noted('incoming');
    await page.run('answer');
    await page.noted('confirmed');
    await page.hears(TONE.desk);
    await desk.hears(TONE.page);
    desk.command('hold');
    await page.noted('hold:remote');
    desk.command('resume');
    await page.noted('unhold:remote');
    await page.hears(TONE.desk);
    desk.hangup();
    await page.noted('ended:remote');
    await closePhones([page]);
    await gateway.expectClean();
  });

  // RFC 5393 section 2: a request that comes through the same proxy twice is a spiral, and no loop.
  test('a phone behind it calls another behind it', async () => {
    desk.forget();
    desk.dial(`sip:202@${gateway.domain}`);
    await desk.saw('CALL_ESTABLISHED');
    await desk.hears(TONE.other, [TONE.desk]);
    await other.hears(TONE.desk, [TONE.other]);
    other.hangup();
    await desk.saw('CALL_CLOSED');
    await gateway.expectClean();
  });
});
