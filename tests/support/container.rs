//! One container as docker shows it, for the fake docker and for the simulated engine.

/// When every container was started: long ago, so that each has been up long enough.
const STARTED: &str = "2026-01-01T00:00:00Z";

/// One container, as `docker ps` and `docker inspect` are to show it.
#[derive(Debug, Clone)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub service: String,
    pub number: u32,
    pub state: String,
    /// `starting`, `healthy`, `unhealthy`, or nothing.
    pub health: String,
    pub exit_code: i32,
    pub error: String,
    pub restarts: u32,
    pub started_at: String,
    pub ports: String,
    /// What it really runs, the image's own entrypoint included; empty when nobody asks.
    pub command: String,
    pub oneoff: bool,
    pub config_hash: String,
    pub image_id: String,
}

impl Container {
    pub fn new(service: &str, number: u32, state: &str) -> Self {
        Self {
            id: format!("{service}-{number}-id"),
            name: format!("shop-{service}-{number}"),
            service: service.into(),
            number,
            state: state.into(),
            health: String::new(),
            exit_code: 0,
            error: String::new(),
            restarts: 0,
            started_at: STARTED.into(),
            ports: String::new(),
            command: String::new(),
            oneoff: false,
            config_hash: String::new(),
            image_id: String::new(),
        }
    }

    pub fn health(mut self, health: &str) -> Self {
        self.health = health.into();
        self
    }

    pub fn exit_code(mut self, code: i32) -> Self {
        self.exit_code = code;
        self
    }

    /// A line in rscale's `LISTING_FORMAT`.
    pub fn listing_line(&self) -> String {
        let status = match (self.state.as_str(), self.health.as_str()) {
            ("running", "") => "Up 3 minutes".to_owned(),
            ("running", "starting") => "Up 3 minutes (health: starting)".into(),
            ("running", health) => format!("Up 3 minutes ({health})"),
            ("paused", _) => "Up 3 minutes (Paused)".into(),
            ("exited", _) => format!("Exited ({}) 3 minutes ago", self.exit_code),
            ("restarting", _) => format!("Restarting ({}) 3 seconds ago", self.exit_code),
            (state, _) => state[..1].to_uppercase() + &state[1..],
        };
        serde_json::json!({
            "id": self.id, "name": self.name, "state": self.state, "status": status, "ports": self.ports,
            "command": format!("\"{}\"", self.command), "service": self.service, "number": self.number.to_string(),
            "oneoff": if self.oneoff { "True" } else { "False" },
            "config_hash": self.config_hash, "image_id": self.image_id,
        })
        .to_string()
    }

    /// A line in rscale's `VITALS_FORMAT`.
    pub fn vitals_line(&self) -> String {
        let health = if self.state == "running" {
            self.health.as_str()
        } else {
            ""
        };
        serde_json::json!({
            "id": self.id, "state": self.state, "exit_code": self.exit_code, "out_of_memory": false,
            "error": self.error, "restarts": self.restarts, "started_at": self.started_at, "health": health,
        })
        .to_string()
    }
}

/// Running containers of a service, numbered from 1.
pub fn running(service: &str, count: u32) -> Vec<Container> {
    (1..=count)
        .map(|number| Container::new(service, number, "running"))
        .collect()
}
