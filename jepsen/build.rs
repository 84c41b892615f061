//! Generates the client side of the public protocols from `../proto`, so that nothing of the product is linked in.

use std::error::Error;

const SERVICES: [&str; 5] = [
    "authzed/api/v1/permission_service.proto",
    "authzed/api/v1/schema_service.proto",
    "authzed/api/v1/watch_service.proto",
    "quorate/v1/cluster.proto",
    "quorate/v1/consistency.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../proto");
    let descriptors = protox::compile(SERVICES, ["../proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
