// Plays the main job of the server with the client that @hey-api/openapi-ts generates from the contract.
// Its argument is the server's URL.
import { createClient } from './client/client/index.js';
import {
  CodePurpose, type ErrorCode as Code, ErrorCode, type ErrorResult, type Login, type StoredImage, SuccessCode,
  createHomeTicket, deleteImage, exportCurrentUser, getCurrentUser, getImage, linkImage, listActivity, listImages,
  listSessions, loginUser, logoutUser, refreshSession, registerUser, sendCode, updateCurrentUser, updateImage,
  uploadImages,
} from './client/index.js';

declare const process: { argv: string[] };

const credentials = { phone: '18866668888', password: 'demo123456' };
const baseUrl = process.argv[2] ?? '';
const anybody = createClient({ baseUrl });

function check(right: boolean, what: string, got: unknown): asserts right {
  if (!right) {
    throw new Error(`${what}: ${JSON.stringify(got)}`);
  }
}

/** What an app tells its user. It compiles only as long as every code has a name and a number. */
function advice(refusal: ErrorResult): string {
  switch (refusal.data.code) {
    case ErrorCode.ALREADY_REGISTERED:
      return 'log in';
    case ErrorCode.INVALID_INPUT:
      return (refusal.data.details ?? []).map((detail) => detail.field).join();
    default: {
      const others: Exclude<Code, 1001 | 1002> = refusal.data.code;
      return `code ${others}`;
    }
  }
}

async function register() {
  const first = await registerUser({ client: anybody, body: { ...credentials, code: '123456' } });
  check(first.data?.data.code === SuccessCode.OK && first.data.data.msg === 'ok', 'register', first.error);

  const again = await registerUser({ client: anybody, body: { ...credentials, code: '123456' } });
  check(again.error !== undefined && again.response?.status === 409, 'register again', again.data);
  check(advice(again.error) === 'log in', 'register again', again.error);

  const invalid = await registerUser({ client: anybody, body: { ...credentials, code: '12' } });
  check(invalid.error !== undefined && advice(invalid.error) === '/code', 'register with a short code', invalid.error);
}

async function logIn(): Promise<Login> {
  const { data, error } = await loginUser({ client: anybody, body: { ...credentials, device: 'TypeScript' } });
  check(data !== undefined, 'log in', error);
  const { refreshToken } = data.data.msg;
  const refreshed = await refreshSession({ client: anybody, body: { refreshToken } });
  check(refreshed.data !== undefined, 'refresh', refreshed.error);
  const login: Login = refreshed.data.data.msg;
  const lifetime: number = login.expiresIn;
  check(lifetime > 0 && login.tokenType === 'Bearer', 'log in', login);
  return login;
}

/** A picture of one pixel. */
const gif = Uint8Array.from(atob('R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=='), (c) => c.charCodeAt(0));

async function uploadAndLoad(client: typeof anybody) {
  const image: Array<Blob | File> = [new File([gif], '照片.gif', { type: 'image/gif' }), new Blob([gif])];
  const { data, error } = await uploadImages({ client, body: { image } });
  check(data !== undefined, 'upload', error);
  const [first, second]: Array<StoredImage> = data.data.msg.images;
  check(first?.name === '照片.gif' && second !== undefined, 'upload', data);
  check(data.data.msg.imageUrl[0] === first.url, 'upload', data);

  const name = second.url.split('/').at(-1) ?? '';
  const loaded = await getImage({ client: anybody, path: { name } });
  check(loaded.data !== undefined, 'load', loaded.error);
  const bytes = new Uint8Array(await loaded.data.arrayBuffer());
  check(bytes.length === gif.length && bytes.every((byte, i) => byte === gif[i]), 'load', bytes.length);

  const missing = await getImage({ client: anybody, path: { name: 'no-such-picture.jpg' } });
  check(missing.response?.status === 404, 'load what is not there', missing.data);
  await lookAfter(client, first);
}

/** Hides a picture, lets somebody see it as an avatar all the same, and deletes it. */
async function lookAfter(client: typeof anybody, stored: StoredImage) {
  const path = { id: stored.id };
  const changed = await updateImage({ client, path, body: { title: '封面', visibility: 'private' } });
  check(changed.data?.data.msg.visibility === 'private', 'hide', changed.error);
  const hidden = await getImage({ client: anybody, path: { name: stored.url.split('/').at(-1) ?? '' } });
  check(hidden.response?.status === 404, 'load what is hidden', hidden.data);

  const link = await linkImage({ client, path, body: { expiresIn: 60 } });
  check(link.data !== undefined, 'link', link.error);
  const seen = await fetch(`${link.data.data.msg.url}&preset=avatar&format=jpeg`);
  check(seen.status === 200 && seen.headers.get('content-type') === 'image/jpeg', 'load by a link', seen.status);

  const deleted = await deleteImage({ client, path });
  check(deleted.data !== undefined, 'delete', deleted.error);
  const listed = await listImages({ client, query: { type: 'image/gif' } });
  check(listed.data?.data.msg.images.length === 1, 'list', listed.error ?? listed.data);
}

async function openHomePage(client: typeof anybody) {
  const { data, error } = await createHomeTicket({ client });
  check(data !== undefined, 'ticket', error);
  const opened = await fetch(data.data.msg.homeUrl, { redirect: 'manual' });
  check(opened.status === 303 && opened.headers.get('location') !== null, 'open the home page', opened.status);
}

async function readActivity(client: typeof anybody) {
  const newest = await listActivity({ client, query: { limit: 1 } });
  const next = newest.data?.data.msg.next;
  check(next !== undefined, 'activity', newest.error);
  const older = await listActivity({ client, query: { before: next } });
  check(older.data?.data.msg.events.at(-1)?.action === 'register', 'activity', older.error);
}

async function exportAll(client: typeof anybody) {
  const sent = await sendCode({ client, body: { phone: credentials.phone, purpose: CodePurpose.EXPORT } });
  check(sent.data !== undefined && sent.data.data.msg.nextIn > 0, 'code', sent.error);
  const { data, error } = await exportCurrentUser({ client, body: { code: '123456' } });
  check(data !== undefined, 'export', error);
  check(await data.slice(0, 2).text() === 'PK', 'export', data.size);
}

await register();
const login = await logIn();
const client = createClient({ baseUrl, auth: login.accessToken });

const me = await getCurrentUser({ client });
check(me.data?.data.msg.phone === '+8618866668888', 'me', me.error);
const nobody = await getCurrentUser({ client: anybody });
check(nobody.error?.data.code === ErrorCode.NOT_LOGGED_IN, 'me, not logged in', nobody.data);

const changed = await updateCurrentUser({ client, body: { nickname: '小明', bio: '', gender: null, metadata: { theme: 'dark' } } });
check(changed.data?.data.msg.nickname === '小明' && changed.data.data.msg.bio === '', 'profile', changed.error);
check(changed.data.data.msg.gender === undefined && changed.data.data.msg.metadata?.['theme'] === 'dark', 'profile', changed.data);
const devices = await listSessions({ client });
check(devices.data?.data.msg.sessions[0]?.device === 'TypeScript', 'devices', devices.error);

await uploadAndLoad(client);
await openHomePage(client);
await readActivity(client);
await exportAll(client);

await logoutUser({ client });
const gone = await getCurrentUser({ client });
check(gone.error?.data.code === ErrorCode.NOT_LOGGED_IN, 'me, logged out', gone.data);
