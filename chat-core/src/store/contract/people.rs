//! Contract tests of [`UserStore`](crate::store::UserStore): accounts.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::support::{
    ODD_TEXTS, append, at, create, email, everything, hash, id, last_position, new_message, new_user, people,
    person, room, user_id,
};
use super::support::{username, whole_log};
use crate::clock::Timestamp;
use crate::id::{ConversationId, UserId};
use crate::model::{NewUser, PasswordHash, Position, ProfilePatch, User, UserKey};
use crate::store::{Change, CreatedUser, LoggedChange, Store};

async fn find(store: &dyn Store, key: &UserKey) -> Option<Arc<User>> {
    let user = store.user(key).await.expect("looking a person up must work");
    let known = store.credentials(key).await.expect("looking credentials up must work");
    assert_eq!(user, known.map(|(user, _)| user), "user and credentials must find the same for {key:?}");
    user
}

/// A new account is returned unchanged, both on creation and when looked up by each of its keys.
pub async fn an_account_is_found_by_id_name_and_address(store: Arc<dyn Store>) {
    let new = new_user(1, Some("Ann"), Some("ann@example.org"));
    let made = create(&*store, new.clone()).await;
    assert_eq!(*made, new.user, "create_user must answer the account as given");
    for key in [id(new.user.id), username("Ann"), email("ann@example.org")] {
        assert_eq!(find(&*store, &key).await.as_deref(), Some(&new.user), "user({key:?})");
        let (_, hash) = store.credentials(&key).await.unwrap().expect("credentials must be found");
        assert!(hash == new.password_hash, "credentials({key:?}) must give the hash as given");
    }
}

/// Looking up an unknown account returns `None` for every kind of key, and is not an error.
pub async fn an_unknown_person_is_none(store: Arc<dyn Store>) {
    let keys = [id(user_id(9)), username("nobody"), email("nobody@example.org"), username(""), email("")];
    for key in &keys {
        assert_eq!(find(&*store, key).await, None, "{key:?} in an empty store");
    }
    person(&*store, 1).await;
    for key in &keys {
        assert_eq!(find(&*store, key).await, None, "{key:?} among others");
    }
    // A key of one kind is not a key of another.
    assert_eq!(find(&*store, &username("person-1@example.org")).await, None, "an address is not a name");
    assert_eq!(find(&*store, &email("person-1")).await, None, "a name is not an address");
    assert_eq!(find(&*store, &username(&user_id(1).to_string())).await, None, "an id is not a name");
}

const SAME_WITHOUT_CASE: [[&str; 2]; 5] = [
    ["Ann", "aNN"],
    ["Žofie", "žOFIE"],
    ["ЮЛИЯ", "юлия"],
    ["ÅSA-ΔΈΛΤΑ", "åsa-δέλτα"],
    ["ǅ\u{130}", "ǆi\u{307}"],
];

/// User names are compared without regard to case, in all scripts, and keep their spelling.
pub async fn names_are_unique_without_regard_to_case(store: Arc<dyn Store>) {
    for (n, [first, other]) in (0..).zip(SAME_WITHOUT_CASE) {
        create(&*store, new_user(2 * n, Some(first), None)).await;
        let second = store.create_user(new_user(2 * n + 1, Some(other), None)).await.unwrap();
        assert_eq!(second, CreatedUser::UsernameTaken, "{other} is {first}");
        for spelling in [first, other] {
            let found =
                find(&*store, &username(spelling)).await.unwrap_or_else(|| panic!("{spelling} not found"));
            assert_eq!(found.username.as_deref(), Some(first), "the spelling must stay as given");
        }
    }
}

/// E-mail addresses are compared without regard to case.
pub async fn addresses_are_unique_without_regard_to_case(store: Arc<dyn Store>) {
    for (n, [first, other]) in (0..).zip(SAME_WITHOUT_CASE) {
        let [first, other] = [first, other].map(|local| format!("{local}@Example.ORG"));
        // The caller stores addresses in lower case.
        let kept = first.to_lowercase();
        create(&*store, new_user(2 * n, None, Some(&kept))).await;
        for again in [&kept, &first, &other] {
            let second = store.create_user(new_user(2 * n + 1, None, Some(again))).await.unwrap();
            assert_eq!(second, CreatedUser::EmailTaken, "{again} is {kept}");
            assert_eq!(
                find(&*store, &email(again)).await.map(|user| user.id),
                Some(user_id(2 * n)),
                "{again}"
            );
        }
    }
}

