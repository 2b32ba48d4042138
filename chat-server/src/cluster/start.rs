//! Starts the tasks that send notices to the other nodes and receive theirs.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Cluster, hear, stay, tell, watch};
use crate::app::App;

/// Starts all tasks that run as long as the server.
pub(crate) fn start(cluster: &Cluster, app: &Arc<App>, tasks: &mut JoinSet<()>) {
    let (seals, recheck_revoked) = (cluster.seals.clone(), Arc::<Notify>::default());
    let (bus, outbox) = (cluster.bus.clone(), cluster.outbox.clone());
    tasks.spawn(tell::tell(Arc::downgrade(app), seals.clone(), bus.clone(), outbox));
    let ears = hear::Ears { node: cluster.node, seals, recheck_revoked: recheck_revoked.clone() };
    tasks.spawn(hear::hear(Arc::downgrade(app), ears, bus));
    tasks.spawn(watch::watch_log(Arc::downgrade(app)));
    tasks.spawn(watch::watch_others(Arc::downgrade(app), cluster.node));
    tasks.spawn(watch::watch_revocations(Arc::downgrade(app), recheck_revoked));
    tasks.spawn(stay::stay(Arc::downgrade(app)));
}

/// Records whether this node receives notices from now on.
pub(super) fn set_up(app: &Arc<App>, is_up: bool) {
    let Some(cluster) = app.cluster() else { return };
    cluster.set_up(is_up);
    if !is_up {
        return;
    }
    // The state of the other nodes is unknown after an outage. Each node will send a heartbeat now.
    app.presence.others().renew_all(Instant::now());
    cluster.outbox.ring(app.announcer.position());
    cluster.outbox.say_hello();
    let app = app.clone();
    tokio::spawn(async move { app.reload_revoked().await });
}
