//! What is written is what OpenTelemetry's own conversion says.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, StringValue, TraceFlags, TraceId, Value,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceState},
};
use opentelemetry_proto::{
    tonic::collector::trace::v1::ExportTraceServiceRequest,
    transform::{
        common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanLinks},
};
use proptest::prelude::*;
use prost::Message;

use super::{encode::scope_spans, with_spans};

fn any_value() -> impl Strategy<Value = Value> {
    let text = || "\\PC{0,200}".prop_map(StringValue::from);
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i16>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        text().prop_map(Value::from),
        prop::collection::vec(any::<bool>(), 0..3).prop_map(|values| Value::Array(Array::Bool(values))),
        prop::collection::vec(any::<i64>(), 0..3).prop_map(|values| Value::Array(Array::I64(values))),
        prop::collection::vec(text(), 0..3).prop_map(|values| Value::Array(Array::String(values))),
    ]
}

fn any_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let attribute = ("[a-z.]{0,20}", any_value()).prop_map(|(key, value)| KeyValue::new(key, value));
    prop::collection::vec(attribute, 0..5)
}

fn any_context() -> impl Strategy<Value = SpanContext> {
    let state = prop_oneof![
        Just(TraceState::NONE),
        Just(TraceState::from_key_value([("vendor", "1"), ("other", "2")]).unwrap()),
    ];
    (any::<u128>(), any::<u64>(), any::<bool>(), state).prop_map(|(trace, span, remote, state)| {
        let (trace, span) = (TraceId::from(trace), SpanId::from(span));
        SpanContext::new(trace, span, TraceFlags::SAMPLED, remote, state)
    })
}

fn any_time() -> impl Strategy<Value = SystemTime> {
    any::<u32>().prop_map(|nanos| SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::from(nanos) * 1_000_003))
}

fn any_status() -> impl Strategy<Value = Status> {
    let failed = "[a-z ]{0,9}".prop_map(Status::error);
    prop_oneof![Just(Status::Unset), Just(Status::Ok), failed]
}

fn any_kind() -> impl Strategy<Value = SpanKind> {
    prop_oneof![
        Just(SpanKind::Internal),
        Just(SpanKind::Server),
        Just(SpanKind::Client),
        Just(SpanKind::Producer),
        Just(SpanKind::Consumer),
    ]
}

fn any_scope() -> impl Strategy<Value = InstrumentationScope> {
    prop_oneof![
        Just(InstrumentationScope::builder("plain").build()),
        any_attributes().prop_map(|attributes| {
            InstrumentationScope::builder("full")
                .with_version("1.2")
                .with_schema_url("https://example.org/schema")
                .with_attributes(attributes)
                .build()
        }),
    ]
}

fn any_events() -> impl Strategy<Value = SpanEvents> {
    let event = ("[a-z]{0,5}", any_time(), any_attributes(), any::<u32>());
    let event =
        event.prop_map(|(name, time, attributes, dropped)| Event::new(name, time, attributes, dropped));
    (prop::collection::vec(event, 0..3), any::<u32>()).prop_map(|(list, dropped)| {
        let mut events = SpanEvents::default();
        (events.events, events.dropped_count) = (list, dropped);
        events
    })
}

fn any_links() -> impl Strategy<Value = SpanLinks> {
    let link = (any_context(), any_attributes(), any::<u32>());
    let link = link.prop_map(|(context, attributes, dropped)| Link::new(context, attributes, dropped));
    (prop::collection::vec(link, 0..3), any::<u32>()).prop_map(|(list, dropped)| {
        let mut links = SpanLinks::default();
        (links.links, links.dropped_count) = (list, dropped);
        links
    })
}

prop_compose! {
    fn any_span()(
        (span_context, parent, parent_span_is_remote) in (any_context(), any::<u64>(), any::<bool>()),
        (name, span_kind, status) in ("[a-z ]{0,200}", any_kind(), any_status()),
        (start_time, end_time) in (any_time(), any_time()),
        (attributes, dropped_attributes_count) in (any_attributes(), any::<u32>()),
        (events, links) in (any_events(), any_links()),
        instrumentation_scope in any_scope(),
    ) -> SpanData {
        SpanData {
            span_context,
            parent_span_id: SpanId::from(parent / 2),
            parent_span_is_remote,
            span_kind,
            name: name.into(),
            start_time,
            end_time,
            attributes,
            dropped_attributes_count,
            events,
            links,
            status,
            instrumentation_scope,
        }
    }
}

fn resource() -> ResourceAttributesWithSchema {
    let resource = Resource::builder_empty().with_attribute(KeyValue::new("service.name", "shop"));
    (&resource.build()).into()
}

fn request_for(spans: Vec<SpanData>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: group_spans_by_resource_and_scope(spans, &resource()),
    }
}

proptest! {
    #[test]
    fn a_request_holds_what_the_standard_conversion_makes_of_the_spans(span in any_span(), count in 1_usize..4) {
        let spans = vec![span; count];
        let mut written = Vec::new();
        scope_spans(&mut written, &spans);
        let written = with_spans(&request_for(Vec::new()).encode_to_vec(), &written).unwrap();
        let read = ExportTraceServiceRequest::decode(written.as_slice()).unwrap();
        prop_assert_eq!(read, request_for(spans));
    }

    #[test]
    fn no_span_is_lost_between_scopes(spans in prop::collection::vec(any_span(), 0..6)) {
        let mut written = Vec::new();
        scope_spans(&mut written, &spans);
        let written = with_spans(&request_for(Vec::new()).encode_to_vec(), &written).unwrap();
        let read = ExportTraceServiceRequest::decode(written.as_slice()).unwrap();
        let scopes = read.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let read: Vec<_> = scopes.flat_map(|scope| scope.spans).collect();
        let expected: Vec<_> = spans.into_iter().map(opentelemetry_proto::tonic::trace::v1::Span::from).collect();
        prop_assert_eq!(read, expected);
    }
}

#[test]
fn a_request_of_another_form_is_not_touched() {
    let request = request_for(Vec::new()).encode_to_vec();
    assert_eq!(with_spans(&[], b""), None);
    assert_eq!(with_spans(&request[..request.len() - 1], b""), None, "cut off");
    assert_eq!(with_spans(&request.repeat(2), b""), None, "two of them");
    assert_eq!(with_spans(&[request[0] + 8, 0], b""), None, "another field");
    assert_eq!(with_spans(&[request[0], 0x80], b""), None, "no length");
}
