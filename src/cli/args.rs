//! The command line as a whole: which commands exist, and the way from one to its exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::backup::BackupArgs;
use super::bench::BenchArgs;
use super::cluster::ClusterArgs;
use super::dev::DevArgs;
use super::failure::{Exit, Failure};
use super::floor::FloorArgs;
use super::health::HealthArgs;
use super::key::KeyArgs;
use super::migrate::MigrateArgs;
use super::permission::PermissionArgs;
use super::recover::RecoverArgs;
use super::relationship::RelationshipArgs;
use super::restore::RestoreArgs;
use super::schema::SchemaArgs;
use super::serve::ServeArgs;
use super::validate::ValidateArgs;
use super::zookie::ZookieArgs;
use super::{
    backup, bench, cluster, dev, floor, health, key, migrate, permission, recover, relationship, restore, schema,
    serve, validate, zookie,
};

const EXAMPLES: &str = "\
Examples:
  quorate dev                                              three nodes on this machine, to try things out
  quorate serve --config /etc/quorate.toml                 one node of a real cluster
  quorate cluster status
  quorate schema write schema.zed
  quorate relationship touch 'document:readme#viewer@user:emil'
  quorate permission check document:readme view user:emil

Exit codes:
  0  done, or: allowed                 3  `permission check` answered: not allowed
  1  the server or the operation failed  4  it is not known whether a write took effect
  2  the command line or the configuration is wrong; `health`: no node answered
  5 to 8  `zookie inspect`: not a zookie, damaged, of a newer version, of another cluster";

/// An authorization cluster: it stores relationships and answers whether a subject may do something to an object.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, after_help = EXAMPLES, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one node
    Serve(Box<ServeArgs>),
    /// Run a whole cluster on this machine, with an example to try
    Dev(DevArgs),
    /// Form a cluster, grow it, look at it
    Cluster(ClusterArgs),
    /// Ask a node whether it is ready: for probes of containers
    Health(HealthArgs),
    /// Read and write the schema
    Schema(SchemaArgs),
    /// Read and write relationships
    Relationship(RelationshipArgs),
    /// Ask who may do what
    Permission(PermissionArgs),
    /// Demand a least consistency of every answer about a type
    Floor(FloorArgs),
    /// Look into a zookie
    Zookie(ZookieArgs),
    /// Make keys with scopes
    Key(KeyArgs),
    /// Move here from SpiceDB, and back
    Migrate(MigrateArgs),
    /// Take backups of a running cluster, list and verify them
    Backup(BackupArgs),
    /// Make the first node of a new cluster from a backup
    Restore(RestoreArgs),
    /// Found a new cluster from the one node that is left of an old one
    Recover(RecoverArgs),
    /// Judge the assertions of validation files, without a cluster
    Validate(ValidateArgs),
    /// Put a cluster under load, and measure it
    Bench(Box<BenchArgs>),
}

/// Runs the command, reports how it failed if it did, and gives the exit code.
pub async fn run(cli: Cli) -> ExitCode {
    let result: Result<Exit, Failure> = match cli.command {
        Command::Serve(args) => serve::run(*args).await,
        Command::Dev(args) => dev::run(args).await,
        Command::Cluster(args) => cluster::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Schema(args) => schema::run(args).await,
        Command::Relationship(args) => relationship::run(args).await,
        Command::Permission(args) => permission::run(args).await,
        Command::Floor(args) => floor::run(args).await,
        Command::Zookie(args) => zookie::run(args).await,
        Command::Key(args) => key::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Backup(args) => backup::run(args).await,
        Command::Restore(args) => restore::run(args).await,
        Command::Recover(args) => recover::run(args).await,
        Command::Validate(args) => validate::run(args).await,
        Command::Bench(args) => bench::run(*args).await,
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.report();
            failure.exit().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            if sub.has_subcommands() {
                leaves(sub, &path, found);
            } else {
                let after = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                found.push((path.trim().to_owned(), after));
            }
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn these_are_the_commands_and_each_shows_an_example() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "", &mut found);
        for (path, after) in &found {
            assert!(after.contains(&format!("quorate {path}")), "{path} has no example: {after:?}");
        }
        let paths: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        let expected = [
            "serve",
            "dev",
            "cluster init",
            "cluster join",
            "cluster status",
            "cluster promote",
            "cluster demote",
            "cluster remove",
            "cluster transfer-leader",
            "cluster home-region",
            "cluster upgrade",
            "cluster snapshot",
            "health",
            "schema write",
            "schema diff",
            "schema read",
            "relationship create",
            "relationship touch",
            "relationship delete",
            "relationship read",
            "relationship import",
            "permission check",
            "permission bulk",
            "permission lookup-resources",
            "permission lookup-subjects",
            "permission expand",
            "floor set",
            "floor unset",
            "floor list",
            "zookie inspect",
            "key create",
            "migrate from-spicedb",
            "migrate verify",
            "migrate from-backup",
            "migrate to-backup",
            "backup create",
            "backup list",
            "backup verify",
            "backup remove",
            "restore",
            "recover",
            "validate",
            "bench",
        ];
        assert_eq!(paths, expected);
    }

    /// Whoever finds an example in the help can run it: every one parses.
    #[test]
    fn every_example_parses() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "", &mut found);
        let texts = found.into_iter().map(|(_, after)| after).chain([EXAMPLES.to_owned()]);
        for text in texts {
            for line in text.lines().map(str::trim).filter(|line| line.starts_with("quorate ")) {
                let command = line.split("   ").next().unwrap_or(line);
                let words = command.split_whitespace().map(|word| word.trim_matches('\''));
                let words: Vec<_> = words.take_while(|word| !["|", "&&", ">"].contains(word)).collect();
                if let Err(error) = Cli::try_parse_from(&words) {
                    panic!("{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn connection_flags_work_before_and_after_the_subcommand() {
        for line in [
            "quorate schema --endpoint a:1,b:2 --key k read",
            "quorate schema read --endpoint a:1,b:2 --key k --timeout 2s --json",
            "quorate serve --key a --key b --exit-with-parent",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap();
        }
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for line in [
            "quorate",
            "quorate relationship touch",
            "quorate relationship touch document:1",
            "quorate permission check document:1 view",
            "quorate permission check document:1 view user:a --consistency fresh",
            "quorate cluster join",
            "quorate cluster home-region",
            "quorate cluster home-region north --none",
            "quorate floor set",
            "quorate floor set payment=soon",
            "quorate floor unset",
            "quorate permission check document:1 view user:a --content-change --consistency full",
            "quorate permission check document:1 view user:a --content-change --zookie z",
            "quorate dev --nodes 0",
            "quorate dev --base-port 65500",
            "quorate schema read --timeout soon",
            "quorate health --config a",
        ] {
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
