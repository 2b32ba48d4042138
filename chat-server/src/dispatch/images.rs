//! Commands with an image: the image is stored, the command is carried out, and then the image is kept or removed; see
//! [`crate::media::Images`].

use std::collections::HashSet;
use std::sync::Arc;

use chat_core::command::{Answer, ReplyRef, Request};
use chat_core::error::{Error, ErrorKind};
use chat_core::id::UserId;
use chat_core::model::UserKey;
use chat_core::store::{Change, StoreError};

use super::run_to_completion;
use crate::app::App;
use crate::http::error::HttpError;
use crate::media::{Entry, ImageError, Media, MediaError, NewImage, Purpose};
use crate::outages::Part;

/// The maximum number of changes that are read from the log at once.
const MAX_CHANGES: usize = 64;

impl App {
    /// Carries out a command that references an image by its new link. The image is removed when the command is
    /// refused, or when its result references another image. A replaced profile picture is removed as well.
    ///
    /// # Errors
    /// When the image is not accepted or the command was not carried out.
    pub(crate) async fn dispatch_with_image<R: Request>(
        self: &Arc<Self>,
        user: UserId,
        media: Media,
        command: impl FnOnce(String) -> R + Send + 'static,
    ) -> Result<R::Reply, HttpError> {
        let app = self.clone();
        // The future of a request is dropped at any point when its client disconnects, and then the image would stay
        // undecided.
        let work = async move { app.store_and_dispatch(user, media, command).await };
        run_to_completion(work).await.ok_or_else(HttpError::internal)?
    }

    async fn store_and_dispatch<R: Request>(
        self: &Arc<Self>,
        user: UserId,
        media: Media,
        command: impl FnOnce(String) -> R,
    ) -> Result<R::Reply, HttpError> {
        let is_profile = media.purpose == Purpose::ProfilePicture;
        let replaces = if is_profile { self.picture(user).await? } else { None };
        let new = NewImage {
            owner: user,
            media,
            now: self.chat.now(),
            position: self.announcer.position(),
            replaces,
        };
        let put = self.images.put(new).await;
        match &put {
            Ok(_) => self.outages.worked(Part::Media),
            Err(ImageError::Media(error @ MediaError::Unavailable { .. })) => {
                self.outages.failed(Part::Media, error);
            }
            Err(_) => {}
        }
        let pending = put?;
        let turn = if is_profile { Some(self.images.turn(user).await) } else { None };
        let replaced = match turn {
            Some(_) => self.picture(user).await,
            None => Ok(None),
        };
        let replaced = match replaced {
            Ok(replaced) => replaced,
            Err(error) => {
                pending.discard().await;
                return Err(error.into());
            }
        };
        let reply = self.dispatch(user, command(pending.url().to_owned())).await;
        match &reply {
            Ok(reply) if names(reply.as_reply(), pending.url()) => pending.keep(replaced.as_deref()).await,
            Ok(_) => pending.discard().await,
            // The command may have been stored nevertheless. The image stays in the journal, and the sweep decides.
            Err(error) if is_uncertain(error) => drop(pending),
            Err(_) => pending.discard().await,
        }
        drop(turn);
        Ok(reply?)
    }

    async fn picture(&self, user: UserId) -> Result<Option<String>, Error> {
        let user = self.chat.find_user(&UserKey::Id(user)).await?;
        Ok(user.map(|user| user.picture.clone()).filter(|picture| !picture.is_empty()))
    }