/// Names that differ in more than case are different: accents, trailing spaces, other forms of the same letter.
pub async fn names_that_differ_are_different(store: Arc<dyn Store>) {
    for (n, name) in (0..).zip(["zoe", "zoé", "zoe\u{301}", "zoe ", " zoe", "zoë", "ｚｏｅ", "ſoe", "soe"])
    {
        create(&*store, new_user(n, Some(name), Some(name))).await;
        assert_eq!(find(&*store, &username(name)).await.map(|user| user.id), Some(user_id(n)), "{name:?}");
        assert_eq!(find(&*store, &email(name)).await.map(|user| user.id), Some(user_id(n)), "{name:?}");
    }
}

/// A refused account leaves nothing behind: its free name, address and id stay free.
pub async fn a_refused_account_changes_nothing(store: Arc<dyn Store>) {
    create(&*store, new_user(1, Some("ann"), Some("ann@example.org"))).await;
    let before = everything(&*store).await;
    let refused = [
        (new_user(2, Some("ANN"), Some("free@example.org")), CreatedUser::UsernameTaken),
        (new_user(2, Some("free"), Some("ann@example.org")), CreatedUser::EmailTaken),
        // When both the name and the address are taken, the name is reported.
        (new_user(2, Some("ann"), Some("ann@example.org")), CreatedUser::UsernameTaken),
        // A taken id is reported as a taken name.
        (new_user(1, Some("free"), Some("free@example.org")), CreatedUser::UsernameTaken),
        (new_user(1, None, None), CreatedUser::UsernameTaken),
        (new_user(1, Some("free"), Some("ann@example.org")), CreatedUser::UsernameTaken),
    ];
    for (new, answer) in refused {
        let (who, address) = (new.user.username.clone(), new.user.email.clone());
        assert_eq!(store.create_user(new).await.unwrap(), answer, "{who:?}, {address:?}");
        assert_eq!(everything(&*store).await, before, "{who:?}, {address:?} must leave everything as it was");
        for key in [id(user_id(2)), username("free"), email("free@example.org")] {
            assert_eq!(find(&*store, &key).await, None, "{key:?} must still be free");
        }
    }
    create(&*store, new_user(2, Some("free"), Some("free@example.org"))).await;
}

/// Any number of accounts may have no name, no address, or neither; a missing value is not a shared value.
pub async fn names_and_addresses_may_be_missing(store: Arc<dyn Store>) {
    for n in 0..9 {
        let (name, address) = (format!("name-{n}"), format!("{n}@example.org"));
        let new = match n % 3 {
            0 => new_user(n, None, None),
            1 => new_user(n, Some(&name), None),
            _ => new_user(n, None, Some(&address)),
        };
        create(&*store, new.clone()).await;
        assert_eq!(find(&*store, &id(user_id(n))).await.as_deref(), Some(&new.user));
    }
    // The empty text is a value, and no account has it so far.
    let empty = new_user(20, Some(""), Some(""));
    create(&*store, empty.clone()).await;
    assert_eq!(find(&*store, &username("")).await.as_deref(), Some(&empty.user));
}

/// The user name of one account is never the address of another. One account may use the same text for both.
pub async fn nobodys_name_is_anothers_address(store: Arc<dyn Store>) {
    create(&*store, new_user(1, Some("Ann@Example.org"), None)).await;
    create(&*store, new_user(2, None, Some("bob@example.org"))).await;
    create(&*store, new_user(3, Some("carl"), Some("carl@example.org"))).await;
    // The name and the address of one account may be equal.
    create(&*store, new_user(4, Some("dora@example.org"), Some("dora@example.org"))).await;
    let before = everything(&*store).await;
    let refused = [
        (None, Some("ann@example.org"), CreatedUser::EmailTaken),
        (Some("free"), Some("ann@example.org"), CreatedUser::EmailTaken),
        (Some("BOB@example.org"), None, CreatedUser::UsernameTaken),
        (Some("Carl@example.org"), Some("free@example.org"), CreatedUser::UsernameTaken),
        (None, Some("carl"), CreatedUser::EmailTaken),
        (None, Some("dora@example.org"), CreatedUser::EmailTaken),
        // When both the name and the address are taken, the name is reported.
        (Some("bob@example.org"), Some("ann@example.org"), CreatedUser::UsernameTaken),
    ];
    for (name, address, answer) in refused {
        let made = store.create_user(new_user(9, name, address)).await.unwrap();
        assert_eq!(made, answer, "{name:?}, {address:?}");
        assert_eq!(
            everything(&*store).await,
            before,
            "{name:?}, {address:?} must leave everything as it was"
        );
    }
    create(&*store, new_user(9, Some("free"), Some("free@example.org"))).await;
}

