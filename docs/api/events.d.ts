// The events of chat-server's own dialect, native, for socket.io-client:
//
//     const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, { auth: { token } });
//     const answer = await socket.emitWithAck('message.send', { username: 'bob', content: 'hello' });
//     if (answer.ok) show(answer.message);
//
// Made by `chat-server describe`; see docs/protocol.md.

/** What a command is answered with. */
export type Answer<T> = ({ ok: true; success: true } & T) | Refused;

/** That somebody may not come into a room. */
export type Ban = {
  /** Who has decided so. */
  by: string;
  /** Milliseconds since 1970. */
  timestamp: number;
  userId: string;
};

/** Some of those who may not come into a room. */
export type BanPage = {
  bans: Array<Ban>;
  /** The `afterId` of the next page; none behind the last one. */
  next: string | null;
};

/** A change. */
export type Change = {
  position: string;
} & ((OfMessage & {
  type: "messageSent";
}) | (OfMessage & {
  type: "messageDeleted";
}) | (OfMessage & {
  type: "messageRestored";
}) | (OfMessage & {
  type: "messageEdited";
}) | (Hidden & {
  type: "messageHidden";
}) | (Hidden & {
  type: "messageUnhidden";
}) | (PinChange & {
  type: "messagePinned";
}) | (PinChange & {
  type: "messageUnpinned";
}) | (ThreadUpdated & {
  type: "threadUpdated";
}) | (ThreadFollowed & {
  type: "threadFollowed";
}) | (ThreadFollowed & {
  type: "threadUnfollowed";
}) | (Reacted & {
  type: "reactionAdded";
}) | (Reacted & {
  type: "reactionRemoved";
}) | (OfMember & {
  type: "roomCreated";
}) | (OfMember & {
  type: "memberAdded";
}) | (OfMember & {
  type: "memberRemoved";
}) | (OfMember & {
  type: "roleChanged";
}) | (Restricted & {
  type: "memberBanned";
}) | (Restricted & {
  type: "memberUnbanned";
}) | (Restricted & {
  type: "memberMuted";
}) | (Restricted & {
  type: "memberUnmuted";
}) | (RoomUpdate & {
  type: "roomUpdated";
}) | (MessagesRead & {
  type: "messagesRead";
}) | (Related & {
  type: "relationChanged";
}) | (ChatSettings & {
  type: "chatSettingsChanged";
}) | (OfSession & {
  type: "sessionEnded";
}) | (OfUser & {
  type: "profileUpdated";
}));

/** A part of the log. */
export type Changes = {
  changes: Array<Change>;
  more: boolean;
  next: string;
  reset: boolean;
};

/** A conversation, with one's settings for it. */
export type Chat = {
  archived: boolean;
  draft: string;
  kind: "direct" | "room";
  /** The last message that is not deleted; null when there is none. */
  lastMessage: Message | null;
  /** The place of the last message; 0 when there is none. */
  lastSeq: number;
  memberCount: number;
  /** The first members of a room in the order of joining, at most five. */
  members?: Array<MemberHead>;
  /** How many of them mention the user, at most 100. It is missing when there are none. */
  mentions?: number;
  /** Milliseconds since 1970; null when the conversation is not muted. The time may have passed. */
  mutedUntil: number | null;
  /** The name of the room, or of the other person. */
  name: string;
  pinned: boolean;
  readSeq: number;
  roomId: string;
  /** At most 1,000, which means "or more". */
  unread: number;
  /** The other person of a direct conversation. */
  user?: Person | null;
};

/** A page of the chat list. */
export type ChatPage = {
  chats: Array<Chat>;
  /** The `cursor` of the next page; null on the last page. */
  next: string | null;
};

/** A conversation, and one's settings for it. */
export type ChatSettings = {
  archived: boolean;
  draft: string;
  /** Milliseconds since 1970; null when the conversation is not muted. The time may have passed. */
  mutedUntil: number | null;
  pinned: boolean;
  roomId: string;
};

/** A page of conversations. */
export type ChatSettingsPage = {
  chats: Array<ChatSettings>;
  /** The `cursor` of the next page; null when this is the last. */
  next: string | null;
};

/** How many sessions have ended. */
export type EndedSessions = {
  ended: number;
};

export type Failure = {
  /** A stable word for programs. */
  code: string;
  /** The field that was wrong, where it is a single one. */
  field?: string;
  /** For people. */
  message: string;
  /** How many seconds to wait, where that is known. */
  retryAfter?: number;
};

/** A thread that one follows. */
export type FollowedThread = {
  /** The message that the thread is about. */
  message: Message;
  thread: Thread;
  /** How many messages of others in it are unread, at most 100. */
  unread: number;
};

