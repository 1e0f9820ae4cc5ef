//! The scenario of README.md with tonic.  SPDX-License-Identifier: Apache-2.0
mod datadog {
    pub mod api {
        pub mod v1 {
            tonic::include_proto!("datadog.api.v1");
        }
    }
    pub mod model {
        pub mod v1 {
            tonic::include_proto!("datadog.model.v1");
        }
    }
    pub mod remoteagent {
        pub mod v1 {
            tonic::include_proto!("datadog.remoteagent.v1");
        }
    }
}
mod health {
    tonic::include_proto!("grpc.health.v1");
}
mod tls;

use datadog::api::v1::agent_secure_client::AgentSecureClient;
use datadog::model::v1::{config_event::Event, ConfigEvent, ConfigSetting, ConfigStreamRequest, FetchEntityRequest};
use datadog::remoteagent::v1::{remote_agent_client::RemoteAgentClient, RefreshRemoteAgentRequest, RegisterRemoteAgentRequest};
use std::{env::var, time::Duration};
use tonic::{transport::Channel, Code, Request, Status, Streaming};

type Result<T = ()> = std::result::Result<T, String>;

struct Scene {
    channel: Channel,
    token: String,
}

fn check(holds: bool, what: impl std::fmt::Debug) -> Result {
    if holds { Ok(()) } else { Err(format!("{what:?}")) }
}

fn fails<T>(outcome: std::result::Result<T, Status>, code: Code) -> Result {
    match outcome {
        Ok(_) => Err(format!("expected {code:?}, got an answer")),
        Err(status) => check(status.code() == code, status),
    }
}

fn well<T>(outcome: std::result::Result<T, Status>) -> Result<T> {
    outcome.map_err(|status| format!("{status:?}"))
}

/// Returns the ID of the last update.
async fn publish(times: &str) -> Result<i32> {
    let output = tokio::process::Command::new(var("PUBLISH").unwrap()).arg(times).output().await.map_err(|e| e.to_string())?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|e| format!("publish: {e}"))
}

fn number(setting: Option<&ConfigSetting>) -> f64 {
    match setting.and_then(|setting| setting.value.as_ref()).and_then(|value| value.kind.as_ref()) {
        Some(prost_types::value::Kind::NumberValue(number)) => *number,
        _ => f64::NAN,
    }
}

async fn next(stream: &mut Streaming<ConfigEvent>) -> Result<Event> {
    let event = well(stream.message().await)?.ok_or("the stream ended")?;
    event.event.ok_or("an event of an unknown kind".into())
}

