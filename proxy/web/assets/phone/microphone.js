// The microphone and the list of audio devices.

/** Why the browser gave no microphone: `kind` is denied | missing | busy | failed. */
export class MicrophoneError extends Error {
  constructor(kind, cause) {
    super(`microphone: ${kind}`, { cause });
    this.kind = kind;
  }
}

/** Opens the microphone; `deviceId` may name one that is gone, then the usual one is taken. */
export async function openMicrophone(deviceId) {
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: deviceId ? { deviceId: { ideal: deviceId } } : true });
  } catch (error) {
    throw new MicrophoneError(kindOf(error), error);
  }
}

export function closeMicrophone(stream) {
  stream?.getTracks().forEach((track) => track.stop());
}

/**
 * Tells `changed` what the browser says about the permission, now and whenever it changes: granted | denied |
 * unknown. Browsers that do not tell are silent.
 */
export async function watchPermission(changed) {
  try {
    const permission = await navigator.permissions.query({ name: 'microphone' });
    const tell = () => changed(permission.state === 'prompt' ? 'unknown' : permission.state);
    permission.addEventListener('change', tell);
    tell();
  } catch {
    // This browser knows no such permission; the first call will show.
  }
}

/** The devices to choose from: { microphones, speakers }, each [{ id, label }]. Names need the permission. */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  const named = (kind) =>
    all
      .filter((device) => device.kind === kind && device.label && device.deviceId)
      .map(({ deviceId, label }) => ({ id: deviceId, label }));
  return { microphones: named('audioinput'), speakers: named('audiooutput') };
}

function kindOf(error) {
  switch (error?.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'missing';
    case 'NotReadableError':
    case 'AbortError':
      return 'busy';
    default:
      return 'failed';
  }
}
