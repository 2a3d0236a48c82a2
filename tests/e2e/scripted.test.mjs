// Calls step by step, as SIPp scripts them: what browsers and desk phones of today rarely do.

import { after, before, describe, test } from 'node:test';
import { Baresip } from './lib/baresip.mjs';
import { Sipp } from './lib/sipp.mjs';
import { Tunnel } from './lib/tunnel.mjs';
import { Gateway } from './lib/viaduct.mjs';

describe('scripted phones', () => {
  let gateway;

  before(async () => {
    gateway = await Gateway.start();
    for (const user of ['201', '202', '203']) await Sipp.run(gateway, 'register', { user });
    await gateway.mark();
  });

  after(() => gateway?.stop());

  for (const transport of ['udp', 'tcp', 'tls']) {
    describe(`over ${transport.toUpperCase()}`, () => {
      let way;

      before(async () => {
        way = { user: '201', transport, tunnel: transport === 'tls' ? await Tunnel.to(gateway.sips) : undefined };
      });

      after(() => way.tunnel?.close());

      test('a registration', () => Sipp.run(gateway, 'register', { ...way, user: '204' }));

      test('re-INVITE, UPDATE and OPTIONS inside a call', async () => {
        await Sipp.run(gateway, 'call-echo', way);
        await gateway.expectClean();
      });

      test('the offer in the 200 and the answer in the ACK', async () => {
        await Sipp.run(gateway, 'late-offer', way);
        await gateway.expectClean();
      });

      test('reliable early media: 183 with SDP, PRACK, INFO', async () => {
        const callee = Sipp.start(gateway, 'callee-early-media', { user: '202' });
        await Sipp.run(gateway, 'caller-early-media', { ...way, service: '202' });
        await callee.done();
        await gateway.expectClean();
      });

      test('MESSAGE and OPTIONS from phone to phone', async () => {
        const callee = Sipp.start(gateway, 'callee-message', { user: '202' });
        await Sipp.run(gateway, 'caller-message', { ...way, service: '202' });
        await callee.done();
        await gateway.expectClean();
      });

      test('busy comes back', async () => {
        const callee = Sipp.start(gateway, 'callee-busy', { user: '202' });
        await Sipp.run(gateway, 'caller-gets-486', { ...way, service: '202' });
        await callee.done();
        await gateway.expectClean();
      });

      test('a number that nobody has', async () => {
        await Sipp.run(gateway, 'nobody', { ...way, service: '999' });
        await gateway.expectClean();
      });
    });
  }

  test('two devices of one user ring, one answers, the other is cancelled', async () => {
    const other = await Baresip.start({ user: '202', server: gateway.sip, frequency: 1500 });
    const callee = Sipp.start(gateway, 'callee-answers', { user: '202' });
    await Sipp.run(gateway, 'caller', { user: '201', service: '202' });
    await callee.done();
    await other.saw('CALL_CLOSED');
    await other.stop();
    await gateway.expectClean();
  });

  test('two devices of one user ring, the desk phone answers, the script is cancelled', async () => {
    const other = await Baresip.start({ user: '203', server: gateway.sip, frequency: 1500, answer: 'auto' });
    const callee = Sipp.start(gateway, 'callee-cancelled', { user: '203' });
    await Sipp.run(gateway, 'caller', { user: '201', service: '203' });
    await callee.done();
    await other.stop();
    await gateway.expectClean();
  });
});

describe('softphones', () => {
  let gateway;

  before(async () => {
    gateway = await Gateway.start();
    await gateway.mark();
  });

  after(() => gateway?.stop());

  for (const transport of ['udp', 'tcp', 'tls']) {
    test(`register and call echo over ${transport.toUpperCase()}`, async () => {
      const server = transport === 'tls' ? gateway.sips : gateway.sip;
      const phone = await Baresip.start({ user: '201', server, transport, frequency: 700 });
      phone.dial(`sip:100@${server};transport=${transport}`);
      await phone.saw('CALL_ESTABLISHED');
      await phone.hears(700);
      phone.hangup();
      await phone.saw('CALL_CLOSED');
      await phone.stop();
      await gateway.expectClean();
    });
  }

  test('one over UDP calls one over TLS', async () => {
    const caller = await Baresip.start({ user: '201', server: gateway.sip, frequency: 700 });
    const callee = await Baresip.start({ user: '202', server: gateway.sips, transport: 'tls', frequency: 1100, answer: 'auto' });
    caller.dial(`sip:202@${gateway.sip}`);
    await caller.saw('CALL_ESTABLISHED');
    await caller.hears(1100, [700]);
    await callee.hears(700, [1100]);
    callee.hangup();
    await caller.saw('CALL_CLOSED');
    await caller.stop();
    await callee.stop();
    await gateway.expectClean();
  });
});