/// A name key is unique, whatever the name is. An account may have no key. A refused account leaves no key behind.
pub async fn keys_of_names_are_given_once(store: Arc<dyn Store>) {
    let keyed = |n: u16, name: Option<&str>, address: Option<&str>, key: Option<&str>| NewUser {
        name_key: key.map(Into::into),
        ..new_user(n, name, address)
    };
    create(&*store, keyed(1, Some("coco"), None, Some("coco"))).await;
    // A missing key is not a shared key.
    create(&*store, keyed(2, Some("bob"), None, None)).await;
    create(&*store, keyed(3, Some("carl"), None, None)).await;
    create(&*store, keyed(4, None, Some("dora@example.org"), Some("dora@example.org"))).await;
    let before = everything(&*store).await;
    let refused = [
        (keyed(5, Some("сосо"), None, Some("coco")), CreatedUser::UsernameTaken),
        (keyed(5, Some("сосо"), Some("eve@example.org"), Some("coco")), CreatedUser::UsernameTaken),
        (keyed(5, None, Some("сосо@example.org"), Some("coco")), CreatedUser::EmailTaken),
        (keyed(5, Some("dоra"), None, Some("dora@example.org")), CreatedUser::UsernameTaken),
        // Refused because of its name, so its key stays free.
        (keyed(5, Some("BOB"), None, Some("free")), CreatedUser::UsernameTaken),
    ];
    for (new, answer) in refused {
        let (name, key) = (new.user.username.clone(), new.name_key.clone());
        assert_eq!(store.create_user(new).await.unwrap(), answer, "{name:?}, {key:?}");
        assert_eq!(everything(&*store).await, before, "{name:?}, {key:?} must leave everything as it was");
    }
    // Keys are compared exactly.
    for (n, key) in (10..).zip(["free", "Coco", "coco ", "", "%", "$ne"]) {
        create(&*store, keyed(n, Some(&format!("name-{n}")), None, Some(key))).await;
    }
    // A key is not a name.
    assert_eq!(find(&*store, &username("free")).await, None);
}

/// A password hash is replaced only if it is the one that the caller has read. No other account changes, and nothing is
/// logged.
pub async fn a_hash_is_replaced_only_if_it_is_still_there(store: Arc<dyn Store>) {
    let ann = create(&*store, new_user(1, Some("ann"), Some("ann@example.org"))).await;
    let bob = create(&*store, new_user(2, Some("bob"), None)).await;
    let [new, newer] = ["$2b$12$new", "$2b$13$newer"].map(PasswordHash::new);
    let kept = async |user: UserId| {
        store.credentials(&id(user)).await.unwrap().expect("credentials must be found").1
    };
    assert!(store.set_password_hash(ann.id, &hash(ann.id), new.clone()).await.unwrap());
    assert!(kept(ann.id).await == new, "it is replaced");
    // The hash that the caller has read is gone: another task has replaced it.
    assert!(!store.set_password_hash(ann.id, &hash(ann.id), newer.clone()).await.unwrap());
    assert!(!store.set_password_hash(ann.id, &PasswordHash::new(""), newer.clone()).await.unwrap());
    assert!(kept(ann.id).await == new, "it stays");
    assert!(!store.set_password_hash(user_id(9), &new, newer.clone()).await.unwrap(), "there is nobody");
    assert!(kept(bob.id).await == hash(bob.id), "nobody else is touched");
    assert!(store.set_password_hash(ann.id, &new, newer.clone()).await.unwrap());
    for key in [id(ann.id), username("ann"), email("ann@example.org")] {
        let (user, hash) = store.credentials(&key).await.unwrap().expect("credentials must be found");
        assert!(user == ann && hash == newer, "{key:?}");
    }
    assert_eq!(last_position(&*store).await, Position(0), "it is not logged");
}

