// SPDX-License-Identifier: Apache-2.0
fn main() {
    let protos = std::env::var("PROTOS").expect("PROTOS");
    let files = ["datadog/api/v1/api.proto", "datadog/remoteagent/v1/remoteagent.proto", "grpc/health/v1/health.proto"];
    tonic_prost_build::configure()
        .build_server(false)
        .compile_protos(&files.map(|file| format!("{protos}/{file}")), &[protos])
        .expect("the .proto files");
}
