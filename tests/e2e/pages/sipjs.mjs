// A phone made of unmodified SIP.js.

import { Inviter, Registerer, RegistererState, SessionState, SIPExtension, UserAgent, Web } from 'sip.js';
import { Sound, summarize } from './audio.mjs';

const sound = new Sound();
let agent = null;
let registerer = null;
/** The call that was begun last, and all before it. */
let session = null;
const sessions = [];
const log = [];

function note(what) {
  log.push(what);
}

function connection(of = session) {
  return of.sessionDescriptionHandler.peerConnection;
}

function adopt(next, originator) {
  session = next;
  sessions.push(next);
  let hungUp = false;
  let established = false;
  next.hangUp = () => (hungUp = true);
  next.stateChange.addListener((state) => {
    if (state === SessionState.Established) {
      established = true;
      note('accepted');
      note('confirmed');
      sound.listen(connection(next));
    }
    if (state === SessionState.Terminated) {
      note(established ? `ended:${hungUp ? 'local' : 'remote'}` : `failed:${next.refused ?? 'canceled'}`);
    }
  });
  next.originator = originator;
  next.delegate = {
    onInvite: (request) => note(/a=(sendonly|inactive)/.test(request.body) ? 'hold:remote' : 'unhold:remote'),
    onCancel: (cancel) => note(`reason:${cancel.request.getHeader('reason') ?? ''}`),
    // Transfers: who is told to call somebody calls.
    onRefer: async (referral) => {
      note('referred');
      await referral.accept();
      const inviter = referral.makeInviter();
      adopt(inviter, 'local');
      inviter.invite({ requestDelegate: inviteDelegate });
    },
  };
}

const inviteDelegate = {
  onProgress: ({ message }) => {
    note('ringing');
    if (message.body) note('early');
  },
  onReject: (response) => (session.refused = `rejected:${response.message.statusCode}`),
};

function hangUp(which) {
  which.hangUp();
  switch (which.state) {
    case SessionState.Established:
      return which.bye();
    case SessionState.Initial:
    case SessionState.Establishing:
      return which.originator === 'local' ? which.cancel() : which.reject();
    default:
      throw new Error(`hang up in state ${which.state}`);
  }
}

/** Sends the other side of the first call somewhere else. That call is over when it has arrived. */
function refer(target) {
  const [first] = sessions;
  const onNotify = async (notification) => {
    await notification.accept();
    const status = Number(/SIP\/2.0 (\d+)/.exec(notification.request.body)?.[1]);
    if (status >= 300) note('transfer failed');
    if (status < 200 || status >= 300) return;
    note('transferred');
    hangUp(first);
  };
  first.refer(target, { onNotify, requestDelegate: { onReject: () => note('transfer failed') } });
}

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
      sipExtensionReplaces: SIPExtension.Supported,
      // A transfer to this very page needs an address that others can call (RFC 5627).
      sipExtensionExtraSupported: ['gruu'],
      sessionDescriptionHandlerFactory: factory,
      sessionDescriptionHandlerFactoryOptions: { peerConnectionConfiguration: { iceServers: [] }, iceGatheringTimeout: 500 },
      logLevel: 'error',
      delegate: {
        onInvite(invitation) {
          note('incoming');
          adopt(invitation, 'remote');
          if (!invitation.replacee) return;
          note('replaced');
          invitation.accept();
        },
      },
    });
    await agent.start();
    registerer = new Registerer(agent, { expires: 120, regId: 1 });
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
    const inviter = new Inviter(agent, UserAgent.makeURI(target), { earlyMedia: true });
    adopt(inviter, 'local');
    inviter.invite({ requestDelegate: inviteDelegate });
  },
  answer() {
    session.accept();
  },
  hangup: () => hangUp(session),
  hold: () => setHold(true).then(() => note('hold:local')),
  resume: () => setHold(false).then(() => note('unhold:local')),
  transfer: (target) => refer(UserAgent.makeURI(target)),
  /** To the other side of the second call. */
  join: () => refer(session),
  digit(digit) {
    if (!session.sessionDescriptionHandler.sendDtmf(digit)) throw new Error('digit refused');
  },
  mute: setMuted,
  log: () => log.slice(),
  forget: () => log.splice(0),
  /** What comes before the answer is heard when the page asks for it. */
  listen: () => sound.listen(connection()),
  hear: (frequencies) => sound.hear(frequencies),
  summary: () => summarize(connection()),
};
