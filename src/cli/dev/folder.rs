//! The folder of a cluster on this machine: where each node lives, and what an earlier start left behind.
//!
//! `dev.json` says that the folder is one of ours, and with which ports: members know each other by address, so a folder
//! cannot be started on other ports.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::failure::Failure;

const RECORD: &str = "dev.json";
const NEW_RECORD: &str = "dev.json.new";
const LOCK: &str = "dev.lock";
const DEFAULT_NODES: u16 = 3;
const DEFAULT_BASE_PORT: u16 = 50051;
/// From a node's client port to its peer port.
const PEER_PORT_OFFSET: u16 = 100;
/// From a node's client port to that of its JSON gateway, and of its web console.
const GATEWAY_PORT_OFFSET: u16 = 50;
const CONSOLE_PORT_OFFSET: u16 = 70;

/// How many nodes, and on which ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layout {
    pub(super) nodes: u16,
    pub(super) base_port: u16,
}

/// What every node serves besides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fronts {
    /// The JSON gateway.
    pub(super) gateway: bool,
    /// The web console.
    pub(super) console: bool,
}

/// Where one node lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodePlace {
    /// Counted from 1. Not its node id, though for a cluster that grew without trouble they are the same.
    pub(super) number: u16,
    pub(super) client: SocketAddr,
    pub(super) peer: SocketAddr,
    /// If it is wanted.
    pub(super) gateway: Option<SocketAddr>,
    /// If it is wanted.
    pub(super) console: Option<SocketAddr>,
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
}

impl Layout {
    pub(super) fn places(self, folder: &Path, fronts: Fronts) -> impl Iterator<Item = NodePlace> {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        (1..=self.nodes).map(move |number| NodePlace {
            number,
            client: at(self.base_port + number - 1),
            peer: at(self.base_port + PEER_PORT_OFFSET + number - 1),
            gateway: fronts.gateway.then(|| at(self.base_port + GATEWAY_PORT_OFFSET + number - 1)),
            console: fronts.console.then(|| at(self.base_port + CONSOLE_PORT_OFFSET + number - 1)),
            data: folder.join(format!("node-{number}")),
            log: folder.join(format!("node-{number}.log")),
        })
    }

    /// What to run, given what was asked for and what the folder was made with.
    fn choose(nodes: Option<u16>, base_port: Option<u16>, recorded: Option<Self>) -> Result<Self, String> {
        let Some(recorded) = recorded else {
            return Ok(Self {
                nodes: nodes.unwrap_or(DEFAULT_NODES),
                base_port: base_port.unwrap_or(DEFAULT_BASE_PORT),
            });
        };
        let wanted =
            Self { nodes: nodes.unwrap_or(recorded.nodes), base_port: base_port.unwrap_or(recorded.base_port) };
        if wanted.base_port != recorded.base_port {
            return Err(format!(
                "holds a cluster on base port {}, and its members know each other by address; leave out --base-port, or \
                 name another --dir",
                recorded.base_port
            ));
        }
        if wanted.nodes < recorded.nodes {
            return Err(format!(
                "holds a cluster of {} nodes, which fewer could not vote for; leave out --nodes, or name another --dir",
                recorded.nodes
            ));
        }
        Ok(wanted)
    }
}

/// A folder that is ours for as long as this lives.
pub(super) struct Folder {
    path: PathBuf,
    layout: Layout,
    fronts: Fronts,
    /// Held, so that no second `quorate dev` starts nodes on the same data.
    _lock: File,
}

impl Folder {
    /// Takes the folder, which is created if it does not exist.
    pub(super) fn open(path: &Path, nodes: Option<u16>, base_port: Option<u16>) -> Result<Self, Failure> {
        let about = |problem: String| Failure::new(format!("{} {problem}", path.display()));
        let failed =
            |error: io::Error| about(format!("cannot be used: {error}")).hint("name another folder with --dir");
        fs::create_dir_all(path).map_err(failed)?;
        // Children are given paths, and messages are read elsewhere: none of them relative.
        let path = std::path::absolute(path).map_err(failed)?;
        let recorded = read_record(&path).map_err(about)?;
        if recorded.is_none()
            && let Some(foreign) = foreign_entry(&path).map_err(failed)?
        {
            return Err(about(format!("holds files that `quorate dev` did not make ({foreign})"))
                .hint("name an empty or a new folder with --dir"));
        }
        let lock = lock(&path).map_err(about)?;
        let layout = Layout::choose(nodes, base_port, recorded).map_err(about)?;
        Ok(Self { path, layout, fronts: Fronts::default(), _lock: lock })
    }

