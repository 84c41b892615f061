//! Generates the Rust side of `proto/`. The `.proto` files are compiled in this process, so that building needs no `protoc`.

use std::error::Error;
use std::path::PathBuf;

const SERVICES: [&str; 10] = [
    "proto/authzed/api/v1/permission_service.proto",
    "proto/authzed/api/v1/schema_service.proto",
    "proto/authzed/api/v1/experimental_service.proto",
    "proto/authzed/api/v1/watch_service.proto",
    "proto/authzed/api/v1/error_reason.proto",
    "proto/quorate/v1/backup.proto",
    "proto/quorate/v1/cluster.proto",
    "proto/quorate/v1/consistency.proto",
    "proto/quorate/v1/schema.proto",
    "proto/quorate/peer/peer.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(SERVICES, ["proto"])?;

    // The same descriptors, for server reflection.
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("descriptors.bin");
    std::fs::write(out, prost::Message::encode_to_vec(&descriptors))?;

    tonic_prost_build::configure()
        // One Rust type for it, so that a status in an error and a status in a response are the same thing.
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