    /// Decides old undecided images: those that a message or profile references are kept, the others are removed.
    ///
    /// # Errors
    /// When the store or the journal cannot be read. In this case only images that are certainly unreferenced were
    /// removed.
    pub(crate) async fn sweep_images(&self) -> Result<(), Error> {
        let unreadable = |error: std::io::Error| StoreError::Unavailable(error.to_string());
        let undecided = self.images.undecided(self.chat.now()).map_err(unreadable)?;
        if undecided.is_empty() {
            return Ok(());
        }
        let (profiles, messages): (Vec<_>, Vec<_>) =
            undecided.into_iter().partition(|entry| entry.purpose == Purpose::ProfilePicture);
        let named = self.named_by_messages(&messages).await?;
        for entry in messages {
            let is_named = named.as_ref().is_none_or(|named| named.contains(&entry.url));
            chat_core::log_throttled!(
                info, user.id = %entry.owner, kept = is_named, "an image was left undecided"
            );
            let pending = self.images.pending(entry);
            if is_named { pending.keep(None).await } else { pending.discard().await }
        }
        for entry in profiles {
            let key = UserKey::Id(entry.owner);
            let picture = self.chat.store().user(&key).await?.map(|user| user.picture.clone());
            let is_named = picture.as_deref() == Some(&*entry.url);
            chat_core::log_throttled!(
                info, user.id = %entry.owner, kept = is_named, "a profile picture was left undecided"
            );
            let replaced = entry.replaces.clone().filter(|replaced| picture.as_ref() != Some(replaced));
            let pending = self.images.pending(entry);
            if is_named {
                pending.keep(replaced.as_deref()).await;
                continue;
            }
            pending.discard().await;
            if let Some(replaced) = replaced {
                self.images.remove(&replaced).await;
            }
        }
        Ok(())
    }

    /// Which of these images are referenced by messages. `None` when the log does not reach back far enough to know
    /// this.
    async fn named_by_messages(&self, entries: &[Entry]) -> Result<Option<HashSet<String>>, Error> {
        let mut named = HashSet::new();
        let Some(mut from) = entries.iter().map(|entry| entry.position).min() else {
            return Ok(Some(named));
        };
        // A message is committed within seconds of its image.
        let until = entries.iter().map(|entry| entry.at).max().unwrap_or_default();
        let until = until.after(crate::media::SETTLED_AFTER);
        let wanted: HashSet<&str> = entries.iter().map(|entry| &*entry.url).collect();
        loop {
            let changes = match self.chat.store().changes_after(from, MAX_CHANGES).await {
                Ok(Some(changes)) => changes,
                Ok(None) => {
                    tracing::warn!("images that were left undecided stay: the log was forgotten");
                    return Ok(None);
                }
                Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "images that were left undecided stay: the log cannot be read");
                    return Ok(None);
                }
            };
            let Some(last) = changes.last() else { return Ok(Some(named)) };
            from = last.position;
            for logged in &changes {
                let Change::MessageSent(message) = &logged.change else { continue };
                if message.created_at > until {
                    return Ok(Some(named));
                }
                if let Some(image) = message.image.as_deref().filter(|image| wanted.contains(image)) {
                    named.insert(image.to_owned());
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

fn names(reply: ReplyRef<'_>, url: &str) -> bool {
    match reply {
        ReplyRef::Message(view) => view.message.content.image.as_deref() == Some(url),
        ReplyRef::User(user) => user.picture == url,
        ReplyRef::Done
        | ReplyRef::Messages(_)
        | ReplyRef::Users(_)
        | ReplyRef::Conversation(_)
        | ReplyRef::Members(_)
        | ReplyRef::Bans(_)
        | ReplyRef::Read(_)
        | ReplyRef::Unread(_)
        | ReplyRef::Related(_)
        | ReplyRef::RelatedPage(_)
        | ReplyRef::UserPage(_)
        | ReplyRef::Report(_)
        | ReplyRef::ReportPage(_)
        | ReplyRef::Receipts(_)
        | ReplyRef::Chats(_)
        | ReplyRef::Thread(_)
        | ReplyRef::Threads(_)
        | ReplyRef::ChatSet(_)
        | ReplyRef::ChatSetPage(_)
        | ReplyRef::Changes(_)
        | ReplyRef::Found(_)
        | ReplyRef::Sessions(_)
        | ReplyRef::EndedSessions(_) => false,
    }
}

fn is_uncertain(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal)
}

impl From<ImageError> for HttpError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Media(error) => error.into(),
            ImageError::Quota(_) => Self::new(axum::http::StatusCode::PAYLOAD_TOO_LARGE, &error.to_string()),
            ImageError::Rate(rate) => Self::limited(rate),
        }
    }
}
