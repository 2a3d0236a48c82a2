// A real desk phone: Debian's baresip, with a tone for a microphone and a sink of its own for a loudspeaker.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Ear } from './ear.mjs';
import { Program, until } from './proc.mjs';
import { ADDRESS, PASSWORD } from './viaduct.mjs';

let next = 0;

export class Baresip {
  /** Starts a phone that registers. `answer` is auto or manual. */
  static async start({ user, server, transport = 'udp', frequency, answer = 'manual', codecs = 'pcma,pcmu', extra = '', password = PASSWORD, address = ADDRESS }) {
    const phone = new Baresip();
    phone.user = user;
    phone.frequency = frequency;
    phone.folder = mkdtempSync(path.join(tmpdir(), 'baresip-'));
    const number = next++;
    const [sip, control, rtp] = [16000 + 10 * number, 16005 + 10 * number, 40000 + 50 * number];
    writeFileSync(path.join(phone.folder, 'config'), configuration({ phone, address, sip, control, rtp }));
    const account = `<sip:${user}@${server};transport=${transport}>;auth_user=${user};auth_pass=${password};regint=60`;
    writeFileSync(
      path.join(phone.folder, 'accounts'),
      `${account};answermode=${answer};audio_codecs=${codecs}${extra}\n`,
    );
    writeFileSync(path.join(phone.folder, 'contacts'), '');
    phone.ear = await Ear.open(`ear${number}`);
    writeFileSync(path.join(phone.folder, '.asoundrc'), `pcm.ear { type pulse device ear${number} }\n`);
    const env = { ...process.env, HOME: phone.folder };
    phone.program = new Program(`baresip ${user}`, 'baresip', ['-f', phone.folder, '-v'], { env });
    phone.events = [];
    phone.control = await until('baresip takes commands', () => open(control));
    phone.listen();
    // Printed rather than told as an event: it may have registered before it takes commands.
    await phone.program.said(' binding');
    return phone;
  }

  listen() {
    let buffered = Buffer.alloc(0);
    this.control.on('error', () => {});
    this.control.on('data', (data) => {
      buffered = Buffer.concat([buffered, data]);
      // Netstrings: length, colon, JSON, comma.
      for (;;) {
        const colon = buffered.indexOf(58);
        const length = Number(buffered.subarray(0, colon).toString());
        if (colon < 1 || buffered.length < colon + 2 + length) return;
        this.events.push(JSON.parse(buffered.subarray(colon + 1, colon + 1 + length).toString()));
        buffered = buffered.subarray(colon + 2 + length);
      }
    });
  }

  command(command, params = '') {
    const text = JSON.stringify({ command, params });
    this.control.write(`${Buffer.byteLength(text)}:${text},`);
  }

  /** Waits for an event of this type. */
  async saw(type, seconds = 15) {
    return until(
      () => `baresip ${this.user} never saw ${type}: ${this.events.map((event) => event.type ?? 'response').join(' ')}\n${this.program.tail(1500)}`,
      () => this.events.find((event) => event.type === type),
      seconds,
    );
  }

  /** Looks only at what happens from here on. */
  forget() {
    this.events = [];
  }

  dial(uri) {
    this.command('dial', uri);
  }

  answer() {
    this.command('accept');
  }

  hangup() {
    this.command('hangup');
  }

  /** Waits until what comes in is this tone and none of the others. */
  async hears(frequency, others = []) {
    let levels = [];
    await until(
      () => `baresip ${this.user} does not hear ${frequency} Hz alone: ${JSON.stringify({ frequency, others, levels })}`,
      () => {
        levels = this.ear.levels([frequency, ...others]);
        return levels[0] > 0.05 && levels.slice(1).every((level) => level < levels[0] / 10);
      },
    );
  }

  async hearsNone(frequencies) {
    let levels = [];
    await until(
      () => `baresip ${this.user} still hears ${JSON.stringify({ frequencies, levels })}`,
      () => {
        levels = this.ear.levels(frequencies);
        return levels.every((level) => level < 0.01);
      },
    );
  }

  /** Digits that came in. */
  get digits() {
    return [...this.program.output.matchAll(/received event: '(.)' \(end=1\)/g)].map((match) => match[1]).join('');
  }

  /** Ends it as a power cut does: nobody is told. */
  async kill() {
    this.control.destroy();
    await this.program.stop('SIGKILL');
    await this.ear.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async stop() {
    this.command('quit');
    this.control.end();
    await this.program.stop('SIGTERM');
    await this.ear.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function open(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(socket));
    socket.on('error', () => resolve(null));
  });
}

function configuration({ phone, address, sip, control, rtp }) {
  return `poll_method epoll
sip_listen ${address}:${sip}
sip_verify_server no
audio_player alsa,ear
audio_source ausine,${phone.frequency}
audio_alert aubridge,alert${sip}
ausrc_srate 48000
ausrc_channels 2
auplay_srate 8000
auplay_channels 1
audio_level no
rtp_ports ${rtp}-${rtp + 40}
rtcp_mux no
jitter_buffer_delay 2-5
rtp_stats yes
ctrl_tcp_listen 127.0.0.1:${control}
module_path /usr/lib/baresip/modules
module g711.so
module g722.so
module opus.so
module ausine.so
module aubridge.so
module alsa.so
module_tmp uuid.so
module_tmp account.so
module_app contact.so
module_app menu.so
module_app ctrl_tcp.so
`;
}