/** What was found. */
export type Found = {
  /** There, and true, when the search ended before it had looked at everything. */
  bounded?: boolean;
  complete: boolean;
  messages: Array<Message>;
  next: string | null;
  snippets?: Array<Snippet>;
};

/** Which message is hidden, or shown again. */
export type Hidden = {
  messageId: string;
  roomId: string;
  seq: number;
};

/** Somebody in a room. */
export type Member = {
  /** Milliseconds since 1970. */
  joinedAt: number;
  role: "member" | "moderator" | "admin";
  userId: string;
};

/** A member of a room in the chat list. */
export type MemberHead = {
  avatar: string;
  fullName: string;
  role: "member" | "moderator" | "admin";
  userId: string;
  username: string;
};

export type MemberList = {
  members: Array<Member>;
  /** The next page is behind this; none when there are no more. */
  next: number | null;
};

/** A message. Times are milliseconds since 1970. */
export type Message = {
  /** Empty when it is deleted. */
  content: string;
  deleted: boolean;
  /** When last, in milliseconds since 1970. */
  editedAt?: number;
  edits?: number;
  fileName?: string;
  /** Whether it is a copy of another message. */
  forwarded?: boolean;
  image?: string;
  /** The ids of the people whom it mentions. */
  mentions?: Array<string>;
  messageId: string;
  /** When, in milliseconds since 1970. */
  pinnedAt?: number;
  pinnedBy?: string;
  reactions?: Array<Reaction>;
  /** The message that it answers. */
  replyTo?: Quote | null;
  roomId: string;
  senderId: string;
  /** Its place in the conversation, without gaps from 1 on. */
  seq: number;
  /** What there is in its own thread, or else in the one that it is in. */
  thread?: Thread | null;
  /** The message whose thread it is in. */
  threadId?: string;
  timestamp: number;
  /** A message with a file or an image is `media`. */
  type: "text" | "media";
  updatedAt: number;
};

/** A part of a history. */
export type MessageList = {
  hasMore: boolean;
  messages: Array<Message>;
};

/** How far somebody has read. */
export type MessagesRead = {
  roomId: string;
  seq: number;
  userId: string;
};

/** An object without fields, for what has no more to say than that it was done. */
export type Nothing = Record<string, unknown>;

/** A room, and of whom it is told. */
export type OfMember = {
  role?: "member" | "moderator" | "admin";
  room: Room;
  userId: string;
};

/** What a command is answered with, or an event tells, about one message. */
export type OfMessage = {
  message: Message;
};

/** The same of a room. */
export type OfRoom = {
  room: Room;
};

/** A session that has ended. */
export type OfSession = {
  sessionId: string;
};

/** The same of a person. */
export type OfUser = {
  user: User;
};

/** A person, and whether they are there. */
export type Person = {
  avatar: string;
  fullName: string;
  /** Milliseconds since 1970; null for a person who was never there. */
  lastSeen: number | null;
  status: "online" | "offline";
  userId: string;
  username: string;
};

/** People, and whether they are there. */
export type PersonList = {
  users: Array<Person>;
};

/** A page of people, and whether they are there. */
export type PersonPage = {
  /** The `cursor` of the next page; null on the last page. */
  next: string | null;
  users: Array<Person>;
};

/** Which message was pinned or unpinned, and by whom. */
export type PinChange = {
  messageId: string;
  roomId: string;
  seq: number;
  userId: string;
};

/** Whether somebody is there. */
export type Presence = {
  /** Milliseconds since 1970. */
  lastSeen: number;
  status: "online" | "offline";
  userId: string;
};

/** The message that another one answers, as it is now. */
export type Quote = {
  /** The beginning of its text, at most 200 characters. It is missing when the message is deleted or is a text file, and where too much is quoted on one page. */
  content?: string;
  deleted: boolean;
  fileName?: string;
  messageId: string;
  senderId: string;
  /** Its place in the conversation. */
  seq: number;
  /** A message with a file or an image is `media`. */
  type: "text" | "media";
};

/** That somebody has reacted to a message, or has taken it back, and all that stands on the message since. */
export type Reacted = {
  emoji: string;
  messageId: string;
  reactions: Array<Reaction>;
  roomId: string;
  seq: number;
  userId: string;
};

/** How many have reacted to a message with one emoji, and who was first. */
export type Reaction = {
  count: number;
  emoji: string;
  userIds: Array<string>;
};

/** Where the mark is. */
export type ReadMark = {
  roomId: string | null;
  seq: number;
};

/** How far a message has come on its way to a member. */
export type Receipt = {
  state: "sent" | "delivered" | "read";
  userId: string;
};

