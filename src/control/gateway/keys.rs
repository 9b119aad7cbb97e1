//! API keys: told of, changed, and published to the workers at once.

use super::{Gateway, answered};
use crate::{
    control::{
        compiler::Registries,
        failure::Failure,
        keys::{Answer, KeyRequest},
    },
    snapshot::Snapshot,
};
use std::sync::Arc;

impl Gateway {
    /// Does what is asked, and waits until all workers know the keys as they then are.
    pub(super) async fn keys(&self, request: KeyRequest) -> Result<Answer, Failure> {
        let changes = request.ask.changes_keys();
        let before = self.shared.published.load();
        let (checked, shared) = (Arc::clone(&self.checked), Arc::clone(&self.shared));
        let answer = self
            .compiler
            .run(move |registries: &mut Registries| {
                let keys = registries.keys()?;
                let answer = keys.obey(request, &checked)?;
                if changes {
                    let served = shared.published.load();
                    shared.published.publish(Arc::new(Snapshot {
                        generation: served.generation,
                        routing: Arc::clone(&served.routing),
                        upstreams: served.upstreams.clone(),
                        keys: Arc::clone(keys.ring()),
                        settings: Arc::clone(&served.settings),
                    }));
                }
                Ok::<_, Failure>(answer)
            })
            .await??;
        if changes {
            let _ = self.reaper.send(before);
            answered(self.fleet.revalidate()).await;
        }
        Ok(answer)
    }
}