impl Scene {
    fn call<T>(&self, message: T, session: Option<&str>) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        if let Some(session) = session {
            request.metadata_mut().insert("session_id", session.parse().unwrap());
        }
        request
    }

    fn agent(&self) -> AgentSecureClient<Channel> {
        AgentSecureClient::new(self.channel.clone()).max_decoding_message_size(128 << 20)
    }

    fn registry(&self) -> RemoteAgentClient<Channel> {
        RemoteAgentClient::new(self.channel.clone())
    }

    async fn register(&self) -> Result<String> {
        let request = RegisterRemoteAgentRequest {
            pid: "1".into(),
            flavor: "rust".into(),
            display_name: "Rust".into(),
            api_endpoint_uri: "localhost:0".into(),
            services: vec![],
        };
        Ok(well(self.registry().register_remote_agent(self.call(request, None)).await)?.into_inner().session_id)
    }

    async fn subscribe(&self, session: Option<&str>) -> std::result::Result<Streaming<ConfigEvent>, Status> {
        let request = ConfigStreamRequest { name: "rust".into(), ..Default::default() };
        Ok(self.agent().stream_config_events(self.call(request, session)).await?.into_inner())
    }

    /// The stream and its snapshot's ID.
    async fn follow(&self) -> Result<(Streaming<ConfigEvent>, i32)> {
        let mut stream = well(self.subscribe(Some(&self.register().await?)).await)?;
        match next(&mut stream).await? {
            Event::Snapshot(snapshot) if !snapshot.settings.is_empty() => Ok((stream, snapshot.sequence_id)),
            _ => Err("no snapshot first, or an empty one".into()),
        }
    }

    async fn registers_and_refreshes(&self) -> Result {
        let request = RefreshRemoteAgentRequest { session_id: self.register().await? };
        well(self.registry().refresh_remote_agent(self.call(request, None)).await)?;
        Ok(())
    }

    async fn snapshot_then_updates(&self) -> Result {
        let (mut stream, first) = self.follow().await?;
        publish("3").await?;
        for i in 1..=3 {
            match next(&mut stream).await? {
                Event::Update(update) => check(
                    update.sequence_id == first + i && number(update.setting.as_ref()) == i as f64, &update)?,
                Event::Snapshot(_) => return Err("a snapshot in place of an update".into()),
            }
        }
        Ok(())
    }

    async fn wrong_token(&self) -> Result {
        let mut request = Request::new(FetchEntityRequest::default());
        request.metadata_mut().insert("authorization", "Bearer wrong".parse().unwrap());
        fails(self.agent().tagger_fetch_entity(request).await, Code::Unauthenticated)
    }

    async fn unknown_refresh(&self) -> Result {
        let request = RefreshRemoteAgentRequest { session_id: "unknown".into() };
        fails(self.registry().refresh_remote_agent(self.call(request, None)).await, Code::NotFound)
    }

    async fn unknown_method(&self) -> Result {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(|e| e.to_string())?;
        let codec = tonic_prost::ProstCodec::<FetchEntityRequest, FetchEntityRequest>::default();
        let path = "/datadog.api.v1.AgentSecure/Nothing".parse().unwrap();
        fails(client.unary(self.call(FetchEntityRequest::default(), None), path, codec).await, Code::Unimplemented)
    }

    async fn deadline(&self) -> Result {
        let mut request = self.call(ConfigStreamRequest { name: "rust".into(), ..Default::default() },
                                    Some(&self.register().await?));
        request.set_timeout(Duration::from_millis(300));
        let mut stream = well(self.agent().stream_config_events(request).await)?.into_inner();
        next(&mut stream).await?;
        // tonic keeps a deadline up to the headers only; then the bridge resets the stream, with CANCEL as the wire has it.
        fails(stream.message().await, Code::Cancelled)
    }

    async fn cancelled(&self) -> Result {
        drop(self.follow().await?);
        well(self.agent().tagger_fetch_entity(self.call(FetchEntityRequest::default(), None)).await)?;
        Ok(())
    }

    async fn serving(&self) -> Result {
        let mut client = health::health_client::HealthClient::new(self.channel.clone());
        let answer = well(client.check(self.call(health::HealthCheckRequest::default(), None)).await)?.into_inner();
        check(answer.status() == health::health_check_response::ServingStatus::Serving, answer)
    }

    async fn catches_up(&self) -> Result {
        let (mut stream, mut last) = self.follow().await?;
        let (burst, mut value, mut snapshots) = (var("BURST").unwrap(), 0.0, 0);
        let end = publish(&burst).await?;
        while last < end {
            match next(&mut stream).await? {
                Event::Snapshot(snapshot) => {
                    check(snapshot.sequence_id > last, "a snapshot that goes back")?;
                    last = snapshot.sequence_id;
                    value = number(snapshot.settings.iter().find(|setting| setting.key == "number"));
                    snapshots += 1;
                }
                Event::Update(update) => {
                    check(update.sequence_id == last + 1, (last, &update))?;
                    last = update.sequence_id;
                    value = number(update.setting.as_ref());
                }
            }
        }
        println!("  (snapshots in between: {snapshots})");
        check(value.to_string() == burst, value)
    }
}

fn told(sentence: &str, outcome: Result) {
    if let Err(problem) = outcome {
        println!("FAILED: {sentence}: {problem}");
        std::process::exit(1);
    }
    println!("ok: {sentence}");
}

#[tokio::main]
async fn main() {
    let token = std::fs::read_to_string(var("TOKEN").unwrap()).unwrap().trim().to_string();
    let scene = Scene { channel: tls::connect(&var("ADDRESS").unwrap(), &var("CERT").unwrap()).await, token };
    told("registers and refreshes", scene.registers_and_refreshes().await);
    told("gets a snapshot, then consecutive updates", scene.snapshot_then_updates().await);
    told("a wrong token is UNAUTHENTICATED", scene.wrong_token().await);
    told("no session is UNAUTHENTICATED", fails(scene.subscribe(None).await, Code::Unauthenticated));
    told("an unknown session is PERMISSION_DENIED", fails(scene.subscribe(Some("unknown")).await, Code::PermissionDenied));
    told("refreshing an unknown session is NOT_FOUND", scene.unknown_refresh().await);
    told("an unknown method is UNIMPLEMENTED", scene.unknown_method().await);
    told("a deadline ends the stream", scene.deadline().await);
    told("a cancelled stream leaves the connection as it was", scene.cancelled().await);
    told("health is SERVING", scene.serving().await);
    told("a stream not read for a burst of updates catches up", scene.catches_up().await);
}
