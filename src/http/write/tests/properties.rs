//! Properties: what we write, we read again, and it says the same.

use super::*;

/// Field lines, the telling ones more often than others.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let telling = prop::sample::select(vec![
        "Content-Length: 5",
        "Content-Length: 0",
        "content-length:18446744073709551615",
        "Transfer-Encoding: chunked",
        "transfer-encoding:CHUNKED\t",
        "Content_Length: 9",
        "Transfer_Encoding: chunked",
        "Connection: close",
        "Connection: keep-alive, x-a",
        "Connection: upgrade",
        "connection: X-A ,x-b, TE,, date",
        "Upgrade: websocket",
        "Upgrade: h2c",
        "Keep-Alive: 5",
        "TE: trailers",
        "Trailer: x-sum",
        "Proxy-Connection: close",
        "Proxy-Authorization: x",
        "Expect: 100-continue",
        "Date: x",
        "X-A: 1",
        "X-b:",
        "X-Forwarded-For: 198.51.100.1",
        "X-Forwarded-Proto: https",
        "X_Forwarded_For: 198.51.100.1",
        "Forwarded: for=x",
        "Via: 1.1 other",
        "X-Request-Id: 1",
    ])
    .prop_map(str::to_owned);
    let other = "[a-zA-Z0-9_-]{1,20}:[ \t]?[ -~\u{a0}-\u{ff}\t]{0,40}";
    prop::collection::vec(prop_oneof![4 => telling, 1 => other], 0..12)
}

fn ways() -> impl Strategy<Value = Provenance<'static>> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let peers = prop::sample::select(vec![&b""[..], b"192.0.2.7", b"2001:db8::1"]);
    let names = prop::sample::select(vec![None, Some("X-Request-Id"), Some("x-a")]);
    let way = |((x_forwarded, forwarded, via, trusted), peer, request_id_name)| Provenance {
        x_forwarded,
        forwarded,
        via,
        trusted,
        peer,
        request_id_name,
        ..SILENT
    };
    (flags, peers, names).prop_map(way)
}

fn names<'b>(fields: &Fields, buffer: &'b [u8], id: FieldId) -> Vec<&'b [u8]> {
    let named = fields.table.iter().filter(|field| field.id == id);
    named.map(|field| field.name.of(buffer)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_request_goes_on_with_its_framing_and_without_this_connections_fields(
        method in prop::sample::select(vec!["GET", "POST", "HEAD", "PURGE"]),
        version in prop::sample::select(vec!["1.0", "1.1"]),
        lines in lines(),
        way in ways(),
    ) {
        let bytes = format!(
            "{method} /from HTTP/{version}\r\nHost: a\r\n{}\r\n",
            lines.iter().map(|line| format!("{line}\r\n")).collect::<String>()
        ).into_bytes();
        let mut head = RequestHead::default();
        prop_assume!(head.parse(&bytes, HeadLimits::default()) == Ok(Parsed::Complete));

        let mut out = Vec::new();
        write_request(&mut out, &head, &bytes, b"/to", b"origin", &way);
        let again = parsed(&out);
        prop_assert_eq!(again.len, out.len());
        prop_assert_eq!(again.declared(), head.declared());
        prop_assert_eq!(again.method, head.method);
        prop_assert_eq!(again.host.of(&out), b"origin");
        let tunnel = head.upgrade(&bytes);
        prop_assert_eq!(again.upgrade(&out), tunnel);
        prop_assert_eq!(again.fields.connection.upgrade, tunnel.is_some());
        prop_assert!(!again.fields.connection.close && !again.fields.connection.keep_alive);
        for id in [
            FieldId::Alias,
            FieldId::KeepAlive,
            FieldId::Nominated,
            FieldId::ProxyAuthorization,
            FieldId::ProxyConnection,
            FieldId::Te,
        ] {
            prop_assert!(names(&again.fields, &out, id).is_empty(), "{:?}", id);
        }
        if !way.trusted {
            let told = usize::from(way.x_forwarded && !way.peer.is_empty());
            prop_assert_eq!(names(&again.fields, &out, FieldId::XForwardedFor).len(), told);
            let told = usize::from(way.forwarded);
            prop_assert_eq!(names(&again.fields, &out, FieldId::Forwarded).len(), told);
        }
        if let Some(name) = way.request_id_name {
            prop_assert_eq!(again.fields.named(name, &out), Some(way.request_id));
        }
    }

    #[test]
    fn a_response_goes_on_with_its_framing_and_without_this_connections_fields(
        status in 200_u16..=599,
        lines in lines(),
        to_head in any::<bool>(),
    ) {
        let method = if to_head { Method::Head } else { Method::Get };
        let bytes = format!(
            "HTTP/1.1 {status} x\r\n{}\r\n",
            lines.iter().map(|line| format!("{line}\r\n")).collect::<String>()
        ).into_bytes();
        let mut head = ResponseHead::default();
        prop_assume!(head.parse(&bytes) == Ok(Parsed::Complete));
        let (framing, expected) = match head.body(method) {
            ResponseBody::None => (Framing::Unsaid, ResponseBody::None),
            ResponseBody::Length(length) => (Framing::Length(length), ResponseBody::Length(length)),
            ResponseBody::Chunked | ResponseBody::UntilClose => {
                (Framing::Chunked, ResponseBody::Chunked)
            }
        };
        let mut out = Vec::new();
        write_response(&mut out, &head, &bytes, framing, After::KeepAlive, DATE, None);
        let again = parsed_response(&out);
        prop_assert_eq!((again.len, again.status), (out.len(), status));
        prop_assert_eq!(again.body(method), expected);
        prop_assert!(again.keeps_alive());
        let dates = names(&again.fields, &out, FieldId::Date).len();
        prop_assert!(dates >= 1);
        for id in [FieldId::Alias, FieldId::Connection, FieldId::KeepAlive, FieldId::Upgrade] {
            prop_assert!(names(&again.fields, &out, id).is_empty(), "{:?}", id);
        }
    }
}
