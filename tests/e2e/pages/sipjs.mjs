// A phone made of unmodified SIP.js.

import { Inviter, Registerer, RegistererState, SessionState, UserAgent, Web } from 'sip.js';
import { Sound, summarize } from './audio.mjs';

const sound = new Sound();
let agent = null;
let registerer = null;
let session = null;
const log = [];

function note(what) {
  log.push(what);
}

function connection() {
  return session.sessionDescriptionHandler.peerConnection;
}

function adopt(next, originator) {
  session = next;
  let hungUp = false;
  session.hangUp = () => (hungUp = true);
  session.stateChange.addListener((state) => {
    if (state === SessionState.Established) {
      note('accepted');
      note('confirmed');
      sound.listen(connection());
    }
    if (state === SessionState.Terminated) {
      const established = log.includes('confirmed');
      note(established ? `ended:${hungUp ? 'local' : 'remote'}` : `failed:${session.refused ?? 'canceled'}`);
    }
  });
  session.originator = originator;
}

const inviteDelegate = {
  onProgress: () => note('ringing'),
  onReject: (response) => (session.refused = `rejected:${response.message.statusCode}`),
};

function setMuted(muted) {
  connection().getSenders().forEach((sender) => sender.track && (sender.track.enabled = !muted));
}

/** As SIP.js's own SimpleUser does it: no sound leaves while the call is held. */
async function setHold(held) {
  setMuted(held);
  const options = { ...session.sessionDescriptionHandlerOptionsReInvite, hold: held };
  session.sessionDescriptionHandlerOptionsReInvite = options;
  await new Promise((resolve, reject) => {
    session
      .invite({ requestDelegate: { onAccept: resolve, onReject: () => reject(new Error('re-INVITE refused')) } })
      .catch(reject);
  });
}

window.phone = {
  library: 'sipjs',
  async connect({ user, domain, password, server, frequency }) {
    await sound.start(frequency);
    const factory = Web.defaultSessionDescriptionHandlerFactory(() => Promise.resolve(sound.stream()));
    agent = new UserAgent({
      uri: UserAgent.makeURI(`sip:${user}@${domain}`),
      authorizationUsername: user,
      authorizationPassword: password,
      transportOptions: { server },
      sessionDescriptionHandlerFactory: factory,
      sessionDescriptionHandlerFactoryOptions: { peerConnectionConfiguration: { iceServers: [] }, iceGatheringTimeout: 500 },
      logLevel: 'error',
      delegate: {
        onInvite(invitation) {
          note('incoming');
          adopt(invitation, 'remote');
          invitation.delegate = {
            onInvite: (request) => {
              const held = /a=(sendonly|inactive)/.test(request.body);
              note(held ? 'hold:remote' : 'unhold:remote');
            },
          };
        },
      },
    });
    await agent.start();
    registerer = new Registerer(agent, { expires: 120 });
    const registered = new Promise((resolve, reject) => {
      registerer.stateChange.addListener((state) => {
        if (state === RegistererState.Registered) resolve();
      });
      registerer.register({ requestDelegate: { onReject: (response) => reject(new Error(`${response.message.statusCode}`)) } });
    });
    await registered;
  },
  async disconnect() {
    await registerer.unregister();
    await agent.stop();
  },
  call(target) {
    const inviter = new Inviter(agent, UserAgent.makeURI(target));
    adopt(inviter, 'local');
    inviter.delegate = {
      onInvite: (request) => note(/a=(sendonly|inactive)/.test(request.body) ? 'hold:remote' : 'unhold:remote'),
    };
    inviter.invite({ requestDelegate: inviteDelegate });
  },
  answer() {
    session.accept();
  },
  hangup() {
    session.hangUp();
    switch (session.state) {
      case SessionState.Established:
        return session.bye();
      case SessionState.Initial:
      case SessionState.Establishing:
        return session.originator === 'local' ? session.cancel() : session.reject();
      default:
        throw new Error(`hang up in state ${session.state}`);
    }
  },
  hold: () => setHold(true).then(() => note('hold:local')),
  resume: () => setHold(false).then(() => note('unhold:local')),
  digit(digit) {
    if (!session.sessionDescriptionHandler.sendDtmf(digit)) throw new Error('digit refused');
  },
  mute: setMuted,
  log: () => log.slice(),
  forget: () => log.splice(0),
  hear: (frequencies) => sound.hear(frequencies),
  summary: () => summarize(connection()),
};
