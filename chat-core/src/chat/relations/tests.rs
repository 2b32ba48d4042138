//! Tests of [`relations`](super).

use super::*;
use crate::chat::Registration;
use crate::command::{
    Actor, AddMember, CreateRoom, Destination, MarkRead, ReadHistory, ReadUpTo, Request, SendMessage,
    SetTyping,
};
use crate::error::ErrorKind;
use crate::history::Window;
use crate::model::{Content, PasswordHash, Position, RelationAct, UserKey, Visibility};
use crate::store::MemoryStore;

struct Scene {
    chat: Chat,
    ann: UserId,
    bob: UserId,
    eve: UserId,
}

impl Scene {
    async fn new() -> Self {
        let chat = Chat::in_memory();
        let mut people = Vec::new();
        for name in ["ann", "bob", "eve"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let [ann, bob, eve] = people[..] else { panic!("three people") };
        Self { chat, ann, bob, eve }
    }

    async fn run<R: Request>(&self, user: UserId, request: R) -> Result<Outcome<R::Reply>, Error> {
        self.chat.execute(&Actor { user }, request).await
    }

    async fn relate(&self, by: UserId, act: RelationAct, with: UserId) -> Result<Outcome<Related>, Error> {
        self.run(by, ChangeRelation { with, act }).await
    }

    async fn block(&self, by: UserId, with: UserId) {
        self.relate(by, RelationAct::Block, with).await.unwrap();
    }

    async fn say(&self, from: UserId, to: Destination) -> Result<(), ErrorKind> {
        let send = SendMessage {
            to,
            content: Content::text("hello"),
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        self.run(from, send).await.map(drop).map_err(|error| error.kind())
    }

    async fn list(&self, of: UserId, kind: RelationKind) -> Vec<UserId> {
        let list = ListRelations { kind, after: None, limit: 9 };
        let page = self.run(of, list).await.unwrap().reply;
        assert_eq!(page.next, None);
        page.people.iter().map(|related| related.user.id).collect()
    }
}

fn with(user: UserId) -> Destination {
    Destination::Person(UserKey::Id(user))
}

/// The people who receive each delivery.
fn told(scene: &Scene, deliveries: &[Delivery]) -> Vec<Vec<UserId>> {
    let people = [scene.ann, scene.bob, scene.eve];
    let told =
        |delivery: &Delivery| people.into_iter().filter(|user| delivery.audience.includes(*user)).collect();
    deliveries.iter().map(told).collect()
}

#[tokio::test]
async fn blocked_people_do_not_reach_each_other_and_keep_their_history() {
    let scene = Scene::new().await;
    let Scene { ann, bob, eve, .. } = scene;
    scene.say(bob, with(ann)).await.unwrap();
    scene.block(ann, bob).await;
    for (from, to) in [(ann, bob), (bob, ann)] {
        assert_eq!(scene.say(from, with(to)).await, Err(ErrorKind::Forbidden));
        let create = CreateRoom { name: "r".into(), visibility: Visibility::Private, members: vec![eve, to] };
        assert_eq!(scene.run(from, create).await.unwrap_err().kind(), ErrorKind::Forbidden);
        let create = CreateRoom { name: "r".into(), visibility: Visibility::Private, members: vec![eve] };
        let room = scene.run(from, create).await.unwrap().reply.id;
        let add = AddMember { room, user: to };
        assert_eq!(scene.run(from, add).await.unwrap_err().kind(), ErrorKind::Forbidden);
        let read = ReadHistory { of: with(to), window: Window::Latest { limit: 9 }, include_deleted: false };
        assert_eq!(scene.run(from, read).await.unwrap().reply.messages.len(), 1, "the history stays");
    }
    assert_eq!(
        (scene.list(ann, RelationKind::Blocked).await, scene.list(bob, RelationKind::Blocked).await),
        (vec![bob], vec![])
    );
    scene.relate(ann, RelationAct::Unblock, bob).await.unwrap();
    scene.say(bob, with(ann)).await.unwrap();
}

/// A block is delivered only to the person who blocks, on all their devices. The blocked person sees no difference.
#[tokio::test]
async fn a_block_is_told_to_its_maker_alone() {
    let scene = Scene::new().await;
    let Scene { ann, bob, .. } = scene;
    let blocked = scene.relate(ann, RelationAct::Block, bob).await.unwrap();
    assert_eq!(told(&scene, &blocked.deliveries), [[ann]]);
    assert!(blocked.reply.relation.blocks);
    let again = scene.relate(ann, RelationAct::Block, bob).await.unwrap();
    assert_eq!((again.reply, again.deliveries.len()), (blocked.reply, 0));
    let his = scene.relate(bob, RelationAct::Block, ann).await.unwrap();
    assert_eq!(
        his.reply.relation,
        Relation { blocks: true, ..Relation::default() },
        "not that he is blocked"
    );
    let (mine, _) = scene.chat.changes_for(bob, Position(0), 9).await.unwrap().unwrap();
    assert_eq!(told(&scene, &mine), [[bob]]);
}

#[tokio::test]
async fn nothing_is_opened_or_told_between_blocked_people() {
    let scene = Scene::new().await;
    let Scene { ann, bob, eve, .. } = scene;
    scene.block(ann, bob).await;
    assert_eq!(scene.say(bob, with(ann)).await, Err(ErrorKind::Forbidden));
    let typing = scene.run(bob, SetTyping { to: with(ann), typing: true }).await.unwrap();
    assert!(typing.deliveries.is_empty());
    assert_eq!(scene.chat.store().direct(crate::model::Pair::new(ann, bob)).await.unwrap(), None);
    // In a room with both people, messages go to the others but not between the two.
    let create = CreateRoom { name: "r".into(), visibility: Visibility::Public, members: vec![ann, bob] };
    let room = Destination::Conversation(scene.run(eve, create).await.unwrap().reply.id);
    scene.say(eve, room.clone()).await.unwrap();
    let typing = scene.run(bob, SetTyping { to: room.clone(), typing: true }).await.unwrap();
    assert_eq!(told(&scene, &typing.deliveries), [[eve]]);
    let heard = scene.chat.ephemeral(typing.deliveries[0].event.ephemeral().unwrap()).await.unwrap();
    assert_eq!(told(&scene, &[heard.unwrap()]), [[eve]], "nor by another node");
    let read = scene.run(ann, MarkRead { of: room.clone(), up_to: ReadUpTo::TheLast }).await.unwrap();
    assert_eq!(told(&scene, &read.deliveries), [[ann, eve]]);
    let begin = Position(read.deliveries[0].position.unwrap().0 - 1);
    let (later, _) = scene.chat.changes_for(bob, begin, 9).await.unwrap().unwrap();
    assert!(later.is_empty(), "nor later: {later:?}");
    scene.relate(ann, RelationAct::Unblock, bob).await.unwrap();
    let typing = scene.run(bob, SetTyping { to: room, typing: true }).await.unwrap();
    assert_eq!(told(&scene, &typing.deliveries), [[ann, eve]]);
}

#[tokio::test]
async fn a_block_is_known_to_other_nodes_once_they_have_read_of_it() {
    let store = Arc::new(MemoryStore::new());
    let (here, there) = (Chat::new(store.clone()), Chat::new(store));
    let mut people = Vec::new();
    for name in ["ann", "bob"] {
        people.push(here.register(Registration::named(name, PasswordHash::new("x"))).await.unwrap().user.id);
    }
    assert!(there.cut_off(people[1]).await.unwrap().is_empty());
    let block = ChangeRelation { with: people[1], act: RelationAct::Block };
    here.execute(&Actor { user: people[0] }, block).await.unwrap();
    there.changes_after(Position(0), 9).await.unwrap();
    for (one, other) in [(0, 1), (1, 0)] {
        assert!(there.cut_off(people[one]).await.unwrap().contains(&people[other]));
    }
}

#[tokio::test]
async fn friends_are_made_by_both_and_listed() {
    let scene = Scene::new().await;
    let Scene { ann, bob, eve, .. } = scene;
    let asked = scene.relate(ann, RelationAct::Ask, bob).await.unwrap();
    assert_eq!(told(&scene, &asked.deliveries), [[ann], [bob]]);
    assert_eq!(scene.list(bob, RelationKind::Received).await, [ann]);
    assert_eq!(scene.list(ann, RelationKind::Sent).await, [bob]);
    assert_eq!(scene.list(ann, RelationKind::Friends).await, []);
    let both = scene.relate(bob, RelationAct::Accept, ann).await.unwrap();
    assert_eq!(both.reply.relation.friendship, Friendship::Friends);
    assert_eq!(
        (scene.list(ann, RelationKind::Friends).await, scene.list(bob, RelationKind::Friends).await),
        (vec![bob], vec![ann])
    );
    let error = scene.relate(eve, RelationAct::Accept, ann).await.unwrap_err();
    assert!(matches!(error, Error::RequestNotFound));
    let ended = scene.relate(bob, RelationAct::Block, ann).await.unwrap();
    assert_eq!(told(&scene, &ended.deliveries), [[bob], [ann]], "she sees that they are no friends any more");
    let Event::RelationChanged { relation, .. } = ended.deliveries[1].event else { panic!("of relations") };
    assert_eq!(relation, Relation::default(), "and no more");
    assert_eq!(scene.list(ann, RelationKind::Friends).await, []);
    let error = scene.relate(ann, RelationAct::Ask, bob).await.unwrap_err();
    assert!(matches!(error, Error::Forbidden(_)));
    assert_eq!(scene.list(bob, RelationKind::Received).await, []);
    for by in [ann, bob] {
        let error = scene.relate(by, RelationAct::Block, by).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "userId", .. }));
    }
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let scene = Scene::new().await;
    let mut all = Vec::new();
    for n in 0..23 {
        let registration = Registration::named(format!("person-{n}"), PasswordHash::new("x"));
        let user = scene.chat.register(registration).await.unwrap().user.id;
        scene
            .relate(scene.ann, if n % 3 == 0 { RelationAct::Block } else { RelationAct::Ask }, user)
            .await
            .unwrap();
        all.extend((n % 3 != 0).then_some(user));
    }
    all.sort_unstable();
    for limit in [1, 4, all.len(), 99] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let list = ListRelations { kind: RelationKind::Sent, after, limit };
            let page = scene.run(scene.ann, list).await.unwrap().reply;
            assert!(page.people.len() <= limit && (page.next.is_none() || page.people.len() == limit));
            found.extend(page.people.iter().map(|related| related.user.id));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(found, all, "{limit} at a time");
    }
}
