//! What a message is sent with beside its content, such as the message that it answers. Each of these is a row of a keyed
//! table, which is stored together with the message, and an annex that shows it. A message that is sent with none of them
//! reads and writes nothing more than its content.

use super::{Annexes, forwarding, threads};
use crate::chat::Chat;
use crate::error::Error;
use crate::id::{MessageId, UserId};
use crate::model::{Content, Conversation};
use crate::store::keyed::KeyPart;
use crate::store::tx::{Abort, Reads, Tx};
use crate::store::write::{Append, Effect};
use crate::store::{Appended, Row, Table};

/// What a message is sent with beside its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The message that it answers, of the same conversation.
    pub reply_to: Option<MessageId>,
    /// The message that it is a copy of. Its content takes the place of the content that is sent, which is empty.
    pub forward: Option<MessageId>,
    /// The root of the thread that it is in, of the same conversation.
    pub thread: Option<MessageId>,
}

/// What is stored with a new message, and how the message shows it.
#[derive(Default)]
pub(crate) struct Notes {
    /// The rows.
    pub(crate) rows: Vec<(Table, Row)>,
    /// The annexes of the message.
    pub(crate) annexes: Annexes,
}

impl Chat {
    /// Checks what a message is sent with, and prepares its rows.
    pub(crate) async fn notes(
        &self,
        id: MessageId,
        (sender, conversation): (UserId, &Conversation),
        content: &Content,
        context: Context,
    ) -> Result<Notes, Error> {
        let Context { reply_to, forward, thread } = context;
        let mut notes = Notes::default();
        if let Some(to) = reply_to {
            self.note_reply(id, conversation.id, to, &mut notes).await?;
        }
        if let Some(root) = thread {
            self.note_thread(id, conversation.id, root, &mut notes).await?;
        }
        if forward.is_some() {
            // A copy calls nobody again.
            forwarding::note(id, &mut notes);
        } else if content.file_name.is_none() && content.text.contains('@') {
            self.note_mentions(id, (sender, conversation), &content.text, &mut notes).await?;
        }
        Ok(notes)
    }
}

/// Appends a message as [`Append`] does, together with rows of keyed tables that belong to it. When the message was sent
/// before or is refused, the rows are not stored.
pub struct AppendWith {
    /// The message.
    pub append: Append,
    /// The rows, each once.
    pub rows: Vec<(Table, Row)>,
}

impl Effect for AppendWith {
    fn reads(&self, reads: &mut Reads) {
        let new = &self.append.0;
        self.append.reads(reads);
        reads.messages.insert(new.id);
        reads.rows.extend(self.rows.iter().map(|(table, row)| (*table, row.key.clone())));
        for value in self.threads() {
            threads::name_reads_of_join(reads, (new.sender, new.conversation), value);
        }
    }

    fn most_logged(&self) -> u64 {
        self.append.most_logged()
    }

    fn size(&self) -> usize {
        let rows: usize = self.rows.iter().map(|(_, row)| 64 + row.key.len() + row.value.len()).sum();
        self.append.size() + rows
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Appended, Abort<T::Error>> {
        let appended = self.append.apply(tx)?;
        if !matches!(appended, Appended::New { .. }) {
            return Ok(appended);
        }
        for (table, row) in &self.rows {
            tx.put_row(*table, &row.key, &row.value)?;
        }
        let Some(mut message) = tx.message(self.append.0.id)? else { return Ok(appended) };
        for (table, _) in &self.rows {
            if table.layout().first() == Some(&KeyPart::Message) {
                message.facets = message.facets.with(*table, true);
            }
        }
        tx.set_facets(&message)?;
        for value in self.threads() {
            threads::join(tx, &message, value)?;
        }
        Ok(appended)
    }
}

impl AppendWith {
    /// The rows that put the message into a thread: one or none.
    fn threads(&self) -> impl Iterator<Item = &[u8]> {
        let rows = self.rows.iter().filter(|(table, _)| *table == Table::InThread);
        rows.map(|(_, row)| &*row.value)
    }
}
