// Viaduct's halves beside their famous peers: our relay behind Kamailio, our proxy in front of rtpengine.

import { after, before, describe, test } from 'node:test';
import { Baresip } from './lib/baresip.mjs';
import { WebPhone, launch } from './lib/browser.mjs';
import { Kamailio } from './lib/kamailio.mjs';
import { servePages } from './lib/pages.mjs';
import { Rtpengine } from './lib/rtpengine.mjs';
import { Gateway, Relay } from './lib/viaduct.mjs';

const TONE = { page: 440, desk: 1500 };

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
  const page = await WebPhone.open(browser, pages.url('jssip'), { gateway: proxy, server, user: '300', frequency: TONE.page });
  t.after(() => page.close());
  desk.forget();
  await page.talkTo(desk, '201', domain);
  await page.run('hangup');
  await desk.saw('CALL_CLOSED');
  page.expectNoProblems();
  await page.close();
}

describe('our relay behind Kamailio', () => {
  let relay;
  let kamailio;
  let desk;

  before(async () => {
    relay = await Relay.start();
    kamailio = await Kamailio.start({ ng: relay.ports.ng });
    desk = await Baresip.start({ user: '201', server: kamailio.sip, frequency: TONE.desk });
  });

  after(async () => {
    await desk?.stop();
    await kamailio?.stop();
    await relay?.stop();
  });

  test('bridges a browser and a desk phone', async (t) => {
    await bridge(t, { proxy: kamailio, server: kamailio.ws, domain: kamailio.domain, desk });
    await relay.expectClean();
  });
});

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
