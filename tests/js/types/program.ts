// A program by the types of docs/api/events.d.ts: two people in a room. `tsc` checks it, and types.test.mjs runs it.

import { io, type Socket } from 'socket.io-client';

import type { Answer, ClientToServerEvents, Message, ServerToClientEvents } from '../../../docs/api/events';

type Client = Socket<ServerToClientEvents, ClientToServerEvents>;

/** What was told and answered, to be compared with the schemas. */
export type Recorded = Array<{ kind: 'told' | 'answer'; name: string; value: unknown }>;

export interface Person {
  userId: string;
  token: string;
}

/** What an answer holds; an error where the command was refused. */
function accepted<T>(answer: Answer<T>): T {
  if (!answer.ok) throw new Error(`${answer.error.code}: ${answer.error.message}`);
  return answer;
}

/** The next event of this name. */
function told<Name extends keyof ServerToClientEvents>(client: Client, name: Name): Promise<Parameters<ServerToClientEvents[Name]>[0]> {
  type Untyped = { once(name: string, listener: (value: Parameters<ServerToClientEvents[Name]>[0]) => void): void };
  return new Promise((resolve) => (client as unknown as Untyped).once(name, resolve));
}

async function enter(url: string, person: Person, recorded: Recorded): Promise<Client> {
  const client: Client = io(url, { auth: { token: person.token }, forceNew: true, transports: ['websocket'] });
  client.onAny((name: string, value: unknown) => recorded.push({ kind: 'told', name, value }));
  await new Promise<void>((resolve, reject) => {
    client.once('connect', resolve);
    client.once('connect_error', reject);
  });
  return client;
}

/** Answers what the others have read of the room. */
export async function run(url: string, ann: Person, bob: Person): Promise<{ recorded: Recorded; texts: string[] }> {
  const recorded: Recorded = [];
  const answered = <T>(name: keyof ClientToServerEvents, answer: Answer<T>): T => {
    recorded.push({ kind: 'answer', name, value: answer });
    return accepted(answer);
  };
  const anns = await enter(url, ann, recorded);
  const came = told(anns, 'presence');
  const bobs = await enter(url, bob, recorded);
  const status: 'online' | 'offline' = (await came).status;
  if (status !== 'online') throw new Error(status);

  const made = told(bobs, 'roomCreated');
  const { room } = answered(
    'room.create',
    await anns.emitWithAck('room.create', { name: 'Tea', visibility: 'private', members: [bob.userId] }),
  );
  const roomId: string = (await made).room.roomId;
  if (room.roomId !== roomId) throw new Error('another room');

  const heard = told(bobs, 'messageSent');
  answered('message.send', await anns.emitWithAck('message.send', { roomId, content: 'hello', clientId: 'one' }));
  const message: Message = (await heard).message;
  const kind: 'text' | 'media' = message.type;
  if (kind !== 'text') throw new Error(kind);

  const typing = told(anns, 'typingChanged');
  answered('typing.set', await bobs.emitWithAck('typing.set', { roomId, typing: true }));
  if (!(await typing).typing) throw new Error('nobody types');

  const reacted = told(anns, 'reactionAdded');
  answered('reaction.add', await bobs.emitWithAck('reaction.add', { messageId: message.messageId, emoji: '👍' }));
  if ((await reacted).reactions[0]?.count !== 1) throw new Error('no reaction');

  const read = told(anns, 'messagesRead');
  answered('read.mark', await bobs.emitWithAck('read.mark', { roomId, seq: message.seq }));
  if ((await read).seq !== message.seq) throw new Error('not read');

  answered('unread.list', await bobs.emitWithAck('unread.list', null));
  answered('user.list', await bobs.emitWithAck('user.list', { limit: 10 }));
  answered('chat.list', await bobs.emitWithAck('chat.list', {}));
  answered('chat.partners', await bobs.emitWithAck('chat.partners', {}));
  answered('message.search', await bobs.emitWithAck('message.search', { q: 'hello', snippets: true, order: 'best' }));
  answered('profile.update', await bobs.emitWithAck('profile.update', { fullName: 'Bob Two' }));
  const { changes } = answered('log.sync', await bobs.emitWithAck('log.sync', { since: '0' }));
  for (const change of changes) {
    if (change.type === 'messageSent' && change.message.roomId !== roomId) throw new Error('of another room');
  }
  answered('batch', await bobs.emitWithAck('batch', { commands: [{ event: 'unread.list' }, { event: 'chat.list', data: {} }] }));

  const { messages } = answered('message.list', await bobs.emitWithAck('message.list', { roomId, limit: 5 }));
  const gone = told(bobs, 'messageDeleted');
  answered('message.delete', await anns.emitWithAck('message.delete', { messageId: message.messageId }));
  if (!(await gone).message.deleted) throw new Error('still there');

  const refused = await bobs.emitWithAck('room.join', { roomId: 'nonsense' });
  if (refused.ok || refused.error.field !== 'roomId') throw new Error('it was not refused');

  anns.disconnect();
  bobs.disconnect();
  return { recorded, texts: messages.map(({ content }) => content) };
}

/** What no program may say: each line is an error that `tsc` must find. */
export function wrong(client: Client): void {
  // @ts-expect-error there is no such event
  client.emit('message.snd', { content: 'hello' }, () => {});
  // @ts-expect-error a text is a text
  client.emit('message.send', { content: 7 }, () => {});
  // @ts-expect-error a reaction needs an emoji
  client.emit('reaction.add', { messageId: 'x' }, () => {});
  // @ts-expect-error there is no such role
  client.emit('member.setRole', { roomId: 'x', userId: 'y', role: 'king' }, () => {});
  // @ts-expect-error there is no such event
  client.on('messageSnt', () => {});
  // @ts-expect-error a message has no such field
  client.on('messageSent', ({ message }) => message.contents);
}
