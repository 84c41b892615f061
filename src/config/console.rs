//! `[console]`: the pages for people.

use super::OptionalListen;
use super::section::section;

section! {
    /// Read-only pages for a browser: the cluster, the schema, checks explained, changes as they happen.
    #[derive(Debug)]
    ConsoleSection, ConsoleOverrides, "console" {
        /// Address of the web console (port 0: a free one), or off; it takes keys with the scope read [default: off]
        #[arg(value_name = "HOST:PORT")]
        listen: OptionalListen = OptionalListen::Off, "console-listen", "QUORATE_CONSOLE_LISTEN";
    }
}
