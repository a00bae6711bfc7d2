//! What the program does when nothing happens, which is most of the time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::world::{FUNCTION, Sink, World, for_each_destination, minutes_ago, numbers};

for_each_destination![a_quiet_run_asks_auth0_once_and_its_storage_for_no_write];

/// All files below a folder, and when each was written.
fn files(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            let written = fs::metadata(&path).unwrap().modified().unwrap();
            files.insert(path, written);
        }
    }
    files
}

/// Every ten minutes a run saves a sign of life, but these runs take less than a minute.
async fn a_quiet_run_asks_auth0_once_and_its_storage_for_no_write(sink: Sink) {
    let world = World::start_for(sink).await;
    world.tenant.generate(250, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    // The first quiet run saves that it reached the end. The second searches once for records that
    // reading did not meet. Later runs do so every ten minutes.
    for _ in 0..3 {
        host.fire(FUNCTION).await.report();
    }
    let kept = world.folder.path().join("checkpoints");
    let (written, asked) = (files(&kept), world.tenant.log_requests());
    let posts = world.arrivals().requests();
    for quiet in 1..=3 {
        let report = host.fire(FUNCTION).await.report();
        assert_eq!(numbers(&report, ["delivered", "requests"]), [0, 1]);
        assert_eq!(world.tenant.log_requests() - asked, quiet);
    }
    assert_eq!(files(&kept), written);
    assert_eq!(world.arrivals().requests(), posts);
    assert_eq!(world.tenant.token_requests(), 1);
}
