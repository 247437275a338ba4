//! What the server answers: objects, text, and the `Status` objects of the API's failures.
//! <https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/#status-v1-meta>

use serde_json::{Value, json};

use super::kind::Kind;
use super::request::Target;

/// Who asks, as refusals name it.
pub const USER: &str = "tester";

/// A status code and what goes with it.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl Answer {
    pub fn json(value: &Value) -> Self {
        Self::coded(200, value)
    }

    pub fn coded(code: u16, value: &Value) -> Self {
        Self {
            code,
            content_type: "application/json",
            body: value.to_string(),
        }
    }

    pub fn text(body: String) -> Self {
        Self {
            code: 200,
            content_type: "text/plain",
            body,
        }
    }

    fn failure(code: u16, reason: &str, message: &str, details: &Value) -> Self {
        Self::coded(
            code,
            &json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "reason": reason, "details": details, "code": code,
            }),
        )
    }

    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::failure(
            404,
            "NotFound",
            &format!("{} \"{name}\" not found", kind.qualified()),
            &json!({"name": name, "group": kind.group, "kind": kind.plural}),
        )
    }

    /// The answer at a path that the server does not know.
    pub fn no_such_path() -> Self {
        Self::failure(
            404,
            "NotFound",
            "the server could not find the requested resource",
            &json!({}),
        )
    }

    pub fn conflict(kind: &Kind, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your \
             changes to the latest version and try again",
            kind.qualified()
        );
        Self::failure(
            409,
            "Conflict",
            &message,
            &json!({"name": name, "group": kind.group, "kind": kind.plural}),
        )
    }

    pub fn exists_already(kind: &Kind, name: &str) -> Self {
        Self::failure(
            409,
            "AlreadyExists",
            &format!("{} \"{name}\" already exists", kind.qualified()),
            &json!({"name": name, "group": kind.group, "kind": kind.plural}),
        )
    }

    pub fn bad_request(message: &str) -> Self {
        Self::failure(400, "BadRequest", message, &json!({}))
    }

    pub fn unsupported(what: &str) -> Self {
        Self::failure(
            405,
            "MethodNotAllowed",
            &format!("the server does not allow this method: {what}"),
            &json!({}),
        )
    }

    pub fn forbidden(target: &Target, verb: &str) -> Self {
        let kind = target.kind;
        let what = match &target.name {
            Some(name) => format!("{} \"{name}\"", kind.qualified()),
            None => kind.qualified(),
        };
        let place = match target.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let message = format!(
            "{what} is forbidden: User \"{USER}\" cannot {verb} resource \"{}\" in API group \"{}\" {place}",
            target.resource(),
            kind.group
        );
        Self::failure(
            403,
            "Forbidden",
            &message,
            &json!({"name": target.name, "group": kind.group, "kind": kind.plural}),
        )
    }
}