/** Who has received and who has read a message. */
export type Receipts = {
  messageId: string;
  /** The `after` of the next page; null on the last page. */
  next: number | null;
  receipts: Array<Receipt>;
};

/** The acknowledgement of a command that was refused. */
export type Refused = {
  error: Failure;
  ok: false;
  success: false;
};

/** Somebody, and what the reader has with them. */
export type Related = {
  blocked: boolean;
  friendship: "none" | "sent" | "received" | "friends";
  user: User;
};

/** A page of people. */
export type RelatedPage = {
  next: string | null;
  people: Array<Related>;
};

/** Until when a connection lasts. */
export type Renewed = {
  /** Milliseconds since 1970. */
  expiresAt: number;
};

/** A report. Times are milliseconds since 1970. */
export type Report = {
  /** The beginning of the message's text when it was reported. */
  content: string;
  messageId: string | null;
  note: string;
  reason: "spam" | "abuse" | "sexual" | "violence" | "other";
  reportId: string;
  reporterId: string;
  resolved: Resolved | null;
  /** The conversation of the message; null when a person is reported. */
  roomId: string | null;
  timestamp: number;
  /** The reported person, or the sender of the message. */
  userId: string;
};

/** A page of reports. */
export type ReportPage = {
  /** The `cursor` of the next page; null on the last page. */
  next: string | null;
  reports: Array<Report>;
};

/** What was done about a report. */
export type Resolved = {
  action: "acted" | "dismissed";
  timestamp: number;
  userId: string;
};

/** That somebody may not come in or speak any more, or may again. */
export type Restricted = {
  /** Who has decided so. */
  by: string;
  roomId: string;
  /** Milliseconds since 1970; missing when there is no end. */
  until?: number;
  userId: string;
};

/** The results of a batch, each as it is answered alone. */
export type Results = {
  results: Array<unknown>;
};

/** A room. Who is no member is shown its id only. */
export type Room = {
  /** Milliseconds since 1970. */
  createdAt?: number;
  /** How many there are, in a larger room; `member.list` tells who they are. */
  memberCount?: number;
  /** All of them, in a room of at most 100. */
  members?: Array<Member>;
  name?: string;
  roomId: string;
  /** Seconds that plain members wait between two messages; missing when they need not. */
  slowMode?: number;
  visibility?: "private" | "public";
};

/** That something else is said of a room. */
export type RoomUpdate = {
  /** Who has changed it. */
  by: string;
  room: Room;
};

/** A device on which one is logged in. Times are milliseconds since 1970. */
export type Session = {
  createdAt: number;
  /** Whether it is the one that asks. */
  current: boolean;
  /** Its name: what its log-in has said, or else what its program calls itself. */
  device: string;
  /** When it ends if its tokens are not refreshed. */
  expiresAt: number;
  /** When its tokens were refreshed last. */
  lastUsedAt: number;
  sessionId: string;
};

/** The devices on which one is logged in. */
export type SessionList = {
  sessions: Array<Session>;
};

/** Where in a text is what was found; marks are pairs of places in UTF-16 code units. */
export type Snippet = {
  cutBefore: boolean;
  cutBehind: boolean;
  fileNameMarks?: Array<[number, number]>;
  marks: Array<[number, number]>;
  text: string;
};

/** What there is in a thread. Deleted messages do not count. */
export type Thread = {
  /** When the last one was sent, in milliseconds since 1970. */
  lastReplyAt: number;
  /** The number of messages. */
  replies: number;
  /** Those who have written last, the latest first, at most five. */
  userIds: Array<string>;
};

/** Which thread one follows since, or does not. */
export type ThreadFollowed = {
  roomId: string;
  /** The place of the message that the thread is about. */
  seq: number;
  threadId: string;
};

/** A part of a thread. */
export type ThreadHistory = {
  /** Whether one follows the thread. */
  following: boolean;
  /** The message that the thread is about; null if one has hidden it. */
  message: Message | null;
  messages: Array<Message>;
  /** The `before` of the page before this one; null when there is none. */
  next: number | null;
};

/** A page of the threads that one follows. */
export type ThreadPage = {
  /** The `cursor` of the next page; null when this is the last. */
  next: string | null;
  threads: Array<FollowedThread>;
};

/** What there is in a thread since a message in it was deleted or restored. */
export type ThreadUpdated = {
  roomId: string;
  /** The place of the message that the thread is about. */
  seq: number;
  /** Null when nothing is left in it, or when the message that it is about is deleted. */
  thread: Thread | null;
  threadId: string;
};

/** Whether somebody types. */
export type Typing = {
  roomId: string;
  typing: boolean;
  userId: string;
};

