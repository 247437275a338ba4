//! A request as it is written in the workload, made ready to be sent many times. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING, USER_AGENT,
};
use hyper::{Method, Request, Uri};
use url::Position;

use super::refused;
use crate::error::Result;
use crate::hidden::Hidden;
use crate::project::address::Address;
use crate::project::workload::HttpWork;

/// What every request of a type has in common: everything.
#[derive(Debug)]
pub struct Template {
    pub address: Address,
    /// The response header that names the replica.
    pub replica_header: Option<HeaderName>,
    method: Method,
    /// Path and query: the form that a server is asked with (RFC 9112, 3.2.1).
    target: Hidden<Uri>,
    headers: HeaderMap,
    body: Hidden<Bytes>,
}

impl Template {
    /// Makes a request of what was written; `task` names it in errors.
    ///
    /// # Errors
    /// Exit 2: something in it cannot be sent.
    pub fn of(task: &str, work: &HttpWork) -> Result<Self> {
        let address = work.url.clone();
        if !matches!(address.scheme(), "http" | "https") || address.host().is_empty() {
            let hint = "such as http://nginx/";
            return Err(
                refused(task, &format!("`{address}` is no URL of a web server")).hint(hint),
            );
        }
        let method = Method::from_bytes(work.method.as_bytes()).ok();
        let method = method.filter(|method| *method != Method::CONNECT);
        let method = method.ok_or_else(|| {
            refused(
                task,
                &format!("`{}` is no method of a request", work.method),
            )
        })?;
        let target = address.url()[Position::BeforePath..Position::AfterQuery].parse();
        let target: Uri = target
            .map_err(|error| refused(task, &format!("`{address}` cannot be asked: {error}")))?;
        let replica_header = work.replica_header.as_deref().map(|name| named(task, name));
        Ok(Self {
            headers: headers(task, work)?,
            body: Bytes::from(work.body.0.clone()).into(),
            replica_header: replica_header.transpose()?,
            address,
            method,
            target: target.into(),
        })
    }

    /// Whether it does no more when it is sent twice (RFC 9110, 9.2.2).
    pub fn may_be_repeated(&self) -> bool {
        self.method.is_idempotent()
    }

    /// One more of them. Only counters go up and one small table is copied.
    pub fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.0.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.0.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// What is always said, unless the user says it otherwise.
fn headers(task: &str, work: &HttpWork) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in work.headers.iter() {
        let name = named(task, name)?;
        if [CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(refused(task, &format!("`{name}` follows from the body"))
                .hint("leave the header out"));
        }
        // The value may be a secret, so it is never repeated.
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| refused(task, &format!("the value of `{name}` is none of a header")))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    let url = work.url.url();
    let mut otherwise = |name: HeaderName, value: &str| {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(name == AUTHORIZATION);
            headers.entry(name).or_insert(value);
        }
    };
    // The host as it is written, wherever the connection really goes to: servers choose their site by it.
    otherwise(HOST, &url[Position::BeforeHost..Position::AfterPort]);
    otherwise(ACCEPT, "*/*");
    otherwise(USER_AGENT, concat!("rscale/", env!("CARGO_PKG_VERSION")));
    let (user, password) = (work.url.user(), work.url.password());
    if user.is_some() || password.is_some() {
        let pair = format!(
            "{}:{}",
            user.unwrap_or_default(),
            password.unwrap_or_default()
        );
        otherwise(AUTHORIZATION, &format!("Basic {}", STANDARD.encode(pair)));
    }
    Ok(headers)
}

fn named(task: &str, name: &str) -> Result<HeaderName> {
    HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| refused(task, &format!("`{name}` is no name of a header")))
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::Template;
    use crate::error::Exit;
    use crate::project::address::Address;
    use crate::project::workload::HttpWork;

    pub fn work(url: &str) -> HttpWork {
        HttpWork {
            url: Address::parse(url).unwrap(),
            method: "GET".into(),
            headers: Vec::new().into(),
            body: String::new().into(),
            replica_header: None,
        }
    }

    #[test]
    fn asks_for_path_and_query_and_names_the_host_as_it_is_written() {
        for (url, target, host) in [
            ("http://nginx", "/", "nginx"),
            ("http://nginx:80/a", "/a", "nginx"),
            ("http://nginx:8080/a?b=c&d", "/a?b=c&d", "nginx:8080"),
            (
                "https://shop.example.com:443/ä b#c",
                "/%C3%A4%20b",
                "shop.example.com",
            ),
            ("http://[::1]:8080/", "/", "[::1]:8080"),
        ] {
            let request = Template::of("Home", &work(url)).unwrap().request();
            let headers = request.headers();
            assert_eq!(request.uri(), target, "{url}");
            assert_eq!(headers["host"], host, "{url}");
            assert_eq!(headers["accept"], "*/*");
            assert!(!headers.contains_key("authorization"));
        }
    }

    #[test]
    fn what_the_user_says_comes_before_what_is_usual() {
        let written = HttpWork {
            method: "POST".into(),
            headers: vec![
                ("HOST".into(), "shop.test".into()),
                ("Cookie".into(), "a=1".into()),
                ("cookie".into(), "b=2".into()),
                ("User-Agent".into(), "mine".into()),
            ]
            .into(),
            body: "{}".into(),
            ..work("http://ann:p%40ss@nginx/")
        };
        let request = Template::of("Order", &written).unwrap().request();
        let headers = request.headers();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(
            (&headers["host"], &headers["user-agent"]),
            (&"shop.test".parse().unwrap(), &"mine".parse().unwrap())
        );
        assert_eq!(headers.get_all("cookie").iter().count(), 2);
        assert_eq!(headers["authorization"], "Basic YW5uOnBAc3M=");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_and_secrets_are_not_repeated() {
        let header = |name: &str, value: &str| HttpWork {
            headers: vec![(name.into(), value.into())].into(),
            ..work("http://nginx/")
        };
        let method = |method: &str| HttpWork {
            method: method.into(),
            ..work("http://nginx/")
        };
        for (written, message) in [
            (
                work("ftp://nginx/"),
                "`Home`: `ftp://nginx/` is no URL of a web server",
            ),
            (
                work("unix:/run/x"),
                "`Home`: `unix:/run/x` is no URL of a web server",
            ),
            (method("GE T"), "`Home`: `GE T` is no method of a request"),
            (
                method("CONNECT"),
                "`Home`: `CONNECT` is no method of a request",
            ),
            (method(""), "`Home`: `` is no method of a request"),
            (header("a b", "c"), "`Home`: `a b` is no name of a header"),
            (
                header("X-Key", "s3cret\r\nX: y"),
                "`Home`: the value of `x-key` is none of a header",
            ),
            (
                header("Content-Length", "5"),
                "`Home`: `content-length` follows from the body",
            ),
            (
                header("transfer-encoding", "chunked"),
                "`Home`: `transfer-encoding` follows from the body",
            ),
            (
                HttpWork {
                    replica_header: Some("é".into()),
                    ..work("http://nginx/")
                },
                "`Home`: `é` is no name of a header",
            ),
        ] {
            let error = Template::of("Home", &written).unwrap_err();
            assert_eq!(
                (error.exit(), error.message.as_str()),
                (Exit::Usage, message)
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_request_is_made_or_refused(path in ".*", method in ".*", name in ".*", value in ".*", body in ".*") {
            if let Ok(url) = Address::parse(&format!("http://nginx/{path}")) {
                let written = HttpWork { url, method, headers: vec![(name.clone(), value)].into(), body: body.into(), replica_header: Some(name) };
                let _ = Template::of("T", &written).map(|template| template.request());
            }
        }
    }
}
