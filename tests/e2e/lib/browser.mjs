// Browsers, driven like a user's, and the phones in their pages.

import assert from 'node:assert/strict';
import puppeteer from 'puppeteer-core';
import { until } from './proc.mjs';
import { PASSWORD } from './viaduct.mjs';

const CHROMIUM = process.env.VIADUCT_CHROMIUM ?? '/usr/bin/chromium';
const FIREFOX = process.env.VIADUCT_FIREFOX ?? '/usr/bin/firefox-esr';

/** Starts Chromium or Firefox, with permission for the microphone and sound without a gesture. Chromium may run elsewhere. */
export async function launch(kind, { elsewhere } = {}) {
  if (kind === 'firefox') {
    return puppeteer.launch({
      browser: 'firefox',
      executablePath: FIREFOX,
      headless: true,
      acceptInsecureCerts: true,
      extraPrefsFirefox: {
        'media.navigator.streams.fake': true,
        'media.navigator.permission.disabled': true,
        'media.peerconnection.ice.loopback': true,
        'media.autoplay.default': 0,
        'media.autoplay.blocking_policy': 0,
        'network.websocket.allowInsecureFromHTTPS': true,
      },
    });
  }
  return puppeteer.launch({
    browser: 'chrome',
    executablePath: elsewhere ? elsewhere.program(CHROMIUM) : CHROMIUM,
    // A browser in another network is spoken to by what it inherits.
    pipe: Boolean(elsewhere),
    headless: true,
    acceptInsecureCerts: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-dev-shm-usage',
      '--ignore-certificate-errors',
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
    ],
  });
}

/** Opens a phone for a test, and closes it when that is over; `options` as for `WebPhone.open`. */
export async function openPhone(t, browser, url, options) {
  const phone = await WebPhone.open(browser, url, options);
  t.after(() => phone.close());
  return phone;
}

/** Closes phones, which must have had no problems. */
export async function closePhones(phones) {
  for (const phone of phones) {
    phone.expectNoProblems();
    await phone.close();
  }
}

/** A page with a phone made of one of the libraries. */
export class WebPhone {
  /** Opens the page and registers. */
  static async open(browser, url, { gateway, server, user, frequency }) {
    const phone = new WebPhone();
    phone.user = user;
    phone.frequency = frequency;
    phone.context = await browser.createBrowserContext();
    phone.page = await phone.context.newPage();
    phone.problems = [];
    phone.page.on('pageerror', (error) => phone.problems.push(String(error)));
    await phone.page.goto(url);
    await phone.page.waitForFunction(() => window.phone);
    await phone.run('connect', { user, domain: gateway.domain, password: PASSWORD, server, frequency });
    return phone;
  }

  run(method, ...args) {
    return this.page.evaluate((method, args) => window.phone[method](...args), method, args);
  }

  call(number, domain) {
    return this.run('call', `sip:${number}@${domain}`);
  }

  /** Calls a desk phone, which answers, and waits until both hear each other and not themselves. */
  async talkTo(desk, number, domain) {
    await this.call(number, domain);
    await this.noted('ringing');
    desk.answer();
    await this.noted('confirmed');
    await this.hears(desk.frequency, [this.frequency]);
    await desk.hears(this.frequency, [desk.frequency]);
  }

  /** Waits until the phone has noted something. */
  async noted(what, seconds = 15) {
    let log = [];
    await until(
      () => `${this.user} never noted ${what}, but ${JSON.stringify(log)} ${this.problems.join('; ')}`,
      async () => {
        log = await this.run('log');
        return log.some((entry) => (what instanceof RegExp ? what.test(entry) : entry === what));
      },
      seconds,
    );
  }

  /** Waits until this page hears `frequency`, and none of `others`. */
  async hears(frequency, others = []) {
    let levels = [];
    await until(
      () => `${this.user} does not hear ${frequency} Hz alone: ${JSON.stringify({ frequency, others, levels })}`,
      async () => {
        levels = await this.run('hear', [frequency, ...others]);
        return levels[0] > 0.05 && levels.slice(1).every((level) => level < levels[0] / 10);
      },
    );
  }

  /** Waits until this page hears none of these. */
  async hearsNone(frequencies) {
    let levels = [];
    await until(
      () => `${this.user} still hears ${JSON.stringify({ frequencies, levels })}`,
      async () => {
        levels = await this.run('hear', frequencies);
        return levels.every((level) => level < 0.01);
      },
    );
  }

  async close() {
    await this.page.close().catch(() => {});
    await this.context.close().catch(() => {});
  }

  expectNoProblems() {
    assert.deepEqual(this.problems, []);
  }
}