/// Accounts are listed in the order of their creation, which is neither the order of ids nor that of times.
pub async fn users_come_in_the_order_of_their_accounts(store: Arc<dyn Store>) {
    assert_eq!(store.users(10).await.unwrap(), [], "an empty store has no users");
    let order = [7, 3, 9, 1, 8, 0, 300, 2];
    for n in order {
        person(&*store, n).await;
    }
    store.update_profile(user_id(3), ProfilePatch::default(), at(1)).await.unwrap();
    store.record_last_seen(user_id(0), at(1)).await.unwrap();
    for limit in (0..=order.len() + 1).chain([usize::MAX]) {
        let listed: Vec<UserId> = store.users(limit).await.unwrap().iter().map(|user| user.id).collect();
        let expected: Vec<UserId> = order.into_iter().take(limit).map(user_id).collect();
        assert_eq!(listed, expected, "users({limit})");
    }
    for listed in store.users(usize::MAX).await.unwrap() {
        assert_eq!(find(&*store, &id(listed.id)).await, Some(listed), "users and user must agree");
    }
}

/// Texts are data: none is treated as a pattern, a quote or a terminator.
pub async fn texts_of_people_come_back_as_given(store: Arc<dyn Store>) {
    let account = |n: u16, text: &str| {
        let NewUser { user, .. } = new_user(n, Some(text), Some(&text.to_lowercase()));
        let user = User { full_name: text.into(), picture: text.into(), ..user };
        NewUser { user, password_hash: PasswordHash::new(text), name_key: None }
    };
    for (n, text) in (0..).zip(ODD_TEXTS) {
        let new = account(n, text);
        assert_eq!(find(&*store, &username(text)).await, None, "{text:?} must not find another's name");
        assert_eq!(find(&*store, &email(text)).await, None, "{text:?} must not find another's address");
        assert_eq!(*create(&*store, new.clone()).await, new.user, "{text:?}");
    }
    for (n, text) in (0..).zip(ODD_TEXTS) {
        let new = account(n, text);
        for key in [id(user_id(n)), username(text), email(text)] {
            assert_eq!(find(&*store, &key).await.as_deref(), Some(&new.user), "{key:?}");
            let (_, hash) = store.credentials(&key).await.unwrap().expect("credentials must be found");
            assert_eq!(hash.expose(), *text, "the hash of {key:?}");
        }
    }
}

/// Ids with a common prefix or suffix, with zeros, or with bytes that are not text, are all different.
pub async fn ids_are_compared_whole(store: Arc<dyn Store>) {
    let mut ids = vec![[0; 12], [0xff; 12], *b"abcdefghijkl", *b"ABCDEFGHIJKL", *b"abc\0\0\0\0\0\0\0\0\0"];
    ids.extend((0..12).map(|place| std::array::from_fn(|i| u8::from(i == place))));
    let ids: Vec<UserId> = ids.into_iter().map(UserId::from_bytes).collect();
    for (n, &user) in (0..).zip(&ids) {
        assert_eq!(find(&*store, &id(user)).await, None, "{user} is not there yet");
        let mut new = new_user(n, None, None);
        new.user.id = user;
        create(&*store, new).await;
    }
    for (n, &user) in (0..).zip(&ids) {
        assert_eq!(
            find(&*store, &id(user)).await.map(|user| user.full_name.clone()),
            Some(format!("Person {n}"))
        );
    }
}

/// Timestamps keep their milliseconds, also before the epoch and at both ends of the range.
pub async fn moments_come_back_as_given(store: Arc<dyn Store>) {
    for (n, millis) in (0..).zip([0, 1, -1, 1_700_000_000_123, i64::from(u32::MAX) + 1, i64::MIN, i64::MAX]) {
        let mut new = new_user(n, None, None);
        (new.user.created_at, new.user.updated_at) = (at(millis), at(!millis));
        create(&*store, new.clone()).await;
        store.record_last_seen(user_id(n), at(millis)).await.unwrap();
        let expected = User { last_seen: Some(at(millis)), ..new.user };
        assert_eq!(find(&*store, &id(user_id(n))).await.as_deref(), Some(&expected), "{millis} ms");
    }
}