/** A conversation in which something is unread. */
export type Unread = {
  lastSeq: number;
  /** How many of them mention the user, at most 100. It is missing when there are none. */
  mentions?: number;
  name: string;
  readSeq: number;
  roomId: string;
  unread: number;
  userId?: string;
  username?: string;
};

/** What is unread. */
export type UnreadList = {
  unread: Array<Unread>;
};

/** A person. */
export type User = {
  avatar: string;
  fullName: string;
  userId: string;
  username: string;
};

/** What clients are told. */
export interface ServerToClientEvents {
  /** Somebody has said something. */
  messageSent: (told: OfMessage) => void;
  /** A message was deleted. */
  messageDeleted: (told: OfMessage) => void;
  /** A deletion was taken back. */
  messageRestored: (told: OfMessage) => void;
  /** A message has another text. */
  messageEdited: (told: OfMessage) => void;
  /** One has hidden a message from oneself. */
  messageHidden: (told: Hidden) => void;
  /** One sees a hidden message again. */
  messageUnhidden: (told: Hidden) => void;
  /** Somebody has pinned a message. */
  messagePinned: (told: PinChange) => void;
  /** Somebody has unpinned a message. */
  messageUnpinned: (told: PinChange) => void;
  /** A message in a thread was deleted or restored. */
  threadUpdated: (told: ThreadUpdated) => void;
  /** One follows a thread. */
  threadFollowed: (told: ThreadFollowed) => void;
  /** One has stopped to follow a thread. */
  threadUnfollowed: (told: ThreadFollowed) => void;
  /** Somebody has reacted to a message. */
  reactionAdded: (told: Reacted) => void;
  /** Somebody has taken a reaction back. */
  reactionRemoved: (told: Reacted) => void;
  /** A room was made, with oneself in it. */
  roomCreated: (told: OfMember) => void;
  /** Somebody has come into a room. */
  memberAdded: (told: OfMember) => void;
  /** Somebody has left a room, or was taken out of it. */
  memberRemoved: (told: OfMember) => void;
  /** A member of a room may do something else than before. */
  roleChanged: (told: OfMember) => void;
  /** A moderator does not let a user come into a room any more. */
  memberBanned: (told: Restricted) => void;
  /** A user who was banned may come into a room again. */
  memberUnbanned: (told: Restricted) => void;
  /** A moderator does not let a member of a room send messages. */
  memberMuted: (told: Restricted) => void;
  /** A member who was muted may send messages again. */
  memberUnmuted: (told: Restricted) => void;
  /** The settings of a room have changed. */
  roomUpdated: (told: RoomUpdate) => void;
  /** Somebody has read on. */
  messagesRead: (told: MessagesRead) => void;
  /** A block or friendship of one's own has changed. */
  relationChanged: (told: Related) => void;
  /** One's own settings for a conversation have changed. */
  chatSettingsChanged: (told: ChatSettings) => void;
  /** One is logged out on a device, because its session was ended. */
  sessionEnded: (told: OfSession) => void;
  /** Somebody has changed their name or picture. */
  profileUpdated: (told: OfUser) => void;
  /** Somebody has registered. */
  userRegistered: (told: OfUser) => void;
  /** Somebody types, or does not any more. */
  typingChanged: (told: Typing) => void;
  /** Somebody came or went. */
  presence: (told: Presence) => void;
  /** What was sent was refused, and nobody waits for an answer. */
  error: (told: Failure) => void;
}

