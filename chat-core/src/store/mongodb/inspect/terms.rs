//! The index that searches go by: what is in it of messages and conversations that are not there.

use mongodb::bson::doc;

use super::MongoInspector;
use crate::store::inspect::{INDEX, Inspection};
use crate::store::mongodb::collections::{CONVERSATIONS, INDEXED, MESSAGES, TERMS};
use crate::store::mongodb::documents::object_id;
use crate::store::mongodb::faults::Fault;
use crate::store::mongodb::fields::as_id;

impl MongoInspector {
    pub(super) async fn terms(&self, inspection: &mut Inspection<'_>) -> Result<(), Fault> {
        let place = self.place(TERMS);
        self.parts(TERMS, (doc! {}, doc! { "_id": 1 }), async |part| {
            let ids: Vec<_> =
                part.iter().filter_map(|doc| doc.get("_id").ok().flatten().and_then(as_id)).collect();
            for id in self.missing(MESSAGES, ids).await? {
                let wrong = "there is no such message";
                inspection.leftover("search index entry", object_id(&id), &place, wrong, INDEX);
            }
            Ok(())
        })
        .await?;
        let place = self.place(INDEXED);
        self.parts(INDEXED, (doc! {}, doc! { "_id": 1 }), async |part| {
            let ids: Vec<_> =
                part.iter().filter_map(|doc| doc.get("_id").ok().flatten().and_then(as_id)).collect();
            for id in self.missing(CONVERSATIONS, ids).await? {
                let wrong = "there is no such conversation";
                inspection.leftover("search index entry", object_id(&id), &place, wrong, INDEX);
            }
            Ok(())
        })
        .await
    }
}
