//! Fields on their way through: what goes on, what stays, what is added.

use super::{OK, carries_on, client::Client, gateway, on_both_drivers, origin::Origin};
use crate::support::DRIVERS;

#[test]
fn fields_of_one_connection_stay_here() {
    on_both_drivers(
        || {
            Origin::saying(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, x-secret\r\n\
                 Keep-Alive: timeout=5\r\nX-Secret: 1\r\nX-Open: 2\r\nProxy-Authenticate: x\r\n\r\nok",
            )
        },
        |origin, address| {
            let mut client = Client::connect(address);
            client.send(
                "GET /o/x HTTP/1.1\r\nHost: shop.example\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n\
                 X-Theirs: 2\r\nTE: trailers\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\n\
                 Proxy-Connection: keep-alive\r\nX-Forwarded-For: 6.6.6.6\r\n\
                 Content_Length: 7\r\nX_Forwarded_Host: evil\r\nForwarded: for=6.6.6.6\r\n\r\n",
            );
            let response = client.response().expect("an answer");
            assert_eq!(response.field("x-open"), Some("2"));
            for gone in ["x-secret", "keep-alive", "proxy-authenticate"] {
                assert_eq!(response.field(gone), None, "{gone}");
            }
            assert_eq!(response.field("connection"), Some("close"));
            assert!(response.field("date").is_some());
            assert!(
                response
                    .field("x-request-id")
                    .is_some_and(|id| id.len() == 36)
            );
            assert!(client.is_closed());

            let head = origin.next_head().to_ascii_lowercase();
            for there in [
                "\r\nhost: shop.example\r\n",
                "\r\nx-theirs: 2\r\n",
                "\r\nx-forwarded-for: 127.0.0.1\r\n",
                "\r\nx-forwarded-proto: http\r\n",
                "\r\nx-forwarded-host: shop.example\r\n",
                "\r\nvia: 1.1 sluice\r\n",
                "\r\nx-request-id: ",
            ] {
                assert!(head.contains(there), "{there:?} is missing:\n{head}");
            }
            for gone in [
                "x-mine",
                "te:",
                "upgrade",
                "proxy-",
                "6.6.6.6",
                "content_length",
                "x_forwarded",
                "connection:",
            ] {
                assert!(!head.contains(gone), "{gone:?} went through:\n{head}");
            }
        },
    );
}

#[test]
fn a_trusted_proxys_word_is_kept_and_added_to() {
    for driver in DRIVERS {
        let origin = Origin::saying(OK);
        let top = "forwarded: { headers: both, trusted_proxies: [127.0.0.0/8] }";
        let gateway = gateway(driver, &[origin.address], "", top);
        let mut client = Client::connect(gateway.address(0));
        client.send(
            "GET /o/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\n\
             X-Request-Id: mine-42\r\nForwarded: for=192.0.2.9\r\n\r\n",
        );
        let response = client.response().expect("an answer");
        assert_eq!(response.field("x-request-id"), Some("mine-42"));
        let head = origin.next_head().to_ascii_lowercase();
        for there in [
            "x-forwarded-for: 192.0.2.9, 127.0.0.1\r\n",
            "x-forwarded-proto: https\r\n",
            "x-request-id: mine-42\r\n",
            "forwarded: for=192.0.2.9, for=127.0.0.1;host=\"a\";proto=http\r\n",
        ] {
            assert!(head.contains(there), "{there:?} is missing:\n{head}");
        }
    }
}

#[test]
fn requests_on_one_connection_follow_each_other() {
    on_both_drivers(
        || Origin::saying(OK),
        |origin, address| {
            let mut client = Client::connect(address);
            let one = "POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
            let two = "POST /o/y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
            let three = "GET /mock HTTP/1.1\r\nHost: a\r\n\r\n";
            client.send([one, two, three, one, three].concat());
            for expected in ["ok", "ok", "mocked", "ok", "mocked"] {
                assert_eq!(client.response().expect("an answer").text(), expected);
            }
            assert!(carries_on(&mut client));
            assert!(
                origin.connections() <= 2,
                "{} connections",
                origin.connections()
            );
        },
    );
}

#[test]
fn head_and_bodiless_answers_end_where_they_should() {
    on_both_drivers(
        || {
            Origin::start(|asked| {
                let answer = match asked.head.split(' ').nth(1) {
                    Some("/o/head") => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
                    Some("/o/204") => "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
                    _ => "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: x\r\n\r\n",
                };
                asked.say(answer);
                super::origin::After::Keep
            })
        },
        |origin, address| {
            let mut client = Client::connect(address);
            client.send("HEAD /o/head HTTP/1.1\r\nHost: a\r\n\r\n");
            let head = client.head().expect("a head");
            assert!(
                head.to_ascii_lowercase().contains("content-length: 1000"),
                "{head}"
            );
            client.send("GET /o/204 HTTP/1.1\r\nHost: a\r\n\r\n");
            let response = client.response().expect("an answer");
            assert_eq!(
                (response.status, response.field("content-length")),
                (204, None)
            );
            client.send("GET /o/304 HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().expect("an answer").status, 304);
            client.send("HEAD /mock HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(client.head().expect("a head").contains("content-length: 6"));
            assert!(carries_on(&mut client));
            assert_eq!(origin.connections(), 1);
        },
    );
}

#[test]
fn http_1_0_clients_are_served_in_their_own_way() {
    on_both_drivers(
        || {
            Origin::saying(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            )
        },
        |_, address| {
            let mut client = Client::connect(address);
            client.send("GET /o/x HTTP/1.0\r\n\r\n");
            let response = client.response().expect("an answer");
            assert_eq!(response.field("transfer-encoding"), None);
            assert_eq!(response.text(), "hello");
            assert!(client.is_closed());

            let mut client = Client::connect(address);
            client.send("GET /mock HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
            let response = client.response().expect("an answer");
            assert_eq!(response.field("connection"), Some("keep-alive"));
            assert!(carries_on(&mut client));
        },
    );
}

#[test]
fn what_the_gateway_refuses_by_itself() {
    on_both_drivers(
        || Origin::saying(OK),
        |_, address| {
            let mut client = Client::connect(address);
            let mut ask = |method: &str, path: &str| {
                client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
                client.response().expect("an answer")
            };
            let missing = ask("GET", "/nowhere");
            assert_eq!(
                (missing.status, &*missing.text()),
                (404, "{\"message\":\"Not Found\"}")
            );
            assert_eq!(missing.field("content-type"), Some("application/json"));
            let other = ask("DELETE", "/only-get");
            assert_eq!((other.status, other.field("allow")), (405, Some("GET")));
            assert_eq!(ask("GET", "/once").status, 200);
            let limited = ask("GET", "/once");
            assert_eq!(limited.status, 429);
            assert_eq!(limited.text(), "{\"message\":\"Too Many Requests\"}");
            assert!(limited.field("retry-after").is_some());
            client.send("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world");
            let large = client.response().expect("an answer");
            assert_eq!(large.status, 413);
            client.send("POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n");
            assert_eq!(client.response().expect("an answer").status, 413);
        },
    );
}