/** What clients send. */
export interface ClientToServerEvents {
  /** Says something in a conversation, which is begun if there is none with that person yet. */
  'message.send': (
    fields: {
    /** The client's own name for this message: sent again, it is the same message. */
    clientId?: string | null;
    /** The text of the message, or with `fileName` that of a text file. */
    content?: string | null;
    /** The name of a text file, which is then the content. */
    fileName?: string | null;
    /** An image, as a data URL. */
    image?: string | null;
    /** The message of the same conversation that this one answers. */
    replyTo?: string | null;
    /** The conversation, by its id. */
    roomId?: string | null;
    /** The message of the same conversation whose thread this one is in. */
    threadId?: string | null;
    /** The conversation, by the person one talks with. */
    userId?: string | null;
    /** The conversation, by the name of the person one talks with. */
    username?: string | null;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Reads a part of a history, the oldest message first; the latest part when nothing is said. */
  'message.list': (
    fields: {
    /** Only what comes behind this `seq`. */
    after?: number | null;
    /** Only what comes before this `seq`. */
    before?: number | null;
    /** Whether deleted messages are wanted too, without their content. */
    deleted?: boolean | null;
    /** How many are wanted at most. */
    limit?: number | null;
    /** The conversation, by its id. */
    roomId?: string | null;
    /** The conversation, by the person one talks with. */
    userId?: string | null;
    /** The conversation, by the name of the person one talks with. */
    username?: string | null;
  },
    answer: (answer: Answer<MessageList>) => void,
  ) => void;
  /** Deletes a message for everybody. */
  'message.delete': (
    fields: {
    /** The message. */
    messageId: string;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Takes the deletion of a message back. */
  'message.restore': (
    fields: {
    /** The message. */
    messageId: string;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Tells who has received a message and who has read it, in the order of joining. */
  'message.receipts': (
    fields: {
    /** Only who comes behind this `next`. */
    after?: number | null;
    /** How many are wanted at most. */
    limit?: number | null;
    /** The message. */
    messageId: string;
  },
    answer: (answer: Answer<Receipts>) => void,
  ) => void;
  /** Finds messages by their words, by who wrote them, by their kind and by when they were sent. */
  'message.search': (
    fields: {
    /** The `next` of the page before. */
    before?: string | null;
    /** Only what was sent then or later. */
    from?: number | null;
    /** How many are wanted at most. */
    limit?: number | null;
    /** What comes first. */
    order?: "newest" | "best" | null;
    /** The words, as docs/protocol.md says under Searching. */
    q?: string | null;
    /** The conversation, by its id. */
    roomId?: string | null;
    /** Only what this person wrote. */
    senderId?: string | null;
    /** Only what the person of this name wrote. */
    senderUsername?: string | null;
    /** Whether the places of what was found are wanted. */
    snippets?: boolean | null;
    /** Only messages of these kinds. */
    types?: Array<"text" | "image" | "file"> | null;
    /** Only what was sent before. */
    until?: number | null;
    /** The conversation, by the person one talks with. */
    userId?: string | null;
    /** The conversation, by the name of the person one talks with. */
    username?: string | null;
  },
    answer: (answer: Answer<Found>) => void,
  ) => void;
  /** Finds messages by their words, by who wrote them, by their kind and by when they were sent. */
  search: (
    fields: {
    /** The `next` of the page before. */
    before?: string | null;
    /** Only what was sent then or later. */
    from?: number | null;
    /** How many are wanted at most. */
    limit?: number | null;
    /** What comes first. */
    order?: "newest" | "best" | null;
    /** The words, as docs/protocol.md says under Searching. */
    q?: string | null;
    /** The conversation, by its id. */
    roomId?: string | null;
    /** Only what this person wrote. */
    senderId?: string | null;
    /** Only what the person of this name wrote. */
    senderUsername?: string | null;
    /** Whether the places of what was found are wanted. */
    snippets?: boolean | null;
    /** Only messages of these kinds. */
    types?: Array<"text" | "image" | "file"> | null;
    /** Only what was sent before. */
    until?: number | null;
    /** The conversation, by the person one talks with. */
    userId?: string | null;
    /** The conversation, by the name of the person one talks with. */
    username?: string | null;
  },
    answer: (answer: Answer<Found>) => void,
  ) => void;
  /** Makes a room, of which one is the admin. */
  'room.create': (
    fields: {
    /** Who else is in it from the beginning. */
    members?: Array<string> | null;
    /** The name of the room. */
    name: string;
    /** Whether everybody may join; `private` when nothing is said. */
    visibility?: "private" | "public" | null;
  },
    answer: (answer: Answer<OfRoom>) => void,
  ) => void;
  /** Changes the settings of a room. */
  'room.update': (
    fields: {
    /** The room. */
    roomId: string;
    /** Seconds that plain members wait between two messages, at most 21600; 0 when they need not. */
    slowMode?: number | null;
  },
    answer: (answer: Answer<OfRoom>) => void,
  ) => void;
  /** Enters a public room. */
  'room.join': (
    fields: {
    /** The room. */
    roomId: string;
  },
    answer: (answer: Answer<OfRoom>) => void,
  ) => void;
  /** Leaves a room; one learns nothing of it any more but its id. */
  'room.leave': (
    fields: {
    /** The room. */
    roomId: string;
  },
    answer: (answer: Answer<OfRoom>) => void,
  ) => void;
  /** Reads who is in a room, in the order of joining. */
  'member.list': (
    fields: {
    /** Only who comes behind this `next`. */
    after?: number | null;
    /** How many are wanted at most. */
    limit?: number | null;
    /** The room. */
    roomId: string;
  },
    answer: (answer: Answer<MemberList>) => void,
  ) => void;
  /** Takes somebody into a room. */
  'member.add': (
    fields: {
    /** The room. */
    roomId: string;
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<OfRoom>) => void,
  ) => void;
  /** Takes somebody out of a room. */
  'member.remove': (
    fields: {
    /** The room. */
    roomId: string;
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<OfRoom>) => void,
  ) => void;
  /** Says what a member of a room may do. */
  'member.setRole': (
    fields: {
    /** What the member may do. */
    role: "member" | "moderator" | "admin";
    /** The room. */
    roomId: string;
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<OfRoom>) => void,
  ) => void;
  /** Takes somebody out of a room, if they are in, and lets them come in no more. */
  'ban.add': (
    fields: {
    /** The room. */
    roomId: string;
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<OfRoom>) => void,
  ) => void;
  /** Lets somebody come into a room again. */
  'ban.remove': (
    fields: {
    /** The room. */
    roomId: string;
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<OfRoom>) => void,
  ) => void;
  /** Lists those who may not come into a room, in the order of their ids. */
  'ban.list': (
    fields: {
    /** The `next` of the page before. */
    afterId?: string | null;
    /** How many are wanted at most. */
    limit?: number | null;
    /** The room. */
    roomId: string;
  },
    answer: (answer: Answer<BanPage>) => void,
  ) => void;
  /** Keeps a member from speaking in a room. */
  'mute.add': (
    fields: {
    /** The room. */
    roomId: string;
    /** When it ends; it has no end when nothing is said. */
    until?: number | null;
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<OfRoom>) => void,
  ) => void;
  /** Lets a member speak in a room again. */
  'mute.remove': (
    fields: {
    /** The room. */
    roomId: string;
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<OfRoom>) => void,
  ) => void;
  /** Says how far one has read a conversation; to its end when nothing is said. */
  'read.mark': (
    fields: {
    /** The message. */
    messageId?: string | null;
    /** The conversation, by its id. */
    roomId?: string | null;
    /** Up to which message it is read, by its place. */
    seq?: number | null;
    /** The conversation, by the person one talks with. */
    userId?: string | null;
    /** The conversation, by the name of the person one talks with. */
    username?: string | null;
  },
    answer: (answer: Answer<ReadMark>) => void,
  ) => void;
  /** Says how far one has read a conversation; to its end when nothing is said. */
  read: (
    fields: {
    /** The message. */
    messageId?: string | null;
    /** The conversation, by its id. */
    roomId?: string | null;
    /** Up to which message it is read, by its place. */
    seq?: number | null;
    /** The conversation, by the person one talks with. */
    userId?: string | null;
    /** The conversation, by the name of the person one talks with. */
    username?: string | null;
  },
    answer: (answer: Answer<ReadMark>) => void,
  ) => void;
  /** Tells in which conversations something is unread, the latest first. */
  'unread.list': (
    fields: {
    /** How many are wanted at most. */
    limit?: number | null;
  } | null,
    answer: (answer: Answer<UnreadList>) => void,
  ) => void;
  /** Tells in which conversations something is unread, the latest first. */
  unread: (
    fields: {
    /** How many are wanted at most. */
    limit?: number | null;
  } | null,
    answer: (answer: Answer<UnreadList>) => void,
  ) => void;
  /** Reads on in the log of changes. */
  'log.sync': (
    fields: {
    /** How many are wanted at most. */
    limit?: number | null;
    /** The `next` of the answer before. */
    since?: string | null;
  } | null,
    answer: (answer: Answer<Changes>) => void,
  ) => void;
  /** Reads on in the log of changes. */
  sync: (
    fields: {
    /** How many are wanted at most. */
    limit?: number | null;
    /** The `next` of the answer before. */
    since?: string | null;
  } | null,
    answer: (answer: Answer<Changes>) => void,
  ) => void;
  /** Tells the others of a conversation whether one types. */
  'typing.set': (
    fields: {
    /** The conversation, by its id. */
    roomId?: string | null;
    /** Whether one types now. */
    typing: boolean;
    /** The conversation, by the person one talks with. */
    userId?: string | null;
    /** The conversation, by the name of the person one talks with. */
    username?: string | null;
  },
    answer: (answer: Answer<Nothing>) => void,
  ) => void;
  /** Lists all other people, and whether they are there. */
  'user.list': (
    fields: {
    /** How many are wanted at most. */
    limit?: number | null;
  } | null,
    answer: (answer: Answer<PersonList>) => void,
  ) => void;
  /** Reports a message to the moderators of its room, or a person or a direct message to the operators. */
  'report.create': (
    fields: {
    /** The message. */
    messageId?: string | null;
    /** What one has to say about it. */
    note?: string | null;
    /** What is wrong with it. */
    reason: "spam" | "abuse" | "sexual" | "violence" | "other";
    /** The person. */
    userId?: string | null;
  },
    answer: (answer: Answer<Report>) => void,
  ) => void;
  /** Lists the reports in a room, for its moderators, or else those for the operators, the oldest first. */
  'report.list': (
    fields: {
    /** The `next` of the page before. */
    cursor?: string | null;
    /** How many are wanted at most. */
    limit?: number | null;
    /** Whether resolved reports are wanted; else open ones. */
    resolved?: boolean | null;
    /** The room. */
    roomId?: string | null;
  } | null,
    answer: (answer: Answer<ReportPage>) => void,
  ) => void;
  /** Notes what was done about a report. */
  'report.resolve': (
    fields: {
    /** Whether something was done, or nothing had to be done. */
    action: "acted" | "dismissed";
    /** The report. */
    reportId: string;
    /** The room. */
    roomId?: string | null;
  },
    answer: (answer: Answer<Report>) => void,
  ) => void;
  /** Finds people by the beginning of their user names. */
  'user.search': (
    fields: {
    /** The `next` of the page before. */
    cursor?: string | null;
    /** How many are wanted at most. */
    limit?: number | null;
    /** The beginning of the user name, in capitals or not. */
    q: string;
  },
    answer: (answer: Answer<PersonPage>) => void,
  ) => void;
  /** Lists one's conversations, pinned ones first, then the latest, with what is shown of each. */
  'chat.list': (
    fields: {
    /** Only what is archived, or only what is not; all when nothing is said. */
    archived?: boolean | null;
    /** The `next` of the page before. */
    cursor?: string | null;
    /** How many are wanted at most. */
    limit?: number | null;
  } | null,
    answer: (answer: Answer<ChatPage>) => void,
  ) => void;
  /** Lists the people whom one has talked with, the latest first. */
  'chat.partners': (
    fields: {
    /** How many are wanted at most. */
    limit?: number | null;
  } | null,
    answer: (answer: Answer<PersonList>) => void,
  ) => void;
  /** Mutes, archives or pins a conversation for oneself, or keeps a draft for it. */
  'chat.set': (
    fields: {
    /** Whether the conversation is put away. */
    archived?: boolean | null;
    /** What one has begun to write; an empty text removes it. */
    draft?: string | null;
    /** Until when one is not to be disturbed; 0 ends that. */
    mutedUntil?: number | null;
    /** Whether it stands before those that are not pinned. */
    pinned?: boolean | null;
    /** The conversation, by its id. */
    roomId?: string | null;
    /** The conversation, by the person one talks with. */
    userId?: string | null;
    /** The conversation, by the name of the person one talks with. */
    username?: string | null;
  },
    answer: (answer: Answer<ChatSettings>) => void,
  ) => void;
  /** Lists the conversations for which one has set something. */
  'chat.settings': (
    fields: {
    /** The `next` of the page before. */
    cursor?: string | null;
    /** How many are wanted at most. */
    limit?: number | null;
  } | null,
    answer: (answer: Answer<ChatSettingsPage>) => void,
  ) => void;
  /** Changes one's own name and picture. */
  'profile.update': (
    fields: {
    /** The picture, as a data URL. */
    avatar?: string | null;
    /** The name that is shown. */
    fullName?: string | null;
  },
    answer: (answer: Answer<OfUser>) => void,
  ) => void;
  /** Blocks a person, and ends what there is of a friendship. */
  'user.block': (
    fields: {
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<Related>) => void,
  ) => void;
  /** Lifts one's own block. */
  'user.unblock': (
    fields: {
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<Related>) => void,
  ) => void;
  /** Lists the people whom one blocks. */
  'block.list': (
    fields: {
    /** The `next` of the page before. */
    cursor?: string | null;
    /** How many are wanted at most. */
    limit?: number | null;
  } | null,
    answer: (answer: Answer<RelatedPage>) => void,
  ) => void;
  /** Asks for friendship, or accepts it where the other one has asked. */
  'friend.request': (
    fields: {
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<Related>) => void,
  ) => void;
  /** Accepts a request for friendship. */
  'friend.accept': (
    fields: {
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<Related>) => void,
  ) => void;
  /** Declines a request for friendship. */
  'friend.decline': (
    fields: {
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<Related>) => void,
  ) => void;
  /** Takes one's own request for friendship back. */
  'friend.withdraw': (
    fields: {
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<Related>) => void,
  ) => void;
  /** Ends a friendship. */
  'friend.remove': (
    fields: {
    /** The person. */
    userId: string;
  },
    answer: (answer: Answer<Related>) => void,
  ) => void;
  /** Lists friends, or requests for friendship. */
  'friend.list': (
    fields: {
    /** The `next` of the page before. */
    cursor?: string | null;
    /** Friends, or the requests that were received or sent; `friends` when nothing is said. */
    kind?: "friends" | "received" | "sent" | null;
    /** How many are wanted at most. */
    limit?: number | null;
  } | null,
    answer: (answer: Answer<RelatedPage>) => void,
  ) => void;
  /** Lists the devices on which one is logged in, the one that was used last first. */
  'session.list': (
    fields: Record<string, unknown> | null,
    answer: (answer: Answer<SessionList>) => void,
  ) => void;
  /** Logs out on a device: its connections close, and its tokens are void at once. */
  'session.end': (
    fields: {
    /** The session. */
    sessionId: string;
  },
    answer: (answer: Answer<EndedSessions>) => void,
  ) => void;
  /** Logs out on all other devices. */
  'session.endOthers': (
    fields: Record<string, unknown> | null,
    answer: (answer: Answer<EndedSessions>) => void,
  ) => void;
  /** Reacts to a message with an emoji. */
  'reaction.add': (
    fields: {
    /** One emoji of Unicode, sequences included. */
    emoji: string;
    /** The message. */
    messageId: string;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Takes a reaction back. */
  'reaction.remove': (
    fields: {
    /** One emoji of Unicode, sequences included. */
    emoji: string;
    /** The message. */
    messageId: string;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Gives one of one's own messages another text. */
  'message.edit': (
    fields: {
    /** The new text. */
    content: string;
    /** The message. */
    messageId: string;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Reads what a message said before, the first text first, where that was kept; for those who may delete it. */
  'message.edits': (
    fields: {
    /** The message. */
    messageId: string;
  },
    answer: (answer: Answer<MessageList>) => void,
  ) => void;
  /** Deletes a message for oneself only, on all one's devices. */
  'message.hide': (
    fields: {
    /** The message. */
    messageId: string;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Shows oneself a hidden message again. */
  'message.unhide': (
    fields: {
    /** The message. */
    messageId: string;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Pins a message for all members of its conversation. */
  'message.pin': (
    fields: {
    /** The message. */
    messageId: string;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Unpins a message. */
  'message.unpin': (
    fields: {
    /** The message. */
    messageId: string;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Lists the pinned messages of a conversation, the one that was pinned last first. */
  'message.pins': (
    fields: {
    /** The conversation, by its id. */
    roomId?: string | null;
    /** The conversation, by the person one talks with. */
    userId?: string | null;
    /** The conversation, by the name of the person one talks with. */
    username?: string | null;
  },
    answer: (answer: Answer<MessageList>) => void,
  ) => void;
  /** Sends a copy of a message to another conversation, or to the same one. */
  'message.forward': (
    fields: {
    /** The client's own name for this message: sent again, it is the same message. */
    clientId?: string | null;
    /** The message. */
    messageId: string;
    /** The conversation, by its id. */
    roomId?: string | null;
    /** The conversation, by the person one talks with. */
    userId?: string | null;
    /** The conversation, by the name of the person one talks with. */
    username?: string | null;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Reads the messages in a thread, the oldest first; the latest of them when nothing is said. */
  'thread.history': (
    fields: {
    /** Only what comes before this `seq`. */
    before?: number | null;
    /** How many are wanted at most. */
    limit?: number | null;
    /** The message that the thread is about. */
    threadId: string;
  },
    answer: (answer: Answer<ThreadHistory>) => void,
  ) => void;
  /** Lists the threads that one follows, the one with the last reply first. */
  'thread.list': (
    fields: {
    /** The `next` of the page before. */
    cursor?: string | null;
    /** How many are wanted at most. */
    limit?: number | null;
  } | null,
    answer: (answer: Answer<ThreadPage>) => void,
  ) => void;
  /** Follows a thread, as those do who write in it. */
  'thread.follow': (
    fields: {
    /** The message that the thread is about. */
    threadId: string;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Stops following a thread. */
  'thread.unfollow': (
    fields: {
    /** The message that the thread is about. */
    threadId: string;
  },
    answer: (answer: Answer<OfMessage>) => void,
  ) => void;
  /** Carries several commands out, one after the other. */
  batch: (
    fields: {
    /** The commands, to be carried out in this order. */
    commands: Array<{
      data?: Record<string, unknown>;
      event: string;
    }>;
  },
    answer: (answer: Answer<Results>) => void,
  ) => void;
  /** Has the connection go on until a later access token of its session expires. */
  'session.renew': (
    fields: {
    /** An access token of the same session. */
    token: string;
  },
    answer: (answer: Answer<Renewed>) => void,
  ) => void;
}