    /// The same, with these on every node.
    #[must_use]
    pub(super) fn with_fronts(self, fronts: Fronts) -> Self {
        Self { fronts, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    pub(super) fn places(&self) -> impl Iterator<Item = NodePlace> {
        self.layout.places(&self.path, self.fronts)
    }

    /// Notes how the folder is used. The note is whole or not there.
    pub(super) fn record(&self) -> Result<(), Failure> {
        let text = serde_json::to_vec(&self.layout).expect("two numbers are always JSON");
        let new = self.path.join(NEW_RECORD);
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, self.path.join(RECORD)))
            .map_err(|error| Failure::new(format!("cannot write to {}: {error}", self.path.display())))
    }
}

fn read_record(folder: &Path) -> Result<Option<Layout>, String> {
    match fs::read(folder.join(RECORD)) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(layout) => Ok(Some(layout)),
            Err(error) => Err(format!(
                "has a {RECORD} that cannot be read ({error}); remove the folder to start over, or write \
                 {{\"nodes\":3,\"base_port\":50051}} into it with the values that it was started with"
            )),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("has a {RECORD} that cannot be read: {error}")),
    }
}

/// Something that `quorate dev` did not make, in a folder that it has not recorded.
fn foreign_entry(folder: &Path) -> io::Result<Option<String>> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if ![NEW_RECORD, LOCK].contains(&name.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn lock(folder: &Path) -> Result<File, String> {
    let file = File::create(folder.join(LOCK)).map_err(|error| format!("cannot be written to: {error}"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err("is in use by another `quorate dev`; stop that one, or name another --dir".to_owned())
        }
        Err(TryLockError::Error(error)) => Err(format!("cannot be locked: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, nodes: Option<u16>, base_port: Option<u16>) -> Result<Layout, String> {
        let folder = Folder::open(path, nodes, base_port).map_err(|failure| failure.message().to_owned())?;
        folder.record().unwrap();
        Ok(folder.layout())
    }

    #[test]
    fn a_folder_is_made_and_found_again_with_its_ports() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b");
        let made = open(&path, None, Some(7000)).unwrap();
        assert_eq!(made, Layout { nodes: 3, base_port: 7000 });
        assert_eq!(open(&path, None, None).unwrap(), made);
        assert_eq!(open(&path, Some(5), None).unwrap().nodes, 5, "it may grow");
        assert!(open(&path, Some(3), None).unwrap_err().contains("--nodes"), "it may not shrink");
        assert!(open(&path, None, Some(7001)).unwrap_err().contains("--base-port"));
    }

    #[test]
    fn nodes_have_folders_and_ports_of_their_own() {
        let layout = Layout { nodes: 2, base_port: 7000 };
        let places = layout.places(Path::new("/d"), Fronts::default());
        let shown = places.map(|p| format!("{} {} {} {}", p.number, p.client, p.peer, p.data.display()));
        assert_eq!(
            shown.collect::<Vec<_>>(),
            ["1 127.0.0.1:7000 127.0.0.1:7100 /d/node-1", "2 127.0.0.1:7001 127.0.0.1:7101 /d/node-2"]
        );
        let both = layout.places(Path::new("/d"), Fronts { gateway: true, console: true });
        let ports = both.map(|place| [place.gateway, place.console].map(|at| at.expect("wanted").port()));
        assert_eq!(ports.collect::<Vec<_>>(), [[7050, 7070], [7051, 7071]]);
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("thesis.txt"), "").unwrap();
        assert!(open(temp.path(), None, None).unwrap_err().contains("thesis.txt"));
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "nothing may be added to it");
    }

    #[test]
    fn a_start_that_was_cut_off_before_the_record_is_taken_up() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join(NEW_RECORD), "{").unwrap();
        fs::write(temp.path().join(LOCK), "").unwrap();
        open(temp.path(), None, None).unwrap();
    }

    #[test]
    fn a_damaged_record_says_what_to_do() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join(RECORD), "{\"nodes\":").unwrap();
        assert!(open(temp.path(), None, None).unwrap_err().contains("remove the folder"));
    }

    #[test]
    fn two_at_once_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let first = Folder::open(temp.path(), None, None).map_err(|f| f.message().to_owned()).unwrap();
        assert!(open(temp.path(), None, None).unwrap_err().contains("in use by another"));
        drop(first);
        open(temp.path(), None, None).unwrap();
    }
}
