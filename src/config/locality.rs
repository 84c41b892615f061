//! `[node]`: where a node is.

use super::section::section;
use super::{ConfigError, invalid};
use crate::model::{Locality, PlaceName};

section! {
    /// Where a node is, as its operator names it. The cluster is told.
    #[derive(Debug)]
    NodeSection, NodeSectionOverrides, "node" {
        /// Region that this node is in; none: nothing is said [default: none]
        #[arg(value_name = "NAME")]
        region: String = String::new(), "node-region", "QUORATE_NODE_REGION";
        /// Zone within the region: what fails together [default: none]
        #[arg(value_name = "NAME")]
        zone: String = String::new(), "node-zone", "QUORATE_NODE_ZONE";
    }
}

impl NodeSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, text) in [("node.region", &self.region), ("node.zone", &self.zone)] {
            place(text).map_err(|problem| invalid(key, format!("cannot be used: {problem}")))?;
        }
        Ok(())
    }

    /// Where the node is.
    #[must_use]
    pub fn locality(&self) -> Locality {
        let named = |text: &str| place(text).expect("the section was validated");
        Locality { region: named(&self.region), zone: named(&self.zone) }
    }
}

fn place(text: &str) -> Result<Option<PlaceName>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    PlaceName::new(text).map(Some).map_err(|error| error.to_string())
}