/// A patch changes only its fields and `updated_at`, and is logged. This also holds for an empty patch.
pub async fn a_profile_patch_changes_only_what_it_names(store: Arc<dyn Store>) {
    let new = new_user(1, Some("ann"), Some("ann@example.org"));
    let mut expected = User::clone(&*create(&*store, new).await);
    let bystander = create(&*store, new_user(2, Some("bob"), None)).await;
    let text = |text: &str| Some(text.to_owned());
    let patches = [
        ProfilePatch { full_name: text("Ann B."), picture: None },
        ProfilePatch { full_name: None, picture: text("/new.png") },
        ProfilePatch { full_name: text("Ann C."), picture: text("") },
        ProfilePatch { full_name: text(""), picture: None },
        ProfilePatch::default(),
    ];
    for (step, patch) in (1..).zip(patches) {
        let moment = at(50_000 + step);
        expected.full_name = patch.full_name.clone().unwrap_or(expected.full_name);
        expected.picture = patch.picture.clone().unwrap_or(expected.picture);
        expected.updated_at = moment;
        let answer = store.update_profile(expected.id, patch.clone(), moment).await.unwrap();
        let (position, now) = answer.expect("somebody who is there must be updated");
        assert_eq!(*now, expected, "the answer to {patch:?}");
        assert_eq!(position, Position(step as u64), "the position of {patch:?}");
        for key in [id(expected.id), username("ann"), email("ann@example.org")] {
            assert_eq!(find(&*store, &key).await.as_deref(), Some(&expected), "{key:?} after {patch:?}");
        }
        let change = Change::ProfileUpdated { user: expected.id };
        assert_eq!(whole_log(&*store).await.pop(), Some(LoggedChange { position, change }), "{patch:?}");
    }
    let (_, kept) = store.credentials(&id(expected.id)).await.unwrap().expect("credentials must be found");
    assert!(kept == hash(expected.id), "a profile is not a password");
    assert_eq!(find(&*store, &id(bystander.id)).await, Some(bystander), "nobody else is touched");
}

/// A patch for an unknown account changes nothing and is not logged.
pub async fn a_profile_patch_for_nobody_is_none(store: Arc<dyn Store>) {
    person(&*store, 1).await;
    let before = everything(&*store).await;
    let patch = ProfilePatch { full_name: Some("Nobody".into()), picture: None };
    assert_eq!(store.update_profile(user_id(2), patch, at(1)).await.unwrap(), None);
    assert_eq!(everything(&*store).await, before, "a patch for nobody must change nothing");
}

/// Recording when a person was last seen changes no other account and no other field, and is not logged.
pub async fn last_seen_is_noted_and_not_logged(store: Arc<dyn Store>) {
    let mut expected = User::clone(&*create(&*store, new_user(1, Some("ann"), None)).await);
    let bystander = create(&*store, new_user(2, Some("bob"), None)).await;
    // The time may also go back: the store gets a time ahead of the activity first, and the true one later.
    for moment in [5, 5, 60_000, 59_000].map(Timestamp::from_millis) {
        store.record_last_seen(expected.id, moment).await.unwrap();
        expected.last_seen = Some(moment);
        for key in [id(expected.id), username("ann")] {
            assert_eq!(find(&*store, &key).await.as_deref(), Some(&expected), "{key:?} after last seen");
        }
    }
    assert_eq!(find(&*store, &id(bystander.id)).await, Some(bystander), "nobody else is touched");
    store.record_last_seen(user_id(9), at(7)).await.expect("unknown people are passed over");
    assert_eq!(find(&*store, &id(user_id(9))).await, None, "noting last seen must not make an account");
    assert_eq!(last_position(&*store).await, Position(0), "last seen is not logged");
}

/// A message that was submitted after a record of its sender's last activity is not stored without that record.
pub async fn last_seen_is_stored_with_what_comes_behind_it(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let conversation = room(&*store, 1, ann).await;
    for n in 1..=20_u16 {
        let seen = at(1_000 * i64::from(n));
        say_after_noting(&*store, n, conversation, ann, seen).await;
        let found = find(&*store, &id(ann)).await.unwrap();
        assert_eq!(found.last_seen, Some(seen), "message {n} is stored, and so is what was noted before it");
    }
}

/// Submits a record of the sender's last activity, then a message of the same sender; waits only for the message.
pub(super) async fn say_after_noting(
    store: &dyn Store,
    n: u16,
    conversation: ConversationId,
    sender: UserId,
    seen: Timestamp,
) {
    let mut noting = store.record_last_seen(sender, seen);
    let noted = poll_fn(|context| Poll::Ready(noting.as_mut().poll(context))).await;
    assert!(!matches!(noted, Poll::Ready(Err(_))), "{noted:?}");
    append(store, new_message(n, conversation, sender)).await;
}
